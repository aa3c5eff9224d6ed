//! How long a move waited for others, by what the product's processes log of it.

use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// What asks others for something that takes its time, by step: the operator's demotion, the routes, the records' answers, the
/// operator's promotion.
const ASKED: [(u64, &str); 4] = [(2, "demote "), (3, "weights of "), (4, "publish records"), (6, "promote ")];

/// From the answers to those requests until their effects were seen and written down, and from the last step until the
/// operator has the old half follow, which ends the move.
pub fn waited(log: &str) -> Duration {
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let last = |message: &str, step: Option<u64>, action: &str| {
        let is_it = |line: &&Value| {
            line["step"].as_u64() == step
                && line["message"] == message
                && line["action"].as_str().unwrap_or_default().starts_with(action)
        };
        lines.iter().filter(is_it).filter_map(|line| line["timestamp"].as_str()?.parse::<Timestamp>().ok()).max()
    };
    let asked =
        ASKED.into_iter().map(|(step, action)| (last("acted", Some(step), action), last("step done", Some(step), "")));
    let settled = (last("step done", Some(7), ""), last("switchover ended", None, ""));
    let waits = asked.chain([settled]).filter_map(|(from, to)| Duration::try_from(to?.duration_since(from?)).ok());
    waits.sum()
}
