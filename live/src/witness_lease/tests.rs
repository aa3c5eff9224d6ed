//! How a record stands in a Lease, and what the answers of its API server mean.

use super::*;
use crate::test_server::{server, status};
use continuum_core::clock::{Clock, Monotonic};
use continuum_core::record::Lineage;

fn name() -> ObjectName {
    ObjectName::new("continuum", "shop.shop")
}

fn held() -> Record {
    let mut record = Record::free(30);
    record.holder = Some(Region::new("fsn"));
    record.generation = 3;
    record.renewal = 17;
    record.lineage = Lineage::Of { region: Region::new("fsn"), timeline: 2 };
    record.extra.insert("ofTomorrow".into(), json!({ "kept": true }));
    record
}

fn lease_of(record: &Record) -> Value {
    lease(&name(), &Version(Some("41".into())), record, "2026-11-24T16:50:25.5Z".parse().unwrap()).unwrap()
}

#[test]
fn holder_generation_and_term_stand_in_the_fields_that_people_look_at() {
    let lease = lease_of(&held());
    let spec = json!({
        "holderIdentity": "fsn",
        "leaseTransitions": 3,
        "leaseDurationSeconds": 30,
        "renewTime": "2026-11-24T16:50:25.500000Z",
    });
    assert_eq!(lease["spec"], spec);
    assert_eq!(lease["metadata"]["resourceVersion"], "41");
    assert_eq!(lease["metadata"]["name"], "shop.shop");
}

#[test]
fn a_record_comes_back_as_it_was_written_with_fields_of_a_newer_version() {
    for record in [held(), Record::free(30)] {
        assert_eq!(super::record(&lease_of(&record)), Ok(Some(record)));
    }
}

#[test]
fn a_free_record_names_no_holder_and_an_empty_holder_is_free() {
    let mut lease = lease_of(&Record::free(30));
    // Null, so that a patch removes the former holder.
    assert_eq!(lease["spec"].get("holderIdentity"), Some(&Value::Null));
    lease["spec"]["holderIdentity"] = json!("");
    assert_eq!(super::record(&lease).unwrap().unwrap().holder, None);
}

#[test]
fn an_empty_lease_made_beforehand_holds_no_record() {
    assert_eq!(super::record(&json!({ "metadata": { "resourceVersion": "1" }, "spec": {} })), Ok(None));
}

#[test]
fn a_lease_that_cannot_be_read_is_never_taken_for_a_free_one() {
    let mut garbled = lease_of(&held());
    garbled["metadata"]["annotations"][RECORD_ANNOTATION] = json!("{");
    assert!(super::record(&garbled).is_err());
    let newer = lease_of(&Record { format: 2, ..held() });
    assert!(super::record(&newer).unwrap_err().contains("upgrade"), "what it means is not known");
    let foreign = json!({ "spec": { "holderIdentity": "pod-7", "leaseDurationSeconds": 15 } });
    assert!(super::record(&foreign).unwrap_err().contains("another tool holds it"));
}

#[test]
fn a_generation_beyond_a_lease_is_refused() {
    let mut record = held();
    record.generation = u64::from(u32::MAX);
    assert!(lease(&name(), &Version(None), &record, jiff::Timestamp::UNIX_EPOCH).is_err());
}

struct Stopped;

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> Monotonic {
        Monotonic::default()
    }
    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
    async fn sleep(&self, _: std::time::Duration) {}
}

fn witness(answers: Vec<(u16, Value)>) -> (LeaseWitness, crate::test_server::Log) {
    let (api, log) = server(answers);
    (LeaseWitness::new(api, "continuum", &ObjectName::new("shop", "shop"), None, Arc::new(Stopped)), log)
}

fn at(version: &str) -> Version {
    Version(Some(version.into()))
}

