//! The parts of a file that are read one by one, so that a mistake in one hides none in another. A reader stops at the
//! first mistake and cannot go on behind it, so the text is read again, and the part is passed over.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// A part that can be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Metadata,
    World,
    /// By its index.
    Step(usize),
    Expect,
}

/// What is known of a reading under way. Types that are read are given nothing but the text: it stands beside them.
#[derive(Default)]
struct Reading {
    passed_over: BTreeSet<Part>,
    /// The part with the mistake that ended it.
    mistaken: Option<Part>,
}

thread_local! {
    static READING: RefCell<Reading> = RefCell::default();
}

/// So many mistakes are told of one file at most: each is one more reading of it.
const MISTAKES_MAX: usize = 20;

/// Reads until nothing new is found: the value, or every mistake of which `read` tells, each part with its first.
pub(super) fn read_all<T, E: PartialEq>(read: impl FnMut() -> Result<T, E>) -> Result<T, Vec<E>> {
    READING.take();
    let outcome = read_each(read);
    READING.take();
    outcome
}

fn read_each<T, E: PartialEq>(mut read: impl FnMut() -> Result<T, E>) -> Result<T, Vec<E>> {
    let mut mistakes = Vec::new();
    loop {
        let outcome = read();
        let mistaken = READING.with_borrow_mut(|reading| reading.mistaken.take());
        let is_new = mistaken.is_some_and(|part| READING.with_borrow_mut(|reading| reading.passed_over.insert(part)));
        match outcome {
            Ok(value) if mistakes.is_empty() => return Ok(value),
            Ok(_) => return Err(mistakes),
            // A key in a wrong part is missing in the right one: both say so of the same place.
            Err(mistake) if mistakes.contains(&mistake) => return Err(mistakes),
            Err(mistake) => mistakes.push(mistake),
        }
        if !is_new || mistakes.len() == MISTAKES_MAX {
            return Err(mistakes);
        }
    }
}

/// Reads a part, or passes it over: then `stand_in` stands for it, in a value that nobody gets to see.
pub(super) fn part<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    part: Part,
    stand_in: impl FnOnce() -> T,
) -> Result<T, D::Error> {
    if READING.with_borrow(|reading| reading.passed_over.contains(&part)) {
        IgnoredAny::deserialize(deserializer)?;
        return Ok(stand_in());
    }
    let read = T::deserialize(deserializer);
    if read.is_err() {
        READING.with_borrow_mut(|reading| reading.mistaken = Some(part));
    }
    read
}
