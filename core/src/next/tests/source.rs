//! Which half has the newest history.

use super::*;
use crate::next::source::{Source, data_source};

fn half(demotion_token: Option<String>) -> Half {
    let mut half = fixture::observations().half(&hel()).clone();
    parts(&mut half).0.demotion_token = demotion_token;
    half
}

fn of(lineage: Lineage, own: &Half, other: &Half) -> Result<Source, String> {
    data_source(&lineage, (&hel(), own), (&fsn(), other), None)
}

fn led(region: Region, timeline: u32) -> Lineage {
    Lineage::Of { region, timeline }
}

#[test]
fn the_later_timeline_is_newer_and_on_one_timeline_the_later_position() {
    let other = |text: &str, timeline| half(Some(token(timeline, text)));
    let own = half(Some(token(3, "0/7000028")));
    let is_other = |source: Result<Source, String>| matches!(source, Ok(Source::Other(_)));
    assert!(is_other(of(Lineage::Unknown, &own, &other("0/7000029", 3))));
    assert!(is_other(of(Lineage::Unknown, &own, &other("0/1000028", 4))));
    assert!(!is_other(of(Lineage::Unknown, &own, &other("0/9000028", 2))));
    assert!(!is_other(of(Lineage::Unknown, &own, &half(None))));
}

#[test]
fn what_was_made_primary_last_outlives_every_token_of_an_earlier_timeline() {
    let own = half(Some(token(3, "0/7000028")));
    assert!(of(led(fsn(), 4), &own, &half(None)).unwrap_err().contains("fsn was primary last"));
    let older = half(Some(token(2, "0/7000028")));
    assert_eq!(of(led(hel(), 4), &half(None), &older), Ok(Source::Own(None)), "H31");
    assert_eq!(of(led(hel(), 4), &own, &older), Ok(Source::Own(None)), "an old token is never put in again");
}

#[test]
fn a_half_that_left_no_token_has_the_newest_history_only_where_it_runs() {
    let mut own = half(None);
    assert_eq!(of(led(hel(), 3), &own, &half(None)), Ok(Source::Own(None)));
    own.database = Seen::Unknown("time-out".into());
    assert!(of(led(hel(), 3), &own, &half(None)).is_err());
}
