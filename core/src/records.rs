//! The records that make the application's hostnames answer the addresses of one region: what step 4 writes.
//!
//! They name that region's addresses alone, so that no health check of the DNS server can move clients to a
//! region that is not primary (H20). Only forms that PowerDNS is known to run are made, because its API
//! accepts broken Lua too and then answers SERVFAIL (H19). Nothing is sent here, and no answer is judged.

use crate::name::Region;
use crate::observe::{Answers, Seen, Shown, ZoneView};
use crate::plan::Plan;
use crate::record::RecordSet;
use crate::spec::Selector;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The record type whose content is run at each query.
pub const LUA: &str = "LUA";

/// The types that decide where a name leads. Others (`TXT`, `MX`, `CAA`) are not ours. `HTTPS` and `SVCB` carry
/// addresses as hints, which clients connect to without asking for more.
const ADDRESS_TYPES: [&str; 6] = ["A", "AAAA", "CNAME", "ALIAS", "HTTPS", "SVCB"];

/// The weight of each address in `pickwhashed`: all are alike.
const WEIGHT: u32 = 100;

/// One `LUA` set for each hostname of the plan, in the plan's order, with the addresses of `plan.to`: an `A`
/// for those of IPv4 and an `AAAA` for those of IPv6. The error names the field that is wrong.
pub fn record_sets(plan: &Plan) -> Result<Vec<RecordSet>, String> {
    sets_of(plan, &plan.to, &plan.addresses)
}

/// The same with the addresses of `plan.from`: what leads clients back where nothing shows what stood before.
pub fn former_sets(plan: &Plan) -> Result<Vec<RecordSet>, String> {
    sets_of(plan, &plan.from, &plan.former_addresses)
}

fn sets_of(plan: &Plan, region: &Region, addresses: &[IpAddr]) -> Result<Vec<RecordSet>, String> {
    if plan.records.hostnames.is_empty() {
        return Ok(Vec::new());
    }
    for hostname in &plan.records.hostnames {
        check_hostname(hostname, plan.zone.as_deref())?;
    }
    if addresses.is_empty() {
        return Err(format!("spec.regions: `{region}` has no addresses; list its load balancers in lbIPs"));
    }
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
    let mut contents = Vec::new();
    for (kind, addresses) in [("A", v4), ("AAAA", v6)] {
        if !addresses.is_empty() {
            contents.push(format!("{kind} \"{}\"", lua(plan, &addresses)?));
        }
    }
    let set = |hostname: &String| RecordSet {
        hostname: hostname.clone(),
        kind: LUA.to_owned(),
        ttl_seconds: plan.records.ttl_seconds,
        contents: contents.clone(),
    };
    Ok(plan.records.hostnames.iter().map(set).collect())
}

/// The part of a set that decides where its name leads; absent: it decides nothing. All `LUA` records of a name are
/// one set, whatever type each of them answers.
pub fn address_part(set: &RecordSet) -> Option<RecordSet> {
    let contents: Vec<String> = set.contents.iter().filter(|content| leads(&set.kind, content)).cloned().collect();
    (!contents.is_empty()).then(|| RecordSet { contents, ..set.clone() })
}

/// The address parts of all sets.
pub fn address_parts(sets: &[RecordSet]) -> Vec<RecordSet> {
    sets.iter().filter_map(address_part).collect()
}

fn leads(kind: &str, content: &str) -> bool {
    let kind = if kind == LUA { content.split_whitespace().next().unwrap_or_default() } else { kind };
    ADDRESS_TYPES.contains(&kind)
}

/// The addresses that these sets may answer; absent: some of them leads elsewhere, or is not understood.
pub fn addresses_of(sets: &[RecordSet]) -> Option<BTreeSet<IpAddr>> {
    let mut all = BTreeSet::new();
    for set in sets {
        for content in &set.contents {
            let found: Vec<IpAddr> = match set.kind.as_str() {
                "A" | "AAAA" => content.parse().into_iter().collect(),
                // An address stands in quotes of its own in every form that PowerDNS has.
                LUA => content.split(['\'', '"']).filter_map(|text| text.parse().ok()).collect(),
                _ => Vec::new(),
            };
            if found.is_empty() {
                return None;
            }
            all.extend(found);
        }
    }
    Some(all)
}

