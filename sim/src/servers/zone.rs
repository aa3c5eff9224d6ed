//! The data of one DNS zone, as PowerDNS keeps and changes it: sets of records, replaced and removed as a
//! whole, with the checks that its API makes. Broken Lua passes them, as it does on the real server (H19).

use super::lua;
use continuum_core::record::RecordSet;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name, without the trailing dot.
    pub name: String,
    /// What is answered, by name and type.
    sets: BTreeMap<(String, String), RecordSet>,
    /// Contents that stand and are not answered, by name and type.
    disabled: BTreeMap<(String, String), Vec<String>>,
    /// LUA records can only be read (from 5.1 on, unless `enable-lua-record-updates`).
    lua_is_read_only: bool,
}

/// A change that the API refuses, with the status code and the text of its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejected {
    /// Status code.
    pub status: u16,
    /// Text.
    pub message: String,
    /// Where there are several faults, each of them.
    pub faults: Vec<String>,
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
    #[serde(default)]
    disabled: bool,
}

/// A set as it is to be.
struct Put {
    set: RecordSet,
    disabled: Vec<String>,
}

fn rejected(message: String) -> Rejected {
    Rejected { status: 422, message, faults: Vec::new() }
}

/// As the server tells one fault, or several.
fn all(mut faults: Vec<String>) -> Rejected {
    match faults.len() {
        1 => rejected(faults.remove(0)),
        _ => Rejected { status: 422, message: "Multiple errors found in RRset".into(), faults },
    }
}

