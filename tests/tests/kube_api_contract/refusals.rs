//! What is refused, with which status code and reason.

use crate::session::{JSON, MERGE_PATCH, Session, cluster};
use http::Method;
use serde_json::{Value, json};

/// As the real server words it.
const RULES_UNCHECKED: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was \
                               invalid; correct the existing errors to complete validation";

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

pub async fn what_a_definition_forbids_is_refused_in_its_words(s: &mut Session) {
    s.cluster("a").await;
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"},
        "spec": {"rules": [{"backendRefs": [{"name": "a", "weight": 1}]}]}});
    assert_eq!(s.create("httproutes", &route).await.status, 201);
    let continuum = json!({"apiVersion": "dr.openova.io/v1", "kind": "Continuum", "metadata": {"name": "a"},
        "spec": {"applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
            "leaseClient": {"kind": "k8s-lease"}}});
    assert_eq!(s.create("continuums", &continuum).await.status, 201);
    let forbidden = [
        (
            "clusters",
            json!({"instances": "many"}),
            r#"spec.instances: Invalid value: "string": spec.instances in body must be of type integer: "string""#,
        ),
        (
            "clusters",
            json!({"instances": 0}),
            "spec.instances: Invalid value: 0: spec.instances in body should be greater than or equal to 1",
        ),
        (
            "clusters",
            json!({"replica": "hel"}),
            r#"spec.replica: Invalid value: "string": spec.replica in body must be of type object: "string""#,
        ),
        ("clusters", json!({"externalClusters": [{"name": "b"}, {}]}), "spec.externalClusters[1].name: Required value"),
        (
            "clusters",
            json!({"postgresql": {"parameters": {"max_connections": 100}}}),
            r#"spec.postgresql.parameters.max_connections: Invalid value: "integer": spec.postgresql.parameters.max_connections in body must be of type string: "integer""#,
        ),
        (
            "clusters",
            json!({"postgresql": {"synchronous": {"method": "all"}}}),
            r#"spec.postgresql.synchronous.method: Unsupported value: "all": supported values: "any", "first""#,
        ),
        (
            "httproutes",
            json!({"rules": 7}),
            r#"spec.rules: Invalid value: "integer": spec.rules in body must be of type array: "integer""#,
        ),
        (
            "httproutes",
            json!({"rules": [{"backendRefs": [{"name": "a", "weight": 1_000_001}]}]}),
            "spec.rules[0].backendRefs[0].weight: Invalid value: 1000001: spec.rules[0].backendRefs[0].weight in body should be less than or equal to 1000000",
        ),
        (
            "continuums",
            json!({"rpoSeconds": -4}),
            "spec.rpoSeconds: Invalid value: -4: spec.rpoSeconds in body should be greater than or equal to 0",
        ),
        (
            "continuums",
            json!({"rto": "a minute"}),
            r#"spec.rto: Invalid value: "a minute": spec.rto in body should match '^[0-9]+(s|m|h)$'"#,
        ),
        (
            "continuums",
            json!({"applicationRef": ""}),
            r#"spec.applicationRef: Invalid value: "": spec.applicationRef in body should be at least 1 chars long"#,
        ),
        (
            "continuums",
            json!({"primaryRegion": "f".repeat(64)}),
            "spec.primaryRegion: Too long: may not be more than 63 bytes",
        ),
        (
            "continuums",
            json!({"hotStandbyRegions": []}),
            "spec.hotStandbyRegions: Invalid value: 0: spec.hotStandbyRegions in body should have at least 1 items",
        ),
        (
            "continuums",
            json!({"hotStandbyRegions": ["a", "b", "c", "d", "e"]}),
            "spec.hotStandbyRegions: Too many: 5: must have at most 4 items",
        ),
        (
            "continuums",
            json!({"hotStandbyRegions": ["hel", "hel"]}),
            r#"spec.hotStandbyRegions[1]: Duplicate value: "hel""#,
        ),
        (
            "continuums",
            json!({"regions": [{"name": "fsn"}, {"name": "fsn"}]}),
            r#"spec.regions[1]: Duplicate value: {"name":"fsn"}"#,
        ),
        (
            "continuums",
            json!({"switchover": {"requestedAt": "yesterday"}}),
            r#"spec.switchover.requestedAt: Invalid value: "yesterday": spec.switchover.requestedAt in body must be of type date-time: "yesterday""#,
        ),
        (
            "continuums",
            json!({"leaseClient": {"kind": "etcd"}}),
            r#"spec.leaseClient.kind: Unsupported value: "etcd": supported values: "k8s-lease", "nats-kv", "cloudflare-kv", "dns-quorum""#,
        ),
    ];
    for (plural, spec, words) in forbidden {
        let answer = s.patch(&format!("{plural}/a"), &json!({ "spec": spec })).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert_eq!((answer.status, answer.body["reason"].as_str()), (422, Some("Invalid")), "{spec}");
        // Of a kind with rules in CEL more is said where these could not be asked.
        let (alone, first) = (format!(" is invalid: {words}"), format!(" is invalid: [{words}, {RULES_UNCHECKED}]"));
        assert!(message.ends_with(&alone) || message.ends_with(&first), "{spec}\n  {message}\n  {words}");
    }
    let both = json!({"spec": {"instances": "many", "replica": {"self": 7}}});
    let answer = s.patch("clusters/a", &both).await;
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert!(
        message.contains(" is invalid: [spec.") && message.contains(", spec.") && message.ends_with(']'),
        "{message}"
    );
    // The real server says two things of it.
    assert_eq!(s.patch("clusters/a", &json!({"spec": {"instances": 1.5}})).await.status, 422);
    let status = json!({"status": {"readyInstances": "all"}});
    assert_eq!(s.patch("clusters/a/status", &status).await.status, 422);
}

