//! `Idempotency-Key`: an order that comes again, because its answer was lost, is answered as before and not carried out again.
//!
//! Answers are kept while the process lives, the last [`ANSWERS_MAX`]. What survives it, and is known to every other process, are
//! record and resource: an order with a key begins, or is left, under an identity that tells key and body.

use super::answer::Problem;
use super::{HttpApi, read};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use continuum_core::requests::{key_of, keyed};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key.
const KEY_LENGTH_MAX: usize = 255;

/// So many answers are kept.
pub(super) const ANSWERS_MAX: usize = 1024;

/// Identity of the order that came with a key.
#[derive(Clone, Debug)]
pub(super) struct Identity(pub String);

/// What was answered to orders that came with a key.
#[derive(Default)]
pub(super) struct Repeats(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By what those with one key have in common.
    orders: BTreeMap<String, Order>,
    /// The same of those that were answered, oldest first.
    answered: VecDeque<String>,
}

struct Order {
    identity: String,
    /// Absent: it is being carried out.
    answer: Option<Answer>,
}

#[derive(Clone)]
enum Answer {
    Taken(StatusCode, Bytes),
    Not(Problem),
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Taken(status, body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Answer::Not(problem) => problem.into_response(),
        }
    }
}

/// Answers an order that came before as before. Around the routes of orders.
pub(super) async fn once(State(api): State<HttpApi>, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(key) = key(request.headers())? else { return Ok(next.run(request).await) };
    let key = format!("{IDEMPOTENCY_KEY}\n{}\n{key}", request.uri().path());
    let (mut parts, body) = request.into_parts();
    let body = read(body, api.limits.body).await?;
    let identity = keyed(&key, &body);
    let mut turn = match api.repeats.begin(&identity)? {
        Begun::Now(turn) => turn,
        Begun::Before(answer) => return Ok(answer.into_response()),
    };
    parts.extensions.insert(Identity(identity));
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    turn.answer(response).await
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let wrong = || {
        let why = format!("Idempotency-Key is to be one of 1 to {KEY_LENGTH_MAX} visible ASCII characters");
        Problem::new(StatusCode::BAD_REQUEST, why)
    };
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().map_err(|_| wrong())?;
    let is_one = keys.next().is_none() && (1..=KEY_LENGTH_MAX).contains(&key.len());
    if is_one { Ok(Some(key)) } else { Err(wrong()) }
}

/// What is to be done with an order.
enum Begun {
    Now(Turn),
    Before(Answer),
}

impl Repeats {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, identity: &str) -> Result<Begun, Problem> {
        let mut kept = self.kept();
        let key = key_of(identity);
        match kept.orders.get(key) {
            Some(order) if order.identity != identity => {
                let why = "this Idempotency-Key came with another body before; each order has its own";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))
            }
            Some(Order { answer: Some(answer), .. }) => Ok(Begun::Before(answer.clone())),
            Some(Order { answer: None, .. }) => {
                let why = "the order of this Idempotency-Key is not answered yet";
                Err(Problem::new(StatusCode::CONFLICT, why).ask_again())
            }
            None => {
                kept.orders.insert(key.to_owned(), Order { identity: identity.to_owned(), answer: None });
                Ok(Begun::Now(Turn { repeats: self.clone(), key: key.to_owned() }))
            }
        }
    }
}

/// An order is being carried out. Where it ends without an answer to keep, the next of its key is carried out anew: either
/// nothing began, or the record tells what did.
struct Turn {
    repeats: Arc<Repeats>,
    key: String,
}

impl Turn {
    async fn answer(&mut self, response: Response) -> Result<Response, Problem> {
        let answer = match (response.status(), response.extensions().get::<Problem>()) {
            (StatusCode::CONFLICT, Some(problem)) => Answer::Not(problem.clone()),
            (status @ (StatusCode::OK | StatusCode::ACCEPTED), None) => {
                let cut_off = |error: axum::Error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
                Answer::Taken(status, to_bytes(response.into_body(), usize::MAX).await.map_err(cut_off)?)
            }
            _ => return Ok(response),
        };
        let mut kept = self.repeats.kept();
        if let Some(order) = kept.orders.get_mut(&self.key) {
            order.answer = Some(answer.clone());
        }
        kept.answered.push_back(self.key.clone());
        while kept.answered.len() > ANSWERS_MAX {
            if let Some(oldest) = kept.answered.pop_front() {
                kept.orders.remove(&oldest);
            }
        }
        Ok(answer.into_response())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut kept = self.repeats.kept();
        if kept.orders.get(&self.key).is_some_and(|order| order.answer.is_none()) {
            kept.orders.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
