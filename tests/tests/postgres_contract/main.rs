//! What the project believes of PostgreSQL as its probe sees it, put to the model and to a real pair alike.

#![allow(clippy::unwrap_used, reason = "the claims are test code, called from the tests at the end")]

mod model;
mod real;

use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{Accepts, DatabaseView, Seen};
use continuum_core::ports::{ActOnDatabase, ObserveDatabase, Outcome};
use continuum_core::roles::RoleLogin;
use continuum_live::byte_stream::ByteStream;
use continuum_live::postgres::{Login, PostgresProbe};
use continuum_tests::real_postgres::{MONITOR_ROLE, NO_PASSWORD_ROLE, PASSWORD, PLAIN_ROLE, SUPERUSER};
use model::Model;
use real::Real;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{NoTls, SimpleQueryMessage, SimpleQueryRow};

/// Longer than anything here takes that ends at all.
const LIMIT: Duration = Duration::from_secs(3);

/// The half that is the primary at the start.
const PRIMARY: usize = 0;
/// The half that follows it, as `shop-hel`.
const STANDBY: usize = 1;

/// What the probe said of a half within [`LIMIT`].
#[derive(Debug)]
enum Said {
    Look(Seen<DatabaseView>),
    Tried(Outcome),
    LetIn(Seen<Result<(), String>>),
    /// Nothing.
    Silence,
}

#[derive(Clone, Copy)]
enum Ask {
    Look,
    Try { commit: bool },
    LetIn { user: &'static str, password: &'static str },
}

/// A pair under test. The claims follow each other on it.
trait Pair {
    /// Asks with the production probe, as a member of `pg_monitor` or as a plain role.
    fn ask(&mut self, half: usize, ask: Ask, monitor: bool) -> Said;
    /// What a query string gives: the rows of all its statements, each as its columns joined, or the SQLSTATE.
    fn query(&mut self, half: usize, user: &str, sql: &str) -> Result<Vec<String>, String>;
    /// The role is a plain one and `number` a row of its own.
    fn insert(&mut self, half: usize, number: u64) {
        let sql = format!("insert into w values ('client', {number})");
        assert_eq!(self.query(half, PLAIN_ROLE, &sql), Ok(Vec::new()));
    }
    fn pause_replay(&mut self, paused: bool);
    /// Commits on the primary wait for a standby of this name, or for none.
    fn wait_for(&mut self, standby: Option<&str>);
    fn stop(&mut self, half: usize);
    fn promote(&mut self);
    /// A setting of the standby's waits for a restart, or none does.
    fn await_restart(&mut self, waits: bool);
    /// Sessions of the probe on the primary that the server still has.
    fn probe_sessions(&mut self) -> usize;
    /// Lets replication settle.
    fn settle(&mut self);

    fn look(&mut self, half: usize) -> DatabaseView {
        match self.ask(half, Ask::Look, true) {
            Said::Look(Seen::Is(view)) => view,
            other => panic!("{other:?}"),
        }
    }
}

async fn say(probe: PostgresProbe, half: usize, ask: Ask) -> Said {
    let region = Region::new(["fsn", "hel"][half]);
    let cluster = ObjectName::new("shop", "shop");
    match ask {
        Ask::Look => Said::Look(probe.look(&region, &cluster).await),
        Ask::LetIn { user, password } => {
            let login = RoleLogin { user: user.into(), password: password.into() };
            Said::LetIn(probe.lets_in(&region, &cluster, &login).await)
        }
        Ask::Try { commit } => Said::Tried(probe.try_write(&region, &cluster, commit).await),
    }
}

/// The rows, each as its columns joined, or the SQLSTATE.
async fn run_sql(stream: impl ByteStream + 'static, user: &str, sql: &str) -> Result<Vec<String>, String> {
    let mut config = tokio_postgres::Config::new();
    config.user(user).password(PASSWORD).dbname(SUPERUSER).ssl_mode(SslMode::Disable);
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = client.simple_query(sql).await;
    drop(client);
    let ended = connection.await.unwrap();
    let code = |error: tokio_postgres::Error| error.code().map(|code| code.code().to_owned());
    // Why a session was ended is told by its connection.
    let messages = answer.map_err(|error| code(error).or(ended.err().and_then(code)).unwrap())?;
    let text =
        |row: &SimpleQueryRow| (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect::<Vec<_>>().join(" ");
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(text(row)),
        _ => None,
    });
    Ok(rows.collect())
}

