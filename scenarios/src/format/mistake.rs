//! A mistake in a scenario file, shown with its line and how to mend it.

use super::spot::Place;
use crate::wrap::wrap;
use std::fmt;

/// A mistake in a file.
///
/// ```text
/// scenarios/mine.yaml:17:22: unknown region `hell`
///    |
/// 17 |     - execute: { to: hell }
///    |                      ^^^^ this world has: fsn, hel
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as it was named.
    pub file: String,
    /// Where in it. Absent: the whole file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What was expected, or how to mend it. May be empty.
    pub hint: String,
    /// The line it stands in. Empty where there is no place.
    pub line_text: String,
    /// It keeps something from being read, so that there may be other mistakes that do not show before it is mended.
    pub may_hide_others: bool,
}

impl Mistake {
    /// A mistake of a whole file.
    pub fn of_file(file: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
            message: message.into(),
            hint: hint.into(),
            line_text: String::new(),
            may_hide_others: false,
        }
    }

    /// A mistake at a place of a text.
    pub fn at(file: &str, text: &str, place: Place, message: impl Into<String>, hint: impl Into<String>) -> Self {
        // The parser places the end of a file behind its last line.
        let line = place.line.clamp(1, text.lines().count().max(1));
        let line_text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let length = line_text.chars().count();
        let column = if line == place.line { place.column.clamp(1, length + 1) } else { length + 1 };
        let known = if place.length == 0 { word_length(&line_text, column) } else { place.length };
        let place = Place { line, column, length: known.clamp(1, (length + 1).saturating_sub(column).max(1)) };
        Self {
            file: file.to_owned(),
            place: Some(place),
            message: message.into(),
            hint: hint.into(),
            line_text,
            may_hide_others: false,
        }
    }
}

/// Length of the word that begins at a column, from 1.
fn word_length(line: &str, column: usize) -> usize {
    line.chars().skip(column - 1).take_while(|c| c.is_alphanumeric()).count()
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.within(usize::MAX))
    }
}

impl Mistake {
    /// As it is shown in lines of at most `width` characters: the file's own line is cut around the mark, and a hint
    /// that does not fit beside the mark stands below it.
    pub fn within(&self, width: usize) -> String {
        let Some(place) = self.place else {
            let mut lines = wrap(&format!("{}: {}", self.file, self.message), width);
            if !self.hint.is_empty() {
                lines.extend(wrap(&self.hint, width.saturating_sub(2)).into_iter().map(|line| format!("  {line}")));
            }
            return lines.join("\n");
        };
        let number = place.line.to_string();
        let margin = format!("{} |", " ".repeat(number.len()));
        let room = width.saturating_sub(margin.len() + 1).max(MARK_ROOM_MIN);
        let (shown, column) = cut(&self.line_text, place.column, place.length, room);
        // A tab stays a tab, so that the marks stand under their text.
        let before: String = shown.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let marks = "^".repeat(place.length.min(room));
        let mut lines = wrap(&format!("{}:{}:{}: {}", self.file, place.line, place.column, self.message), width);
        lines.push(margin.clone());
        lines.push(format!("{number} | {shown}"));
        let beside = format!("{before}{marks} {}", self.hint);
        if beside.chars().count() <= room {
            lines.push(format!("{margin} {beside}"));
        } else {
            lines.push(format!("{margin} {before}{marks}"));
            lines.extend(wrap(&self.hint, room).into_iter().map(|line| format!("{margin} {line}")));
        }
        lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
    }
}

/// A line of a file has at least so much room.
const MARK_ROOM_MIN: usize = 20;

/// The part of a line that has its mark, at most `room` characters, and the mark's column in it.
fn cut(line: &str, column: usize, length: usize, room: usize) -> (String, usize) {
    let characters: Vec<char> = line.chars().collect();
    if characters.len() <= room {
        return (line.to_owned(), column);
    }
    // The mark and what comes before it, as far as both fit; three dots stand for what is cut.
    let end_of_mark = (column - 1 + length.min(room)).min(characters.len());
    let start = (end_of_mark + 3).saturating_sub(room).min(column - 1);
    let end = (start + room).min(characters.len());
    let mut shown = characters[start..end].to_vec();
    if start > 0 {
        shown[..3.min(column - 1 - start)].fill('.');
    }
    if end < characters.len() {
        let dots = shown.len() - 3.min(end - end_of_mark.min(end));
        shown[dots..].fill('.');
    }
    (shown.into_iter().collect(), column - start)
}

/// The word of `known` that `word` may have been meant for.
pub(crate) fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `expected one of: a, b`, or the one that was meant.
pub(super) fn expected_one_of(word: &str, known: &[&str]) -> String {
    match did_you_mean(word, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("expected one of: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(line: &str, column: usize, length: usize) -> Mistake {
        let place = Place { line: 1, column, length };
        Mistake::at("mine.yaml", line, place, "unknown step `explode`", "expected one of: dryRun, execute, failback")
    }

    fn fits(shown: &str, width: usize) -> bool {
        shown.lines().all(|line| line.chars().count() <= width)
    }

    #[test]
    fn a_hint_that_does_not_fit_beside_the_mark_stands_below_it() {
        let shown = mistake("    - explode: {}", 7, 7).within(40);
        assert!(fits(&shown, 40), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[2..],
            ["1 |     - explode: {}", "  |       ^^^^^^^", "  | expected one of: dryRun, execute,", "  | failback"]
        );
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark_wherever_that_is() {
        let line: String = ('a'..='z').cycle().take(300).collect();
        for column in [1, 2, 4, 30, 59, 150, 295, 300] {
            let shown = mistake(&line, column, 5).within(60);
            assert!(fits(&shown, 60), "{shown}");
            let lines: Vec<&str> = shown.lines().collect();
            let (text, marks) = (lines[2], lines.iter().find(|line| line.contains('^')).expect("a mark"));
            let under: String =
                text.chars().zip(marks.chars()).filter(|(_, mark)| *mark == '^').map(|(sign, _)| sign).collect();
            let meant: String = line.chars().skip(column - 1).take(5).collect();
            assert_eq!(under, meant, "{shown}");
        }
    }
}
