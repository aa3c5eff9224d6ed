//! What the DNS adapters of `live` do against PowerDNS and public resolvers, all simulated.

use continuum_core::name::Region;
use continuum_core::observe::{Answer, Seen};
use continuum_core::ports::{ObserveRecords, ObserveVantages, Outcome, PublishRecords};
use continuum_core::record::RecordSet;
use continuum_core::records::replacing;
use continuum_sim::fabric::Fabric;
use continuum_sim::gate::{After, Asked, Before, Gate, Open, SharedGate};
use continuum_sim::servers::dns_client;
use continuum_sim::servers::powerdns::{API_PORT, CHECK_INTERVAL};
use continuum_tests::dns_world::{KEY, ZONE, simulate};
use continuum_tests::simulated::Faults;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::RecordType;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SHOP: &str = "shop.example.org";
const FSN: &str = "10.1.0.1";
const HEL: &str = "10.2.0.1";

/// Within it every address has been checked again.
const ROUND: Duration = CHECK_INTERVAL.saturating_add(Duration::from_secs(1));

/// PowerDNS is not told which region the records lead to.
fn leads_to() -> Region {
    Region::new("hel")
}

fn open() -> SharedGate {
    Arc::new(Open)
}

fn lua(program: &str) -> RecordSet {
    set("LUA", &format!("A \"{program}\""))
}

fn set(kind: &str, content: &str) -> RecordSet {
    RecordSet { hostname: SHOP.into(), kind: kind.into(), ttl_seconds: 30, contents: vec![content.into()] }
}

fn only(region: &str) -> RecordSet {
    lua(&format!("ifurlup('http://{SHOP}/healthz', {{{{'{region}'}}}}, {{timeout=2}})"))
}

fn noerror(addresses: &[&str]) -> Seen<Answer> {
    let addresses = addresses.iter().map(|a| a.parse().expect("a valid address")).collect();
    Seen::Is(Answer { code: "NOERROR".into(), addresses, ttl_seconds: Some(30) })
}

fn names() -> Vec<String> {
    vec![SHOP.to_owned()]
}

#[test]
fn published_records_are_read_back_and_answered() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        world.dns.put(set("TXT", "\"owner\""));
        assert_eq!(client.publish(ZONE, &leads_to(), &[only(HEL)]).await, Outcome::Done(()));
        let zone = client.zone(ZONE, &names()).await;
        assert_eq!(zone.known().unwrap().records, [only(HEL), set("TXT", "\"owner\"")]);
        assert_eq!(
            world.answer(&client, SHOP).await,
            noerror(&[HEL]),
            "one region's set answers from the first query on"
        );
        assert_eq!(world.dns.history().len(), 1);
        assert_eq!(world.dns.history()[0].from, "controller.fsn");
    });
}

#[test]
fn a_set_without_contents_is_removed() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        world.dns.put(only(FSN));
        let gone = RecordSet { contents: vec![], ..only(FSN) };
        assert_eq!(client.publish(ZONE, &leads_to(), &[gone]).await, Outcome::Done(()));
        let Seen::Is(answer) = world.answer(&client, SHOP).await else { panic!() };
        assert_eq!(answer.code, "NXDOMAIN");
    });
}

#[test]
fn addresses_of_both_families_are_answered() {
    simulate(open(), vec![], |world| async move {
        let both = vec!["A \"pickclosest({'10.2.0.1'})\"".into(), "AAAA \"pickclosest({'2001:db8::1'})\"".into()];
        world.dns.put(RecordSet { contents: both, ..only(HEL) });
        assert_eq!(world.answer(&world.client(KEY), SHOP).await, noerror(&[HEL, "2001:db8::1"]));
        let seen = world.vantages().lookup("vantage1", SHOP).await.unwrap();
        assert_eq!(seen, [HEL.parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    });
}

#[test]
fn a_wrong_key_is_refused_and_named() {
    simulate(open(), vec![], |world| async move {
        let client = world.client("another");
        let Outcome::Refused(text) = client.publish(ZONE, &leads_to(), &[only(HEL)]).await else { panic!() };
        assert!(text.contains("X-API-Key") && text.contains("401"), "{text}");
        assert!(client.zone(ZONE, &names()).await.why().unwrap().contains("X-API-Key"));
        assert!(world.dns.history().is_empty());
    });
}

#[test]
fn a_zone_that_does_not_exist_is_missing() {
    simulate(open(), vec![], |world| async move {
        assert_eq!(world.client(KEY).zone("example.com", &names()).await, Seen::Missing);
    });
}

#[test]
fn a_rejected_set_is_refused_in_the_servers_words_and_changes_nothing() {
    simulate(open(), vec![], |world| async move {
        let outside = RecordSet { hostname: "shop.example.com".into(), ..only(HEL) };
        let Outcome::Refused(text) = world.client(KEY).publish(ZONE, &leads_to(), &[only(HEL), outside]).await else {
            panic!()
        };
        assert!(text.contains("422") && text.contains("out of zone"), "{text}");
        assert!(world.dns.record_sets().is_empty());
    });
}

/// H19.
#[test]
fn broken_lua_is_accepted_and_only_a_query_tells() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        for broken in ["pickfirst({'10.2.0.1'})", "pickclosest('http://h/', {'10.2.0.1'})"] {
            assert_eq!(client.publish(ZONE, &leads_to(), &[lua(broken)]).await, Outcome::Done(()));
            let Seen::Is(answer) = world.answer(&client, SHOP).await else { panic!() };
            assert_eq!((answer.code.as_str(), answer.addresses.len()), ("SERVFAIL", 0));
            assert_eq!(world.vantages().lookup("vantage1", SHOP).await, Err("SERVFAIL".into()));
        }
    });
}

