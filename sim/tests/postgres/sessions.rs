//! Sessions: who is let in, and how one ends.

use super::*;

#[test]
fn a_smart_shutdown_refuses_new_sessions_while_an_old_one_writes() {
    let mut pair = pair();
    let old = pair.start("pool", |net| {
        Box::pin(async move {
            let (client, connection) = session(&net, "pg.fsn", "app").await;
            tokio::spawn(connection);
            tokio::time::sleep(Duration::from_secs(2)).await;
            client.simple_query("insert into w values ('pool', 1)").await.is_ok()
        })
    });
    pair.run(0.5);
    pair.fsn.order(Order::Stop(Shutdown::Smart));
    assert_eq!(pair.insert("new", "fsn", 1, 0.5), Some(Err("57P03".into())));
    pair.run(2.0);
    assert_eq!(*old.lock().unwrap(), Some(true));
    assert_eq!(pair.fsn.snapshot().state, State::Stopped);
    assert_eq!(pair.events("shop-fsn").iter().filter(|event| **event == Event::RefusesWrites).count(), 1);
}

#[test]
fn a_fast_shutdown_terminates_sessions() {
    let mut pair = pair();
    let session = pair.start("pool", |net| {
        Box::pin(async move {
            let (client, connection) = session(&net, "pg.fsn", "app").await;
            let ended = connection.await;
            drop(client);
            ended.err().and_then(|error| error.code().map(|code| code.code().to_owned()))
        })
    });
    pair.run(0.5);
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    assert_eq!(session.lock().unwrap().clone(), Some(Some("57P01".to_owned())));
}

#[test]
fn a_wrong_password_is_refused_with_28p01() {
    let mut pair = pair();
    let tried = |net: Net, password: &'static str| -> Work<_> {
        Box::pin(async move { query(&net, "fsn", password, "select 1").await })
    };
    assert_eq!(pair.finish("a", 0.5, move |net| tried(net, PASSWORD)), Some(Ok(())));
    assert_eq!(pair.finish("b", 0.5, move |net| tried(net, "wrong")), Some(Err("28P01".into())));
}

#[test]
fn a_commit_that_waits_outlives_its_client_and_is_acknowledged_when_it_is_cancelled() {
    let mut pair = pair();
    let synchronous = Synchronous { standbys: vec!["shop-hel".into()], required: true };
    pair.fsn.configure(primary_configuration(synchronous));
    pair.fabric.partition("pg.fsn", "pg.hel");
    let cancelled = pair.start("a", |net| {
        Box::pin(async move {
            let (client, connection) = session(&net, "pg.fsn", "app").await;
            tokio::spawn(connection);
            let cancel = client.cancel_token();
            let later = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                let stream = net.connect("pg.fsn", 5432).await.unwrap();
                cancel.cancel_query_raw(stream, NoTls).await.unwrap();
            };
            let insert = client.simple_query("insert into w values ('a', 1)");
            futures_util::future::join(insert, later).await.0.is_ok()
        })
    });
    pair.run(4.0);
    // Its client gives up, and its session stays.
    assert_eq!(pair.insert("b", "fsn", 2, 1.0), None);
    assert_eq!(*cancelled.lock().unwrap(), None);
    pair.run(2.0);
    assert_eq!(*cancelled.lock().unwrap(), Some(true), "told that it is done, though nobody else has it");
    pair.fabric.crash("b");
    pair.run(40.0);
    assert_eq!(pair.fsn.snapshot().session_count, 1, "it waits for no client");
}

#[test]
fn sessions_are_ended_by_the_name_of_their_role() {
    let mut pair = pair();
    let held =
        pair.start("a", |net| Box::pin(async move { query(&net, "fsn", PASSWORD, "select pg_sleep(60)").await }));
    pair.run(0.5);
    let ended = pair.finish("b", 0.5, |net| {
        Box::pin(async move {
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity \
                       where usename = 'app' and pid <> pg_backend_pid()";
            query(&net, "fsn", PASSWORD, sql).await
        })
    });
    assert_eq!(ended, Some(Ok(())));
    assert!(matches!(&*held.lock().unwrap(), Some(Err(cause)) if cause.contains("closed") || cause == "57P01"));
}

#[test]
fn more_sessions_than_max_connections_are_refused() {
    let mut pair = pair();
    pair.fsn.order(Order::Stop(Shutdown::Fast));
    pair.run(1.0);
    let limits = Limits { max_connections: 5, ..Limits::default() };
    pair.fsn.configure(Configuration { limits, ..Configuration::default() });
    pair.fsn.order(Order::Start);
    pair.run(1.0);
    let log_in = |user: &'static str| {
        move |net: Net| -> Work<Result<(), String>> {
            Box::pin(async move {
                let stream = net.connect("pg.fsn", 5432).await.unwrap();
                let mut config = tokio_postgres::Config::new();
                config.user(user).password(PASSWORD).ssl_mode(SslMode::Disable);
                let entered = config.connect_raw(stream, NoTls).await;
                let (client, connection) = entered.map_err(|error| error.as_db_error().unwrap().to_string())?;
                connection.await.unwrap();
                drop(client);
                Ok(())
            })
        }
    };
    let slots = ["app", "app", "app", "postgres", "postgres", "postgres", "postgres"];
    let answers = slots.iter().enumerate().map(|(at, user)| pair.finish(&format!("client{at}"), 0.5, log_in(user)));
    let reserved = "FATAL: remaining connection slots are reserved for non-replication superuser connections";
    let refused = |why: &str| Some(Err(why.to_owned()));
    // A session that is open has no answer yet.
    let expected = [None, None, refused(reserved), None, None, None, refused("FATAL: sorry, too many clients already")];
    assert_eq!(answers.collect::<Vec<_>>(), expected);
}

#[test]
fn a_password_that_a_role_gives_itself_locks_out_who_has_the_old_one() {
    let mut pair = pair();
    let tried = |net: Net, password: &'static str, sql: &'static str| -> Work<_> {
        Box::pin(async move { query(&net, "fsn", password, sql).await })
    };
    let change = "alter role app password 'new'";
    assert_eq!(pair.finish("a", 0.5, move |net| tried(net, PASSWORD, change)), Some(Ok(())));
    assert_eq!(pair.finish("b", 0.5, move |net| tried(net, PASSWORD, "select 1")), Some(Err("28P01".into())));
    assert_eq!(pair.finish("c", 0.5, move |net| tried(net, "new", "select 1")), Some(Ok(())));
    // It is WAL: the standby follows.
    assert_eq!(pair.hel.password_of("app").as_deref(), Some("new"));
}
