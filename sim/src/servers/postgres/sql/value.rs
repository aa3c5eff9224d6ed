//! Values of the model's small part of SQL, and what operators make of them.

use super::Fault;
use continuum_core::record::Lsn;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A value. What is made of NULL is NULL.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Lsn(Lsn),
    /// Since 1970, us.
    Time(i64),
    /// us.
    Interval(i64),
}

impl<'a> Value<'a> {
    pub fn text(text: &'a str) -> Self {
        Value::Text(text.into())
    }

    /// As the simple protocol shows it; `None`: NULL.
    pub fn shown(&self) -> Option<String> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
            Value::Int(number) => number.to_string(),
            // Real numbers come from `extract`, which gives microseconds.
            Value::Real(number) => format!("{number:.6}"),
            Value::Text(text) => text.clone().into_owned(),
            Value::Lsn(lsn) => lsn.to_string(),
            Value::Time(us) => {
                let at = jiff::Timestamp::from_microsecond(*us).unwrap_or_default();
                at.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
            }
            Value::Interval(us) => {
                let (sign, us) = (if *us < 0 { "-" } else { "" }, us.unsigned_abs());
                let seconds = us / 1_000_000;
                let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                format!("{sign}{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, us % 1_000_000)
            }
        })
    }

    pub fn is_true(&self) -> bool {
        *self == Value::Bool(true)
    }

    /// `None` where one is NULL, or they are of different kinds.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
            (Value::Interval(a), Value::Interval(b)) => Some(a.cmp(b)),
            (Value::Real(a), Value::Real(b)) => a.partial_cmp(b),
            (Value::Int(a), Value::Real(b)) => (*a as f64).partial_cmp(b),
            (Value::Real(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Lsn(a), Value::Lsn(b)) => Some(a.cmp(b)),
            // A literal is of its neighbour's kind.
            (Value::Lsn(a), Value::Text(b)) => Some(a.cmp(&b.parse().ok()?)),
            (Value::Text(a), Value::Lsn(b)) => Some(a.parse::<Lsn>().ok()?.cmp(b)),
            _ => None,
        }
    }

    /// What an operator of two values gives; `and` and `or` among them.
    pub fn operate(operator: &str, left: Self, right: Self) -> Result<Self, Fault> {
        match (operator, &left, &right) {
            ("and", Value::Bool(false), _) | ("and", _, Value::Bool(false)) => return Ok(Value::Bool(false)),
            ("or", Value::Bool(true), _) | ("or", _, Value::Bool(true)) => return Ok(Value::Bool(true)),
            (_, Value::Null, _) | (_, _, Value::Null) => return Ok(Value::Null),
            _ => {}
        }
        let unknown = || Fault::new("42883", format!("operator does not exist: {operator}"));
        let ordered = || left.compare(&right).ok_or_else(unknown);
        Ok(match operator {
            "and" | "or" => left,
            "=" => Value::Bool(ordered()?.is_eq()),
            "<>" | "!=" => Value::Bool(ordered()?.is_ne()),
            "<" => Value::Bool(ordered()?.is_lt()),
            ">" => Value::Bool(ordered()?.is_gt()),
            "<=" => Value::Bool(ordered()?.is_le()),
            ">=" => Value::Bool(ordered()?.is_ge()),
            "||" => Value::Text((left.shown().unwrap_or_default() + &right.shown().unwrap_or_default()).into()),
            _ => match (left, operator, right) {
                (Value::Int(a), _, Value::Int(b)) => Value::Int(whole(a, operator, b)?),
                (Value::Lsn(a), "-", Value::Lsn(b)) => Value::Int(a.0.cast_signed() - b.0.cast_signed()),
                (a @ Value::Lsn(_), "-", b @ Value::Text(_)) => Value::operate("-", a, b.cast("pg_lsn")?)?,
                (Value::Time(a), "-", Value::Time(b)) => Value::Interval(a - b),
                (Value::Time(a), "+", Value::Interval(b)) => Value::Time(a + b),
                (Value::Time(a), "-", Value::Interval(b)) => Value::Time(a - b),
                (Value::Interval(a), "+", Value::Interval(b)) => Value::Interval(a + b),
                (Value::Interval(a), "-", Value::Interval(b)) => Value::Interval(a - b),
                _ => return Err(unknown()),
            },
        })
    }

    /// `value::kind`.
    pub fn cast(self, kind: &str) -> Result<Self, Fault> {
        let wrong = |text: &str| Fault::new("22P02", format!("invalid input syntax for type {kind}: \"{text}\""));
        Ok(match (self, kind) {
            (Value::Null, _) => Value::Null,
            (value, "text") => Value::Text(value.shown().unwrap_or_default().into()),
            // `('x' || '0000000A')::bit(32)` is a number in hexadecimal digits.
            (Value::Text(text), "bit(32)") => {
                let digits = text.strip_prefix('x').ok_or_else(|| wrong(&text))?;
                Value::Int(u32::from_str_radix(digits, 16).map_err(|_| wrong(&text))?.into())
            }
            (Value::Text(text), "int" | "bigint") => Value::Int(text.parse().map_err(|_| wrong(&text))?),
            (value @ Value::Int(_), "int" | "bigint") | (value @ Value::Lsn(_), "pg_lsn") => value,
            (Value::Text(text), "pg_lsn") => Value::Lsn(text.parse().map_err(|_| wrong(&text))?),
            _ => return Err(Fault::new("42846", format!("cannot cast to {kind}, or the model cannot"))),
        })
    }
}

fn whole(a: i64, operator: &str, b: i64) -> Result<i64, Fault> {
    let made = match operator {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        _ if b == 0 => return Err(Fault::new("22012", "division by zero")),
        _ => a.checked_div(b),
    };
    made.ok_or_else(|| Fault::new("22003", "bigint out of range"))
}
