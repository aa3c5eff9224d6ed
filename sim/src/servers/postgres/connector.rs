//! Carries the production probe to the simulated halves: region `fsn` is reached at host `pg.fsn`.

use super::instance::CLIENT_PORT;
use crate::fabric::Net;
use async_trait::async_trait;
use continuum_core::name::{ObjectName, Region};
use continuum_live::byte_stream::ByteStream;
use continuum_live::postgres::Connector;
use std::io;

/// Opens streams over the simulated network.
#[derive(Clone)]
pub struct NetConnector {
    net: Net,
}

impl NetConnector {
    /// From the host whose network this is.
    pub fn new(net: Net) -> Self {
        Self { net }
    }
}

#[async_trait]
impl Connector for NetConnector {
    async fn connect(&self, region: &Region, _cluster: &ObjectName) -> io::Result<Box<dyn ByteStream>> {
        Ok(Box::new(self.net.connect(&format!("pg.{region}"), CLIENT_PORT).await?))
    }
}
