//! Faults of the world, carried out. What is hurt follows from the faults that go on, all of them together: one that
//! ends leaves what another still holds. The rest happens once.

use super::{REGIONS, World};
use crate::faults::{AuditFault, Blow, DnsFault, Fault, Kind, Scope, Skew, Task, Trigger, WorldFault, hosts_of};
use crate::servers::kube_api::CLUSTERS;
use crate::servers::operator::Stuck;
use crate::world::options::Standby;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Hosts in a third place.
const IN_NO_REGION: [&str; 9] =
    ["api.witness", "dns", "dns2", "pdm", "vantage1", "vantage2", "vantage3", "nats", "platform"];

/// What faults that go on bring about. Where several say how much, the most counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hurt {
    /// Hosts that are down.
    crashed: BTreeSet<String>,
    /// Hosts that stand still.
    paused: BTreeSet<String>,
    /// Ways that nothing passes, from and to.
    cut: BTreeSet<(String, String)>,
    /// Latencies of links.
    latency: BTreeMap<(String, String), Duration>,
    stuck: BTreeSet<(String, Task)>,
    slow: BTreeMap<(String, Task), Duration>,
    lag: Duration,
    replay_paused: bool,
    skew: BTreeMap<String, Skew>,
    audit_refuses: bool,
    dns_refuses: bool,
    dns_lies: bool,
    dns_broken: bool,
    dns_lua_read_only: bool,
}

impl Hurt {
    fn of(active: &[WorldFault]) -> Self {
        let mut hurt = Self::default();
        for fault in active {
            match fault {
                WorldFault::Partition(a, b) => hurt.cut_both_ways(a, b),
                WorldFault::PartitionOneWay(from, to) => {
                    hurt.cut.insert((from.clone(), to.clone()));
                }
                WorldFault::Latency(a, b, by) => {
                    let link = (a.min(b).clone(), a.max(b).clone());
                    let latency = hurt.latency.entry(link).or_default();
                    *latency = (*latency).max(*by);
                }
                WorldFault::Crash(host) => {
                    hurt.crashed.insert(host.clone());
                }
                WorldFault::Pause(host) => {
                    hurt.paused.insert(host.clone());
                }
                WorldFault::OperatorStuck(region, task) => {
                    hurt.stuck.insert((region.clone(), *task));
                }
                WorldFault::OperatorSlow(region, task, by) => {
                    let slow = hurt.slow.entry((region.clone(), *task)).or_default();
                    *slow = (*slow).max(*by);
                }
                WorldFault::Lag(by) => hurt.lag = hurt.lag.max(*by),
                WorldFault::ReplayPaused => hurt.replay_paused = true,
                // The last one that was set counts.
                WorldFault::Skew(host, skew) => {
                    hurt.skew.insert(host.clone(), *skew);
                }
                WorldFault::Region(region, Blow::Crash) => hurt.crashed.extend(hosts_of(region)),
                WorldFault::Region(region, Blow::Partition) => hurt.cut_off(region),
                WorldFault::Audit(AuditFault::Refuse) => hurt.audit_refuses = true,
                WorldFault::Audit(AuditFault::Hang) => hurt.cut_from_controllers("nats"),
                WorldFault::Dns(DnsFault::Refuse) => hurt.dns_refuses = true,
                WorldFault::Dns(DnsFault::Hang) => hurt.cut_from_controllers("dns"),
                WorldFault::Dns(DnsFault::Lie) => hurt.dns_lies = true,
                WorldFault::Dns(DnsFault::Broken) => hurt.dns_broken = true,
                WorldFault::Dns(DnsFault::ReadOnlyLua) => hurt.dns_lua_read_only = true,
                // These happen once.
                WorldFault::Heal(_)
                | WorldFault::Restart(_)
                | WorldFault::Resume(_)
                | WorldFault::KillPostgres(_)
                | WorldFault::DropToken(_) => {}
            }
        }
        hurt
    }

    fn cut_both_ways(&mut self, a: &str, b: &str) {
        self.cut.insert((a.to_owned(), b.to_owned()));
        self.cut.insert((b.to_owned(), a.to_owned()));
    }

    fn cut_off(&mut self, region: &str) {
        let elsewhere = hosts_of(super::other(region)).into_iter().chain(IN_NO_REGION.map(str::to_owned));
        for there in elsewhere {
            hosts_of(region).iter().for_each(|here| self.cut_both_ways(here, &there));
        }
    }

    fn cut_from_controllers(&mut self, host: &str) {
        REGIONS.iter().for_each(|region| self.cut_both_ways(&super::controller_host(region), host));
    }
}

