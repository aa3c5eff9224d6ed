//! Patterns of durations for the JSON schema: regular expressions cannot compare numbers, so a range of numbers is
//! spelled out digit by digit. A leading zero changes nothing, as when a file is read.

/// Durations from `min_ms` to `max_ms`, in every unit.
pub(super) fn duration(min_ms: u64, max_ms: u64) -> String {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let choices = units.map(|(unit, length)| with_unit(min_ms.div_ceil(length), max_ms / length, unit));
    whole(choices.into_iter().flatten())
}

/// Whole seconds from `min` to `max`, in every unit.
pub(super) fn whole_seconds(min: u64, max: u64) -> String {
    let units = [("s", 1), ("m", 60), ("h", 3_600)];
    let choices = units.map(|(unit, length)| with_unit(min.div_ceil(length), max / length, unit));
    let none = (min == 0).then(|| "0ms".to_owned());
    whole(choices.into_iter().flatten().chain(none).chain(with_unit(min.max(1), max, "000ms")))
}

fn whole(choices: impl Iterator<Item = String>) -> String {
    format!("^0*(?:{})$", choices.collect::<Vec<_>>().join("|"))
}

/// Numbers from `min` to `max` before a unit. `None`: there are none.
fn with_unit(min: u64, max: u64, unit: &str) -> Option<String> {
    (min <= max).then(|| format!("(?:{}){unit}", numbers(min, max)))
}

/// Numbers from `min` to `max` without leading zeros. The range is cut where the number of digits that differ
/// changes: 5 to 600 is 5 to 9, 10 to 99, 100 to 599, 600.
fn numbers(min: u64, max: u64) -> String {
    let mut choices = Vec::new();
    let mut from = min;
    while from <= max {
        let to = end_of_piece(from, max);
        choices.push(piece(from, to));
        from = to + 1;
    }
    choices.join("|")
}

/// The last number up to `max` that differs from `from` only in one digit and in nines behind it.
fn end_of_piece(from: u64, max: u64) -> u64 {
    let mut power = 1;
    // How many digits behind may take every value: they are zeros now.
    while from.is_multiple_of(power * 10) && from > 0 && from + power * 10 - 1 <= max {
        power *= 10;
    }
    let mut to = from + power - 1;
    // The digit before them goes up to 9, as long as the range does.
    while to + power <= max && (to / power) % 10 != 9 {
        to += power;
    }
    to
}

/// The pattern of a piece: equal digits, one range, then any digits.
fn piece(from: u64, to: u64) -> String {
    let digits = |(a, b): (char, char)| match (a, b) {
        (a, b) if a == b => a.to_string(),
        ('0', '9') => "[0-9]".to_owned(),
        (a, b) => format!("[{a}-{b}]"),
    };
    from.to_string().chars().zip(to.to_string().chars()).map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a text fits a pattern of ours: choices of digits and ranges.
    fn fits(pattern: &str, text: &str) -> bool {
        pattern.split('|').any(|choice| {
            let mut text = text.chars();
            let mut signs = choice.chars();
            while let Some(sign) = signs.next() {
                let (low, high) = if sign == '[' {
                    let range: Vec<char> = signs.by_ref().take_while(|sign| *sign != ']').collect();
                    (range[0], range[2])
                } else {
                    (sign, sign)
                };
                if !text.next().is_some_and(|digit| (low..=high).contains(&digit)) {
                    return false;
                }
            }
            text.next().is_none()
        })
    }

    #[test]
    fn a_pattern_has_the_numbers_of_its_range_and_no_others() {
        for (min, max) in [(0, 0), (0, 9), (5, 600), (1, 60), (99, 101), (100, 1000), (17, 4321), (0, 5000)] {
            let pattern = numbers(min, max);
            for number in 0..=5_500 {
                let within = (min..=max).contains(&number);
                assert_eq!(fits(&pattern, &number.to_string()), within, "{number} in {min} to {max}: {pattern}");
            }
        }
    }

    #[test]
    fn a_pattern_is_short() {
        assert_eq!(numbers(5, 600), "[5-9]|[1-9][0-9]|[1-5][0-9][0-9]|600");
        assert_eq!(duration(1, 1_000), "^0*(?:(?:[1-9]|[1-9][0-9]|[1-9][0-9][0-9]|1000)ms|(?:1)s)$");
    }
}
