//! What the project believes of PowerDNS, put to the simulated server and to a real one alike. Addresses are
//! loopback ones only: a real server connects to whatever a record names.

#![allow(clippy::unwrap_used, reason = "the claims are test code, called from the tests at the end")]

use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Answer, Seen};
use continuum_core::plan::{PLAN_FORMAT, Plan, short_hash};
use continuum_core::ports::{ObserveRecords, Outcome, PublishRecords};
use continuum_core::record::RecordSet;
use continuum_core::records::{address_parts, record_sets, replacing};
use continuum_core::spec::{DnsSpec, HealthCheckSpec, LeaseKind, LeaseSpec, RecordSpec, Selector};
use continuum_live::authoritative::Authorities;
use continuum_live::http_client::plain_tcp;
use continuum_live::powerdns::{PowerDns, PowerDnsApi};
use continuum_sim::gate::Open;
use continuum_tests::dns_world::{KEY, ZONE, simulate};
use continuum_tests::real_powerdns::RealPowerDns;
use hickory_resolver::ConnectionProvider;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A server with two clients: one with its key, and one with another. Each claim has a hostname of its own.
struct Subject<P: ConnectionProvider> {
    client: PowerDns<P>,
    stranger: PowerDns<P>,
    /// With the key, and the zone's own word for who answers for it.
    of_zone: PowerDns<P>,
    hostname: String,
}

impl<P: ConnectionProvider> Subject<P> {
    async fn publish(&self, sets: &[RecordSet]) -> Outcome {
        self.client.publish(ZONE, &leads_to(), sets).await
    }

    async fn answer_for(&self, hostname: &str) -> Seen<Answer> {
        let servers = self.client.authorities(ZONE).await.known().unwrap().clone();
        self.client.answer(servers[0], hostname).await
    }

