//! What a resource means, and what is said of a wrong one.

use super::*;
use continuum_core::name::{ObjectName, Region};
use continuum_core::spec::{Invalid, LeaseSpec, Spec};
use serde_json::{Value, json};

/// A Continuum as its API server would have it, without the defaults.
fn shop() -> Value {
    json!({
        "apiVersion": "dr.openova.io/v1",
        "kind": "Continuum",
        "metadata": { "namespace": "shop", "name": "shop" },
        "spec": {
            "applicationRef": "shop",
            "primaryRegion": "fsn",
            "hotStandbyRegions": ["hel"],
            "leaseClient": { "kind": "k8s-lease" },
            "luaRecord": { "hostnames": ["shop.example.org."] },
            "regions": [{ "name": "fsn", "lbIPs": ["10.1.0.1"] }, { "name": "hel", "lbIPs": ["10.2.0.1", "fd00::2"] }],
            "cnpgPair": { "name": "shop" },
            "httpRoute": { "name": "shop", "namespace": "web" },
        },
    })
}

/// The shop with the value at a JSON pointer replaced, where its parent is there.
fn with(pointer: &str, value: Value) -> Value {
    let mut object = shop();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut place = &mut object["spec"];
    for name in parent.split('/').filter(|name| !name.is_empty()) {
        place = match name.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[name],
        };
    }
    match key.parse::<usize>() {
        Ok(index) => place[index] = value,
        Err(_) => place[key] = value,
    }
    object
}

fn spec_of(object: Value) -> Spec {
    parse_spec(&object).unwrap()
}

#[test]
fn a_resource_that_says_little_means_the_defaults() {
    let spec = spec_of(shop());
    let lease = LeaseSpec {
        kind: continuum_core::spec::LeaseKind::K8sLease,
        ttl_seconds: 30,
        renew_seconds: 10,
        guard_seconds: 10,
        drift_percent: 1,
    };
    assert_eq!(spec.lease, lease);
    assert_eq!((spec.rto_seconds, spec.rpo_seconds, spec.auto_failover), (60, 30, false));
    assert_eq!(spec.records.hostnames, ["shop.example.org"]);
    assert_eq!((spec.records.ttl_seconds, spec.records.selector), (30, continuum_core::spec::Selector::Ifurlup));
    assert_eq!(spec.zone.as_deref(), Some("example.org"));
    assert_eq!(spec.pair, Some(ObjectName::new("shop", "shop")));
    let route = spec.route.unwrap();
    assert_eq!((route.object, route.drain_seconds), (ObjectName::new("web", "shop"), 10));
    assert_eq!(spec.rejoin, continuum_core::spec::RejoinPolicy::WhenLossless);
    assert_eq!(spec.failback.timeout_seconds, 3_600);
    assert_eq!((spec.switchover, spec.abort), (None, None));
    assert_eq!(spec.regions[1].addresses.len(), 2);
}

#[test]
fn the_schema_and_the_parser_have_the_same_defaults() {
    let mut sparse = shop();
    sparse["spec"]["luaRecord"]["healthCheck"] = json!({ "url": "http://shop.example.org/healthz" });
    sparse["spec"]["leaseClient"]["config"] = json!({});
    sparse["spec"]["rejoin"] = json!({});
    sparse["spec"]["failback"] = json!({});
    let through_the_types: Continuum = serde_json::from_value(sparse.clone()).unwrap();
    let full = serde_json::to_value(&through_the_types).unwrap();
    assert_eq!(full["spec"]["failback"]["timeout"], json!("1h"));
    assert_eq!(spec_of(full), spec_of(sparse));
}

