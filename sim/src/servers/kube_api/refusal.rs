//! Why the API server refuses: codes, reasons and messages as the real one gives them.

use super::Resource;
use serde_json::{Value, json};

/// A refusal: the Status object of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub struct Refusal {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason; may be empty.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// Any refusal.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Refusal { code, reason: reason.into(), message: message.into() }
    }

    /// 404: no such object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", resource.qualified()))
    }

    /// 409: the resource version is not the present one.
    pub fn conflict(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::operation_cannot_be_fulfilled(resource, name, why)
    }

    /// 409: some precondition does not hold.
    pub(super) fn operation_cannot_be_fulfilled(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(409, "Conflict", message)
    }

    /// 409: an object of this name exists.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", resource.qualified()))
    }

    /// 422: `detail` is `spec.field: Invalid value: ...`.
    pub fn invalid(resource: &Resource, name: &str, detail: &str) -> Self {
        let kind = match resource.group {
            "" => resource.kind.to_string(),
            group => format!("{}.{group}", resource.kind),
        };
        Self::new(422, "Invalid", format!("{kind} {name:?} is invalid: {detail}"))
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// What the real server says with this code where the cause is the server's own state.
    pub(super) fn of_code(code: u16, resource: &Resource, name: &str) -> Self {
        match code {
            401 => Self::new(code, "Unauthorized", "Unauthorized"),
            404 => Self::not_found(resource, name),
            409 => Self::conflict(resource, name),
            429 => {
                let message = "the server has received too many requests and has asked us to try again later";
                Self::new(code, "TooManyRequests", message)
            }
            500 => Self::new(code, "InternalError", "Internal error occurred: etcdserver: leader changed"),
            503 => {
                let message = "the server is currently unable to handle the request";
                Self::new(code, "ServiceUnavailable", message)
            }
            504 => Self::timeout(),
            _ => Self::new(code, "", format!("the server answered {code}")),
        }
    }

    /// 504: the request's `?timeout=` is over.
    pub(super) fn timeout() -> Self {
        let message = "Timeout: request did not complete within requested timeout - context deadline exceeded";
        Self::new(504, "Timeout", message)
    }

    /// 410: the version is too old to watch from.
    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// The body of the answer.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if self.reason.is_empty() {
            status.as_object_mut().expect("made as an object").remove("reason");
        }
        status
    }
}
