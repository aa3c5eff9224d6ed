//! Opens the streams of `live`'s HTTP client on the simulated network.

use crate::fabric::Net;
use continuum_live::byte_stream::ByteStream;
use continuum_live::http_client::Connect;
use std::sync::Arc;

/// To be used by the software of one host.
pub fn http_connect(net: Net) -> Connect {
    Arc::new(move |host: &str, port: u16| {
        let (net, host) = (net.clone(), host.to_owned());
        Box::pin(async move { Ok(Box::new(net.connect(&host, port).await?) as Box<dyn ByteStream>) })
    })
}