/// What to publish so that the names in `standing` and `wanted` lead as `wanted` says and no other way: the removal
/// of every other set in `standing` that decides that, and `wanted`. What decides nothing stays, also within a set.
///
/// A plain `A` beside a `LUA` record would be answered as well, so the way forward removes it, and the undo
/// (with the former records as `wanted`) brings it back.
pub fn replacing(wanted: &[RecordSet], standing: &[RecordSet]) -> Vec<RecordSet> {
    let same = |a: &RecordSet, b: &RecordSet| a.hostname == b.hostname && a.kind == b.kind;
    let kept = |set: &RecordSet| -> Vec<String> {
        set.contents.iter().filter(|content| !leads(&set.kind, content)).cloned().collect()
    };
    let replaced = |set: &RecordSet| wanted.iter().any(|want| same(want, set));
    let removed = standing
        .iter()
        .filter(|set| address_part(set).is_some() && !replaced(set))
        .map(|set| RecordSet { contents: kept(set), ..set.clone() });
    let put = wanted.iter().map(|want| {
        let mut set = want.clone();
        let others = standing.iter().filter(|set| same(want, set)).flat_map(kept);
        set.contents.extend(others.filter(|content| !want.contents.contains(content)));
        set
    });
    // Removals first: PowerDNS goes through the sets in order and refuses another set beside a CNAME.
    removed.chain(put).collect()
}

/// The zone as its authoritative servers answer for these names: plain sets of the addresses. A name that one of them was
/// silent about is known by the others; one that is answered with no address is known to lead nowhere.
pub fn of_answers(hostnames: &[String], answers: &BTreeMap<String, Answers>) -> ZoneView {
    let (mut records, mut silent) = (Vec::new(), BTreeSet::new());
    for hostname in hostnames {
        let known: Vec<_> =
            answers.get(hostname).into_iter().flat_map(BTreeMap::values).filter_map(Seen::known).collect();
        if known.is_empty() {
            silent.insert(hostname.clone());
        }
        let ttl_seconds = known.iter().filter_map(|answer| answer.ttl_seconds).max().unwrap_or_default();
        let addresses: BTreeSet<IpAddr> =
            known.iter().filter(|answer| answer.leads()).flat_map(|answer| answer.addresses.iter().copied()).collect();
        for (kind, of_kind) in [("A", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("AAAA", IpAddr::is_ipv6)] {
            let contents: Vec<String> = addresses.iter().filter(|a| of_kind(a)).map(ToString::to_string).collect();
            if !contents.is_empty() {
                records.push(RecordSet { hostname: hostname.clone(), kind: kind.into(), ttl_seconds, contents });
            }
        }
    }
    ZoneView { records, shown: Shown::ByAnswers { silent } }
}

/// Whether the zone holds these sets and no others that decide where their names lead. Where only answers are known:
/// whether each name that was answered leads somewhere, and nowhere but where its sets lead.
pub fn holds(zone: &ZoneView, wanted: &[RecordSet]) -> bool {
    let Shown::ByAnswers { silent } = &zone.shown else { return same_sets(&zone.records, wanted) };
    let of = |sets: &[RecordSet], name: &str| -> Vec<RecordSet> {
        address_parts(sets).into_iter().filter(|set| set.hostname == name).collect()
    };
    let names: BTreeSet<&str> = wanted.iter().map(|set| set.hostname.as_str()).collect();
    names.into_iter().filter(|name| !silent.contains(*name)).all(|name| {
        let answered = addresses_of(&of(&zone.records, name)).unwrap_or_default();
        // Where a set leads that is not understood no answer tells.
        let Some(wanted) = addresses_of(&of(wanted, name)) else { return true };
        !answered.is_empty() && answered.is_subset(&wanted)
    })
}

/// What to publish so that `wanted` holds. Of sets that are only answered none can be removed.
pub fn change_of(zone: Option<&ZoneView>, wanted: &[RecordSet]) -> Vec<RecordSet> {
    match zone {
        Some(ZoneView { records, shown: Shown::ByApi }) => replacing(wanted, records),
        _ => wanted.to_vec(),
    }
}

/// A server keeps the records of a set in an order of its own.
fn sorted(mut sets: Vec<RecordSet>) -> Vec<RecordSet> {
    sets.iter_mut().for_each(|set| set.contents.sort());
    sets
}

fn same_sets(standing: &[RecordSet], wanted: &[RecordSet]) -> bool {
    let (standing, wanted) = (sorted(address_parts(standing)), sorted(address_parts(wanted)));
    standing.len() == wanted.len() && wanted.iter().all(|want| standing.contains(want))
}

fn lua(plan: &Plan, addresses: &[IpAddr]) -> Result<String, String> {
    let quoted = |each: fn(&IpAddr) -> String| addresses.iter().map(each).collect::<Vec<_>>().join(",");
    match plan.records.selector {
        Selector::Ifurlup => {
            let Some(check) = &plan.records.health_check else {
                return Err("spec.luaRecord.healthCheck is missing: `ifurlup` cannot work without its url".into());
            };
            check_url(&check.url)?;
            // No `interval`: PowerDNS 4.7 ignores the record's own.
            Ok(format!(
                "ifurlup('{}', {{{{{}}}}}, {{timeout={}}})",
                check.url,
                quoted(|address| format!("'{address}'")),
                check.timeout_seconds
            ))
        }
        // These two take no URL: with one, every query fails.
        Selector::Pickclosest => Ok(format!("pickclosest({{{}}})", quoted(|address| format!("'{address}'")))),
        Selector::Pickwhashed => {
            Ok(format!("pickwhashed({{{}}})", quoted(|address| format!("{{{WEIGHT},'{address}'}}"))))
        }
        // H19: the server would take the record and answer SERVFAIL to every client.
        Selector::Pickfirst => Err("spec.luaRecord.selector: PowerDNS has no function `pickfirst`: it would accept \
                                    the record and answer SERVFAIL; use ifurlup, pickclosest or pickwhashed"
            .into()),
    }
}

/// The URL stands in single quotes inside double quotes: anything that could end either, or escape it, would
/// make another program of it.
fn check_url(url: &str) -> Result<(), String> {
    let wrong = |message: &str| Err(format!("spec.luaRecord.healthCheck.url: `{url}` {message}"));
    if url.chars().any(|c| !c.is_ascii_graphic() || matches!(c, '\'' | '"' | '\\')) {
        return wrong("has a quote, a backslash, a space or a character outside ASCII; encode it as %XX");
    }
    match url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(()),
        _ => wrong("is not an http:// or https:// URL with a host"),
    }
}

