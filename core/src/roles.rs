//! The roles that clients log in as, and the secrets of both halves that say their passwords. A half gives its role the
//! password of its own secret when it is promoted, so clients who have another one are locked out then (H14, H33, H53).

use crate::observe::{ClusterView, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The role whose secret every half has.
const APP: &str = "app";

/// What a role's secret says. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleLogin {
    /// Role.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for RoleLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoleLogin(..)")
    }
}

/// A role's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSecret {
    /// Hash of user and password.
    pub hash: String,
    /// What it says. Absent: it has no user or no password.
    pub login: Option<RoleLogin>,
}

/// Hashes of a half's secrets, by role.
pub type Hashes = BTreeMap<String, String>;

/// Whether a database takes the password of a secret. `Is(Err)`: it refuses it, and its code for that. The server's own
/// words are left out: they have the secret's user in them, which may be its password put in the wrong field.
pub type LoginResult = Seen<Result<(), String>>;

/// What was seen of one half's roles.
#[derive(Clone, Debug, PartialEq)]
pub struct Roles {
    /// Hashes of its secrets, by role: `app`, and `superuser` where that may log in.
    pub secrets: Seen<Hashes>,
    /// Whether its database takes them, by role. Empty: it was not asked.
    pub logins: BTreeMap<String, LoginResult>,
}

/// How the secrets of the halves differ, one line for each role, without a word of what is in them.
pub fn differences(from: (&ClusterView, &Hashes), to: (&ClusterView, &Hashes)) -> Vec<String> {
    let roles: BTreeSet<&str> = from.1.keys().chain(to.1.keys()).map(String::as_str).chain([APP]).collect();
    roles.into_iter().filter_map(|role| differ(from, to, role)).collect()
}

fn differ(from: (&ClusterView, &Hashes), to: (&ClusterView, &Hashes), role: &str) -> Option<String> {
    let (there, here) = (secret_of(from.0, role), secret_of(to.0, role));
    match (from.1.get(role), to.1.get(role)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(_), Some(_)) => Some(format!("secrets {there} and {here} differ")),
        (Some(_), None) => Some(format!("secret {here} is missing; make it with the content of {there}")),
        (None, Some(_)) => Some(format!("secret {there} is missing; make it with the content of {here}")),
        (None, None) => Some(format!("secrets {there} and {here} are missing")),
    }
}

/// The secrets whose password this primary's database refuses, one line for each.
pub fn refused(primary: &ClusterView, logins: &BTreeMap<String, LoginResult>) -> Vec<String> {
    let line = |(role, login): (&String, &LoginResult)| {
        let cause = login.known()?.as_ref().err()?;
        let (name, secret) = (&primary.object.name, secret_of(primary, role));
        Some(format!(
            "{name} refuses the password in secret {secret} ({cause}): a promotion makes it the role's; write the role's \
             own password into the secrets of both halves"
        ))
    };
    logins.iter().filter_map(line).collect()
}

/// The secrets of which it is not known whether this primary's database takes them, one line for each.
pub fn untried(primary: &ClusterView, logins: &BTreeMap<String, LoginResult>) -> Vec<String> {
    let line = |(role, login): (&String, &LoginResult)| {
        let cause = login.why()?;
        let (name, secret) = (&primary.object.name, secret_of(primary, role));
        Some(format!("whether {name} takes the password in secret {secret} is not known: {cause}"))
    };
    logins.iter().filter_map(line).collect()
}

fn secret_of(cluster: &ClusterView, role: &str) -> String {
    let named = cluster.role_secrets.get(role).cloned();
    named.unwrap_or_else(|| format!("{}-{role}", cluster.object.name))
}
