//! Comparison of two lists of events.

use super::events::{ALL, Event, What};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Two kinds of events that may come in either order, and why.
pub type Commuting = (&'static [What], &'static [What], &'static str);

use What::*;

/// What one recording leaves open beside [`MAY_COMMUTE`].
#[derive(Default)]
pub struct Leeway {
    pub commuting: &'static [Commuting],
    /// Kinds that appear or not, and why.
    pub optional: &'static [(&'static [What], &'static str)],
    /// Recorded under pressure: only [`BUSY`] is compared, times are upper values ([`within_busy`]), and observers lag.
    /// How long the slowest answer took, s.
    pub busy: Option<f64>,
}

/// What a busy recording is held to.
const BUSY: &[What] = &[
    Script,
    FreshAccepted,
    FreshRefused,
    FreshUnreachable,
    Fenced,
    Unfenced,
    SwitchBegan,
    SwitchEnded,
    TransitionCompleted,
    DemotionTokenSet,
];

const MAY_COMMUTE: &[Commuting] = &[
    (
        &[PhaseApplying, NotReady],
        &[Fenced, SwitchBegan],
        "the instance manager announces the demotion's configuration; before the fence in six recordings, after \
         inProgress in two",
    ),
    (
        &[PhaseHealthy, Ready],
        &[
            SystemIdGone,
            ReportsStandby,
            TransitionCompleted,
            DemotionTokenSet,
            Unfenced,
            SwitchEnded,
            FreshUnreachable,
            FreshRefused,
            SessionUnreachable,
            SessionRefused,
            Script,
            DemotionTokenCleared,
        ],
        "... and its end: from before clients saw the shutdown to after the whole demotion",
    ),
    (
        &[TransitionCompleted],
        &[SystemIdGone, ReportsStandby],
        "the instance manager writes the one, the operator reads the others; both orders are recorded",
    ),
    (
        &[SystemIdGone],
        &[FreshUnreachable, SessionUnreachable],
        "the operator and a client notice a shutdown on their own; both orders are recorded",
    ),
    (&[ArchivingShown], &ALL, "an archived WAL file has no relation to the rest"),
];

/// Times are of the same size within this, s.
const SLACK: f64 = 1.0;
/// ... in a busy recording: the script's steps there do not wait for the operator's.
const SLACK_BUSY: f64 = 2.5;
/// ... and earlier by this many of the slowest answers: one thing that the operator does is a few requests.
const ANSWERS: f64 = 3.0;
/// ... or within this factor.
const FACTOR: f64 = 2.0;
/// A recording ends abruptly: what the model shows so near to its end, the recording may have been cut before, s.
const CUT: f64 = 2.0;
/// A client tries every 100 ms, and a try takes a while: nearer than this the order of what it sees and of what the
/// object shows is chance, s.
const SAMPLING: f64 = 0.15;
/// ... in a busy recording.
const SAMPLING_BUSY: f64 = 1.5;

/// An event by its half, its kind and which of its kind it is; with its time since the script's last step there.
struct Placed {
    key: (String, What, usize),
    at: f64,
    since_step: f64,
}

fn place(events: &[Event]) -> Vec<Placed> {
    let mut counts: BTreeMap<(String, What), usize> = BTreeMap::new();
    let mut step: BTreeMap<String, f64> = BTreeMap::new();
    let mut placed = Vec::new();
    for event in events {
        if event.what == What::Script {
            step.insert(event.half.clone(), event.at);
        }
        // What a half did before the script touched it belongs to what was before.
        let Some(last_step) = step.get(&event.half) else { continue };
        let count = counts.entry((event.half.clone(), event.what)).or_default();
        *count += 1;
        let key = (event.half.clone(), event.what, *count);
        placed.push(Placed { key, at: event.at, since_step: event.at - last_step });
    }
    placed
}

/// What differs, with both lists side by side.
pub fn compare(real: &[Event], model: &[Event], end: f64, leeway: &Leeway) -> Result<(), String> {
    let kept = |events: &[Event]| -> Vec<Event> {
        events.iter().filter(|event| leeway.busy.is_none() || BUSY.contains(&event.what)).cloned().collect()
    };
    let (real_placed, model_placed) = (place(&kept(real)), place(&kept(model)));
    let sampling = if leeway.busy.is_some() { SAMPLING_BUSY } else { SAMPLING };
    // Either order may be of the client's tries, which are as far apart in the model as they were in the recording.
    let chance = |recorded: f64, in_model: f64| recorded < sampling || recorded + in_model < 2.0 * sampling;
    let mut wrong = Vec::new();
    let find = |key: &(String, What, usize)| model_placed.iter().find(|placed| placed.key == *key);
    let optional = |what: What| leeway.optional.iter().any(|(kinds, _)| kinds.contains(&what));
    for event in &real_placed {
        match find(&event.key) {
            None if optional(event.key.1) => {}
            None => wrong.push(format!("the model lacks {:?} at {:.2}", event.key, event.at)),
            Some(found)
                if leeway.busy.is_some_and(|answer| within_busy(event.since_step, found.since_step, answer)) => {}
            Some(found) if !same_size(event.since_step, found.since_step) => wrong.push(format!(
                "{:?}: {:.2} s after the script's step, recorded {:.2} s",
                event.key, found.since_step, event.since_step
            )),
            Some(_) => {}
        }
    }
    for event in &model_placed {
        let recorded = real_placed.iter().any(|placed| placed.key == event.key);
        if !recorded && !optional(event.key.1) && event.at < end - CUT {
            wrong.push(format!("only the model has {:?} at {:.2}", event.key, event.at));
        }
    }
    for (index, first) in real_placed.iter().enumerate() {
        for second in &real_placed[index + 1..] {
            let (Some(a), Some(b)) = (find(&first.key), find(&second.key)) else { continue };
            if first.key.0 == second.key.0
                && b.at < a.at
                && !commute(leeway.commuting, first.key.1, second.key.1)
                && !((sampled(first.key.1) || sampled(second.key.1)) && chance(second.at - first.at, a.at - b.at))
            {
                wrong.push(format!("recorded {:?} before {:?}, in the model after it", first.key, second.key));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{}", wrong.join("\n"), side_by_side(real, model))) }
}

/// Under pressure everything came late, so the model may be as much earlier as pressure accounts for, and no more: what
/// took long for a reason of the operator's takes long in the model.
fn within_busy(real: f64, model: f64, slowest_answer: f64) -> bool {
    model <= real + SLACK_BUSY && (model >= real - ANSWERS * slowest_answer || model * FACTOR >= real)
}

fn same_size(real: f64, model: f64) -> bool {
    (real - model).abs() <= SLACK || (model <= real * FACTOR && real <= model * FACTOR)
}

fn commute(more: &[Commuting], a: What, b: What) -> bool {
    MAY_COMMUTE
        .iter()
        .chain(more)
        .any(|(one, other, _)| (one.contains(&a) && other.contains(&b)) || (one.contains(&b) && other.contains(&a)))
}

fn sampled(what: What) -> bool {
    what >= What::FreshAccepted
}

fn side_by_side(real: &[Event], model: &[Event]) -> String {
    let mut text = format!("{:<50}{}\n", "recorded", "model");
    for half in ["shop-fsn", "shop-hel"] {
        let of = |events: &[Event]| -> Vec<String> {
            events.iter().filter(|event| event.half == half).map(ToString::to_string).collect()
        };
        let (left, right) = (of(real), of(model));
        for line in 0..left.len().max(right.len()) {
            let at = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
            let _ = writeln!(text, "{:<50}{}", at(&left), at(&right));
        }
    }
    text
}
