//! Facts of the world as its servers know them, and whether what a scenario expects of them, or of a report,
//! is so.

use super::conduct::Conductor;
use crate::format::{
    Condition, Delete, DryRunExpect, Edit, EventName, ExecuteExpect, Facts, HealthExpect, HolderWord, Place,
    RegionName, SiteName, Write, WriteExpect,
};
use continuum_core::name::ObjectName;
use continuum_core::report::{DryRunReport, ExecuteReport, ExecuteResult, HealthReport};
use continuum_sim::checkers;
use continuum_sim::ground::Standing;
use continuum_sim::servers::kube_api::{CLUSTERS, CONTINUUMS, HTTP_ROUTES, LEASES, Refusal, Resource, SECRETS, Store};
use continuum_sim::servers::postgres::Event;
use continuum_sim::workload::Outcome;
use continuum_sim::world::objects::{APPLICATION, HOSTNAME, LEASE_NAMESPACE, NAMESPACE, cluster};
use continuum_sim::world::options::{Lease, Standby, Witness, WorldOptions, address};
use continuum_sim::world::{REGIONS, World, other};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Whether a world with these options comes to be healthy by itself.
pub(super) fn can_be_ready(options: &WorldOptions) -> bool {
    options.pair
        && options.witness != Witness::None
        && options.standby == Standby::Following
        && !matches!(options.lease, Lease::ThirdParty(_))
}

/// By when a record that nobody renews is known to be over, whoever looks.
pub(super) fn term_over(options: &WorldOptions) -> Duration {
    let ttl = Duration::from_secs(options.ttl_seconds.into());
    ttl + ttl * options.drift_percent / 100 + Duration::from_secs(3)
}

/// Whether the world is as its description says: the role where it should be, followed, and both controllers
/// there.
pub(super) fn ready(world: &World) -> bool {
    converged(world) && REGIONS.iter().all(|region| told_phase(world, region).as_deref() == Some("Healthy"))
}

/// What the copy in this region says that its controller wrote; nothing before that read the witness.
pub(super) fn told_phase(world: &World, region: &str) -> Option<String> {
    let copy = world.store(region).get(&CONTINUUMS, NAMESPACE, APPLICATION)?;
    let phase = copy["status"]["phase"].as_str().filter(|_| copy["status"]["seen"].is_object());
    phase.map(str::to_owned)
}

/// Whether this region's half takes writes.
fn takes_writes(world: &World, region: &str) -> bool {
    world.halves.get(region).is_some_and(|half| half.instance.accepts_writes())
}

pub(super) fn writable(world: &World) -> Vec<&'static str> {
    REGIONS.into_iter().filter(|region| takes_writes(world, region)).collect()
}

/// The region whose half, and no other, takes writes.
fn primary(world: &World) -> Option<&'static str> {
    match writable(world).as_slice() {
        [region] => Some(region),
        _ => None,
    }
}

/// What is missing to rest, and what is owed to the audit stream: the checker's own definitions.
pub(super) fn missing(world: &World) -> (Vec<String>, Vec<String>) {
    let sources = world.sources();
    let standing = Standing::now(&sources, &continuum(), world.watch.record());
    (checkers::converged::unsettled(&standing), checkers::converged::owed(&standing))
}

/// Whether the world is at rest.
pub(super) fn converged(world: &World) -> bool {
    let (unsettled, owed) = missing(world);
    unsettled.is_empty() && owed.is_empty()
}

/// The Continuum of the world.
pub(super) fn continuum() -> ObjectName {
    ObjectName::new(NAMESPACE, APPLICATION)
}

fn event_count(world: &World, name: &EventName) -> u64 {
    let is_one = |m: &&continuum_sim::servers::jetstream::protocol::Stored| {
        m.message.headers.get("audit-type").map(String::as_str) == Some(name.as_str())
    };
    world.nats.messages().iter().filter(is_one).count() as u64
}

