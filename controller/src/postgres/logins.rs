//! Who looks at the databases: the role in the secret that a Continuum names.

use crate::kept::Kept;
use crate::resource::Resource;
use crate::secrets::{SecretError, Secrets};
use async_trait::async_trait;
use continuum_core::clock::Clock;
use continuum_core::name::ObjectName;
use continuum_core::spec::Invalid;
use continuum_live::postgres::{Login, Logins};
use continuum_live::resource::database_access;
use std::error::Error;
use std::sync::Arc;

/// Database where the secret names none.
const DATABASE: &str = "postgres";

/// Why nobody can look.
#[derive(Debug, thiserror::Error)]
pub enum NoLogin {
    /// The resource is wrong.
    #[error("the Continuum does not say who looks at the databases")]
    Invalid(#[source] Invalid),
    /// The resource says nothing.
    #[error("spec.probe.secretRef is missing: name a secret with username and password of a role that has pg_monitor")]
    NoSecret,
    /// The secret cannot be read, or lacks something.
    #[error("the role that looks at the databases is not known")]
    Secret(#[source] SecretError),
}

/// The login of one Continuum's probe.
pub struct SecretLogins {
    secrets: Secrets,
    resource: Arc<Resource>,
    kept: Kept<ObjectName, Login>,
}

impl SecretLogins {
    /// By the secret that `resource` names now.
    pub fn new(secrets: Secrets, resource: Arc<Resource>, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, resource, kept: Kept::new(clock) }
    }

    async fn read(&self) -> Result<Login, NoLogin> {
        let access = database_access(&self.resource.object()).map_err(NoLogin::Invalid)?;
        let name = access.secret.ok_or(NoLogin::NoSecret)?;
        if let Some(login) = self.kept.get(&name) {
            return Ok(login);
        }
        let secret = self.secrets.get(&name).await.map_err(NoLogin::Secret)?;
        let text = |key: &str| secret.text(key).map_err(NoLogin::Secret);
        let database = if secret.has("dbname") { text("dbname")? } else { DATABASE.to_owned() };
        let login = Login { user: text("username")?, password: Some(text("password")?), database };
        self.kept.put(name, login.clone());
        Ok(login)
    }
}

#[async_trait]
impl Logins for SecretLogins {
    async fn login(&self) -> Result<Login, Box<dyn Error + Send + Sync>> {
        Ok(self.read().await?)
    }

    fn refused(&self) {
        self.kept.clear();
    }
}
