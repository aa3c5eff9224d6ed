//! Each of the twelve types as core makes it, into the stream and back: with its headers, its body and its fields.

use super::{Ports, Server};
use continuum_core::audit::{self, About, Event, EventBody, EventQuery, EventType};
use continuum_core::name::{ObjectName, Region};
use continuum_core::plan::Plan;
use continuum_core::ports::Outcome;
use continuum_core::record::{Intent, Kind, Pending, Record};
use continuum_core::transition::{self, Edit, Order};
use continuum_live::resource::parse_spec;
use continuum_sim::world::WorldOptions;
use continuum_sim::world::objects::{APPLICATION, NAMESPACE, continuum};
use jiff::Timestamp;
use serde_json::Value;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn shop() -> ObjectName {
    ObjectName::new(NAMESPACE, APPLICATION)
}

/// A failback to fsn that begins.
fn intent(plan: Plan) -> Intent {
    let hel = plan.from.clone();
    let held = Record { holder: Some(hel.clone()), generation: 4, ..Record::free(30) };
    let order = Order { plan, kind: Kind::Failback, request: None, now: AT };
    let Edit::Write(begun) = transition::begin(&held, &hel, &order) else { panic!("nothing keeps it from beginning") };
    *begun.intent.expect("it began")
}

/// One of each type, in the order of their list.
fn one_of_each() -> Vec<Event> {
    let (name, fsn, hel) = (shop(), Region::new("fsn"), Region::new("hel"));
    let spec = parse_spec(&continuum(&WorldOptions::default())).expect("a resource without mistakes");
    let mut turned = spec.clone();
    (turned.primary, turned.standbys) = (hel.clone(), vec![fsn.clone()]);
    let plan = Plan::new(&name, &turned, &fsn, Some("failback"), Some("alice")).expect("a valid plan");
    let about = About { continuum: &name, application: &spec.application };
    let intent = intent(plan);
    let pending = Pending {
        id: intent.id.clone(),
        to: fsn.clone(),
        requested_by: "alice".into(),
        reason: "failback".into(),
        request: None,
        since: AT,
        timeout_seconds: 3600,
        approval_required: true,
        fingerprint: String::new(),
        extra: Default::default(),
    };
    vec![
        audit::switchover(&intent, AT),
        audit::failback_pending(about, &pending, &hel),
        audit::failback_completed(&intent, AT),
        audit::lease_lost(about, &fsn, (4, 17), AT),
        audit::lease_acquired(about, &hel, 5, AT),
        audit::lag_breach(about, &fsn, (61, 60), "4.17", AT),
        audit::promotable(&intent, Some(0), AT),
        audit::step_failed(&intent, 4, "timed out after 5 s", AT),
        audit::reconcile_success(about, &fsn, "4.18", AT),
        audit::cr_created(about, &spec, &fsn, "uid-1", AT),
        audit::config_changed(about, &spec, (&fsn, 3), ("aaaa", "bbbb"), AT),
        audit::lease_collision(about, &fsn, &hel, 5, AT),
    ]
}

pub async fn each_of_the_twelve_types_is_published_and_read_back_as_it_was(ports: &dyn Ports, server: &dyn Server) {
    let events = one_of_each();
    let kinds: Vec<EventType> = events.iter().map(|event| event.body.kind).collect();
    assert_eq!(kinds, EventType::ALL);
    for (sequence, event) in (1..).zip(&events) {
        assert_eq!(ports.publish(event).await, Outcome::Done(sequence), "{event:?}");
    }
    let ids: Vec<&str> = events.iter().map(|event| event.message_id.as_str()).collect();
    assert_eq!(server.ids().await, ids);
    for (sequence, event) in (1..).zip(&events) {
        let kind = event.body.kind.as_str();
        let headers = [
            ("Nats-Msg-Id", event.message_id.as_str()),
            ("application-name", "shop"),
            ("audit-type", kind),
            ("continuum-name", "shop/shop"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(server.headers(sequence).await, headers, "{kind}");
        let body = server.body(sequence).await;
        assert_eq!(EventBody::parse(body.as_bytes()).unwrap(), event.body, "{kind}");
        let fields: Value = serde_json::from_str(&body).unwrap();
        let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
        assert!(fields.as_object().unwrap().values().all(|value| !empty(value)), "empty fields are left out: {body}");
        let query = EventQuery {
            continuum: shop(),
            kind: event.body.kind,
            from: event.body.from_primary.clone(),
            to: event.body.to_primary.clone(),
            message_id: None,
            window_seconds: 300,
        };
        assert_eq!(ports.find(&query).await.unwrap().unwrap().sequence, sequence, "{kind}");
    }
}