fn login(monitor: bool) -> Login {
    let user = if monitor { MONITOR_ROLE } else { PLAIN_ROLE };
    Login { user: user.into(), password: Some(PASSWORD.into()), database: SUPERUSER.into() }
}

// The claims.

fn primary_and_standby_show_what_they_are(pair: &mut dyn Pair) {
    pair.insert(PRIMARY, 1);
    pair.settle();
    let (primary, standby) = (pair.look(PRIMARY), pair.look(STANDBY));
    assert_eq!((primary.accepts, primary.in_recovery), (Accepts::Yes, Some(false)));
    assert_eq!((standby.accepts, standby.in_recovery), (Accepts::No, Some(true)));
    assert_eq!((primary.timeline, standby.timeline), (Some(1), Some(1)));
    assert_eq!((primary.archive_mode.as_deref(), standby.archive_mode.as_deref()), (Some("on"), Some("always")));
    assert!(primary.system_id.is_some());
    assert_eq!(primary.system_id, standby.system_id);
    assert_eq!((primary.replay_paused, standby.replay_paused), (None, Some(false)));
    // A server may write WAL of its own between the two looks.
    assert!(primary.lsn.is_some() && primary.lsn <= standby.lsn);
    assert!(primary.lag_to("shop-hel").is_some_and(|lag| lag < Duration::from_secs(1)));
    assert_eq!(standby.replicas, Some(Vec::new()));
}

fn a_plain_role_leaves_lag_unmeasured_and_the_rest_known(pair: &mut dyn Pair) {
    pair.settle();
    let Said::Look(Seen::Is(view)) = pair.ask(PRIMARY, Ask::Look, false) else { panic!("no view") };
    assert_eq!(view.replicas, None);
    assert_eq!((view.accepts, view.timeline), (Accepts::Yes, Some(1)));
    let Said::Look(Seen::Is(view)) = pair.ask(STANDBY, Ask::Look, false) else { panic!("no view") };
    assert_eq!((view.in_recovery, view.timeline), (Some(true), Some(1)));
}

fn only_a_primary_takes_a_write(pair: &mut dyn Pair) {
    for commit in [false, true] {
        match pair.ask(PRIMARY, Ask::Try { commit }, true) {
            Said::Tried(Outcome::Done(())) => {}
            other => panic!("{other:?}"),
        }
        match pair.ask(STANDBY, Ask::Try { commit }, true) {
            Said::Tried(Outcome::NotApplied(cause)) => assert!(cause.starts_with("25006 "), "{cause}"),
            other => panic!("{other:?}"),
        }
    }
}

fn a_role_is_let_in_with_its_password_and_with_no_other(pair: &mut dyn Pair) {
    is_let_in(pair, PLAIN_ROLE, PASSWORD);
    is_kept_out(pair, PLAIN_ROLE, &["wrong", ""]);
}

fn a_role_that_has_no_password_is_let_in_with_none(pair: &mut dyn Pair) {
    is_kept_out(pair, "nobody", &[PASSWORD, ""]);
    is_kept_out(pair, NO_PASSWORD_ROLE, &[PASSWORD, ""]);
    pair.query(PRIMARY, SUPERUSER, &format!("alter role {NO_PASSWORD_ROLE} password 'given'")).unwrap();
    is_let_in(pair, NO_PASSWORD_ROLE, "given");
    // An empty one takes it away.
    pair.query(PRIMARY, SUPERUSER, &format!("alter role {NO_PASSWORD_ROLE} password ''")).unwrap();
    is_kept_out(pair, NO_PASSWORD_ROLE, &["given", ""]);
}

fn is_let_in(pair: &mut dyn Pair, user: &'static str, password: &'static str) {
    pair.settle();
    for half in [PRIMARY, STANDBY] {
        match pair.ask(half, Ask::LetIn { user, password }, false) {
            Said::LetIn(Seen::Is(Ok(()))) => {}
            other => panic!("{user} with {password:?}: {other:?}"),
        }
    }
}

