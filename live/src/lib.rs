//! Production adapters: core's ports over the real protocols. Each is built from a transport that the caller
//! passes, which is how the simulator carries them unchanged.

pub mod assemble;
pub mod authoritative;
pub mod byte_stream;
pub mod causes;
pub mod clock;
pub mod copies;
pub mod dns;
mod gitops;
mod health_url;
pub mod http_api;
pub mod http_client;
pub mod kube_api;
pub mod kube_transport;
pub mod pair;
pub mod pdm;
pub mod postgres;
pub mod powerdns;
pub mod prometheus;
pub mod report_shapes;
pub mod resource;
mod rights;
pub mod route;
#[cfg(test)]
mod test_server;
pub mod vantages;
pub mod watches;
pub mod witness_lease;
