//! YAML, and nothing else names the crate that parses it except [`super::spot`]: its limits, and its errors in our
//! words with their places.

use super::mistake::expected_one_of;
use super::scalars::{HERE_MARK, HINT_MARK};
use super::spot::Place;
use super::structure;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::{Error, Options, budget, options};

/// What is wrong with a text.
#[derive(PartialEq)]
pub(super) struct Wrong {
    pub place: Place,
    pub message: String,
    pub hint: String,
}

/// The greatest size of a scenario file, bytes.
pub(super) const FILE_LENGTH_MAX: usize = 1024 * 1024;

/// A scenario is a page of text. These limits stop what is not, before it costs memory or stack.
fn limits() -> Options {
    options! {
        with_snippet: false,
        // What a schema and every other reader of YAML says: `yes` is a text, and a bare number is none.
        strict_booleans: true,
        no_schema: true,
        budget: budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 1,
            max_nodes: 20_000,
            max_events: 60_000,
            max_anchors: 64,
            max_aliases: 256,
            max_recorded_anchor_events: 20_000,
            max_merge_keys: 64,
            max_total_scalar_bytes: FILE_LENGTH_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 8,
        },
    }
}

/// Parses one document.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Wrong> {
    serde_saphyr::from_str_with_options(text, limits()).map_err(|error| explain(&error, text))
}

/// Whether the text is YAML at all. Where it is not, what its parts say of themselves tells nothing more.
pub(super) fn is_yaml(text: &str) -> Result<(), Wrong> {
    match serde_saphyr::from_str_with_options::<IgnoredAny>(text, limits()) {
        // What is given twice is a mistake of its part.
        Err(error) if !matches!(error.without_snippet(), Error::DuplicateMappingKey { .. }) => {
            Err(explain(&error, text))
        }
        _ => Ok(()),
    }
}

fn explain(error: &Error, text: &str) -> Wrong {
    let place = error.location().map_or(Place { line: 1, column: 1, length: 1 }, Place::from);
    if is_blank(text) {
        return Wrong {
            place: Place { line: 1, column: 1, length: 1 },
            message: "the file is empty".into(),
            hint: "a scenario begins with `apiVersion: continuum.openova.io/v1alpha1`".into(),
        };
    }
    let error = error.without_snippet();
    if let Some(wrong) = structure::cause(error, text, place) {
        return wrong;
    }
    let (message, hint) = words(error, text, place);
    Wrong { place, message, hint }
}

