//! Who looks at the databases: the role in the secret that a Continuum names.

use crate::kept::Kept;
use crate::resource::Resource;
use crate::secrets::{self, SecretError, Secrets};
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
        Self { secrets, resource, kept: Kept::new(clock, secrets::KEPT_FOR) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::test_server::{Hand, Server};
    use continuum_core::name::Region;
    use continuum_core::observe::Stored;
    use serde_json::json;
    use std::time::Duration;

    #[tokio::test]
    async fn a_login_is_kept_for_ten_minutes_and_read_anew_at_once_where_it_is_refused() {
        let (server, clock) = (Server::default(), Arc::new(Hand::default()));
        let continuum = json!({
            "metadata": { "namespace": "shop", "name": "shop" },
            "spec": { "probe": { "secretRef": { "name": "probe" } } },
        });
        let resource = Arc::new(Resource::new(Stored::from(continuum)));
        let logins = SecretLogins::new(Secrets::new(Region::new("fsn"), server.client()), resource, clock.clone());
        let password = async || logins.login().await.map(|login| login.password.unwrap()).map_err(|e| e.to_string());
        server.put_secret("probe", &[("username", "monitor"), ("password", "old")]);
        assert_eq!(password().await, Ok("old".into()));
        server.put_secret("probe", &[("username", "monitor"), ("password", "new")]);
        clock.advance(Duration::from_secs(599));
        assert_eq!(password().await, Ok("old".into()));
        clock.advance(Duration::from_secs(1));
        assert_eq!(password().await, Ok("new".into()));
        server.put_secret("probe", &[("username", "monitor"), ("password", "newer")]);
        assert_eq!(password().await, Ok("new".into()));
        logins.refused();
        assert_eq!(password().await, Ok("newer".into()));
        assert_eq!(server.asked(), ["probe"; 3]);
    }
}
