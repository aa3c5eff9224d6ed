//! Mistakes in what holds a file together: brackets, indentation, the place of a key. A parser notices them where the
//! text stops to make sense, which may be lines below what has to be mended.

use super::spot::Place;
use super::yaml::Wrong;
use serde_saphyr::Error;

/// The keys of `spec`, which are easily indented as those of its neighbours.
const SPEC_KEYS: [&str; 5] = ["seed", "limit", "world", "steps", "expect"];

/// What a mistake comes from, where that is another place or another thing than the parser says.
pub(super) fn cause(error: &Error, text: &str, place: Place) -> Option<Wrong> {
    match error {
        // An empty value, and the keys that were meant for it further left than it wants them.
        Error::Unexpected { expected: "mapping start", .. } => beside_its_word(text, place.line),
        Error::SerdeUnknownField { field, expected, .. }
            if expected.contains(&"world") && world_keys().iter().any(|key| key == field) =>
        {
            let hint = "it is a key of `spec.world`: begin it two columns right of `world:`, below it".into();
            Some(Wrong { place, message: format!("`{field}` does not stand in `spec`"), hint })
        }
        Error::SerdeMissingField { field, .. } if SPEC_KEYS.contains(field) => {
            let elsewhere = key_at(text, field)?;
            Some(outside_of_spec(field, elsewhere))
        }
        Error::SerdeUnknownField { field, .. } if SPEC_KEYS.contains(&field.as_str()) => {
            Some(outside_of_spec(field, place))
        }
        Error::Message { .. } | Error::SerdeUnknownField { .. } | Error::SerdeUnknownVariant { .. } => None,
        error => {
            let message = error.to_string();
            // What the parser says where a text is no YAML.
            const SIGNS: [&str; 6] = [
                "only valid inside a block",
                "did not find expected",
                "block collection",
                "block mapping",
                "mapping values",
                "bracket",
            ];
            SIGNS
                .iter()
                .any(|sign| message.contains(sign))
                .then(|| {
                    never_closed(text, place)
                        .or_else(|| beside_its_word(text, place.line.saturating_sub(1)))
                        .or_else(|| out_of_column(text, place))
                        .or_else(|| misplaced_key(text, place))
                })
                .flatten()
        }
    }
}

fn outside_of_spec(key: &str, place: Place) -> Wrong {
    let hint = "it is a key of `spec`: begin it two columns right of `spec:`, below its other keys".into();
    Wrong { place, message: format!("`{key}` does not stand with the other keys of `spec`"), hint }
}

