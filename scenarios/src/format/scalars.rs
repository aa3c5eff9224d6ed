//! Durations and numbers as a scenario writes them. What is wrong with one is said where it stands.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Stands between a mistake and how to mend it, in the one string that serde carries.
pub(super) const HINT_MARK: char = '\u{1f}';

/// A mistake in a value, and what was expected.
pub(super) fn mistake<E: serde::de::Error>(message: String, hint: String) -> E {
    E::custom(format!("{message}{HINT_MARK}{hint}"))
}

const DURATION_HINT: &str = "expected a number and a unit: 500ms, 30s, 5m, 1h";

fn parse_duration<E: serde::de::Error>(text: &str) -> Result<Duration, E> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wrong = |message: String| mistake(message, DURATION_HINT.into());
    if number.is_empty() {
        return Err(wrong(format!("`{text}` is no duration")));
    }
    let number: u64 = number.parse().map_err(|_| wrong(format!("`{text}` is too long")))?;
    let milliseconds_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(wrong(format!("duration `{text}` has no unit"))),
        _ => return Err(wrong(format!("unknown unit `{unit}` in `{text}`"))),
    };
    match number.checked_mul(milliseconds_per_unit) {
        Some(milliseconds) if milliseconds <= 1_000 * 3_600_000 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(wrong(format!("`{text}` is too long: at most 1000h"))),
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
        parse_duration(&String::deserialize(deserializer)?).map(Self)
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
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$", "examples": ["500ms", "30s", "5m"] })
    }
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
        let text = String::deserialize(deserializer)?;
        let duration = parse_duration::<D::Error>(&text)?;
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
        json_schema!({ "type": "string", "pattern": "^[0-9]+(s|m|h)$|^[0-9]+000ms$", "examples": ["30s", "5m"] })
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
                let text = String::deserialize(deserializer)?;
                match text.parse::<$of>() {
                    Ok(number) if ($min..=$max).contains(&number) => Ok(Self(number)),
                    _ => Err(mistake(
                        format!("there is no {} `{text}`", $what),
                        format!("expected {} to {}", $min, $max),
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
