//! Looks at what ended, and has its spans sent: a level, so that what ended between two looks is seen at the next, and what
//! ended while nobody looked at the first.

use super::{Exporter, spans, trace};
use crate::directory::Directory;
use crate::leader::{Leadership, Standing};
use continuum_core::clock::Clock;
use continuum_core::name::{ObjectName, Region};
use continuum_core::record::Ended;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// What ended before that is not told by a process that begins: another one did, and a restart would tell it for ever.
const OLD: SignedDuration = SignedDuration::from_mins(10);

/// The trace of each Continuum that was told last.
#[derive(Default)]
pub(super) struct Told(BTreeMap<ObjectName, String>);

impl Told {
    /// Whether this is to be told now.
    pub fn is_news(&mut self, name: &ObjectName, ended: &Ended, now: Timestamp) -> bool {
        let trace = trace(ended);
        match self.0.insert(name.clone(), trace.clone()) {
            Some(before) => before != trace,
            // Only to leave something out: a clock that is wrong costs a trace, or tells one again.
            None => now.duration_since(ended.finished_at) < OLD,
        }
    }
}

/// Tells what ends, for ever, while this replica leads.
pub(crate) async fn follow(
    me: Region,
    directory: Directory,
    leadership: Leadership,
    exporter: Exporter,
    clock: Arc<dyn Clock>,
) {
    let mut told = Told::default();
    loop {
        match leadership.now() {
            Standing::Leads(_) => {
                for (name, ended) in directory.ended() {
                    if told.is_news(&name, &ended, clock.wall()) {
                        exporter.offer(spans(&name, &ended, &me));
                    }
                }
            }
            // Another tells meanwhile.
            Standing::Waits => told = Told::default(),
        }
        clock.sleep(PAUSE).await;
    }
}
