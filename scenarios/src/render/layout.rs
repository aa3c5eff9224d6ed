//! Columns, wrapping, numbers and colours of the table view.

pub(super) use crate::wrap::wrap;
use anstyle::{AnsiColor, Style};

/// Lines are no longer than this where a word allows it.
pub(super) const WIDTH: usize = 110;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const CARE: Style = AnsiColor::Yellow.on_default();
pub(super) const STEP: Style = AnsiColor::Cyan.on_default();
pub(super) const QUIET: Style = Style::new().dimmed();
pub(super) const STRONG: Style = Style::new().bold();

/// A text in a style. Colours are stripped by the stream where it is no terminal.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Milliseconds as seconds with one digit: `27.3 s`.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

/// A count with separators: `1,412`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Joins parts with ` · `, broken between parts so that no line is longer than `width`. Parts come with their
/// length, since colours take none.
pub(super) fn join(parts: &[(String, usize)], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut length = 0;
    for (part, part_length) in parts {
        match lines.last_mut() {
            Some(line) if length + 3 + part_length + 2 <= width => {
                line.push_str(" · ");
                line.push_str(part);
                length += 3 + part_length;
            }
            last => {
                if let Some(line) = last {
                    line.push_str(" ·");
                }
                lines.push(part.clone());
                length = *part_length;
            }
        }
    }
    lines
}

/// A text padded to `width` characters.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}
