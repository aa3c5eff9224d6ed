//! What is asked over the controllers' HTTP API, as the platform's API does it for people.

use super::names::RegionName;
use super::scalars::{flag, maybe_number, mistake, whole};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// The way on which an operation is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// Over HTTP.
    Api,
}

/// `request`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRequest {
    /// The region whose controller is asked. Left out: the one that holds the lease, else the primary.
    #[serde(default, rename = "in")]
    pub asked: Option<RegionName>,
    /// The verb.
    #[serde(default = "get", deserialize_with = "verb")]
    #[schemars(regex(pattern = "^[A-Z]+$"))]
    pub method: String,
    /// The path.
    #[serde(deserialize_with = "path")]
    #[schemars(regex(pattern = "^/[!-~]*$"))]
    pub path: String,
    /// The header that says that an owner asks. Left out: `true`. Empty: the request has none.
    #[serde(default)]
    pub tier: Option<String>,
    /// The token that it bears. Left out: the right one. Empty: none.
    #[serde(default)]
    pub token: Option<String>,
    /// What answers are accepted (header `Accept`).
    #[serde(default)]
    pub accept: Option<String>,
    /// The key by which an order that comes again is known (header `Idempotency-Key`).
    #[serde(default)]
    pub key: Option<String>,
    /// The body: a text, such as `'{"toRegion": "hel"}'`.
    #[serde(default)]
    pub body: String,
    /// So many at one time.
    #[serde(default = "one", deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1000))]
    pub count: u64,
    /// False: goes on at once, while they are answered.
    #[serde(default = "yes", deserialize_with = "flag")]
    pub wait: bool,
    /// What each should be answered.
    #[serde(default)]
    pub expect: RequestExpect,
}

/// What a request is expected to be answered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestExpect {
    /// Status code.
    #[serde(deserialize_with = "maybe_number")]
    pub status: Option<u16>,
    /// Part of the body.
    pub body: Option<String>,
}

fn get() -> String {
    "GET".into()
}

fn one() -> u64 {
    1
}

fn yes() -> bool {
    true
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(deserializer, 1..=1000)
}

fn verb<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let verb = String::deserialize(deserializer)?;
    let is_one = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_one { Ok(verb) } else { Err(mistake(format!("`{verb}` is no verb"), "expected GET, POST or another".into())) }
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    let is_one = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    let hint = "expected /v1/continuums/shop/shop/health or another";
    if is_one { Ok(path) } else { Err(mistake(format!("`{path}` is no path"), hint.into())) }
}