    async fn answer(&self) -> Answer {
        match self.answer_for(&self.hostname).await {
            Seen::Is(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    async fn addresses(&self) -> Vec<String> {
        self.answer().await.addresses.iter().map(ToString::to_string).collect()
    }

    async fn standing(&self) -> Vec<RecordSet> {
        self.client.zone(ZONE, std::slice::from_ref(&self.hostname)).await.known().unwrap().records.clone()
    }

    fn set(&self, kind: &str, contents: &[&str]) -> RecordSet {
        RecordSet {
            hostname: self.hostname.clone(),
            kind: kind.into(),
            ttl_seconds: 30,
            contents: contents.iter().map(|content| (*content).to_owned()).collect(),
        }
    }

    fn lua(&self, program: &str) -> RecordSet {
        self.set("LUA", &[&format!("A \"{program}\"")])
    }

    fn plan(&self, selector: Selector, addresses: &[&str]) -> Plan {
        let url = format!("http://{}:18082/healthz", self.hostname);
        Plan {
            format: PLAN_FORMAT,
            continuum: ObjectName::new("shop", "shop"),
            application: "shop".into(),
            from: Region::new("fsn"),
            to: Region::new("hel"),
            pair: ObjectName::new("shop", "shop"),
            route: None,
            zone: Some(ZONE.into()),
            records: RecordSpec {
                selector,
                health_check: Some(HealthCheckSpec { url, interval_seconds: 5, timeout_seconds: 2 }),
                ttl_seconds: 30,
                hostnames: vec![self.hostname.clone()],
            },
            dns: DnsSpec::default(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            former_addresses: vec![],
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
}

const SELECTORS: [Selector; 3] = [Selector::Ifurlup, Selector::Pickclosest, Selector::Pickwhashed];

/// What step 4 relies on: no need to wait for a health check.
async fn every_form_that_core_makes_answers_its_region_from_the_first_query_on<P: ConnectionProvider>(on: Subject<P>) {
    for selector in SELECTORS {
        let sets = record_sets(&on.plan(selector, &["127.0.0.5"])).unwrap();
        assert_eq!(on.publish(&sets).await, Outcome::Done(()));
        assert_eq!(on.standing().await, sets, "the server shows what was written");
        let answer = on.answer().await;
        assert_eq!((answer.code.as_str(), answer.ttl_seconds), ("NOERROR", Some(30)));
        assert_eq!(on.addresses().await, ["127.0.0.5"], "{selector:?}");
    }
}

async fn every_form_that_core_makes_answers_both_families<P: ConnectionProvider>(on: Subject<P>) {
    for selector in SELECTORS {
        let sets = record_sets(&on.plan(selector, &["127.0.0.5", "::1"])).unwrap();
        assert_eq!(on.publish(&sets).await, Outcome::Done(()));
        assert_eq!(on.addresses().await, ["127.0.0.5", "::1"], "{selector:?}");
    }
}

async fn many_addresses_fit<P: ConnectionProvider>(on: Subject<P>) {
    let addresses: Vec<String> = (1..=60).map(|i| format!("127.0.1.{i}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for selector in SELECTORS {
        let sets = record_sets(&on.plan(selector, &addresses)).unwrap();
        assert_eq!(on.publish(&sets).await, Outcome::Done(()));
        let answered = on.addresses().await;
        assert!(addresses.contains(&answered[0].as_str()), "{selector:?} {answered:?}");
    }
}

async fn with_no_candidate_known_to_be_up_ifurlup_answers_any_of_all_sets<P: ConnectionProvider>(on: Subject<P>) {
    let program = "ifurlup('http://h:18082/healthz', {{'127.0.0.5'},{'127.0.0.6'}}, {timeout=2})";
    assert_eq!(on.publish(&[on.lua(program)]).await, Outcome::Done(()));
    let mut answered = BTreeSet::new();
    for _ in 0..40 {
        answered.extend(on.addresses().await);
    }
    assert_eq!(answered.into_iter().collect::<Vec<_>>(), ["127.0.0.5", "127.0.0.6"]);
}

/// H19.
async fn lua_that_cannot_run_is_accepted_and_answers_servfail<P: ConnectionProvider>(on: Subject<P>) {
    for broken in [
        "pickfirst({'127.0.0.5'})",
        "pickclosest('http://h/', {'127.0.0.5'})",
        "pickwhashed('http://h/', {{100,'127.0.0.5'}})",
        "pickwhashed({{0,'127.0.0.5'}})",
        "pickclosest({'ten'})",
        "pickclosest({'::1'})",
        "pickclosest({})",
        "pickrandom({'127.0.0.5'}",
        "ifurlup('http://h/', {})",
        "ifurlup(\\\"http://h/\\\", {{'127.0.0.5'}})",
    ] {
        assert_eq!(on.publish(&[on.lua(broken)]).await, Outcome::Done(()), "{broken}");
        assert_eq!(on.answer().await.code, "SERVFAIL", "{broken}");
    }
}

async fn other_forms_that_a_person_may_have_written_answer<P: ConnectionProvider>(on: Subject<P>) {
    for program in [
        "pickrandom({'127.0.0.5'})",
        "ifurlup('http://h/', {'127.0.0.5'})",
        "ifurlup('http://h/', {{'127.0.0.5'}}, {selector='pickfirst'})",
    ] {
        assert_eq!(on.publish(&[on.lua(program)]).await, Outcome::Done(()));
        assert_eq!(on.addresses().await, ["127.0.0.5"], "{program}");
    }
}

async fn unescaped_double_quotes_are_refused_in_the_servers_words<P: ConnectionProvider>(on: Subject<P>) {
    for content in ["A \"pickclosest({\"127.0.0.5\"})\"", "A pickclosest({'127.0.0.5'})", "A"] {
        let outcome = on.publish(&[on.set("LUA", &[content])]).await;
        let Outcome::Refused(text) = outcome else { panic!("{content}: {outcome:?}") };
        assert!(text.contains("422") && text.contains(&on.hostname), "{text}");
    }
    assert_eq!(on.standing().await, []);
}

async fn one_refused_set_leaves_all_as_they_were<P: ConnectionProvider>(on: Subject<P>) {
    let outside = RecordSet { hostname: "shop.example.com".into(), ..on.set("A", &["127.0.0.5"]) };
    assert!(matches!(on.publish(&[on.set("A", &["127.0.0.5"]), outside]).await, Outcome::Refused(_)));
    assert_eq!(on.standing().await, []);
}

async fn a_plain_address_beside_lua_is_answered_too_until_replaced<P: ConnectionProvider>(on: Subject<P>) {
    let plain = on.set("A", &["127.0.0.7"]);
    assert_eq!(on.publish(&[plain.clone(), on.lua("pickclosest({'127.0.0.5'})")]).await, Outcome::Done(()));
    assert_eq!(on.addresses().await, ["127.0.0.5", "127.0.0.7"]);
    let former = on.standing().await;
    let wanted = record_sets(&on.plan(Selector::Ifurlup, &["127.0.0.6"])).unwrap();
    assert_eq!(on.publish(&replacing(&wanted, &former)).await, Outcome::Done(()));
    assert_eq!(on.addresses().await, ["127.0.0.6"]);
    assert_eq!(on.publish(&replacing(&former, &wanted)).await, Outcome::Done(()));
    assert_eq!(on.addresses().await, ["127.0.0.5", "127.0.0.7"], "and back");
}

async fn an_alias_is_replaced_only_where_its_removal_comes_first<P: ConnectionProvider>(on: Subject<P>) {
    let alias = on.set("CNAME", &["other.example.org."]);
    let lua = on.lua("pickclosest({'127.0.0.5'})");
    assert_eq!(on.publish(std::slice::from_ref(&alias)).await, Outcome::Done(()));
    let removal = RecordSet { contents: vec![], ..alias.clone() };
    assert!(matches!(on.publish(&[lua.clone(), removal]).await, Outcome::Refused(_)));
    assert_eq!(on.publish(&replacing(std::slice::from_ref(&lua), &[alias])).await, Outcome::Done(()));
    assert_eq!(on.addresses().await, ["127.0.0.5"]);
}

async fn a_name_without_records_does_not_exist_and_removing_them_again_is_done<P: ConnectionProvider>(on: Subject<P>) {
    assert_eq!(on.answer().await.code, "NXDOMAIN");
    assert_eq!(on.publish(&[on.set("LUA", &[])]).await, Outcome::Done(()));
}

async fn a_wrong_key_is_refused_and_changes_nothing<P: ConnectionProvider>(on: Subject<P>) {
    let outcome = on.stranger.publish(ZONE, &leads_to(), &[on.set("A", &["127.0.0.5"])]).await;
    assert!(matches!(&outcome, Outcome::Refused(text) if text.contains("X-API-Key")), "{outcome:?}");
    let seen = on.stranger.zone(ZONE, &[]).await;
    assert!(matches!(&seen, Seen::Unknown(text) if text.contains("X-API-Key")), "{seen:?}");
    assert_eq!(on.standing().await, []);
}

async fn another_zone_is_missing_and_takes_no_records<P: ConnectionProvider>(on: Subject<P>) {
    assert_eq!(on.client.zone("example.com", &[]).await, Seen::Missing);
    let set = RecordSet { hostname: "shop.example.com".into(), ..on.set("A", &["127.0.0.5"]) };
    assert!(matches!(on.client.publish("example.com", &leads_to(), &[set]).await, Outcome::Refused(_)));
    let seen = on.answer_for("shop.example.com").await;
    assert_eq!(seen.known().unwrap().code, "REFUSED");
}

/// Tried with a record twice: refused by every version after all else that it asks of a change.
async fn whether_a_set_is_taken_is_known_without_a_change<P: ConnectionProvider>(on: Subject<P>) {
    for selector in SELECTORS {
        let set = record_sets(&on.plan(selector, &["127.0.0.5", "::1"])).unwrap().remove(0);
        assert_eq!(on.client.takes(ZONE, &set).await, Seen::Is(Ok(())), "{selector:?}");
    }
    let broken = on.set("LUA", &["A \"pickclosest({\"127.0.0.5\"})\""]);
    assert!(matches!(on.client.takes(ZONE, &broken).await, Seen::Is(Err(text)) if text.contains("422")));
    let stranger = on.stranger.takes(ZONE, &on.set("A", &["127.0.0.5"])).await;
    assert!(matches!(&stranger, Seen::Is(Err(text)) if text.contains("X-API-Key")), "{stranger:?}");
    assert!(matches!(on.client.takes("example.com", &broken).await, Seen::Is(Err(_))));
    assert_eq!(on.standing().await, []);
}

/// All LUA records of a name are one set.
async fn what_answers_no_address_stays_in_its_set<P: ConnectionProvider>(on: Subject<P>) {
    let mail = "MX \"'10 mail.example.org.'\"";
    let before = on.set("LUA", &["A \"pickclosest({'127.0.0.5'})\"", mail]);
    let text = on.set("TXT", &["\"owner\""]);
    assert_eq!(on.publish(&[before, text.clone()]).await, Outcome::Done(()));
    let wanted = record_sets(&on.plan(Selector::Pickclosest, &["127.0.0.6"])).unwrap();
    assert_eq!(on.publish(&replacing(&wanted, &on.standing().await)).await, Outcome::Done(()));
    assert_eq!(on.addresses().await, ["127.0.0.6"]);
    let standing = on.standing().await;
    assert_eq!(address_parts(&standing), wanted);
    assert!(standing.contains(&text) && standing.iter().any(|set| set.contents.iter().any(|one| one == mail)));
}

async fn a_zone_names_its_servers<P: ConnectionProvider>(on: Subject<P>) {
    let before = on.client.zone(ZONE, &[ZONE.to_owned()]).await.known().unwrap().records.clone();
    let names = RecordSet { hostname: ZONE.into(), ..on.set("NS", &[&format!("{}.", on.hostname)]) };
    assert_eq!(on.publish(std::slice::from_ref(&names)).await, Outcome::Done(()));
    let seen = on.of_zone.authorities(ZONE).await;
    assert!(matches!(&seen, Seen::Unknown(why) if why.contains(&on.hostname)), "{seen:?}");
    assert_eq!(on.publish(&[on.set("A", &["127.0.0.5"])]).await, Outcome::Done(()));
    assert_eq!(on.of_zone.authorities(ZONE).await, Seen::Is(vec!["127.0.0.5:53".parse().unwrap()]));
    let former = before.into_iter().find(|set| set.kind == "NS");
    let former = former.unwrap_or(RecordSet { contents: vec![], ..names });
    assert_eq!(on.publish(&[former]).await, Outcome::Done(()));
}

/// One claim after another on the real server: over SQLite it answers 500 to a change beside another.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// PowerDNS is not told which region the records lead to.
fn leads_to() -> Region {
    Region::new("hel")
}

fn api(host: String, port: u16, key: &str) -> PowerDnsApi {
    PowerDnsApi { connect: plain_tcp(), host, port, api_key: key.into(), user_agent: "continuum".into() }
}

macro_rules! claims {
    ($($claim:ident),* $(,)?) => {
        mod simulated {
            use super::*;
            $(#[test]
            fn $claim() {
                simulate(Arc::new(Open), vec![], |world| async move {
                    let hostname = "shop.example.org".to_owned();
                    let (client, stranger) = (world.client(KEY), world.client("another"));
                    super::$claim(Subject { client, stranger, of_zone: world.client_of_zone(&[]), hostname }).await;
                });
            })*
        }
        mod real {
            use super::*;
            $(#[tokio::test]
            async fn $claim() {
                let Some(server) = RealPowerDns::start() else { return };
                let _turn = TURN.lock().await;
                let client_of = |key: &str, authorities: Authorities| {
                    let api = api(server.api.ip().to_string(), server.api.port(), key);
                    PowerDns::new(api, plain_tcp(), authorities, &TokioRuntimeProvider::new())
                };
                let hostname = format!("{}.{ZONE}", short_hash(stringify!($claim).as_bytes()));
                let client = |key: &str| client_of(key, Authorities::Listed(vec![server.dns]));
                let of_zone = client_of(&server.key, Authorities::OfZone { resolvers: vec![] });
                super::$claim(Subject { client: client(&server.key), stranger: client("another"), of_zone, hostname }).await;
            })*
        }
    };
}

claims! {
    a_zone_names_its_servers,
    every_form_that_core_makes_answers_its_region_from_the_first_query_on,
    every_form_that_core_makes_answers_both_families,
    many_addresses_fit,
    with_no_candidate_known_to_be_up_ifurlup_answers_any_of_all_sets,
    lua_that_cannot_run_is_accepted_and_answers_servfail,
    other_forms_that_a_person_may_have_written_answer,
    unescaped_double_quotes_are_refused_in_the_servers_words,
    one_refused_set_leaves_all_as_they_were,
    a_plain_address_beside_lua_is_answered_too_until_replaced,
    an_alias_is_replaced_only_where_its_removal_comes_first,
    a_name_without_records_does_not_exist_and_removing_them_again_is_done,
    a_wrong_key_is_refused_and_changes_nothing,
    another_zone_is_missing_and_takes_no_records,
    whether_a_set_is_taken_is_known_without_a_change,
    what_answers_no_address_stays_in_its_set,
}
