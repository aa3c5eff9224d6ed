//! The witness `nats-kv`: what every witness promises, on the model and on a real nats-server, and what a bucket of the real one
//! can do to it.

use async_nats::HeaderMap;
use async_nats::jetstream::stream;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::Seen;
use continuum_core::ports::{ActOnWitness, Cas, ObserveWitness, Version};
use continuum_nats::{KvBucket, KvWitness, Settings};
use continuum_sim::gate::Open;
use continuum_sim::witness_client::WitnessClient;
use continuum_tests::real_nats::{MUTE, RealNats, USER};
use continuum_tests::register::{self, held_by, read, write};
use continuum_tests::simulated_nats::simulate;
use std::sync::Arc;
use std::time::Duration;

const BUCKET: &str = "leases";

/// A server with a bucket, and whoever comes to it.
struct Bed(RealNats);

impl Bed {
    /// `None` where there is no server.
    async fn start(changes: stream::Config) -> Option<Self> {
        let server = RealNats::start().await?;
        server.make_bucket(BUCKET, changes).await;
        Some(Self(server))
    }

    fn witness_as(&self, user: &str, name: &str) -> KvWitness {
        let settings = Settings::new(&self.0.url(user, USER.1), "continuum").expect("a URL");
        KvWitness::new(Arc::new(KvBucket::new(settings, BUCKET)), &ObjectName::new("shop", name))
    }

    fn witness(&self) -> KvWitness {
        self.witness_as(USER.0, "shop")
    }

    /// Somebody else writes the key.
    async fn put(&self, headers: &[(&str, &str)], value: &str) {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        let admin = self.0.admin().await;
        let sent = admin.publish_with_headers("$KV.leases.shop.shop", map, value.to_owned().into()).await;
        sent.expect("it is sent").await.expect("it is stored");
    }
}

fn fsn() -> Region {
    Region::new("fsn")
}

/// A key of the model's bucket.
const KEY: &str = "$KV.leases.shop.shop";

/// On the model: whoever comes to it gets a client of its own.
fn simulated<F: Future<Output = ()> + 'static>(
    work: impl Fn(WitnessClient, WitnessClient) -> F + Copy + Send + 'static,
) {
    simulate(Arc::new(Open), Vec::new(), move |server, net| {
        server.make_bucket(KEY, None);
        let client = || WitnessClient::new(net.clone(), "continuum", KEY);
        work(client(), client())
    });
}

macro_rules! promises {
    ($($case:ident)*) => {
        mod on_a_real_server {
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                if let Some(bed) = Bed::start(stream::Config::default()).await {
                    register::$case(&bed.witness()).await;
                }
            })*
        }
        mod on_the_model {
            use super::*;
            $(#[test]
            fn $case() {
                simulated(|witness, _| async move { register::$case(&witness).await });
            })*
        }
    };
}

promises! {
    nothing_is_read_where_nobody_wrote
    a_register_is_created_once
    a_write_to_another_version_is_a_conflict
    unknown_fields_are_kept
    a_free_record_is_acquired_and_a_held_one_is_not
    the_holder_alone_renews
    a_release_frees_it_once_and_by_the_holder_alone
    the_generation_grows_at_every_change_of_holder_alone
}

#[test]
fn of_two_writers_one_wins_on_the_model() {
    simulated(|one, other| async move { register::of_two_writers_one_wins(&one, &other).await });
}

#[tokio::test]
async fn of_two_writers_one_wins_also_where_the_revision_gains_a_digit() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    register::of_two_writers_one_wins(&bed.witness(), &bed.witness()).await;
    let (version, _) = read(&bed.witness()).await;
    assert_eq!(version, Version(Some("12".into())));
}

#[tokio::test]
async fn registers_stand_apart() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    register::registers_stand_apart(&bed.witness(), &bed.witness_as(USER.0, "blog")).await;
}

#[tokio::test]
async fn a_register_that_was_deleted_or_purged_does_not_come_back() {
    for how in ["DEL", "PURGE"] {
        let Some(bed) = Bed::start(stream::Config::default()).await else { return };
        let rollup = [("KV-Operation", how), ("Nats-Rollup", "sub")];
        let headers = if how == "PURGE" { &rollup[..] } else { &rollup[..1] };
        register::a_register_that_was_deleted_does_not_come_back(&bed.witness(), async || bed.put(headers, "").await)
            .await;
    }
}