pub async fn what_the_rules_of_a_definition_forbid_is_refused_in_their_words(s: &mut Session) {
    let mut continuum = json!({"apiVersion": "dr.openova.io/v1", "kind": "Continuum", "metadata": {"name": "a"},
        "spec": {"applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"],
            "leaseClient": {"kind": "k8s-lease"}}});
    assert_eq!(s.create("continuums", &continuum).await.status, 201);
    const STANDBY: &str = "spec.hotStandbyRegions: Invalid value: the primary region must not stand in hotStandbyRegions: \
                           a standby is another region";
    const TERM: &str = "spec.leaseClient.config.ttlSeconds: Invalid value: renewSeconds + guardSeconds + 5 s for a \
                        request must be less than ttlSeconds";
    const NO_TARGET: &str = "spec.switchover.targetRegion: Invalid value: a requested switchover needs a targetRegion";
    const TARGET: &str =
        "spec.switchover.targetRegion: Invalid value: targetRegion must be one of the Continuum's regions";
    const TYPE: &str = r#"spec.rto: Invalid value: "integer": spec.rto in body must be of type string: "integer""#;
    let broken = [
        (json!({"hotStandbyRegions": ["fsn"]}), STANDBY.to_owned()),
        (
            json!({"hotStandbyRegions": ["hel", "fsn"], "leaseClient": {"config": {"ttlSeconds": 20}}}),
            format!("[{STANDBY}, {TERM}]"),
        ),
        (json!({"leaseClient": {"config": {"ttlSeconds": 25}}}), TERM.to_owned()),
        (json!({"switchover": {"requested": true}}), NO_TARGET.to_owned()),
        (json!({"switchover": {"requested": true, "targetRegion": "nbg"}}), TARGET.to_owned()),
        // A type that is wrong keeps rules from being asked.
        (json!({"hotStandbyRegions": ["fsn"], "rto": 7}), format!("[{TYPE}, {RULES_UNCHECKED}]")),
    ];
    for (spec, words) in broken {
        let answer = s.patch("continuums/a", &json!({ "spec": spec })).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 422, "{spec}");
        assert!(message.ends_with(&format!(" is invalid: {words}")), "{spec}\n  {message}\n  {words}");
    }
    for spec in [
        json!({"switchover": {"targetRegion": "hel"}}),
        json!({"switchover": {"requested": false, "targetRegion": "nbg"}}),
        json!({"switchover": {"requested": true, "targetRegion": "fsn"}}),
        json!({"switchover": null, "leaseClient": {"config": {"ttlSeconds": 26}}}),
    ] {
        assert_eq!(s.patch("continuums/a", &json!({ "spec": spec })).await.status, 200, "{spec}");
    }
    continuum["metadata"]["name"] = json!("b");
    continuum["spec"]["primaryRegion"] = json!("hel");
    assert_eq!(s.create("continuums", &continuum).await.status, 422);
}

pub async fn what_a_definition_does_not_know_is_dropped_without_a_word(s: &mut Session) {
    let continuum = json!({"apiVersion": "dr.openova.io/v1", "kind": "Continuum",
        "metadata": {"name": "a", "labels": {"of": "ours"}}, "kept": false,
        "spec": {"applicationRef": "shop", "primaryRegion": "fsn", "hotStandbyRegions": ["hel"], "hotStandbyRegion": "hel",
            "leaseClient": {"kind": "k8s-lease", "ttl": 30}}});
    let answer = s.create("continuums", &continuum).await;
    assert_eq!((answer.status, answer.body.get("kept")), (201, None));
    assert_eq!(answer.body["spec"]["leaseClient"].get("ttl"), None);
    assert_eq!(answer.body["spec"]["hotStandbyRegion"], "hel", "its spec keeps what is not known");
    let generation = answer.body["metadata"]["generation"].clone();
    let answer = s.patch("continuums/a", &json!({"spec": {"leaseClient": {"ttl": 60}}})).await;
    assert_eq!((answer.status, &answer.body["metadata"]["generation"]), (200, &generation), "nothing changed");
    // Of a kind whose definition keeps everything below its spec nothing is dropped there.
    s.cluster("a").await;
    let answer = s.patch("clusters/a", &json!({"spec": {"unheardOf": 1}})).await;
    assert_eq!(answer.body["spec"]["unheardOf"], 1);
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
