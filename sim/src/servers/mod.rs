//! The simulated servers, one module each.

pub mod kube_api;