/// How long ago the first write was committed that the standby has not replayed.
pub(super) fn lag(world: &World) -> Option<Duration> {
    let primary = primary(world)?;
    let replayed = world.halves[other(primary)].instance.snapshot().replayed;
    let instance = cluster(primary);
    let waiting = world.journal.entries().into_iter().find(|entry| {
        entry.instance == instance && matches!(entry.event, Event::Committed { lsn, .. } if lsn > replayed)
    });
    Some(waiting.map_or(Duration::ZERO, |entry| world.now().saturating_sub(entry.at)))
}

/// Whether a condition holds. `since`: when the scenario came to its line.
pub(super) fn holds(world: &World, condition: &Condition, since: Duration) -> bool {
    let record = world.watch.record();
    match condition {
        Condition::Converged => converged(world),
        Condition::Idle => record.is_some_and(|r| r.intent.is_none() && r.pending.is_none()),
        Condition::SwitchoverUnderWay => record.is_some_and(|r| r.intent.is_some()),
        Condition::FailbackPending => record.is_some_and(|r| r.pending.is_some()),
        Condition::Primary(region) => primary(world) == Some(region.as_str()),
        Condition::Holder(region) => record.is_some_and(|r| r.held_by(&region.region())),
        Condition::Generation(at_least) => record.is_some_and(|r| r.generation >= *at_least),
        Condition::Event(name) => event_count(world, name) > 0,
        Condition::LagBelow(limit) => lag(world).is_some_and(|lag| lag < limit.0),
        Condition::LagAbove(limit) => lag(world).is_some_and(|lag| lag > limit.0),
        Condition::LastSwitchoverHealthy(healthy) => last_switchover_healthy(world) == Some(*healthy),
        Condition::Elapsed(time) => world.now() >= since + time.0,
    }
}

/// The region, and no other, whose addresses the authoritative server answers.
fn dns(world: &World) -> Option<&'static str> {
    let answers: BTreeSet<IpAddr> = world.dns.possible_answers(HOSTNAME)?;
    REGIONS.into_iter().find(|region| {
        let own: Option<IpAddr> = address(region).parse().ok();
        answers.len() == 1 && own.is_some_and(|own| answers.contains(&own))
    })
}

/// The region, and no other, to whose backend both routes send.
fn route(world: &World) -> Option<&'static str> {
    let weights = |store: &str| {
        let route = world.store(store).get(&HTTP_ROUTES, NAMESPACE, APPLICATION)?;
        let backends = route["spec"]["rules"][0]["backendRefs"].as_array()?.clone();
        Some(backends)
    };
    REGIONS.into_iter().find(|region| {
        REGIONS.iter().all(|store| {
            weights(store).is_some_and(|backends| {
                backends.iter().all(|b| {
                    let here = b["name"].as_str().is_some_and(|name| name.ends_with(&format!("-{region}")));
                    (b["weight"].as_u64().unwrap_or(1) > 0) == here
                })
            })
        })
    })
}

/// The copy in the region that holds the lease.
fn copy(world: &World) -> Option<Arc<Value>> {
    let holder = world.watch.record()?.holder.clone()?;
    let region = REGIONS.into_iter().find(|r| *r == holder.as_str())?;
    world.store(region).get(&CONTINUUMS, NAMESPACE, APPLICATION)
}

fn phase(world: &World) -> Option<String> {
    copy(world)?["status"]["phase"].as_str().map(str::to_owned)
}

