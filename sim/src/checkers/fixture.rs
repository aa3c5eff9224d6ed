//! A hand-made ground truth: one switchover from fsn to hel that went well, 100 s long.

use crate::ground::{
    DnsGround, DryRunGround, Ground, LeaseWrite, MayBeLeft, Message, RegionGround, Replication, RunGround,
};
use crate::moments::{Moments, Move};
use crate::servers::kube_api::{CLUSTERS, Change, ChangeEvent, HTTP_ROUTES, Resource};
use crate::servers::postgres::{Control, Entry, Event, Snapshot, State};
use crate::workload::{Attempt, Outcome, Road, Span};
use continuum_core::name::{ObjectName, Region};
use continuum_core::record::{Lsn, Record};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) const INTENT: &str = "shop/shop/1.1";

pub(super) fn region(name: &str) -> Region {
    Region::new(name)
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(super) fn entry(at: f64, instance: &str, event: Event) -> Entry {
    Entry { at: seconds(at), instance: instance.into(), event }
}

pub(super) fn lease_write(at: f64, holder: &str, generation: u64) -> LeaseWrite {
    let record = Record { holder: Some(region(holder)), generation, ..Record::free(30) };
    LeaseWrite { at: seconds(at), by: format!("continuum@controller.{holder}"), record }
}

pub(super) fn claimed(at: f64, resource: &'static Resource, name: &str, claim: u64, by: &str) -> Change {
    Change {
        at: seconds(at),
        version: 1,
        event: ChangeEvent::Modified,
        resource,
        namespace: "shop".into(),
        name: name.into(),
        by: format!("continuum@controller.{by}"),
        claim: Some(claim),
        object: Arc::new(Value::Null),
        before: None,
    }
}

pub(super) fn route(fsn: u32, hel: u32) -> Value {
    json!({
        "metadata": { "annotations": { "dr.openova.io/generation": "2" } },
        "spec": { "rules": [{ "backendRefs": [
            { "name": "shop-fsn", "weight": fsn }, { "name": "shop-hel", "weight": hel },
        ] }] },
    })
}

pub(super) fn message(sequence: u64, id: &str, kind: &str, fields: Value) -> Message {
    let mut body = json!({ "type": kind, "continuumName": "shop/shop", "timestamp": "2026-01-01T00:01:00Z" });
    for (name, value) in fields.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    Message { sequence, id: id.into(), kind: kind.into(), body: body.to_string() }
}

pub(super) fn switchover_message(sequence: u64, id: &str, from: &str, to: &str) -> Message {
    message(sequence, id, "continuum-switchover", json!({ "fromPrimary": from, "toPrimary": to }))
}

fn lease_acquired(sequence: u64, generation: u64, holder: &str) -> Message {
    let kind = "continuum-lease-acquired";
    message(sequence, &format!("{kind}:shop/shop:{generation}"), kind, json!({ "toPrimary": holder }))
}

fn attempt(number: u64, half: &str, at: f64) -> Attempt {
    Attempt {
        client: "clients.fsn-1".into(),
        number,
        started: seconds(at),
        ended: Some(seconds(at)),
        half: Some(half.into()),
        road: Road::Pooled,
        outcome: Outcome::Acknowledged,
    }
}

/// To change an object that is there.
pub fn editable(object: &mut Option<Arc<Value>>) -> &mut Value {
    Arc::make_mut(object.as_mut().expect("the fixture has it"))
}

fn of_region(name: &str, address: [u8; 4], primary: bool, history: Vec<Change>) -> RegionGround {
    let cluster = format!("shop-{name}");
    RegionGround {
        cluster: Some(Arc::new(json!({
            "metadata": { "namespace": "shop", "name": cluster },
            "spec": { "replica": { "self": cluster, "primary": "shop-hel" } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        }))),
        cluster_name: ObjectName::new("shop", cluster),
        route: Some(Arc::new(route(0, 100))),
        copy: Some(Arc::new(json!({ "status": {
            "phase": "Healthy", "primaryRegion": "hel", "leaseHolder": "hel", "switchoverInProgress": false, "eventsOwed": 0,
        } }))),
        history,
        instance: Snapshot {
            alive: true,
            state: State::Running,
            in_recovery: !primary,
            control: if primary { Control::InProduction } else { Control::InRecovery },
            checkpoint: Some((2, Lsn(0))),
            standby_signal: !primary,
            timeline: 2,
            replayed: Lsn(100),
            end: Lsn(100),
            pending_restart: false,
            session_count: 0,
            streaming: !primary,
            replay_paused: false,
        },
        rows: (1..=3).map(|number| ("clients.fsn-1".to_owned(), number)).collect(),
        addresses: BTreeSet::from([address.into()]),
    }
}

pub(super) fn moved() -> Ground {
    let mut move_ = Move::new(INTENT, &region("fsn"), &region("hel"));
    for step in 1..=7 {
        move_.note_started(step, seconds(20.0 + f64::from(step)));
        move_.note_effect(step, seconds(20.5 + f64::from(step)));
    }
    let fsn = vec![
        claimed(5.0, &CLUSTERS, "shop-fsn", 1, "fsn"),
        claimed(23.0, &HTTP_ROUTES, "shop", 1, "fsn"),
        claimed(40.0, &CLUSTERS, "shop-fsn", 2, "hel"),
    ];
    let hel = vec![claimed(5.0, &CLUSTERS, "shop-hel", 1, "fsn"), claimed(26.0, &CLUSTERS, "shop-hel", 2, "hel")];
    let hel_ground = of_region("hel", [10, 2, 0, 1], true, hel);
    let answers = BTreeMap::from([("shop.example.org".to_owned(), Some(hel_ground.addresses.clone()))]);
    Ground {
        end: seconds(100.0),
        replication: Replication::Asynchronous,
        may_be_left: MayBeLeft::default(),
        regions: BTreeMap::from([
            (region("fsn"), of_region("fsn", [10, 1, 0, 1], false, fsn)),
            (region("hel"), hel_ground),
        ]),
        journal: vec![
            entry(0.5, "shop-fsn", Event::AcceptsWrites { timeline: 1 }),
            entry(22.0, "shop-fsn", Event::RefusesWrites),
            entry(26.5, "shop-hel", Event::AcceptsWrites { timeline: 2 }),
        ],
        client_count: 1,
        attempts: vec![attempt(1, "fsn", 10.0), attempt(2, "fsn", 20.0), attempt(3, "hel", 30.0)],
        missing: Vec::new(),
        run: RunGround {
            measured: Span { from: seconds(1.0), to: seconds(100.0) },
            pause_max: seconds(70.0),
            quiet_since: seconds(27.5),
            expects_rest: true,
            rest_since: Some(seconds(28.0)),
            broken: None,
            samples: Vec::new(),
            blind: Vec::new(),
        },
        lease: vec![lease_write(1.0, "fsn", 1), lease_write(25.0, "hel", 2), lease_write(35.0, "hel", 2)],
        dns: DnsGround { history: Vec::new(), answers },
        messages: vec![
            lease_acquired(1, 1, "fsn"),
            lease_acquired(2, 2, "hel"),
            switchover_message(3, &format!("continuum-switchover:shop/shop:{INTENT}"), "fsn", "hel"),
        ],
        moments: Moments::new(vec![move_]),
        dry_run: DryRunGround::default(),
    }
}
