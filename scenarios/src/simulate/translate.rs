//! From the words of a scenario file to those of the simulator. Nothing is decided here.

use crate::format::{
    self, AuditDoes, Count, DnsDoes, InitialLease, LuaWorld, Moment, OperatorTask, OperatorTimes, PublisherWord,
    RegionDoes, Replication, RouteWorld, Scenario, SelectorWord, StandbyWorld, Step, Timing, WitnessPlace,
};
use crate::runner::{Fabric, RunOptions};
use continuum_sim::fabric::FabricKind;
use continuum_sim::faults::{
    AuditFault, Blow, DnsFault, Does, Fault, Kind, RequestFault, Scope, Skew, Task, Trigger, WorldFault,
};
use continuum_sim::world::WorldOptions;
use continuum_sim::world::options::{Lease, Publisher, Route, Standby, Witness};
use std::time::Duration;

/// Simulated time that a run may take beyond the scenario's limit, to heal, come to rest and be judged.
pub(super) fn judging(scenario: &Scenario) -> Duration {
    Duration::from_secs(600) + soak(scenario)
}

/// How long the world has to stay at rest before it is judged. A term, as whoever has the slowest clock counts it, is
/// over by then, and what follows from that has begun.
pub(super) fn soak(scenario: &Scenario) -> Duration {
    let world = &scenario.spec.world;
    let ttl = Duration::from_secs(world.ttl.0.into());
    ttl + ttl * world.drift_percent / 100 + Duration::from_secs(15)
}

/// The world that a scenario describes.
pub(super) fn world(scenario: &Scenario, options: &RunOptions) -> WorldOptions {
    let world = &scenario.spec.world;
    WorldOptions {
        seed: options.seed,
        fabric: match options.fabric {
            Fabric::Turmoil => FabricKind::Turmoil,
            Fabric::Direct => FabricKind::Direct,
        },
        tick: world.tick.0,
        duration_max: scenario.spec.limit.0 + judging(scenario),
        primary: world.primary.to_string(),
        synchronous: world.replication == Replication::Sync,
        standby: match world.standby {
            StandbyWorld::Following => Standby::Following,
            StandbyWorld::Diverged => Standby::Diverged,
            StandbyWorld::ReplayPaused => Standby::ReplayPaused,
        },
        ttl_seconds: world.ttl.0,
        renew_seconds: world.renew.0,
        guard_seconds: world.guard.0,
        drift_percent: world.drift_percent,
        drain_seconds: world.drain.0,
        rto_seconds: world.rto.0,
        rpo_seconds: world.rpo.0,
        route: match world.route {
            RouteWorld::Matched => Route::Matched,
            RouteWorld::Unmatched => Route::Unmatched,
            RouteWorld::None => Route::None,
        },
        pair: world.pair,
        role_policy: world.role_policy,
        addresses: world.addresses,
        lease: match &world.lease.initial {
            None => Lease::HeldBy(world.primary.to_string()),
            Some(InitialLease::Absent) => Lease::Absent,
            Some(InitialLease::Free) => Lease::Free,
            Some(InitialLease::HeldBy(region)) => Lease::HeldBy(region.to_string()),
            Some(InitialLease::ThirdParty(name)) => Lease::ThirdParty(name.clone()),
        },
        witness: match world.lease.witness {
            WitnessPlace::Third => Witness::Third,
            WitnessPlace::Fsn => Witness::Region(0),
            WitnessPlace::Hel => Witness::Region(1),
            WitnessPlace::Nats => Witness::Bucket,
            WitnessPlace::None => Witness::None,
        },
        smart_shutdown_timeout_seconds: world.operator.smart_shutdown_timeout.0,
        switchover_delay_seconds: world.operator.switchover_delay.0,
        demotion_extra: world.operator.demotion.0,
        last_write_extra: world.operator.last_write.0,
        promotion_extra: world.operator.promotion.0,
        operator_times_recorded: world.operator.times == OperatorTimes::Recorded,
        archive_mode_stays: world.operator.keeps_archive_mode,
        secrets_agree: world.secrets.agree,
        password_rotated: world.secrets.rotated,
        publisher: match world.dns.publisher {
            PublisherWord::PowerDns => Publisher::PowerDns,
            PublisherWord::Pdm => Publisher::Pdm,
            PublisherWord::None => Publisher::None,
        },
        broken_lua: world.dns.lua == LuaWorld::Broken,
        record_ttl_seconds: world.dns.ttl.0,
        selector: match world.dns.selector {
            SelectorWord::Ifurlup => "ifurlup",
            SelectorWord::Pickclosest => "pickclosest",
            SelectorWord::Pickwhashed => "pickwhashed",
            SelectorWord::Pickfirst => "pickfirst",
        }
        .into(),
        second_authority: world.dns.authorities > 1,
        vantages: world.dns.vantages,
        platform: scenario.calls_api(),
        audit: world.audit,
        probe: world.probe,
        auto_failover: world.auto_failover,
        approval_required: world.approval_required,
        failback_timeout_seconds: world.failback_timeout.0,
        health_delay: Duration::from_secs(world.health_delay.0.into()),
        client_count: world.workload.clients,
        writes_per_second: world.workload.writes_per_second,
        held_session: world.workload.held_session,
    }
}

/// The fault of the world that is there from the start: an operator that never finishes.
pub(super) fn first_faults(scenario: &Scenario) -> Vec<Fault> {
    let Some(stuck) = scenario.spec.world.operator.stuck else { return Vec::new() };
    let stuck = |region: &str| Fault {
        trigger: Trigger::At(Duration::ZERO),
        kind: Kind::World(WorldFault::OperatorStuck(region.into(), task(stuck))),
        lasts: None,
    };
    vec![stuck("fsn"), stuck("hel")]
}

