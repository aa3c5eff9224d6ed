//! What happened around the time at which something ceased to hold: lines of the trace.

use super::narrate::ms;
use crate::outcome::Check;
use continuum_sim::trace::TraceLine;

/// So many lines before, and so many after.
const COUNT: usize = 5;

/// What happens all the time, and tells of nothing.
const EVERYDAY: [&str; 2] = ["Committed", "Acknowledged"];

/// Whether a check failed, unexpectedly and at a known time.
pub(super) fn is_wanted(check: &Check) -> bool {
    !check.ok && !check.expected_to_fail && check.at_ms.is_some()
}

/// Puts the lines where they are wanted.
pub(super) fn fill_in(checks: &mut [Check], lines: &[TraceLine]) {
    let is_everyday = |line: &TraceLine| {
        line.fields.iter().any(|(_, value)| EVERYDAY.iter().any(|everyday| value.starts_with(everyday)))
    };
    let lines: Vec<&TraceLine> = lines.iter().filter(|line| !is_everyday(line)).collect();
    for check in checks.iter_mut().filter(|check| is_wanted(check)) {
        let Some(at_ms) = check.at_ms else { continue };
        let next = lines.partition_point(|line| ms(line.at) <= at_ms);
        let around = &lines[next.saturating_sub(COUNT)..lines.len().min(next + COUNT)];
        check.trace = around.iter().map(|line| line.to_string().trim_start().to_owned()).collect();
    }
}
