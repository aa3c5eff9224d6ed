//! Steps 3, 4 and 7: route, records, audit stream.

use super::{Case, Findings, Id};
use crate::name::Region;
use crate::observe::{RouteRule, RouteView, Seen, ZoneView};
use crate::records::{address_parts, addresses_of, record_sets};
use crate::spec::RouteSpec;
use crate::steps;
use crate::weights;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

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
    for (fault, regions) in faults {
        out.add(Id::RouteRule, format!("HTTPRoute {} in {}, {fault}", spec.object, regions.join(" and ")));
    }
}

/// Looks at the backends of one region's route. The rules that cannot be drained, and why.
fn backends(case: &Case, region: &Region, route: &RouteView, out: &mut Findings) -> Vec<String> {
    let [from, to] = [&case.plan.from, &case.plan.to].map(|region| case.plan.backend(region));
    let here = format!("HTTPRoute {} in {region}", route.object);
    let mut faults = Vec::new();
    if weights::leads_to_both(route, &from, &to) {
        faults.extend(route.rules.iter().filter_map(|rule| weights::fault(rule, &from, &to)));
        tell_change(region, route, [&from, &to], out);
    } else {
        let missing = [&from, &to].into_iter().filter(|backend| route.weight(backend).is_none());
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        let lacks = match missing.as_slice() {
            [] => format!("no rule with both {from} and {to}"),
            missing => format!("no backend {}", missing.join(", ")),
        };
        let known: BTreeSet<&str> = backends_of(route).collect();
        let known = if known.is_empty() { "none".to_owned() } else { Vec::from_iter(known).join(", ") };
        out.add(Id::RouteBackends, format!("{here} has {lacks}; it has: {known}"));
    }
    if *region == case.plan.to {
        for rule in route.rules.iter().filter(|rule| rule.serves_nobody()) {
            let about = &rule.about;
            out.add(
                Id::RouteWeights,
                format!("{here}, {about}: every weight is 0, so every request is answered 500; give one a weight"),
            );
        }
    }
    if !route.kept_by.is_empty() {
        let tools = route.kept_by.join(", ");
        out.add(
            Id::RouteKeptElsewhere,
            format!("{here} is kept by {tools}: exclude the weights there, or they are set back (docs/gitops.md)"),
        );
    }
    admitted(case, region, &here, out);
    gateways(case, region, route, &here, out);
    tell_others(region, route, [&from, &to], out);
    faults
}

/// Whether the API server would take the new weights, as it said when they were tried.
fn admitted(case: &Case, region: &Region, here: &str, out: &mut Findings) {
    let missing = case.seen().rights.get(region.as_str()).and_then(Seen::known);
    if missing.is_some_and(|missing| missing.iter().any(|right| right == "patch httproutes")) {
        // The right that is missing is named as such.
        return;
    }
    match case.seen().weights_admitted.get(region) {
        Some(Seen::Is(Ok(()))) => {}
        Some(Seen::Is(Err(cause))) => {
            out.add(Id::RouteAdmitted, format!("{here} would be refused its weights (tried with dryRun=All): {cause}"));
        }
        look => {
            let cause = look.and_then(Seen::why).unwrap_or_else(|| "not looked at".into());
            out.add(Id::RouteAdmitted, format!("whether {here} would take its weights is not known: {cause}"));
        }
    }
}

/// What step 3 makes of the weights, and what its undo brings back.
fn tell_change(region: &Region, route: &RouteView, [from, to]: [&String; 2], out: &mut Findings) {
    let after = weights::drained(route, &weights::former(route, from, to), from, to);
    for (rule, after) in route.rules.iter().zip(&after) {
        let (Some(old), Some(new), Some(raised)) = (rule.weight(from), rule.weight(to), after.get(to)) else {
            continue;
        };
        let place = place(region, route, rule);
        out.note(3, format!("{place}: {from} {old} -> 0, {to} {new} -> {raised}"));
    }
}

