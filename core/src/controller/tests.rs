//! What a replica does that waits. What a leading one does is staged in the simulated world.

use super::*;
use crate::observe::{ClusterView, Role, RouteView};
use crate::ports::{Cache, ClusterChange};
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::{EndResult, Kind, Record};
use crate::requests::{key_of, keyed};
use crate::sequencer::{Begun, ExecuteOrder, FailbackAnswer, OperationError};
use crate::spec::{Invalid, LeaseKind, NamedHalves, SwitchoverRequest};
use crate::testing::outside::Outside;
use crate::testing::witness::{Call, Witness};
use crate::testing::{Bench, HandClock};
use crate::transition::{self, Edit, Ending, Order};
use async_trait::async_trait;
use serde_json::json;

/// A controller of the region that holds the record, which waits.
struct Rig {
    bench: Bench<'static>,
    witness: Arc<Witness>,
    outside: Arc<Outside>,
    controller: Arc<Controller>,
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(HandClock::default());
        let witness = Witness::new(&clock, Some(fixture::record()));
        let outside = Arc::new(Outside::default());
        let controller = outside.controller(&witness, &clock, Options::default());
        let controller = Arc::new(controller.waiting());
        let mut bench = Bench::new(&clock);
        let running = controller.clone();
        bench.spawn(async move { running.run().await });
        bench.run(Duration::from_secs(60));
        Self { bench, witness, outside, controller }
    }

    /// What was written to its own copy since it was asked last.
    fn written(&self) -> Vec<Value> {
        std::mem::take(&mut self.outside.copy.lock().unwrap())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let read = self.witness.calls().iter().all(|(_, call)| *call == Call::Read);
        assert!(read || std::thread::panicking(), "who waits writes nothing to the witness");
        assert!(self.outside.writes.lock().unwrap().is_empty());
    }
}

#[test]
fn a_replica_that_waits_reads_and_writes_nothing() {
    let rig = Rig::new();
    assert!(rig.written().is_empty());
    assert_eq!(rig.controller.record().as_deref(), Some(&fixture::record()), "it knows what its answers need");
}

#[test]
fn an_order_to_a_replica_that_waits_is_left_for_the_one_that_leads() {
    let mut rig = Rig::new();
    let controller = rig.controller.clone();
    let order = ExecuteOrder {
        requested_by: Some("jane".into()),
        confirmed: Some("0123456789abcdef".into()),
        key: Some("a-key".into()),
        ..ExecuteOrder::default()
    };
    let begun = rig.bench.finish(async move { controller.sequencer().order(&hel(), &order).await }).unwrap();
    let Begun::Following(what) = begun else { panic!("{begun:?}") };
    assert_eq!((what.id(), what.request()), ("", Some("a-key")));
    let written = rig.written();
    let [patch] = &written[..] else { panic!("{written:?}") };
    assert_eq!(patch["switchover"]["targetRegion"], "hel");
    assert_eq!(patch["switchover"]["requestedBy"], "jane");
    assert_eq!(patch["switchover"]["confirmedFingerprint"], "0123456789abcdef", "who leads judges it");

    let controller = rig.controller.clone();
    let order = ExecuteOrder::default();
    let begun = rig.bench.finish(async move { controller.sequencer().order_failback(&order).await }).unwrap();
    assert!(matches!(&begun, Begun::Following(what) if what.request().is_some()), "{begun:?}");
    let written = rig.written();
    let failback = &written[0]["failback"];
    assert_eq!(failback["requested"], true);
    assert_eq!(failback.get("confirmedFingerprint"), Some(&json!(null)), "of an earlier request nothing is left");
}

/// The order of a move to hel, given with the key `one` and this body.
fn keyed_order(body: &str) -> ExecuteOrder {
    ExecuteOrder { key: Some(keyed("one", body.as_bytes())), ..ExecuteOrder::default() }
}