fn task(task: OperatorTask) -> Task {
    match task {
        OperatorTask::Demotion => Task::Demotion,
        OperatorTask::Promotion => Task::Promotion,
    }
}

/// The trigger of a moment; `None`: a condition, which whoever conducts the run waits for.
pub(super) fn trigger(moment: &Moment, now: Duration) -> Option<Trigger> {
    Some(match moment {
        Moment::Now => Trigger::At(now),
        Moment::At(at) => Trigger::At(*at),
        Moment::Before(step) => Trigger::Before(*step),
        Moment::After(step) => Trigger::After(*step),
        Moment::Write { object, nth } => Trigger::OnWrite { what: object.to_string(), nth: *nth },
        Moment::When(_) => return None,
    })
}

/// The faults of a step, without their trigger; empty for a step that is no fault.
pub(super) fn faults(step: &Step) -> Vec<Kind> {
    let world = |fault| vec![Kind::World(fault)];
    let pair = |between: &(format::HostName, format::HostName)| (between.0.to_string(), between.1.to_string());
    match step {
        Step::Partition(f) => {
            let (a, b) = pair(&f.between);
            world(if f.one_way { WorldFault::PartitionOneWay(a, b) } else { WorldFault::Partition(a, b) })
        }
        Step::Delay(f) => {
            let (a, b) = pair(&f.between);
            world(WorldFault::Latency(a, b, f.by.0))
        }
        Step::Heal(f) => world(WorldFault::Heal(match (&f.between, &f.host) {
            (Some(between), _) => {
                let (a, b) = pair(between);
                Scope::Between(a, b)
            }
            (None, Some(host)) => Scope::Host(host.to_string()),
            (None, None) => Scope::All,
        })),
        Step::Crash(f) => world(WorldFault::Crash(f.host.to_string())),
        Step::Restart(f) => world(WorldFault::Restart(f.host.to_string())),
        Step::Pause(f) => world(WorldFault::Pause(f.host.to_string())),
        Step::Resume(f) => world(WorldFault::Resume(f.host.to_string())),
        Step::LoseReply(f) => request(f.from.as_str(), f.write.as_ref(), f.times, true, Does::LoseReply),
        Step::DelayRequest(f) => request(f.to.as_str(), f.write.as_ref(), f.times, true, Does::DelayRequest(f.by.0)),
        Step::Answer(f) => request(f.from.as_str(), f.write.as_ref(), f.times, false, Does::Answer(f.status.0)),
        Step::Hang(f) => request(f.from.as_str(), f.write.as_ref(), f.times, false, Does::Hang),
        Step::Operator(f) => {
            let region = f.region.to_string();
            let stuck = f.stuck.map(|stuck| WorldFault::OperatorStuck(region.clone(), task(stuck)));
            let slow = |by: Duration, of| (!by.is_zero()).then(|| WorldFault::OperatorSlow(region.clone(), of, by));
            let slow = [slow(f.slow.demotion.0, Task::Demotion), slow(f.slow.promotion.0, Task::Promotion)];
            stuck.into_iter().chain(slow.into_iter().flatten()).map(Kind::World).collect()
        }
        Step::Lag(f) => world(WorldFault::Lag(f.by.0)),
        Step::Audit(f) => world(WorldFault::Audit(match f.does {
            AuditDoes::Refuse => AuditFault::Refuse,
            AuditDoes::Hang => AuditFault::Hang,
        })),
        Step::Dns(f) => world(WorldFault::Dns(match f.does {
            DnsDoes::Refuse => DnsFault::Refuse,
            DnsDoes::Hang => DnsFault::Hang,
            DnsDoes::Lie => DnsFault::Lie,
            DnsDoes::Broken => DnsFault::Broken,
            DnsDoes::ReadOnlyLua => DnsFault::ReadOnlyLua,
        })),
        Step::KillPostgres(f) => world(WorldFault::KillPostgres(f.region.to_string())),
        Step::DropToken(f) => world(WorldFault::DropToken(f.region.to_string())),
        Step::PauseReplay(_) => world(WorldFault::ReplayPaused),
        Step::Skew(f) => world(WorldFault::Skew(f.host.to_string(), skew(f))),
        Step::Region(f) => {
            let region = f.region.to_string();
            world(match f.does {
                RegionDoes::Crash => WorldFault::Region(region, Blow::Crash),
                RegionDoes::Partition => WorldFault::Region(region, Blow::Partition),
                RegionDoes::Return => WorldFault::Heal(Scope::Region(region)),
            })
        }
        _ => Vec::new(),
    }
}

fn skew(skew: &format::Skew) -> Skew {
    // A span of the format is a thousand hours at most.
    let ms = |span: Option<format::TimeSpan>| span.map_or(0, |span| span.0.as_millis() as i64);
    let percent = |percent: Option<u8>| i32::from(percent.unwrap_or_default());
    Skew { offset_ms: ms(skew.ahead) - ms(skew.behind), faster_percent: percent(skew.faster) - percent(skew.slower) }
}

fn request(
    server: &str,
    what: Option<&format::ObjectRef>,
    times: Option<Count>,
    changing: bool,
    does: Does,
) -> Vec<Kind> {
    vec![Kind::Request(RequestFault {
        server: server.to_owned(),
        from: None,
        what: what.map(ToString::to_string),
        changing: changing || what.is_some(),
        times: times.map(|times| times.0),
        does,
    })]
}

/// How long a fault lasts.
pub(super) fn lasts(timing: &Timing<'_>) -> Option<Duration> {
    timing.duration()
}
