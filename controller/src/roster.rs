//! Which Continuums there are, from what a watch tells. Pure.
//!
//! A watch that broke lists anew, and what went meanwhile is told by no `Delete`: it is what the new list lacks. What was
//! deleted and made again under its name is another, with another uid.

use continuum_core::name::ObjectName;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, BTreeSet};

/// What follows for the task groups, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Its group ends.
    End(ObjectName),
    /// It gets a group.
    Start(ObjectName, Box<DynamicObject>),
    /// Its group is told what it is now.
    Update(ObjectName, Box<DynamicObject>),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Uid of each.
    known: BTreeMap<ObjectName, String>,
    /// Names of the list that is being read.
    listed: Option<BTreeSet<ObjectName>>,
    whole: bool,
}

impl Roster {
    /// Whether a list was read whole, once.
    pub fn whole(&self) -> bool {
        self.whole
    }

    /// Takes what the watch told.
    pub fn take(&mut self, event: Event<DynamicObject>) -> Vec<Change> {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(name_of(&object));
                }
                self.stands(object)
            }
            Event::InitDone => {
                self.whole = true;
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<ObjectName> = self.known.keys().filter(|name| !listed.contains(name)).cloned().collect();
                gone.into_iter().filter_map(|name| self.gone(name)).collect()
            }
            Event::Apply(object) => self.stands(object),
            Event::Delete(object) => {
                let name = name_of(&object);
                // A late word of one that was made again is not about that one.
                let same = self.known.get(&name) == Some(&object.uid().unwrap_or_default());
                if same { self.gone(name).into_iter().collect() } else { Vec::new() }
            }
        }
    }

    fn stands(&mut self, object: DynamicObject) -> Vec<Change> {
        let (name, uid) = (name_of(&object), object.uid().unwrap_or_default());
        let before = self.known.insert(name.clone(), uid.clone());
        let object = Box::new(object);
        match before {
            Some(before) if before == uid => vec![Change::Update(name, object)],
            Some(_) => vec![Change::End(name.clone()), Change::Start(name, object)],
            None => vec![Change::Start(name, object)],
        }
    }

    fn gone(&mut self, name: ObjectName) -> Option<Change> {
        self.known.remove(&name).map(|_| Change::End(name))
    }
}

fn name_of(object: &DynamicObject) -> ObjectName {
    ObjectName::new(object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::ApiResource;
    use kube::core::GroupVersionKind;

    fn object(name: &str, uid: &str) -> DynamicObject {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("dr.openova.io", "v1", "Continuum"));
        let mut object = DynamicObject::new(name, &kind).within("shop");
        object.metadata.uid = Some(uid.into());
        object
    }

    fn words(changes: Vec<Change>) -> Vec<String> {
        let word = |change| match change {
            Change::End(name) => format!("end {}", name.name),
            Change::Start(name, _) => format!("start {}", name.name),
            Change::Update(name, _) => format!("update {}", name.name),
        };
        changes.into_iter().map(word).collect()
    }

    fn told(roster: &mut Roster, events: Vec<Event<DynamicObject>>) -> Vec<String> {
        events.into_iter().flat_map(|event| words(roster.take(event))).collect()
    }

    fn listed(objects: Vec<DynamicObject>) -> Vec<Event<DynamicObject>> {
        let items = objects.into_iter().map(Event::InitApply);
        [Event::Init].into_iter().chain(items).chain([Event::InitDone]).collect()
    }

    #[test]
    fn what_a_list_lacks_is_ended_and_what_it_has_anew_is_started() {
        let mut roster = Roster::default();
        assert!(!roster.whole());
        assert_eq!(told(&mut roster, listed(vec![object("a", "1"), object("b", "2")])), ["start a", "start b"]);
        assert!(roster.whole());
        // The watch broke; meanwhile b went and c came.
        let anew = told(&mut roster, listed(vec![object("a", "1"), object("c", "3")]));
        assert_eq!(anew, ["update a", "start c", "end b"]);
    }

    #[test]
    fn a_list_that_breaks_off_ends_nothing() {
        let mut roster = Roster::default();
        told(&mut roster, listed(vec![object("a", "1"), object("b", "2")]));
        assert_eq!(told(&mut roster, vec![Event::Init, Event::InitApply(object("a", "1"))]), ["update a"]);
        assert_eq!(told(&mut roster, listed(vec![object("a", "1")])), ["update a", "end b"]);
    }

    #[test]
    fn one_that_was_made_again_is_another() {
        let mut roster = Roster::default();
        told(&mut roster, listed(vec![object("a", "1")]));
        assert_eq!(told(&mut roster, vec![Event::Apply(object("a", "2"))]), ["end a", "start a"]);
        assert!(told(&mut roster, vec![Event::Delete(object("a", "1"))]).is_empty(), "that was the former one");
        assert_eq!(told(&mut roster, vec![Event::Delete(object("a", "2"))]), ["end a"]);
        assert!(told(&mut roster, vec![Event::Delete(object("a", "2"))]).is_empty(), "it ends once");
    }
}
