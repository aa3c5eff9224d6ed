use super::*;
use crate::faults::{AuditFault, DnsFault, Fault};
use crate::lease;
use crate::moments::Move;
use continuum_core::name::{ObjectName, Region};
use continuum_core::plan::{PLAN_FORMAT, Plan};
use continuum_core::record::{Direction, Extra, Former, Intent, Kind as Move_, Record, StepState};
use continuum_core::spec::{DnsSpec, LeaseKind, LeaseSpec, RecordSpec, Selector};
use jiff::Timestamp;
use std::cell::Cell;
use std::rc::Rc;

const A_SECOND: Duration = Duration::from_secs(1);

/// A clock that the test moves.
#[derive(Clone, Default)]
struct Clock(Rc<Cell<Duration>>);

impl here::Place for Clock {
    fn now(&self) -> Duration {
        self.0.get()
    }

    fn host(&self) -> Option<Arc<str>> {
        None
    }
}

struct Bench {
    board: Arc<FaultBoard>,
    clock: Clock,
    _here: here::Entered,
}

fn bench() -> Bench {
    let clock = Clock::default();
    let entered = here::enter(Box::new(clock.clone()));
    Bench { board: FaultBoard::new(), clock, _here: entered }
}

impl Bench {
    fn set(&self, seconds: u64) {
        self.clock.0.set(Duration::from_secs(seconds));
    }

    fn arm(&self, trigger: Trigger, does: Does, server: &str) -> FaultId {
        let request = RequestFault { server: server.into(), from: None, what: None, changing: true, times: None, does };
        self.board.arm(self.clock.0.get(), Fault { trigger, kind: Kind::Request(request), lasts: None })
    }

    /// Takes a request through the gate.
    fn pass(&self, asked: &Asked) -> (Before, After) {
        let before = self.board.before(asked);
        (before.clone(), if before == Before::Apply { self.board.after(asked, 200) } else { After::Send })
    }

    /// The witness is written.
    fn write(&self, record: &Record) -> (Before, After) {
        let body = lease::lease("continuum", "shop.shop", record).to_string();
        self.pass(&Asked { body, ..asked("api.witness", "leases/shop.shop") })
    }
}

fn asked(server: &str, what: &str) -> Asked {
    Asked {
        server: server.into(),
        from: "controller.fsn".into(),
        verb: "patch".into(),
        what: what.into(),
        subresource: String::new(),
        changing: true,
        trial: false,
        dry_run: false,
        body: "{}".into(),
    }
}

fn moving(started_count: usize) -> Record {
    let plan = Plan {
        format: PLAN_FORMAT,
        continuum: ObjectName::new("shop", "shop"),
        application: "shop".into(),
        from: Region::new("fsn"),
        to: Region::new("hel"),
        pair: ObjectName::new("shop", "shop"),
        route: None,
        zone: None,
        records: RecordSpec { selector: Selector::Ifurlup, health_check: None, ttl_seconds: 30, hostnames: vec![] },
        dns: DnsSpec::default(),
        addresses: vec![],
        former_addresses: vec![],
        lease: LeaseSpec {
            kind: LeaseKind::K8sLease,
            ttl_seconds: 30,
            renew_seconds: 10,
            guard_seconds: 10,
            drift_percent: 1,
        },
        rto_seconds: 60,
        rpo_seconds: 5,
        reason: "test".into(),
        initiated_by: "test".into(),
    };
    let mut steps: [StepState; 7] = Default::default();
    for step in &mut steps[..started_count] {
        step.started_at = Some(Timestamp::UNIX_EPOCH);
    }
    let intent = Intent {
        id: "shop/shop/1.1".into(),
        kind: Move_::Planned,
        fingerprint: plan.fingerprint(),
        plan,
        request: None,
        approved_by: None,
        started_at: Timestamp::UNIX_EPOCH,
        began_generation: 1,
        direction: Direction::Forward,
        token: None,
        token_before: None,
        eligible: None,
        former: Former::default(),
        beat_before: None,
        redone: 0,
        promoted_with: None,
        handed_over_at: None,
        steps,
        extra: Extra::new(),
    };
    Record { holder: Some(Region::new("fsn")), generation: 1, intent: Some(intent.into()), ..Record::free(30) }
}

fn passes() -> (Before, After) {
    (Before::Apply, After::Send)
}