#[tokio::test]
async fn a_key_that_holds_something_else_is_left_alone() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    for (value, said) in [("somebody else's", "holds no record"), (r#"{"format": 99}"#, "upgrade it")] {
        bed.put(&[], value).await;
        let cause = bed.witness().read().await.expect_err("it is no record");
        assert!(cause.contains("key shop.shop of bucket leases") && cause.contains(said), "{cause}");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_no_free_register_and_says_how_to_mend_it() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    bed.0.admin().await.delete_stream("KV_leases").await.expect("it was made");
    let cause = bed.witness().read().await.expect_err("there is none");
    assert!(cause.contains("there is no bucket leases; make it"), "{cause}");
    let outcome = bed.witness().compare_and_set(&Version(None), &held_by(&fsn(), 1)).await;
    assert!(matches!(&outcome, Cas::Unknown(cause) if cause.contains("bucket leases")), "{outcome:?}");
    assert!(matches!(bed.witness().shortcomings().await, Seen::Unknown(_)));
}

#[tokio::test]
async fn a_bucket_without_room_refuses_and_says_how_to_mend_it() {
    let small = stream::Config { max_message_size: 100, ..stream::Config::default() };
    let full = stream::Config { max_bytes: 100, ..stream::Config::default() };
    for (changes, cure) in [(small, "raise its max_value_size"), (full, "take its limits away")] {
        let Some(bed) = Bed::start(stream::Config::default()).await else { return };
        let limit = async || bed.0.make_bucket(BUCKET, changes.clone()).await;
        let told = register::a_register_without_room_refuses_and_keeps_what_it_holds(&bed.witness(), limit).await;
        assert!(told.contains(cure), "{told}");
    }
}

#[test]
fn a_bucket_without_room_refuses_on_the_model() {
    for (full, value_length_max) in [(true, usize::MAX), (false, 100)] {
        simulate(Arc::new(Open), Vec::new(), move |server, net| {
            server.make_bucket(KEY, None);
            let witness = WitnessClient::new(net, "continuum", KEY);
            async move {
                let limit = async || server.limit_bucket(full, value_length_max);
                register::a_register_without_room_refuses_and_keeps_what_it_holds(&witness, limit).await;
            }
        });
    }
}

#[tokio::test]
async fn who_may_not_write_is_refused_and_told_the_subject() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    let outcome = bed.witness_as(MUTE, "shop").compare_and_set(&Version(None), &held_by(&fsn(), 1)).await;
    let Cas::Refused(cause) = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("let this user publish to $KV.leases.shop.shop"), "{cause}");
}

#[tokio::test]
async fn what_one_continuum_may_not_write_says_nothing_of_another_on_the_same_connection() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    let settings = Settings::new(&bed.0.url(MUTE, USER.1), "continuum").expect("a URL");
    let bucket = Arc::new(KvBucket::new(settings, BUCKET));
    let of = |name: &str| KvWitness::new(bucket.clone(), &ObjectName::new("shop", name));
    let (denied, allowed) = (of("shop"), of("blog"));
    let record = held_by(&fsn(), 1);
    let (refused, version) =
        tokio::join!(denied.compare_and_set(&Version(None), &record), write(&allowed, &Version(None), &record));
    assert!(matches!(&refused, Cas::Refused(cause) if cause.contains("shop.shop")), "{refused:?}");
    // Told, and asked for by nobody any more.
    let given_up = tokio::time::timeout(Duration::from_millis(300), denied.compare_and_set(&Version(None), &record));
    assert!(given_up.await.is_err());
    read(&allowed).await;
    bed.0.pause(true);
    let outcome = allowed.compare_and_set(&version, &record).await;
    bed.0.pause(false);
    assert!(matches!(outcome, Cas::Unknown(_)), "{outcome:?}");
}

#[tokio::test]
async fn what_a_bucket_does_to_a_record_is_told_before_it_is_relied_on() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    let Seen::Is(alone) = bed.witness().shortcomings().await else { panic!("it answers") };
    assert_eq!((alone.blockers.len(), alone.warnings.len()), (0, 1), "{alone:?}");
    bed.0.make_bucket(BUCKET, stream::Config { max_age: Duration::from_secs(60), ..stream::Config::default() }).await;
    let Seen::Is(forgets) = bed.witness().shortcomings().await else { panic!("it answers") };
    assert!(forgets.blockers.len() == 1 && forgets.blockers[0].contains("TTL"), "{forgets:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unknown_and_the_same_register_goes_on() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    let witness = bed.witness();
    let version = write(&witness, &Version(None), &held_by(&fsn(), 1)).await;
    bed.0.pause(true);
    assert!(witness.read().await.is_err());
    let outcome = witness.compare_and_set(&version, &held_by(&fsn(), 1)).await;
    assert!(matches!(outcome, Cas::Unknown(_)), "{outcome:?}");
    bed.0.pause(false);
    let (version, _) = read(&witness).await;
    write(&witness, &version, &held_by(&fsn(), 1)).await;
    bed.0.kill();
    assert!(witness.read().await.is_err());
    assert!(matches!(witness.compare_and_set(&version, &held_by(&fsn(), 1)).await, Cas::Unknown(_)));
    bed.0.restart().await;
    assert_eq!(read(&witness).await.1, held_by(&fsn(), 1), "it outlives its server");
}

#[tokio::test]
async fn a_write_that_its_caller_gave_up_is_not_sent_once_a_dead_server_is_back() {
    let Some(bed) = Bed::start(stream::Config::default()).await else { return };
    let witness = bed.witness();
    let version = write(&witness, &Version(None), &held_by(&fsn(), 1)).await;
    bed.0.pause(true);
    let record = held_by(&fsn(), 2);
    let given_up = tokio::time::timeout(Duration::from_millis(300), witness.compare_and_set(&version, &record)).await;
    assert!(given_up.is_err(), "it stood still");
    bed.0.kill();
    bed.0.restart().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(read(&witness).await, (version.clone(), held_by(&fsn(), 1)));
    assert!(matches!(witness.compare_and_set(&version, &record).await, Cas::Done(_)));
}
