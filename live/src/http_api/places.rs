//! Places of callers. Who has not shown a credential yet takes one of the strangers', and gives it up for one of the others
//! once it does, so that no number of strangers keeps one who may ask from being answered.

use super::answer::Problem;
use super::limits::Limits;
use axum::http::StatusCode;
use futures_util::future::{Either, select};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// All places of one server.
pub(super) struct Places {
    limits: Limits,
    strangers: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// The strangers in the order in which they came, each with the end of its grace.
    came: Vec<(Weak<Place>, Pin<Box<Sleep>>)>,
}

/// That of one connection.
pub(super) struct Place {
    held: Mutex<Held>,
    admitted: Arc<Semaphore>,
    claimed: Notify,
}

enum Held {
    Stranger(#[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit),
    Admitted(#[expect(dead_code, reason = "held, and given back when it is dropped")] OwnedSemaphorePermit),
}

impl Places {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            strangers: Arc::new(Semaphore::new(limits.strangers_max)),
            admitted: Arc::new(Semaphore::new(limits.admitted_max)),
            came: Vec::new(),
        }
    }

    /// A stranger's place for who comes now. Where there is none, whoever has had one longest gives it up, after its grace.
    pub async fn next(&mut self) -> Arc<Place> {
        let free = pin!(self.strangers.clone().acquire_owned());
        self.came.retain(|(place, _)| place.upgrade().is_some_and(|place| place.is_strangers()));
        let permit = match self.came.first_mut() {
            Some((oldest, grace)) => match select(free, grace.as_mut()).await {
                Either::Left((permit, _)) => permit,
                Either::Right(((), free)) => {
                    if let Some(oldest) = oldest.upgrade() {
                        oldest.claimed.notify_one();
                    }
                    free.await
                }
            },
            None => free.await,
        };
        let held = Mutex::new(Held::Stranger(permit.expect("nobody closes it")));
        let place = Arc::new(Place { held, admitted: self.admitted.clone(), claimed: Notify::new() });
        self.came.push((Arc::downgrade(&place), Box::pin(sleep(self.limits.stranger_grace))));
        place
    }
}

impl Place {
    /// Its request showed a credential.
    pub fn admit(&self) -> Result<(), Problem> {
        let full = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many calls at one time").ask_again();
        let permit = self.admitted.clone().try_acquire_owned().map_err(full)?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Held::Admitted(permit);
        Ok(())
    }

    /// Ends when another stranger needs it.
    pub async fn claimed(&self) {
        loop {
            self.claimed.notified().await;
            // It may have been admitted at that very moment.
            if self.is_strangers() {
                return;
            }
        }
    }

    fn is_strangers(&self) -> bool {
        matches!(*self.held.lock().unwrap_or_else(PoisonError::into_inner), Held::Stranger(_))
    }
}
