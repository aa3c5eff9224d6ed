//! How long to wait before something that failed is tried again. Pure.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// No pause is longer.
const LAST: Duration = Duration::from_secs(60);

/// The pause after this many failures in a row: it doubles with each, up to a minute.
pub(crate) fn after(failures: u32) -> Duration {
    let doubled = 2u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| FIRST.checked_mul(factor));
    doubled.unwrap_or(LAST).min(LAST)
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn the_pause_grows_to_a_minute_and_stays_there() {
        let seconds: Vec<u64> = [1, 2, 3, 6, 7, 8, 40, u32::MAX].map(|failures| after(failures).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 32, 60, 60, 60, 60]);
    }
}
