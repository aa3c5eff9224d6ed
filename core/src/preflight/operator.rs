//! Step 2: the operator of each half: whether it acts at all, which release it is, and what that release does wrong.
//!
//! The release follows from the commit that the operator writes into each Cluster's status, so it needs no right
//! beyond reading the Cluster. A build that is no release of CloudNativePG's own is not known here, and says so.

use super::{Case, Findings, Id};
use crate::observe::ClusterView;

/// A release: minor and patch number of 1.x.y.
type Release = (u32, u32);

/// Commits of CloudNativePG's tags, abbreviated as its builds do at least.
const RELEASES: [(&str, Release); 23] = [
    ("bad5a25", (25, 0)),
    ("c56e00d", (25, 1)),
    ("2aa4bd4", (25, 2)),
    ("fee323e", (25, 3)),
    ("f7b4ab9", (25, 4)),
    ("1535f3c", (26, 0)),
    ("252497f", (26, 1)),
    ("e88c344", (26, 2)),
    ("430706b", (26, 3)),
    ("8b442dc", (27, 0)),
    ("9daa681", (27, 1)),
    ("8f4702a", (27, 2)),
    ("fa83b1e", (27, 3)),
    ("d36a9a5", (27, 4)),
    ("a969620", (28, 0)),
    ("1ecc483", (28, 1)),
    ("8b59f39", (28, 2)),
    ("d0ce8ac", (28, 3)),
    ("f74344b", (28, 4)),
    ("23eae00", (29, 0)),
    ("a4060c1", (29, 1)),
    ("94ee311", (29, 2)),
    ("4b5e244", (30, 0)),
];

/// A fault of some releases.
struct Fault {
    /// Whether a release has it, on a half with so many instances.
    stands: fn(Release, u32) -> bool,
    /// Whether it can leave a switchover without its token; else it is advice.
    blocks: bool,
    /// What goes wrong, what to do, and where that is written.
    text: &'static str,
}

const FAULTS: [Fault; 2] = [
    Fault {
        stands: |release, _| release < (28, 4) || ((29, 0)..(29, 2)).contains(&release),
        blocks: true,
        text: "may wipe the demotion token that it has just written, and then no half can be promoted: upgrade to 1.28.4, \
               1.29.2 or 1.30.0 (cloudnative-pg 11074, 11075)",
    },
    Fault {
        stands: |release, instances| release <= (30, 0) && instances > 1,
        blocks: false,
        text: "may take the wrong instance of a replica cluster for its designated primary (cloudnative-pg 11495)",
    },
];

pub(super) fn look(case: &Case, out: &mut Findings) {
    for (_, half) in case.halves() {
        if let Some(cluster) = half.cluster.known() {
            acts(cluster, out);
            release_of(cluster, out);
        }
    }
    let (Some(from), Some(to)) = (case.source(), case.target()) else { return };
    if let (Some(a), Some(b)) = (&from.operator_commit, &to.operator_commit)
        && !same(a, b)
    {
        let (from, to) = (&from.object.name, &to.object.name);
        out.add(
            Id::OperatorsDiffer,
            format!("{from} and {to} have different operators: {} and {}", named(a), named(b)),
        );
    }
}

/// An operator that leaves a Cluster alone carries out no change of its role.
fn acts(cluster: &ClusterView, out: &mut Findings) {
    if let Some(why) = cluster.operator_idle() {
        out.add(Id::OperatorActs, why);
    }
}

fn release_of(cluster: &ClusterView, out: &mut Findings) {
    let Some(commit) = &cluster.operator_commit else { return };
    let name = &cluster.object.name;
    let Some(release) = release(commit) else {
        return out.note(2, format!("the operator of {name} ({commit}) is no release whose faults are known here"));
    };
    for fault in FAULTS.iter().filter(|fault| (fault.stands)(release, cluster.instances)) {
        let id = if fault.blocks { Id::OperatorFault } else { Id::OperatorFlaw };
        out.add(id, format!("the operator of {name} ({}) {}", named(commit), fault.text));
    }
}

fn release(commit: &str) -> Option<Release> {
    RELEASES.iter().find(|(known, _)| same(known, commit)).map(|(_, release)| *release)
}

/// How short an abbreviated commit is differs from build to build.
fn same(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn named(commit: &str) -> String {
    release(commit).map_or_else(|| commit.to_owned(), |(minor, patch)| format!("1.{minor}.{patch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_known_by_its_commit_however_long() {
        assert_eq!(release("f74344b4d"), Some((28, 4)));
        assert_eq!(release("4b5e244"), Some((30, 0)));
        assert_eq!(release("a95a534"), None);
        assert_eq!(named("a4060c152"), "1.29.1");
    }

    #[test]
    fn the_releases_that_may_wipe_a_token_are_those_before_it_was_mended() {
        let wipes = |release| (FAULTS[0].stands)(release, 1);
        for release in [(25, 0), (27, 4), (28, 3), (29, 0), (29, 1)] {
            assert!(wipes(release), "{release:?}");
        }
        for release in [(28, 4), (29, 2), (29, 3), (30, 0), (31, 0)] {
            assert!(!wipes(release), "{release:?}");
        }
    }
}
