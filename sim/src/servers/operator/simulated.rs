//! The simulated PostgreSQL, as an operator's.

use super::database::{Database, Status};
use crate::fabric::{HostFuture, Net};
use crate::servers::postgres::{Configuration, Control, Instance, Order};
use async_trait::async_trait;
use continuum_core::record::Lsn;
use tokio::sync::Notify;

#[async_trait]
impl Database for Instance {
    fn run(&self, net: Net) -> HostFuture {
        Box::pin(Instance::run(self.clone(), net))
    }

    fn status(&self) -> Status {
        let snapshot = self.snapshot();
        // Of a new one nothing was replayed, and its end is where it was shut down.
        let shut_down = matches!(snapshot.control, Control::ShutDown | Control::ShutDownInRecovery);
        let end = shut_down.then_some((snapshot.timeline, snapshot.end));
        Status {
            alive: snapshot.alive,
            state: snapshot.state,
            in_recovery: snapshot.in_recovery,
            control: snapshot.control,
            checkpoint: snapshot.checkpoint.or(end),
            standby_signal: snapshot.standby_signal,
            timeline: snapshot.timeline,
            pending_restart: snapshot.pending_restart,
        }
    }

    fn life(&self) -> u64 {
        Instance::life(self)
    }

    fn changed(&self) -> &Notify {
        Instance::changed(self)
    }

    fn order(&self, order: Order) {
        Instance::order(self, order);
    }

    fn kill(&self) {
        Instance::kill(self);
    }

    fn configure(&self, configuration: Configuration) {
        Instance::configure(self, configuration);
    }

    fn configuration(&self) -> Configuration {
        Instance::configuration(self)
    }

    fn system_id(&self) -> String {
        Instance::system_id(self)
    }

    async fn checkpoint(&self) -> Option<(u32, Lsn)> {
        let snapshot = self.snapshot();
        Some(snapshot.checkpoint.unwrap_or((snapshot.timeline, Lsn::default())))
    }

    async fn set_password(&self, role: &str, password: &str) -> bool {
        if self.password_of(role).is_none_or(|present| present != password) {
            Instance::set_password(self, role, password);
        }
        true
    }
}