/// The keys of `spec.world`.
fn world_keys() -> Vec<String> {
    let schema = super::schema();
    schema["$defs"]["World"]["properties"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// What is expected of a step whose value is no map, as `- wait: 30s`.
pub(super) fn keys_wanted(text: &str, place: Place) -> String {
    let any = "expected keys with values, or `{}`".to_owned();
    let step = line_at(text, place.line).and_then(|(_, rest)| key_of(rest.strip_prefix("- ")?));
    let schema = super::schema();
    let kinds = schema["$defs"]["Step"]["oneOf"].as_array().into_iter().flatten();
    let Some(path) = step.and_then(|step| {
        let body = kinds.into_iter().find_map(|kind| kind["properties"].get(step))?;
        body["$ref"].as_str()?.strip_prefix('#')
    }) else {
        return any;
    };
    let required = schema.pointer(path).and_then(|body| body["required"].as_array()).into_iter().flatten();
    let required: Vec<String> = required.filter_map(|key| Some(format!("{}: ...", key.as_str()?))).collect();
    if required.is_empty() { any } else { format!("expected `{{ {} }}`", required.join(", ")) }
}

/// A line of a file: the column of its first sign, and the rest. Nothing: it is empty or a comment.
fn line_at(text: &str, line: usize) -> Option<(usize, &str)> {
    let whole = text.lines().nth(line.checked_sub(1)?)?;
    let rest = whole.trim();
    let column = whole.chars().count() - whole.trim_start().chars().count() + 1;
    (!rest.is_empty() && !rest.starts_with('#')).then_some((column, rest))
}

/// The key that a line begins with.
fn key_of(rest: &str) -> Option<&str> {
    let (key, value) = rest.split_once(':')?;
    (key.chars().all(char::is_alphanumeric) && (value.is_empty() || value.starts_with(' '))).then_some(key)
}

/// The step that begins at this line without a value, `- edit:`, where the keys below it do not stand deeper than its word.
fn beside_its_word(text: &str, line: usize) -> Option<Wrong> {
    let (dash, rest) = line_at(text, line)?;
    let step = rest.strip_prefix("- ")?.trim_start();
    let word = step.strip_suffix(':')?;
    let word_column = dash + rest.chars().count() - step.chars().count();
    let below = (line + 1..=text.lines().count()).find(|line| line_at(text, *line).is_some())?;
    let (column, rest) = line_at(text, below)?;
    let key = key_of(rest).filter(|_| (dash + 1..=word_column).contains(&column))?;
    Some(Wrong {
        place: Place { line: below, column, length: key.chars().count() },
        message: format!("`{key}` stands beside `{word}` and not below it"),
        hint: format!("begin the keys of `{word}` two columns right of `{word}`"),
    })
}

/// A key within a step at which the parser stopped, in no column of those above it.
fn out_of_column(text: &str, place: Place) -> Option<Wrong> {
    let (column, rest) = line_at(text, place.line)?;
    let key = key_of(rest)?;
    let above = (1..place.line).rev().filter_map(|line| line_at(text, line));
    let mut of_step = above.take_while(|(column, _)| *column > 1);
    let (dash, _) = of_step.find(|(_, rest)| rest.starts_with("- "))?;
    (column > dash).then(|| Wrong {
        place: Place { line: place.line, column, length: key.chars().count() },
        message: format!("`{key}` stands in the column of no key above it"),
        hint: "begin the keys of one map in one column".into(),
    })
}

/// A key of `spec` at which the parser stopped: it is indented otherwise than its neighbours.
fn misplaced_key(text: &str, place: Place) -> Option<Wrong> {
    SPEC_KEYS.into_iter().find_map(|key| {
        let line = text.lines().nth(place.line.checked_sub(1)?)?;
        let found = key_at(line, key)?;
        Some(outside_of_spec(key, Place { line: place.line, ..found }))
    })
}

/// Where a line begins with this key. What stands in a text over several lines is none.
fn key_at(text: &str, key: &str) -> Option<Place> {
    let mut block_text: Option<usize> = None;
    text.lines().enumerate().find_map(|(index, line)| {
        let rest = line.trim_start();
        let column = line.chars().count() - rest.chars().count() + 1;
        if rest.is_empty() || block_text.is_some_and(|header| column > header) {
            return None;
        }
        let value = line.trim_end().rsplit(": ").next().unwrap_or_default();
        block_text = matches!(value.trim_end_matches(['+', '-']), ">" | "|").then_some(column);
        let is_key = rest.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        is_key.then(|| Place { line: index + 1, column, length: key.chars().count() })
    })
}

/// A bracket before this place that nothing closes, or that another kind of bracket does.
fn never_closed(text: &str, place: Place) -> Option<Wrong> {
    let (open, bracket) = open_bracket(text, place)?;
    let closing = if bracket == '[' { ']' } else { '}' };
    Some(Wrong {
        place: open,
        message: format!("this `{bracket}` is not closed"),
        hint: format!("close it with `{closing}`"),
    })
}

/// The last bracket that is open where the parser stopped, or where a bracket of the other kind would close it.
fn open_bracket(text: &str, place: Place) -> Option<(Place, char)> {
    let mut open: Vec<(Place, char)> = Vec::new();
    for (index, line) in text.lines().enumerate().take(place.line) {
        let (mut quote, mut before) = (None, ' ');
        for (column, sign) in line.chars().enumerate() {
            let here = Place { line: index + 1, column: column + 1, length: 1 };
            // Within brackets every bracket counts. Elsewhere one begins something only where a value does.
            let begins = !open.is_empty() || matches!(before, ' ' | '\t');
            match (quote, sign) {
                (Some(open_quote), _) if open_quote == sign => quote = None,
                (Some(_), _) => {}
                (None, '#') if matches!(before, ' ' | '\t') => break,
                (None, '"' | '\'') if matches!(before, ' ' | '\t' | '[' | '{' | ',') => quote = Some(sign),
                (None, '[' | '{') if begins => open.push((here, sign)),
                (None, ']' | '}') => match open.pop() {
                    Some((place, bracket)) if (bracket == '[') != (sign == ']') => return Some((place, bracket)),
                    _ => {}
                },
                (None, _) => {}
            }
            before = sign;
        }
    }
    open.pop()
}

/// What the parser says of a text that is no YAML, in our words where it has its own, and how to mend it.
pub(super) fn not_yaml(message: &str) -> (String, String) {
    const CURES: [(&str, &str, &str); 14] = [
        ("recursion limit", "nested too deeply", "at most 32 levels"),
        ("nesting", "", "at most 32 levels"),
        ("tab", "", "indent with spaces"),
        ("unclosed bracket", "", "close it with the bracket that fits"),
        ("misplaced bracket", "", "nothing is open that it closes; take it out"),
        ("mismatched bracket", "", "close first what was opened last"),
        ("quote", "", "end the text with the sign that it began with"),
        ("unexpected character", "", "put a text that begins with this sign in quotes"),
        (
            "only valid inside a block",
            "a `- ` where no list can begin",
            "begin a list in a line of its own, below its key and not within brackets",
        ),
        (
            "block collection",
            "neither the next of this list nor the end of it",
            "begin `- ` in the column of the list's first one",
        ),
        (
            "block mapping",
            "neither the next key of this map nor the end of it",
            "begin keys of one map in one column; put a text with `: ` in it in quotes",
        ),
        (
            "mapping values",
            "a key with its value where none can be",
            "begin keys of one map in one column, each in a line; put a text with `: ` in it in quotes",
        ),
        ("merge", "", "expected a map, or a list of maps, after `<<:`"),
        // A text that the list does not know: what such texts have in common is their shape.
        ("", "", "see that indentation, brackets, quotes and colons fit; put a text with signs in quotes"),
    ];
    let (_, ours, cure) = CURES.into_iter().find(|(part, ..)| message.contains(part)).unwrap_or_default();
    (if ours.is_empty() { message } else { ours }.to_owned(), cure.to_owned())
}
