//! What no single value shows: contradictions between fields, and what can be seen never to happen. A run that
//! waits for nothing would look like a run that survived something.

use super::contradictions;
use super::faults::{RegionDoes, Skew, Slow};
use super::moment::Condition;
use super::names::{HostName, servers_of};
use super::spot::{Place, Spot};
use super::steps::Step;
use super::world::{PublisherWord, WitnessPlace, World};
use super::yaml::Wrong;
use super::{Facts, Scenario, TimeSpan};
use continuum_core::spec::REQUEST_LIMIT_SECONDS;

/// All that is wrong, in the order of the file.
pub(super) fn check(scenario: &Scenario) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    check_lease(&scenario.spec.world, &mut wrong);
    if scenario.spec.steps.is_empty() {
        wrong.push(at(scenario.spec.steps.place, "a scenario without steps", "give `spec.steps` a step"));
    }
    for (index, step) in scenario.spec.steps.iter().enumerate() {
        check_step(scenario, index, step, &mut wrong);
    }
    contradictions::check(scenario, &mut wrong);
    wrong.sort_by_key(|wrong| wrong.place);
    wrong
}

pub(super) fn at(place: Place, message: impl Into<String>, hint: impl Into<String>) -> Wrong {
    Wrong { place, message: message.into(), hint: hint.into() }
}

fn check_lease(world: &World, wrong: &mut Vec<Wrong>) {
    // The first of these that stands in the file is shown: the rest are defaults.
    let place = [world.ttl.place, world.renew.place, world.guard.place]
        .into_iter()
        .find(|place| place.line > 0)
        .unwrap_or_default();
    let (ttl, renew, guard) = (world.ttl.0, world.renew.0, world.guard.0);
    if !(5..=600).contains(&ttl) {
        wrong.push(at(world.ttl.place, format!("spec.world.ttl: {ttl}s is out of range"), "expected 5s to 10m"));
    } else if !(1..=60).contains(&renew) {
        wrong.push(at(world.renew.place, format!("spec.world.renew: {renew}s is out of range"), "expected 1s to 1m"));
    } else if u64::from(renew) + u64::from(guard) + u64::from(REQUEST_LIMIT_SECONDS) >= u64::from(ttl) {
        wrong.push(at(
            place,
            format!("spec.world.ttl: {ttl}s is too short"),
            format!("renew {renew}s + guard {guard}s + {REQUEST_LIMIT_SECONDS}s for a request must be less than it"),
        ));
    }
}

fn check_step(scenario: &Scenario, index: usize, step: &Spot<Step>, wrong: &mut Vec<Wrong>) {
    check_timing(scenario, index, step, wrong);
    let earlier: Vec<&Step> = scenario.spec.steps[..index].iter().map(|step| &step.value).collect();
    let needs = |found: bool, message: String, hint: &str| (!found).then(|| at(step.place, message, hint));
    let mistake = match &step.value {
        Step::Partition(p) => same_host(&p.between, step.place),
        Step::Delay(d) => same_host(&d.between, step.place),
        Step::Heal(heal) => match (&heal.between, &heal.host) {
            (Some(_), Some(_)) => Some(at(step.place, "`between` and `host` exclude each other", "keep one")),
            (Some(between), None) => same_host(between, step.place),
            _ => None,
        },
        Step::Restart(r) => needs(
            earlier.iter().any(|step| matches!(step, Step::Crash(c) if c.host == r.host)),
            format!("can never happen: `{}` was not crashed", r.host),
            "crash it in an earlier step",
        ),
        Step::Resume(r) => needs(
            earlier.iter().any(|step| matches!(step, Step::Pause(p) if p.host == r.host)),
            format!("can never happen: `{}` was not paused", r.host),
            "pause it in an earlier step",
        ),
        Step::Approve(_) | Step::Refuse(_) => needs(
            scenario.spec.steps.iter().any(|step| matches!(step.value, Step::Failback(_))),
            "can never happen: nothing asks for a failback".into(),
            "add a step `failback`",
        ),
        Step::Assert(facts) => needs(
            *facts != Facts::default(),
            "an assertion of nothing".into(),
            "name a fact: `assert: { primary: hel }`",
        ),
        Step::Operator(o) => needs(
            o.stuck.is_some() != (o.slow != Slow::default()),
            match o.stuck {
                Some(_) => "an operator that is stuck and slow".into(),
                None => "an operator that is neither stuck nor slow".into(),
            },
            "expected `stuck: demotion`, or `slow: { promotion: 30s }`",
        ),
        Step::Skew(skew) => wrong_skew(skew, step.place),
        Step::Region(r) if r.does == RegionDoes::Return => match &r.lasts {
            Some(lasts) => Some(at(lasts.place, "a return lasts for no time", "leave `for` out")),
            None => needs(
                earlier.iter().any(
                    |step| matches!(step, Step::Region(e) if e.region == r.region && e.does != RegionDoes::Return),
                ),
                format!("can never happen: nothing befell `{}`", r.region),
                "crash it or cut it off in an earlier step",
            ),
        },
        Step::Wait(wait) => needs(
            !matches!(wait.until, Condition::LastSwitchoverHealthy(_)) || may_move(scenario, earlier.iter().copied()),
            "can never happen: no switchover comes before it".into(),
            "put it behind a step `execute` or `failback`",
        ),
        Step::Execute(e) => e.fingerprint.as_deref().and_then(|fingerprint| {
            let hex = fingerprint.len() == 16 && fingerprint.chars().all(|c| c.is_ascii_hexdigit());
            let looked = fingerprint == "dryRun" && earlier.iter().any(|step| matches!(step, Step::DryRun(_)));
            needs(
                hex || looked,
                format!("no fingerprint `{fingerprint}`"),
                "expected 16 hex digits, or `dryRun` after a step `dryRun`",
            )
        }),
        _ => None,
    };
    wrong.extend(mistake);
    wrong.extend(missing_server(&scenario.spec.world, step));
    wrong.extend(missing_host(scenario, step));
    wrong.extend(object_elsewhere(step));
}

