//! Where a primary is expected, clients write again once the last fault has ended, and go on writing to the end. A world
//! that is at rest by its objects and in which nobody can write has not come to rest for those whom it is there for.

use super::{Evidence, Verdict, at};
use crate::ground::Ground;
use crate::workload::Memory;
use std::time::Duration;

/// A client waits so long for an answer, and then for the next: a silence is told where all have tried in vain.
const PATIENCE: Duration = Duration::from_secs(5);

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let run = &ground.run;
    let detail = match (run.expects_rest, ground.client_count) {
        (false, _) => "no primary is expected",
        (_, 0) => "no clients",
        _ => "",
    };
    if !detail.is_empty() {
        return Verdict::of("writes-resume", detail.into(), Vec::<Evidence>::new());
    }
    let since = run.rest_since.unwrap_or(run.quiet_since);
    let memory = Memory::of(ground.attempts.clone());
    let silences = memory.silences(run.measured, run.pause_max + PATIENCE);
    let evidence = silences.into_iter().filter_map(|silence| {
        let (from, to) = (silence.span.from, silence.span.to);
        let rest = match silence.after {
            None => format!("to the end of the run; faults and operations ended at {}", at(run.quiet_since)),
            // One that began before may last longer than the fault: resolvers keep what they were told.
            Some(_) if from >= since => format!("to {}, at rest since {}", at(to), at(since)),
            Some(_) => return None,
        };
        Some(Evidence { at: Some(from), text: format!("nobody wrote from {} {rest}", at(from)) })
    });
    Verdict::of("writes-resume", String::new(), evidence.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::moved;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn clients_that_never_write_again_are_caught() {
        let mut ground = moved();
        assert!(check(&ground).ok);
        ground.run.pause_max = seconds(1);
        let told = "nobody wrote from 30.00 s to the end of the run; faults and operations ended at 27.50 s";
        assert_eq!(check(&ground).evidence, [told]);
        ground.run.expects_rest = false;
        assert_eq!(check(&ground).to_string(), "writes-resume ok (no primary is expected)");
    }

    #[test]
    fn a_silence_within_rest_is_caught_and_one_before_it_is_not() {
        let mut ground = moved();
        ground.run.pause_max = seconds(1);
        ground.run.measured.to = seconds(31);
        assert!(check(&ground).ok, "{:?}", check(&ground));
        ground.run.rest_since = Some(seconds(19));
        assert_eq!(check(&ground).evidence, ["nobody wrote from 20.00 s to 30.00 s, at rest since 19.00 s"]);
    }
}
