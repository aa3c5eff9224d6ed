//! Streaming, promotion, and what a standby that is away, silent or behind looks like.

use super::*;

#[test]
fn paused_replay_shows_as_a_position_behind() {
    let mut pair = pair();
    pair.hel.set_replay_paused(true);
    pair.run(6.0);
    assert_eq!(pair.insert("clients.fsn", "fsn", 1, 0.5), Some(Ok(())));
    let (fsn, hel) = (pair.view("a", "fsn"), pair.view("b", "hel"));
    assert_eq!(hel.replay_paused, Some(true));
    assert!(hel.lsn < fsn.lsn);
    assert_eq!(fsn.lag_to("shop-hel"), None, "behind with no lag that was ever measured");
}

#[test]
fn a_clean_shutdown_reaches_the_standby_before_it_ends() {
    let mut pair = pair();
    pair.insert("clients.fsn", "fsn", 1, 0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    let (fsn, hel) = (pair.fsn.snapshot(), pair.hel.snapshot());
    assert_eq!(fsn.state, State::Stopped);
    assert_eq!(fsn.checkpoint, hel.checkpoint);
    assert_eq!(fsn.end, hel.replayed);
}

#[test]
fn promotion_starts_a_timeline_and_the_old_primary_follows_it() {
    let mut pair = pair();
    pair.insert("clients.fsn", "fsn", 1, 0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    pair.fsn.configure(Configuration {
        archive_mode: "always".into(),
        standby: true,
        ..primary_configuration(Synchronous::default())
    });
    pair.fsn.order(Order::Start);
    pair.hel.order(Order::Promote);
    pair.hel.configure(Configuration { standby: true, ..primary_configuration(Synchronous::default()) });
    pair.run(8.0);
    assert!(pair.hel.accepts_writes());
    assert!(pair.hel.snapshot().pending_restart, "it was started with archive_mode always");
    assert_eq!(pair.insert("clients.hel", "hel", 2, 0.5), Some(Ok(())));
    let fsn = pair.fsn.snapshot();
    assert_eq!((fsn.timeline, fsn.streaming), (2, true));
    assert_eq!(pair.fsn.rows(), pair.hel.rows());
}

#[test]
fn a_half_that_wrote_past_the_fork_cannot_follow() {
    let mut pair = pair();
    pair.hel.order(Order::Promote);
    pair.run(1.0);
    pair.insert("clients.fsn", "fsn", 1, 0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    pair.fsn.configure(Configuration {
        archive_mode: "always".into(),
        standby: true,
        ..primary_configuration(Synchronous::default())
    });
    pair.fsn.order(Order::Start);
    pair.run(12.0);
    let fsn = pair.fsn.snapshot();
    assert_eq!((fsn.in_recovery, fsn.streaming, fsn.timeline), (true, false, 1));
}

#[test]
fn a_synchronous_commit_waits_for_the_other_half() {
    let mut pair = pair();
    let synchronous = Synchronous { standbys: vec!["shop-hel".into()], required: true };
    pair.fsn.configure(primary_configuration(synchronous));
    assert_eq!(pair.insert("a", "fsn", 1, 0.5), Some(Ok(())));
    pair.fabric.partition("pg.fsn", "pg.hel");
    assert_eq!(pair.insert("b", "fsn", 2, 20.0), None, "nobody acknowledges");
    assert_eq!(pair.try_write("c", "fsn", false, 1.0), Some(Outcome::Done(())), "a roll back does not wait");
    pair.fabric.repair("pg.fsn", "pg.hel");
    assert_eq!(pair.insert("d", "fsn", 3, 12.0), Some(Ok(())));
    assert_eq!(pair.fsn.rows(), pair.hel.rows());
}

#[test]
fn a_partition_is_noticed_on_both_sides_and_the_stream_comes_back() {
    let mut pair = pair();
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.run(12.0);
    assert_eq!(pair.view("a", "fsn").replicas, Some(Vec::new()));
    assert!(!pair.hel.snapshot().streaming);
    pair.fabric.repair("pg.fsn", "pg.hel");
    pair.run(12.0);
    assert!(pair.hel.snapshot().streaming);
}

#[test]
fn a_crashed_host_loses_no_commit_and_recovers() {
    let mut pair = pair();
    assert_eq!(pair.insert("a", "fsn", 1, 0.5), Some(Ok(())));
    pair.fabric.crash("pg.fsn");
    assert!(pair.events("shop-fsn").contains(&Event::Killed));
    assert!(!pair.fsn.snapshot().alive);
    pair.run(1.0);
    pair.fabric.restart("pg.fsn");
    pair.run(0.1);
    pair.fsn.order(Order::Start);
    pair.run(2.0);
    assert!(pair.fsn.accepts_writes());
    assert_eq!(pair.fsn.rows().len(), 1);
}

#[test]
fn a_standby_that_fell_silent_looks_streaming_until_its_sender_gives_up() {
    let mut pair = pair();
    let patient = Configuration { wal_sender_timeout: Duration::from_secs(60), ..Configuration::default() };
    pair.fsn.configure(patient);
    pair.insert("a", "fsn", 1, 0.5);
    let _ = pair.start("outside", |_| Box::pin(async {}));
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.insert("b", "fsn", 2, 0.5);
    pair.run(20.0);
    let rows = pair.view("c", "fsn").replicas.unwrap();
    assert_eq!(rows.iter().map(|row| row.streaming).collect::<Vec<_>>(), [true]);
    // Its receiver, which gave up sooner, comes back: two rows of one name, the dead one first.
    pair.fabric.repair("pg.fsn", "pg.hel");
    pair.run(8.0);
    let sql = "select extract(epoch from clock_timestamp() - reply_time) > 10 from pg_stat_replication";
    assert_eq!(ask(&mut pair, "d", "fsn", sql), Ok(vec!["t".to_owned(), "f".to_owned()]));
    pair.run(40.0);
    assert_eq!(ask(&mut pair, "e", "fsn", sql), Ok(vec!["f".to_owned()]));
}

#[test]
fn a_silent_standby_whose_clock_is_ahead_is_not_taken_for_fresh() {
    let mut pair = pair();
    let patient = Configuration { wal_sender_timeout: Duration::from_secs(60), ..Configuration::default() };
    pair.fsn.configure(patient);
    pair.hel.set_clock_ahead(Duration::from_secs(30));
    pair.insert("a", "fsn", 1, 0.5);
    assert_eq!(pair.view("b", "fsn").lag_to("shop-hel"), Some(Duration::ZERO), "it has everything, by any clock");
    let _ = pair.start("outside", |_| Box::pin(async {}));
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.insert("c", "fsn", 2, 0.5);
    pair.run(15.0);
    let view = pair.view("d", "fsn");
    let row = &view.replicas.as_ref().unwrap()[0];
    assert!(row.streaming && row.clock_ahead().is_some_and(|ahead| ahead > Duration::from_secs(5)), "{row:?}");
    assert_eq!(view.lag_to("shop-hel"), None);
}

#[test]
fn a_silent_standby_holds_a_fast_shutdown_up() {
    let mut pair = pair();
    pair.fsn.configure(Configuration { wal_sender_timeout: Duration::from_secs(60), ..Configuration::default() });
    pair.fabric.partition("pg.fsn", "pg.hel");
    pair.run(1.0);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(50.0);
    assert_eq!(pair.fsn.snapshot().state, State::Stopping(Shutdown::Fast));
    pair.run(12.0);
    assert_eq!(pair.fsn.snapshot().state, State::Stopped);
}

#[test]
fn a_standby_with_lower_settings_streams_and_its_promotion_ends_it() {
    let mut pair = pair();
    let higher = Limits { max_connections: 300, ..Limits::default() };
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    pair.fsn.configure(Configuration { limits: higher, ..Configuration::default() });
    pair.fsn.order(Order::Start);
    pair.run(8.0);
    pair.insert("a", "fsn", 1, 0.5);
    let hel = pair.hel.snapshot();
    assert_eq!((hel.state, hel.streaming, hel.replay_paused), (State::Running, true, true));
    assert!(hel.replayed < hel.end);
    pair.hel.order(Order::Promote);
    pair.run(2.0);
    assert_eq!(pair.hel.snapshot().state, State::Stopped);
    // It does not start either, until the setting is raised.
    pair.hel.order(Order::Start);
    pair.run(2.0);
    assert_eq!(pair.hel.snapshot().state, State::Stopped);
    pair.hel.configure(Configuration { limits: higher, ..pair.hel.configuration() });
    pair.hel.order(Order::Start);
    pair.run(2.0);
    assert_eq!(pair.hel.snapshot().state, State::Running);
}
