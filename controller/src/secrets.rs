//! Secrets of one's own cluster, read by name when they are needed and never watched. What is in them is never shown.

use continuum_core::name::{ObjectName, Region};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// So long what a secret holds is used without reading it again, unless a server refuses it. One that disappeared is noticed
/// within this time.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(600);

/// Why a secret is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The server says that there is none.
    #[error("secret {secret} in {region} is missing: make it")]
    Missing {
        /// The secret.
        secret: ObjectName,
        /// One's own region.
        region: Region,
    },
    /// This controller may not.
    #[error("secret {secret} in {region} may not be read: give this controller's account the verb get on it")]
    Forbidden {
        /// The secret.
        secret: ObjectName,
        /// One's own region.
        region: Region,
    },
    /// Anything else.
    #[error("secret {secret} in {region} cannot be read")]
    Unreadable {
        /// The secret.
        secret: ObjectName,
        /// One's own region.
        region: Region,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// It lacks a key.
    #[error("secret {secret} in {region} has no key {key}: add it")]
    NoKey {
        /// The secret.
        secret: ObjectName,
        /// One's own region.
        region: Region,
        /// The key.
        key: String,
    },
    /// What it holds is no text.
    #[error("key {key} of secret {secret} in {region} is empty or no UTF-8: mend it")]
    NoText {
        /// The secret.
        secret: ObjectName,
        /// One's own region.
        region: Region,
        /// The key.
        key: String,
    },
}

/// Reads secrets of one's own cluster.
#[derive(Clone)]
pub struct Secrets {
    region: Region,
    client: kube::Client,
}

impl Secrets {
    /// Of `region`, behind `client`.
    pub fn new(region: Region, client: kube::Client) -> Self {
        Self { region, client }
    }

    /// The secret of this name.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be read.
    pub async fn get(&self, secret: &ObjectName) -> Result<Contents, SecretError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &secret.namespace);
        let (name, region) = (secret.clone(), self.region.clone());
        match api.get(&secret.name).await {
            Ok(found) => Ok(Contents { secret: name, region, data: found.data.unwrap_or_default() }),
            Err(kube::Error::Api(status)) if status.code == 404 => Err(SecretError::Missing { secret: name, region }),
            Err(kube::Error::Api(status)) if status.code == 403 => Err(SecretError::Forbidden { secret: name, region }),
            Err(source) => Err(SecretError::Unreadable { secret: name, region, source: Box::new(source) }),
        }
    }
}

/// What a secret holds.
pub struct Contents {
    secret: ObjectName,
    region: Region,
    data: BTreeMap<String, ByteString>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents({})", self.secret)
    }
}

impl Contents {
    /// Whether it has this key.
    pub fn has(&self, key: &str) -> bool {
        self.data.contains_key(key)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.data.keys().map(String::as_str)
    }

    /// What stands under a key.
    ///
    /// # Errors
    ///
    /// There is no such key.
    pub fn bytes(&self, key: &str) -> Result<&[u8], SecretError> {
        let missing =
            || SecretError::NoKey { secret: self.secret.clone(), region: self.region.clone(), key: key.to_owned() };
        self.data.get(key).map(|bytes| bytes.0.as_slice()).ok_or_else(missing)
    }

    /// The text under a key. The end of a line behind it is not part of it: editors leave one there.
    ///
    /// # Errors
    ///
    /// There is no such key, or no text under it.
    pub fn text(&self, key: &str) -> Result<String, SecretError> {
        let bytes = self.bytes(key)?;
        let text = std::str::from_utf8(bytes).map(|text| text.trim_end_matches(['\r', '\n'])).unwrap_or_default();
        if text.is_empty() {
            return Err(SecretError::NoText {
                secret: self.secret.clone(),
                region: self.region.clone(),
                key: key.to_owned(),
            });
        }
        Ok(text.to_owned())
    }
}