/// What weights alone do not decide.
fn tell_others(region: &Region, route: &RouteView, ours: [&String; 2], out: &mut Findings) {
    for rule in &route.rules {
        let place = place(region, route, rule);
        let others = rule.backends.iter().filter(|(name, weight)| !ours.contains(&name) && *weight > 0);
        let shares: Vec<String> = others.map(|(name, weight)| format!("{name} {weight}")).collect();
        let led = ours.iter().any(|backend| rule.weight(backend).is_some());
        if led && !shares.is_empty() {
            out.note(3, format!("{place}: further backends keep their share: {}", shares.join(", ")));
        }
        if !rule.mirrors.is_empty() {
            out.note(3, format!("{place}: requests go on being mirrored to {}", rule.mirrors.join(", ")));
        }
        if led && rule.session_persistence {
            out.note(
                3,
                format!("{place}: session persistence may hold sessions at the old backend whatever its weight"),
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
    health(case, out);
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
    if let (Some(zone), Seen::Is(_)) = (&plan.zone, &case.seen().zone) {
        // Readable is not writable (H51): it is tried, with a change that the server refuses in any case.
        match &case.seen().zone_takes {
            Seen::Is(Ok(())) | Seen::NotLooked => {}
            Seen::Is(Err(cause)) => out.add(Id::Zone, format!("zone {zone} is not writable: {cause}")),
            look => {
                let why = look.why().unwrap_or_default();
                out.add(Id::Zone, format!("whether zone {zone} is writable is not known: {why}"));
            }
        }
    }
    if let Seen::Is(zone) = &case.seen().zone
        && !zone.by_api()
    {
        answered(case, zone, out);
    }
    authorities(case, out);
    let ttl = plan.records.ttl_seconds.max(published.unwrap_or(0));
    if ttl > plan.rto_seconds {
        out.add(
            Id::TtlAboveRto,
            format!("record TTL {ttl} s is longer than the RTO of {} s: clients keep the old answer", plan.rto_seconds),
        );
    }
}

/// Nothing shows the records that stand, so an undo publishes those that the plan has for the old region.
fn answered(case: &Case, zone: &ZoneView, out: &mut Findings) {
    let plan = case.plan;
    let from = &plan.from;
    if plan.former_addresses.is_empty() {
        let text = format!(
            "no addresses of {from} are known, and an undo would publish them: the DNS publisher shows no records; set \
             spec.regions[].lbIPs"
        );
        out.add(Id::Addresses, text);
        return;
    }
    out.note(
        4,
        format!("the DNS publisher shows no records: answers are gone by, and an undo publishes those of {from}"),
    );
    let ours = |address: &IpAddr| plan.former_addresses.contains(address);
    for set in &zone.records {
        let addresses = addresses_of(std::slice::from_ref(set)).unwrap_or_default();
        if let Some(foreign) = addresses.iter().find(|address| !ours(address)) {
            let name = &set.hostname;
            let text =
                format!("{name} is answered with {foreign}, which is not in {from}: an undo would lead it to {from}");
            out.add(Id::FormerAnswers, text);
        }
    }
}

/// Step 4 waits for what each of them answers, and so does its undo.
fn authorities(case: &Case, out: &mut Findings) {
    let servers = &case.seen().authorities;
    if let Some(why) = servers.unread().filter(|_| *servers != Seen::Unconfigured) {
        let text = format!("the authoritative servers are not known: {why}; list them in spec.dns.authorities");
        out.add(Id::Authorities, text);
    }
    let count = servers.known().map_or(0, Vec::len);
    for (hostname, (server, seen)) in
        case.seen().answers.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one)))
    {
        let by = if count > 1 { format!(" by {server}") } else { String::new() };
        match seen {
            Seen::Is(answer) if answer.code == "REFUSED" => out.add(
                Id::Authorities,
                format!("{hostname} is answered with REFUSED{by}: a server does not know the zone"),
            ),
            Seen::Unknown(cause) => {
                out.add(Id::Authorities, format!("what {hostname} is answered with by {server} is not known: {cause}"))
            }
            _ => {}
        }
    }
    let shown = case.seen().zone.known().filter(|zone| zone.by_api());
    let standing = shown.map(|zone| address_parts(&zone.records)).unwrap_or_default();
    let caches = case.plan.dns.cache_seconds_of(count, &case.plan.records.hostnames, &standing);
    if caches > 0 {
        let limit = steps::step(4).limit(case.plan).unwrap_or_default().as_secs() + u64::from(caches);
        let rto = case.plan.rto_seconds;
        out.add(
            Id::AuthorityCaches,
            format!(
                "step 4 may take up to {limit} s: an authoritative server may answer the old records from its caches \
                 for {caches} s, in which nobody can write; the RTO of {rto} s may be missed by as much"
            ),
        );
    }
}

/// `ifurlup` takes a plain 200 for up and nothing else, and follows a redirect to wherever it leads (H51).
fn health(case: &Case, out: &mut Findings) {
    let to = &case.plan.to;
    let route = case.seen().routes.get(to).and_then(Seen::known);
    if route.is_some_and(|route| route.rules.iter().any(RouteRule::serves_nobody)) {
        // That is named as such, and explains the answer.
        return;
    }
    let url = case.plan.records.health_check.as_ref().map(|check| check.url.as_str()).unwrap_or_default();
    for (address, seen) in &case.seen().health_urls {
        let here = format!("{url} at {address} in {to}");
        match seen {
            Seen::Is(200) => {}
            Seen::Is(status @ 300..=399) => out.add(
                Id::HealthUrl,
                format!("{here} redirects ({status}): what it leads to would count as this address; answer 200 there"),
            ),
            Seen::Is(status) => out.add(
                Id::HealthUrl,
                format!("{here} answers {status}, and only a plain 200 counts as up; answer 200 there"),
            ),
            look => {
                let why = look.why().unwrap_or_default();
                out.add(Id::HealthUrlSeen, format!("what {here} answers is not known: {why}"));
            }
        }
    }
}

/// Whether the records can be written in a form that the DNS server runs (H19).
fn valid(case: &Case) -> Result<(), String> {
    match record_sets(case.plan)?.is_empty() {
        true => Err("no hostnames; set spec.luaRecord.hostnames".into()),
        false => Ok(()),
    }
}
