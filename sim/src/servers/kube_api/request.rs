//! What a request asks for: its path and query, read as the API server reads them.

use super::{Refusal, Resource};
use http::Method;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the server says, as plain text, of a path that it does not serve.
pub(super) const PAGE_NOT_FOUND: &str = "404 page not found\n";

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// A request for objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) verb: Verb,
    pub(super) resource: &'static Resource,
    /// `None`: all namespaces.
    pub(super) namespace: Option<String>,
    /// Empty where the request is for the collection.
    pub(super) name: String,
    pub(super) subresource: String,
    pub(super) query: BTreeMap<String, String>,
}

impl Request {
    /// Reads `/api/v1/...` and `/apis/<group>/<version>/...`.
    pub(super) fn parse(method: &Method, path: &str, query: &str) -> Result<Self, Refusal> {
        let unknown = || Refusal::new(404, "", PAGE_NOT_FOUND);
        let segments: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(unknown()),
        };
        let (namespace, plural, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..] => (Some(namespace.to_string()), *plural, rest),
            [plural, rest @ ..] => (None, *plural, rest),
            [] => return Err(unknown()),
        };
        let (name, subresource) = match rest {
            [] => ("", ""),
            [name] => (*name, ""),
            [name, subresource] => (*name, *subresource),
            _ => return Err(unknown()),
        };
        let resource = Resource::find(group, version, plural).ok_or_else(unknown)?;
        // Objects in a namespace are named with it; without one, only a collection is.
        let placed = match (&namespace, resource.namespaced) {
            (Some(_), namespaced) => namespaced,
            (None, namespaced) => !namespaced || name.is_empty(),
        };
        match subresource {
            _ if !placed => return Err(unknown()),
            "" => {}
            "status" if resource.status_subresource => {}
            // A custom resource's subresources are looked for among its objects.
            _ if resource.custom => return Err(Refusal::not_found(resource, name)),
            _ => return Err(Refusal::no_such_path()),
        }
        let query = parse_query(query);
        let watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
        let verb = match (method.as_str(), name.is_empty()) {
            ("GET", true) if watch => Verb::Watch,
            ("GET", true) => Verb::List,
            ("GET", false) => Verb::Get,
            ("POST", true) if namespace.is_some() == resource.namespaced => Verb::Create,
            ("PUT", false) => Verb::Update,
            ("PATCH", false) => Verb::Patch,
            ("DELETE", false) if subresource.is_empty() => Verb::Delete,
            _ => {
                let message = "the server does not allow this method on the requested resource";
                return Err(Refusal::new(405, "MethodNotAllowed", message));
            }
        };
        let (name, subresource) = (name.to_string(), subresource.to_string());
        Ok(Request { verb, resource, namespace, name, subresource, query })
    }

    /// A parameter; empty where there is none.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A parameter that is set.
    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.parameter(name), "true" | "1")
    }

    /// Nothing of it is to be kept.
    pub(super) fn is_dry_run(&self) -> bool {
        self.parameter("dryRun") == "All"
    }

    /// A parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.parameter(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::bad_request(format!("{name}: Invalid value: {text:?}: must be an unsigned integer"))
            }),
        }
    }

    /// When the server gives up a request that it has not carried out (`?timeout=`, a Go duration).
    pub(super) fn limit(&self) -> Result<Option<Duration>, Refusal> {
        match self.parameter("timeout") {
            "" => Ok(None),
            text => {
                let limit = parse_go_duration(text);
                let refusal = || Refusal::bad_request(format!("invalid timeout specified in the request URL - {text}"));
                limit.map(Some).ok_or_else(refusal)
            }
        }
    }
}

fn parse_query(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

/// Undoes percent-encoding and `+`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `1m30s`, `1.5s`, `500ms`.
fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (value, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(value.parse::<f64>().ok()? * seconds).ok()?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::kube_api::{CLUSTERS, SECRETS, SELF_SUBJECT_ACCESS_REVIEWS};

    fn parse(method: &str, path: &str, query: &str) -> Result<Request, u16> {
        Request::parse(&method.parse().unwrap(), path, query).map_err(|refusal| refusal.code)
    }

    #[test]
    fn paths_of_both_kinds_of_groups_are_read() {
        let status = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/shop-fsn/status";
        let request = parse("PATCH", status, "timeout=2s&fieldManager=a%20b").unwrap();
        assert_eq!((request.verb, request.resource), (Verb::Patch, &CLUSTERS));
        assert_eq!((request.name.as_str(), request.subresource.as_str()), ("shop-fsn", "status"));
        assert_eq!(request.namespace.as_deref(), Some("shop"));
        assert_eq!(request.parameter("fieldManager"), "a b");
        assert_eq!(request.limit(), Ok(Some(Duration::from_secs(2))));

        let request = parse("GET", "/api/v1/secrets", "watch=1").unwrap();
        assert_eq!((request.verb, request.resource, request.namespace), (Verb::Watch, &SECRETS, None));
        let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert_eq!(parse("POST", reviews, "").unwrap().resource, &SELF_SUBJECT_ACCESS_REVIEWS);
    }

    #[test]
    fn what_the_server_does_not_serve_is_not_found_or_not_allowed() {
        let clusters = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters";
        for (method, path, code) in [
            ("GET", "/apis/postgresql.cnpg.io/v2/namespaces/shop/clusters", 404),
            ("GET", "/apis/postgresql.cnpg.io/v1/clusters/shop-fsn", 404),
            ("GET", "/metrics", 404),
            ("GET", "/api/v1/namespaces/shop/secrets/a/scale", 404),
            ("DELETE", clusters, 405),
            ("DELETE", "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/a/status", 405),
            ("GET", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/a/status", 404),
            ("POST", "/apis/postgresql.cnpg.io/v1/clusters", 405),
        ] {
            assert_eq!(parse(method, path, "").unwrap_err(), code, "{method} {path}");
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, milliseconds) in [
            ("5s", Some(5000)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1500)),
            ("500ms", Some(500)),
            ("1ns", Some(0)),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(parse_go_duration(text).map(|parsed| parsed.as_millis()), milliseconds, "{text:?}");
        }
    }
}
