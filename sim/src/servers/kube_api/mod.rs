//! The simulated Kubernetes API server of a region.
//!
//! ```text
//!   clients ──HTTP──► http ──► gate (faults) ──► webhooks ──► store ◄── world set-up, people's edits, checkers
//!                      └── watch ◄──────────────────────────────┘      (in process)
//! ```
//!
//! [`Store`] is etcd with the registry's rules: resource versions, conflicts, generation, the status
//! subresource, admission, the graceful deletion of pods. It survives a crash of the host that serves it. [`http`] speaks the API.
//!
//! Every object is judged by its kind's definition (`schema.rs`, `rules.rs`).
//!
//! Deliberately absent: JSON patch and server-side apply (415), owner references, namespaces as objects, discovery, authentication (rights can be denied to everyone).

pub mod http;
mod managed;
mod patch;
mod refusal;
mod registry;
mod request;
mod rules;
mod schema;
mod select;
mod store;
mod watch;
mod webhook;

pub use self::refusal::Refusal;
pub use self::store::{Admission, Change, ChangeEvent, Right, Store};
pub use self::webhook::Webhook;

/// A kind of object that the server knows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Name in paths.
    pub plural: &'static str,
    /// Name in objects.
    pub kind: &'static str,
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Status is written through `/status` only. Such resources also count their generation.
    pub status_subresource: bool,
    /// Defined by others than Kubernetes.
    pub custom: bool,
}

impl Resource {
    const fn custom(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Self {
        Resource { group, version, plural, kind, namespaced: true, status_subresource: true, custom: true }
    }

    const fn native(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Self {
        Resource { group, version, plural, kind, namespaced: true, status_subresource: false, custom: false }
    }

    /// `postgresql.cnpg.io/v1`; `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `clusters.postgresql.cnpg.io`, as in messages; `secrets` in the core group.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Cluster.postgresql.cnpg.io`, as in messages; `Secret` in the core group.
    fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_string() } else { format!("{}.{}", self.kind, self.group) }
    }

    fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
        RESOURCES.iter().copied().find(|r| (r.group, r.version, r.plural) == (group, version, plural))
    }
}

/// CloudNativePG's Cluster.
pub static CLUSTERS: Resource = Resource::custom("postgresql.cnpg.io", "v1", "clusters", "Cluster");
/// CloudNativePG's Backup.
pub static BACKUPS: Resource = Resource::custom("postgresql.cnpg.io", "v1", "backups", "Backup");
/// Our own resource.
pub static CONTINUUMS: Resource = Resource::custom("dr.openova.io", "v1", "continuums", "Continuum");
/// Gateway API's route.
pub static HTTP_ROUTES: Resource = Resource::custom("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute");
/// Leases.
pub static LEASES: Resource = Resource::native("coordination.k8s.io", "v1", "leases", "Lease");
/// Secrets.
pub static SECRETS: Resource = Resource::native("", "v1", "secrets", "Secret");
/// Pods. Deleted with a grace period, in which they stay until their node says that they ended.
pub static PODS: Resource = Resource { status_subresource: true, ..Resource::native("", "v1", "pods", "Pod") };
/// Asks what one may do; nothing is stored.
pub static SELF_SUBJECT_ACCESS_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    version: "v1",
    plural: "selfsubjectaccessreviews",
    kind: "SelfSubjectAccessReview",
    namespaced: false,
    status_subresource: false,
    custom: false,
};

static RESOURCES: [&Resource; 8] =
    [&CLUSTERS, &BACKUPS, &CONTINUUMS, &HTTP_ROUTES, &LEASES, &SECRETS, &PODS, &SELF_SUBJECT_ACCESS_REVIEWS];