fn check_timing(scenario: &Scenario, index: usize, step: &Spot<Step>, wrong: &mut Vec<Wrong>) {
    let timing = step.timing();
    let given = [
        timing.at.map(|spot| spot.place),
        timing.before.map(|spot| spot.place),
        timing.after.map(|spot| spot.place),
        timing.on.map(|spot| spot.place),
        timing.when.map(|spot| spot.place),
    ];
    if let [_, second, ..] = given.iter().flatten().collect::<Vec<_>>()[..] {
        wrong.push(at(*second, "a second moment", "keep one of at, before, after, on, when"));
    }
    if let Some(time) = timing.at.filter(|time| time.0 >= scenario.spec.limit.0) {
        let hint = format!("the run ends at {} (spec.limit)", *scenario.spec.limit);
        wrong.push(at(time.place, "can never happen: a time past the end", hint));
    }
    for moment in [timing.before, timing.after].into_iter().flatten() {
        if !switchover_can_follow(scenario, index) {
            let message = format!("can never happen: no switchover comes to step {}", moment.step);
            wrong.push(at(moment.place, message, "put it before a step `execute` or `failback`"));
        }
    }
    let waits_for_failback = timing.when.filter(|when| when.value == Condition::FailbackPending);
    if let Some(when) = waits_for_failback
        && !scenario.spec.steps.iter().any(|step| matches!(step.value, Step::Failback(_)))
    {
        wrong.push(at(when.place, "can never happen: nothing asks for a failback", "add a step `failback`"));
    }
}

/// Whether one of these steps may begin a switchover.
pub(super) fn may_move<'a>(scenario: &Scenario, mut steps: impl Iterator<Item = &'a Step>) -> bool {
    scenario.spec.world.auto_failover
        || steps.any(|step| match step {
            Step::Execute(_) | Step::Failback(_) | Step::Request(_) => true,
            // A request in the resource.
            Step::Edit(edit) => edit.resource.as_str().starts_with("continuums/"),
            _ => false,
        })
}

/// Whether a switchover may be under way at or after this step.
fn switchover_can_follow(scenario: &Scenario, index: usize) -> bool {
    let goes_on = |step: &Step| match step {
        Step::Execute(execute) => !execute.wait,
        Step::Failback(failback) => !failback.wait,
        // A request in the resource: served whenever a controller gets to it.
        Step::Edit(edit) => edit.resource.as_str().starts_with("continuums/"),
        _ => false,
    };
    let begins = |step: &Step| matches!(step, Step::Execute(_) | Step::Failback(_)) || goes_on(step);
    scenario.spec.world.auto_failover
        || scenario.spec.steps[..index].iter().any(|step| goes_on(step))
        || scenario.spec.steps[index..].iter().any(|step| begins(step))
}

