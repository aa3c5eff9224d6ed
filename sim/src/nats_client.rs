//! Requests to the JetStream model. A connection for each; no time limits (those are the caller's) and no retries.

use crate::fabric::Net;
use crate::servers::jetstream::protocol::{self, Call, Reply, Request};
use crate::servers::jetstream::{HOST, PORT};
use std::io;

/// The server as one process sees it.
#[derive(Clone)]
pub struct NatsClient {
    net: Net,
    name: String,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum NoReply {
    /// The server never saw the request.
    #[error("cannot connect to {HOST}:{PORT}: {0}")]
    Connect(io::Error),
    /// It may have acted on it.
    #[error("the connection to {HOST}:{PORT} was lost: {0}")]
    Lost(io::Error),
}

impl NatsClient {
    /// A client of this name, which is told to the server. To be used by the software of one host.
    pub fn new(net: Net, name: &str) -> Self {
        Self { net, name: name.to_owned() }
    }

    /// One request and its reply.
    ///
    /// # Errors
    /// There is none, and whether the server may have acted.
    pub async fn call(&self, request: Request) -> Result<Reply, NoReply> {
        let mut stream = self.net.connect(HOST, PORT).await.map_err(NoReply::Connect)?;
        let call = Call { client: self.name.clone(), request };
        protocol::write(&mut stream, &call).await.map_err(NoReply::Lost)?;
        protocol::read(&mut stream).await.map_err(NoReply::Lost)
    }
}
