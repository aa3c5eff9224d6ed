//! A mistake in a scenario file, shown with its line and how to mend it.

use super::spot::Place;
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
        Self { file: file.to_owned(), place: Some(place), message: message.into(), hint: hint.into(), line_text }
    }
}

/// Length of the word that begins at a column, from 1.
fn word_length(line: &str, column: usize) -> usize {
    line.chars().skip(column - 1).take_while(|c| c.is_alphanumeric()).count()
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = self.place else {
            write!(f, "{}: {}", self.file, self.message)?;
            return if self.hint.is_empty() { Ok(()) } else { write!(f, "\n  {}", self.hint) };
        };
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        // A tab stays a tab, so that the marks stand under their text.
        let before: String =
            self.line_text.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let marks = "^".repeat(place.length);
        writeln!(f, "{}:{}:{}: {}", self.file, place.line, place.column, self.message)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.line_text)?;
        write!(f, "{}", format!("{margin} | {before}{marks} {}", self.hint).trim_end())
    }
}

/// The word of `known` that `word` may have been meant for.
pub(super) fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
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