impl World {
    /// Begins a fault now.
    pub fn hurt(&mut self, fault: &WorldFault) {
        let trigger = Trigger::At(self.now());
        self.board.arm(self.now(), Fault { trigger, kind: Kind::World(fault.clone()), lasts: None });
        self.follow_faults();
    }

    /// Has faults begin and end that are due.
    pub(super) fn follow_faults(&mut self) {
        for fault in self.board.due(self.now(), self.watch.moments()) {
            self.happen(&fault);
        }
        self.bring_about();
    }

    /// Does what a fault does once, at its beginning.
    fn happen(&self, fault: &WorldFault) {
        match fault {
            WorldFault::KillPostgres(region) => self.halves[region.as_str()].instance.kill(),
            WorldFault::DropToken(region) => self.drop_token(region),
            _ => {}
        }
    }

    /// Ends the faults in a scope.
    pub fn heal(&mut self, scope: &Scope) {
        self.board.heal(self.now(), scope);
        self.bring_about();
    }

    /// Brings the world in line with the faults that go on.
    fn bring_about(&mut self) {
        let hurt = Hurt::of(&self.board.active());
        if hurt == self.hurt {
            return;
        }
        let before = std::mem::replace(&mut self.hurt, hurt.clone());
        self.bring_about_links(&before, &hurt);
        self.bring_about_hosts(&before, &hurt);
        self.bring_about_operators(&before, &hurt);
        for (region, half) in &self.halves {
            if hurt.lag != before.lag {
                half.instance.set_replay_delay(hurt.lag);
            }
            if hurt.replay_paused != before.replay_paused {
                let from_the_start = self.options.standby == Standby::ReplayPaused && *region != self.options.primary;
                half.instance.set_replay_paused(hurt.replay_paused || from_the_start);
            }
        }
        for (host, skews) in &self.skews {
            let (former, skew) = (before.skew.get(host), hurt.skew.get(host));
            if former != skew {
                skews.set(self.fabric.now(), skew.copied().unwrap_or_default());
            }
        }
        if hurt.audit_refuses != before.audit_refuses {
            self.nats.refuse(hurt.audit_refuses.then_some(503));
        }
        if hurt.dns_refuses != before.dns_refuses {
            self.dns.refuse(hurt.dns_refuses.then_some(422));
        }
        if hurt.dns_lies != before.dns_lies {
            self.dns.lie(hurt.dns_lies);
        }
        if hurt.dns_lua_read_only != before.dns_lua_read_only {
            self.dns.make_lua_read_only(hurt.dns_lua_read_only);
        }
        if hurt.dns_broken != before.dns_broken {
            self.dns.break_lua(hurt.dns_broken || self.options.broken_lua);
        }
    }

    fn bring_about_links(&mut self, before: &Hurt, hurt: &Hurt) {
        let net = self.fabric.net();
        // Not every world has every host.
        let stands = |(from, to): &&(String, String)| [from, to].iter().all(|host| net.lookup(host).is_some());
        for (from, to) in before.cut.difference(&hurt.cut).filter(stands) {
            self.fabric.repair_one_way(from, to);
        }
        for (from, to) in hurt.cut.difference(&before.cut).filter(stands) {
            self.fabric.partition_one_way(from, to);
        }
        let links: BTreeSet<_> = before.latency.keys().chain(hurt.latency.keys()).collect();
        for link in links {
            let (former, latency) = (before.latency.get(link), hurt.latency.get(link));
            if former != latency {
                self.fabric.latency(&link.0, &link.1, latency.copied());
            }
        }
    }

    fn bring_about_hosts(&mut self, before: &Hurt, hurt: &Hurt) {
        for host in before.paused.difference(&hurt.paused) {
            self.fabric.resume(host);
        }
        for host in hurt.paused.difference(&before.paused) {
            self.fabric.pause(host);
        }
        for host in hurt.crashed.difference(&before.crashed) {
            self.fabric.crash(host);
        }
        for host in before.crashed.difference(&hurt.crashed) {
            self.fabric.restart(host);
            // The power cut ended its pause, and the fault that held it still goes on.
            if hurt.paused.contains(host) {
                self.fabric.pause(host);
            }
        }
    }

