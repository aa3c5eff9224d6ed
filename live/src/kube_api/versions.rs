//! At what versions objects of one server were read or written last: what a watch tells later may be older. Clusters are read
//! by lists, which say of none that it is gone: that is believed of their watch.

use super::{CLUSTERS, CONTINUUMS, Kind, ROUTES, name_of, text};
use continuum_core::name::ObjectName;
use serde_json::Value;

/// See the module. Only what is watched as well is noted.
#[derive(Default)]
pub(super) struct VersionsRead {
    /// How many were noted so far.
    noted: u64,
    /// Few: a Continuum has its copy, a Cluster and a route in each region.
    versions: Vec<(&'static str, ObjectName, Noted)>,
}

struct Noted {
    /// The largest there is: it is gone.
    version: u64,
    /// How many had been noted by then.
    at: u64,
}

/// When a request was sent, by what had been noted before.
#[derive(Clone, Copy)]
pub(super) struct SentAt(u64);

impl VersionsRead {
    /// A request is sent.
    pub fn sent(&self) -> SentAt {
        SentAt(self.noted)
    }

    /// What a request gave. Of two that were under way at once the newer version counts. One that was sent after the other
    /// had ended is right also where its version is lower: a server that was restored from a backup counts from there.
    pub fn note(&mut self, kind: &Kind, object: &Value, sent: SentAt) {
        if ![CLUSTERS, ROUTES, CONTINUUMS].contains(kind) {
            return;
        }
        let Ok(version) = text(object, "/metadata/resourceVersion").parse() else { return };
        self.noted += 1;
        let (at, object) = (self.noted, name_of(object));
        match self.find(kind, &object) {
            Some(index) => {
                let known = &mut self.versions[index].2;
                let meanwhile = Some(known.version).filter(|_| known.at > sent.0);
                *known = Noted { version: meanwhile.map_or(version, |known| known.max(version)), at };
            }
            None => self.versions.push((kind.plural, object, Noted { version, at })),
        }
    }

    fn find(&self, kind: &Kind, object: &ObjectName) -> Option<usize> {
        self.versions.iter().position(|(plural, name, _)| *plural == kind.plural && name == object)
    }

    /// The server has no such object: whatever a watch tells of it is older, until it was read again.
    pub fn note_missing(&mut self, kind: &Kind, object: &ObjectName) {
        if let Some(index) = self.find(kind, object) {
            self.noted += 1;
            self.versions[index].2 = Noted { version: u64::MAX, at: self.noted };
        }
    }

    /// Whether this object was read or written at a version after this one. Versions of one object grow as numbers do.
    pub fn has_newer(&self, kind: &Kind, object: &ObjectName, version: &str) -> bool {
        let Some(index) = self.find(kind, object) else { return false };
        version.parse::<u64>().is_ok_and(|version| version < self.versions[index].2.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shop() -> ObjectName {
        ObjectName::new("shop", "shop-a")
    }

    fn at(version: &str) -> Value {
        json!({ "metadata": { "namespace": "shop", "name": "shop-a", "resourceVersion": version } })
    }

    #[test]
    fn of_two_reads_at_once_the_newer_counts_and_of_two_in_a_row_the_second() {
        let mut read = VersionsRead::default();
        let (first, second) = (read.sent(), read.sent());
        read.note(&CLUSTERS, &at("7"), second);
        read.note(&CLUSTERS, &at("5"), first);
        assert!(read.has_newer(&CLUSTERS, &shop(), "6"), "the one that was answered late was no later read");
        let restored = read.sent();
        read.note(&CLUSTERS, &at("3"), restored);
        assert!(!read.has_newer(&CLUSTERS, &shop(), "3"));
        assert!(read.has_newer(&CLUSTERS, &shop(), "2"));
    }

    #[test]
    fn what_is_gone_was_read_after_all_that_was_told_of_it() {
        let mut read = VersionsRead::default();
        read.note_missing(&CONTINUUMS, &shop());
        assert!(!read.has_newer(&CONTINUUMS, &shop(), "1"), "nothing is known of what came before");
        let sent = read.sent();
        read.note(&CONTINUUMS, &at("7"), sent);
        read.note_missing(&CONTINUUMS, &shop());
        assert!(read.has_newer(&CONTINUUMS, &shop(), "7"));
        assert!(read.has_newer(&CONTINUUMS, &shop(), "12"), "a watch told of it before it went");
        let sent = read.sent();
        read.note(&CONTINUUMS, &at("15"), sent);
        assert!(!read.has_newer(&CONTINUUMS, &shop(), "15"), "it was made anew");
        assert!(!read.has_newer(&ROUTES, &shop(), "1"));
    }
}
