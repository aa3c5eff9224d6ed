//! The operator's webhook on the network: the API server asks it before it stores a new or changed Cluster. It answers
//! as long as the operator runs, whether or not that leads. What it judges stands in `admission.rs`.

use crate::fabric::{BoxStream, Net};
use crate::servers::kube_api::{Refusal, Webhook};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: u16 = 9443;
const NAME: &str = "mcluster.cnpg.io";
const URL: &str = "https://cnpg-webhook-service.cnpg-system.svc:443/mutate-postgresql-cnpg-io-v1-cluster?timeout=10s";

/// As it is registered with the API server.
pub(super) fn webhook(host: &str, listens: Arc<AtomicBool>) -> Webhook {
    Webhook { host: host.to_owned(), port: PORT, name: NAME.into(), url: URL.into(), listens }
}

/// What the API server says where the operator does not run.
pub(super) fn refused() -> Refusal {
    webhook("", Arc::default()).failed("dial tcp 10.96.0.10:443: connect: connection refused")
}

/// The operator runs as long as this lives.
pub(super) struct Up(Arc<AtomicBool>);

impl Up {
    pub fn new(up: Arc<AtomicBool>) -> Self {
        Self(up)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Answers. Runs for ever.
pub(super) async fn serve(net: &Net, up: &Up) {
    let listener = net.listen(PORT).await.expect("the port of a fresh host is free");
    up.0.store(true, Ordering::Relaxed);
    loop {
        // An accept fails where its client is gone already.
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        net.spawn(Box::pin(async move {
            // A connection that breaks is its client's affair.
            let _ = answer(&mut stream).await;
        }));
    }
}

async fn answer(stream: &mut BoxStream) -> std::io::Result<()> {
    let mut review = [0; 1];
    stream.read_exact(&mut review).await?;
    stream.write_all(&review).await
}