/// Absent: not checked yet, or the check could not run.
pub(super) fn last_switchover_healthy(world: &World) -> Option<bool> {
    let copy = copy(world)?;
    let mut conditions = copy["status"]["conditions"].as_array()?.iter();
    match conditions.find(|one| one["type"] == "LastSwitchoverHealthy")?["status"].as_str()? {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

pub(super) fn holder(world: &World) -> String {
    match world.watch.record().and_then(|r| r.holder.clone()) {
        None => "free".into(),
        Some(holder) if REGIONS.contains(&holder.as_str()) => holder.to_string(),
        Some(_) => "thirdParty".into(),
    }
}

/// A word as the file writes it.
pub(super) fn word(value: impl serde::Serialize + Debug) -> String {
    match serde_json::to_value(&value) {
        Ok(Value::String(word)) => word,
        _ => format!("{value:?}"),
    }
}

/// Compares, and notes what differs.
pub(super) fn compare(
    run: &mut Conductor<'_>,
    place: Option<Place>,
    what: &str,
    expected: Option<impl ToString>,
    found: Option<impl ToString>,
) {
    let Some(expected) = expected.map(|e| e.to_string()) else { return };
    let found = found.map_or_else(|| "none".to_owned(), |f| f.to_string());
    if expected != found {
        run.unmet(place, what, expected, found);
    }
}

/// Facts of the world, as `assert` and `expect` say them. `place` gives the place of a key in the file.
pub(super) fn expect_facts(
    run: &mut Conductor<'_>,
    place: &dyn Fn(&str) -> Option<Place>,
    what: &str,
    expected: &Facts,
) {
    let at = |key: &str| format!("{what}.{key}");
    let (found_primary, found_dns, found_route) = (primary(&run.world), dns(&run.world), route(&run.world));
    compare(run, place("primary"), &at("primary"), expected.primary.as_ref(), found_primary);
    if let Some(expected) = &expected.writable {
        let list = |regions: &[&str]| format!("[{}]", regions.join(", "));
        let expected: Vec<&str> = expected.iter().map(RegionName::as_str).collect();
        let found = list(&writable(&run.world));
        compare(run, place("writable"), &at("writable"), Some(list(&expected)), Some(found));
    }
    let found = holder(&run.world);
    compare(run, place("holder"), &at("holder"), expected.holder.map(HolderWord::word), Some(found));
    let record = run.record();
    compare(run, place("generation"), &at("generation"), expected.generation, record.as_ref().map(|r| r.generation));
    compare(run, place("dns"), &at("dns"), expected.dns.as_ref(), found_dns);
    compare(run, place("route"), &at("route"), expected.route.as_ref(), found_route);
    let under_way = record.as_ref().map(|r| r.intent.is_some());
    compare(run, place("switchoverUnderWay"), &at("switchoverUnderWay"), expected.switchover_under_way, under_way);
    let found_phase = phase(&run.world);
    compare(run, place("phase"), &at("phase"), expected.phase.map(|p| format!("{p:?}")), found_phase);
    for (name, count) in &expected.events {
        let found = event_count(&run.world, name);
        let key = format!("events.{name}");
        compare(run, place(&key), &at(&key), Some(*count), Some(found));
    }
    let owed = record.map_or(0, |record| record.owed.len());
    compare(run, place("eventsOwed"), &at("eventsOwed"), expected.events_owed, Some(owed));
    let key = "lastSwitchoverHealthy";
    let found = last_switchover_healthy(&run.world);
    compare(run, place(key), &at(key), expected.last_switchover_healthy, found);
}

/// Every expected part is in one of the texts, and with `all` there are no others.
fn expect_parts(
    run: &mut Conductor<'_>,
    place: Place,
    what: &str,
    expected: Option<&Vec<String>>,
    found: &[String],
    all: bool,
) {
    let Some(expected) = expected else { return };
    let missing = expected.iter().any(|part| !found.iter().any(|text| text.contains(part)));
    let surplus =
        all && (expected.len() != found.len() || !found.iter().all(|t| expected.iter().any(|p| t.contains(p))));
    if missing || surplus {
        run.unmet(Some(place), what, format!("[{}]", expected.join(", ")), format!("[{}]", found.join(", ")));
    }
}

pub(super) fn expect_dry_run(
    run: &mut Conductor<'_>,
    place: Place,
    expected: &DryRunExpect,
    found: &Result<DryRunReport, String>,
    former: Option<&str>,
) {
    let report = match (found, &expected.error) {
        (Ok(report), None) => report,
        (Err(error), Some(part)) if error.contains(part.as_str()) => return,
        (Ok(_), Some(part)) => return run.unmet(Some(place), "dryRun.expect.error", part.clone(), "a report".into()),
        (Err(error), part) => {
            let expected = part.clone().unwrap_or_else(|| "a report".into());
            return run.unmet(Some(place), "dryRun", expected, error.clone());
        }
    };
    expect_parts(run, place, "dryRun.expect.blockers", expected.blockers.as_ref(), &report.blockers, true);
    expect_parts(run, place, "dryRun.expect.warnings", expected.warnings.as_ref(), &report.warnings, false);
    let notes: Vec<String> = report.steps.iter().flat_map(|step| step.notes.clone()).collect();
    expect_parts(run, place, "dryRun.expect.notes", expected.notes.as_ref(), &notes, false);
    if let Some(unmet) = &expected.unmet {
        let list = |numbers: Vec<u8>| format!("{numbers:?}");
        let found = report.steps.iter().filter(|step| !step.preconditions_met).map(|step| step.step).collect();
        let expected = list(unmet.iter().map(|n| n.0).collect());
        compare(run, Some(place), "dryRun.expect.unmet", Some(expected), Some(list(found)));
    }
    let same = former.map(|former| former == report.plan_fingerprint);
    compare(run, Some(place), "dryRun.expect.sameFingerprint", expected.same_fingerprint, same);
}

/// `step`: `execute` or `failback`.
pub(super) fn expect_execute(
    run: &mut Conductor<'_>,
    (step, place): (&str, Place),
    expected: &ExecuteExpect,
    found: &Result<ExecuteReport, String>,
) {
    let report = match (found, &expected.error) {
        (Ok(report), _) => report,
        (Err(error), Some(part)) if error.contains(part.as_str()) => return,
        (Err(error), part) => {
            let expected = part.clone().unwrap_or_else(|| "a report".into());
            return run.unmet(Some(place), step, expected, error.clone());
        }
    };
    let at = |key: &str| format!("{step}.expect.{key}");
    let result = expected.result.map(|word| self::word(ExecuteResult::from(word)));
    compare(run, Some(place), &at("result"), result, Some(word(report.result)));
    let list = |numbers: &[u8]| format!("{numbers:?}");
    let steps = |steps: &Option<Vec<crate::format::StepNumber>>| {
        steps.as_ref().map(|steps| list(&steps.iter().map(|n| n.0).collect::<Vec<_>>()))
    };
    let completed = list(&report.completed_steps);
    compare(run, Some(place), &at("completedSteps"), steps(&expected.completed_steps), Some(completed));
    let failed = expected.failed_at_step.map(|n| n.0);
    let found = Some(report.failed_at_step).filter(|step| *step > 0);
    compare(run, Some(place), &at("failedAtStep"), failed, found);
    compare(run, Some(place), &at("rolledBack"), steps(&expected.rolled_back), Some(list(&report.rolled_back)));
    compare(run, Some(place), &at("eventsOwed"), expected.events_owed, Some(report.events_owed));
    if let Some(part) = &expected.error {
        let error = report.error.clone().unwrap_or_else(|| "none".into());
        if !error.contains(part.as_str()) {
            run.unmet(Some(place), &at("error"), part.clone(), error);
        }
    }
}

/// What became of a write, in words.
pub(super) fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Acknowledged => "acknowledged".into(),
        Outcome::Refused(cause) => format!("refused ({cause})"),
        _ if outcome.is_silence() => "no answer".into(),
        Outcome::NotSent(cause) | Outcome::Unknown(cause) => format!("refused ({cause})"),
    }
}

