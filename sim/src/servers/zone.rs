//! The data of one DNS zone, as PowerDNS keeps and changes it: sets of records, replaced and removed as a
//! whole, with the checks that its API makes. Broken Lua passes them, as it does on the real server (H19).

use super::lua;
use continuum_core::record::RecordSet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name, without the trailing dot.
    pub name: String,
    sets: BTreeMap<(String, String), RecordSet>,
}

/// A change that the API refuses, with the status code and the text of its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejected {
    /// Status code.
    pub status: u16,
    /// Text.
    pub message: String,
}

#[derive(Deserialize)]
struct Patch {
    rrsets: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    ttl: Option<u32>,
    changetype: String,
    #[serde(default)]
    records: Vec<Content>,
}

#[derive(Deserialize)]
struct Content {
    content: String,
}

fn rejected(message: String) -> Rejected {
    Rejected { status: 422, message }
}

impl Zone {
    /// An empty zone.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sets: BTreeMap::new() }
    }

    /// Its sets, by name and type.
    pub fn sets(&self) -> impl Iterator<Item = &RecordSet> {
        self.sets.values()
    }

    /// The sets of one name.
    pub fn sets_of(&self, hostname: &str) -> impl Iterator<Item = &RecordSet> {
        self.sets.values().filter(move |set| set.hostname == hostname)
    }

    /// Replaces one set; one with no contents is removed. Nothing is checked.
    pub fn put(&mut self, set: RecordSet) {
        let key = (set.hostname.clone(), set.kind.clone());
        if set.contents.is_empty() {
            self.sets.remove(&key);
        } else {
            self.sets.insert(key, set);
        }
    }

    /// Whether a name belongs to it.
    pub fn contains(&self, hostname: &str) -> bool {
        hostname == self.name || hostname.strip_suffix(&self.name).is_some_and(|front| front.ends_with('.'))
    }

    /// The API's view of it.
    pub fn to_json(&self) -> Value {
        let rrset = |set: &RecordSet| {
            let records: Vec<Value> =
                set.contents.iter().map(|content| json!({ "content": content, "disabled": false })).collect();
            json!({ "name": format!("{}.", set.hostname), "type": set.kind, "ttl": set.ttl_seconds,
                    "records": records, "comments": [] })
        };
        json!({ "name": format!("{}.", self.name), "kind": "Native",
                "rrsets": self.sets().map(rrset).collect::<Vec<_>>() })
    }

    /// Applies the body of a PATCH: all of it or nothing. The sets that were changed.
    pub fn patch(&mut self, body: &str) -> Result<Vec<RecordSet>, Rejected> {
        let patch: Patch =
            serde_json::from_str(body).map_err(|error| Rejected { status: 400, message: format!("JSON: {error}") })?;
        let mut changed = self.clone();
        let mut sets = Vec::new();
        for change in patch.rrsets {
            let set = self.check(change)?;
            changed.put(set.clone());
            let kinds: Vec<&str> = changed.sets_of(&set.hostname).map(|s| s.kind.as_str()).collect();
            if kinds.contains(&"CNAME") && kinds.len() > 1 {
                let RecordSet { hostname, kind, .. } = &set;
                return Err(rejected(format!("RRset {hostname}. IN {kind}: Conflicts with another RRset")));
            }
            sets.push(set);
        }
        *self = changed;
        Ok(sets)
    }

    fn check(&self, change: Change) -> Result<RecordSet, Rejected> {
        let told = format!("RRset {} IN {}", change.name, change.kind);
        let Some(hostname) = change.name.strip_suffix('.').map(str::to_ascii_lowercase) else {
            return Err(rejected(format!("DNS Name '{}' is not canonical", change.name)));
        };
        if !self.contains(&hostname) {
            return Err(rejected(format!("{told}: Name is out of zone")));
        }
        let contents: Vec<String> = match change.changetype.as_str() {
            "DELETE" => Vec::new(),
            "REPLACE" => change.records.into_iter().map(|record| record.content).collect(),
            _ => return Err(rejected(format!("Changetype not understood in '{}'", change.changetype))),
        };
        for content in &contents {
            let fault = match change.kind.as_str() {
                "A" => content.parse::<Ipv4Addr>().err().map(|error| error.to_string()),
                "AAAA" => content.parse::<Ipv6Addr>().err().map(|error| error.to_string()),
                "LUA" => lua::split(content).err().map(|error| error.to_string()),
                _ => None,
            };
            if let Some(fault) = fault {
                return Err(rejected(format!("Record {}/{} '{content}': {fault}", change.name, change.kind)));
            }
        }
        match change.ttl {
            Some(ttl_seconds) => Ok(RecordSet { hostname, kind: change.kind, ttl_seconds, contents }),
            None if contents.is_empty() => Ok(RecordSet { hostname, kind: change.kind, ttl_seconds: 0, contents }),
            None => Err(rejected(format!("{told}: Key 'ttl' is missing"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(zone: &mut Zone, name: &str, kind: &str, content: &str) -> Result<Vec<RecordSet>, Rejected> {
        let body = json!({ "rrsets": [{ "name": name, "type": kind, "ttl": 30, "changetype": "REPLACE",
                                        "records": [{ "content": content, "disabled": false }] }] });
        zone.patch(&body.to_string())
    }

    #[test]
    fn broken_lua_is_accepted_and_unescaped_double_quotes_are_not() {
        let mut zone = Zone::new("example.org");
        assert!(patch(&mut zone, "shop.example.org.", "LUA", "A \"pickfirst({'10.1.0.1'})\"").is_ok());
        assert!(patch(&mut zone, "shop.example.org.", "LUA", "A \"pickclosest({\\\"10.1.0.1\\\"})\"").is_ok());
        let error = patch(&mut zone, "shop.example.org.", "LUA", "A \"pickclosest({\"10.1.0.1\"})\"").unwrap_err();
        assert_eq!(error.status, 422);
    }

    #[test]
    fn one_wrong_set_leaves_the_zone_as_it_was() {
        let mut zone = Zone::new("example.org");
        let body = json!({ "rrsets": [
            { "name": "a.example.org.", "type": "A", "ttl": 30, "changetype": "REPLACE",
              "records": [{ "content": "10.1.0.1" }] },
            { "name": "b.example.com.", "type": "A", "ttl": 30, "changetype": "REPLACE",
              "records": [{ "content": "10.1.0.1" }] },
        ] });
        assert_eq!(zone.patch(&body.to_string()).unwrap_err().status, 422);
        assert_eq!(zone, Zone::new("example.org"));
    }

    #[test]
    fn a_name_without_its_dot_or_another_type_beside_a_cname_is_refused() {
        let mut zone = Zone::new("example.org");
        assert!(patch(&mut zone, "shop.example.org", "A", "10.1.0.1").is_err());
        assert!(patch(&mut zone, "shop.example.org.", "CNAME", "other.example.org.").is_ok());
        assert!(patch(&mut zone, "shop.example.org.", "A", "10.1.0.1").is_err());
    }
}
