//! What a controller may do, asked before it is needed.

use crate::bed::{Bed, fsn, hel};
use crate::copies::continuum;
use crate::halves::cluster;
use crate::secrets::named;
use crate::witness::witness_over;
use continuum_core::observe::Seen;
use continuum_core::plan::Plan;
use continuum_core::ports::{ObserveCopies, ObservePair, ObserveRoute, ObserveWitness};
use continuum_live::copies::KubeCopies;
use continuum_live::pair::KubePair;
use continuum_live::resource::parse_spec;
use continuum_live::route::KubeRoute;
use serde_json::json;

fn plan(bed: &Bed) -> Plan {
    let mut object = continuum();
    object["metadata"]["namespace"] = json!(bed.namespace);
    let spec = parse_spec(&object).expect("a valid spec");
    Plan::new(&bed.object("shop"), &spec, &hel(), None, None).expect("a valid plan")
}

pub async fn who_may_do_everything_lacks_nothing(bed: Bed) {
    let pair = KubePair::new(bed.regions(), fsn());
    assert_eq!(pair.missing_rights(&fsn(), &plan(&bed)).await, Seen::Is(vec![]));
    let witness = witness_over(&bed, bed.witness_api(), "shop");
    assert_eq!(witness.missing_rights().await, Seen::Is(vec![]));
}

/// Of a half that was seen it is asked whether that one may be written, in one's own region and in another.
pub async fn the_half_that_was_seen_is_asked_about_by_its_name(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    for own in [fsn(), hel()] {
        let pair = KubePair::new(bed.regions(), own.clone());
        let seen = pair.cluster(&fsn(), &bed.object("shop")).await;
        assert!(matches!(seen, Seen::Is(_)), "{seen:?}");
        assert_eq!(pair.missing_rights(&fsn(), &plan(&bed)).await, Seen::Is(vec![]), "of {own}");
    }
}

/// The same for a controller of another region alone.
pub async fn another_regions_controller_needs_no_right_to_write_this_copy(bed: Bed) {
    bed.create("clusters", cluster("shop-fsn", "shop")).await;
    let pair = KubePair::new(bed.regions(), hel());
    let seen = pair.cluster(&fsn(), &bed.object("shop")).await;
    assert!(matches!(seen, Seen::Is(_)), "{seen:?}");
    assert_eq!(pair.missing_rights(&fsn(), &plan(&bed)).await, Seen::Is(vec![]));
}

pub async fn who_may_do_nothing_lacks_every_right_that_is_needed(bed: Bed) {
    let pair = KubePair::new(bed.powerless_regions(), fsn());
    let missing = pair.missing_rights(&fsn(), &plan(&bed)).await;
    let expected = [
        "list clusters",
        "patch clusters",
        "get continuums",
        "list backups",
        "get httproutes",
        "patch httproutes",
        "get clusters",
        "patch continuums",
        "patch continuums/status",
    ];
    assert_eq!(missing, Seen::Is(expected.map(str::to_owned).to_vec()));
    let witness = witness_over(&bed, bed.powerless_witness_api(), "shop");
    let expected = ["get leases", "create leases", "patch leases"];
    assert_eq!(witness.missing_rights().await, Seen::Is(expected.map(str::to_owned).to_vec()));
}

pub async fn what_may_not_be_read_is_unknown_and_not_missing(bed: Bed) {
    let regions = bed.powerless_regions();
    let cluster = KubePair::new(regions.clone(), fsn()).cluster(&fsn(), &bed.object("shop")).await;
    assert!(matches!(cluster, Seen::Unknown(_)), "{cluster:?}");
    let secrets = KubePair::new(regions.clone(), fsn()).secrets(&fsn(), &named(&bed, "shop-fsn")).await;
    assert!(matches!(secrets, Seen::Unknown(_)), "{secrets:?}");
    let route = KubeRoute::new(regions.clone()).route(&fsn(), &bed.object("shop")).await;
    assert!(matches!(route, Seen::Unknown(_)), "{route:?}");
    let copy = KubeCopies::new(regions, bed.object("shop")).copy(&fsn()).await;
    assert!(matches!(copy, Seen::Unknown(_)), "{copy:?}");
    let witness = witness_over(&bed, bed.powerless_witness_api(), "shop");
    assert!(witness.read().await.is_err());
}