#[test]
fn authoritative_servers_have_port_53_where_none_is_given() {
    let listed = json!(["10.0.0.53", "10.0.0.54:5300", "fd00::53", "[fd00::54]:5300"]);
    let mut object = with("/dns", json!({ "authorities": listed, "cacheSeconds": 0 }));
    let dns = spec_of(object.clone()).dns;
    let told: Vec<String> = dns.authorities.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["10.0.0.53:53", "10.0.0.54:5300", "[fd00::53]:53", "[fd00::54]:5300"]);
    assert_eq!(dns.cache_seconds, Some(0));
    object["spec"]["dns"] = Value::Null;
    assert!(spec_of(object).dns.is_default());
}

#[test]
fn objectives_in_seconds_go_before_durations() {
    assert_eq!(spec_of(with("/rto", json!("5m"))).rto_seconds, 300);
    assert_eq!(spec_of(with("/rpo", json!("1h"))).rpo_seconds, 3_600);
    let mut both = with("/rto", json!("5m"));
    both["spec"]["rtoSeconds"] = json!(90);
    assert_eq!(spec_of(both).rto_seconds, 90);
}

#[test]
fn a_request_is_read_only_while_it_is_requested() {
    let request = |requested: bool| {
        json!({ "requested": requested, "targetRegion": "hel", "requestedAt": "2026-11-24T16:50:25Z",
                "requestedBy": "ann", "reason": "maintenance", "abort": "shop/shop/1.1", "ofTheApi": 1 })
    };
    let spec = spec_of(with("/switchover", request(true)));
    let switchover = spec.switchover.unwrap();
    assert_eq!((switchover.target, switchover.requested_by.as_deref()), (Region::new("hel"), Some("ann")));
    assert_eq!(spec.abort.as_deref(), Some("shop/shop/1.1"));
    assert_eq!(spec_of(with("/switchover", request(false))).switchover, None);
    // What is over is not judged.
    assert_eq!(spec_of(with("/switchover", json!({ "requested": false, "targetRegion": "nowhere" }))).switchover, None);
}

#[test]
fn a_request_for_the_present_primary_is_no_contradiction_of_the_resource() {
    let request = json!({ "requested": true, "targetRegion": "fsn", "requestedAt": "2026-11-24T16:50:25Z" });
    assert_eq!(spec_of(with("/switchover", request)).switchover.unwrap().target, Region::new("fsn"));
}

