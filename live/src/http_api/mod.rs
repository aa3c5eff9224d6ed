//! The controller's HTTP API (CONTRACT 7): dry runs and health over whatever streams the caller accepts. What is asked
//! of a Continuum its controller answers; nothing is decided here.
//!
//! A request is judged in this order, and each judgement says no more than it has to: who asks (401), what path it is
//! (404, or 400 where a name in it is empty), by which verb (405), what it carries (413, 400), which Continuum (404).

mod answer;
mod limits;
mod openapi;
mod orders;
mod places;
mod repeats;
mod serve;
mod tier;

#[cfg(test)]
mod tests;

pub use limits::Limits;
pub use serve::serve;
pub use tier::Token;

use answer::Problem;
use async_trait::async_trait;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use continuum_core::controller::Controller;
use continuum_core::mailbox::Cancel;
use continuum_core::name::{ObjectName, Region};
use continuum_core::report::{DryRunReport, HealthReport};
use continuum_core::sequencer::{Begun, ExecuteOrder, FailbackAnswer, NotTaken, OperationError};
use places::Place;
use repeats::Repeats;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tower::Layer;

/// The longest body that is read, bytes.
pub const BODY_LENGTH_MAX: usize = 64 * 1024;

/// What can be asked of one Continuum.
#[async_trait]
pub trait Operations: Send + Sync {
    /// What Execute would find.
    async fn dry_run(&self, to: &Region, reason: Option<&str>) -> Result<DryRunReport, OperationError>;
    /// The last health check's report; one is made where there was none.
    async fn last_health(&self) -> Result<HealthReport, OperationError>;
    /// Begins a move, or says why not.
    async fn switchover(&self, to: &Region, order: &ExecuteOrder) -> Result<Begun, OperationError>;
    /// Asks for the move back, or says why not.
    async fn failback(&self, order: &ExecuteOrder) -> Result<Begun, OperationError>;
    /// Answers the failback of this id.
    async fn answer_failback(&self, id: &str, answer: &FailbackAnswer) -> Result<(), NotTaken>;
    /// Asks for the end of the move of this id.
    async fn abort(&self, id: &str) -> Result<(), NotTaken>;
    /// The status as this region's copy has it.
    async fn status(&self) -> Result<Value, OperationError>;
}

#[async_trait]
impl Operations for Controller {
    async fn dry_run(&self, to: &Region, reason: Option<&str>) -> Result<DryRunReport, OperationError> {
        // Who asks and goes takes the question along: it is dropped with its connection.
        self.sequencer().dry_run(to, reason, &Cancel::default()).await
    }

    async fn last_health(&self) -> Result<HealthReport, OperationError> {
        Controller::last_health(self, &Cancel::default()).await
    }

    async fn switchover(&self, to: &Region, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        self.sequencer().order(to, order).await
    }

    async fn failback(&self, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        self.sequencer().order_failback(order).await
    }

    async fn answer_failback(&self, id: &str, answer: &FailbackAnswer) -> Result<(), NotTaken> {
        self.sequencer().answer_failback(id, answer).await
    }

    async fn abort(&self, id: &str) -> Result<(), NotTaken> {
        self.sequencer().abort(id).await
    }

    async fn status(&self) -> Result<Value, OperationError> {
        self.sequencer().status().await
    }
}

/// The Continuums that this process serves.
pub trait Directory: Send + Sync {
    /// The one of this name; absent: this process serves none such.
    fn find(&self, continuum: &ObjectName) -> Option<Arc<dyn Operations>>;
    /// Whether one that was not found may be served in a moment: it is being begun, or it is not known yet what there is.
    fn may_come(&self, _: &ObjectName) -> bool {
        false
    }
}

/// What can be asked of a Continuum, behind its name.
const CALLS: [&str; 8] =
    ["dry-run", "health", "status", "switchover", "failback", "failback/approve", "failback/refuse", "abort"];