/// H51: what can be known without a change, and no more.
#[test]
fn whether_the_zone_takes_a_set_is_tried_without_a_change() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        assert_eq!(client.takes(ZONE, &only(HEL)).await, Seen::Is(Ok(())));
        world.dns.make_lua_read_only(true);
        let Seen::Is(Err(cause)) = client.takes(ZONE, &only(HEL)).await else { panic!() };
        assert!(cause.contains("update of Lua records is not allowed") && !cause.contains("uplicate"), "{cause}");
        assert!(matches!(client.publish(ZONE, &leads_to(), &[only(HEL)]).await, Outcome::Refused(_)), "and so it is");
        world.dns.make_lua_read_only(false);
        let Seen::Is(Err(cause)) = client.takes(ZONE, &lua("unclosed\" quote")).await else { panic!() };
        assert!(cause.contains("422"), "{cause}");
        let stranger = world.client("another").takes(ZONE, &only(HEL)).await;
        assert!(matches!(&stranger, Seen::Is(Err(cause)) if cause.contains("X-API-Key")), "{stranger:?}");
        world.dns.refuse(Some(500));
        assert!(matches!(client.takes(ZONE, &only(HEL)).await, Seen::Unknown(_)));
        assert!(world.dns.history().is_empty() && world.dns.record_sets().is_empty());
    });
}

#[test]
fn a_disabled_record_stays_disabled() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        world.dns.put(set("A", FSN));
        world.dns.disable(SHOP, "A", "10.9.9.9");
        world.dns.disable("other.example.org", "A", "10.8.8.8");
        let standing = client.zone(ZONE, &names()).await.known().unwrap().records.clone();
        assert_eq!(standing, [set("A", FSN)], "what is not answered is not shown");
        let change = replacing(&[only(HEL)], &standing);
        assert_eq!(client.publish(ZONE, &leads_to(), &change).await, Outcome::Done(()));
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[HEL]));
        let back = replacing(&standing, &[only(HEL)]);
        assert_eq!(client.publish(ZONE, &leads_to(), &back).await, Outcome::Done(()));
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[FSN]));
        let mut disabled = world.dns.disabled_records();
        disabled.sort();
        let expected = [("other.example.org", "A", "10.8.8.8"), (SHOP, "A", "10.9.9.9")];
        assert_eq!(disabled, expected.map(|(name, kind, content)| (name.into(), kind.into(), content.into())));
    });
}

/// H51.
#[test]
fn a_zone_that_the_dns_side_has_not_noticed_is_flushed_with_the_first_write() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        world.dns.leave_unnoticed();
        let Seen::Is(answer) = world.answer(&client, SHOP).await else { panic!() };
        assert_eq!(answer.code, "REFUSED");
        assert_eq!(client.publish(ZONE, &leads_to(), &[only(HEL)]).await, Outcome::Done(()));
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[HEL]));
    });
}

#[test]
fn a_path_that_is_not_there_is_not_a_zone_that_is_not_there() {
    simulate(open(), vec![], |world| async move {
        let answered = world.client(KEY).zone("example.com", &names()).await;
        assert_eq!(answered, Seen::Missing);
        world.dns.refuse(Some(404));
        let answered = world.client(KEY).zone(ZONE, &names()).await;
        assert!(matches!(&answered, Seen::Unknown(cause) if cause.contains("no PowerDNS API")), "{answered:?}");
    });
}

