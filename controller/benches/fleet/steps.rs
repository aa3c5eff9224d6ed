//! How long a move waited for others, by what the product's processes log of it.

use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// What asks others for something that takes its time, by step: the operator's demotion, the routes, the records' answers, the
/// operator's promotion.
const ASKED: [(u64, &str); 4] = [(2, "demote "), (3, "weights of "), (4, "publish records"), (6, "promote ")];

/// From the answers to those requests until their effects were seen and written down.
pub fn waited(log: &str) -> Duration {
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let last = |step: u64, message: &str, action: &str| {
        let is_it = |line: &&Value| {
            line["step"] == step
                && line["message"] == message
                && line["action"].as_str().unwrap_or_default().starts_with(action)
        };
        lines.iter().filter(is_it).filter_map(|line| line["timestamp"].as_str()?.parse::<Timestamp>().ok()).max()
    };
    let waits = ASKED.into_iter().filter_map(|(step, action)| {
        let (asked, seen) = (last(step, "acted", action)?, last(step, "step done", "")?);
        Duration::try_from(seen.duration_since(asked)).ok()
    });
    waits.sum()
}
