//! Core's witness ports against a bucket of the JetStream model.

use crate::fabric::Net;
use crate::nats_client::NatsClient;
use crate::servers::jetstream::protocol::{Publish, Reply, Request};
use crate::servers::jetstream::stream::{STORE_FAILED, TOO_LARGE, WRONG_LAST_SEQUENCE};
use async_trait::async_trait;
use continuum_core::name::Region;
use continuum_core::ports::{ActOnWitness, Cas, ObserveWitness, Version};
use continuum_core::record::Record;
use continuum_core::spec::LeaseKind;
use std::collections::BTreeMap;

/// The key of one Continuum as one process sees it.
#[derive(Clone)]
pub struct WitnessClient {
    nats: NatsClient,
    key: String,
}

impl WitnessClient {
    /// A client of this name, which is told to the server. To be used by the software of one host.
    pub fn new(net: Net, name: &str, key: &str) -> Self {
        Self { nats: NatsClient::new(net, name), key: key.to_owned() }
    }
}

#[async_trait]
impl ObserveWitness for WitnessClient {
    fn kind(&self) -> LeaseKind {
        LeaseKind::NatsKv
    }

    async fn read(&self) -> Result<(Version, Option<Record>), String> {
        match self.nats.call(Request::Last { subject: self.key.clone() }).await {
            Ok(Reply::Last(None)) => Ok((Version(None), None)),
            Ok(Reply::Last(Some(stored))) => {
                let version = Version(Some(stored.sequence.to_string()));
                if stored.message.headers.contains_key("KV-Operation") {
                    return Ok((version, None));
                }
                let record = serde_json::from_str(&stored.message.payload);
                record.map(|record| (version, Some(record))).map_err(|error| format!("it holds no record: {error}"))
            }
            Ok(Reply::Error { code, description }) => Err(format!("the bucket answered {code}: {description}")),
            Ok(other) => Err(format!("an answer to another question: {other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn shares(&self) -> Option<Region> {
        None
    }
}

#[async_trait]
impl ActOnWitness for WitnessClient {
    async fn compare_and_set(&self, expected: &Version, record: &Record) -> Cas {
        let last = expected.0.clone().unwrap_or_else(|| "0".into());
        let message = Publish {
            subject: self.key.clone(),
            headers: BTreeMap::from([("Nats-Expected-Last-Subject-Sequence".to_owned(), last)]),
            payload: serde_json::to_string(record).expect("a record has string keys only"),
        };
        match self.nats.call(Request::Publish(message)).await {
            Ok(Reply::Acknowledged { sequence, .. }) => Cas::Done(Version(Some(sequence.to_string()))),
            Ok(Reply::Error { code: WRONG_LAST_SEQUENCE, .. }) => Cas::Conflict,
            Ok(Reply::Error { code: code @ (400..=407 | TOO_LARGE | STORE_FAILED), description }) => {
                Cas::Refused(format!("the bucket answered {code}: {description}"))
            }
            Ok(Reply::Error { code, description }) => {
                Cas::Unknown(format!("the bucket answered {code}: {description}"))
            }
            Ok(other) => Cas::Unknown(format!("an answer to another question: {other:?}")),
            Err(error) => Cas::Unknown(error.to_string()),
        }
    }
}
