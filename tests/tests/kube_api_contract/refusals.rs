//! What is refused, with which status code and reason.

use crate::session::{JSON, MERGE_PATCH, Session, cluster};
use http::Method;
use serde_json::{Value, json};

pub async fn what_is_not_there_is_not_found(s: &mut Session) {
    let gone = s.get("clusters/gone").await;
    assert_eq!((gone.status, gone.body["reason"].as_str()), (404, Some("NotFound")));
    assert_eq!(s.patch("clusters/gone", &json!({"spec": {}})).await.status, 404);
    assert_eq!(s.delete("clusters/gone").await.status, 404);
    assert_eq!(s.get("leases/gone").await.status, 404);
    let no_such_path = s.send_to(Method::GET, "/apis/postgresql.cnpg.io/v1/nothing", JSON, "").await;
    assert_eq!(no_such_path.status, 404);
}

pub async fn what_is_wrong_is_refused_with_its_reason(s: &mut Session) {
    s.cluster("a").await;
    let mut elsewhere = cluster("b");
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    let refused = s.create("clusters", &elsewhere).await;
    assert_eq!((refused.status, refused.body["reason"].as_str()), (400, Some("BadRequest")));
    let mut nameless = cluster("b");
    nameless["metadata"].as_object_mut().expect("metadata").remove("name");
    let refused = s.create("clusters", &nameless).await;
    assert_eq!((refused.status, refused.body["reason"].as_str()), (422, Some("Invalid")));
    let refused = s.create("clusters", &cluster("Not_A_Name")).await;
    assert_eq!((refused.status, refused.body["reason"].as_str()), (422, Some("Invalid")));
    let mut kind = cluster("b");
    kind["kind"] = json!("Backup");
    assert_eq!(s.create("clusters", &kind).await.status, 422);
    let mut versioned = cluster("b");
    versioned["metadata"]["resourceVersion"] = json!("1");
    assert_eq!(s.create("clusters", &versioned).await.status, 500);
    assert_eq!(s.send(Method::POST, "clusters", JSON, "{").await.status, 400);
    assert_eq!(s.send(Method::PATCH, "clusters/a", MERGE_PATCH, "{").await.status, 400);
    assert_eq!(s.send(Method::PATCH, "clusters/a", MERGE_PATCH, "[]").await.status, 400);
}

pub async fn only_known_verbs_and_types_are_taken(s: &mut Session) {
    s.cluster("a").await;
    let answer = s.send(Method::POST, "leases/a", JSON, "{}").await;
    assert_eq!((answer.status, answer.body["reason"].as_str()), (405, Some("MethodNotAllowed")));
    assert_eq!(s.send(Method::PUT, "leases", JSON, "{}").await.status, 405);
    assert_eq!(s.send(Method::PATCH, "leases", MERGE_PATCH, "{}").await.status, 405);
    assert_eq!(s.send(Method::DELETE, "clusters/a/status", JSON, "").await.status, 405);
    let answer = s.send(Method::PATCH, "clusters/a", JSON, "{}").await;
    assert_eq!((answer.status, answer.body["reason"].as_str()), (415, Some("UnsupportedMediaType")));
    let answer = s.send(Method::PATCH, "clusters/a", "text/plain", "{}").await;
    assert_eq!(answer.status, 415);
    let answer = s.send(Method::POST, "clusters", "text/plain", &cluster("b").to_string()).await;
    assert_eq!(answer.status, 415);
}

pub async fn one_may_ask_what_one_may_do(s: &mut Session) {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": s.namespace, "verb": "patch", "group": "postgresql.cnpg.io",
                                        "resource": "clusters", "name": "a"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = s.send_to(Method::POST, path, JSON, &review.to_string()).await;
    assert_eq!((answer.status, &answer.body["status"]["allowed"]), (201, &Value::Bool(true)));
}