/// One that still answers what was is where clients still go. As measured on 4.7.3: 20 s where LUA records stood.
#[test]
fn a_second_server_answers_what_its_caches_hold() {
    simulate(open(), vec![], |world| async move {
        let (client, second) = (world.client(KEY), world.address("dns2"));
        assert_eq!(client.publish(ZONE, &leads_to(), &[only(FSN)]).await, Outcome::Done(()));
        assert_eq!(client.answer(second, SHOP).await, noerror(&[FSN]));
        assert_eq!(client.publish(ZONE, &leads_to(), &[only(HEL)]).await, Outcome::Done(()));
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[HEL]));
        tokio::time::sleep(Duration::from_secs(19)).await;
        assert_eq!(client.answer(second, SHOP).await, noerror(&[FSN]));
        let both = BTreeSet::from([FSN, HEL].map(|address| address.parse().unwrap()));
        assert_eq!(world.dns.possible_answers(SHOP), Some(both), "what the world may be told");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(client.answer(second, SHOP).await, noerror(&[HEL]));
    });
}

/// Up to 40 s where plain records stood: who asks late is answered from what was made of a database answer as old.
#[test]
fn the_caches_of_a_second_server_add_up_for_plain_records() {
    simulate(open(), vec![], |world| async move {
        let (client, second) = (world.client(KEY), world.address("dns2"));
        world.dns.put(set("A", FSN));
        // An own question, whose packet is kept by itself.
        assert_eq!(client.answer(second, SHOP).await, noerror(&[FSN]));
        tokio::time::sleep(Duration::from_secs(19)).await;
        let asks = || dns_client::ask(&world.net, second.ip(), SHOP, RecordType::A, 7);
        assert_eq!(asks().await.unwrap().answers.len(), 1);
        assert_eq!(
            client.publish(ZONE, &leads_to(), &replacing(&[only(HEL)], &[set("A", FSN)])).await,
            Outcome::Done(())
        );
        tokio::time::sleep(Duration::from_secs(19)).await;
        assert_eq!(client.answer(second, SHOP).await, noerror(&[HEL]));
        let data = |answer: Message| format!("{:?}", answer.answers[0].data);
        assert!(data(asks().await.unwrap()).contains(FSN));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(data(asks().await.unwrap()).contains(HEL));
    });
}

fn of(hostname: &str, kind: &str, contents: &[&str]) -> RecordSet {
    let contents = contents.iter().map(|content| (*content).to_owned()).collect();
    RecordSet { hostname: hostname.into(), kind: kind.into(), ttl_seconds: 3_600, contents }
}

#[test]
fn the_servers_of_a_zone_are_those_that_it_names() {
    simulate(open(), vec![], |world| async move {
        let client = world.client_of_zone(&["vantage1"]);
        let why = |seen: Seen<Vec<std::net::SocketAddr>>| match seen {
            Seen::Unknown(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(why(client.authorities(ZONE).await).contains("has no NS records"));
        world.dns.put(of(ZONE, "NS", &["ns1.example.org.", "ns2.example.com."]));
        assert!(
            why(client.authorities(ZONE).await).contains("server ns1.example.org. is known"),
            "not even one is left out"
        );
        world.dns.put(of("ns1.example.org", "A", &["10.9.0.1", "10.9.0.2"]));
        // Out of the zone, so a resolver is asked, which knows this zone alone.
        let outside = why(client.authorities(ZONE).await);
        assert!(outside.contains("ns2.example.com.") && outside.contains("REFUSED"), "{outside}");
        world.dns.put(of(ZONE, "NS", &["ns1.example.org."]));
        let named = Seen::Is(vec!["10.9.0.1:53".parse().unwrap(), "10.9.0.2:53".parse().unwrap()]);
        assert_eq!(client.authorities(ZONE).await, named);
        world.dns.put(of("ns1.example.org", "A", &[]));
        world.dns.put(of("ns1.example.org", "LUA", &["A \"pickclosest({'10.9.0.1'})\""]));
        assert_eq!(client.authorities(ZONE).await, Seen::Is(vec!["10.9.0.1:53".parse().unwrap()]), "a resolver knows");
        world.dns.refuse(Some(500));
        assert!(why(client.authorities(ZONE).await).contains("500"));
    });
}

#[test]
fn what_the_resource_leaves_open_is_what_was_configured() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        assert_eq!(client.authorities(ZONE).await, Seen::Is(vec![world.address("dns")]));
    });
}