pub(super) fn expect_write(run: &mut Conductor<'_>, place: Place, write: &Write, found: &Outcome) {
    let Some(expected) = write.expect else { return };
    let (word, is_so) = match expected {
        WriteExpect::Acknowledged => ("acknowledged", *found == Outcome::Acknowledged),
        WriteExpect::Refused => ("refused", *found != Outcome::Acknowledged && !found.is_silence()),
        WriteExpect::NoAnswer => ("no answer", found.is_silence()),
    };
    if !is_so {
        run.unmet(Some(place), "write.expect", word.into(), told(found));
    }
}

pub(super) fn expect_health(
    run: &mut Conductor<'_>,
    place: Place,
    expected: &HealthExpect,
    found: &Result<HealthReport, String>,
) {
    let report = match found {
        Ok(report) => report,
        Err(error) => return run.unmet(Some(place), "health", "a report".into(), error.clone()),
    };
    let at = |key: &str| format!("health.expect.{key}");
    compare(run, Some(place), &at("overallHealthy"), expected.overall_healthy, Some(report.overall_healthy));
    let list = |names: Vec<&str>| format!("[{}]", names.join(", "));
    let failed: Vec<&str> =
        report.checks.iter().filter(|c| !c.passed && !c.deferred).map(|c| c.name.as_str()).collect();
    let deferred: Vec<&str> = report.checks.iter().filter(|c| c.deferred).map(|c| c.name.as_str()).collect();
    let names = |names: &Option<Vec<crate::format::HealthCheckName>>| {
        names.as_ref().map(|names| list(names.iter().map(|name| name.as_str()).collect()))
    };
    compare(run, Some(place), &at("failed"), names(&expected.failed), Some(list(failed)));
    compare(run, Some(place), &at("deferred"), names(&expected.deferred), Some(list(deferred)));
    if let Some(part) = &expected.detail {
        let details: Vec<&str> = report.checks.iter().map(|c| c.detail.as_str()).collect();
        if !details.iter().any(|detail| detail.contains(part.as_str())) {
            run.unmet(Some(place), &at("detail"), part.clone(), details.join("; "));
        }
    }
}

