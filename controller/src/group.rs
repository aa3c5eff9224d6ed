//! The tasks of one Continuum: begun, begun anew after a panic, and ended between two requests. In a replica that waits they
//! are those that answer.

use crate::directory::Directory;
use crate::gate::Gate;
use crate::host::Host;
use crate::leader::Standing;
use crate::pause;
use crate::resource::Resource;
use continuum_core::clock::{Clock, Monotonic, within};
use continuum_core::name::ObjectName;
use continuum_live::assemble::Twice;
use futures_util::future::{Either, select};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;

/// So long the answers to requests under way are waited for; no client waits longer for one.
const ANSWERS_LIMIT: Duration = Duration::from_secs(15);
/// Who ran so long without a panic begins to count anew.
const CALM: Duration = Duration::from_secs(600);

/// See the module.
pub(crate) struct Group {
    /// As the watch told of it last.
    pub resource: Arc<Resource>,
    drives: bool,
    gates: Twice<Gate>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Group {
    /// Begins once `before` has ended: two controllers of one Continuum would have two opinions.
    pub fn start(
        host: Arc<Host>,
        directory: Directory,
        name: ObjectName,
        resource: Arc<Resource>,
        standing: Standing,
        before: Option<JoinHandle<()>>,
    ) -> Self {
        let term = match &standing {
            Standing::Leads(term) => term.clone(),
            Standing::Waits => None,
        };
        let drives = matches!(standing, Standing::Leads(_));
        let gates = Twice { driving: Gate::within(term), dry_run: Gate::default() };
        directory.expects(&name);
        let (stop, stopped) = oneshot::channel();
        let span = tracing::info_span!("continuum", continuum = %name);
        let life = Life { host, directory, name, resource: resource.clone(), standing, gates: gates.clone() };
        let task = async move {
            if let Some(before) = before {
                // It only ends; how is logged by itself.
                let _ = before.await;
            }
            life.live(stopped).await;
        };
        Self { resource, drives, gates, stop, task: tokio::spawn(task.instrument(span)) }
    }

    /// Ends it where another is to follow, here or elsewhere. What drives is let through no more; calls of the API that are under way,
    /// and change nothing themselves, go on.
    pub async fn make_way(self) {
        if self.drives {
            self.gates.driving.close();
        }
        // Where it has ended already, nobody listens.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }

    /// Ends it: nothing more is sent, what is under way gets its answer, and the step stays where a successor finds it.
    pub async fn end(self) {
        self.gates.driving.close();
        self.gates.dry_run.close();
        self.make_way().await;
    }
}

/// What a group's task has.
struct Life {
    host: Arc<Host>,
    directory: Directory,
    name: ObjectName,
    resource: Arc<Resource>,
    standing: Standing,
    gates: Twice<Gate>,
}

impl Life {
    async fn live(self, mut stopped: oneshot::Receiver<()>) {
        let drives = matches!(self.standing, Standing::Leads(_));
        tracing::info!(drives, "begun");
        let begin = || {
            let controller = Arc::new(self.host.controller(&self.name, &self.resource, &self.standing, &self.gates));
            self.directory.answers(&self.name, controller.clone());
            let run = async move { controller.run().await };
            tokio::spawn(run.instrument(tracing::Span::current()))
        };
        let ended = || {
            self.host.counts().panicked();
            self.directory.silent(&self.name);
        };
        let running = kept_running(self.host.clock(), &mut stopped, begin, ended).await;
        if let Some(work) = running {
            self.end(work).await;
        }
        tracing::info!("ended");
    }

    async fn end(&self, work: JoinHandle<()>) {
        self.directory.silent(&self.name);
        let emptied = async {
            for gate in [&self.gates.driving, &self.gates.dry_run] {
                if gate.is_closed() {
                    gate.emptied().await;
                }
            }
        };
        if within(self.host.clock(), ANSWERS_LIMIT, emptied).await.is_none() {
            tracing::warn!("a request had no answer when its Continuum's tasks were ended");
        }
        work.abort();
        // It was told to end.
        let _ = work.await;
    }
}

/// Begins the tasks, and begins them anew after a pause wherever they end, until it is told to stop. What runs then is given
/// back; nothing where that was within a pause.
async fn kept_running(
    clock: &dyn Clock,
    stopped: &mut oneshot::Receiver<()>,
    mut begin: impl FnMut() -> JoinHandle<()>,
    ended: impl Fn(),
) -> Option<JoinHandle<()>> {
    let mut panics = 0;
    loop {
        let began = clock.now();
        let mut work = begin();
        let result = match select(&mut *stopped, &mut work).await {
            Either::Left(_) => return Some(work),
            Either::Right((result, _)) => result,
        };
        ended();
        panics = counted(panics, began, clock.now());
        let pause = pause::after(panics);
        let cause = cause(result);
        tracing::error!(%cause, panics, pause_seconds = pause.as_secs(), "its tasks ended; they are begun anew");
        if let Either::Left(_) = select(&mut *stopped, clock.sleep(pause)).await {
            return None;
        }
    }
}

/// Panics in a row, with this one.
fn counted(before: u32, began: Monotonic, now: Monotonic) -> u32 {
    if now.since(began) >= CALM { 1 } else { before.saturating_add(1) }
}

fn cause(ended: Result<(), JoinError>) -> String {
    let Err(error) = ended else { return "they came to an end, which they never should".into() };
    match error.try_into_panic() {
        Ok(panic) => said(&*panic),
        Err(error) => error.to_string(),
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a panic: {}", text.unwrap_or("without words"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::sync::Mutex;

    /// Sleeps at once, and notes for how long.
    #[derive(Default)]
    struct Hasty(Mutex<Vec<u64>>);

    #[async_trait]
    impl Clock for Hasty {
        fn now(&self) -> Monotonic {
            Monotonic::default()
        }
        fn wall(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
        async fn sleep(&self, duration: Duration) {
            self.0.lock().unwrap().push(duration.as_secs());
        }
    }

    #[tokio::test]
    async fn tasks_that_panic_are_begun_anew_after_growing_pauses_until_they_are_stopped() {
        let clock = Hasty::default();
        let (stop, mut stopped) = oneshot::channel();
        let (mut stop, begun) = (Some(stop), Mutex::new(0));
        let begin = || {
            *begun.lock().unwrap() += 1;
            let last = *begun.lock().unwrap() == 4;
            if last {
                stop.take().unwrap().send(()).unwrap();
            }
            tokio::spawn(async move {
                assert!(last, "on purpose");
                std::future::pending::<()>().await;
            })
        };
        let removed = Mutex::new(0);
        let running = kept_running(&clock, &mut stopped, begin, || *removed.lock().unwrap() += 1).await;
        running.expect("the fourth runs").abort();
        assert_eq!(*clock.0.lock().unwrap(), [1, 2, 4]);
        assert_eq!(*removed.lock().unwrap(), 3, "nobody finds what does not run");
    }

    #[test]
    fn what_a_panic_said_is_told() {
        assert_eq!(said(&"a word"), "a panic: a word");
        assert_eq!(said(&"a word".to_owned()), "a panic: a word");
        assert_eq!(said(&1), "a panic: without words");
    }

    #[test]
    fn panics_are_counted_until_ten_minutes_pass_without_one() {
        let at = |seconds| Monotonic(Duration::from_secs(seconds));
        assert_eq!(counted(0, at(0), at(1)), 1);
        assert_eq!(counted(1, at(1), at(600)), 2);
        assert_eq!(counted(2, at(0), at(600)), 1);
    }
}
