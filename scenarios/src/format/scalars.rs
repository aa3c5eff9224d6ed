//! Durations and numbers as a scenario writes them. What is wrong with one is said where it stands.

use super::pattern;
use super::spot::Spot;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Stands between a mistake and how to mend it, in the one string that serde carries.
pub(super) const HINT_MARK: char = '\u{1f}';

/// Stands for the value as the file has it.
pub(super) const HERE_MARK: char = '\u{1e}';

/// A mistake in a value, and what was expected.
pub(super) fn mistake<E: serde::de::Error>(message: String, hint: String) -> E {
    E::custom(format!("{message}{HINT_MARK}{hint}"))
}

/// A single value as YAML means it: a number in quotes is a text, and `yes` is no `true`. So the schema has it, and
/// so every other reader of YAML.
pub(super) enum Scalar {
    /// A text.
    Text(String),
    /// A whole number, not negative.
    Whole(u64),
    /// True or false.
    Flag(bool),
    /// A number of another kind.
    Other,
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Whole(_) | Scalar::Flag(_) | Scalar::Other => write!(f, "{HERE_MARK}"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(u64::try_from(number).map_or(Scalar::Other, Scalar::Whole))
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Scalar, E> {
        Err(mistake("a value is missing".into(), "expected a value after the colon".into()))
    }
}

/// A text out of a list or of a form. What is no text is said as it reads: quotes would not mend it.
pub(super) fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<String, String>, D::Error> {
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => Ok(text),
        other => Err(other.to_string()),
    })
}

/// A whole number within these bounds.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D, within: RangeInclusive<u64>) -> Result<u64, D::Error> {
    let bounds = || match within.end() {
        &u64::MAX => "expected a whole number, 0 to 2^64 - 1".to_owned(),
        end => format!("expected a whole number, {} to {end}", within.start()),
    };
    match Scalar::deserialize(deserializer)? {
        Scalar::Whole(number) if within.contains(&number) => Ok(number),
        Scalar::Whole(number) => Err(mistake(format!("{number} is out of range"), bounds())),
        Scalar::Text(text) if text.parse::<u64>().is_ok() => {
            Err(mistake(format!("`{text}` in quotes is a text"), format!("{}, without quotes", bounds())))
        }
        other => Err(mistake(format!("`{other}` is no whole number"), bounds())),
    }
}

/// A whole number.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(deserializer, 0..=u64::MAX)
}

/// A whole number, or nothing.
pub(super) fn maybe_number<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u64>,
{
    match Option::<Number>::deserialize(deserializer)? {
        Some(Number(number)) => N::try_from(number).map(Some).map_err(|_| D::Error::custom("a number too large")),
        None => Ok(None),
    }
}

/// A whole number with its place, or nothing.
pub(super) fn maybe_number_at<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Spot<u64>>, D::Error> {
    let read = Option::<Spot<Number>>::deserialize(deserializer)?;
    Ok(read.map(|Spot { value: Number(value), place }| Spot { value, place }))
}

/// A whole number, for what is read through another type.
#[derive(Deserialize)]
pub(super) struct Number(#[serde(deserialize_with = "number")] pub u64);

/// True or false.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Flag(flag) => Ok(flag),
        Scalar::Text(text) if text == "true" || text == "false" => {
            Err(mistake(format!("`{text}` in quotes is a text"), "expected true or false, without quotes".into()))
        }
        other => Err(mistake(format!("`{other}` is neither true nor false"), "expected true or false".into())),
    }
}

/// True or false, or nothing.
pub(super) fn maybe_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    struct Flag(#[serde(deserialize_with = "flag")] bool);
    Ok(Option::<Flag>::deserialize(deserializer)?.map(|Flag(flag)| flag))
}

const DURATION_HINT: &str = "expected a number and a unit: 500ms, 30s, 5m, 1h";

/// The longest duration, ms: 1000 hours.
const DURATION_MAX_MS: u64 = 1_000 * 3_600_000;

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Duration, String), D::Error> {
    match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => Ok((parse_duration(&text)?, text)),
        Scalar::Whole(number) => Err(mistake(format!("duration `{number}` has no unit"), DURATION_HINT.into())),
        other => Err(mistake(format!("`{other}` is no duration"), DURATION_HINT.into())),
    }
}

fn parse_duration<E: serde::de::Error>(text: &str) -> Result<Duration, E> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wrong = |message: String| mistake(message, DURATION_HINT.into());
    if number.is_empty() {
        return Err(wrong(format!("`{text}` is no duration")));
    }
    if let Some(hint) = whole_of_a_fraction(text) {
        return Err(mistake(format!("`{text}` is no whole number of a unit"), hint));
    }
    let number: u64 = number.parse().map_err(|_| wrong(format!("`{text}` is too long")))?;
    let milliseconds_per_unit = match milliseconds_per(unit) {
        Some(milliseconds) => milliseconds,
        None if unit.is_empty() => return Err(wrong(format!("duration `{text}` has no unit"))),
        None => return Err(wrong(format!("unknown unit `{unit}` in `{text}`"))),
    };
    match number.checked_mul(milliseconds_per_unit) {
        Some(milliseconds) if milliseconds <= DURATION_MAX_MS => Ok(Duration::from_millis(milliseconds)),
        _ => Err(wrong(format!("`{text}` is too long: at most 1000h"))),
    }
}

