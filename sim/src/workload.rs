//! Clients that write, in both regions, as an application's users do: they resolve the application's name, come
//! to the gateway of a region, are led to a backend by the weights of its route, and write to the half there.
//!
//! ```text
//!   client --UDP--> vantage: address ==> region --in process--> its HTTPRoute: backend ==> half
//!      '--------------------------- insert, pooled sessions ---------------------------> pg.<half>
//! ```
//!
//! Every attempt is remembered with its outcome, for checkers. The clients know no controller, and look at no
//! state of a half: they learn from answers alone, as real ones do.

mod client;
mod memory;
mod resolve;
mod session;
mod spans;

pub use memory::{Attempt, Gap, Memory, Missing, Outcome, Road};
pub use spans::{Silence, Span};

use crate::determinism::Seeds;
use crate::fabric::{Net, Software};
use crate::servers::kube_api::Store;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Limit of each thing a client waits for.
const LIMIT: Duration = Duration::from_secs(2);

/// What the clients are.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// How many, shared out over the regions.
    pub client_count: u32,
    /// How many writes they begin each second, all together. 0: none.
    pub writes_per_second: u32,
    /// The region to whose half one more client opens a session, which it keeps open and writes nothing on (H30).
    pub held_session: Option<String>,
    /// The application's name in DNS.
    pub hostname: String,
    /// Namespace and name of its HTTPRoute.
    pub route: (String, String),
    /// Each region and the address of its gateway. Its clients are on host `clients.<region>`.
    pub regions: Vec<(String, IpAddr)>,
    /// Hosts of the resolvers that the clients ask, in turn.
    pub vantages: Vec<String>,
    /// Role they log in as.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// The clients. Cheap to clone; all clones are the same ones.
#[derive(Clone)]
pub struct Workload {
    shared: Arc<Shared>,
}

struct Shared {
    net: Net,
    options: WorkloadOptions,
    /// The API servers' stores, by region: the gateway of a region follows its own.
    stores: BTreeMap<String, Store>,
    seeds: Seeds,
    memory: Memory,
    mode: Mutex<Mode>,
    /// Writes straight to a half that no client has begun: region, number, place in the memory.
    straight: Mutex<Vec<(String, u64, usize)>>,
    changed: Notify,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Write,
    Hold,
    Stop,
}

impl Workload {
    /// Clients of this world.
    pub fn new(net: Net, options: WorkloadOptions, stores: BTreeMap<String, Store>, seeds: Seeds) -> Self {
        let (memory, mode, straight) = (Memory::default(), Mutex::new(Mode::Write), Mutex::default());
        let shared = Shared { net, options, stores, seeds, memory, mode, straight, changed: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// The hosts that clients are on, and what runs there.
    pub fn hosts(&self) -> Vec<(String, Software)> {
        let regions = self.shared.options.regions.iter();
        regions.map(|(region, _)| (format!("clients.{region}"), self.software(region))).collect()
    }

    fn software(&self, region: &str) -> Software {
        let (shared, region) = (self.shared.clone(), region.to_owned());
        Box::new(move || Box::pin(run(shared.clone(), region.clone())))
    }

    /// What the clients remember.
    pub fn memory(&self) -> Memory {
        self.shared.memory.clone()
    }

    /// How far apart two writes of one client may be: when it has passed, each has tried at least once.
    pub fn pause_max(&self) -> Duration {
        let options = &self.shared.options;
        match options.writes_per_second {
            0 => Duration::ZERO,
            rate => (Duration::from_secs(options.client_count.into()) / rate).mul_f64(client::PAUSE_MAX),
        }
    }

    /// Has a client of `region` write one row straight to the half there, over a session of its own.
    pub fn write_straight(&self, region: &str) -> StraightWrite {
        let (shared, name) = (&self.shared, straight_name(region));
        let number = shared.memory.next_number(&name);
        let place = shared.memory.begin(&name, number, Road::Straight, shared.net.now());
        shared.straight().push((region.to_owned(), number, place));
        shared.changed.notify_waiters();
        StraightWrite { memory: shared.memory.clone(), place }
    }

    /// No client begins another write. Sessions stay open.
    pub fn hold(&self) {
        self.shared.set(Mode::Hold);
    }

    /// They go on writing.
    pub fn release(&self) {
        self.shared.set(Mode::Write);
    }

    /// Every client ends after the write it is at; the held session is closed.
    pub fn stop(&self) {
        self.shared.set(Mode::Stop);
    }

    /// They were held or stopped, and no write is under way.
    pub fn is_still(&self) -> bool {
        *self.shared.mode() != Mode::Write && !self.shared.memory.any_under_way()
    }
}

/// A write straight to a half.
pub struct StraightWrite {
    memory: Memory,
    place: usize,
}

impl StraightWrite {
    /// What became of it. `None`: it is under way.
    pub fn outcome(&self) -> Option<Outcome> {
        self.memory.at(self.place).filter(|attempt| attempt.ended.is_some()).map(|attempt| attempt.outcome)
    }
}

fn straight_name(region: &str) -> String {
    format!("clients.{region}-straight")
}

impl Shared {
    fn straight(&self) -> MutexGuard<'_, Vec<(String, u64, usize)>> {
        self.straight.lock().expect("nothing panics while it holds the writes")
    }

    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().expect("nothing panics while it holds the mode")
    }

    fn set(&self, mode: Mode) {
        *self.mode() = mode;
        self.changed.notify_waiters();
    }

    /// Waits until writing is allowed. `false`: it never will be.
    async fn may_write(&self) -> bool {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match *self.mode() {
                Mode::Write => return true,
                Mode::Stop => return false,
                Mode::Hold => {}
            }
            changed.await;
        }
    }
}

/// The software of a region's clients.
async fn run(shared: Arc<Shared>, region: String) {
    let host = format!("clients.{region}");
    shared.memory.forget_under_way(&host, shared.net.now());
    let count = shared.options.regions.len() as u32;
    let place = shared.options.regions.iter().position(|(name, _)| *name == region).unwrap_or_default() as u32;
    for number in (1..=shared.options.client_count).filter(|number| (number - 1) % count == place) {
        let client = client::Client::new(shared.clone(), format!("{host}-{number}"), number);
        shared.net.spawn(Box::pin(client.run()));
    }
    if shared.options.held_session.as_ref() == Some(&region) {
        shared.net.spawn(Box::pin(client::hold_session(shared.clone(), region.clone())));
    }
    loop {
        let mut changed = pin!(shared.changed.notified());
        changed.as_mut().enable();
        let asked: Vec<_> = shared.straight().extract_if(.., |(of, ..)| *of == region).collect();
        for (region, number, place) in asked {
            let name = straight_name(&region);
            shared.net.spawn(Box::pin(client::write_straight(shared.clone(), region, name, number, place)));
        }
        changed.await;
    }
}
