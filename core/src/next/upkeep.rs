//! What a driver remembers between two looks while no intent stands, in this process alone: what it tried, when, and
//! how often it put the same thing right.

use super::standing::{Object, Standing};
use crate::clock::Monotonic;
use crate::ports::Outcome;
use crate::record::Record;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Pause before the same object is written again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// So often in a row a half is written again without one where nothing was done: its operator or whoever interferes wrote it at
/// the same moment, and promotes it within a second.
const AT_ONCE_MAX: u32 = 3;
/// The longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often a route or the records are put right within [`MENDS_WITHIN`], before they are left and it is said.
const MENDS_MAX: usize = 3;
/// See [`MENDS_MAX`].
const MENDS_WITHIN: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, Default, PartialEq)]
struct Tries {
    last: Option<Monotonic>,
    failed: u32,
    /// The next try waits for nothing.
    at_once: bool,
    cause: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upkeep {
    /// Generation, and whether it was held: another one starts afresh.
    about: Option<(u64, bool)>,
    tries: BTreeMap<Object, Tries>,
    mends: BTreeMap<Object, VecDeque<Monotonic>>,
    /// The last look showed something that is not as it should be.
    pub amiss: bool,
}

impl Upkeep {
    /// Takes note of where this region stands.
    pub fn stand(&mut self, record: &Record, standing: &Standing<'_>) {
        let about = (record.generation, matches!(standing, Standing::Tends));
        if self.about != Some(about) {
            // What others did to routes and records outlives a change of the holder.
            *self = Upkeep { about: Some(about), mends: std::mem::take(&mut self.mends), ..Upkeep::default() };
        }
    }

    /// Whether the pause after the last try at this object is over.
    pub fn may_try(&self, object: &Object, now: Monotonic) -> bool {
        let Some(tries) = self.tries.get(object).filter(|tries| !tries.at_once) else { return true };
        // A half that writes where it must not, or does not where it should, is tried as often as it takes.
        let failed = if matches!(object, Object::Half(_)) { 0 } else { tries.failed };
        let pause = (RETRY_PAUSE * 2u32.saturating_pow(failed.saturating_sub(1).min(5))).min(RETRY_PAUSE_MAX);
        tries.last.is_none_or(|last| now.since(last) >= pause)
    }

    /// As `may_try`, for what is not put right for ever: whoever else writes it goes on writing.
    pub fn may_mend(&self, object: &Object, now: Monotonic) -> bool {
        self.may_try(object, now) && !self.left_to_others(object, now)
    }

    /// Whether this object was put right so often that it is left as others write it.
    pub fn left_to_others(&self, object: &Object, now: Monotonic) -> bool {
        self.mends.get(object).is_some_and(|mends| {
            let recent = mends.iter().filter(|at| now.since(**at) < MENDS_WITHIN);
            recent.count() >= MENDS_MAX
        })
    }

    /// Takes note of what became of a write.
    pub fn tried(&mut self, object: &Object, outcome: &Outcome<()>, now: Monotonic) {
        let tries = self.tries.entry(object.clone()).or_default();
        tries.last = Some(now);
        let not_applied = matches!(outcome, Outcome::NotApplied(_));
        tries.at_once = not_applied && matches!(object, Object::Half(_)) && tries.failed < AT_ONCE_MAX;
        match outcome {
            Outcome::Done(()) => {
                tries.failed = 0;
                tries.cause = None;
                if matches!(object, Object::Route(_) | Object::Records) {
                    let mends = self.mends.entry(object.clone()).or_default();
                    mends.push_back(now);
                    if mends.len() > MENDS_MAX {
                        mends.pop_front();
                    }
                }
            }
            Outcome::NotApplied(cause) | Outcome::Refused(cause) | Outcome::Unknown(cause) => {
                tries.failed += 1;
                tries.cause = Some(cause.clone());
            }
        }
    }

    /// Why the last write of this object did not succeed.
    pub fn cause(&self, object: &Object) -> Option<&str> {
        self.tries.get(object)?.cause.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Region;

    #[test]
    fn a_half_that_somebody_wrote_at_the_same_moment_is_written_again_at_once() {
        let not_applied = Outcome::NotApplied("409".into());
        let at = |seconds| Monotonic(Duration::from_secs(seconds));
        for (object, outcome, at_once) in [
            (Object::Half(Region::new("fsn")), &not_applied, 3),
            (Object::Half(Region::new("fsn")), &Outcome::Unknown("no answer".into()), 0),
            (Object::Half(Region::new("fsn")), &Outcome::Refused("denied".into()), 0),
            (Object::Route(Region::new("fsn")), &not_applied, 0),
        ] {
            let mut upkeep = Upkeep::default();
            for number in 0..5 {
                upkeep.tried(&object, outcome, at(10));
                assert_eq!(upkeep.may_try(&object, at(10)), number < at_once, "{object:?} {outcome:?} {number}");
            }
            assert!(upkeep.may_try(&object, at(40)));
            upkeep.tried(&object, &Outcome::Done(()), at(40));
            assert!(!upkeep.may_try(&object, at(40)), "what was done shows a moment later");
        }
    }
}
