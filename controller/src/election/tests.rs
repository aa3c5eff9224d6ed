use super::*;

const ME: &str = "me";

fn at(seconds: f64) -> Monotonic {
    Monotonic(Duration::from_secs_f64(seconds))
}

fn lease(version: &str, holder: Option<&str>) -> Lease {
    Lease { version: version.into(), holder: holder.map(str::to_owned), duration: DURATION, transitions: 3 }
}

fn write(over: Option<&str>, transitions: u32, takes: bool) -> Next {
    Next::Write(Claim { over: over.map(str::to_owned), transitions, takes })
}

fn wait(seconds: f64) -> Next {
    Next::Wait(Duration::from_secs_f64(seconds))
}

/// What happened to a process, in order: at which second, and what.
enum Happened {
    Read(Option<Lease>),
    /// Sent at this second.
    Wrote(Lease, f64),
    Failed,
}
use Happened::{Failed, Read, Wrote};

fn after(happened: Vec<(f64, Happened)>) -> Election {
    let mut election = Election::new(ME.into());
    for (second, what) in happened {
        match what {
            Read(lease) => election.read(lease, at(second)),
            Wrote(lease, sent) => election.wrote(lease, at(sent), at(second)),
            Failed => election.failed(at(second)),
        }
    }
    election
}

#[test]
fn what_is_done_next_follows_from_what_was_seen() {
    let other = |version: &str| Read(Some(lease(version, Some("other"))));
    let mine = |version: &str, sent| Wrote(lease(version, Some(ME)), sent);
    let short = Lease { duration: Duration::from_secs(4), ..lease("7", Some("other")) };
    for (claim, happened, now, expected) in [
        ("nothing was seen", vec![], 5.0, Next::Read),
        ("the first look failed", vec![(5.0, Failed)], 5.2, wait(0.8)),
        ("and is tried again", vec![(5.0, Failed)], 6.0, Next::Read),
        ("there is no Lease", vec![(5.0, Read(None))], 5.0, write(None, 0, true)),
        ("it was given back", vec![(5.0, Read(Some(lease("7", None))))], 5.0, write(Some("7"), 4, true)),
        ("another holds it", vec![(5.0, other("7"))], 5.0, wait(2.0)),
        ("and is looked at again", vec![(5.0, other("7"))], 7.0, Next::Read),
        ("it stood still almost long enough", vec![(5.0, other("7")), (19.0, other("7"))], 19.5, wait(0.5)),
        (
            "it stood still for its duration",
            vec![(5.0, other("7")), (19.0, other("7"))],
            20.0,
            write(Some("7"), 4, true),
        ),
        ("it was renewed meanwhile", vec![(5.0, other("7")), (19.0, other("8"))], 20.0, wait(1.0)),
        ("its own duration counts", vec![(5.0, Read(Some(short.clone())))], 9.0, write(Some("7"), 4, true)),
        ("before that it is looked at", vec![(5.0, Read(Some(short)))], 7.0, Next::Read),
        ("looks that failed tell nothing", vec![(5.0, other("7")), (19.0, Failed)], 40.0, Next::Read),
        ("it is one's own", vec![(5.1, mine("7", 5.0))], 5.1, wait(1.9)),
        ("and is renewed", vec![(5.1, mine("7", 5.0))], 7.0, write(Some("7"), 3, false)),
        ("a renewal failed", vec![(5.1, mine("7", 5.0)), (10.0, Failed)], 10.0, wait(1.0)),
        ("what became of it is looked at", vec![(5.1, mine("7", 5.0)), (10.0, Failed)], 11.0, Next::Read),
        (
            "it was applied after all",
            vec![(5.1, mine("7", 5.0)), (10.0, Failed), (11.0, Read(Some(lease("8", Some(ME)))))],
            11.0,
            write(Some("8"), 3, false),
        ),
        ("one's own that lapsed is taken up again", vec![(5.1, mine("7", 5.0))], 60.0, write(Some("7"), 3, false)),
        ("one's own that was deleted", vec![(5.1, mine("7", 5.0)), (7.0, Read(None))], 7.0, write(None, 0, true)),
        ("another took it", vec![(5.1, mine("7", 5.0)), (30.0, other("9"))], 30.0, wait(2.0)),
        ("another's was deleted: it may lead still", vec![(5.0, other("7")), (10.0, Read(None))], 24.9, Next::Read),
        ("and does so no longer", vec![(5.0, other("7")), (10.0, Read(None))], 25.0, write(None, 0, true)),
        (
            "one that was given back and deleted is free",
            vec![(5.0, other("7")), (8.0, Read(Some(lease("8", None)))), (10.0, Read(None))],
            10.0,
            write(None, 0, true),
        ),
    ] {
        assert_eq!(after(happened).next(at(now)), expected, "{claim}");
    }
}

