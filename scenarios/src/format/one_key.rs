//! A map of one key, or a word alone: a step, a condition. Read as such, before its kind is asked for: a word that
//! stands alone where it wants keys would otherwise take the next thing in the file for them.

use super::parts::{Part, part};
use super::scalars::mistake;
use super::spot::Spot;
use super::steps::{Health, Step};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// One of the kinds of `T`.
struct OneKey<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneKey<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneKeyVisitor(PhantomData))
    }
}

struct OneKeyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneKeyVisitor<T> {
    type Value = OneKey<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of one key")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<OneKey<T>, E> {
        T::deserialize(word.into_deserializer()).map(OneKey)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<OneKey<T>, E> {
        Err(mistake("a value is missing".into(), "expected a value here".into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OneKey<T>, A::Error> {
        let value = T::deserialize(MapAccessDeserializer::new(&mut map))?;
        match map.next_key::<SecondKey>()? {
            None => Ok(OneKey(value)),
            Some(never) => match never {},
        }
    }
}

/// A key that must not be there: refused while it is read, so that the mistake has its place.
enum SecondKey {}

impl<'de> Deserialize<'de> for SecondKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?;
        Err(mistake(
            "a second key in a map of one key".into(),
            "begin each step with `- `; one condition at a time".into(),
        ))
    }
}

/// One. Read with its place, so that a mistake has it.
pub(super) fn one<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Spot::<OneKey<T>>::deserialize(deserializer)?.value.0)
}

/// One, or nothing.
pub(super) fn maybe<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(maybe_at(deserializer)?.map(|spot| spot.value))
}

/// One with its place, or nothing.
pub(super) fn maybe_at<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Spot<T>>, D::Error> {
    let read = Option::<Spot<OneKey<T>>>::deserialize(deserializer)?;
    Ok(read.map(|Spot { value: OneKey(value), place }| Spot { value, place }))
}

/// `spec.steps`, with the place of each. Each is a part of its own.
pub(super) fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spot<Vec<Spot<Step>>>, D::Error> {
    let Spot { value: Steps(value), place } = Spot::deserialize(deserializer)?;
    Ok(Spot { value, place })
}

struct Steps(Vec<Spot<Step>>);

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(StepsVisitor)
    }
}

struct StepsVisitor;

impl<'de> Visitor<'de> for StepsVisitor {
    type Value = Steps;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of steps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Steps, A::Error> {
        let mut steps = Vec::new();
        while let Some(step) = list.next_element_seed(StepAt(steps.len()))? {
            steps.push(step);
        }
        Ok(Steps(steps))
    }
}

/// The step of this index.
struct StepAt(usize);

impl<'de> DeserializeSeed<'de> for StepAt {
    type Value = Spot<Step>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Spot<Step>, D::Error> {
        let stand_in = || Spot::from(OneKey(Step::Health(Health::default())));
        let Spot { value: OneKey(value), place } = part(deserializer, Part::Step(self.0), stand_in)?;
        Ok(Spot { value, place })
    }
}
