//! The end of a run: faults are healed, the world is given time to come to rest, and then it is judged by
//! checkers that know no controller, and by what the scenario expects. Safety held under faults; liveness is
//! asked after them.

use super::conduct::{Conductor, GivenUp};
use super::{clients, facts, translate};
use crate::format::{CheckName, Spot};
use crate::outcome::{self, Check, Report};
use continuum_core::name::{ObjectName, Region};
use continuum_sim::checkers;
use continuum_sim::faults::Scope;
use continuum_sim::ground::{self, Ground, Known, MayBeLeft, Replication, RunGround};
use continuum_sim::workload::Span;
use continuum_sim::world::REGIONS;
use continuum_sim::world::objects::{APPLICATION, HOSTNAME, NAMESPACE};
use continuum_sim::world::options::{address, witness_host};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after the last fault the world may take to converge.
const CONVERGE_LIMIT: Duration = Duration::from_secs(240);
/// Time for the last writes and their records.
const STILL_LIMIT: Duration = Duration::from_secs(10);

/// After it, what just happened has been written down everywhere.
const REST: Duration = Duration::from_secs(2);
/// What a request that was delayed and lands late leads to shows within this time: an operator acts on it.
const LANDED_LIMIT: Duration = Duration::from_secs(15);

/// A fault that never fires tests nothing.
pub(super) fn note_unfired(run: &mut Conductor<'_>) {
    for (id, fault) in run.world.board.unfired() {
        run.unmet(run.place_of(id), "fault never fired", fault.to_string(), "the run ended before".into());
    }
}

/// Heals, and waits for rest. A world that never comes to rest is told by the checkers.
pub(super) fn settle(run: &mut Conductor<'_>) -> Result<(), GivenUp> {
    run.extend();
    // What was armed at the last line begins now.
    let begun = run.tick();
    note_unfired(run);
    begun?;
    let unfelt = run.world.board.unfelt();
    for (id, fault) in unfelt {
        run.unmet(
            run.place_of(id),
            "fault had no effect",
            fault.to_string(),
            "it delayed, changed and failed nothing".into(),
        );
    }
    for (place, moment, instead) in run.give_up_waiting() {
        run.unmet(Some(place), "moment never came", moment, instead);
    }
    run.world.heal(&Scope::All);
    // What ends with it disturbs the rest that there was.
    run.tick()?;
    await_landings(run)?;
    if run.expects_rest() {
        // A world that does not get there is judged as it stands.
        let is_at_rest = |run: &Conductor<'_>| run.rest.since.is_some_and(|since| run.world.now() >= since + REST);
        let _ = run.until("the world to come to rest", CONVERGE_LIMIT, is_at_rest);
        soak(run)?;
    }
    run.stopped = Some(run.world.now());
    run.world.workload.stop();
    let _ = run.until("the clients to end", STILL_LIMIT, |run| run.world.workload.is_still());
    rest(run)
}

/// Goes on until the world has been at rest for long enough, and notes where rest breaks before.
fn soak(run: &mut Conductor<'_>) -> Result<(), GivenUp> {
    let Some(since) = run.rest.since else { return Ok(()) };
    run.rest.soaked = Some((since, None));
    let over = since + translate::soak(run.scenario);
    while run.world.now() < over {
        run.tick()?;
        let is_whole = matches!(run.rest.soaked, Some((_, None)));
        if is_whole && run.rest.since != Some(since) {
            let missing = run.rest.missing.first().cloned().unwrap_or_else(|| "something was done to it".into());
            run.rest.soaked = Some((since, Some((run.world.now(), missing))));
        }
    }
    Ok(())
}

/// Waits until all that was delayed has landed and its consequences have shown: what is judged before may be
/// wrong after. What lands past the end of the run is told, since nobody sees what it does.
fn await_landings(run: &mut Conductor<'_>) -> Result<(), GivenUp> {
    let soak = translate::soak(run.scenario);
    let latest = run.deadline() - (LANDED_LIMIT + CONVERGE_LIMIT + soak + STILL_LIMIT + 2 * REST);
    while let Some(landing) = run.world.board.last_landing().filter(|at| run.world.now() < *at + LANDED_LIMIT) {
        if landing > latest {
            let seconds = |at: Duration| format!("{:.1} s", at.as_secs_f64());
            let found = format!("it would at {}", seconds(landing));
            run.unmet(None, "delayed request never landed", format!("by {}", seconds(latest)), found);
            return Ok(());
        }
        run.tick()?;
    }
    Ok(())
}

fn rest(run: &mut Conductor<'_>) -> Result<(), GivenUp> {
    let over = run.world.now() + REST;
    while run.world.now() < over {
        run.tick()?;
    }
    Ok(())
}