/// The API.
#[derive(Clone)]
pub struct HttpApi {
    directory: Arc<dyn Directory>,
    token: Option<Token>,
    limits: Limits,
    looking: Arc<Looking>,
    repeats: Arc<Repeats>,
}

/// Calls that look at every server of a Continuum. Those of one kind keep none of another out.
struct Looking {
    dry_runs: Semaphore,
    health_checks: Semaphore,
    orders: Semaphore,
}

/// The body of a dry run's request. Fields that are not known are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = [{"required": ["toRegion"]}, {"required": ["targetRegion"]}]))]
#[serde(rename_all = "camelCase")]
struct DryRunRequest {
    #[serde(flatten)]
    to: Target,
    /// Why; left out: `operator-requested`. It belongs to the plan's fingerprint.
    reason: Option<String>,
}

/// Where to, by either of its names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Target {
    /// Where to.
    to_region: Option<String>,
    /// The same, by another name.
    target_region: Option<String>,
}

impl Target {
    fn region(self) -> Result<Region, Problem> {
        let named = self.to_region.or(self.target_region);
        let missing =
            || Problem::new(StatusCode::BAD_REQUEST, "the body names no region; expected {\"toRegion\": \"...\"}");
        named.map(Region::new).ok_or_else(missing)
    }
}

impl HttpApi {
    /// Of these Continuums. With a token, every call but `GET /healthz` (and its `HEAD`) must bear it.
    pub fn new(directory: Arc<dyn Directory>, token: Option<Token>, limits: Limits) -> Self {
        let room = || Semaphore::new(limits.looking_max);
        let looking = Arc::new(Looking { dry_runs: room(), health_checks: room(), orders: room() });
        Self { directory, token, limits, looking, repeats: Arc::default() }
    }

    /// Every path, with what is asked of all of them.
    fn router(self) -> Router {
        let orders = Router::new()
            .route("/v1/continuums/{namespace}/{name}/switchover", post(orders::switchover))
            .route("/v1/continuums/{namespace}/{name}/failback", post(orders::failback))
            .route("/v1/continuums/{namespace}/{name}/failback/approve", post(orders::approve))
            .route("/v1/continuums/{namespace}/{name}/failback/refuse", post(orders::refuse))
            .route("/v1/continuums/{namespace}/{name}/abort", post(orders::abort))
            .route_layer(from_fn_with_state(self.clone(), repeats::once));
        let routes = Router::new()
            .route("/healthz", get(async || "ok"))
            .route("/openapi.json", get(openapi::serve))
            .route("/v1/continuums/{namespace}/{name}/dry-run", post(dry_run))
            .route("/v1/continuums/{namespace}/{name}/health", get(health).head(answer::head))
            .route("/v1/continuums/{namespace}/{name}/status", get(orders::status).head(answer::head))
            .merge(orders)
            .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no such path"))
            .method_not_allowed_fallback(not_allowed)
            .with_state(self.clone());
        // Around the router and not within it: it adds headers of its own to what its routes answer.
        let admitted = from_fn_with_state(self.clone(), admit).layer(routes);
        Router::new()
            .fallback_service(admitted)
            .layer(from_fn_with_state(self, in_time))
            .layer(from_fn(answer::as_accepted))
            .layer(from_fn(answer::without_body))
    }

