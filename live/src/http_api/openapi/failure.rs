//! Shape of an answer where a call failed, as a schema.
#![expect(dead_code, reason = "a shape is described, and never made")]

use schemars::JsonSchema;

/// Why a call failed.
#[derive(JsonSchema)]
pub(super) struct Problem {
    /// One line for people.
    error: String,
    /// Of problem details (RFC 9457): the status in words.
    #[serde(default)]
    title: String,
    /// Of problem details: the status.
    #[serde(default)]
    status: u16,
    /// Of problem details: the same as `error`.
    #[serde(default)]
    detail: String,
}
