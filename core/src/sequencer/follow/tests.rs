use super::*;
use crate::plan::Plan;
use crate::preflight::fixture::{self, fsn, hel};
use crate::record::Kind;
use crate::transition::{self, Edit, Order};

fn written(edit: Edit) -> Record {
    match edit {
        Edit::Write(record) => *record,
        other => panic!("{other:?}"),
    }
}

fn order(request: Option<&str>) -> Order {
    let plan = Plan::new(&fixture::shop(), &fixture::spec(), &hel(), None, None).unwrap();
    Order { plan, kind: Kind::Planned, request: request.map(str::to_owned), now: jiff::Timestamp::UNIX_EPOCH }
}

fn view(record: Record) -> View {
    View {
        record: Some(record.into()),
        first_seen: Monotonic::default(),
        read_at: Monotonic::default(),
        beat: 0,
        read_count: 1,
    }
}

fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds))
}

#[test]
fn a_switchover_is_followed_while_the_record_is_renewed() {
    let record = written(transition::begin(&fixture::record(), &fsn(), &order(Some("r1"))));
    let id = record.intent.as_ref().unwrap().id.clone();
    for mark in [What::Id(id.clone()), What::Request("r1".into())] {
        assert_eq!(sight(&view(record.clone()), &mark, at(59)), Sight::UnderWay);
        assert_eq!(
            sight(&view(record.clone()), &mark, at(60)),
            Sight::Silent(Duration::from_secs(60)),
            "twice the term"
        );
    }
}

#[test]
fn one_that_the_record_does_not_name_any_more_is_not_waited_for() {
    let record = fixture::record();
    let since = Record { sequence: 2, ..record.clone() };
    assert_eq!(sight(&view(since), &What::Id("shop/shop/1.1".into()), at(0)), Sight::Replaced);
    let anew = Record { sequence: 0, ..record.clone() };
    assert_eq!(sight(&view(anew), &What::Id("shop/shop/1.1".into()), at(0)), Sight::Lost);
    assert_eq!(sight(&view(record.clone()), &What::Request("r1".into()), at(0)), Sight::Unserved);
    assert_eq!(
        sight(&View { record: None, ..view(record.clone()) }, &What::Id("shop/shop/1.1".into()), at(0)),
        Sight::Unserved
    );
    let refused = written(transition::refuse(&record, &fsn(), "r1", None));
    assert_eq!(sight(&view(refused), &What::Request("r1".into()), at(0)), Sight::Refused(None));
}

#[test]
fn one_that_ended_is_told_also_where_nobody_renews() {
    let approval = transition::Approval { required: true, timeout_seconds: 60 };
    let record = written(transition::pend(&fixture::record(), &fsn(), &order(Some("r1")), approval));
    let id = record.pending.as_ref().unwrap().id.clone();
    assert_eq!(sight(&view(record.clone()), &What::Request("r1".into()), at(0)), Sight::UnderWay, "it waits");
    let ended = written(transition::decline(&record, &fsn(), &id, "refused", jiff::Timestamp::UNIX_EPOCH));
    for mark in [What::Id(id.clone()), What::Request("r1".into())] {
        assert!(matches!(sight(&view(ended.clone()), &mark, at(1000)), Sight::Ended(_, 1)));
    }
}
