//! The way to the servers: one connection, made anew where it broke, where the files of the credentials are others now, and
//! after whatever may leave a request behind in it.

use crate::connection::{Connection, Material};
use crate::settings::Settings;
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use tokio::sync::Mutex;

/// See the module.
pub(crate) struct Link {
    settings: Settings,
    /// What it is for, for the log.
    what: &'static str,
    held: Mutex<Held>,
    connection: Arc<Lock<Option<Connection>>>,
}

/// What is held from one request to the next, beside the connection.
#[derive(Default)]
struct Held {
    /// What the files held when it was opened, or tried to be, last.
    material: Material,
    /// What they held that gave no connection, where another stood.
    refused: Option<Material>,
    /// That they cannot be read was told.
    unread: bool,
}

impl Held {
    /// What the files hold now; where they cannot be read, what they held before.
    fn now(&mut self, settings: &Settings) -> Material {
        match Material::read(settings) {
            Ok(material) => {
                self.unread = false;
                material
            }
            Err(cause) => {
                if !std::mem::replace(&mut self.unread, true) {
                    tracing::warn!(%cause, "what was read before is used until this is mended");
                }
                self.material.clone()
            }
        }
    }
}

/// A request whose end is not known: dropped like this, its connection is not used again.
pub(crate) struct UnderWay<'a> {
    link: &'a Link,
    connection: &'a Connection,
    known: bool,
}

impl UnderWay<'_> {
    /// It ended, and what became of it is known or not.
    pub fn ended(mut self, known: bool) {
        self.known = known;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.known {
            // It may lie in the client still, which would send it at any later time.
            self.link.drop_connection(self.connection);
        }
    }
}

impl Link {
    /// Connects when it is first asked for something.
    pub fn new(settings: Settings, what: &'static str) -> Self {
        Self { settings, what, held: Mutex::default(), connection: Arc::default() }
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, or a new one where it broke, or where the files of the credentials are others now. Two that ask at
    /// once get the same.
    pub async fn connection(&self) -> Result<Connection, String> {
        let mut held = self.held.lock().await;
        let material = held.now(&self.settings);
        let whole = self.current().clone().filter(Connection::is_whole);
        if let Some(connection) = &whole
            && (material == held.material || held.refused.as_ref() == Some(&material))
        {
            return Ok(connection.clone());
        }
        let what = self.what;
        if whole.is_some() {
            // Whoever gives up while they are tried has tried them: what works is not held up by them again.
            held.refused = Some(material.clone());
        }
        match (Connection::open(&self.settings, &material).await, whole) {
            (Ok(connection), before) => {
                if before.is_some() {
                    tracing::info!("the credentials of {what} are others now, and are used");
                }
                *self.current() = Some(connection.clone());
                (held.material, held.refused) = (material, None);
                Ok(connection)
            }
            (Err(cause), Some(before)) => {
                tracing::warn!(%cause, "the new credentials of {what} are not taken; what was read before is used");
                held.refused = Some(material);
                Ok(before)
            }
            // Those of before may still do.
            (Err(cause), None) if held.refused.as_ref() == Some(&material) => {
                let opened = Connection::open(&self.settings, &held.material).await.map_err(|_| cause);
                *self.current() = opened.as_ref().ok().cloned();
                opened
            }
            (Err(cause), None) => {
                *self.current() = None;
                Err(cause)
            }
        }
    }

    /// A request goes over this connection, and nobody knows yet what becomes of it.
    pub fn under_way<'a>(&'a self, connection: &'a Connection) -> UnderWay<'a> {
        UnderWay { link: self, connection, known: false }
    }

    /// The next request goes over a new connection.
    pub fn drop_connection(&self, connection: &Connection) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|current| current.is(connection)) {
            *current = None;
        }
    }

    /// What is said of a look that failed. The connection is not used again.
    pub fn failed(&self, connection: &Connection, mut text: String) -> String {
        self.drop_connection(connection);
        for refusal in connection.take_refusals() {
            text.push_str(": ");
            text.push_str(&refusal);
        }
        text
    }
}

#[cfg(test)]
mod credentials;