#[test]
fn a_leader_acts_for_less_than_others_wait_and_not_on_what_it_did_not_write() {
    let mine = || lease("7", Some(ME));
    for (claim, happened, expected) in [
        ("nothing was seen", vec![], None),
        ("it counts from the sending", vec![(9.0, Wrote(mine(), 5.0))], Some(15.0)),
        ("a renewal that failed ends nothing", vec![(5.1, Wrote(mine(), 5.0)), (7.0, Failed)], Some(15.0)),
        (
            "a look that finds it does not renew it",
            vec![(5.1, Wrote(mine(), 5.0)), (14.0, Read(Some(lease("8", Some(ME)))))],
            Some(15.0),
        ),
        ("a name that was found there is not enough", vec![(5.0, Read(Some(mine())))], None),
        ("another took it", vec![(5.1, Wrote(mine(), 5.0)), (7.0, Read(Some(lease("8", Some("other")))))], None),
        ("it was deleted", vec![(5.1, Wrote(mine(), 5.0)), (7.0, Read(None))], None),
        ("it was given back by hand", vec![(5.1, Wrote(mine(), 5.0)), (7.0, Read(Some(lease("8", None))))], None),
    ] {
        assert_eq!(after(happened).leads_until(), expected.map(at), "{claim}");
    }
    assert!(
        RENEW_DEADLINE + continuum_core::term::REQUEST_LIMIT <= DURATION,
        "what was sent last has its answer by then"
    );
}

#[test]
fn only_ones_own_is_given_back() {
    assert_eq!(after(vec![(5.0, Read(Some(lease("7", Some("other")))))]).release(), None);
    assert_eq!(after(vec![]).release(), None);
    let claim = Claim { over: Some("7".into()), transitions: 3, takes: false };
    assert_eq!(after(vec![(5.1, Wrote(lease("7", Some(ME)), 5.0))]).release(), Some(claim));
}

/// Replicas, whose clocks have nothing in common, over one Lease; requests fail, and a process stops for a while.
#[test]
fn no_two_act_at_one_time_whatever_stops_and_whatever_is_lost() {
    struct Replica {
        election: Election,
        /// What its clock says at 0.
        ahead: f64,
        /// It is stopped until then.
        stopped: f64,
    }
    let mut seed = 0x1234_5678_u64;
    let mut random = move |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    let mut leaders = 0;
    for _ in 0..200 {
        let mut replicas: Vec<Replica> = (0..3_u32)
            .map(|i| Replica { election: Election::new(i.to_string()), ahead: f64::from(i) * 1000.0, stopped: 0.0 })
            .collect();
        let mut store: Option<Lease> = None;
        let mut version = 0;
        for tick in 0..1200 {
            let now = f64::from(tick) * 0.1;
            for replica in &mut replicas {
                if random(600) == 0 {
                    replica.stopped = now + random(300) as f64 / 10.0;
                }
                if now < replica.stopped {
                    continue;
                }
                let clock = at(now + replica.ahead);
                let fate = random(10);
                match replica.election.next(clock) {
                    Next::Wait(_) => {}
                    Next::Read if fate == 0 => replica.election.failed(clock),
                    Next::Read => replica.election.read(store.clone(), clock),
                    Next::Write(claim) => {
                        let fits = claim.over == store.as_ref().map(|lease| lease.version.clone());
                        let applied = fits && fate != 0;
                        if applied {
                            version += 1;
                            let holder = Some(replica.election.me.clone());
                            store = Some(Lease {
                                holder,
                                transitions: claim.transitions,
                                ..lease(&version.to_string(), None)
                            });
                        }
                        match store.clone().filter(|_| applied && fate != 1) {
                            Some(lease) => replica.election.wrote(lease, clock, clock),
                            None => replica.election.failed(clock),
                        }
                    }
                }
            }
            let acts = |replica: &&Replica| {
                replica.election.leads_until().is_some_and(|until| at(now + replica.ahead) < until)
            };
            let acting = replicas.iter().filter(acts).count();
            assert!(acting <= 1, "at {now}: {acting} act");
            leaders += acting;
        }
    }
    assert!(leaders > 200 * 1200 / 2, "most of the time one leads: {leaders}");
}
