//! What is answered where a call fails: one line for people, in `error`.

use super::{HttpApi, Named};
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use continuum_core::sequencer::OperationError;
use http_body_util::LengthLimitError;
use serde_json::json;
use std::error::Error;

/// RFC 9457.
const PROBLEM_JSON: &str = "application/problem+json";

/// When to ask again where too much was asked at one time. A dry run takes about as long.
const RETRY_AFTER_SECONDS: &str = "2";

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    /// One line.
    error: String,
    /// The same call may be answered soon.
    to_be_asked_again: bool,
}

impl Problem {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        // Names in paths and bodies, and what servers say, hold whatever they hold.
        let error = error.into().replace(char::is_control, " ");
        Self { status, error, to_be_asked_again: false }
    }

    /// The kind of body that problem details are.
    pub const DETAILS: &str = PROBLEM_JSON;

    /// Says so to who asked, and when.
    pub fn ask_again(self) -> Self {
        Self { to_be_asked_again: true, ..self }
    }

    /// A body that could not be read: too long, or cut off.
    pub fn of_body(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<LengthLimitError>() {
                let limit = super::BODY_LENGTH_MAX / 1024;
                return Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {limit} KiB"));
            }
            cause = error.source();
        }
        Self::new(StatusCode::BAD_REQUEST, "the body did not come whole")
    }

    /// The same as problem details (RFC 9457), with `error` kept.
    fn details(&self) -> String {
        let title = self.status.canonical_reason().unwrap_or_default();
        json!({ "title": title, "status": self.status.as_u16(), "detail": self.error, "error": self.error }).to_string()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.error }))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.to_be_asked_again {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives problem details to who accepts them.
pub(super) async fn as_accepted(request: Request, next: Next) -> Response {
    let wants_problem = wants_problem(request.headers());
    let mut response = next.run(request).await;
    if wants_problem && let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = problem.details();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
    }
    response
}

/// The length of what `GET` would answer is not known, since it was not made.
#[derive(Clone, Copy)]
struct Unmade;

/// Answers `HEAD` where `GET` asks servers: who asks, the path and the Continuum are judged, and nothing is looked at.
pub(super) async fn head(State(api): State<HttpApi>, Named(name): Named) -> Result<impl IntoResponse, Problem> {
    api.find(&name)?;
    Ok((Extension(Unmade), [(header::CONTENT_TYPE, "application/json")]))
}

/// Takes the body away from what is answered to `HEAD`. Its length stays told, where it is known (RFC 9110, 9.3.2).
pub(super) async fn without_body(request: Request, next: Next) -> Response {
    let is_head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    if is_head {
        let length = response.body().size_hint().exact();
        if response.extensions_mut().remove::<Unmade>().is_some() {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        } else if let (Some(length), false) = (length, response.headers().contains_key(header::CONTENT_LENGTH)) {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Body::empty();
    }
    response
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let status = match &error {
            OperationError::InvalidPlan { .. } => StatusCode::BAD_REQUEST,
            OperationError::KeyOfAnother { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            OperationError::Unreadable { .. }
            | OperationError::Invalid { .. }
            | OperationError::Cancelled { .. }
            | OperationError::ApprovalTimeout { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.chain())
    }
}

/// Whether who asks names problem details among what it accepts.
fn wants_problem(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_problem = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(PROBLEM_JSON));
        let refused =
            parts.any(|parameter| matches!(parameter.split_once('='), Some(("q", q)) if q.parse() == Ok(0.0)));
        is_problem && !refused
    })
}
