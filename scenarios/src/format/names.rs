//! The names a scenario may use. A name that the world does not have is refused where it stands, with a list of
//! those it has.

use super::mistake::did_you_mean;
use super::scalars::{mistake, word};
use continuum_core::name::Region;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// What the world has: all of it where that is little, else the name that may have been meant.
fn known_hint(name: &str, hint: &str, known: &[&str]) -> String {
    if known == ServerName::KNOWN && HostName::KNOWN.contains(&name) {
        let others = "every other host can be cut off, slowed down, crashed or paused";
        return format!("{hint}: {}; {others}", known.join(", "));
    }
    match did_you_mean(name, known).filter(|_| known.len() > 4) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("{hint}: {}", known.join(", ")),
    }
}

/// Defines a name out of a fixed list.
macro_rules! known_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $hint:literal, [$($known:literal),* $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// All there are.
            pub const KNOWN: &'static [&'static str] = &[$($known),*];

            /// One of [`Self::KNOWN`].
            ///
            /// # Panics
            /// For any other name: names in code are not a user's input.
            pub fn of(name: &str) -> Self {
                assert!(Self::KNOWN.contains(&name), "`{name}` is no {}", $what);
                Self(name.to_owned())
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = match word(deserializer)? {
                    Ok(name) if Self::KNOWN.contains(&name.as_str()) => return Ok(Self(name)),
                    Ok(name) | Err(name) => name,
                };
                Err(mistake(format!("unknown {} `{name}`", $what), known_hint(&name, $hint, Self::KNOWN)))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": Self::KNOWN })
            }
        }
    };
}

known_name!(
    /// `apiVersion` of a scenario.
    ApiVersion, "apiVersion", "expected", ["continuum.openova.io/v1alpha1"]
);
known_name!(
    /// `kind` of a scenario.
    Kind, "kind", "expected", ["Scenario"]
);
known_name!(
    /// A region of the simulated world.
    RegionName, "region", "this world has", ["fsn", "hel"]
);
known_name!(
    /// A place with an API server: a region, or the third place where the witness stands.
    SiteName, "site", "this world has", ["fsn", "hel", "witness"]
);
known_name!(
    /// A host of the simulated world.
    HostName, "host", "worlds have", [
        "api.fsn", "api.hel", "api.witness", "controller.fsn", "controller.hel", "operator.fsn", "operator.hel",
        "pg.fsn", "pg.hel", "dns", "dns2", "pdm", "vantage1", "vantage2", "vantage3", "nats", "clients.fsn", "clients.hel",
        "platform",
    ]
);
known_name!(
    /// A host whose clocks somebody reads.
    ClockName, "clock", "clocks that somebody reads are those of", ["controller.fsn", "controller.hel"]
);
known_name!(
    /// A host whose answers can be hurt one by one.
    ServerName, "server", "servers that answer requests", ["api.fsn", "api.hel", "api.witness", "dns", "pdm", "nats"]
);
known_name!(
    /// What a request can change.
    ObjectRef, "object", "this world has", [
        "clusters/shop-fsn", "clusters/shop-hel", "httproutes/shop", "continuums/shop", "secrets/shop-fsn-app",
        "secrets/shop-hel-app", "leases/shop.shop", "zones/example.org", "catalyst.audit",
    ]
);
known_name!(
    /// What a step can edit: an object, or the zone.
    Resource, "resource", "this world has", [
        "clusters/shop-fsn", "clusters/shop-hel", "httproutes/shop", "continuums/shop", "secrets/shop-fsn-app",
        "secrets/shop-hel-app", "leases/shop.shop", "zones/example.org",
    ]
);
known_name!(
    /// Type of an audit event.
    EventName, "audit event", "expected one of", [
        "continuum-switchover", "continuum-failback-pending", "continuum-failback-completed",
        "continuum-lease-lost", "continuum-lease-acquired", "continuum-cnpg-lag-breach",
        "continuum-cnpg-promotable", "continuum-error", "continuum-reconcile-success", "continuum-cr-created",
        "continuum-config-changed", "continuum-lease-collision",
    ]
);
known_name!(
    /// A checker: what it judges is in the report of a run.
    CheckName, "check", "expected one of", [
        "one-writer", "no-lost-write", "generations", "dry-run-pure", "audit", "nothing-left", "status-true",
        "converged", "writes-resume",
    ]
);
known_name!(
    /// A check of `PostSwitchoverHealth`.
    HealthCheckName, "health check", "expected one of",
    ["replicas-healthy", "dns-probes", "latency-normal", "audit-posted"]
);

/// The servers that hold an object of this name, of both [`ObjectRef`] and [`Resource`].
pub(super) fn servers_of(object: &str) -> &'static [&'static str] {
    match object {
        "clusters/shop-fsn" | "secrets/shop-fsn-app" => &["api.fsn"],
        "clusters/shop-hel" | "secrets/shop-hel-app" => &["api.hel"],
        // The witness may stand in a region, or in a bucket.
        "leases/shop.shop" => &["api.witness", "api.fsn", "api.hel", "nats"],
        "zones/example.org" => &["dns", "pdm"],
        "catalyst.audit" => &["nats"],
        _ => &["api.fsn", "api.hel"],
    }
}

impl RegionName {
    /// The other region.
    pub fn other(&self) -> Self {
        Self::of(if self.0 == "fsn" { "hel" } else { "fsn" })
    }

    /// As core names it.
    pub fn region(&self) -> Region {
        Region::new(self.as_str())
    }
}

/// Name of a scenario: a DNS label, since it also names files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ScenarioName(String);

impl ScenarioName {
    /// Of a scenario whose own name is wrong, and which nobody gets to see.
    pub(super) fn stand_in() -> Self {
        Self("scenario".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScenarioName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ScenarioName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = word(deserializer)?
            .map_err(|number| mistake(format!("`{number}` is no text"), format!("put it in quotes: \"{number}\"")))?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(fits) || name.starts_with('-') || name.ends_with('-')
        {
            return Err(mistake(
                format!("`{name}` is no name for a scenario"),
                "expected 1 to 63 of a-z, 0-9 and -, with - only inside".into(),
            ));
        }
        Ok(Self(name))
    }
}

impl JsonSchema for ScenarioName {
    fn schema_name() -> Cow<'static, str> {
        "ScenarioName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" })
    }
}