#[test]
fn each_wrong_field_is_named_with_its_path() {
    let cases = [
        ("/dns", json!("10.0.0.53"), "spec.dns", "must be an object"),
        ("/dns", json!({ "authorities": "10.0.0.53" }), "spec.dns.authorities", "must be a list"),
        (
            "/dns",
            json!({ "authorities": ["10.0.0.53", "ns1.example.org"] }),
            "spec.dns.authorities[1]",
            "write an IP address",
        ),
        ("/dns", json!({ "authorities": ["10.0.0.53:0"] }), "spec.dns.authorities[0]", "is no address of a server"),
        ("/dns", json!({ "authorities": ["10.0.0.53", "10.0.0.53:53"] }), "spec.dns.authorities[1]", "named twice"),
        ("/dns", json!({ "cacheSeconds": 3601 }), "spec.dns.cacheSeconds", "0 to 3600"),
        ("/applicationRef", json!(""), "spec.applicationRef", "is empty"),
        ("/applicationRef", Value::Null, "spec.applicationRef", "is missing"),
        ("/primaryRegion", json!(""), "spec.primaryRegion", "is empty"),
        ("/primaryRegion", json!("Fsn"), "spec.primaryRegion", "DNS label"),
        ("/hotStandbyRegions", json!([]), "spec.hotStandbyRegions", "one to four"),
        ("/hotStandbyRegions", json!("hel"), "spec.hotStandbyRegions", "must be a list"),
        ("/hotStandbyRegions", json!(["hel", "fsn"]), "spec.hotStandbyRegions[1]", "is the primary region"),
        ("/hotStandbyRegions", json!(["hel", "hel"]), "spec.hotStandbyRegions[1]", "named twice"),
        ("/hotStandbyRegions", json!(["hel", ""]), "spec.hotStandbyRegions[1]", "is empty"),
        ("/leaseClient", json!({}), "spec.leaseClient.kind", "is missing"),
        ("/leaseClient", json!({ "kind": "etcd" }), "spec.leaseClient.kind", "k8s-lease, nats-kv"),
        (
            "/leaseClient",
            json!({ "kind": "k8s-lease", "config": { "renewSeconds": 0 } }),
            "spec.leaseClient.config.renewSeconds",
            "from 1 to 60",
        ),
        (
            "/leaseClient",
            json!({ "kind": "k8s-lease", "config": { "ttlSeconds": "30" } }),
            "spec.leaseClient.config.ttlSeconds",
            "whole number",
        ),
        (
            "/leaseClient",
            json!({ "kind": "k8s-lease", "config": { "renewSeconds": 15 } }),
            "spec.leaseClient.config.ttlSeconds",
            "renewSeconds 15 + guardSeconds 10 + 5 s",
        ),
        ("/luaRecord/selector", json!("all"), "spec.luaRecord.selector", "ifurlup, pickclosest"),
        ("/luaRecord/hostnames", json!(["shop example"]), "spec.luaRecord.hostnames[0]", "no hostname"),
        ("/luaRecord/healthCheck", json!({}), "spec.luaRecord.healthCheck.url", "is missing"),
        ("/luaRecord/healthCheck", json!({ "url": "http://a/'" }), "spec.luaRecord.healthCheck.url", "quote"),
        ("/luaRecord/healthCheck", json!({ "url": "ftp://a/" }), "spec.luaRecord.healthCheck.url", "http"),
        ("/regions/1/lbIPs", json!(["10.2.0"]), "spec.regions[1].lbIPs[0]", "no IP address"),
        ("/regions/1/name", json!("fsn"), "spec.regions[1].name", "named twice"),
        ("/rto", json!("1 minute"), "spec.rto", "no duration"),
        ("/rto", json!("60"), "spec.rto", "no duration"),
        ("/rto", json!("-1s"), "spec.rto", "no duration"),
        ("/rto", json!("+1s"), "spec.rto", "no duration"),
        ("/rto", json!("60é"), "spec.rto", "no duration"),
        ("/rpo", json!("9999999999h"), "spec.rpo", "no duration"),
        ("/rtoSeconds", json!(1.5), "spec.rtoSeconds", "whole number"),
        ("/autoFailover", json!("yes"), "spec.autoFailover", "true or false"),
        ("/cnpgPair", json!({ "name": "shop,app=x" }), "spec.cnpgPair.name", "no value of a label"),
        (
            "/cnpgPair",
            json!({ "name": "shop", "namespace": "../x" }),
            "spec.cnpgPair.namespace",
            "no name of a namespace",
        ),
        ("/httpRoute", json!({ "name": "a/b" }), "spec.httpRoute.name", "no name of an HTTPRoute"),
        ("/httpRoute", json!("shop"), "spec.httpRoute", "must be an object"),
        ("/pdmZone", json!("example org"), "spec.pdmZone", "no DNS zone"),
        ("/rejoin", json!({ "policy": "Always" }), "spec.rejoin.policy", "WhenLossless, Auto, Manual"),
        ("/switchover", json!({ "mechanism": "streaming" }), "spec.switchover.mechanism", "not built"),
        ("/switchover", json!({ "requested": true }), "spec.switchover.targetRegion", "is missing"),
        (
            "/switchover",
            json!({ "requested": true, "targetRegion": "nbg" }),
            "spec.switchover.targetRegion",
            "which has: fsn, hel",
        ),
        (
            "/switchover",
            json!({ "requested": true, "targetRegion": "hel" }),
            "spec.switchover.requestedAt",
            "is missing",
        ),
        (
            "/switchover",
            json!({ "requested": true, "targetRegion": "hel", "requestedAt": "yesterday" }),
            "spec.switchover.requestedAt",
            "RFC 3339",
        ),
        ("/failback", json!({ "requested": true }), "spec.failback.requestedAt", "is missing"),
        ("/failback", json!({ "timeout": "soon" }), "spec.failback.timeout", "no duration"),
    ];
    for (pointer, value, path, words) in cases {
        match parse_spec(&with(pointer, value.clone())) {
            Err(Invalid { path: said, message }) => {
                assert_eq!(said, path, "for {pointer} = {value}: {message}");
                assert!(message.contains(words), "for {pointer} = {value}: {message}");
            }
            Ok(_) => panic!("{pointer} = {value} was accepted"),
        }
    }
}

