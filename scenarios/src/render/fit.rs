//! Makes a table fit a terminal that is narrower than it was made for. Columns go first, words stay.

/// Lines that go on, and lines of nothing but a detail, begin here.
const INDENT: usize = 11;
/// Columns that were given up are so far apart.
const GAP: usize = 2;

/// A table in lines of at most `width` characters. What fits stays as it is. In a timeline with a line that is too long,
/// columns move together; where that is not enough it is broken between words. A command stays whole, so that it can
/// be copied.
pub fn fit(table: &str, width: usize) -> String {
    // Rows of one timeline look alike: where one has to move together, all do.
    let is_crowded = table.lines().any(|line| is_row(line) && length(line) > width);
    let table = if table.lines().any(|line| length(line) > width) { unbroken(table) } else { table.to_owned() };
    let mut text = String::new();
    for line in table.lines() {
        let fits = length(line) <= width && !(is_crowded && is_row(line));
        if fits || plain(line).starts_with("reproduce") {
            text.push_str(line);
        } else {
            text.push_str(&break_line(line, width));
        }
        text.push('\n');
    }
    text
}

/// The same with each of the two blocks of prose in one line, so that it is not broken where it was broken for a wide one.
fn unbroken(table: &str) -> String {
    let indent = " ".repeat(INDENT);
    let mut text = String::new();
    let mut is_prose = false;
    for line in table.lines() {
        let seen = plain(line);
        if is_prose && seen.starts_with(&indent) {
            text.push(' ');
            // Colours may stand before it.
            text.push_str(&line.replacen(&indent, "", 1));
            continue;
        }
        is_prose = seen.starts_with("clients ") || seen.starts_with("checks ");
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
    text
}

/// Whether a line is one of the timeline, or its heading: it begins with a time.
fn is_row(line: &str) -> bool {
    plain(line).get(..9).is_some_and(|head| head.ends_with(" s") || head.ends_with("time"))
}

fn break_line(line: &str, width: usize) -> String {
    let moves = is_row(line);
    let mut broken = String::new();
    let (mut column, mut gap) = (0, 0);
    for (index, word) in line.split(' ').enumerate() {
        gap += usize::from(index > 0);
        let word_length = length(word);
        if word_length == 0 {
            // Colours begin or end, or two spaces stand side by side.
            broken.push_str(word);
            continue;
        }
        let kept = match column {
            0 => gap.min(INDENT),
            _ if moves => gap.min(GAP),
            _ => gap,
        };
        if column > 0 && column + kept + word_length > width {
            broken.push('\n');
            broken.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else {
            broken.push_str(&" ".repeat(kept));
            column += kept;
        }
        broken.push_str(word);
        column += word_length;
        gap = 0;
    }
    broken
}

/// Characters that are seen: colours take no place.
fn length(text: &str) -> usize {
    plain(text).chars().count()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::layout::WIDTH;
    use crate::render::{example, summary, table};

    fn tables() -> [String; 3] {
        let (passed, failed) = (example::passed(), example::failed());
        [table(&passed), table(&failed), summary(&[passed, failed])]
    }

    #[test]
    fn every_line_fits_except_commands_and_no_word_is_lost() {
        for table in tables() {
            for width in [40, 60, 80, 109, WIDTH] {
                let fitted = plain(&fit(&table, width));
                for line in fitted.lines() {
                    assert!(line.chars().count() <= width || line.starts_with("reproduce"), "{width}: {line}");
                }
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(words(&fitted), words(&plain(&table)));
            }
        }
    }

    #[test]
    fn a_table_that_has_its_room_stays_as_it_is() {
        let [passed, failed, _] = tables();
        for table in [passed, failed] {
            assert_eq!(fit(&table, WIDTH), table);
        }
    }

    #[test]
    fn a_narrow_table_looks_as_it_does() {
        insta::assert_snapshot!(plain(&fit(&table(&example::passed()), 60)));
    }
}
