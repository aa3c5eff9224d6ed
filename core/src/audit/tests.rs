//! Wire strings, bodies and ids of the events.

use super::*;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::{Direction, Former, Kind};
use serde_json::json;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn about<'a>(name: &'a ObjectName) -> About<'a> {
    About { continuum: name, application: "shop" }
}

fn intent() -> Intent {
    let plan = fixture::plan();
    Intent {
        id: "shop/shop/4.2".into(),
        kind: Kind::Planned,
        fingerprint: plan.fingerprint(),
        plan,
        request: None,
        approved_by: None,
        started_at: AT,
        began_generation: 4,
        direction: Direction::Forward,
        token: None,
        token_before: None,
        eligible: None,
        former: Former::default(),
        beat_before: None,
        redone: 0,
        promoted_with: None,
        handed_over_at: None,
        steps: Default::default(),
        extra: Default::default(),
    }
}

fn pending() -> Pending {
    Pending {
        id: "shop/shop/4.3".into(),
        to: fsn(),
        requested_by: "ops".into(),
        reason: "failback".into(),
        request: None,
        since: AT,
        timeout_seconds: 3600,
        approval_required: true,
        fingerprint: String::new(),
        extra: Default::default(),
    }
}

/// One of each type, in order.
fn one_of_each() -> Vec<Event> {
    let (name, spec) = (fixture::shop(), fixture::spec());
    let about = about(&name);
    vec![
        switchover(&intent(), AT),
        failback_pending(about, &pending(), &hel()),
        failback_completed(&intent(), AT),
        lease_lost(about, &fsn(), (4, 17), AT),
        lease_acquired(about, &hel(), 5, AT),
        lag_breach(about, &fsn(), (61, 60), "4.17", AT),
        promotable(&intent(), Some(0), AT),
        step_failed(&intent(), 4, "timed out after 5 s", AT),
        reconcile_success(about, &fsn(), "2", AT),
        cr_created(about, &spec, &fsn(), "uid-1", AT),
        config_changed(about, &spec, (&fsn(), 3), ("aaaa", "bbbb"), AT),
        lease_collision(about, &fsn(), &hel(), 5, AT),
    ]
}

#[test]
fn wire_strings_are_pinned_in_order() {
    let wire: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(
        wire,
        [
            "continuum-switchover",
            "continuum-failback-pending",
            "continuum-failback-completed",
            "continuum-lease-lost",
            "continuum-lease-acquired",
            "continuum-cnpg-lag-breach",
            "continuum-cnpg-promotable",
            "continuum-error",
            "continuum-reconcile-success",
            "continuum-cr-created",
            "continuum-config-changed",
            "continuum-lease-collision"
        ]
    );
    for kind in EventType::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert_eq!(EventType::parse(kind.as_str()).unwrap(), kind);
    }
}

#[test]
fn a_type_that_is_not_reserved_is_refused() {
    for unknown in ["", "continuum", "continuum-switchover-requested", "Continuum-switchover"] {
        assert!(matches!(EventType::parse(unknown), Err(InvalidEvent::UnknownType(_))), "{unknown}");
    }
    let body =
        json!({"type": "continuum-failback-approved", "continuumName": "a/b", "timestamp": "1970-01-01T00:00:00Z"});
    assert!(matches!(EventBody::parse(body.to_string().as_bytes()), Err(InvalidEvent::UnknownType(_))));
}

#[test]
fn every_type_has_a_valid_event_that_survives_a_round_trip() {
    let events = one_of_each();
    let kinds: Vec<EventType> = events.iter().map(|event| event.body.kind).collect();
    assert_eq!(kinds, EventType::ALL);
    for event in events {
        event.body.check().unwrap();
        let json = serde_json::to_vec(&event.body).unwrap();
        assert_eq!(EventBody::parse(&json).unwrap(), event.body);
    }
}

#[test]
fn type_name_and_time_are_required() {
    let whole = json!({"type": "continuum-error", "continuumName": "a/b", "timestamp": "1970-01-01T00:00:00Z"});
    EventBody::parse(whole.to_string().as_bytes()).unwrap();
    for field in ["type", "continuumName", "timestamp"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(field);
        assert!(EventBody::parse(body.to_string().as_bytes()).is_err(), "{field}");
    }
    let unnamed = json!({"type": "continuum-error", "continuumName": "", "timestamp": "1970-01-01T00:00:00Z"});
    assert!(matches!(EventBody::parse(unnamed.to_string().as_bytes()), Err(InvalidEvent::Name(_))));
}

