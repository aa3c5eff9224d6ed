//! The kubelet of the node: containers start where there is a pod and the API server was reached since the node
//! started, end with a grace period where the pod is deleted, and start again where they ended by themselves. Its
//! probes tell whether the pod is ready.

use super::hand::Hand;
use super::pods::running;
use crate::servers::kube_api::PODS;
use crate::servers::postgres::{Order, Shutdown, State};
use futures_util::future::{Either, select};
use serde_json::Value;
use std::pin::pin;
use std::time::Duration;

/// Period of the readiness probe.
const PROBE: Duration = Duration::from_secs(1);
/// Failures in a row that make a pod not ready.
const FAILURES: u32 = 3;
/// From a node's start, or from a pod's appearance, to the start of its container, ms.
const START_MS: std::ops::RangeInclusive<u64> = 1_200..=1_500;
/// From the end of a container to the next start of it, ms.
const AGAIN_MS: std::ops::RangeInclusive<u64> = 1_850..=1_950;
/// What a process takes to end after a signal.
const SIGNAL: Duration = Duration::from_millis(30);

/// How a container ended.
enum End {
    /// Its pod is deleted.
    Deleted,
    /// By itself.
    Exited,
}

impl Hand {
    /// Runs the pod's container. Runs for ever.
    pub(super) async fn keep_pod(&self) {
        let mut runs = !std::mem::replace(&mut self.memory().node_ran_before, true);
        let mut starting = !runs;
        loop {
            let mark = self.mark();
            let Some(pod) = self.pod().filter(|_| self.api.knows(&PODS)) else {
                starting |= self.api.knows(&PODS);
                self.moved_on(mark, None).await;
                continue;
            };
            if pod["metadata"]["deletionTimestamp"].is_string() {
                // Until it is taken, or the watch shows that it was.
                if self.api.delete(&PODS, &self.pod_name(), true).await.is_err() {
                    self.pause(AGAIN_MS).await;
                }
                continue;
            }
            if starting {
                self.pause(START_MS).await;
            }
            let uid = pod["metadata"]["uid"].clone();
            let end = self.run_container(&uid, std::mem::take(&mut runs)).await;
            self.change(|memory| memory.manager_up = false);
            starting = matches!(end, End::Deleted);
            if !starting {
                self.pause(AGAIN_MS).await;
            }
        }
    }

    async fn run_container(&self, uid: &Value, runs: bool) -> End {
        let deleted = self.pod_is_deleted(uid);
        let grace = match select(pin!(deleted), pin!(self.run_manager(runs))).await {
            Either::Left((grace, _)) => grace,
            Either::Right(((), _)) => return End::Exited,
        };
        // The instance manager is told to end, and shuts PostgreSQL down first: fast, where it does not wait for the
        // end of a smart shutdown already. Then it is killed.
        self.change(|memory| memory.expects_running = false);
        if self.instance.status().state != State::Stopping(Shutdown::Smart) {
            self.instance.order(Order::Stop(Shutdown::Fast));
        }
        let stopped = self.instance_is(State::Stopped);
        match select(pin!(stopped), pin!(tokio::time::sleep(grace))).await {
            Either::Left(_) => tokio::time::sleep(SIGNAL).await,
            Either::Right(_) => self.instance.kill(),
        }
        End::Deleted
    }

    /// Waits until the pod of this uid is deleted, or another one is there. Its grace period.
    async fn pod_is_deleted(&self, uid: &Value) -> Duration {
        loop {
            let mark = self.api.version();
            match self.pod() {
                Some(pod) if pod["metadata"]["uid"] == *uid => {
                    let metadata = &pod["metadata"];
                    if metadata["deletionTimestamp"].is_string() {
                        return Duration::from_secs(metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or(30));
                    }
                }
                _ => return Duration::ZERO,
            }
            self.api.changed_since(mark).await;
        }
    }

    /// Probes the container.
    pub(super) async fn watch_readiness(&self) {
        let mut next_probe = self.now() + self.built_in(PROBE);
        let (mut failures, mut said) = (0, true);
        loop {
            let mark = self.mark();
            if next_probe > self.now() {
                self.moved_on(mark, Some(next_probe)).await;
            }
            let now = self.now();
            let instance = self.instance.status();
            let container_ended = instance.alive && !self.memory().manager_up;
            if now < next_probe && !(container_ended && said) {
                continue;
            }
            next_probe = now + self.built_in(PROBE);
            let ok = instance.alive && instance.state == State::Running && self.memory().manager_up;
            failures = if ok { 0 } else { failures + 1 };
            if ok != said && (ok || failures >= FAILURES || container_ended) && self.pod().is_some() {
                // A node that has just started does not know what it said before.
                said = if self.set_pod(running(ok)).await.is_ok() { ok } else { said };
            }
        }
    }
}
