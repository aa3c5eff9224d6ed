//! Which Continuums there are, from what their watch tells. Pure.
//!
//! What was deleted and made again under its name is another, with another uid.

use continuum_core::name::ObjectName;
use continuum_core::observe::Stored;
use std::collections::BTreeMap;

/// What follows for the task groups, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Its group ends.
    End(ObjectName),
    /// It gets a group.
    Start(ObjectName, Stored),
    /// Its group is told what it is now.
    Update(ObjectName, Stored),
}

/// Uid of each.
#[derive(Debug, Default)]
pub(crate) struct Roster(BTreeMap<ObjectName, String>);

impl Roster {
    /// Takes what stands under a name; absent: nothing.
    pub fn take(&mut self, name: ObjectName, object: Option<Stored>) -> Vec<Change> {
        let Some(object) = object else {
            return self.0.remove(&name).map(|_| Change::End(name)).into_iter().collect();
        };
        let uid = object.read()["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        match self.0.insert(name.clone(), uid.clone()) {
            Some(before) if before == uid => vec![Change::Update(name, object)],
            Some(_) => vec![Change::End(name.clone()), Change::Start(name, object)],
            None => vec![Change::Start(name, object)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(roster: &mut Roster, name: &str, uid: Option<&str>) -> Vec<String> {
        let object = uid.map(|uid| Stored::from(json!({ "metadata": { "name": name, "uid": uid } })));
        let word = |change| match change {
            Change::End(name) => format!("end {}", name.name),
            Change::Start(name, _) => format!("start {}", name.name),
            Change::Update(name, _) => format!("update {}", name.name),
        };
        roster.take(ObjectName::new("shop", name), object).into_iter().map(word).collect()
    }

    #[test]
    fn one_begins_once_and_ends_once() {
        let mut roster = Roster::default();
        assert_eq!(told(&mut roster, "a", Some("1")), ["start a"]);
        assert_eq!(told(&mut roster, "b", Some("2")), ["start b"]);
        assert_eq!(told(&mut roster, "a", Some("1")), ["update a"]);
        assert_eq!(told(&mut roster, "a", None), ["end a"]);
        assert!(told(&mut roster, "a", None).is_empty());
        assert_eq!(told(&mut roster, "b", Some("2")), ["update b"]);
    }

    #[test]
    fn one_that_was_made_again_is_another() {
        let mut roster = Roster::default();
        told(&mut roster, "a", Some("1"));
        assert_eq!(told(&mut roster, "a", Some("2")), ["end a", "start a"]);
    }
}
