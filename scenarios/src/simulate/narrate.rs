//! Tells what happens, from ground truth: the record as it stands at the witness, the faults that struck, the
//! deeds of people. A line for each transition.

use super::deed;
use super::fences::Fences;
use crate::format::Step;
use crate::outcome::{Entry, EntryKind, Outcome};
use continuum_core::record::{Intent, Record};
use continuum_core::steps;
use continuum_sim::world::World;
use std::collections::BTreeSet;
use std::time::Duration;

/// A step that takes longer is told twice: when it starts and when it is done.
const TOLD_TWICE: [u8; 2] = [2, 6];

/// What was told so far.
#[derive(Default)]
pub(super) struct Narrator {
    struck: usize,
    /// How many messages of the audit stream were looked through.
    published: usize,
    /// Halves that take writes although their demotion was through.
    writable_again: BTreeSet<&'static str>,
    fences: Fences,
    version: Option<u64>,
    /// The intent that is told of, and what was told of each step: started, finished, undone.
    intent: Option<String>,
    told: [[bool; 3]; 7],
    started_ms: [u64; 7],
    turned: bool,
}

/// Milliseconds.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn entry(world: &World, kind: EntryKind, label: &str, detail: String) -> Entry {
    Entry { at_ms: ms(world.now()), kind, label: label.to_owned(), detail, ..Entry::default() }
}

impl Narrator {
    /// The world is ready.
    pub fn ready(&mut self, world: &World, outcome: &mut Outcome) {
        let record = world.watch.record();
        let lease = match record.map(|r| (&r.holder, r.generation)) {
            Some((Some(holder), generation)) => format!("lease {holder}/{generation}"),
            Some((None, _)) => "lease free".into(),
            None => "no lease".into(),
        };
        let halves: Vec<String> = world
            .halves
            .iter()
            .map(|(region, half)| {
                let snapshot = half.instance.snapshot();
                let role = if half.instance.accepts_writes() { "primary" } else { "standby" };
                format!("{region} {role} (timeline {})", snapshot.timeline)
            })
            .collect();
        outcome.timeline.push(entry(world, EntryKind::Ready, "ready", format!("{}, {lease}", halves.join(", "))));
    }

    /// Something was asked for.
    pub fn asked(&mut self, world: &World, outcome: &mut Outcome, what: &str) {
        outcome.timeline.push(entry(world, EntryKind::Execute, "execute", what.to_owned()));
    }

    /// A client wrote one row because the scenario asked for it.
    pub fn wrote(&mut self, world: &World, outcome: &mut Outcome, to: &str, told: &str) {
        outcome.timeline.push(entry(world, EntryKind::Note, "write", format!("to {to}: {told}")));
    }

    /// A request to a controller's HTTP API was answered.
    pub fn requested(&mut self, world: &World, outcome: &mut Outcome, detail: &str) {
        outcome.timeline.push(entry(world, EntryKind::Note, "request", detail.to_owned()));
    }

    /// A person did something. `became`: what became of a change to an object, and whether it changed
    /// anything.
    pub fn deed(&mut self, world: &World, outcome: &mut Outcome, step: &Step, became: Option<&Result<bool, String>>) {
        let Some((label, detail)) = deed::told(step) else { return };
        let became = match became {
            None => String::new(),
            Some(Ok(true)) => ": taken".to_owned(),
            Some(Ok(false)) => ": taken, and nothing changed by it".to_owned(),
            Some(Err(cause)) => format!(": refused: {cause}"),
        };
        outcome.timeline.push(entry(world, EntryKind::Note, label, detail + &became));
    }

    /// Tells what is new.
    pub fn look(&mut self, world: &World, outcome: &mut Outcome) {
        for struck in world.board.log_from(self.struck) {
            self.struck += 1;
            let label = if struck.ended { format!("{} ended", struck.label) } else { struck.label };
            let detail = struck.detail;
            let entry = Entry { at_ms: ms(struck.at), kind: EntryKind::Fault, label, detail, ..Entry::default() };
            outcome.timeline.push(entry);
        }
        self.tell_interference(world, outcome);
        for told in self.fences.look(world) {
            outcome.timeline.push(entry(world, EntryKind::Note, "fence", told));
        }
        let version = world.register().map(|register| register.version());
        let record = world.watch.record();
        if self.version != version {
            self.version = version;
            if let Some(record) = record {
                self.tell_record(world, outcome, record);
            }
        }
        self.tell_writable(world, outcome, record.and_then(|record| record.intent.as_deref()));
    }