fn milliseconds_per(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    }
}

/// How a duration such as `1.5m` is written with a whole number. `None`: it is no such duration.
fn whole_of_a_fraction(text: &str) -> Option<String> {
    let (whole, rest) = text.split_once('.')?;
    let digits = rest.chars().take_while(char::is_ascii_digit).count();
    let (fraction, unit) = rest.split_at(digits);
    let unit_ms = milliseconds_per(unit)?;
    let all: u64 = format!("{whole}{fraction}").parse().ok()?;
    let milliseconds = all.checked_mul(unit_ms)?;
    let per = 10u64.checked_pow(u32::try_from(digits).ok()?)?;
    let as_whole = Duration::from_millis(milliseconds / per);
    match milliseconds % per {
        0 => Some(format!("write `{}`", TimeSpan(as_whole))),
        _ => Some("expected a whole number of a smaller unit: ms, s, m".into()),
    }
}

/// A duration: `500ms`, `30s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

impl TimeSpan {
    /// Of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        if milliseconds > 0 && milliseconds.is_multiple_of(60_000) {
            write!(f, "{}m", milliseconds / 60_000)
        } else if milliseconds.is_multiple_of(1_000) {
            write!(f, "{}s", milliseconds / 1_000)
        } else {
            write!(f, "{milliseconds}ms")
        }
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        duration(deserializer).map(|(duration, _)| Self(duration))
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": pattern::duration(0, DURATION_MAX_MS),
            "patternErrorMessage": DURATION_HINT,
            "examples": ["500ms", "30s", "5m"],
        })
    }
}

/// A duration that is not nothing: a fault of 0 s would hurt nobody, and the run would look as if it survived it.
#[derive(Clone, Copy)]
struct SomeTime(TimeSpan);

impl<'de> Deserialize<'de> for SomeTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match duration(deserializer)? {
            (Duration::ZERO, text) => Err(mistake(format!("`{text}` is no time"), "expected more than 0s".into())),
            (duration, _) => Ok(Self(TimeSpan(duration))),
        }
    }
}

/// A duration above 0.
pub(super) fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeSpan, D::Error> {
    Ok(SomeTime::deserialize(deserializer)?.0)
}

/// A duration above 0, with its place.
pub(super) fn some_time_at<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spot<TimeSpan>, D::Error> {
    let Spot { value: SomeTime(value), place } = Spot::deserialize(deserializer)?;
    Ok(Spot { value, place })
}

/// A duration above 0, with its place, or nothing.
pub(super) fn maybe_some_time_at<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Spot<TimeSpan>>, D::Error> {
    let read = Option::<Spot<SomeTime>>::deserialize(deserializer)?;
    Ok(read.map(|Spot { value: SomeTime(value), place }| Spot { value, place }))
}

/// The pattern of a duration above 0, for the schema.
pub(super) fn some_time_pattern() -> String {
    pattern::duration(1, DURATION_MAX_MS)
}

/// A duration in whole seconds, as the resource's fields have it: `30s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u32);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (duration, text) = duration(deserializer)?;
        match u32::try_from(duration.as_secs()) {
            Ok(seconds) if duration.subsec_millis() == 0 => Ok(Self(seconds)),
            _ => Err(mistake(format!("`{text}` is not in whole seconds"), "expected 30s, 5m or 1h".into())),
        }
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "WholeSeconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": pattern::whole_seconds(0, DURATION_MAX_MS / 1_000),
            "patternErrorMessage": "expected whole seconds: 30s, 5m or 1h",
            "examples": ["30s", "5m"],
        })
    }
}

/// Defines a whole number within bounds.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident, $of:ty, $what:literal, $min:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub $of);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let scalar = Scalar::deserialize(deserializer)?;
                let number = match &scalar {
                    Scalar::Whole(number) => <$of>::try_from(*number).ok(),
                    _ => None,
                };
                match number.filter(|number| ($min..=$max).contains(number)) {
                    Some(number) => Ok(Self(number)),
                    None => Err(mistake(
                        format!("there is no {} `{scalar}`", $what),
                        format!("expected a whole number, {} to {}", $min, $max),
                    )),
                }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "integer", "minimum": $min, "maximum": $max })
            }
        }
    };
}

bounded!(
    /// Number of one of the seven steps.
    StepNumber, u8, "step", 1, 7
);
bounded!(
    /// HTTP status code of a failure.
    FailureCode, u16, "failure status", 400, 599
);
bounded!(
    /// How often, from 1.
    Count, u32, "count", 1, 1_000_000
);