/// Judges.
pub(super) fn judge(run: &mut Conductor<'_>) {
    let ground = ground(run);
    let expect = run.scenario.spec.expect.value.clone();
    for verdict in checkers::all(&ground) {
        let expected_to_fail = expect.expects_failure_of(verdict.name);
        if expected_to_fail && verdict.ok {
            let place = expect.checks.get(&CheckName::of(verdict.name)).map(|verdict| verdict.place);
            run.unmet(place, &format!("expect.checks.{}", verdict.name), "failed".into(), "it holds".into());
        }
        run.outcome.checks.push(Check {
            name: verdict.name.into(),
            ok: verdict.ok,
            expected_to_fail,
            detail: verdict.detail,
            evidence: verdict.evidence,
            at_ms: verdict.at.map(super::narrate::ms),
            trace: Vec::new(),
        });
    }
    summarise(run, &ground);
    facts::expect_facts(run, &|key| expect.place_of(key), "expect", &expect.facts());
    if let Some(expected) = &expect.acknowledged_writes_lost {
        let lost = run.outcome.result.acknowledged_writes_lost;
        facts::compare(run, Some(expected.place), "expect.acknowledgedWritesLost", Some(**expected), Some(lost));
    }
    if let Some(expected) = &expect.result {
        let found = run.outcome.result.result.map(facts::word);
        facts::compare(run, Some(expected.place), "expect.result", Some(expected.word()), found);
    }
    if let Some(Spot { value: gap, place }) = &expect.write_gap {
        let found = Duration::from_millis(run.outcome.result.write_gap_ms.unwrap_or_default());
        let seconds = |d: Duration| format!("{:.1} s", d.as_secs_f64());
        if let Some(limit) = gap.at_most.filter(|limit| found > limit.0) {
            run.unmet(Some(*place), "expect.writeGap.atMost", limit.to_string(), seconds(found));
        }
        if let Some(limit) = gap.at_least.filter(|limit| found < limit.0) {
            run.unmet(Some(*place), "expect.writeGap.atLeast", limit.to_string(), seconds(found));
        }
    }
}

fn ground(run: &Conductor<'_>) -> Ground {
    let world = &run.world;
    let addresses: BTreeMap<Region, _> =
        REGIONS.iter().map(|region| (Region::new(*region), address(region).parse().into_iter().collect())).collect();
    let known = Known {
        replication: if world.options.synchronous { Replication::Synchronous } else { Replication::Asynchronous },
        may_be_left: MayBeLeft::default(),
        client_count: world.options.client_count,
        continuum: facts::continuum(),
        route: ObjectName::new(NAMESPACE, APPLICATION),
        hostnames: vec![HOSTNAME.into()],
        addresses,
        run: run_ground(run),
        dry_run_requests: world.board.dry_run_changes(),
        dry_run_acts: run.dry_run_acts.clone(),
    };
    Ground::take(world.now(), &world.sources(), &world.workload.memory(), world.watch.moments().clone(), known)
}

fn run_ground(run: &Conductor<'_>) -> RunGround {
    let (rest_since, broken) = match &run.rest.soaked {
        Some((since, broken)) => (Some(*since), broken.clone()),
        None => (run.rest.since, None),
    };
    RunGround {
        measured: Span { from: run.began, to: run.stopped.unwrap_or(run.world.now()) },
        pause_max: run.world.workload.pause_max(),
        quiet_since: run.rest.disturbed,
        expects_rest: run.expects_rest(),
        rest_since,
        broken,
        samples: run.world.watch.samples().to_vec(),
        blind: ground::blind(
            &run.world.board.spans(),
            &REGIONS.map(Region::new),
            witness_host(run.world.options.witness),
            run.world.now(),
        ),
    }
}

fn summarise(run: &mut Conductor<'_>, ground: &Ground) {
    let memory = run.world.workload.memory();
    let (acknowledged, simulated_ms) = (memory.acknowledged_count() as u64, run.now_ms());
    let lost = checkers::no_lost_write::lost(ground).len() as u64;
    let result = &mut run.outcome.result;
    result.acknowledged_writes = acknowledged;
    result.acknowledged_writes_lost = lost;
    result.primary = ground.primary().map(ToString::to_string);
    result.simulated_ms = simulated_ms;
    let last = run.outcome.reports.iter().rev().find_map(|reported| match &reported.report {
        Report::Execute(report) | Report::Failback(report) => Some(report.clone()),
        _ => None,
    });
    if let Some(report) = last {
        result.result = Some(report.result);
        result.duration_ms = outcome::took_ms(&report);
    }
    clients::summarise(run, ground);
}
