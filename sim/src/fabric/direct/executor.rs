//! Runs the futures of all hosts on one thread, in the order in which they were woken. A task belongs to a host: it
//! is polled with its host as the current one, held while the host is paused, and dropped when it crashes.
//!
//! Tokio's own tasks have no such owner, and a `LocalSet` cannot hold some of its tasks; hence this one.

use super::HostId;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Wake, Waker};

/// No host's software runs.
const NOBODY: usize = usize::MAX;

/// Polls within one instant of simulated time, after which software is taken to run without end.
const POLLS_MAX: u32 = 1_000_000;

/// Software that was spawned.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What wakers and spawning software reach, from within a poll.
pub(super) struct Ready {
    current: AtomicUsize,
    state: Mutex<ReadyState>,
}

#[derive(Default)]
struct ReadyState {
    /// Tasks that were woken: slot and number.
    woken: VecDeque<(usize, u64)>,
    /// Work that has no slot yet.
    spawned: VecDeque<(HostId, Work)>,
    /// Of whoever polls the executor.
    outer: Option<Waker>,
}

impl Ready {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Ready { current: AtomicUsize::new(NOBODY), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, ReadyState> {
        self.state.lock().expect("nothing panics while it holds the queue")
    }

    /// The host whose software runs.
    pub(super) fn current(&self) -> Option<HostId> {
        let current = self.current.load(Ordering::Relaxed);
        (current != NOBODY).then_some(HostId(current))
    }

    /// Runs `work` as software of the host.
    pub(super) fn within<T>(&self, host: HostId, work: impl FnOnce() -> T) -> T {
        // Also where the work panics: the report of a panic asks for its host, and what runs next is not this host's.
        struct Back<'a>(&'a AtomicUsize, usize);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.store(self.1, Ordering::Relaxed);
            }
        }
        let _back = Back(&self.current, self.current.swap(host.0, Ordering::Relaxed));
        work()
    }

    /// Runs `work` on the host, until the host crashes.
    pub(super) fn spawn(&self, host: HostId, work: Work) {
        let mut state = self.lock();
        state.spawned.push_back((host, work));
        wake_outer(state);
    }
}

fn wake_outer(mut state: MutexGuard<'_, ReadyState>) {
    let outer = state.outer.take();
    drop(state);
    if let Some(outer) = outer {
        outer.wake();
    }
}

struct TaskWaker {
    slot: usize,
    number: u64,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            let mut state = self.ready.lock();
            state.woken.push_back((self.slot, self.number));
            wake_outer(state);
        }
    }
}

struct Task {
    host: HostId,
    number: u64,
    /// Absent while it is polled.
    work: Option<Pin<Box<dyn Future<Output = ()>>>>,
    handle: Arc<TaskWaker>,
    waker: Waker,
}

/// See the module.
pub(super) struct Executor {
    ready: Arc<Ready>,
    tasks: Vec<Option<Task>>,
    free: Vec<usize>,
    next_number: u64,
    /// By host: what wanted to run while it was paused; absent: it is not paused.
    held: Vec<Option<VecDeque<(usize, u64)>>>,
    polls: u32,
}

impl Executor {
    pub(super) fn new(ready: Arc<Ready>) -> Self {
        Executor { ready, tasks: Vec::new(), free: Vec::new(), next_number: 0, held: Vec::new(), polls: 0 }
    }

    /// Adds a task, which is polled soon.
    pub(super) fn add(&mut self, host: HostId, work: Pin<Box<dyn Future<Output = ()>>>) {
        let slot = self.free.pop().unwrap_or(self.tasks.len());
        self.next_number += 1;
        let number = self.next_number;
        let handle = Arc::new(TaskWaker { slot, number, is_queued: AtomicBool::new(false), ready: self.ready.clone() });
        let task = Task { host, number, work: Some(work), waker: handle.clone().into(), handle: handle.clone() };
        if slot == self.tasks.len() {
            self.tasks.push(Some(task));
        } else {
            self.tasks[slot] = Some(task);
        }
        handle.wake();
    }

    fn held(&mut self, host: HostId) -> &mut Option<VecDeque<(usize, u64)>> {
        if self.held.len() <= host.0 {
            self.held.resize_with(host.0 + 1, || None);
        }
        &mut self.held[host.0]
    }

    /// Holds the tasks of a host from now on.
    pub(super) fn pause(&mut self, host: HostId) {
        self.held(host).get_or_insert_default();
    }

    /// Lets them run again, first those that wanted to meanwhile.
    pub(super) fn resume(&mut self, host: HostId) {
        if let Some(held) = self.held(host).take() {
            self.ready.lock().woken.extend(held);
        }
    }

    /// Drops the tasks of a host, the last one first, as software of that host.
    pub(super) fn crash(&mut self, host: HostId) {
        self.held(host).take();
        let mut work: Vec<_> = Vec::new();
        for slot in 0..self.tasks.len() {
            if self.tasks[slot].as_ref().is_some_and(|task| task.host == host)
                && let Some(task) = self.tasks[slot].take()
            {
                self.free.push(slot);
                work.push((task.number, task.work));
            }
        }
        work.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        self.ready.clone().within(host, || drop(work));
        // After it: what is dropped may still have spawned.
        let spawned: VecDeque<_> = {
            let mut state = self.ready.lock();
            let (gone, stay) = std::mem::take(&mut state.spawned).into_iter().partition(|(of, _)| *of == host);
            state.spawned = stay;
            gone
        };
        self.ready.clone().within(host, || drop(spawned));
    }