#[test]
fn a_lost_reply_before_step_6_is_that_of_the_promotion_and_no_other() {
    let bench = bench();
    let id = bench.arm(Trigger::Before(6), Does::LoseReply, "api.hel");
    bench.set(1);
    assert_eq!(bench.write(&moving(5)), passes());
    assert_eq!(bench.pass(&asked("api.hel", "clusters/shop-hel")), passes(), "step 6 has not started");
    bench.set(2);
    bench.write(&moving(6));
    assert_eq!(bench.pass(&asked("api.hel", "httproutes/shop")), passes(), "not the step's request");
    assert_eq!(bench.pass(&asked("api.hel", "clusters/shop-hel")), (Before::Apply, After::Lose));
    assert_eq!(bench.pass(&asked("api.hel", "clusters/shop-hel")), passes(), "the first only");
    assert_eq!(bench.board.fired(id), Some(2 * A_SECOND));
    assert_eq!(bench.board.log_from(0)[0].detail, "api.hel -> controller.fsn");
}

#[test]
fn a_reply_that_is_lost_is_one_that_tells_of_an_effect() {
    let bench = bench();
    let id = bench.arm(Trigger::Before(2), Does::LoseReply, "api.fsn");
    bench.set(1);
    bench.write(&moving(2));
    let demotion = asked("api.fsn", "clusters/shop-fsn");
    assert_eq!(bench.board.before(&demotion), Before::Apply);
    assert_eq!(bench.board.after(&demotion, 409), After::Send, "a conflict is no effect");
    assert_eq!(bench.board.fired(id), None);
    assert_eq!(bench.pass(&demotion), (Before::Apply, After::Lose));
}

#[test]
fn step_1_is_the_write_that_puts_the_intent_and_step_5_the_one_that_changes_the_holder() {
    let bench = bench();
    bench.arm(Trigger::Before(1), Does::Answer(503), "api.witness");
    bench.arm(Trigger::After(5), Does::Answer(500), "api.witness");
    bench.set(1);
    let idle = Record { intent: None, ..moving(0) };
    assert_eq!(bench.write(&idle), passes());
    assert_eq!(bench.write(&moving(1)), (Before::Answer(503), After::Send));
    assert_eq!(bench.write(&moving(1)), passes());
    bench.set(2);
    assert_eq!(bench.write(&moving(5)), passes());
    let swapped = Record { holder: Some(Region::new("hel")), generation: 2, ..moving(5) };
    assert_eq!(bench.write(&swapped), (Before::Apply, After::Answer(500)), "applied, and answered a failure");
}

#[test]
fn a_step_that_started_before_the_fault_was_armed_does_not_count() {
    let bench = bench();
    bench.set(1);
    bench.write(&moving(4));
    let mut move_ = Move::new("shop/shop/1.1", &Region::new("fsn"), &Region::new("hel"));
    move_.note_started(4, A_SECOND);
    bench.board.due(A_SECOND, &Moments::new(vec![move_.clone()]));
    // At the same instant: what counts is the order.
    let request = bench.arm(Trigger::Before(4), Does::Hang, "dns");
    let fault = |step, kind| Fault { trigger: Trigger::Before(step), kind, lasts: None };
    let world = bench.board.arm(A_SECOND, fault(4, Kind::World(WorldFault::ReplayPaused)));
    let (deed, next) =
        (bench.board.arm(A_SECOND, fault(4, Kind::Deed)), bench.board.arm(A_SECOND, fault(5, Kind::Deed)));
    assert_eq!(bench.pass(&asked("dns", "zones/example.org")), passes());
    let moments = |move_: &Move| Moments::new(vec![move_.clone()]);
    assert!(bench.board.due(A_SECOND, &moments(&move_)).is_empty());
    assert!(bench.board.deeds_due(A_SECOND, &moments(&move_)).is_empty());
    let unfired: Vec<FaultId> = bench.board.unfired().into_iter().map(|(id, _)| id).collect();
    assert_eq!(unfired, [request, world]);
    move_.note_started(5, A_SECOND);
    assert_eq!(bench.board.deeds_due(A_SECOND, &moments(&move_)), [next], "it comes after, at the same instant");
    let again = Moments::new(vec![move_.clone(), move_]);
    assert_eq!(bench.board.deeds_due(A_SECOND, &again), [deed], "another switchover starts its own steps");
}

#[test]
fn a_deed_on_a_write_is_due_once_it_has_arrived() {
    let bench = bench();
    let trigger = Trigger::OnWrite { what: "clusters/shop-fsn".into(), nth: 2 };
    let deed = bench.board.arm(A_SECOND, Fault { trigger, kind: Kind::Deed, lasts: None });
    let due = || bench.board.deeds_due(A_SECOND, &Moments::default());
    bench.pass(&asked("api.fsn", "clusters/shop-fsn"));
    assert!(due().is_empty());
    assert_eq!(bench.pass(&asked("api.fsn", "clusters/shop-fsn")), passes(), "a deed hurts no request");
    assert_eq!(due(), [deed]);
    assert!(due().is_empty(), "once");
}

