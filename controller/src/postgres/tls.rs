//! TLS to PostgreSQL: whom to trust, and how a stream becomes an encrypted one.
//!
//! The stream is encrypted before live's probe sees it, so that the probe knows no TLS and the simulator needs none. That
//! costs SCRAM's channel binding, which a client can only ask for that also holds the TLS session; a server's certificate is
//! always verified here, which is what the binding would be a second net for.

use crate::tls::{self, TrustError};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// PostgreSQL's SSLRequest: its length, and the code 80877103 (PostgreSQL's documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Why there is no encrypted stream.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is neither a name nor an address.
    #[error("`{0}` is neither a DNS name nor an address, so no certificate is for it")]
    Name(String),
    /// The server does not answer.
    #[error("no answer to the request for TLS")]
    Request(#[source] io::Error),
    /// The server has TLS turned off.
    #[error("the server takes no TLS: turn it on, or write sslmode disable if the network is trusted")]
    NotOffered,
    /// It is no PostgreSQL.
    #[error("the server answers the request for TLS with byte {0:#04x}: is it PostgreSQL?")]
    NotPostgres(u8),
    /// It is not whom we trust.
    #[error("the server's certificate is not accepted: compare it with the CA and the host's name")]
    Certificate(#[source] io::Error),
    /// Anything else.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
}

/// A client that trusts the certificates of this authority, in PEM, and asks for the host's name where it is to.
///
/// # Errors
///
/// The authority is none.
pub fn client_config(authority: &[u8], with_name: bool) -> Result<Arc<ClientConfig>, TrustError> {
    let roots = tls::authorities(authority)?;
    if with_name {
        return tls::client_config(roots);
    }
    let provider = Arc::new(ring::default_provider());
    let builder = tls::builder(provider.clone())?;
    let verifier = Arc::new(ByAuthority { roots, provider });
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

/// Asks the server for TLS, and encrypts the stream.
///
/// # Errors
///
/// The server does not do that, or is not whom we trust.
pub async fn encrypt<S>(mut stream: S, host: &str, config: Arc<ClientConfig>) -> Result<TlsStream<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
    stream.write_all(&SSL_REQUEST).await.map_err(TlsError::Request)?;
    // One byte and no more: whatever came with it unencrypted is nothing that the server said (CVE-2021-23222).
    match stream.read_u8().await.map_err(TlsError::Request)? {
        b'S' => {}
        // An error in place of an answer is how servers before 8.0 and overloaded ones say no.
        b'N' | b'E' => return Err(TlsError::NotOffered),
        other => return Err(TlsError::NotPostgres(other)),
    }
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        let of = if tls::is_distrust(&error) { TlsError::Certificate } else { TlsError::Handshake };
        of(error)
    })
}

/// `verify-ca`: a certificate by the authority, for whatever name.
#[derive(Debug)]
struct ByAuthority {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
