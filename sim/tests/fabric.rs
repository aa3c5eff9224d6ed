//! What hosts on the fabric can rely on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use continuum_sim::fabric::{BoxStream, Fabric, FabricKind, FabricOptions, Net};
use continuum_sim::{determinism, here, trace};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Each claim is one about both fabrics.
macro_rules! on_both {
    ($($claim:ident),+ $(,)?) => {
        mod on_turmoil {
            $(#[test]
            fn $claim() {
                super::$claim(super::FabricKind::Turmoil);
            })+
        }
        mod on_direct {
            $(#[test]
            fn $claim() {
                super::$claim(super::FabricKind::Direct);
            })+
        }
    };
}

on_both! {
    a_partition_silences_both_ways_until_repaired,
    a_partition_of_one_way_loses_the_answers_only,
    one_way_that_is_repaired_leaves_the_way_back_cut,
    a_crash_and_restart_leaves_the_partitions_of_a_host_as_they_were,
    a_crashed_host_is_silent_and_answers_again_once_restarted,
    a_paused_server_accepts_connections_but_says_nothing_until_it_resumes,
    a_timer_of_a_paused_host_fires_late,
    a_latency_of_a_link_ends_with_it,
    a_name_that_is_no_host_is_not_found,
    an_address_leads_back_to_the_name_of_its_host,
    datagrams_reach_a_host_and_their_answers_come_back,
    a_panic_of_a_hosts_software_ends_the_run_with_an_error_that_names_it,
    a_run_ends_when_its_time_is_up,
    a_line_of_the_trace_carries_simulated_time_and_host_also_from_a_librarys_task,
    the_same_seed_gives_the_same_run,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Seen = Arc<Mutex<Vec<(u64, String)>>>;

/// `echo.fsn` answers each byte; `caller.hel` sends one each 100 ms over a new stream and notes the answers.
fn world(kind: FabricKind, seed: u64) -> (Box<dyn Fabric>, Seen) {
    let mut fabric = kind.build(FabricOptions { seed, ..FabricOptions::default() });
    let net = fabric.net();
    fabric.host(
        "echo.fsn",
        Box::new(move || {
            let net = net.clone();
            Box::pin(async move {
                let listener = net.listen(7).await.unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    net.spawn(Box::pin(echo(stream)));
                }
            })
        }),
    );
    let seen = Seen::default();
    let (net, notes) = (fabric.net(), seen.clone());
    fabric.host(
        "caller.hel",
        Box::new(move || {
            let (net, notes) = (net.clone(), notes.clone());
            Box::pin(async move {
                loop {
                    tokio::time::sleep(ms(100)).await;
                    let sent = net.now().as_millis() as u64;
                    let answer = tokio::time::timeout(ms(80), call(&net)).await;
                    let note = match answer {
                        Ok(Ok(())) => "answered".to_string(),
                        Ok(Err(error)) => error.kind().to_string(),
                        Err(_) => "silence".to_string(),
                    };
                    notes.lock().unwrap().push((sent, note));
                }
            })
        }),
    );
    (fabric, seen)
}

async fn echo(mut stream: BoxStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).await.is_ok() {
        if stream.write_all(&byte).await.is_err() {
            return;
        }
    }
}

async fn call(net: &Net) -> std::io::Result<()> {
    let mut stream = net.connect("echo.fsn", 7).await?;
    stream.write_all(b"x").await?;
    stream.read_exact(&mut [0]).await.map(|_| ())
}

fn run(fabric: &mut Box<dyn Fabric>, for_: Duration) {
    let end = fabric.now() + for_;
    while fabric.now() < end {
        fabric.step().unwrap();
    }
}

fn answers(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().drain(..).map(|(_, note)| note).collect()
}

fn all(notes: &[String], what: &str) -> bool {
    !notes.is_empty() && notes.iter().all(|note| note == what)
}