#[tokio::test]
async fn a_lease_that_is_not_there_is_created_and_one_that_is_there_is_patched_where_its_version_stands() {
    let mut stored = lease_of(&held());
    stored["metadata"]["resourceVersion"] = json!("42");
    let missing = status(404, "NotFound", "leases \"shop.shop\" not found");
    let (witness, log) = witness(vec![missing, (201, stored.clone()), (200, stored.clone()), (200, stored)]);
    assert_eq!(witness.read().await, Ok((Version(None), None)));
    assert_eq!(witness.compare_and_set(&Version(None), &held()).await, Cas::Done(at("42")));
    assert_eq!(witness.read().await, Ok((at("42"), Some(held()))));
    assert_eq!(witness.compare_and_set(&at("42"), &held()).await, Cas::Done(at("42")));
    let log = log.lock().unwrap();
    assert!(log[1].line.starts_with("POST /apis/coordination.k8s.io/v1/namespaces/continuum/leases?"));
    assert_eq!(log[1].body["metadata"].get("resourceVersion"), None);
    assert!(log[3].line.starts_with("PATCH /apis/coordination.k8s.io/v1/namespaces/continuum/leases/shop.shop?"));
    assert_eq!(log[3].body["metadata"]["resourceVersion"], "42");
}

#[tokio::test]
async fn whatever_else_stands_there_is_a_conflict_and_what_is_not_known_is_said_so() {
    let missing = status(404, "NotFound", "leases \"shop.shop\" not found");
    let no_namespace = status(404, "NotFound", "namespaces \"continuum\" not found");
    let cases = [
        (at("41"), status(409, "Conflict", "the object has been modified"), "Conflict"),
        (Version(None), status(409, "AlreadyExists", "already exists"), "Conflict"),
        (at("41"), missing, "Conflict"),
        (Version(None), no_namespace, "Refused"),
        (at("41"), status(403, "Forbidden", "no"), "Refused"),
        (at("41"), status(500, "InternalError", "etcd is away"), "Unknown"),
        (at("41"), status(429, "TooManyRequests", "later"), "Unknown"),
        (at("41"), (200, json!({})), "Unknown"),
    ];
    for (expected, answer, words) in cases {
        let said = format!("{answer:?}");
        let cas = witness(vec![answer]).0.compare_and_set(&expected, &held()).await;
        assert!(format!("{cas:?}").starts_with(words), "{said} gave {cas:?}");
    }
}

#[tokio::test]
async fn a_witness_that_does_not_answer_is_an_error_and_never_a_free_lease() {
    let (witness, _) = witness(vec![status(503, "ServiceUnavailable", "starting")]);
    assert_eq!(witness.read().await, Err("GET leases in hel: 503 starting".into()));
}

#[tokio::test]
async fn rights_that_are_lacking_are_named() {
    let allowed = |allowed: bool| (201, json!({ "status": { "allowed": allowed } }));
    let there = (200, json!({ "metadata": { "resourceVersion": "41" } }));
    let (made_before, _) = witness(vec![there, allowed(true), allowed(false)]);
    assert_eq!(made_before.missing_rights().await, Seen::Is(vec!["patch leases".into()]), "nothing is to be created");
    let missing = status(404, "NotFound", "leases \"shop.shop\" not found");
    let (witness, log) = witness(vec![missing, allowed(true), allowed(false), allowed(false)]);
    let missing = witness.missing_rights().await;
    assert_eq!(missing, Seen::Is(vec!["create leases".into(), "patch leases".into()]));
    assert!(log.lock().unwrap()[1].line.starts_with("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"));
}

#[tokio::test]
async fn a_lease_that_could_not_be_looked_at_is_not_one_that_is_not_there() {
    let (witness, _) = witness(vec![status(500, "InternalError", "etcd is away")]);
    assert_eq!(witness.missing_rights().await, Seen::Unknown("GET leases in hel: 500 etcd is away".into()));
}

#[tokio::test]
async fn a_field_of_another_type_is_named_and_is_no_free_lease() {
    for (field, value) in
        [("leaseTransitions", json!("4")), ("holderIdentity", json!(7)), ("leaseDurationSeconds", json!([]))]
    {
        let mut stored = lease_of(&held());
        stored["metadata"]["resourceVersion"] = json!("42");
        stored["spec"][field] = value;
        let cause = witness(vec![(200, stored)]).0.read().await.unwrap_err();
        assert!(cause.contains(&format!("spec.{field} of ")), "{cause}");
    }
}