#[test]
fn a_fault_that_nobody_felt_is_known() {
    let bench = bench();
    let arm = |fault: WorldFault| {
        let trigger = Trigger::At(A_SECOND);
        bench.board.arm(Duration::ZERO, Fault { trigger, kind: Kind::World(fault), lasts: None })
    };
    let cut = |a: &str, b: &str| WorldFault::Partition(a.into(), b.into());
    let (felt, unfelt) = (arm(cut("api.fsn", "controller.hel")), arm(cut("dns", "nats")));
    let one_way = arm(WorldFault::PartitionOneWay("api.fsn".into(), "controller.hel".into()));
    let (dns, audit) = (arm(WorldFault::Dns(DnsFault::Refuse)), arm(WorldFault::Audit(AuditFault::Refuse)));
    let server = arm(WorldFault::Crash("vantage3".into()));
    arm(WorldFault::Crash("controller.hel".into()));
    let replay = arm(WorldFault::ReplayPaused);
    let unfelt_now = || bench.board.unfelt().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert!(unfelt_now().is_empty(), "nothing has begun");
    bench.board.due(A_SECOND, &Moments::default());
    assert_eq!(unfelt_now(), [felt, unfelt, one_way, dns, audit, server, replay]);
    bench.board.note_trouble("controller.hel", "api.fsn");
    bench.pass(&asked("dns", "zones/example.org"));
    bench.board.note_replay_behind();
    assert_eq!(unfelt_now(), [unfelt, one_way, audit, server]);
}

#[test]
fn the_nth_write_of_an_object_is_counted_from_arming() {
    let bench = bench();
    let what = "clusters/shop-fsn".to_owned();
    bench.pass(&asked("api.fsn", "clusters/shop-fsn"));
    bench.arm(Trigger::OnWrite { what, nth: 2 }, Does::Hang, "api.fsn");
    assert_eq!(bench.pass(&asked("api.fsn", "clusters/shop-fsn")), passes());
    assert_eq!(bench.pass(&asked("api.fsn", "clusters/shop-fsn")).0, Before::Hang);
    assert_eq!(bench.pass(&asked("api.fsn", "clusters/shop-fsn")), passes());
}

#[test]
fn a_fault_of_the_world_begins_at_its_time_ends_after_it_and_can_be_healed_before() {
    let bench = bench();
    let cut = WorldFault::Partition("api.fsn".into(), "controller.hel".into());
    let fault = |lasts| Fault { trigger: Trigger::At(5 * A_SECOND), kind: Kind::World(cut.clone()), lasts };
    bench.board.arm(Duration::ZERO, fault(Some(3 * A_SECOND)));
    bench.board.arm(Duration::ZERO, fault(None));
    let none = Moments::default();
    assert!(bench.board.due(4 * A_SECOND, &none).is_empty());
    assert_eq!(bench.board.due(5 * A_SECOND, &none), [cut.clone(), cut.clone()]);
    assert_eq!(bench.board.active(), [cut.clone(), cut.clone()]);
    assert!(bench.board.due(8 * A_SECOND, &none).is_empty());
    assert_eq!(bench.board.active(), std::slice::from_ref(&cut), "the other goes on");
    bench.board.heal(9 * A_SECOND, &Scope::Host("api.hel".into()));
    assert_eq!(bench.board.active(), [cut]);
    bench.board.heal(9 * A_SECOND, &Scope::Host("api.fsn".into()));
    assert!(bench.board.active().is_empty());
    assert!(bench.board.unfired().is_empty());
}

#[test]
fn what_ends_faults_ends_those_that_began_before_it_and_no_others() {
    let bench = bench();
    let at = |seconds: u32, fault: WorldFault, lasts| {
        let trigger = Trigger::At(seconds * A_SECOND);
        bench.board.arm(Duration::ZERO, Fault { trigger, kind: Kind::World(fault), lasts });
    };
    let (crash, pause) = (WorldFault::Crash("nats".into()), WorldFault::Pause("nats".into()));
    at(1, crash.clone(), Some(9 * A_SECOND));
    at(1, pause.clone(), None);
    at(2, WorldFault::Restart("nats".into()), None);
    at(3, crash.clone(), None);
    at(20, WorldFault::Heal(Scope::All), None);
    at(20, WorldFault::Audit(AuditFault::Hang), None);
    let none = Moments::default();
    let active_at = |seconds: u32| {
        bench.board.due(seconds * A_SECOND, &none);
        bench.board.active()
    };
    assert_eq!(active_at(1), [crash.clone(), pause.clone()]);
    assert_eq!(active_at(2), std::slice::from_ref(&pause), "started again, and still paused");
    assert_eq!(active_at(3), [pause.clone(), crash.clone()]);
    assert_eq!(active_at(10), [pause, crash], "the first crash ended long ago; its time starts nothing");
    assert_eq!(active_at(20), [WorldFault::Audit(AuditFault::Hang)]);
}