#[test]
fn a_resource_without_spec_is_invalid() {
    assert_eq!(parse_spec(&json!({ "metadata": {} })).unwrap_err().path, "spec");
}

#[test]
fn copies_may_differ_in_the_primary_the_order_and_the_requests() {
    let mut other = with("/primaryRegion", json!("hel"));
    other["spec"]["hotStandbyRegions"] = json!(["fsn"]);
    other["spec"]["switchover"] = json!({ "requested": true, "targetRegion": "fsn" });
    other["spec"]["failback"] = json!({ "approved": true });
    other["spec"]["regions"].as_array_mut().unwrap().reverse();
    other["spec"]["rejoin"] = Value::Null;
    assert_eq!(agreement_hash(&other), agreement_hash(&shop()));
}

#[test]
fn copies_that_differ_in_anything_else_do_not_agree() {
    let others = [
        with("/hotStandbyRegions", json!(["nbg"])),
        with("/rto", json!("61s")),
        with("/regions/0/lbIPs", json!(["10.1.0.2"])),
        with("/cnpgPair", json!({ "name": "other" })),
        with("/ofANewerVersion", json!(1)),
    ];
    for other in others {
        assert_ne!(agreement_hash(&other), agreement_hash(&shop()), "{other}");
    }
}

#[test]
fn what_a_controller_saw_is_read_from_the_status() {
    let mut object = shop();
    assert_eq!(seen_of(&object), None);
    object["status"] = json!({ "seen": { "renewal": 7, "intent": "shop/shop/1.1", "beat": 3 } });
    let seen = seen_of(&object).unwrap();
    assert_eq!((seen.renewal, seen.intent.as_deref(), seen.beat), (7, Some("shop/shop/1.1"), 3));
    object["status"] = json!({ "seen": { "renewal": 7, "intent": null } });
    assert_eq!(seen_of(&object).unwrap().beat, 0);
    object["status"] = json!({ "seen": "garbled" });
    assert_eq!(seen_of(&object), None);
}

#[test]
fn the_schema_keeps_fields_it_does_not_know_where_other_writers_have_theirs() {
    let crd = serde_json::to_value(crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let spec = &schema["spec"];
    let places = [spec, &spec["properties"]["switchover"], &spec["properties"]["failback"], &schema["status"]];
    for place in places {
        assert_eq!(place["x-kubernetes-preserve-unknown-fields"], json!(true), "{}", place["description"]);
    }
}

#[test]
fn the_definition_has_the_names_and_columns_of_the_contract() {
    let crd = serde_json::to_value(crd()).unwrap();
    assert_eq!(crd["metadata"]["name"], CRD_NAME);
    assert_eq!(crd["spec"]["names"]["shortNames"], json!(["dr"]));
    let version = &crd["spec"]["versions"][0];
    assert_eq!((&version["name"], &version["subresources"]["status"]), (&json!("v1"), &json!({})));
    let columns: Vec<(&str, u64)> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["name"].as_str().unwrap(), column["priority"].as_u64().unwrap_or(0)))
        .collect();
    let expected = [
        ("Application", 0),
        ("Primary", 0),
        ("Lease", 0),
        ("Lag", 1),
        ("RTO", 1),
        ("RPO", 1),
        ("Phase", 0),
        ("Age", 0),
    ];
    assert_eq!(columns, expected);
}
