//! Where a half's PostgreSQL is, by what the Clusters say. Pure.
//!
//! Facts from CloudNativePG's API reference (1.30): an entry of `externalClusters` holds libpq's parameters as texts in
//! `connectionParameters`, and names the secret with the certificate authority in `sslRootCert`; a Cluster's own is named by
//! `status.certificates.serverCASecret`, which is `<cluster>-ca` where nothing else was asked for.

use continuum_core::name::{ObjectName, Region};
use continuum_live::resource::PostgresPlace;
use serde_json::Value;
use std::fmt;

/// PostgreSQL's port where none is named.
const PORT: u16 = 5432;
/// Key of a certificate authority in the operator's secrets.
const CA_KEY: &str = "ca.crt";

/// Where to connect, and whom to trust there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What a server must show.
    pub trust: Trust,
}

/// What a server must show. There is no encryption without verification: it would keep out only those who merely listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Nothing; the stream is not encrypted. Only where an entry says `disable` in so many words.
    Anyone,
    /// A certificate by this authority (`verify-ca`).
    Authority(SecretKey),
    /// The same, for the host's name (`verify-full`).
    AuthorityAndName(SecretKey),
}

/// One key of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    /// The secret, in one's own cluster.
    pub secret: ObjectName,
    /// Key in it.
    pub key: String,
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of secret {}", self.key, self.secret)
    }
}

/// Why nobody knows where a half's PostgreSQL is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Cluster {cluster} in {region}, externalClusters entry `{entry}`")]
pub struct NoPlace {
    /// One's own Cluster.
    pub cluster: ObjectName,
    /// One's own region.
    pub region: Region,
    /// Name of the entry.
    pub entry: String,
    /// What is wrong with it.
    #[source]
    pub wrong: Box<Wrong>,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// No entry names the other half.
    #[error("there is none: add one with host, port, sslmode and sslRootCert")]
    Missing,
    /// There is no host in it, nor in the Continuum.
    #[error("it has no host: add connectionParameters.host, or regions[].postgres.host to the Continuum")]
    NoHost,
    /// It is none that can be reached from here.
    #[error("host `{0}` is not one server: name one, or set regions[].postgres.host in the Continuum")]
    Host(String),
    /// It is none.
    #[error("port `{0}` is no port: write a number from 1 to 65535")]
    Port(String),
    /// Not one of libpq's.
    #[error("sslmode `{0}` is unknown: write verify-ca or verify-full")]
    Mode(String),
    /// Nothing to verify the server by.
    #[error("it has no sslRootCert to verify the server by: add one with name and key of the secret that holds the CA")]
    NoAuthority,
}

/// One's own half: its read-write Service, and the authority that its Cluster names.
pub fn own_half(cluster: &Value, domain: &str, place: Option<&PostgresPlace>) -> Target {
    let name = name_of(cluster);
    let ca = ["/status/certificates/serverCASecret", "/spec/certificates/serverCASecret"];
    let named = ca.iter().find_map(|path| cluster.pointer(path)?.as_str()).filter(|name| !name.is_empty());
    let secret = named.map_or_else(|| format!("{}-ca", name.name), str::to_owned);
    let service = format!("{}-rw.{}.svc.{domain}", name.name, name.namespace);
    Target {
        host: place.and_then(|place| place.host.clone()).unwrap_or(service),
        port: place.and_then(|place| place.port).and_then(|port| port.try_into().ok()).unwrap_or(PORT),
        trust: Trust::AuthorityAndName(SecretKey {
            secret: ObjectName::new(name.namespace, secret),
            key: CA_KEY.into(),
        }),
    }
}