#[test]
fn what_an_order_became_is_known_by_its_key_wherever_it_was_given() {
    let request = keyed_order("a").key.unwrap();
    let order = Order {
        plan: fixture::plan(),
        kind: Kind::Planned,
        request: Some(request.clone()),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let written = |edit: Edit| match edit {
        Edit::Write(record) => *record,
        other => panic!("{other:?}"),
    };
    let under_way = written(transition::begin(&fixture::record(), &fsn(), &order));
    let intent = under_way.intent.clone().unwrap();
    let ending = Ending {
        result: EndResult::Undone,
        now: jiff::Timestamp::UNIX_EPOCH,
        acknowledged: false,
        write_gap_ms: None,
        took_ms: None,
    };
    let ended = written(transition::end(&under_way, &fsn(), &intent.id, &ending));
    let long_ended = Record { last: None, ..ended.clone() };
    let refused = written(transition::refuse(&fixture::record(), &fsn(), &request, None));
    let mut standing = fixture::copy();
    Arc::make_mut(standing.spec.as_mut().unwrap()).switchover = Some(SwitchoverRequest {
        target: hel(),
        requested_at: jiff::Timestamp::UNIX_EPOCH,
        key: Some(request.clone()),
        requested_by: None,
        reason: None,
        confirmed: None,
    });
    let of_older_version = Record { served: vec![key_of(&request).to_owned()], ..fixture::record() };
    for (what, record, copy, answer, is_known) in [
        ("under way", under_way, None, (intent.id.as_str(), None), true),
        ("ended", ended, None, (&intent.id, None), true),
        ("long ended", long_ended, None, ("", Some(request.as_str())), true),
        ("refused", refused, None, ("", Some(request.as_str())), true),
        ("left in the resource", fixture::record(), Some(standing), ("", Some(request.as_str())), true),
        ("of an older version", of_older_version, None, ("", Some(key_of(&request))), false),
    ] {
        let mut rig = Rig::new();
        rig.witness.change(|now| *now = record);
        *rig.outside.copy_read.lock().unwrap() = copy.map(Seen::Is);
        let mut give = |body: &str| {
            let (controller, order) = (rig.controller.clone(), keyed_order(body));
            rig.bench.finish(async move { controller.sequencer().order(&hel(), &order).await })
        };
        let Ok(Begun::Following(again)) = give("a") else { panic!("{what}") };
        assert_eq!((again.id(), again.request()), answer, "{what}");
        let other = give("b");
        assert_eq!(matches!(other, Err(OperationError::KeyOfAnother { .. })), is_known, "{what}: {other:?}");
        assert!(rig.written().is_empty(), "{what}");
    }
}

#[test]
fn an_answer_to_a_replica_that_waits_is_judged_by_the_record() {
    let mut rig = Rig::new();
    let controller = rig.controller.clone();
    let answer = async move { controller.sequencer().answer_failback("shop/shop/4.1", &FailbackAnswer::Refuse).await };
    let refused = rig.bench.finish(answer).unwrap_err();
    assert!(refused.to_string().contains("no failback waits"), "{refused}");
    let controller = rig.controller.clone();
    rig.witness.change(|record| {
        record.pending = Some(fixture::pending());
    });
    let answer = async move { controller.sequencer().answer_failback("shop/shop/4.1", &FailbackAnswer::Refuse).await };
    assert_eq!(rig.bench.finish(answer), Ok(()));
    assert_eq!(rig.written(), [json!({ "failback": { "refused": true, "answered": "shop/shop/4.1" } })]);
}

/// Watches that tell of a standby that was made primary, and of a request.
struct Late(Arc<Outside>);

#[async_trait]
impl Cache for Late {
    fn cluster(&self, region: &Region, _: &ObjectName) -> Option<Seen<ClusterView>> {
        let claim = self.0.claims.lock().unwrap().get(region).cloned();
        let mut view = ClusterView { claim, ..fixture::cluster(region) };
        if *region == hel() {
            (view.role, view.primary_name) = (Role::Primary, Some(view.self_name.clone()));
        }
        Some(Seen::Is(view))
    }

    fn route(&self, _: &Region, _: &ObjectName) -> Option<Seen<RouteView>> {
        None
    }

    fn clusters_told(&self, _: &ObjectName) -> Option<u64> {
        Some(0)
    }

    async fn clusters_told_more(&self, _: &ObjectName, _: u64) {
        std::future::pending().await
    }

    fn copy_told(&self, _: &Region) -> Option<u64> {
        Some(0)
    }

    async fn copy_told_more(&self, _: &Region, _: u64) {
        std::future::pending().await
    }

    fn copy(&self, region: &Region) -> Option<Seen<CopyView>> {
        let read = self.0.copy_read.lock().unwrap().clone();
        let mut copy = read.and_then(|seen| seen.known().cloned()).unwrap_or_else(fixture::copy);
        if let (Ok(spec), true) = (&mut copy.spec, *region == fsn()) {
            Arc::make_mut(spec).switchover = Some(SwitchoverRequest {
                target: hel(),
                requested_at: jiff::Timestamp::UNIX_EPOCH,
                key: None,
                requested_by: None,
                reason: None,
                confirmed: None,
            });
        }
        Some(Seen::Is(copy))
    }
}

/// A controller of fsn that runs and is told by `Late` watches.
struct Misled {
    bench: Bench<'static>,
    witness: Arc<Witness>,
    outside: Arc<Outside>,
    controller: Arc<Controller>,
}

impl Misled {
    fn new(outside: Outside) -> Self {
        let clock = Arc::new(HandClock::default());
        let witness = Witness::new(&clock, Some(fixture::record()));
        let outside = Arc::new(outside);
        let mut observers = outside.observers(&witness);
        observers.cache = Some(Arc::new(Late(outside.clone())));
        *outside.witness.lock().unwrap() = Some(witness.clone());
        let (dry, actors) = (outside.observers(&witness), outside.actors(&witness));
        let controller =
            Controller::new(fsn(), fixture::shop(), clock.clone(), observers, dry, actors, Options::default());
        let controller = Arc::new(controller);
        let mut bench = Bench::new(&clock);
        let running = controller.clone();
        bench.spawn(async move { running.run().await });
        Self { bench, witness, outside, controller }
    }
}

#[test]
fn nothing_is_done_for_what_watches_alone_tell() {
    let Misled { mut bench, witness, outside, controller } = Misled::new(Outside::default());
    bench.run(Duration::from_secs(120));
    // The fixture's halves carry no claim, which is the holder's to write.
    let claims = outside.writes.lock().unwrap().iter().all(|(write, _)| write.change == ClusterChange::Claim);
    assert!(claims, "no half is told anything");
    assert_eq!(witness.record().served, fixture::record().served, "no request is answered");
    assert!(witness.record().intent.is_none());
    assert!(controller.driver.as_ref().unwrap().progress().interference.is_empty(), "nobody is accused");
}

#[test]
fn nothing_is_kept_by_a_copy_that_is_gone_though_watches_tell_of_it() {
    let Misled { mut bench, outside, .. } =
        Misled::new(Outside { copy_read: Some(Seen::Missing).into(), ..Outside::default() });
    bench.run(Duration::from_secs(120));
    assert!(outside.writes.lock().unwrap().is_empty());
}

#[test]
fn a_free_record_is_not_taken_while_the_other_copy_names_another_kind_of_witness() {
    let mut other = fixture::copy();
    Arc::make_mut(other.spec.as_mut().unwrap()).lease.kind = LeaseKind::NatsKv;
    let outside = Outside { other_copy_read: Some(Seen::Is(other)).into(), ..Outside::default() };
    let Misled { mut bench, witness, outside, controller } = Misled::new(outside);
    witness.change(|record| record.holder = None);
    bench.run(Duration::from_secs(60));
    assert_eq!(witness.record().holder, None);
    let waiting = controller.driver.as_ref().unwrap().progress().waiting.unwrap();
    assert!(waiting.contains("the copy in hel names another kind of witness than k8s-lease"), "{waiting}");
    // Whoever does not answer says nothing against it.
    *outside.other_copy_read.lock().unwrap() = Some(Seen::Unknown("no answer".into()));
    bench.run(Duration::from_secs(60));
    assert_eq!(witness.record().holder, Some(fsn()));
}

#[test]
fn two_regions_that_lead_to_one_server_are_told() {
    let outside = Outside { other_copy_read: Some(Seen::Is(fixture::copy())).into(), ..Outside::default() };
    let Misled { mut bench, outside, .. } = Misled::new(outside);
    bench.run(Duration::from_secs(20));
    let written = outside.copy.lock().unwrap();
    let why = "fsn and hel lead to the same API server";
    let told = |patch: &&Value| patch["phase"] == "Failed" && patch["conditions"].to_string().contains(why);
    assert!(written.iter().rev().find(|patch| patch.get("phase").is_some()).as_ref().is_some_and(told), "{written:?}");
}

#[test]
fn a_kind_that_changed_while_it_was_kept_leaves_the_register_that_is_held_and_is_told() {
    let Misled { mut bench, witness, outside, controller } = Misled::new(Outside::default());
    bench.run(Duration::from_secs(60));
    let mut copy = fixture::copy();
    let spec = Arc::make_mut(copy.spec.as_mut().unwrap());
    spec.lease.kind = LeaseKind::NatsKv;
    let why = controller.unavailable(spec).unwrap();
    assert!(why.contains("leaseClient.kind was k8s-lease and is nats-kv now"), "{why}");
    *outside.copy_read.lock().unwrap() = Some(Seen::Is(copy));
    let renewal = witness.record().renewal;
    bench.run(Duration::from_secs(60));
    assert!(witness.record().renewal > renewal, "who lets go of it leaves the pair to nobody");
    assert!(controller.followed().is_none(), "no request is served by it");
    witness.change(|record| record.holder = None);
    bench.run(Duration::from_secs(60));
    assert_eq!(witness.record().holder, None, "and nothing is taken");
}

#[test]
fn a_half_that_the_spec_names_no_more_is_in_nobodys_way() {
    let Misled { mut bench, witness, outside, controller } = Misled::new(Outside::default());
    bench.run(Duration::from_secs(60));
    let mut copy = fixture::copy();
    Arc::make_mut(copy.spec.as_mut().unwrap()).standbys = vec![Region::new("sin")];
    *outside.copy_read.lock().unwrap() = Some(Seen::Is(copy));
    witness.change(|record| record.holder = None);
    bench.run(Duration::from_secs(20));
    assert_eq!(witness.record().holder, Some(fsn()), "{:?}", controller.driver.as_ref().unwrap().progress());
    let halves = controller.shared().halves.keys().cloned().collect::<Vec<_>>();
    assert_eq!(halves, [fsn(), Region::new("sin")]);
}

#[test]
fn halves_that_change_places_are_the_same_and_a_status_waits_for_a_look_at_others() {
    let Misled { mut bench, outside, controller, .. } = Misled::new(Outside::default());
    bench.run(Duration::from_secs(60));
    let phases = |outside: &Outside| {
        let patches = std::mem::take(&mut *outside.copy.lock().unwrap());
        patches.iter().filter_map(|patch| patch["phase"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    phases(&outside);
    let known = |controller: &Controller| controller.shared().halves.keys().cloned().collect::<Vec<_>>();
    *outside.looks_hang.lock().unwrap() = true;
    let mut copy = fixture::copy();
    let spec = Arc::make_mut(copy.spec.as_mut().unwrap());
    spec.standbys = vec![std::mem::replace(&mut spec.primary, hel())];
    *outside.copy_read.lock().unwrap() = Some(Seen::Is(copy.clone()));
    bench.run(Duration::from_millis(6500));
    assert_eq!(known(&controller), [fsn(), hel()], "who leads is not whom the spec names first");

    Arc::make_mut(copy.spec.as_mut().unwrap()).pair = Some(ObjectName::new("shop", "another"));
    *outside.copy_read.lock().unwrap() = Some(Seen::Is(copy.clone()));
    phases(&outside);
    bench.run(Duration::from_millis(2500));
    assert_eq!(phases(&outside), [""; 0], "nothing is known of those");
    *outside.looks_hang.lock().unwrap() = false;
    bench.run(Duration::from_secs(10));
    assert_eq!(known(&controller), [fsn(), hel()]);
}

#[test]
fn what_is_known_of_the_halves_outlives_a_copy_that_cannot_be_followed() {
    let Misled { mut bench, outside, controller, .. } = Misled::new(Outside::default());
    bench.run(Duration::from_secs(60));
    let invalid = Invalid { path: "spec.rto".into(), message: "is no duration".into() };
    let unusable = CopyView { spec: Err(invalid), ..fixture::copy() };
    for unread in [Seen::Is(unusable), Seen::Unknown("no answer".into())] {
        *outside.copy_read.lock().unwrap() = Some(unread);
        for _ in 0..40 {
            bench.run(Duration::from_millis(300));
            assert_eq!(controller.shared().halves.len(), 2);
        }
        *outside.copy_read.lock().unwrap() = None;
        bench.run(Duration::from_secs(10));
    }
}

#[test]
fn what_is_known_of_a_half_stays_as_long_as_it_is_named() {
    let Misled { mut bench, controller, .. } = Misled::new(Outside::default());
    bench.run(Duration::from_secs(60));
    let named = |pair: &str, regions: &[Region]| NamedHalves {
        pair: ObjectName::new("shop", pair),
        regions: regions.iter().cloned().collect(),
    };
    let known = || controller.shared().halves.keys().cloned().collect::<Vec<_>>();
    let pair = fixture::spec().pair.unwrap().name;
    controller.keep_halves_of(Some(&named(&pair, &[hel(), fsn()])));
    assert_eq!(known(), [fsn(), hel()]);
    controller.keep_halves_of(Some(&named(&pair, &[fsn(), Region::new("sin")])));
    assert_eq!(known(), [fsn()]);
    controller.keep_halves_of(Some(&named("another", &[fsn(), hel()])));
    assert_eq!(known(), []);
}
