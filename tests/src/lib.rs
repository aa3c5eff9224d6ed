//! What the suites of this package share.

pub mod exchange;
pub mod real_kube;
pub mod simulated_kube;
