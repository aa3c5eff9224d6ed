//! Whom a client of TLS trusts.

use std::io;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is not written in PEM.
    #[error("the CA is no PEM; it begins with -----BEGIN CERTIFICATE-----")]
    Pem(#[source] pem::Error),
    /// Nothing in it.
    #[error("the CA holds no certificate; it begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// Not a certificate that others can be verified by.
    #[error("the CA holds a certificate that nothing can be verified by")]
    Authority(#[source] rustls::Error),
    /// The cryptography cannot do what is asked of it.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// The authorities of this PEM.
///
/// # Errors
///
/// There is none in it, or one that is none.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, TrustError> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(TrustError::Pem)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(TrustError::Authority)?;
    }
    if roots.is_empty() {
        return Err(TrustError::NoCertificate);
    }
    Ok(roots)
}

/// A client that wants a certificate of the host's name, by one of these.
///
/// # Errors
///
/// See [`TrustError::Setup`].
pub fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TrustError> {
    let builder = builder(Arc::new(ring::default_provider()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// A client that has to be told whom it trusts.
pub(crate) fn builder(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TrustError> {
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(TrustError::Setup)
}

/// Whether a handshake failed because the server is not whom we trust.
pub(crate) fn is_distrust(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}