fn is_kept_out(pair: &mut dyn Pair, user: &'static str, passwords: &[&'static str]) {
    pair.settle();
    for (half, password) in [PRIMARY, STANDBY].into_iter().flat_map(|half| passwords.iter().map(move |p| (half, *p))) {
        match pair.ask(half, Ask::LetIn { user, password }, false) {
            Said::LetIn(Seen::Is(Err(cause))) => assert_eq!(cause, "28P01", "and no word of the secret"),
            other => panic!("{user} with {password:?}: {other:?}"),
        }
    }
}

fn paused_replay_shows_in_the_standby_and_as_lag_that_is_not_zero(pair: &mut dyn Pair) {
    pair.settle();
    pair.pause_replay(true);
    pair.insert(PRIMARY, 1);
    let (primary, standby) = (pair.look(PRIMARY), pair.look(STANDBY));
    assert_eq!(standby.replay_paused, Some(true));
    assert!(standby.lsn < primary.lsn);
    assert_ne!(primary.lag_to("shop-hel"), Some(Duration::ZERO));
    pair.pause_replay(false);
}

fn a_commit_wants_the_synchronous_standbys_word_and_leaves_nobody_waiting_for_it(pair: &mut dyn Pair) {
    pair.wait_for(Some("shop-hel"));
    let said = pair.ask(PRIMARY, Ask::Try { commit: true }, true);
    assert!(matches!(said, Said::Tried(Outcome::Done(()))), "{said:?}");
    pair.wait_for(Some("nobody"));
    match pair.ask(PRIMARY, Ask::Try { commit: true }, true) {
        Said::Tried(Outcome::NotApplied(cause)) => assert!(cause.contains("0 of 1 synchronous standbys"), "{cause}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pair.probe_sessions(), 0, "nothing waits on the server");
    // A role that may not see who confirms cannot tell, and never says yes.
    pair.wait_for(Some("shop-hel"));
    let said = pair.ask(PRIMARY, Ask::Try { commit: true }, false);
    assert!(matches!(said, Said::Tried(Outcome::NotApplied(_))), "{said:?}");
    assert!(matches!(pair.ask(PRIMARY, Ask::Try { commit: false }, true), Said::Tried(Outcome::Done(()))));
    pair.wait_for(None);
}

fn a_setting_that_waits_for_a_restart_is_seen(pair: &mut dyn Pair) {
    assert_eq!(pair.look(STANDBY).pending_restart, Some(false));
    pair.await_restart(true);
    assert_eq!(pair.look(STANDBY).pending_restart, Some(true));
    pair.await_restart(false);
    assert_eq!(pair.look(STANDBY).pending_restart, Some(false));
}

fn what_a_promotion_needs_is_seen_on_both(pair: &mut dyn Pair) {
    let (primary, standby) = (pair.look(PRIMARY), pair.look(STANDBY));
    assert!(primary.hot_standby.is_some_and(|settings| settings.connections >= 100));
    assert_eq!(primary.hot_standby, standby.hot_standby);
    assert_eq!((primary.logical_slots, standby.logical_slots), (Some(Vec::new()), Some(Vec::new())));
    let row = &primary.replicas.as_ref().unwrap()[0];
    assert!(
        row.clock_ahead().is_none() && row.silent_for().is_some_and(|age| age < Duration::from_secs(11)),
        "{row:?}"
    );
}

/// The model has its own reading of SQL: what it makes of queries that the probe never sends is held here, too.
fn queries_are_answered_by_what_they_say(pair: &mut dyn Pair) {
    pair.query(PRIMARY, PLAIN_ROLE, "insert into w values ('it''s', 7)").unwrap();
    pair.settle();
    let rows = |rows: &[&str]| Ok::<_, String>(rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>());
    for (half, sql, answer) in [
        (PRIMARY, "SELECT 1 + 2 * 3 AS x, 7 / 2, 'a' || 'b', null, NOT true and true", &["7 3 ab NULL f"][..]),
        (STANDBY, "select client, number from w where number >= 7 and client = 'it''s'", &["it's 7"]),
        (PRIMARY, "select count(*), max(number), count(client) from w where number > 100", &["0 NULL 0"]),
        (STANDBY, "select case when pg_is_in_recovery() then 'standby' else 'primary' end", &["standby"]),
        (PRIMARY, "select current_setting('in_hot_standby'), current_user", &["off continuum"]),
        (STANDBY, "select current_setting('in_hot_standby') = 'on', 2 in (1, 2), null in (1)", &["t t NULL"]),
        (
            PRIMARY,
            "select application_name, flush_lsn <= pg_current_wal_lsn(), extract(epoch from now() - reply_time) < 30, \
             replay_lsn - '0/0' > 0 from pg_stat_replication where sync_state in ('async', 'sync')",
            &["shop-hel t t t"],
        ),
        (PRIMARY, "select bool_or(pending_restart), count(*) from pg_settings where name = 'archive_mode'", &["f 1"]),
        (PRIMARY, "select ('x' || '0000000A')::bit(32)::int, '12'::bigint + 1, 5::text || 'x'", &["10 13 5x"]),
        (PRIMARY, "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline", &["00000001"]),
        (STANDBY, "select status, received_tli from pg_stat_wal_receiver", &["streaming 1"]),
        (PRIMARY, "select (select status from pg_stat_wal_receiver) is null", &["t"]),
        (PRIMARY, "select timeline_id from pg_control_checkpoint()", &["1"]),
        (PRIMARY, "select greatest(1, null, 3), least(2, 1), coalesce(null, 'x')", &["3 1 x"]),
        (PRIMARY, "select backend_type from pg_stat_activity where pid = pg_backend_pid()", &["client backend"]),
        (PRIMARY, "select pg_last_wal_replay_lsn(); select 2", &["NULL", "2"]),
        (PRIMARY, "select '0/3000028'::pg_lsn > '0/2FFFFFF', pg_wal_lsn_diff('0/20', '0/10')", &["t 16"]),
        // What is rolled back was never there, nor what stands before a mistake in the same query string.
        (PRIMARY, "begin; insert into w values ('x', 1); rollback", &[]),
        (PRIMARY, "begin; insert into w values ('y', 1); commit; select 1", &["1"]),
        (PRIMARY, "select client from w where client in ('x', 'y', 'z')", &["y"]),
    ] {
        assert_eq!(pair.query(half, MONITOR_ROLE, sql), rows(answer), "{sql}");
    }
    for (half, sql, code) in [
        (STANDBY, "select pg_current_wal_lsn()", "55000"),
        (STANDBY, "select pg_walfile_name('0/3000028')", "55000"),
        (PRIMARY, "select pg_is_wal_replay_paused()", "55000"),
        (PRIMARY, "select nobody()", "42883"),
        (PRIMARY, "select nothing from w", "42703"),
        (PRIMARY, "select slot from pg_replication_slots", "42703"),
        (PRIMARY, "select 1 from nowhere", "42P01"),
        (PRIMARY, "select from from", "42601"),
        (PRIMARY, "select 1 1", "42601"),
        (PRIMARY, "select current_setting('nothing')", "42704"),
        (PRIMARY, "select 'x'::int", "22P02"),
        (PRIMARY, "select 1 / 0", "22012"),
        (PRIMARY, "select pg_wal_replay_pause()", "42501"),
        (PRIMARY, "insert into w values ('z', 1); select nothing from w", "42703"),
        (PRIMARY, "begin; select 1 / 0; select 1", "22012"),
        (STANDBY, "insert into w values ('x', 1)", "25006"),
        (STANDBY, "select pg_current_xact_id()", "25006"),
        (STANDBY, "select pg_logical_emit_message(true, 'a', 'b')", "XX000"),
    ] {
        assert_eq!(pair.query(half, MONITOR_ROLE, sql), Err(code.to_owned()), "{sql}");
    }
    assert_eq!(pair.query(PRIMARY, PLAIN_ROLE, "select count(*) from w where client = 'z'"), rows(&["0"]));
    // What a plain role may see of others, and do to them.
    let others = "select usename, application_name = '', backend_type from pg_stat_activity where usename = 'app'";
    assert_eq!(pair.query(PRIMARY, PLAIN_ROLE, others), rows(&["app t client backend"]));
    let ended = "select pg_terminate_backend(pid) from pg_stat_activity where usename = ";
    assert_eq!(pair.query(PRIMARY, PLAIN_ROLE, &format!("{ended}'app'")), Err("57P01".into()));
    assert_eq!(pair.query(PRIMARY, PLAIN_ROLE, "select pg_cancel_backend(pg_backend_pid())"), Err("57014".into()));
}

fn a_stopped_server_refuses_writes(pair: &mut dyn Pair) {
    pair.stop(PRIMARY);
    let view = pair.look(PRIMARY);
    assert_eq!((view.accepts, view.detail.as_str()), (Accepts::No, "connection refused"));
    match pair.ask(PRIMARY, Ask::LetIn { user: PLAIN_ROLE, password: PASSWORD }, false) {
        Said::LetIn(Seen::Unknown(cause)) => assert_eq!(cause, "connection refused"),
        other => panic!("{other:?}"),
    }
    match pair.ask(PRIMARY, Ask::Try { commit: false }, true) {
        Said::Tried(Outcome::NotApplied(cause)) => assert_eq!(cause, "connection refused"),
        other => panic!("{other:?}"),
    }
}

/// The primary is stopped.
fn a_promoted_standby_shows_its_new_timeline_at_once(pair: &mut dyn Pair) {
    pair.promote();
    let view = pair.look(STANDBY);
    assert_eq!((view.accepts, view.timeline), (Accepts::Yes, Some(2)));
    assert_eq!(view.archive_mode.as_deref(), Some("always"), "until it is restarted");
}

/// In an order in which each finds what it needs.
const CLAIMS: [fn(&mut dyn Pair); 12] = [
    primary_and_standby_show_what_they_are,
    a_plain_role_leaves_lag_unmeasured_and_the_rest_known,
    only_a_primary_takes_a_write,
    a_role_is_let_in_with_its_password_and_with_no_other,
    a_role_that_has_no_password_is_let_in_with_none,
    paused_replay_shows_in_the_standby_and_as_lag_that_is_not_zero,
    a_commit_wants_the_synchronous_standbys_word_and_leaves_nobody_waiting_for_it,
    a_setting_that_waits_for_a_restart_is_seen,
    what_a_promotion_needs_is_seen_on_both,
    queries_are_answered_by_what_they_say,
    a_stopped_server_refuses_writes,
    a_promoted_standby_shows_its_new_timeline_at_once,
];

#[test]
fn the_model_holds_the_contract() {
    let mut model = Model::new();
    CLAIMS.iter().for_each(|claim| claim(&mut model));
}

#[test]
fn a_real_pair_holds_the_contract() {
    let Some(mut real) = Real::new() else { return };
    // The model has no such setting, and no logical slots.
    a_read_only_default_is_seen_by_both_probes(&mut real);
    a_logical_slot_is_seen_where_it_is(&mut real);
    CLAIMS.iter().for_each(|claim| claim(&mut real));
}

fn a_read_only_default_is_seen_by_both_probes(real: &mut Real) {
    real.sql(PRIMARY, SUPERUSER, "alter role continuum set default_transaction_read_only = on");
    let view = real.look(PRIMARY);
    assert_eq!((view.accepts, view.detail.as_str()), (Accepts::No, "read-only"));
    for commit in [false, true] {
        let said = real.ask(PRIMARY, Ask::Try { commit }, true);
        assert!(matches!(said, Said::Tried(Outcome::NotApplied(_))), "{said:?}");
    }
    real.sql(PRIMARY, SUPERUSER, "alter role continuum reset default_transaction_read_only");
}

fn a_logical_slot_is_seen_where_it_is(real: &mut Real) {
    real.sql(PRIMARY, SUPERUSER, "select pg_create_logical_replication_slot('feed', 'test_decoding')");
    assert_eq!(real.look(PRIMARY).logical_slots, Some(vec!["feed".to_owned()]));
    assert_eq!(real.look(STANDBY).logical_slots, Some(Vec::new()));
    real.sql(PRIMARY, SUPERUSER, "select pg_drop_replication_slot('feed')");
}