impl Zone {
    /// An empty zone.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sets: BTreeMap::new(), disabled: BTreeMap::new(), lua_is_read_only: false }
    }

    /// Whether LUA records can only be read.
    pub fn make_lua_read_only(&mut self, read_only: bool) {
        self.lua_is_read_only = read_only;
    }

    /// Puts a content that stands and is not answered.
    pub fn disable(&mut self, hostname: &str, kind: &str, content: &str) {
        self.disabled.entry((hostname.to_owned(), kind.to_owned())).or_default().push(content.to_owned());
    }

    /// Name, type and content of what stands and is not answered.
    pub fn disabled(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let contents = self.disabled.iter();
        contents.flat_map(|((name, kind), all)| all.iter().map(move |one| (name.as_str(), kind.as_str(), one.as_str())))
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

    /// The API's view of it, or of one name in it. As on 4.7, the view of one name hides what is disabled.
    pub fn to_json(&self, name: Option<&str>) -> Value {
        let asked = |set: &&RecordSet| name.is_none_or(|name| set.hostname == name);
        let rrset = |set: &RecordSet| {
            let records: Vec<Value> =
                set.contents.iter().map(|content| json!({ "content": content, "disabled": false })).collect();
            json!({ "name": format!("{}.", set.hostname), "type": set.kind, "ttl": set.ttl_seconds,
                    "records": records, "comments": [] })
        };
        json!({ "name": format!("{}.", self.name), "kind": "Native",
                "rrsets": self.sets().filter(asked).map(rrset).collect::<Vec<_>>() })
    }

    /// What the API finds by a name, in every set, disabled or not.
    pub fn search(&self, name: &str) -> Value {
        let found = |kind: &str, content: &str, disabled: bool| {
            json!({ "object_type": "record", "name": format!("{name}."), "type": kind, "content": content,
                    "disabled": disabled, "zone": format!("{}.", self.name), "zone_id": format!("{}.", self.name) })
        };
        let answered = self.sets_of(name).flat_map(|set| set.contents.iter().map(|c| found(&set.kind, c, false)));
        let disabled = self.disabled().filter(|(of, ..)| *of == name).map(|(_, kind, c)| found(kind, c, true));
        Value::Array(answered.chain(disabled).collect())
    }

    /// Whether a PATCH with this body would be refused, so that it only asks.
    pub fn refuses(&self, body: &str) -> bool {
        self.clone().patch(body).is_err()
    }

    /// Applies the body of a PATCH: all of it or nothing. The sets that were changed.
    pub fn patch(&mut self, body: &str) -> Result<Vec<RecordSet>, Rejected> {
        let patch: Patch = serde_json::from_str(body).map_err(|error| Rejected {
            status: 400,
            message: format!("JSON: {error}"),
            faults: Vec::new(),
        })?;
        let mut changed = self.clone();
        let mut sets = Vec::new();
        let mut seen = BTreeSet::new();
        for change in patch.rrsets {
            if !seen.insert((change.name.clone(), change.kind.clone(), change.changetype.clone())) {
                let Change { name, kind, changetype, .. } = change;
                return Err(rejected(format!("Duplicate RRset {name} IN {kind} with changetype: {changetype}")));
            }
            let Put { set, disabled } = self.check(change)?;
            changed.put(set.clone());
            let key = (set.hostname.clone(), set.kind.clone());
            changed.disabled.remove(&key);
            if !disabled.is_empty() {
                changed.disabled.insert(key, disabled);
            }
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

    fn check(&self, change: Change) -> Result<Put, Rejected> {
        let told = format!("RRset {} IN {}", change.name, change.kind);
        let Some(hostname) = change.name.strip_suffix('.').map(str::to_ascii_lowercase) else {
            return Err(rejected(format!("DNS Name '{}' is not canonical", change.name)));
        };
        if !self.contains(&hostname) {
            return Err(rejected(format!("{told}: Name is out of zone")));
        }
        let records: Vec<Content> = match change.changetype.as_str() {
            "DELETE" if self.lua_is_read_only && change.kind == "LUA" => {
                return Err(rejected("Update of Lua records is not allowed".into()));
            }
            "DELETE" => Vec::new(),
            "REPLACE" => change.records,
            _ => return Err(rejected(format!("Changetype not understood in '{}'", change.changetype))),
        };
        for Content { content, .. } in &records {
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
        let mut faults = Vec::new();
        if self.lua_is_read_only && change.kind == "LUA" {
            faults.extend(records.iter().map(|_| format!("{told}: update of Lua records is not allowed")));
        }
        let mut known = BTreeSet::new();
        let doubled = records.iter().filter(|record| !known.insert(record.content.as_str()));
        faults.extend(doubled.map(|record| {
            format!("Duplicate record in RRset {} IN {} with content \"{}\"", change.name, change.kind, record.content)
        }));
        if !faults.is_empty() {
            return Err(all(faults));
        }
        let ttl_seconds = match change.ttl {
            Some(ttl_seconds) => ttl_seconds,
            None if records.is_empty() => 0,
            None => return Err(rejected(format!("{told}: Key 'ttl' is missing"))),
        };
        let (disabled, answered): (Vec<Content>, Vec<Content>) =
            records.into_iter().partition(|record| record.disabled);
        let contents = |records: Vec<Content>| records.into_iter().map(|record| record.content).collect();
        let set = RecordSet { hostname, kind: change.kind, ttl_seconds, contents: contents(answered) };
        Ok(Put { set, disabled: contents(disabled) })
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

    #[test]
    fn a_record_twice_is_refused_and_a_disabled_one_stands_unanswered() {
        let mut zone = Zone::new("example.org");
        let body = |records: Value| {
            json!({ "rrsets": [{ "name": "a.example.org.", "type": "A", "ttl": 30, "changetype": "REPLACE",
                                 "records": records }] })
            .to_string()
        };
        let twice = body(json!([{ "content": "10.1.0.1" }, { "content": "10.1.0.1" }]));
        assert!(zone.refuses(&twice));
        assert!(zone.patch(&twice).unwrap_err().message.starts_with("Duplicate record in RRset a.example.org. IN A"));
        zone.patch(&body(json!([{ "content": "10.1.0.1" }, { "content": "10.1.0.2", "disabled": true }]))).unwrap();
        assert_eq!(zone.sets_of("a.example.org").next().unwrap().contents, ["10.1.0.1"]);
        assert_eq!(zone.disabled().collect::<Vec<_>>(), [("a.example.org", "A", "10.1.0.2")]);
    }

    /// H51.
    #[test]
    fn lua_that_is_read_only_is_refused_with_each_fault() {
        let mut zone = Zone::new("example.org");
        zone.make_lua_read_only(true);
        let error = patch(&mut zone, "shop.example.org.", "LUA", "A \"pickclosest({'10.1.0.1'})\"").unwrap_err();
        assert_eq!(error.message, "RRset shop.example.org. IN LUA: update of Lua records is not allowed");
        assert!(patch(&mut zone, "shop.example.org.", "A", "10.1.0.1").is_ok());
    }
}
