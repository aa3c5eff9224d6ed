//! A webhook that has to agree to a write before it is stored, with `failurePolicy: Fail`: where it cannot be asked,
//! nothing is written. The judgement itself is an [`Admission`](super::Admission); this is the way there.

use super::Refusal;
use crate::fabric::Net;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// A webhook is given up after this long (its `?timeout=10s`).
const PATIENCE: Duration = Duration::from_secs(10);
/// Measured: a write is refused this long after nobody listened.
const NOBODY: Duration = Duration::from_millis(280);

/// Where a webhook answers.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its name, as in messages.
    pub name: String,
    /// Its URL, as in messages.
    pub url: String,
    /// Whether its Service has an endpoint. Where its process died, nobody is connected to.
    pub listens: Arc<AtomicBool>,
}

impl Webhook {
    /// Asks, for at most `limit`, which is the request's own. `None`: the limit was over.
    pub(super) async fn ask(&self, net: &Net, limit: Duration) -> Option<Result<(), Refusal>> {
        let patience = PATIENCE.min(limit);
        let called = async {
            if !self.listens.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            self.call(net).await
        };
        match timeout(patience, called).await {
            Ok(Ok(())) => Some(Ok(())),
            Ok(Err(_)) => {
                sleep(NOBODY).await;
                Some(Err(self.failed("dial tcp 10.96.0.10:443: connect: connection refused")))
            }
            Err(_) if limit < PATIENCE => None,
            Err(_) => Some(Err(self.failed("context deadline exceeded"))),
        }
    }

    async fn call(&self, net: &Net) -> io::Result<()> {
        let mut stream = net.connect(&self.host, self.port).await?;
        stream.write_all(b"?").await?;
        stream.read_exact(&mut [0; 1]).await.map(drop)
    }

    /// 500: it could not be asked.
    pub fn failed(&self, why: &str) -> Refusal {
        let Self { name, url, .. } = self;
        let message = format!(
            "Internal error occurred: failed calling webhook {name:?}: failed to call webhook: Post {url:?}: {why}"
        );
        Refusal::new(500, "InternalError", message)
    }
}
