use super::*;
use crate::preflight::fixture::{self, fsn};

#[test]
fn lag_that_is_not_measured_is_absent_and_never_zero() {
    let record = fixture::record();
    let halves = || fixture::observations().halves;
    assert_eq!(replication(Some(&record), &halves()), (Some(Duration::ZERO), Some(true)));
    let with = |change: fn(&mut DatabaseView)| {
        let mut halves = halves();
        let Seen::Is(database) = &mut halves.get_mut(&fsn()).unwrap().database else { panic!() };
        change(database);
        replication(Some(&record), &halves)
    };
    assert_eq!(with(|d| d.replicas = Some(Vec::new())), (None, Some(false)), "the standby is gone");
    assert_eq!(with(|d| d.replicas = None), (None, None), "hidden from the role");
    let behind = |d: &mut DatabaseView| d.replicas.as_mut().unwrap()[0].replay = None;
    assert_eq!(with(behind), (None, Some(true)));
    assert_eq!(replication(None, &halves()), (None, None));
}