/// The other half, whose Cluster is named `other`: by the entry of this name in one's own Cluster. A place that the
/// Continuum names goes before the entry's; whom to trust is always the entry's to say.
///
/// # Errors
///
/// There is no such entry, or it does not say enough.
pub fn other_half(own: &Value, region: &Region, other: &str, place: Option<&PostgresPlace>) -> Result<Target, NoPlace> {
    let cluster = name_of(own);
    let entries = own.pointer("/spec/externalClusters").and_then(Value::as_array);
    let entry = entries.into_iter().flatten().find(|entry| entry["name"] == other).ok_or(Wrong::Missing);
    let target = entry.and_then(|entry| {
        Ok(Target { host: host(entry, place)?, port: port(entry, place)?, trust: trust(entry, &cluster.namespace)? })
    });
    target.map_err(|wrong| NoPlace { cluster, region: region.clone(), entry: other.to_owned(), wrong: Box::new(wrong) })
}

fn name_of(cluster: &Value) -> ObjectName {
    let text = |path: &str| cluster.pointer(path).and_then(Value::as_str).unwrap_or_default();
    ObjectName::new(text("/metadata/namespace"), text("/metadata/name"))
}

fn parameter<'a>(entry: &'a Value, name: &str) -> Option<&'a str> {
    entry["connectionParameters"][name].as_str().filter(|value| !value.is_empty())
}

/// libpq takes several hosts, and folders of sockets; here is one server, elsewhere.
fn host(entry: &Value, place: Option<&PostgresPlace>) -> Result<String, Wrong> {
    if let Some(host) = place.and_then(|place| place.host.clone()) {
        return Ok(host);
    }
    let host = parameter(entry, "host").ok_or(Wrong::NoHost)?;
    if host.contains([',', '/', '@']) || host.contains(char::is_whitespace) {
        return Err(Wrong::Host(host.to_owned()));
    }
    Ok(host.to_owned())
}

fn port(entry: &Value, place: Option<&PostgresPlace>) -> Result<u16, Wrong> {
    if let Some(port) = place.and_then(|place| place.port) {
        return port.try_into().map_err(|_| Wrong::Port(port.to_string()));
    }
    let Some(text) = parameter(entry, "port") else { return Ok(PORT) };
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| Wrong::Port(text.to_owned()))
}

