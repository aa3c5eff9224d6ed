//! Faults of the world, carried out: what the board says is due is done to hosts, links and servers here.

use super::{HalfModel, REGIONS, World};
use crate::fabric::Fabric;
use crate::faults::{AuditFault, DnsFault, Scope, Task, WorldFault};
use crate::servers::kube_api::CLUSTERS;
use crate::servers::operator::Stuck;
use serde_json::json;
use std::time::Duration;

impl World {
    /// Begins a fault.
    pub fn hurt(&mut self, fault: &WorldFault) {
        match fault {
            WorldFault::Partition(a, b) => self.fabric.partition(a, b),
            WorldFault::PartitionOneWay(a, b) => self.fabric.partition_one_way(a, b),
            WorldFault::Latency(a, b, by) => self.fabric.latency(a, b, Some(*by)),
            WorldFault::Heal(scope) => self.heal(scope),
            WorldFault::Crash(host) => {
                if self.crashed.insert(host.clone()) {
                    self.fabric.crash(host);
                }
            }
            WorldFault::Restart(host) => self.restart(host),
            WorldFault::Pause(host) => {
                if self.paused.insert(host.clone()) {
                    self.fabric.pause(host);
                }
            }
            WorldFault::Resume(host) => self.resume(host),
            WorldFault::OperatorStuck(region, task) => {
                let stuck = match task {
                    Task::Demotion => Stuck::AtDemotion,
                    Task::Promotion => Stuck::AtPromotion,
                };
                self.half(region).operator.adjust(|knobs| knobs.stuck = Some(stuck));
            }
            WorldFault::OperatorSlow(region, task, by) => self.slow(region, *task, *by),
            WorldFault::Lag(by) => self.halves.values().for_each(|half| half.instance.set_replay_delay(*by)),
            WorldFault::ReplayPaused => self.halves.values().for_each(|half| half.instance.set_replay_paused(true)),
            WorldFault::KillPostgres(region) => self.half(region).instance.kill(),
            WorldFault::DropToken(region) => self.drop_token(region),
            WorldFault::Audit(AuditFault::Refuse) => self.nats.refuse(Some(503)),
            WorldFault::Audit(AuditFault::Hang) => self.cut_from_controllers("nats", true),
            WorldFault::Dns(DnsFault::Refuse) => self.dns.refuse(Some(422)),
            WorldFault::Dns(DnsFault::Hang) => self.cut_from_controllers("dns", true),
            WorldFault::Dns(DnsFault::Lie) => self.dns.lie(true),
            WorldFault::Dns(DnsFault::Broken) => self.dns.break_lua(true),
        }
    }

    /// Ends a fault.
    pub fn mend(&mut self, fault: &WorldFault) {
        match fault {
            WorldFault::Partition(a, b) | WorldFault::PartitionOneWay(a, b) => self.fabric.repair(a, b),
            WorldFault::Latency(a, b, _) => self.fabric.latency(a, b, None),
            WorldFault::Crash(host) => self.restart(host),
            WorldFault::Pause(host) => self.resume(host),
            WorldFault::OperatorStuck(region, _) => self.half(region).operator.adjust(|knobs| knobs.stuck = None),
            WorldFault::OperatorSlow(region, task, _) => self.slow(region, *task, Duration::ZERO),
            WorldFault::Lag(_) => self.halves.values().for_each(|half| half.instance.set_replay_delay(Duration::ZERO)),
            WorldFault::ReplayPaused => self.halves.values().for_each(|half| half.instance.set_replay_paused(false)),
            WorldFault::Audit(AuditFault::Refuse) => self.nats.refuse(None),
            WorldFault::Audit(AuditFault::Hang) => self.cut_from_controllers("nats", false),
            WorldFault::Dns(DnsFault::Refuse) => self.dns.refuse(None),
            WorldFault::Dns(DnsFault::Hang) => self.cut_from_controllers("dns", false),
            WorldFault::Dns(DnsFault::Lie) => self.dns.lie(false),
            WorldFault::Dns(DnsFault::Broken) => self.dns.break_lua(false),
            // These happen once.
            WorldFault::Heal(_)
            | WorldFault::Restart(_)
            | WorldFault::Resume(_)
            | WorldFault::KillPostgres(_)
            | WorldFault::DropToken(_) => {}
        }
    }

    /// Ends the faults in a scope. Crashed hosts are started, paused ones resumed.
    pub fn heal(&mut self, scope: &Scope) {
        let now = self.now();
        for fault in self.board.clone().heal(now, scope) {
            self.mend(&fault);
        }
        let down: Vec<String> =
            self.crashed.iter().chain(&self.paused).filter(|host| scope.covers(&[host.as_str()])).cloned().collect();
        for host in down {
            self.restart(&host);
            self.resume(&host);
        }
    }

    fn restart(&mut self, host: &str) {
        if self.crashed.remove(host) {
            self.fabric.restart(host);
        }
    }

    fn resume(&mut self, host: &str) {
        if self.paused.remove(host) {
            self.fabric.resume(host);
        }
    }

    fn half(&self, region: &str) -> &HalfModel {
        &self.halves[region]
    }

    fn slow(&self, region: &str, task: Task, by: Duration) {
        self.half(region).operator.adjust(|knobs| match task {
            Task::Demotion => knobs.demotion_extra = by,
            Task::Promotion => knobs.promotion_extra = by,
        });
    }

    /// The token that is there vanishes, and so does the next one that comes.
    fn drop_token(&self, region: &str) {
        self.half(region).operator.adjust(|knobs| knobs.drop_token = true);
        let patch = json!({ "status": { "demotionToken": null } });
        let (namespace, name) = (super::objects::NAMESPACE, super::objects::cluster(region));
        // A world without a pair has no Cluster to lose a token from.
        let _ = self.store(region).merge_patch(&CLUSTERS, namespace, &name, "status", &patch, "fault");
    }

    fn cut_from_controllers(&mut self, host: &str, cut: bool) {
        for region in REGIONS {
            let controller = super::controller_host(region);
            if cut { self.fabric.partition(&controller, host) } else { self.fabric.repair(&controller, host) }
        }
    }
}