    fn bring_about_operators(&self, before: &Hurt, hurt: &Hurt) {
        if (&before.stuck, &before.slow) == (&hurt.stuck, &hurt.slow) {
            return;
        }
        for (region, half) in &self.halves {
            let is_stuck = |task| hurt.stuck.contains(&((*region).to_owned(), task));
            // Never quicker than the operator of this world is anyway.
            let extra = |task, own: Duration| own.max(*hurt.slow.get(&((*region).to_owned(), task)).unwrap_or(&own));
            let at_demotion = is_stuck(Task::Demotion).then_some(Stuck::AtDemotion);
            let at_promotion = is_stuck(Task::Promotion).then_some(Stuck::AtPromotion);
            half.operator.adjust(|knobs| {
                knobs.stuck = at_demotion.into_iter().chain(at_promotion).collect();
                knobs.demotion_extra = extra(Task::Demotion, self.options.demotion_extra);
                knobs.promotion_extra = extra(Task::Promotion, self.options.promotion_extra);
            });
        }
    }

    /// The token that is there vanishes, and so does the next one that comes.
    fn drop_token(&self, region: &str) {
        self.halves[region].operator.adjust(|knobs| knobs.drop_token = true);
        let patch = json!({ "status": { "demotionToken": null } });
        let (namespace, name) = (super::objects::NAMESPACE, super::objects::cluster(region));
        // A world without a pair has no Cluster to lose a token from.
        let _ = self.store(region).merge_patch(&CLUSTERS, namespace, &name, "status", &patch, "fault");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::determinism::on_seeded_thread;
    use crate::world::WorldOptions;
    use WorldFault as F;

    fn name(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn a_fault_that_ends_leaves_what_another_still_holds() {
        let seconds = Duration::from_secs;
        let partition = |a: &str, b: &str| F::Partition(name(a), name(b));
        let one_way = |a: &str, b: &str| F::PartitionOneWay(name(a), name(b));
        let skew = |host: &str, faster_percent| F::Skew(name(host), Skew { offset_ms: 5_000, faster_percent });
        let slow = |task, by| F::OperatorSlow(name("fsn"), task, seconds(by));
        let pairs = [
            (partition("api.fsn", "nats"), partition("nats", "api.fsn")),
            (one_way("api.fsn", "nats"), partition("api.fsn", "nats")),
            (one_way("api.fsn", "nats"), one_way("nats", "api.fsn")),
            (F::Audit(AuditFault::Hang), partition("controller.fsn", "nats")),
            (partition("controller.hel", "dns"), F::Dns(DnsFault::Hang)),
            (F::Dns(DnsFault::Refuse), F::Dns(DnsFault::Refuse)),
            (F::Crash(name("nats")), F::Crash(name("nats"))),
            (F::Pause(name("nats")), F::Crash(name("nats"))),
            (slow(Task::Demotion, 8), slow(Task::Demotion, 3)),
            (slow(Task::Demotion, 8), slow(Task::Promotion, 30)),
            (F::OperatorStuck(name("fsn"), Task::Demotion), F::OperatorStuck(name("fsn"), Task::Promotion)),
            (F::Lag(seconds(5)), F::Lag(seconds(50))),
            (F::ReplayPaused, F::ReplayPaused),
            (skew("controller.fsn", 2), skew("controller.hel", 2)),
            (F::Region(name("fsn"), Blow::Crash), F::Crash(name("pg.fsn"))),
            (F::Region(name("fsn"), Blow::Partition), partition("controller.fsn", "nats")),
        ];
        let play = move || {
            for (stays, ends) in pairs {
                let mut world = World::new(WorldOptions { client_count: 0, ..WorldOptions::default() }, None);
                let alone = Hurt::of(std::slice::from_ref(&stays));
                assert_ne!(alone, Hurt::default(), "{stays:?}");
                let at = |at, fault: &WorldFault, lasts| {
                    let trigger = Trigger::At(seconds(at));
                    world.board.arm(Duration::ZERO, Fault { trigger, kind: Kind::World(fault.clone()), lasts });
                };
                at(1, &stays, None);
                at(2, &ends, Some(seconds(1)));
                while world.now() < seconds(4) {
                    world.step().unwrap();
                }
                assert_eq!(world.hurt, alone, "{stays:?} after the end of {ends:?}");
                world.heal(&Scope::All);
                assert_eq!(world.hurt, Hurt::default(), "{stays:?}");
            }
        };
        on_seeded_thread(1, play).unwrap();
    }

    #[test]
    fn of_two_that_say_how_much_the_most_counts() {
        let link = |a: &str, b: &str, ms| F::Latency(name(a), name(b), Duration::from_millis(ms));
        let hurt = Hurt::of(&[link("nats", "dns", 300), link("dns", "nats", 40)]);
        assert_eq!(
            hurt.latency.into_iter().collect::<Vec<_>>(),
            [((name("dns"), name("nats")), Duration::from_millis(300))]
        );
    }
}
