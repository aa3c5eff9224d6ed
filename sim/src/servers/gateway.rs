//! The gateway of a region, at the address that DNS answers: leads a request by the weights of the rule that it falls
//! under. Clients of the workload ask for no path, so one of the rules is drawn for each of their writes; who asks
//! over HTTP gets the answer of the rule that its path falls under.
//!
//! Deliberately absent: every other match and filter of a rule, TLS. The application behind it answers 200 to
//! everything.

use super::kube_api::{HTTP_ROUTES, Store};
use crate::fabric::{BoxStream, Net, Software};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;

/// Its port.
pub const PORT: u16 = 80;

/// The status code of a redirect that names none (Gateway API).
const REDIRECT_DEFAULT: u64 = 302;

/// What a path is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Host that a redirect leads to, with its port where it names one.
    pub leads_to: Option<String>,
}

/// Answers a path.
pub type Answerer = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// The gateway that follows this route of its region's API server. Without a route it leads to what stands beside it.
pub fn of_route(net: Net, store: Store, namespace: &str, name: &str) -> Software {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    software(
        net,
        Arc::new(move |path| match store.get(&HTTP_ROUTES, &namespace, &name) {
            Some(route) => answer(&route, path),
            None => Answer { status: 200, leads_to: None },
        }),
    )
}

/// What runs on the host at an address where this is answered.
pub fn software(net: Net, answerer: Answerer) -> Software {
    Box::new(move || {
        let (net, answerer) = (net.clone(), answerer.clone());
        Box::pin(async move {
            let listener = net.listen(PORT).await.expect("the port is free on a host just started");
            while let Ok((stream, _)) = listener.accept().await {
                net.spawn(Box::pin(serve(stream, answerer.clone())));
            }
        })
    })
}

async fn serve(stream: BoxStream, answerer: Answerer) {
    let service = service_fn(|request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        let Answer { status, leads_to } = answerer(&path);
        let mut response = Response::builder().status(status);
        if let Some(host) = leads_to {
            response = response.header(header::LOCATION, format!("http://{host}{path}"));
        }
        let response = response.body(Full::new(Bytes::new())).expect("a valid status code and location");
        async move { Ok::<_, Infallible>(response) }
    });
    // A client that hangs up is no error of the gateway's.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// What the route answers a path, with the application behind it.
fn answer(route: &Value, path: &str) -> Answer {
    let falls = rules(route).iter().filter_map(|rule| Some((prefix_length(rule, path)?, rule)));
    // The longest prefix counts, and of two the first rule.
    let rule = falls.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let Some((_, rule)) = rule else { return Answer { status: 404, leads_to: None } };
    if let Some(redirect) = redirect(rule) {
        let status = redirect["statusCode"].as_u64().unwrap_or(REDIRECT_DEFAULT);
        let status = u16::try_from(status).expect("the API server takes status codes only");
        return Answer { status, leads_to: redirect["hostname"].as_str().map(str::to_owned) };
    }
    Answer { status: if total(rule) == 0 { 500 } else { 200 }, leads_to: None }
}

/// How much of the path the rule matches; absent: it does not.
fn prefix_length(rule: &Value, path: &str) -> Option<usize> {
    let Some(matches) = rule["matches"].as_array().filter(|matches| !matches.is_empty()) else { return Some(1) };
    let values = matches.iter().map(|one| one["path"]["value"].as_str().unwrap_or("/"));
    values.filter(|value| path.starts_with(value)).map(str::len).max()
}

/// The backend, or what the client is answered instead.
pub(crate) fn lead(route: &Value, random: &mut ChaCha8Rng) -> Result<String, String> {
    let rule = match rules(route) {
        [] => return Err("404".into()),
        [rule] => rule,
        rules => &rules[random.random_range(0..rules.len())],
    };
    if redirect(rule).is_some() {
        return Err("redirected".into());
    }
    let total = total(rule);
    if total == 0 {
        // Gateway API: a rule whose backends have weight 0 in all is answered so.
        return Err("500".into());
    }
    let mut drawn = random.random_range(0..total);
    for backend in backends(rule) {
        if drawn < weight(backend) {
            return Ok(backend["name"].as_str().unwrap_or_default().to_owned());
        }
        drawn -= weight(backend);
    }
    unreachable!("a number below the sum of the weights falls into one of them")
}

fn rules(route: &Value) -> &[Value] {
    route["spec"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn redirect(rule: &Value) -> Option<&Value> {
    let filters = rule["filters"].as_array().map(Vec::as_slice).unwrap_or_default();
    filters.iter().find_map(|filter| filter.get("requestRedirect"))
}

fn backends(rule: &Value) -> &[Value] {
    rule["backendRefs"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn weight(backend: &Value) -> u64 {
    backend["weight"].as_u64().unwrap_or(1)
}

fn total(rule: &Value) -> u64 {
    backends(rule).iter().map(weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn answers(rules: Value) -> BTreeSet<Result<String, String>> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let route = json!({ "spec": { "rules": rules } });
        (0..200).map(|_| lead(&route, &mut random)).collect()
    }

    #[test]
    fn a_rule_is_served_by_its_own_weights_and_one_without_any_answers_500() {
        let fsn = json!({ "backendRefs": [{ "name": "shop-fsn" }, { "name": "shop-hel", "weight": 0 }] });
        let none = json!({ "backendRefs": [{ "name": "shop-fsn", "weight": 0 }] });
        assert_eq!(answers(json!([fsn])), [Ok("shop-fsn".to_owned())].into());
        assert_eq!(answers(json!([none])), [Err("500".to_owned())].into());
        assert_eq!(answers(json!([fsn, none])), [Ok("shop-fsn".to_owned()), Err("500".to_owned())].into());
        assert_eq!(answers(json!([])), [Err("404".to_owned())].into());
    }

    #[test]
    fn a_path_is_answered_by_the_longest_prefix_that_it_has() {
        let to = |weight: u32| json!([{ "name": "shop-fsn", "weight": weight }]);
        let path = |value: &str| json!([{ "path": { "type": "PathPrefix", "value": value } }]);
        let filter = json!([{ "type": "RequestRedirect", "requestRedirect": { "hostname": "10.1.0.1" } }]);
        let route = json!({ "spec": { "rules": [
            { "matches": path("/"), "backendRefs": to(1) },
            { "matches": path("/admin"), "backendRefs": to(0) },
            { "matches": path("/healthz"), "filters": filter },
        ] } });
        let plain = |status| Answer { status, leads_to: None };
        assert_eq!(answer(&route, "/shop"), plain(200));
        assert_eq!(answer(&route, "/admin/x"), plain(500));
        assert_eq!(answer(&route, "/healthz"), Answer { status: 302, leads_to: Some("10.1.0.1".into()) });
        let only_admin = json!({ "spec": { "rules": [{ "matches": path("/admin"), "backendRefs": to(1) }] } });
        assert_eq!(answer(&only_admin, "/"), plain(404));
    }
}
