//! What nobody means to send, kind by kind, each with what may be answered to it. None of it may be let in: what has credentials
//! asks for what cannot be, and what asks for what can be has none.

use super::heads;
use super::orders;
use super::wire::After;
use crate::process::TOKEN;
use fastrand::Rng;
use std::time::Duration;

/// Bytes of one connection.
pub struct Sent {
    pub bytes: Vec<u8>,
    pub after: After,
}

/// See the module.
pub struct Kind {
    pub name: &'static str,
    pub count: usize,
    pub answers: &'static [u16],
    /// It may be hung up on without an answer.
    pub unanswered: bool,
    pub make: fn(&mut Rng) -> Sent,
}

/// Of what may or may not be a request.
const TO_BYTES: &[u16] = &[400, 401, 404, 405, 413, 414, 431];

pub const KINDS: [Kind; 12] = [
    kind("broken request lines", 900, TO_BYTES, true, heads::request_line),
    kind("broken headers", 900, TO_BYTES, true, heads::header),
    kind("contradicting lengths", 800, TO_BYTES, true, heads::lengths),
    kind("broken chunks", 700, &[400, 401, 413], true, heads::chunks),
    kind("long heads", 300, &[400, 401, 404, 414, 431], true, heads::long),
    kind("strange paths", 1000, &[400, 404, 405, 414], false, heads::path),
    kind("other protocols", 300, &[400], true, heads::other_protocol),
    kind("oversized bodies", 300, &[400, 401, 413, 431], false, orders::oversized),
    kind("bodies that are none", 1500, &[400], false, orders::body),
    kind("wrong verbs", 800, &[400, 404, 405], false, orders::verb),
    kind("wrong credentials", 2200, &[401], false, orders::credentials),
    kind("plans that are none", 500, &[400, 404, 409], false, orders::plan),
];

const fn kind(
    name: &'static str,
    count: usize,
    answers: &'static [u16],
    unanswered: bool,
    make: fn(&mut Rng) -> Sent,
) -> Kind {
    Kind { name, count, answers, unanswered, make }
}

/// Everything of every kind, in an order of its own: the kind's number, and what is sent.
pub fn all(seed: u64) -> Vec<(usize, Sent)> {
    let mut all = Vec::new();
    for (number, kind) in KINDS.iter().enumerate() {
        // A stream of its own for each: more of one changes none of another.
        let mut rng = Rng::with_seed(seed + number as u64);
        all.extend((0..kind.count).map(|_| (number, (kind.make)(&mut rng))));
    }
    Rng::with_seed(seed).shuffle(&mut all);
    all
}

/// An order that begins where it is let in.
pub const ORDER: &str = r#"{"toRegion":"hel"}"#;
/// A move to where nothing is.
pub const NOWHERE: &str = r#"{"toRegion":"nowhere"}"#;

/// The headers of who may ask.
pub fn owner() -> String {
    format!("X-Catalyst-Owner-Tier: true\r\nAuthorization: Bearer {TOKEN}\r\n")
}

pub fn call(what: &str) -> String {
    format!("/v1/continuums/shop/shop/{what}")
}

/// Headers, path and body of a call that is not to be let in.
pub fn refused(rng: &mut Rng) -> (String, String, &'static str) {
    let path = call(pick(rng, &["switchover", "dry-run"]));
    if rng.bool() { (owner(), path, NOWHERE) } else { (String::new(), path, ORDER) }
}

pub fn pick<T: Clone>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())].clone()
}

/// So many of these bytes.
pub fn some(rng: &mut Rng, bytes: &[u8], count: usize) -> Vec<u8> {
    (0..count).map(|_| pick(rng, bytes)).collect()
}

/// A request that is well formed, but for what is in its parts.
pub fn request(verb: &str, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("{verb} {path} HTTP/1.1\r\nHost: c\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Waits for its answer.
pub fn whole(bytes: Vec<u8>) -> Sent {
    Sent { bytes, after: After::Waits }
}

/// May be a part of something: the client ends it.
pub fn part(rng: &mut Rng, bytes: Vec<u8>) -> Sent {
    Sent { bytes, after: After::Ends(Duration::from_millis(pick(rng, &[0, 100]))) }
}