fn a_partition_silences_both_ways_until_repaired(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen), "answered"));
    fabric.partition("caller.hel", "echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "silence"));
    fabric.repair("echo.fsn", "caller.hel");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "answered"));
}

fn a_partition_of_one_way_loses_the_answers_only(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    fabric.partition_one_way("echo.fsn", "caller.hel");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen), "silence"));
    fabric.repair("caller.hel", "echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "answered"));
}

fn one_way_that_is_repaired_leaves_the_way_back_cut(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    fabric.partition("caller.hel", "echo.fsn");
    fabric.repair_one_way("caller.hel", "echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen), "silence"));
    fabric.repair_one_way("echo.fsn", "caller.hel");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "answered"));
}

fn a_crash_and_restart_leaves_the_partitions_of_a_host_as_they_were(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    fabric.partition("caller.hel", "echo.fsn");
    fabric.crash("echo.fsn");
    run(&mut fabric, ms(500));
    fabric.restart("echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen), "silence"));
    fabric.repair("caller.hel", "echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "answered"));
}

fn a_crashed_host_is_silent_and_answers_again_once_restarted(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    run(&mut fabric, ms(500));
    answers(&seen);
    fabric.crash("echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "silence"));
    fabric.restart("echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "answered"));
}

fn a_paused_server_accepts_connections_but_says_nothing_until_it_resumes(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    run(&mut fabric, ms(500));
    answers(&seen);
    fabric.pause("echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "silence"));
    fabric.resume("echo.fsn");
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[1..], "answered"));
}

fn a_timer_of_a_paused_host_fires_late(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    run(&mut fabric, ms(50));
    fabric.pause("caller.hel");
    run(&mut fabric, ms(1000));
    assert!(seen.lock().unwrap().is_empty());
    fabric.resume("caller.hel");
    run(&mut fabric, ms(200));
    let first = seen.lock().unwrap()[0].0;
    assert!((1050..1060).contains(&first), "{first}");
}

fn a_latency_of_a_link_ends_with_it(kind: FabricKind) {
    let (mut fabric, seen) = world(kind, 1);
    fabric.latency("echo.fsn", "caller.hel", Some(ms(200)));
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen), "silence"));
    fabric.latency("echo.fsn", "caller.hel", None);
    run(&mut fabric, ms(1000));
    assert!(all(&answers(&seen)[2..], "answered"));
}

fn a_name_that_is_no_host_is_not_found(kind: FabricKind) {
    let fabric = kind.build(FabricOptions::default());
    assert_eq!(fabric.net().lookup("nobody.fsn"), None);
}

fn an_address_leads_back_to_the_name_of_its_host(kind: FabricKind) {
    let (fabric, _) = world(kind, 1);
    let net = fabric.net();
    let address = net.lookup("caller.hel").unwrap();
    assert_eq!(net.reverse_lookup(address).as_deref(), Some("caller.hel"));
}

fn datagrams_reach_a_host_and_their_answers_come_back(kind: FabricKind) {
    let mut fabric = kind.build(FabricOptions::default());
    let net = fabric.net();
    fabric.host(
        "vantage1",
        Box::new(move || {
            let net = net.clone();
            Box::pin(async move {
                let socket = net.bind(53).await.unwrap();
                let mut buffer = [0; 512];
                loop {
                    let (length, from) =
                        std::future::poll_fn(|cx| socket.poll_recv_from(cx, &mut buffer)).await.unwrap();
                    socket.send_to(&buffer[..length], from).unwrap();
                }
            })
        }),
    );
    let got = Arc::new(Mutex::new(Vec::new()));
    let (net, notes) = (fabric.net(), got.clone());
    fabric.host(
        "caller.hel",
        Box::new(move || {
            let (net, notes) = (net.clone(), notes.clone());
            Box::pin(async move {
                let socket = net.bind(0).await.unwrap();
                let to = (net.lookup("vantage1").unwrap(), 53).into();
                socket.send_to(b"who?", to).unwrap();
                let mut buffer = [0; 512];
                let (length, _) = std::future::poll_fn(|cx| socket.poll_recv_from(cx, &mut buffer)).await.unwrap();
                notes.lock().unwrap().extend_from_slice(&buffer[..length]);
            })
        }),
    );
    run(&mut fabric, ms(200));
    assert_eq!(*got.lock().unwrap(), b"who?");
}

