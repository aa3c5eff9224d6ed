//! What a witness promises, whatever it stands on: a register with compare-and-set, and core's transitions through it. Each
//! case begins with a register in which nobody wrote.

use continuum_core::name::Region;
use continuum_core::ports::{ActOnWitness, Cas, ObserveWitness, Version};
use continuum_core::record::{Lineage, Record};
use continuum_core::transition::{self, Edit};
use serde_json::json;

/// The term of the records, s.
pub const TTL: u32 = 30;

/// A witness as its controller has it.
pub trait Register: ObserveWitness + ActOnWitness {}

impl<T: ObserveWitness + ActOnWitness> Register for T {}

fn fsn() -> Region {
    Region::new("fsn")
}

fn hel() -> Region {
    Region::new("hel")
}

/// A record of nothing but its holder.
pub fn held_by(region: &Region, generation: u64) -> Record {
    let mut record = Record::free(TTL);
    record.holder = Some(region.clone());
    record.generation = generation;
    record
}

/// What stands there, which has to be a record.
pub async fn read(witness: &impl Register) -> (Version, Record) {
    let (version, record) = witness.read().await.expect("the server answers");
    (version, record.expect("there is a record"))
}

/// Writes, which has to be done.
pub async fn write(witness: &impl Register, expected: &Version, record: &Record) -> Version {
    match witness.compare_and_set(expected, record).await {
        Cas::Done(version) => version,
        other => panic!("{other:?}"),
    }
}

/// Puts a transition to the register, as the keeper does.
pub async fn apply(witness: &impl Register, edit: impl Fn(&Record) -> Edit) -> Edit {
    let (version, record) = witness.read().await.expect("the server answers");
    let edit = edit(&record.unwrap_or_else(|| Record::free(TTL)));
    if let Edit::Write(next) = &edit {
        write(witness, &version, next).await;
    }
    edit
}

/// Takes it for a region.
pub async fn acquire(witness: &impl Register, me: &Region) -> Edit {
    apply(witness, |record| transition::acquire(record, me, TTL, Some(1), None)).await
}

/// Nothing is read.
pub async fn nothing_is_read_where_nobody_wrote(witness: &impl Register) {
    assert_eq!(witness.read().await, Ok((Version(None), None)));
}

/// Who comes second is told.
pub async fn a_register_is_created_once(witness: &impl Register) {
    let version = write(witness, &Version(None), &held_by(&fsn(), 1)).await;
    assert_eq!(read(witness).await, (version.clone(), held_by(&fsn(), 1)));
    assert_eq!(witness.compare_and_set(&Version(None), &held_by(&hel(), 1)).await, Cas::Conflict);
    assert_eq!(read(witness).await, (version, held_by(&fsn(), 1)));
}

/// What was read before somebody wrote changes nothing.
pub async fn a_write_to_another_version_is_a_conflict(witness: &impl Register) {
    let first = write(witness, &Version(None), &held_by(&fsn(), 1)).await;
    let second = write(witness, &first, &held_by(&hel(), 2)).await;
    assert_ne!(first, second);
    assert_eq!(witness.compare_and_set(&first, &held_by(&fsn(), 3)).await, Cas::Conflict);
    assert_eq!(read(witness).await, (second, held_by(&hel(), 2)));
}

/// At once, again and again.
pub async fn of_two_writers_one_wins(one: &impl Register, other: &impl Register) {
    let mut version = Version(None);
    for generation in 1..=12 {
        let (mine, theirs) = (held_by(&fsn(), generation), held_by(&hel(), generation));
        let outcomes =
            futures_util::future::join(one.compare_and_set(&version, &mine), other.compare_and_set(&version, &theirs));
        let (winner, won) = match outcomes.await {
            (Cas::Done(version), Cas::Conflict) => (mine, version),
            (Cas::Conflict, Cas::Done(version)) => (theirs, version),
            outcomes => panic!("{outcomes:?}"),
        };
        assert_eq!(read(one).await, (won.clone(), winner));
        version = won;
    }
}

/// A newer version wrote them. The record is renewed once by this.
pub async fn unknown_fields_are_kept(witness: &impl Register) {
    let mut record = held_by(&fsn(), 1);
    record.extra.insert("ofTomorrow".into(), json!({"kept": [1, 2]}));
    write(witness, &Version(None), &record).await;
    apply(witness, |record| transition::renew(record, &fsn(), TTL, None)).await;
    let (_, renewed) = read(witness).await;
    assert_eq!((renewed.renewal, &renewed.extra), (1, &record.extra));
}