    /// What the controllers told the audit stream of others' writes.
    fn tell_interference(&mut self, world: &World, outcome: &mut Outcome) {
        for stored in world.nats.messages_after(self.published) {
            self.published += 1;
            let body: serde_json::Value = serde_json::from_str(&stored.message.payload).unwrap_or_default();
            if body["reason"] == "interference" {
                let told = body["message"].as_str().unwrap_or_default().to_owned();
                outcome.timeline.push(entry(world, EntryKind::Note, "interference", told));
            }
        }
    }

    /// A half that left the role and takes writes: whoever made it so, and whether or not anybody writes.
    fn tell_writable(&mut self, world: &World, outcome: &mut Outcome, intent: Option<&Intent>) {
        let left = intent.filter(|intent| intent.forward() && self.told[1][1]).map(|intent| intent.from().as_str());
        for (region, half) in &world.halves {
            let writes = half.instance.accepts_writes();
            let again = writes && left == Some(*region);
            if again && self.writable_again.insert(*region) {
                outcome.timeline.push(entry(
                    world,
                    EntryKind::Note,
                    "database",
                    format!("{region} takes writes again"),
                ));
            } else if !writes && self.writable_again.remove(*region) {
                outcome.timeline.push(entry(
                    world,
                    EntryKind::Note,
                    "database",
                    format!("{region} takes none any more"),
                ));
            }
        }
    }

    fn tell_record(&mut self, world: &World, outcome: &mut Outcome, record: &Record) {
        if let Some(intent) = &record.intent {
            if self.intent.as_ref() != Some(&intent.id) {
                *self = Narrator {
                    struck: self.struck,
                    published: self.published,
                    fences: std::mem::take(&mut self.fences),
                    version: self.version,
                    ..Narrator::default()
                };
                self.fences.begin();
                self.intent = Some(intent.id.clone());
            }
            self.tell_intent(world, outcome, intent);
        } else if let Some(last) = record.last.as_ref().filter(|last| self.intent.as_ref() == Some(&last.id)) {
            for number in 1..=7u8 {
                let state = &last.steps[usize::from(number) - 1];
                let note = state.note.as_deref();
                self.tell_step(world, outcome, number, state.started_at.is_some(), state.finished_at.is_some(), note);
                self.tell_undone(world, outcome, number, state.undone_at.is_some());
            }
            self.intent = None;
        }
    }

    fn tell_intent(&mut self, world: &World, outcome: &mut Outcome, intent: &Intent) {
        if let continuum_core::record::Direction::Undo { step, reason } = &intent.direction
            && !self.turned
        {
            self.turned = true;
            let cause = steps::failure_text(*step, reason);
            outcome.timeline.push(entry(world, EntryKind::Note, "undo", cause));
        }
        for number in 1..=7u8 {
            let state = intent.step(number);
            let note = state.note.as_deref();
            self.tell_step(world, outcome, number, state.started_at.is_some(), state.finished_at.is_some(), note);
            self.tell_undone(world, outcome, number, state.undone_at.is_some());
        }
    }

    fn tell_step(
        &mut self,
        world: &World,
        outcome: &mut Outcome,
        number: u8,
        started: bool,
        finished: bool,
        note: Option<&str>,
    ) {
        let index = usize::from(number) - 1;
        let step = |label: &str, detail: &str| Entry {
            step: Some(number),
            ..entry(world, EntryKind::Step, label, detail.to_owned())
        };
        if started && !self.told[index][0] {
            self.told[index][0] = true;
            self.started_ms[index] = ms(world.now());
            if TOLD_TWICE.contains(&number) {
                let asked = if number == 2 { "demotion begins" } else { "promotion begins" };
                outcome.timeline.push(step(steps::name(number), asked));
            }
        }
        if !finished && self.told[index][1] {
            self.told[index][1] = false;
            self.started_ms[index] = ms(world.now());
            outcome.timeline.push(step(steps::name(number), note.unwrap_or("done anew")));
        }
        if finished && !self.told[index][1] {
            self.told[index][1] = true;
            let label = if TOLD_TWICE.contains(&number) { "" } else { steps::name(number) };
            let took_ms = Some(ms(world.now()).saturating_sub(self.started_ms[index]));
            outcome.timeline.push(Entry { took_ms, ..step(label, note.unwrap_or_default()) });
        }
    }

    fn tell_undone(&mut self, world: &World, outcome: &mut Outcome, number: u8, undone: bool) {
        let index = usize::from(number) - 1;
        if undone && !self.told[index][2] {
            self.told[index][2] = true;
            let entry = entry(world, EntryKind::Step, steps::name(number), "undone".into());
            outcome.timeline.push(Entry { step: Some(number), ..entry });
        }
    }
}