fn words(error: &Error, text: &str, place: Place) -> (String, String) {
    let say = |message: &str, hint: &str| (message.to_owned(), hint.to_owned());
    match error {
        Error::Message { msg, .. } => {
            let msg = msg.replace(HERE_MARK, &unquoted(text, place));
            let (message, hint) = msg.split_once(HINT_MARK).unwrap_or((&msg, ""));
            say(message, hint)
        }
        Error::SerdeUnknownField { field, expected, .. }
            if field.split_once(':').is_some_and(|(head, _)| expected.contains(&head)) =>
        {
            let spaced = field.replacen(':', ": ", 1);
            (format!("unknown key `{field}`"), format!("a colon wants a space after it: write `{spaced}`"))
        }
        Error::SerdeUnknownField { field, expected, .. }
            if field.contains('.') && field.split('.').next().is_some_and(|head| expected.contains(&head)) =>
        {
            let keys: Vec<&str> = field.split('.').collect();
            let (open, close) = (keys.join(": { "), " }".repeat(keys.len() - 1));
            (format!("unknown key `{field}`"), format!("write `{open}: ...{close}`"))
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), expected_one_of(field, expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let what = if expected.contains(&"dryRun") { "step" } else { "value" };
            (format!("unknown {what} `{variant}`"), expected_one_of(variant, expected))
        }
        Error::SerdeMissingField { field, .. } => (format!("missing key `{field}`"), format!("add `{field}: ...`")),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (format!("duplicate key `{key}`"), "it was given before; keep one".into())
        }
        // A word alone where its kind wants more: `- heal`.
        Error::SerdeInvalidType { expected, .. } if expected == "newtype variant" => {
            let word = unquoted(text, place);
            // A condition's place is that of its key.
            if let Some(condition) = word_after(text, place).filter(|_| matches!(word.as_str(), "for" | "when")) {
                let hint = format!("it wants a value: write `{word}: {{ {condition}: ... }}`");
                return (format!("`{condition}` stands alone"), hint);
            }
            (format!("`{word}` stands alone"), format!("expected `{word}: ...`; a step without keys is `{word}: {{}}`"))
        }
        Error::SerdeInvalidType { expected, .. } => {
            (format!("{} does not fit", quoted(text, place)), format!("expected {expected}"))
        }
        Error::QuotingRequired { value, .. } => {
            (format!("`{value}` is no text"), format!("put it in quotes: \"{value}\""))
        }
        Error::UnknownAnchor { .. } => {
            say("an alias without its anchor", "put the anchor before it, or write what it stands for")
        }
        Error::MultipleDocuments { .. } => say("a second document", "one scenario in a file"),
        Error::SerdeInvalidLength { len, expected, .. } => {
            let wanted = expected.replace("a tuple of size ", "");
            (format!("{len} values"), format!("expected {wanted} values"))
        }
        Error::UnexpectedValueForUnit { .. } | Error::UnexpectedValueForUnitEnumVariant { .. } => {
            say("a value behind what stands alone", "write the word by itself, as in `for: idle`")
        }
        Error::NullIntoString { .. } => say("a value is missing", "expected a value after the colon"),
        Error::Unexpected { expected, .. } => match *expected {
            "mapping start" => ("no map of keys".into(), structure::keys_wanted(text, place)),
            "sequence start" => say("no list", "expected a list: `[a, b]`, or lines that begin with `- `"),
            "string scalar" => say("no single value", "expected a single value; put a text with brackets in quotes"),
            other => (format!("expected {other}"), String::new()),
        },
        Error::InvalidScalar { ty, .. } => {
            let value = quoted(text, place);
            match *ty {
                "f32" | "f64" => (format!("{value} is no number"), "expected a number".into()),
                _ => (format!("{value} is no whole number"), "expected a whole number, not negative".into()),
            }
        }
        Error::Budget { breach, .. } => match breach {
            serde_saphyr::budget::BudgetBreach::Depth { .. } => say("nested too deeply", "at most 32 levels"),
            serde_saphyr::budget::BudgetBreach::Documents { .. } => say("a second document", "one scenario in a file"),
            _ => say("too much for a scenario", "at most 20,000 values, 64 anchors and 256 aliases"),
        },
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            say("aliases that grow too large", "at most 20,000 values out of aliases, 8 levels deep")
        }
        Error::AliasError { error, .. } => words(error.without_snippet(), text, place),
        other => {
            let message = other.to_string();
            let end = message.find(" at line ").unwrap_or(message.len());
            structure::not_yaml(&message[..end])
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "---")
}

/// The text at a place, in quotes.
fn quoted(text: &str, place: Place) -> String {
    format!("`{}`", unquoted(text, place))
}

/// The word behind the key that stands here.
fn word_after(text: &str, place: Place) -> Option<String> {
    let behind: String = from(text, place).skip(place.length).collect();
    let value = behind.trim_start().strip_prefix(':')?.trim_start();
    let word: String = value.chars().take_while(char::is_ascii_alphanumeric).collect();
    (!word.is_empty()).then_some(word)
}

fn unquoted(text: &str, place: Place) -> String {
    from(text, place).take(place.length).collect()
}

/// Its line from a place on.
fn from(text: &str, place: Place) -> impl Iterator<Item = char> {
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    line.chars().skip(place.column.saturating_sub(1))
}
