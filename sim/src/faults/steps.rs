//! Which request is a step's: the one that carries the step out, told apart by what it asks for and by the
//! record that stands at the witness when it arrives.

use crate::gate::Asked;
use crate::lease;
use crate::servers::jetstream::HOST;
use continuum_core::audit::SUBJECT;
use continuum_core::record::Record;

/// The host of the witness's API server, until a write to it was seen.
const WITNESS: &str = "api.witness";

/// Hosts of controllers begin so.
const CONTROLLER: &str = "controller.";

/// The record at the witness and since which write it shows what it shows, followed by the writes that were applied.
#[derive(Default)]
pub(super) struct Stored {
    record: Option<Record>,
    /// The host that the witness stands on.
    host: Option<String>,
    /// How many writes of it were applied.
    count: u64,
    /// With which of them each step of the present intent was first shown to have started.
    started: [Option<u64>; 7],
}

impl Stored {
    /// A request was applied.
    pub(super) fn follow(&mut self, asked: &Asked) {
        let Some(record) = written_record(asked) else { return };
        self.count += 1;
        let id = |record: &Record| record.intent.as_ref().map(|intent| intent.id.clone());
        if self.record.as_ref().and_then(id) != id(&record) {
            self.started = [None; 7];
        }
        if let Some(intent) = &record.intent {
            for (started, step) in self.started.iter_mut().zip(&intent.steps) {
                if step.started_at.is_some() {
                    started.get_or_insert(self.count);
                }
            }
        }
        self.record = Some(record);
        self.host = Some(asked.server.clone());
    }

    /// How many writes were applied so far: what comes later has a higher number.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn is_witness(&self, host: &str) -> bool {
        self.host.as_deref().unwrap_or(WITNESS) == host
    }

    fn has_started(&self, step: u8, since: u64) -> bool {
        self.started[usize::from(step) - 1].is_some_and(|number| number > since)
    }

    /// Whether this request carries out `step`, which started after `since` writes. A server that the step has nothing
    /// to do with, and a named object, is hit by the first changing request of a controller.
    pub(super) fn is_request_of(&self, step: u8, asked: &Asked, object_named: bool, since: u64) -> bool {
        if !asked.changing || !asked.from.starts_with(CONTROLLER) {
            return false;
        }
        if step == 1 && self.is_witness(&asked.server) {
            return self.puts_intent(asked);
        }
        if !self.has_started(step, since) {
            return false;
        }
        let Some(intent) = self.record.as_ref().and_then(|record| record.intent.as_ref()) else { return false };
        let server_of = |region: &continuum_core::name::Region| asked.server == format!("api.{region}");
        let cluster = asked.what.starts_with("clusters/") && asked.subresource.is_empty();
        match step {
            _ if object_named => true,
            2 if server_of(intent.from()) => cluster,
            3 if asked.server.starts_with("api.") && asked.server != WITNESS => asked.what.starts_with("httproutes/"),
            4 if asked.server == "dns" || asked.server == "pdm" => asked.what.starts_with("zones/"),
            5 if self.is_witness(&asked.server) => self.changes_holder(asked),
            6 if server_of(intent.to()) => cluster,
            7 if asked.server == HOST => asked.what == SUBJECT && asked.body.contains("continuum-switchover"),
            _ => true,
        }
    }

    fn puts_intent(&self, asked: &Asked) -> bool {
        let before = self.record.as_ref().and_then(|record| record.intent.as_ref());
        let after = written_record(asked).and_then(|record| record.intent);
        after.is_some_and(|after| before.is_none_or(|before| before.id != after.id))
    }

    fn changes_holder(&self, asked: &Asked) -> bool {
        let before = self.record.as_ref().and_then(|record| record.holder.as_ref());
        written_record(asked).is_some_and(|after| after.holder.as_ref() != before)
    }
}

/// The record that a request writes to the witness.
fn written_record(asked: &Asked) -> Option<Record> {
    if !asked.changing || !asked.what.starts_with("leases/") {
        return None;
    }
    if asked.server == HOST {
        // A bucket holds it as it is.
        return serde_json::from_str(&asked.body).ok();
    }
    lease::record(&serde_json::from_str(&asked.body).ok()?)
}
