//! What the suites of this package share.

pub mod certificates;
pub mod chart;
pub mod definitions;
pub mod dns_world;
pub mod exchange;
pub mod live;
pub mod real_kube;
pub mod real_nats;
pub mod real_postgres;
pub mod real_powerdns;
pub mod real_prometheus;
pub mod register;
pub mod scenario_files;
pub mod server;
pub mod simulated;
pub mod simulated_kube;
pub mod simulated_nats;
pub mod stage;
pub mod stand_in;
