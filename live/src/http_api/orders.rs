//! Orders: what is begun or left in the resource, and answered at once. How it ends shows in the status.

use super::answer::Problem;
use super::repeats::Identity;
use super::{HttpApi, Named, Target, room};
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use continuum_core::report::ExecuteResult;
use continuum_core::sequencer::{Begun, ExecuteOrder, FailbackAnswer, NotTaken};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of a switchover's request. Fields that are not known are ignored, here and below.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [{"required": ["toRegion"]}, {"required": ["targetRegion"]}]))]
#[serde(rename_all = "camelCase")]
pub(super) struct SwitchoverRequest {
    #[serde(flatten)]
    to: Target,
    /// Why; left out: `operator-requested`. It belongs to the plan's fingerprint.
    reason: Option<String>,
    /// Who asks, as events and status tell it.
    requested_by: Option<String>,
    /// The fingerprint of the dry run that a person confirmed.
    confirmed_fingerprint: Option<String>,
}

/// The body of a failback's request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FailbackRequest {
    /// Who asks, as events and status tell it.
    requested_by: Option<String>,
    /// As of a switchover; of the dry run to where it goes, with reason `failback`.
    confirmed_fingerprint: Option<String>,
}

/// The failback or switchover that is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    /// Its id.
    id: String,
    /// Who approves.
    approved_by: Option<String>,
}

/// What was begun.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    /// Its id. Absent: the region that holds the lease gives it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The request that was left for that region.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

pub(super) async fn switchover(
    State(api): State<HttpApi>,
    Named(name): Named,
    key: Option<Extension<Identity>>,
    body: Body,
) -> Result<Response, Problem> {
    let asked: SwitchoverRequest = api.body_of(body, "switchover").await?;
    let order = ExecuteOrder {
        reason: asked.reason,
        requested_by: asked.requested_by,
        request: None,
        confirmed: asked.confirmed_fingerprint,
        key: key.map(|Extension(Identity(key))| key),
    };
    let to = asked.to.region()?;
    let continuum = api.find(&name)?;
    let _room = room(&api.looking.orders, "orders")?;
    begun(continuum.switchover(&to, &order).await?)
}

pub(super) async fn failback(
    State(api): State<HttpApi>,
    Named(name): Named,
    key: Option<Extension<Identity>>,
    body: Body,
) -> Result<Response, Problem> {
    let asked: FailbackRequest = api.body_of(body, "failback").await?;
    let order = ExecuteOrder {
        requested_by: asked.requested_by,
        confirmed: asked.confirmed_fingerprint,
        key: key.map(|Extension(Identity(key))| key),
        ..ExecuteOrder::default()
    };
    let continuum = api.find(&name)?;
    let _room = room(&api.looking.orders, "orders")?;
    begun(continuum.failback(&order).await?)
}

pub(super) async fn approve(State(api): State<HttpApi>, Named(name): Named, body: Body) -> Result<Response, Problem> {
    let about: About = api.body_of(body, "approval").await?;
    let answer = FailbackAnswer::Approve(about.approved_by.unwrap_or_else(|| "unnamed".into()));
    api.find(&name)?.answer_failback(&about.id, &answer).await?;
    Ok(accepted(Some(about.id), None))
}

pub(super) async fn refuse(State(api): State<HttpApi>, Named(name): Named, body: Body) -> Result<Response, Problem> {
    let about: About = api.body_of(body, "refusal").await?;
    api.find(&name)?.answer_failback(&about.id, &FailbackAnswer::Refuse).await?;
    Ok(accepted(Some(about.id), None))
}

pub(super) async fn abort(State(api): State<HttpApi>, Named(name): Named, body: Body) -> Result<Response, Problem> {
    let about: About = api.body_of(body, "abort").await?;
    api.find(&name)?.abort(&about.id).await?;
    Ok(accepted(Some(about.id), None))
}

pub(super) async fn status(State(api): State<HttpApi>, Named(name): Named) -> Result<Json<Value>, Problem> {
    Ok(Json(api.find(&name)?.status().await?))
}

fn begun(begun: Begun) -> Result<Response, Problem> {
    let report = match begun {
        Begun::Following(what) => {
            let id = Some(what.id().to_owned()).filter(|id| !id.is_empty());
            return Ok(accepted(id, what.request().map(str::to_owned)));
        }
        Begun::Report(report) => report,
    };
    let status = match report.result {
        ExecuteResult::AlreadyThere => return Ok(Json(report).into_response()),
        ExecuteResult::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    Err(Problem::new(status, report.error.unwrap_or_else(|| "it was not begun".into())))
}

fn accepted(id: Option<String>, request: Option<String>) -> Response {
    (StatusCode::ACCEPTED, Json(Accepted { id, request })).into_response()
}

impl From<NotTaken> for Problem {
    fn from(not: NotTaken) -> Self {
        let status = match &not {
            NotTaken::Stale(_) => StatusCode::CONFLICT,
            NotTaken::Unread(_) | NotTaken::Unknown(_) => StatusCode::SERVICE_UNAVAILABLE,
            NotTaken::Not(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, not.to_string())
    }
}
