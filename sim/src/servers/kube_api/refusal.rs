//! Why the API server refuses: codes, reasons and messages as the real one gives them.

use super::registry::Target;
use super::{Resource, Right};
use serde_json::{Map, Value, json};

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
    /// What it is about: `{"name": ..., "group": ..., "kind": ...}`.
    pub details: Option<Value>,
}

impl Refusal {
    /// Any refusal, without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Refusal { code, reason: reason.into(), message: message.into(), details: None }
    }

    /// The real server names the resource in some refusals, and the kind in others.
    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let mut details = Map::new();
        for (field, text) in [("name", name), ("group", group), ("kind", kind)] {
            if !text.is_empty() {
                details.insert(field.into(), text.into());
            }
        }
        self.details = Some(Value::Object(details));
        self
    }

    fn about_resource(self, resource: &Resource, name: &str) -> Self {
        self.about(resource.group, resource.plural, name)
    }

    /// 404: no such object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(404, "NotFound", message).about_resource(resource, name)
    }

    /// 404: no such path below a resource that is served.
    pub(super) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").about("", "", "")
    }

    /// 409: the resource version is not the present one.
    pub fn conflict(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::cannot_be_fulfilled(&resource.qualified(), name, why).about_resource(resource, name)
    }

    /// 409: a replacement or a deletion is for an object with another uid.
    pub(super) fn other_uid(target: Target<'_>, asked: &str, present: &str) -> Self {
        let Target { resource, namespace, name, .. } = target;
        let key = match resource.custom {
            true => format!("/registry/{}/{}/{namespace}/{name}", resource.group, resource.plural),
            false => format!("/registry/{}/{namespace}/{name}", resource.plural),
        };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {asked}, UID in object meta: {present}"
        );
        Self::cannot_be_fulfilled(&resource.qualified(), name, &why).about_resource(resource, name)
    }

    /// 409: a deletion is for another version.
    pub(super) fn other_version(target: Target<'_>, asked: &str, present: &str) -> Self {
        let Target { resource, name, .. } = target;
        let why = format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record \
             ({present}). The object might have been modified"
        );
        Self::cannot_be_fulfilled(&resource.qualified_kind(), name, &why).about(resource.group, resource.kind, name)
    }

    fn cannot_be_fulfilled(what: &str, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {what} {name:?}: {why}"))
    }

    /// 409: an object of this name exists.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about_resource(resource, name)
    }

    /// 422: `detail` is `spec.field: Invalid value: ...`.
    pub fn invalid(resource: &Resource, name: &str, detail: &str) -> Self {
        let message = format!("{} {name:?} is invalid: {detail}", resource.qualified_kind());
        Self::new(422, "Invalid", message).about(resource.group, resource.kind, name)
    }

    /// 422: the body is of another kind than its path.
    pub(super) fn other_kind(resource: &Resource, kind: &str, name: &str) -> Self {
        let message = format!("{kind} {name:?} is invalid: kind: Invalid value: {kind:?}: must be {}", resource.kind);
        Self::new(422, "Invalid", message).about(resource.group, kind, name)
    }

    /// 422: a replacement names no version.
    pub(super) fn without_version(resource: &Resource, name: &str) -> Self {
        let detail = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
        let message = format!("{} {name:?} is invalid: {detail}", resource.qualified());
        Self::new(422, "Invalid", message).about_resource(resource, name)
    }

    /// 403: the right to do it was denied.
    pub(super) fn forbidden(resource: &Resource, name: &str, asked: &Right, namespace: Option<&str>) -> Self {
        let Right { verb, group, resource: plural, subresource } = asked;
        let subresource = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        let scope = match namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_string(),
        };
        let message = format!(
            "{} {name:?} is forbidden: User \"continuum\" cannot {verb} resource \"{plural}{subresource}\" in API \
             group {group:?} {scope}",
            resource.qualified(),
        );
        Self::new(403, "Forbidden", message).about_resource(resource, name)
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

    /// 504: the request's `?timeout=` was over while a webhook was asked.
    pub(super) fn allotted_time_over() -> Self {
        Self::new(504, "Timeout", "Timeout: request did not complete within the allotted timeout")
    }

    /// 410: the version is too old to watch from.
    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// The body of the answer.
    pub fn status(&self) -> Value {
        if self.reason == "Timeout" {
            // It comes from in front of the API and is no whole Status.
            return json!({
                "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason,
                "details": {}, "code": self.code,
            });
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}