#[test]
fn empty_fields_are_left_out_and_a_lag_of_0_is_kept() {
    let json = serde_json::to_value(&promotable(&intent(), Some(0), AT).body).unwrap();
    assert_eq!(
        json,
        json!({
            "type": "continuum-cnpg-promotable",
            "continuumName": "shop/shop",
            "applicationName": "shop",
            "fromPrimary": "fsn",
            "lagSeconds": 0,
            "reason": "promotable",
            "message": "standby hel can be promoted, 0s behind",
            "initiatedBy": "controller",
            "timestamp": "1970-01-01T00:00:00Z"
        })
    );
    let unmeasured = serde_json::to_value(&promotable(&intent(), None, AT).body).unwrap();
    assert_eq!(unmeasured.get("lagSeconds"), None);
}

#[test]
fn a_switchover_names_from_to_reason_and_step() {
    let json = serde_json::to_value(&switchover(&intent(), AT).body).unwrap();
    assert_eq!(
        json,
        json!({
            "type": "continuum-switchover",
            "continuumName": "shop/shop",
            "applicationName": "shop",
            "fromPrimary": "fsn",
            "toPrimary": "hel",
            "step": "7/7",
            "reason": "operator-requested",
            "message": "switchover fsn → hel completed",
            "initiatedBy": "controller",
            "timestamp": "1970-01-01T00:00:00Z"
        })
    );
}

#[test]
fn the_messages_are_the_contracts() {
    let texts: Vec<(String, String)> =
        one_of_each().into_iter().map(|event| (event.body.reason, event.body.message)).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(reason, message)| (reason.as_str(), message.as_str())).collect();
    assert_eq!(
        texts,
        [
            ("operator-requested", "switchover fsn → hel completed"),
            ("approval-pending", "failback hel → fsn waits for approval"),
            ("approval-granted", "failback fsn → hel completed"),
            ("lease-lost", "lost lease of region \"fsn\" (gen 4)"),
            ("lease-acquire", "acquired lease for region \"hel\" (gen 5)"),
            ("lag-breach", "replication lag 61s > RTO 60s"),
            ("promotable", "standby hel can be promoted, 0s behind"),
            ("step-failed", "step-4 (flip-dns): timed out after 5 s"),
            ("ok", ""),
            ("cr-observed", "primaryRegion=fsn, hotStandby=[hel]"),
            ("config-drift", "prev=aaaa cur=bbbb primaryRegion=fsn, hotStandby=[hel]"),
            ("lease-collision", "ErrLeaseHeldByAnother: held by \"hel\" (gen 5)"),
        ]
    );
}

#[test]
fn an_invalid_plan_fails_at_step_1() {
    let name = fixture::shop();
    let event = request_failed(
        about(&name),
        "0123456789abcdef",
        &hel(),
        Some("ops"),
        (1, "step-1 (validate-lease): invalid plan"),
        AT,
    );
    assert_eq!((event.body.step.as_str(), event.body.reason.as_str()), ("1/7", "step-failed"));
    assert_eq!(event.body.message, "step-1 (validate-lease): invalid plan");
    assert_eq!(event.body.initiated_by, "ops");
}

#[test]
fn message_ids_are_made_from_durable_facts() {
    let later: Timestamp = "2026-11-24T16:50:25Z".parse().unwrap();
    assert_eq!(switchover(&intent(), AT).message_id, switchover(&intent(), later).message_id);
    let ids: Vec<String> = one_of_each().into_iter().map(|event| event.message_id).collect();
    assert_eq!(
        ids,
        [
            "continuum-switchover:shop/shop:shop/shop/4.2",
            "continuum-failback-pending:shop/shop:shop/shop/4.3",
            "continuum-failback-completed:shop/shop:shop/shop/4.2",
            "continuum-lease-lost:shop/shop:4.17",
            "continuum-lease-acquired:shop/shop:5",
            "continuum-cnpg-lag-breach:shop/shop:fsn:4.17",
            "continuum-cnpg-promotable:shop/shop:shop/shop/4.2",
            "continuum-error:shop/shop:shop/shop/4.2:4",
            "continuum-reconcile-success:shop/shop:2",
            "continuum-cr-created:shop/shop:fsn:uid-1",
            "continuum-config-changed:shop/shop:fsn:3:aaaa:bbbb",
            "continuum-lease-collision:shop/shop:fsn:5",
        ]
    );
}

#[test]
fn headers_carry_id_type_and_names() {
    let event = switchover(&intent(), AT);
    assert_eq!(
        event.headers(),
        [
            ("Nats-Msg-Id", "continuum-switchover:shop/shop:shop/shop/4.2"),
            ("audit-type", "continuum-switchover"),
            ("continuum-name", "shop/shop"),
            ("application-name", "shop"),
        ]
    );
}