#[test]
fn a_fault_from_a_time_on_strikes_everything_it_names_until_it_is_over() {
    let bench = bench();
    let request = RequestFault {
        server: "api.fsn".into(),
        from: Some("controller.fsn".into()),
        what: None,
        changing: false,
        times: None,
        does: Does::Answer(429),
    };
    let fault = Fault { trigger: Trigger::At(A_SECOND), kind: Kind::Request(request), lasts: Some(2 * A_SECOND) };
    bench.board.arm(Duration::ZERO, fault);
    let read = Asked { changing: false, verb: "get".into(), ..asked("api.fsn", "clusters/shop-fsn") };
    assert_eq!(bench.pass(&read), passes());
    bench.set(1);
    assert_eq!(bench.pass(&read).0, Before::Answer(429));
    assert_eq!(bench.pass(&read).0, Before::Answer(429));
    assert_eq!(bench.pass(&Asked { from: "controller.hel".into(), ..read.clone() }), passes());
    bench.set(3);
    assert_eq!(bench.pass(&read), passes());
}

#[test]
fn the_board_knows_when_the_last_delayed_request_or_reply_lands() {
    let bench = bench();
    let what = |nth| Trigger::OnWrite { what: "clusters/shop-fsn".into(), nth };
    bench.arm(what(1), Does::DelayRequest(40 * A_SECOND), "api.fsn");
    bench.arm(what(2), Does::DelayReply(20 * A_SECOND), "api.fsn");
    bench.arm(what(3), Does::DelayReply(90 * A_SECOND), "api.fsn");
    assert_eq!(bench.board.last_landing(), None);
    bench.set(5);
    bench.pass(&asked("api.fsn", "clusters/shop-fsn"));
    assert_eq!(bench.board.last_landing(), Some(45 * A_SECOND));
    bench.set(6);
    bench.pass(&asked("api.fsn", "clusters/shop-fsn"));
    assert_eq!(bench.board.last_landing(), Some(45 * A_SECOND), "the later of the two");
    bench.set(7);
    bench.pass(&asked("api.fsn", "clusters/shop-fsn"));
    assert_eq!(bench.board.last_landing(), Some(97 * A_SECOND));
}

#[test]
fn what_only_asks_whether_it_may_is_answered_as_a_change_would_be_and_uses_nothing_up() {
    let bench = bench();
    let request = RequestFault {
        server: "dns".into(),
        from: None,
        what: Some("zones/example.org".into()),
        changing: true,
        times: Some(1),
        does: Does::Answer(422),
    };
    let fault = Fault { trigger: Trigger::At(Duration::ZERO), kind: Kind::Request(request), lasts: None };
    bench.board.arm(Duration::ZERO, fault);
    let trial = Asked { changing: false, trial: true, dry_run: true, ..asked("dns", "zones/example.org") };
    assert_eq!(bench.pass(&trial).0, Before::Answer(422));
    assert_eq!(bench.pass(&Asked { trial: false, ..trial.clone() }).0, Before::Apply, "a read is none");
    assert_eq!(bench.pass(&asked("dns", "zones/example.org")).0, Before::Answer(422));
    assert_eq!(bench.pass(&asked("dns", "zones/example.org")).0, Before::Apply);
    assert!(bench.board.dry_run_changes().is_empty());
}

#[test]
fn changing_requests_of_a_dry_run_are_kept_as_evidence() {
    let bench = bench();
    bench.pass(&Asked { dry_run: true, changing: false, ..asked("api.fsn", "clusters/shop-fsn") });
    assert!(bench.board.dry_run_changes().is_empty());
    bench.pass(&Asked { dry_run: true, ..asked("api.fsn", "clusters/shop-fsn") });
    assert_eq!(bench.board.dry_run_changes().len(), 1);
}

#[test]
fn a_fault_says_in_one_line_what_it_is() {
    let request = RequestFault {
        server: "api.hel".into(),
        from: Some("controller.hel".into()),
        what: None,
        changing: true,
        times: None,
        does: Does::LoseReply,
    };
    let fault = Fault { trigger: Trigger::Before(6), kind: Kind::Request(request), lasts: None };
    assert_eq!(fault.to_string(), "lose reply api.hel -> controller.hel before step 6");
    let slow = WorldFault::OperatorSlow("fsn".into(), crate::faults::Task::Demotion, 8 * A_SECOND);
    let fault = Fault { trigger: Trigger::At(A_SECOND), kind: Kind::World(slow), lasts: Some(5 * A_SECOND) };
    assert_eq!(fault.to_string(), "operator slow demotion in fsn, 8.0 s more at 1.0 s for 5.0 s");
}
