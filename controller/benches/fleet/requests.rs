//! What API servers were asked, by their own count.

use crate::servers::Servers;
use std::collections::BTreeMap;

/// So often is a server asked that does not answer.
const TRIES: usize = 20;

/// Requests so far, by verb and resource; watches are left out, and what is no resource.
pub type Counts = BTreeMap<String, f64>;

/// Of both servers together.
pub async fn count(servers: &Servers) -> Counts {
    let mut counts = Counts::new();
    for client in &servers.clients {
        for (key, count) in page(client).await.lines().filter_map(sample) {
            *counts.entry(key).or_default() += count;
        }
    }
    counts
}

/// A busy server may not answer the first time.
async fn page(client: &kube::Client) -> String {
    for _ in 0..TRIES {
        let request = http::Request::get("/metrics").body(Vec::new()).expect("a request");
        match client.request_text(request).await {
            Ok(page) => return page,
            Err(error) => eprintln!("metrics of an API server: {error}"),
        }
    }
    panic!("an API server tells no metrics");
}

/// What came to `before` until `after`.
pub fn between(before: &Counts, after: &Counts) -> Counts {
    let came = |(key, count): (&String, &f64)| (key.clone(), count - before.get(key).copied().unwrap_or_default());
    after.iter().map(came).collect()
}

fn sample(line: &str) -> Option<(String, f64)> {
    let (labels, count) = line.strip_prefix("apiserver_request_total{")?.rsplit_once("} ")?;
    let label = |name: &str| {
        let (_, rest) = labels.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let (verb, resource) = (label("verb")?, label(",resource")?);
    if verb == "WATCH" || resource.is_empty() {
        return None;
    }
    let part = label("subresource").filter(|part| !part.is_empty()).map(|part| format!("/{part}"));
    Some((format!("{verb} {resource}{}", part.unwrap_or_default()), count.parse().ok()?))
}
