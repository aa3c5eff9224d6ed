//! What the direct fabric does as TCP does, which the reference leaves out: losses that are made good, and ends that are
//! gone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use continuum_sim::fabric::{BoxStream, Fabric, FabricKind, FabricOptions, Net};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CALLER: &str = "caller.hel";
const SERVER: &str = "server.fsn";

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Notes = Arc<Mutex<Vec<String>>>;

struct World {
    fabric: Box<dyn Fabric>,
    notes: Notes,
}

impl World {
    /// A server that does `serve` with each stream, and a caller.
    fn new<S, C>(serve: fn(BoxStream, Notes) -> S, call: fn(Net, Notes) -> C) -> Self
    where
        S: Future<Output = ()> + Send + 'static,
        C: Future<Output = ()> + 'static,
    {
        let mut fabric = FabricKind::Direct.build(FabricOptions::default());
        let notes = Notes::default();
        let (net, of_server) = (fabric.net(), notes.clone());
        fabric.host(
            SERVER,
            Box::new(move || {
                let (net, notes) = (net.clone(), of_server.clone());
                Box::pin(async move {
                    let listener = net.listen(7).await.unwrap();
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        net.spawn(Box::pin(serve(stream, notes.clone())));
                    }
                })
            }),
        );
        let (net, of_caller) = (fabric.net(), notes.clone());
        fabric.host(CALLER, Box::new(move || Box::pin(call(net.clone(), of_caller.clone()))));
        World { fabric, notes }
    }

    fn run(&mut self, length: Duration) {
        let end = self.fabric.now() + length;
        while self.fabric.now() < end {
            self.fabric.step().unwrap();
        }
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }
}

fn note(notes: &Notes, text: impl Into<String>) {
    notes.lock().unwrap().push(text.into());
}

async fn note_bytes(mut stream: BoxStream, notes: Notes) {
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte).await {
        note(&notes, byte[0].to_string());
    }
    note(&notes, "end");
}

/// A byte each 5 ms, each one greater.
async fn write_bytes(net: Net, notes: Notes) {
    let mut stream = net.connect(SERVER, 7).await.unwrap();
    for byte in 0..200_u8 {
        if let Err(error) = stream.write_all(&[byte]).await {
            note(&notes, error.kind().to_string());
            return;
        }
        tokio::time::sleep(ms(5)).await;
    }
}

#[test]
fn what_is_written_in_a_cut_and_while_it_is_made_good_arrives_once_and_in_its_order() {
    for cut in [ms(150), ms(420), ms(700)] {
        let mut world = World::new(note_bytes, write_bytes);
        world.run(ms(100));
        world.fabric.partition(CALLER, SERVER);
        world.run(cut);
        world.fabric.repair(CALLER, SERVER);
        world.run(ms(5_000));
        let written: Vec<String> = (0..200).map(|byte| byte.to_string()).chain(["end".to_owned()]).collect();
        assert_eq!(world.notes(), written, "{cut:?}");
    }
}

#[test]
fn who_writes_to_a_server_that_was_started_anew_is_told_also_where_the_first_answer_is_lost() {
    let mut world = World::new(note_bytes, write_bytes);
    world.run(ms(100));
    world.fabric.crash(SERVER);
    world.fabric.restart(SERVER);
    world.fabric.partition_one_way(SERVER, CALLER);
    world.run(ms(300));
    assert!(!world.notes().contains(&"broken pipe".to_owned()));
    world.fabric.repair(SERVER, CALLER);
    world.run(ms(1_000));
    assert_eq!(world.notes().last().unwrap(), "broken pipe");
}

async fn connect(net: Net, notes: Notes) {
    let begun = net.now();
    let opened = net.connect(SERVER, 7).await.map(|_| ());
    let said = opened.map_or_else(|error| error.kind().to_string(), |()| "open".into());
    note(&notes, format!("{said} after {} s", (net.now() - begun).as_secs()));
}

async fn note_stream(_stream: BoxStream, notes: Notes) {
    note(&notes, "accepted");
    pending().await
}

#[test]
fn a_stream_whose_answer_is_lost_opens_with_a_later_one_or_is_given_up_and_no_server_has_half_of_it() {
    let mut world = World::new(note_stream, connect);
    world.fabric.partition_one_way(SERVER, CALLER);
    world.run(Duration::from_secs(5));
    assert_eq!(world.notes(), Vec::<String>::new());
    world.fabric.repair(SERVER, CALLER);
    world.run(Duration::from_secs(5));
    assert_eq!(world.notes().len(), 2);
    assert!(world.notes().iter().any(|note| note == "open after 7 s"), "{:?}", world.notes());
    drop(world);

    let mut world = World::new(note_stream, connect);
    world.fabric.partition_one_way(SERVER, CALLER);
    world.run(Duration::from_secs(130));
    assert_eq!(world.notes(), ["timed out after 127 s"]);
}

#[test]
fn a_connect_to_a_server_that_crashes_before_it_answers_opens_once_it_is_back() {
    let mut world = World::new(note_stream, connect);
    world.fabric.partition_one_way(SERVER, CALLER);
    world.run(ms(500));
    world.fabric.crash(SERVER);
    world.fabric.repair(SERVER, CALLER);
    world.run(Duration::from_secs(2));
    world.fabric.restart(SERVER);
    world.run(Duration::from_secs(4));
    assert!(world.notes().iter().any(|note| note.starts_with("open after")), "{:?}", world.notes());
}

async fn refuse_unread(mut stream: BoxStream, _: Notes) {
    stream.read_exact(&mut [0]).await.unwrap();
    stream.write_all(b"too large").await.unwrap();
}

async fn send_much(net: Net, notes: Notes) {
    let mut stream = net.connect(SERVER, 7).await.unwrap();
    stream.write_all(&[1; 5_000]).await.unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 64]);
    let ended = loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break "end".to_owned(),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) => break error.kind().to_string(),
        }
    };
    note(&notes, format!("{}, {ended}", String::from_utf8(answer).unwrap()));
}

#[test]
fn an_answer_before_the_question_was_read_arrives_before_the_reset() {
    let mut world = World::new(refuse_unread, send_much);
    world.run(ms(1_000));
    assert_eq!(world.notes(), ["too large, connection reset"]);
}