/// libpq verifies by an authority from `require` on where it has one; here it is verified wherever TLS is not refused.
fn trust(entry: &Value, namespace: &str) -> Result<Trust, Wrong> {
    let mode = parameter(entry, "sslmode").unwrap_or("prefer");
    if mode == "disable" {
        return Ok(Trust::Anyone);
    }
    if !["allow", "prefer", "require", "verify-ca", "verify-full"].contains(&mode) {
        return Err(Wrong::Mode(mode.to_owned()));
    }
    let text = |field: &str| entry["sslRootCert"][field].as_str().filter(|text| !text.is_empty());
    let (Some(name), Some(key)) = (text("name"), text("key")) else { return Err(Wrong::NoAuthority) };
    let authority = SecretKey { secret: ObjectName::new(namespace, name), key: key.to_owned() };
    Ok(if mode == "verify-full" { Trust::AuthorityAndName(authority) } else { Trust::Authority(authority) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cluster(spec: Value) -> Value {
        json!({ "metadata": { "namespace": "shop", "name": "shop-fsn" }, "spec": spec })
    }

    fn authority(secret: &str, key: &str) -> SecretKey {
        SecretKey { secret: ObjectName::new("shop", secret), key: key.into() }
    }

    fn place(host: Option<&str>, port: Option<u32>) -> PostgresPlace {
        PostgresPlace { host: host.map(str::to_owned), port }
    }

    #[test]
    fn ones_own_half_is_reached_by_its_service_and_verified_by_the_authority_that_the_cluster_names() {
        let plain = cluster(json!({}));
        let mut told = plain.clone();
        told["status"]["certificates"]["serverCASecret"] = json!("own-ca");
        let asked = cluster(json!({ "certificates": { "serverCASecret": "asked-ca" } }));
        for (cluster, secret) in [(&plain, "shop-fsn-ca"), (&told, "own-ca"), (&asked, "asked-ca")] {
            let expected = Target {
                host: "shop-fsn-rw.shop.svc.cluster.local".into(),
                port: 5432,
                trust: Trust::AuthorityAndName(authority(secret, "ca.crt")),
            };
            assert_eq!(own_half(cluster, "cluster.local", None), expected);
        }
        let elsewhere = own_half(&plain, "cluster.local", Some(&place(Some("10.0.0.1"), Some(5433))));
        assert_eq!((elsewhere.host.as_str(), elsewhere.port), ("10.0.0.1", 5433));
    }

    #[test]
    fn the_other_half_is_where_the_entry_of_its_name_says() {
        let ca = json!({ "name": "hel-ca", "key": "ca.crt" });
        let verified = || Trust::Authority(authority("hel-ca", "ca.crt"));
        // Parameters, authority, what the Continuum says; host, port, trust.
        let rows = [
            (json!({ "host": "db.hel", "sslmode": "verify-ca" }), &ca, None, Ok(("db.hel", 5432, verified()))),
            (
                json!({ "host": "db.hel", "port": "5433", "sslmode": "verify-full" }),
                &ca,
                None,
                Ok(("db.hel", 5433, Trust::AuthorityAndName(authority("hel-ca", "ca.crt")))),
            ),
            // TLS is verified wherever it is, also where libpq would not.
            (json!({ "host": "db.hel" }), &ca, None, Ok(("db.hel", 5432, verified()))),
            (json!({ "host": "db.hel", "sslmode": "require" }), &ca, None, Ok(("db.hel", 5432, verified()))),
            (
                json!({ "host": "db.hel", "sslmode": "disable" }),
                &Value::Null,
                None,
                Ok(("db.hel", 5432, Trust::Anyone)),
            ),
            // The Continuum goes before the entry, part by part.
            (json!({}), &ca, Some(place(Some("::1"), None)), Ok(("::1", 5432, verified()))),
            (json!({ "host": "db.hel" }), &ca, Some(place(None, Some(6432))), Ok(("db.hel", 6432, verified()))),
            (json!({}), &ca, None, Err(Wrong::NoHost)),
            (json!({ "host": "a,b" }), &ca, None, Err(Wrong::Host("a,b".into()))),
            (json!({ "host": "/run/postgresql" }), &ca, None, Err(Wrong::Host("/run/postgresql".into()))),
            (json!({ "host": "db.hel", "port": "0" }), &ca, None, Err(Wrong::Port("0".into()))),
            (json!({ "host": "db.hel", "port": "5432,5433" }), &ca, None, Err(Wrong::Port("5432,5433".into()))),
            (json!({ "host": "db.hel", "sslmode": "verify" }), &ca, None, Err(Wrong::Mode("verify".into()))),
            (json!({ "host": "db.hel", "sslmode": "verify-full" }), &Value::Null, None, Err(Wrong::NoAuthority)),
            (json!({ "host": "db.hel", "sslmode": "require" }), &Value::Null, None, Err(Wrong::NoAuthority)),
            (json!({ "host": "db.hel" }), &json!({ "name": "hel-ca" }), None, Err(Wrong::NoAuthority)),
        ];
        for (parameters, ca, place, expected) in rows {
            let entry = json!({ "name": "shop-hel", "connectionParameters": parameters, "sslRootCert": ca });
            let own = cluster(json!({ "externalClusters": [{ "name": "shop-fsn" }, entry] }));
            let found = other_half(&own, &Region::new("fsn"), "shop-hel", place.as_ref());
            let expected = expected.map(|(host, port, trust)| Target { host: host.into(), port, trust });
            let found = found.map_err(|error| *error.wrong);
            assert_eq!(found, expected, "{parameters} {ca}");
        }
    }

    #[test]
    fn without_an_entry_it_is_said_which_is_missing() {
        let own = cluster(json!({ "externalClusters": [{ "name": "shop-fsn" }] }));
        let error = other_half(&own, &Region::new("fsn"), "shop-hel", Some(&place(Some("db"), None))).unwrap_err();
        let text = "Cluster shop/shop-fsn in fsn, externalClusters entry `shop-hel`: there is none: add one with host, \
                    port, sslmode and sslRootCert";
        assert_eq!(crate::chain(&error), text);
    }
}