    /// Polls what is ready until nothing is. Whether anything was.
    pub(super) fn run(&mut self, outer: &Waker) -> bool {
        let mut has_run = false;
        loop {
            let (spawned, woken) = {
                let mut state = self.ready.lock();
                if state.spawned.is_empty() && state.woken.is_empty() {
                    if !state.outer.as_ref().is_some_and(|known| known.will_wake(outer)) {
                        state.outer = Some(outer.clone());
                    }
                    return has_run;
                }
                (std::mem::take(&mut state.spawned), state.woken.pop_front())
            };
            has_run = true;
            for (host, work) in spawned {
                self.add(host, work);
            }
            if let Some((slot, number)) = woken {
                self.poll(slot, number);
            }
        }
    }

    fn poll(&mut self, slot: usize, number: u64) {
        let Some(task) = self.tasks[slot].as_mut().filter(|task| task.number == number) else { return };
        let host = task.host;
        if let Some(Some(held)) = self.held.get_mut(host.0) {
            held.push_back((slot, number));
            return;
        }
        task.handle.is_queued.store(false, Ordering::Relaxed);
        let Some(mut work) = task.work.take() else { return };
        let waker = task.waker.clone();
        self.polls += 1;
        assert!(self.polls < POLLS_MAX, "software of host {} runs without end in one instant", host.0);
        // Tokio's budget is for its own tasks: here it would make ready things wait.
        let poll = self.ready.within(host, || {
            let poll = Pin::new(&mut tokio::task::unconstrained(work.as_mut())).poll(&mut Context::from_waker(&waker));
            if poll.is_ready() {
                drop(work);
                return None;
            }
            Some(work)
        });
        match (poll, self.tasks[slot].as_mut()) {
            (Some(work), Some(task)) => task.work = Some(work),
            _ => {
                self.tasks[slot] = None;
                self.free.push(slot);
            }
        }
    }

    /// Time has moved on.
    pub(super) fn time_moved(&mut self) {
        self.polls = 0;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.tasks.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    fn run(executor: &mut Executor) {
        executor.run(Waker::noop());
    }

    /// Notes its name at each poll, wakes itself so many times, and then ends.
    fn counts(
        name: &'static str,
        mut times: u32,
        log: &Arc<Mutex<Vec<&'static str>>>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let log = log.clone();
        Box::pin(poll_fn(move |cx| {
            log.lock().expect("a test").push(name);
            if times == 0 {
                return Poll::Ready(());
            }
            times -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }

    #[test]
    fn tasks_take_turns_in_the_order_of_waking_and_leave_their_place_when_they_end() {
        let mut executor = Executor::new(Ready::new());
        let log = Arc::default();
        executor.add(HostId(0), counts("a", 1, &log));
        executor.add(HostId(1), counts("b", 2, &log));
        run(&mut executor);
        assert_eq!(*log.lock().expect("a test"), ["a", "b", "a", "b", "b"]);
        assert_eq!(executor.len(), 0);
    }

    #[test]
    fn a_paused_hosts_tasks_wait_and_then_run_in_their_order() {
        let mut executor = Executor::new(Ready::new());
        let log = Arc::default();
        executor.pause(HostId(0));
        executor.add(HostId(0), counts("held", 1, &log));
        executor.add(HostId(1), counts("free", 0, &log));
        run(&mut executor);
        assert_eq!(*log.lock().expect("a test"), ["free"]);
        executor.resume(HostId(0));
        run(&mut executor);
        assert_eq!(*log.lock().expect("a test"), ["free", "held", "held"]);
    }

    #[test]
    fn a_crash_drops_a_hosts_tasks_and_what_they_spawned_as_software_of_that_host() {
        struct Tells(Arc<Ready>, Arc<Mutex<Vec<Option<HostId>>>>);
        impl Drop for Tells {
            fn drop(&mut self) {
                self.1.lock().expect("a test").push(self.0.current());
            }
        }
        let ready = Ready::new();
        let mut executor = Executor::new(ready.clone());
        let told: Arc<Mutex<Vec<Option<HostId>>>> = Arc::default();
        for host in [HostId(0), HostId(1)] {
            let tells = Tells(ready.clone(), told.clone());
            executor.add(
                host,
                Box::pin(async move {
                    let _tells = tells;
                    pending().await
                }),
            );
        }
        run(&mut executor);
        ready.spawn(HostId(0), Box::pin(pending()));
        executor.crash(HostId(0));
        run(&mut executor);
        assert_eq!(*told.lock().expect("a test"), [Some(HostId(0))]);
        assert_eq!(executor.len(), 1);
    }

    #[test]
    #[should_panic(expected = "without end")]
    fn software_that_never_waits_is_found() {
        let mut executor = Executor::new(Ready::new());
        executor.add(HostId(0), counts("a", u32::MAX, &Arc::default()));
        run(&mut executor);
    }
}