/// H20.
#[test]
fn ifurlup_over_both_regions_fails_over_by_itself() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        world.set_up(&[FSN, HEL]);
        world.dns.put(lua(&format!("ifurlup('http://h/', {{{{'{FSN}'}},{{'{HEL}'}}}})")));
        let mut first = BTreeSet::new();
        for _ in 0..20 {
            let Seen::Is(answer) = world.answer(&client, SHOP).await else { panic!() };
            first.extend(answer.addresses);
        }
        assert_eq!(first.len(), 2, "before its first check: a random one of all sets");
        tokio::time::sleep(ROUND).await;
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[FSN]));
        world.set_up(&[HEL]);
        tokio::time::sleep(ROUND).await;
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[HEL]));
        // H51: what it leads to is up.
        world.redirect(FSN, HEL);
        tokio::time::sleep(ROUND).await;
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[FSN]));
        let url = format!("http://{SHOP}/healthz");
        assert_eq!(client.health(&url, FSN.parse().unwrap()).await, Seen::Is(302));
        assert_eq!(client.health(&url, HEL.parse().unwrap()).await, Seen::Is(200));
        assert!(matches!(client.health(&url, "10.9.9.9".parse().unwrap()).await, Seen::Unknown(_)));
    });
}

#[test]
fn a_server_that_lies_is_found_out_by_the_query() {
    simulate(open(), vec![], |world| async move {
        let client = world.client(KEY);
        world.dns.put(only(FSN));
        world.dns.lie(true);
        assert_eq!(client.publish(ZONE, &leads_to(), &[only(HEL)]).await, Outcome::Done(()));
        assert_eq!(client.zone(ZONE, &names()).await.known().unwrap().records, [only(HEL)]);
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[FSN]));
        world.dns.lie(false);
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[HEL]));
    });
}

/// Answers every change after [`SLOW`], and counts those that are under way.
#[derive(Default)]
struct SlowChanges {
    under_way: Mutex<u32>,
}

const SLOW: Duration = Duration::from_secs(1);

impl Gate for SlowChanges {
    fn before(&self, asked: &Asked) -> Before {
        if !asked.changing {
            return Before::Apply;
        }
        let under_way = &mut *self.under_way.lock().expect("nothing panics while it holds the number");
        *under_way += 1;
        assert_eq!(*under_way, 1, "H51: of two at once, both may fail or both may stay");
        Before::Delay(SLOW)
    }

    fn after(&self, asked: &Asked, _: u16) -> After {
        *self.under_way.lock().expect("nothing panics while it holds the number") -= u32::from(asked.changing);
        After::Send
    }
}

#[test]
fn changes_are_made_one_at_a_time() {
    simulate(Arc::new(SlowChanges::default()), vec![], |world| async move {
        let client = world.client(KEY);
        let (one, other) = ([only(FSN)], [RecordSet { hostname: "other.example.org".into(), ..only(HEL) }]);
        let both = futures_util::future::join(
            client.publish(ZONE, &leads_to(), &one),
            client.publish(ZONE, &leads_to(), &other),
        )
        .await;
        assert_eq!(both, (Outcome::Done(()), Outcome::Done(())));
    });
}

/// Answers 500 to every change.
struct FailChanges;

impl Gate for FailChanges {
    fn before(&self, asked: &Asked) -> Before {
        if asked.changing { Before::Answer(500) } else { Before::Apply }
    }

    fn after(&self, _: &Asked, _: u16) -> After {
        After::Send
    }
}

#[test]
fn a_server_error_leaves_the_outcome_unknown_and_a_refused_connection_does_not() {
    simulate(Arc::new(FailChanges), vec![], |world| async move {
        let outcome = world.client(KEY).publish(ZONE, &leads_to(), &[only(HEL)]).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        // No program listens there.
        let outcome = world.client_at(API_PORT + 1, KEY).publish(ZONE, &leads_to(), &[only(HEL)]).await;
        assert!(matches!(outcome, Outcome::NotApplied(_)), "{outcome:?}");
        world.dns.refuse(Some(500));
        let outcome = world.client(KEY).publish(ZONE, &leads_to(), &[only(HEL)]).await;
        assert!(matches!(outcome, Outcome::NotApplied(_)), "what could not be read was not written: {outcome:?}");
    });
}

#[test]
fn a_server_that_is_gone_leaves_the_answer_unknown() {
    let faults: Faults = vec![(Duration::from_secs(1), |fabric| fabric.crash("dns"))];
    simulate(open(), faults, |world| async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(matches!(world.answer(&world.client(KEY), SHOP).await, Seen::Unknown(_)));
    });
}

