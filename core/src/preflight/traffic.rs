//! Steps 3, 4 and 7: route, records, audit stream.

use super::{Case, Findings, Id};
use crate::name::Region;
use crate::observe::{RouteRule, RouteView, Seen};
use crate::records::record_sets;
use crate::spec::RouteSpec;
use crate::weights;
use std::collections::{BTreeMap, BTreeSet};

/// A longer drain is advised against, s.
const DRAIN_SECONDS_MAX: u32 = 30;

pub(super) fn look(case: &Case, out: &mut Findings) {
    match &case.plan.route {
        None => out.note(3, "no route is configured: nothing to drain"),
        Some(spec) => route(case, spec, out),
    }
    records(case, out);
    let stream = &case.seen().stream;
    match stream {
        Seen::Is(stream) => out.note(7, format!("stream {}", stream.name)),
        Seen::Unconfigured => out.add(Id::AuditStream, "no audit stream is configured"),
        Seen::Missing => out.add(Id::AuditStream, format!("no stream takes subject {}", crate::audit::SUBJECT)),
        look => {
            let cause = look.why().unwrap_or_default();
            out.add(Id::AuditStream, format!("the audit stream could not be read: {cause}"));
        }
    }
}

fn route(case: &Case, spec: &RouteSpec, out: &mut Findings) {
    if spec.drain_seconds > DRAIN_SECONDS_MAX {
        out.add(
            Id::DrainLong,
            format!("a drain of {} s stops writes for longer than {DRAIN_SECONDS_MAX} s", spec.drain_seconds),
        );
    }
    // What is wrong with a rule is often wrong in both regions: it is told once, with both named.
    let mut faults: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for region in [&case.plan.from, &case.plan.to] {
        match case.read(out, region, case.seen().routes.get(region), 3) {
            Ok(route) => {
                for fault in backends(case, region, route, out) {
                    faults.entry(fault).or_default().push(region.as_str());
                }
            }
            Err(Some(cause)) => out.add(Id::Route, format!("HTTPRoute {} in {region}: {cause}", spec.object)),
            Err(None) => {}
        }
    }
}

fn backends(case: &Case, region: &Region, route: &RouteView, out: &mut Findings) {
    let [from, to] = [&case.plan.from, &case.plan.to].map(|region| case.plan.backend(region));
    for backend in [&from, &to].into_iter().filter(|backend| route.is_uneven(backend)) {
        out.add(
            Id::RouteBackends,
            format!(
                "HTTPRoute {} in {region} gives {backend} another weight in each rule, which could not be brought \
                 back; make them alike",
                route.object
            ),
        );
    }
    match (route.weight(&from), route.weight(&to)) {
        (Some(old), Some(new)) => {
            let raised = old.max(new);
            out.note(3, format!("in {region}: {from} {old} -> 0, {to} {new} -> {raised}"));
        }
        (old, new) => {
            let missing: Vec<&str> = [(old, &from), (new, &to)]
                .into_iter()
                .filter(|(w, _)| w.is_none())
                .map(|(_, name)| name.as_str())
                .collect();
            let known: Vec<&str> = route.backends.iter().map(|(name, _)| name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            out.add(
                Id::RouteBackends,
                format!(
                    "HTTPRoute {} in {region} has no backend {}; it has: {known}",
                    route.object,
                    missing.join(", ")
                ),
            );
        }
    }
}

/// `in hel`, and which rule where there are several.
fn place(region: &Region, route: &RouteView, rule: &RouteRule) -> String {
    match route.rules.len() {
        1 => format!("in {region}"),
        _ => format!("in {region}, {}", rule.about),
    }
}

fn backends_of(route: &RouteView) -> impl Iterator<Item = &str> {
    route.rules.iter().flat_map(|rule| &rule.backends).map(|(name, _)| name.as_str())
}

/// What the gateways say about the route as it stands. Nothing said is nothing known, and nothing wrong.
fn gateways(case: &Case, region: &Region, route: &RouteView, here: &str, out: &mut Findings) {
    for parent in &route.parents {
        let (name, detail) = (&parent.name, &parent.detail);
        let id = if *region == case.plan.to { Id::RouteAccepted } else { Id::RouteGateway };
        if parent.accepted == Some(false) {
            out.add(id, format!("{here} is not accepted by gateway {name}: {detail}"));
        } else if parent.resolved == Some(false) {
            // A gateway serves the backends that it finds, and answers 500 for the share of the others.
            out.add(Id::RouteGateway, format!("{here} names what gateway {name} does not find: {detail}"));
        }
    }
}

fn records(case: &Case, out: &mut Findings) {
    let plan = case.plan;
    if plan.addresses.is_empty() {
        out.add(Id::Addresses, format!("no addresses of {} are known; set spec.regions[].lbIPs", plan.to));
    } else if let Err(cause) = valid(case) {
        out.add(Id::RecordsValid, cause);
    } else {
        let addresses: Vec<String> = plan.addresses.iter().map(ToString::to_string).collect();
        let hostnames = plan.records.hostnames.join(", ");
        out.note(4, format!("{hostnames} -> {}", addresses.join(", ")));
    }
    let published = match (&plan.zone, &case.seen().zone) {
        (_, Seen::Is(zone)) => zone.records.iter().map(|set| set.ttl_seconds).max(),
        (None, _) => {
            // Without hostnames there is no zone to know, and that is named already.
            if !plan.records.hostnames.is_empty() {
                out.add(Id::Zone, "no zone is known; set spec.pdmZone");
            }
            None
        }
        (Some(_), Seen::Unconfigured) => {
            out.add(Id::Zone, "no DNS publisher is configured");
            None
        }
        (Some(zone), look) => {
            out.add(Id::Zone, format!("zone {zone} is not writable: {}", look.why().unwrap_or_default()));
            None
        }
    };
    let ttl = plan.records.ttl_seconds.max(published.unwrap_or(0));
    if ttl > plan.rto_seconds {
        out.add(
            Id::TtlAboveRto,
            format!("record TTL {ttl} s is longer than the RTO of {} s: clients keep the old answer", plan.rto_seconds),
        );
    }
}

/// Whether the records can be written in a form that the DNS server runs (H19).
fn valid(case: &Case) -> Result<(), String> {
    match record_sets(case.plan)?.is_empty() {
        true => Err("no hostnames; set spec.luaRecord.hostnames".into()),
        false => Ok(()),
    }
}