fn check_hostname(hostname: &str, zone: Option<&str>) -> Result<(), String> {
    let wrong = |message: String| Err(format!("spec.luaRecord.hostnames: `{hostname}` {message}"));
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'*'))
    };
    if hostname.len() > 253 || !hostname.split('.').all(label_fits) {
        return wrong("is not a host name in lower case without a trailing dot".into());
    }
    match zone {
        Some(zone) if hostname != zone && !hostname.ends_with(&format!(".{zone}")) => {
            wrong(format!("is not in the zone `{zone}`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{ObjectName, Region};
    use crate::plan::PLAN_FORMAT;
    use crate::spec::{DnsSpec, HealthCheckSpec, LeaseKind, LeaseSpec, RecordSpec};

    fn plan(selector: Selector, addresses: &[&str]) -> Plan {
        Plan {
            format: PLAN_FORMAT,
            continuum: ObjectName::new("shop", "shop"),
            application: "shop".into(),
            from: Region::new("fsn"),
            to: Region::new("hel"),
            pair: ObjectName::new("shop", "shop"),
            route: None,
            zone: Some("example.org".into()),
            records: RecordSpec {
                selector,
                health_check: Some(HealthCheckSpec {
                    url: "http://shop.example.org:8080/healthz".into(),
                    interval_seconds: 5,
                    timeout_seconds: 2,
                }),
                ttl_seconds: 30,
                hostnames: vec!["shop.example.org".into()],
            },
            dns: DnsSpec::default(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            former_addresses: Vec::new(),
            lease: LeaseSpec {
                kind: LeaseKind::K8sLease,
                ttl_seconds: 30,
                renew_seconds: 10,
                guard_seconds: 5,
                drift_percent: 1,
            },
            rto_seconds: 60,
            rpo_seconds: 0,
            reason: "operator-requested".into(),
            initiated_by: "controller".into(),
        }
    }

    fn contents(plan: &Plan) -> Vec<String> {
        record_sets(plan).unwrap().remove(0).contents
    }

    fn set(hostname: &str, kind: &str, contents: &[&str]) -> RecordSet {
        RecordSet {
            hostname: hostname.into(),
            kind: kind.into(),
            ttl_seconds: 30,
            contents: contents.iter().map(|c| (*c).to_owned()).collect(),
        }
    }

    #[test]
    fn ifurlup_names_one_set_the_url_and_the_limit() {
        assert_eq!(
            contents(&plan(Selector::Ifurlup, &["10.2.0.1", "10.2.0.2"])),
            ["A \"ifurlup('http://shop.example.org:8080/healthz', {{'10.2.0.1','10.2.0.2'}}, {timeout=2})\""]
        );
    }

    #[test]
    fn ifurlup_without_a_url_is_refused_and_names_the_field() {
        let mut plan = plan(Selector::Ifurlup, &["10.2.0.1"]);
        plan.records.health_check = None;
        assert!(record_sets(&plan).unwrap_err().starts_with("spec.luaRecord.healthCheck is missing"));
    }

    #[test]
    fn pickclosest_and_pickwhashed_take_no_url() {
        assert_eq!(
            contents(&plan(Selector::Pickclosest, &["10.2.0.1", "10.2.0.2"])),
            ["A \"pickclosest({'10.2.0.1','10.2.0.2'})\""]
        );
        assert_eq!(
            contents(&plan(Selector::Pickwhashed, &["10.2.0.1", "10.2.0.2"])),
            ["A \"pickwhashed({{100,'10.2.0.1'},{100,'10.2.0.2'}})\""]
        );
    }

    #[test]
    fn pickfirst_is_refused_because_the_server_would_answer_servfail() {
        assert!(record_sets(&plan(Selector::Pickfirst, &["10.2.0.1"])).unwrap_err().contains("SERVFAIL"));
    }

    #[test]
    fn addresses_of_ipv6_become_an_aaaa_of_the_same_set() {
        assert_eq!(
            contents(&plan(Selector::Pickclosest, &["10.2.0.1", "2001:db8::1"])),
            ["A \"pickclosest({'10.2.0.1'})\"", "AAAA \"pickclosest({'2001:db8::1'})\""]
        );
        assert_eq!(contents(&plan(Selector::Pickclosest, &["2001:db8::1"])), ["AAAA \"pickclosest({'2001:db8::1'})\""]);
    }

    #[test]
    fn no_url_can_break_out_of_its_quotes() {
        for url in ["http://a/'..os.exit()..'", "http://a/\"", "http://a/\\", "http://a/ b", "http://ä/", "ftp://a/"] {
            let mut plan = plan(Selector::Ifurlup, &["10.2.0.1"]);
            plan.records.health_check.as_mut().unwrap().url = url.into();
            assert!(record_sets(&plan).unwrap_err().starts_with("spec.luaRecord.healthCheck.url"), "{url}");
        }
    }

    #[test]
    fn a_region_without_addresses_is_refused_by_name() {
        assert!(record_sets(&plan(Selector::Ifurlup, &[])).unwrap_err().contains("`hel` has no addresses"));
    }

    #[test]
    fn a_hostname_outside_the_zone_is_refused() {
        for hostname in
            ["shop.example.com", "badexample.org", "Shop.example.org", "shop.example.org.", "a..example.org"]
        {
            let mut plan = plan(Selector::Ifurlup, &["10.2.0.1"]);
            plan.records.hostnames = vec![hostname.into()];
            assert!(record_sets(&plan).unwrap_err().starts_with("spec.luaRecord.hostnames"), "{hostname}");
        }
    }

    #[test]
    fn without_hostnames_nothing_is_published() {
        let mut plan = plan(Selector::Ifurlup, &[]);
        plan.records.hostnames.clear();
        assert_eq!(record_sets(&plan), Ok(vec![]));
    }

    /// All LUA records of a name are one set: what answers mail in it is not ours.
    #[test]
    fn replacing_keeps_what_leads_nowhere_also_within_a_set() {
        let ours = "A \"pickclosest({'10.2.0.1'})\"";
        let wanted = [set("shop.example.org", "LUA", &[ours])];
        let mail = "MX \"'10 mail.example.org.'\"";
        let standing = [set("shop.example.org", "LUA", &["A \"pickclosest({'10.1.0.1'})\"", mail])];
        let change = replacing(&wanted, &standing);
        assert_eq!(change, [set("shop.example.org", "LUA", &[ours, mail])]);
        assert_eq!(address_parts(&change), wanted, "and counts as ours");
        let plain = [set("shop.example.org", "A", &["10.1.0.1"])];
        let back = replacing(&plain, &change);
        assert_eq!(back, [set("shop.example.org", "LUA", &[mail]), plain[0].clone()]);
        assert_eq!(replacing(&standing, &standing), standing, "a former set that has it already has it once");
    }

    #[test]
    fn what_is_answered_is_known_by_those_who_answered() {
        let name = "shop.example.org".to_owned();
        let answer = |code: &str, addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Seen::Is(crate::observe::Answer { code: code.into(), addresses, ttl_seconds: Some(30) })
        };
        let zone = |answers: Vec<Seen<crate::observe::Answer>>| {
            let answers = (1..).map(crate::preflight::fixture::server).zip(answers).collect();
            of_answers(std::slice::from_ref(&name), &[(name.clone(), answers)].into())
        };
        let (old, new) = (answer("NOERROR", &["10.1.0.1"]), answer("NOERROR", &["10.2.0.1"]));
        let (none, silence) = (answer("SERVFAIL", &[]), Seen::Unknown("time-out".into()));
        let wanted = record_sets(&plan(Selector::Pickclosest, &["10.2.0.1", "10.2.0.2"])).unwrap();
        for (answers, fits, whole) in [
            (vec![new.clone()], true, true),
            (vec![new.clone(), silence.clone()], true, true),
            (vec![new.clone(), old.clone()], false, true),
            (vec![old], false, true),
            (vec![none], false, true),
            (vec![silence], true, false),
            (vec![], true, false),
        ] {
            let zone = zone(answers.clone());
            assert_eq!((holds(&zone, &wanted), zone.is_whole()), (fits, whole), "{answers:?}");
        }
        let zone = zone(vec![new]);
        assert_eq!(zone.records, [set("shop.example.org", "A", &["10.2.0.1"])]);
        assert_eq!(change_of(Some(&zone), &wanted), wanted, "what is only answered cannot be removed");
    }

    #[test]
    fn replacing_removes_every_type_that_leads_somewhere() {
        let wanted = [set("shop.example.org", "LUA", &["A \"pickclosest({'10.2.0.1'})\""])];
        for kind in ["A", "AAAA", "CNAME", "ALIAS", "HTTPS", "SVCB"] {
            let standing = [set("shop.example.org", kind, &["x"])];
            assert_eq!(replacing(&wanted, &standing)[0], set("shop.example.org", kind, &[]), "{kind}");
        }
        for kind in ["TXT", "MX", "CAA", "NS"] {
            assert_eq!(replacing(&wanted, &[set("shop.example.org", kind, &["x"])]), wanted, "{kind}");
        }
    }

    #[test]
    fn the_addresses_of_a_set_are_known_where_it_leads_nowhere_else() {
        let known = |kind: &str, contents: &[&str]| {
            addresses_of(&[set("shop.example.org", kind, contents)])
                .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        let lua = "A \"ifurlup('http://h/', {{'10.1.0.1'},{'10.1.0.2'}}, {timeout=2})\"";
        assert_eq!(known("LUA", &[lua]).as_deref(), Some("10.1.0.1 10.1.0.2"));
        assert_eq!(known("A", &["10.1.0.1"]).as_deref(), Some("10.1.0.1"));
        assert_eq!(known("CNAME", &["other.example.org."]), None);
        assert_eq!(known("LUA", &["A \"include('x')\""]), None);
    }

    #[test]
    fn replacing_removes_plain_addresses_that_would_be_answered_too_and_leaves_other_types() {
        let wanted = [set("shop.example.org", "LUA", &["A \"pickclosest({'10.2.0.1'})\""])];
        let standing = [
            set("shop.example.org", "A", &["10.1.0.1"]),
            set("shop.example.org", "LUA", &["A \"pickclosest({'10.1.0.1'})\""]),
            set("shop.example.org", "TXT", &["\"owner\""]),
        ];
        let change = replacing(&wanted, &standing);
        assert_eq!(change, [set("shop.example.org", "A", &[]), wanted[0].clone()]);
        let back = replacing(&standing[..1], &wanted);
        assert_eq!(back, [set("shop.example.org", "LUA", &[]), standing[0].clone()]);
    }
}