/// What a step names, and the namespace it stands in.
fn named(text: &str) -> (&'static Resource, &'static str, &str) {
    let (plural, name) = text.split_once('/').unwrap_or((text, ""));
    let (resource, namespace) = match plural {
        "clusters" => (&CLUSTERS, NAMESPACE),
        "httproutes" => (&HTTP_ROUTES, NAMESPACE),
        "continuums" => (&CONTINUUMS, NAMESPACE),
        "secrets" => (&SECRETS, NAMESPACE),
        _ => (&LEASES, LEASE_NAMESPACE),
    };
    (resource, namespace, name)
}

/// Does something in each store that holds what a step names, at the site it names. Whether anything changed by it.
fn in_each(
    world: &World,
    site: Option<&SiteName>,
    text: &str,
    act: impl Fn(&Store, &'static Resource, &str, &str) -> Result<Arc<Value>, Refusal>,
) -> Result<bool, String> {
    let (resource, namespace, name) = named(text);
    let (mut found, mut changed) = (false, false);
    for (host, store) in &world.stores {
        let wanted = site.is_none_or(|site| *host == format!("api.{site}"));
        if !wanted || store.get(resource, namespace, name).is_none() {
            continue;
        }
        found = true;
        let version = store.version();
        act(store, resource, namespace, name).map_err(|refusal| format!("{host}: {refusal}"))?;
        changed |= store.version() != version;
    }
    if found { Ok(changed) } else { Err("there is no such object".into()) }
}

/// The merge patch of a person or a tool. Whether anything changed by it.
pub(super) fn edit(world: &World, edit: &Edit) -> Result<bool, String> {
    let by = edit.manager.as_deref().unwrap_or("person");
    if edit.resource.as_str().starts_with("zones/") {
        let before = world.dns.record_sets();
        world.dns.edit(world.now(), by, &json!(edit.patch).to_string())?;
        return Ok(world.dns.record_sets() != before);
    }
    let (subresource, patch) = (if edit.status { "status" } else { "" }, json!(edit.patch));
    in_each(world, edit.region.as_ref(), edit.resource.as_str(), |store, resource, namespace, name| {
        store.merge_patch(resource, namespace, name, subresource, &patch, by)
    })
}

/// A person's deletion.
pub(super) fn delete(world: &World, delete: &Delete) -> Result<bool, String> {
    in_each(world, delete.region.as_ref(), delete.resource.as_str(), |store, resource, namespace, name| {
        store.delete(resource, namespace, name, "person")
    })
}