/// Of two Continuums.
pub async fn registers_stand_apart(shop: &impl Register, blog: &impl Register) {
    write(shop, &Version(None), &held_by(&fsn(), 1)).await;
    assert_eq!(blog.read().await, Ok((Version(None), None)));
    write(blog, &Version(None), &held_by(&hel(), 7)).await;
    assert_eq!(read(shop).await.1, held_by(&fsn(), 1));
    assert_eq!(read(blog).await.1, held_by(&hel(), 7));
}

/// `limit`: what stands there gets no room any more.
pub async fn a_register_without_room_refuses_and_keeps_what_it_holds(
    witness: &impl Register,
    limit: impl AsyncFn(),
) -> String {
    let version = write(witness, &Version(None), &held_by(&fsn(), 1)).await;
    limit().await;
    let mut longer = held_by(&fsn(), 2);
    longer.extra.insert("ofTomorrow".into(), json!("x".repeat(200)));
    let outcome = witness.compare_and_set(&version, &longer).await;
    let Cas::Refused(cause) = outcome else { panic!("{outcome:?}") };
    assert_eq!(read(witness).await, (version, held_by(&fsn(), 1)));
    cause
}

/// `delete`: a person's deletion of what stands there.
pub async fn a_register_that_was_deleted_does_not_come_back(witness: &impl Register, delete: impl AsyncFn()) {
    let version = write(witness, &Version(None), &held_by(&fsn(), 4)).await;
    delete().await;
    assert_eq!(witness.compare_and_set(&version, &held_by(&fsn(), 4)).await, Cas::Conflict);
    let (gone, record) = witness.read().await.expect("the server answers");
    assert_eq!(record, None);
    // One that was made anew is another, whatever it says.
    write(witness, &gone, &held_by(&fsn(), 4)).await;
    assert_eq!(witness.compare_and_set(&version, &held_by(&fsn(), 5)).await, Cas::Conflict);
    assert_eq!(read(witness).await.1, held_by(&fsn(), 4));
}

/// By the other region.
pub async fn a_free_record_is_acquired_and_a_held_one_is_not(witness: &impl Register) {
    assert!(matches!(acquire(witness, &fsn()).await, Edit::Write(_)));
    let (version, record) = read(witness).await;
    assert_eq!((record.holder.clone(), record.generation), (Some(fsn()), 1));
    assert_eq!(record.lineage, Lineage::Of { region: fsn(), timeline: 1 });
    assert_eq!(acquire(witness, &fsn()).await, Edit::Already);
    assert!(matches!(acquire(witness, &hel()).await, Edit::Stale(_)));
    assert_eq!(read(witness).await, (version, record));
}

/// And its generation stays.
pub async fn the_holder_alone_renews(witness: &impl Register) {
    acquire(witness, &fsn()).await;
    let (first, before) = read(witness).await;
    let renew = async |me: Region| apply(witness, |record| transition::renew(record, &me, TTL, None)).await;
    assert!(matches!(renew(fsn()).await, Edit::Write(_)));
    let (second, after) = read(witness).await;
    assert_ne!(first, second);
    assert_eq!((after.renewal, after.generation), (before.renewal + 1, before.generation));
    assert!(matches!(renew(hel()).await, Edit::Stale(_)));
    assert_eq!(read(witness).await, (second, after));
}

/// Nobody else does, and not twice.
pub async fn a_release_frees_it_once_and_by_the_holder_alone(witness: &impl Register) {
    acquire(witness, &fsn()).await;
    let release = async |me: Region| apply(witness, |record| transition::release(record, &me)).await;
    assert_eq!(release(hel()).await, Edit::Already);
    assert_eq!(read(witness).await.1.holder, Some(fsn()));
    assert!(matches!(release(fsn()).await, Edit::Write(_)));
    let (version, freed) = read(witness).await;
    assert_eq!(freed.holder, None);
    assert_eq!(release(fsn()).await, Edit::Already);
    assert_eq!(read(witness).await, (version, freed));
}

/// A renewal is none.
pub async fn the_generation_grows_at_every_change_of_holder_alone(witness: &impl Register) {
    let mut generations = Vec::new();
    for me in [fsn(), hel(), fsn()] {
        acquire(witness, &me).await;
        generations.push(read(witness).await.1.generation);
        apply(witness, |record| transition::renew(record, &me, TTL, None)).await;
        assert_eq!(Some(&read(witness).await.1.generation), generations.last());
        apply(witness, |record| transition::release(record, &me)).await;
        generations.push(read(witness).await.1.generation);
    }
    assert_eq!(generations, [1, 2, 3, 4, 5, 6]);
}