/// The message of the error that ends a run in which `work` panics.
fn failure_of(kind: FabricKind, work: fn(Net)) -> String {
    let mut fabric = kind.build(FabricOptions::default());
    let net = fabric.net();
    fabric.host(
        "controller.fsn",
        Box::new(move || {
            let net = net.clone();
            Box::pin(async move { work(net) })
        }),
    );
    let error = fabric.step().and_then(|()| fabric.step()).unwrap_err();
    assert!(fabric.step().is_err(), "a failed simulation stays failed");
    error.message
}

fn a_panic_of_a_hosts_software_ends_the_run_with_an_error_that_names_it(kind: FabricKind) {
    let spawned_by_a_library: fn(Net) = match kind {
        FabricKind::Turmoil => |_| drop(tokio::spawn(async { panic!("on purpose") })),
        // There, libraries are given an executor.
        FabricKind::Direct => {
            |net| net.clone().spawn(Box::pin(async move { net.spawn(Box::pin(async { panic!("on purpose") })) }))
        }
    };
    for work in [
        (|_| panic!("on purpose")) as fn(Net),
        |net| net.spawn(Box::pin(async { panic!("on purpose") })),
        spawned_by_a_library,
    ] {
        let message = failure_of(kind, work);
        assert!(message.starts_with("software of controller.fsn panicked at "), "{message}");
        assert!(message.ends_with(": on purpose"), "{message}");
    }
}

fn a_run_ends_when_its_time_is_up(kind: FabricKind) {
    let options = FabricOptions { duration_max: ms(100), ..FabricOptions::default() };
    let mut fabric = kind.build(options);
    let error = std::iter::repeat_with(|| fabric.step()).find_map(Result::err).unwrap();
    assert_eq!(error.at, ms(100));
}

fn a_line_of_the_trace_carries_simulated_time_and_host_also_from_a_librarys_task(kind: FabricKind) {
    trace::capture();
    let mut fabric = kind.build(FabricOptions::default());
    let net = fabric.net();
    fabric.host(
        "controller.fsn",
        Box::new(move || {
            let net = net.clone();
            Box::pin(async move {
                tokio::time::sleep(ms(12)).await;
                tracing::info!(target: "continuum_live", step = 1, "step started");
                let task = async { tracing::info!(target: "continuum_live", "in a task") };
                match kind {
                    FabricKind::Turmoil => drop(tokio::spawn(task)),
                    FabricKind::Direct => net.spawn(Box::pin(task)),
                }
            })
        }),
    );
    tracing::info!(target: "continuum_scenarios", "begin");
    run(&mut fabric, ms(50));
    assert_eq!(here::now(), Some(ms(50)));
    let lines: Vec<String> = trace::take().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "   0.000 -               INFO  begin",
            "   0.012 controller.fsn  INFO  step started step=1",
            "   0.012 controller.fsn  INFO  in a task",
        ]
    );
}

fn the_same_seed_gives_the_same_run(kind: FabricKind) {
    let once = |seed| {
        determinism::on_seeded_thread(seed, move || {
            let (mut fabric, seen) = world(kind, seed);
            run(&mut fabric, ms(2000));
            fabric.crash("echo.fsn");
            run(&mut fabric, ms(500));
            fabric.restart("echo.fsn");
            run(&mut fabric, ms(500));
            seen.lock().unwrap().clone()
        })
        .unwrap()
    };
    assert_eq!(once(1), once(1));
    assert_ne!(once(1), once(2));
}