/// A clock that is wrong in two ways at once or in none.
fn wrong_skew(skew: &Skew, place: Place) -> Option<Wrong> {
    let percents = [skew.faster, skew.slower];
    if skew.ahead.is_some() && skew.behind.is_some() || skew.faster.is_some() && skew.slower.is_some() {
        Some(at(place, "a clock that is wrong both ways", "keep one of ahead, behind and one of faster, slower"))
    } else if percents.iter().flatten().any(|percent| !(1..=50).contains(percent)) {
        Some(at(place, "a rate out of range", "expected 1 to 50 percent"))
    } else if skew.ahead.or(skew.behind).unwrap_or_default() == TimeSpan::default() && percents == [None, None] {
        Some(at(place, "clocks that are not wrong", "expected `ahead: 5m`, or `slower: 2`"))
    } else {
        None
    }
}

fn same_host(between: &(HostName, HostName), place: Place) -> Option<Wrong> {
    (between.0 == between.1).then(|| at(place, format!("`{}` twice", between.0), "expected two different hosts"))
}

/// A server that does not hold the object named with it.
fn object_elsewhere(step: &Spot<Step>) -> Option<Wrong> {
    let (server, object) = match &step.value {
        Step::LoseReply(fault) => (fault.from.to_string(), fault.write.as_ref()?.as_str()),
        Step::DelayRequest(fault) => (fault.to.to_string(), fault.write.as_ref()?.as_str()),
        Step::Answer(fault) => (fault.from.to_string(), fault.write.as_ref()?.as_str()),
        Step::Hang(fault) => (fault.from.to_string(), fault.write.as_ref()?.as_str()),
        Step::Edit(edit) => (format!("api.{}", edit.region.as_ref()?), edit.resource.as_str()),
        Step::Delete(delete) => (format!("api.{}", delete.region.as_ref()?), delete.resource.as_str()),
        _ => return None,
    };
    let holders = servers_of(object);
    (!holders.contains(&server.as_str())).then(|| {
        let hint = format!("it is in: {}", holders.join(", "));
        at(step.place, format!("can never happen: `{object}` is not in `{server}`"), hint)
    })
}

/// A fault of a host that this world does not have.
fn missing_host(scenario: &Scenario, step: &Spot<Step>) -> Option<Wrong> {
    let hosts = match &step.value {
        Step::Partition(partition) => vec![&partition.between.0, &partition.between.1],
        Step::Delay(delay) => vec![&delay.between.0, &delay.between.1],
        Step::Heal(heal) => heal.between.iter().flat_map(|(a, b)| [a, b]).chain(&heal.host).collect(),
        Step::Crash(crash) => vec![&crash.host],
        Step::Pause(pause) => vec![&pause.host],
        _ => return None,
    };
    let names = |name: &str| hosts.iter().any(|host| host.as_str() == name);
    let (host, cure) = match () {
        () if names("dns2") && scenario.spec.world.dns.authorities < 2 => {
            ("dns2", "give it one: spec.world.dns.authorities: 2")
        }
        () if names("pdm") && scenario.spec.world.dns.publisher != PublisherWord::Pdm => {
            ("pdm", "give it one: spec.world.dns.publisher: pdm")
        }
        () if names("platform") && !scenario.calls_api() => {
            ("platform", "it is there where something is asked over the API: `request`, or `via: api`")
        }
        () => return None,
    };
    Some(at(step.place, format!("can never happen: this world has no `{host}`"), cure))
}

/// A fault of a server that this world leaves out.
fn missing_server(world: &World, step: &Spot<Step>) -> Option<Wrong> {
    let server = match &step.value {
        Step::LoseReply(fault) => fault.from.as_str(),
        Step::DelayRequest(fault) => fault.to.as_str(),
        Step::Answer(fault) => fault.from.as_str(),
        Step::Hang(fault) => fault.from.as_str(),
        Step::Audit(_) => "nats",
        Step::Dns(_) => "dns",
        _ => return None,
    };
    let why = match server {
        "nats" if !world.audit && world.lease.witness != WitnessPlace::Nats => {
            "this world has no audit stream (spec.world.audit)"
        }
        "dns" if world.dns.publisher == PublisherWord::None => "this world has no publisher (spec.world.dns.publisher)",
        "pdm" if world.dns.publisher != PublisherWord::Pdm => {
            "this world has no such publisher (spec.world.dns.publisher)"
        }
        "api.witness" if world.lease.witness != WitnessPlace::Third => {
            "the witness does not stand there (spec.world.lease.witness)"
        }
        _ => return None,
    };
    Some(at(step.place, format!("can never happen: nothing is asked of `{server}`"), why))
}