#[test]
fn the_zone_survives_a_crash_of_the_server() {
    let faults: Faults = vec![
        (Duration::from_secs(2), |fabric| fabric.crash("dns")),
        (Duration::from_secs(3), |fabric| fabric.restart("dns")),
    ];
    simulate(open(), faults, |world| async move {
        let client = world.client(KEY);
        assert_eq!(client.publish(ZONE, &leads_to(), &[only(HEL)]).await, Outcome::Done(()));
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[HEL]));
    });
}

#[test]
fn a_vantage_keeps_an_answer_for_its_time_to_live_and_no_longer() {
    simulate(open(), vec![], |world| async move {
        let vantages = world.vantages();
        let (fsn, hel): (Vec<IpAddr>, Vec<IpAddr>) = (vec![FSN.parse().unwrap()], vec![HEL.parse().unwrap()]);
        world.dns.put(only(FSN));
        assert_eq!(vantages.lookup("vantage1", SHOP).await, Ok(fsn.clone()));
        world.dns.put(only(HEL));
        assert_eq!(vantages.lookup("vantage1", SHOP).await, Ok(fsn.clone()), "cached");
        assert_eq!(vantages.lookup("vantage2", SHOP).await, Ok(hel.clone()), "not cached");
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(vantages.lookup("vantage1", SHOP).await, Ok(hel));
        world.vantages[1].keep_overdue(Duration::from_secs(3600));
        world.dns.put(only(FSN));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(vantages.lookup("vantage1", SHOP).await, Ok(fsn.clone()));
        assert_ne!(vantages.lookup("vantage2", SHOP).await, Ok(fsn), "older than its time to live");
    });
}

#[test]
fn a_vantage_that_is_cut_off_costs_three_seconds_and_answers_again_once_repaired() {
    let faults: Faults = vec![
        (Duration::from_secs(1), |fabric| fabric.partition("controller.fsn", "vantage1")),
        (Duration::from_secs(10), |fabric| fabric.repair("controller.fsn", "vantage1")),
    ];
    simulate(open(), faults, |world| async move {
        let vantages = world.vantages();
        world.dns.put(only(HEL));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = world.net.now();
        assert!(vantages.lookup("vantage1", SHOP).await.is_err());
        let took = world.net.now() - began;
        assert!((2900..=3100).contains(&took.as_millis()), "{took:?}");
        assert!(vantages.lookup("vantage2", SHOP).await.is_ok());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(vantages.lookup("vantage1", SHOP).await.is_ok());
    });
}

#[test]
fn a_vantage_cut_off_from_the_authoritative_server_says_servfail() {
    let faults: Faults = vec![(Duration::from_secs(1), |fabric| fabric.partition("dns", "vantage1"))];
    simulate(open(), faults, |world| async move {
        world.dns.put(only(HEL));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(world.vantages().lookup("vantage1", SHOP).await, Err("SERVFAIL".into()));
    });
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_over_a_stream() {
    simulate(open(), vec![], |world| async move {
        let contents: Vec<String> = (0..200).map(|i| format!("10.9.0.{i}")).collect();
        world.dns.put(RecordSet { contents, ..set("A", "") });
        assert_eq!(world.vantages().lookup("vantage1", SHOP).await.unwrap().len(), 200);
    });
}

/// Loses the answer to the first change.
struct LoseFirst(Mutex<bool>);

impl Gate for LoseFirst {
    fn before(&self, _: &Asked) -> Before {
        Before::Apply
    }

    fn after(&self, asked: &Asked, status: u16) -> After {
        assert_eq!(asked.server, "dns");
        let lost = &mut *self.0.lock().expect("nothing panics while it holds the flag");
        if asked.changing && status == 204 && !*lost {
            assert_eq!(asked.what, "zones/example.org");
            *lost = true;
            return After::Lose;
        }
        After::Send
    }
}

#[test]
fn a_change_whose_answer_is_lost_was_applied_all_the_same() {
    simulate(Arc::new(LoseFirst(Mutex::default())), vec![], |world| async move {
        let client = world.client(KEY);
        let sets = [only(HEL)];
        let hel = leads_to();
        let attempt = tokio::time::timeout(Duration::from_secs(5), client.publish(ZONE, &hel, &sets));
        assert!(attempt.await.is_err(), "no answer within the caller's limit");
        assert_eq!(world.answer(&client, SHOP).await, noerror(&[HEL]));
        assert_eq!(client.publish(ZONE, &leads_to(), &sets).await, Outcome::Done(()), "and may be repeated");
    });
}