    fn find(&self, name: &ObjectName) -> Result<Arc<dyn Operations>, Problem> {
        if let Some(found) = self.directory.find(name) {
            return Ok(found);
        }
        Err(match self.directory.may_come(name) {
            true => {
                let why =
                    format!("whether Continuum {name} is served here is not known yet, or its tasks are being begun");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).ask_again()
            }
            false => Problem::new(StatusCode::NOT_FOUND, format!("no Continuum {name} is served here")),
        })
    }

    /// The body of a request, read as that of `what`.
    async fn body_of<T: DeserializeOwned>(&self, body: Body, what: &str) -> Result<T, Problem> {
        let body = read(body, self.limits.body).await?;
        let wrong = |why: String| Problem::new(StatusCode::BAD_REQUEST, why);
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(wrong(format!("the body of a {what} is missing; expected a JSON object")));
        }
        let value: Value =
            serde_json::from_slice(&body).map_err(|error| wrong(format!("the body is no JSON: {error}")))?;
        // serde takes an array for a struct as well, and an empty one for a failback's.
        if !value.is_object() {
            return Err(wrong(format!("the body of a {what} is no JSON object")));
        }
        T::deserialize(value).map_err(|error| wrong(format!("the body is no {what}'s: {error}")))
    }
}

async fn read(body: Body, limit: Duration) -> Result<Bytes, Problem> {
    let late = |_| {
        let why = format!("the body did not come within {} s", limit.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, why)
    };
    let body = timeout(limit, to_bytes(body, BODY_LENGTH_MAX)).await.map_err(late)?;
    body.map_err(|error| Problem::of_body(&error))
}

/// Room for one more call of this kind, of which `what` are under way.
fn room<'a>(of_kind: &'a Semaphore, what: &str) -> Result<SemaphorePermit<'a>, Problem> {
    let full = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("too many {what} at one time"));
    of_kind.try_acquire().map_err(|error| full(error).ask_again())
}

/// The Continuum in the path.
struct Named(ObjectName);

impl FromRequestParts<HttpApi> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &HttpApi) -> Result<Self, Problem> {
        let refused = |_| Problem::new(StatusCode::BAD_REQUEST, "a name in the path is no UTF-8");
        let Path((namespace, name)): Path<(String, String)> =
            Path::from_request_parts(parts, api).await.map_err(refused)?;
        Ok(Self(ObjectName::new(namespace, name)))
    }
}

async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has not that verb")
}

async fn in_time(State(api): State<HttpApi>, request: Request, next: Next) -> Response {
    let limit = api.limits.answer;
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let why = format!("not answered within {} s", limit.as_secs());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    })
}

/// Who asks, and then whether every name in the path is one: the router takes an empty segment for a name, and would say
/// of a wrong verb first.
async fn admit(State(api): State<HttpApi>, request: Request, next: Next) -> Result<Response, Problem> {
    if [Method::GET, Method::HEAD].contains(request.method()) && request.uri().path() == "/healthz" {
        return Ok(next.run(request).await);
    }
    tier::admit(request.headers(), api.token.as_ref())?;
    if let Some(place) = request.extensions().get::<Arc<Place>>() {
        place.admit()?;
    }
    let segments: Vec<&str> = request.uri().path().split('/').collect();
    if let ["", "v1", "continuums", namespace, name, ref rest @ ..] = segments[..]
        && CALLS.contains(&rest.join("/").as_str())
        && let Some((which, _)) = [("namespace", namespace), ("name", name)].into_iter().find(|(_, it)| it.is_empty())
    {
        return Err(Problem::new(StatusCode::BAD_REQUEST, format!("the path's {which} is empty")));
    }
    Ok(next.run(request).await)
}

async fn dry_run(State(api): State<HttpApi>, Named(name): Named, body: Body) -> Result<Json<DryRunReport>, Problem> {
    let asked: DryRunRequest = api.body_of(body, "dry run").await?;
    let to = asked.to.region()?;
    let continuum = api.find(&name)?;
    let _room = room(&api.looking.dry_runs, "dry runs")?;
    Ok(Json(continuum.dry_run(&to, asked.reason.as_deref()).await?))
}

/// Who waits for another check finds its report, most of the time.
async fn health(State(api): State<HttpApi>, Named(name): Named) -> Result<Json<HealthReport>, Problem> {
    let continuum = api.find(&name)?;
    let _room = api.looking.health_checks.acquire().await;
    Ok(Json(continuum.last_health().await?))
}
