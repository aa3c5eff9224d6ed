//! A field of a stored object, with its path: every reader says what is wrong where. `null` is absent.

use continuum_core::spec::Invalid;
use jiff::Timestamp;
use serde_json::Value;
use std::ops::RangeInclusive;

/// A field that may be absent.
#[derive(Clone)]
pub(super) struct Field<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    /// The field at the top, of this path.
    pub fn root(path: &str, value: Option<&'a Value>) -> Self {
        Self { path: path.into(), value: value.filter(|value| !value.is_null()) }
    }

    /// This is wrong with it.
    pub fn invalid(&self, message: impl Into<String>) -> Invalid {
        Invalid { path: self.path.clone(), message: message.into() }
    }

    /// Whether it is there.
    pub fn is_present(&self) -> bool {
        self.value.is_some()
    }

    /// The field of this name in it.
    pub fn child(&self, name: &str) -> Result<Field<'a>, Invalid> {
        let value = match self.value {
            None => None,
            Some(Value::Object(map)) => map.get(name).filter(|value| !value.is_null()),
            Some(other) => return Err(self.invalid(format!("is {}; must be an object", kind(other)))),
        };
        Ok(Field { path: format!("{}.{name}", self.path), value })
    }

    /// Its items; none where it is absent.
    pub fn items(&self) -> Result<Vec<Field<'a>>, Invalid> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items
                .iter()
                .enumerate()
                .map(|(i, item)| Field::root(&format!("{}[{i}]", self.path), Some(item)))
                .collect()),
            Some(other) => Err(self.invalid(format!("is {}; must be a list", kind(other)))),
        }
    }

    /// A text.
    pub fn text(&self) -> Result<Option<&'a str>, Invalid> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.invalid(format!("is {}; must be a text", kind(other)))),
        }
    }

    /// A text that must be there and not be empty.
    pub fn required(&self) -> Result<&'a str, Invalid> {
        match self.text()? {
            None => Err(self.invalid("is missing")),
            Some("") => Err(self.invalid("is empty")),
            Some(text) => Ok(text),
        }
    }

    /// A text, where it is there and not empty.
    pub fn optional(&self) -> Result<Option<String>, Invalid> {
        Ok(self.text()?.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// True or false; false where it is absent.
    pub fn flag(&self) -> Result<bool, Invalid> {
        match self.value {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.invalid(format!("is {}; must be true or false", kind(other)))),
        }
    }

    /// A whole number in a range.
    pub fn number(&self, range: &RangeInclusive<u32>) -> Result<Option<u32>, Invalid> {
        let Some(value) = self.value else { return Ok(None) };
        value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n)).map(Some).ok_or_else(|| {
            self.invalid(format!("is {value}; must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// A duration such as `90s`, `5m`, `1h`, in s.
    pub fn seconds(&self) -> Result<Option<u32>, Invalid> {
        let Some(text) = self.text()? else { return Ok(None) };
        match seconds(text) {
            Some(seconds) => Ok(Some(seconds)),
            None => {
                Err(self.invalid(format!("`{text}` is no duration; write a whole number and s, m or h, such as 60s")))
            }
        }
    }

    /// A time in RFC 3339.
    pub fn time(&self) -> Result<Option<Timestamp>, Invalid> {
        let Some(text) = self.text()? else { return Ok(None) };
        match text.parse() {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(self.invalid(format!("`{text}` is no time; write RFC 3339, such as 2026-11-24T16:50:25Z"))),
        }
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<Option<T>, Invalid> {
        let Some(text) = self.text()? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(self.invalid(format!("`{text}` is not one of: {}", known.join(", "))))
            }
        }
    }
}

/// `^[0-9]+(s|m|h)$`, in s. `None` for another form, and for more than fits in 32 bits.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let (unit, factor) = match text.as_bytes().last()? {
        b's' => ('s', 1),
        b'm' => ('m', 60),
        b'h' => ('h', 3_600),
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    // `parse` alone would take a sign too.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u32>().ok()?.checked_mul(factor)
}

/// A DNS label: what a region's name is.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A value of a Kubernetes label, not empty.
pub(super) fn is_label_value(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.chars().all(|c| ends(c) || matches!(c, '-' | '_' | '.'))
        && text.starts_with(ends)
        && text.ends_with(ends)
}

/// A name of a Kubernetes object: DNS labels.
pub(super) fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A DNS name: labels, where underscores and capitals are admitted too.
pub(super) fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
