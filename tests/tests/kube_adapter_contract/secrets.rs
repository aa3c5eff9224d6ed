//! The role secrets of the halves, compared without their content leaving the adapter.

use crate::bed::{Bed, fsn};
use continuum_core::observe::{ClusterView, Seen};
use continuum_core::ports::ObservePair;
use continuum_core::preflight::fixture;
use continuum_live::pair::KubePair;
use serde_json::json;
use std::collections::BTreeMap;

/// A half of this name, whose role has the secret that the operator makes.
pub fn named(bed: &Bed, name: &str) -> ClusterView {
    let role_secrets = BTreeMap::from([("app".to_owned(), format!("{name}-app"))]);
    ClusterView { object: bed.object(name), role_secrets, ..fixture::cluster(&fsn()) }
}

pub async fn secrets_are_alike_where_user_and_password_are(bed: Bed) {
    // base64 of `shop`, of two passwords, and of the Cluster's own host.
    for (cluster, password, host) in
        [("shop-fsn", "c2VjcmV0", "ZnNu"), ("shop-hel", "c2VjcmV0", "aGVs"), ("blog-fsn", "b3RoZXI=", "ZnNu")]
    {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{cluster}-app")},
                            "type": "kubernetes.io/basic-auth",
                            "data": {"username": "c2hvcA==", "password": password, "host": host}});
        bed.create("secrets", secret).await;
    }
    let adapter = KubePair::new(bed.regions(), fsn());
    let hashes = async |name: &str| match adapter.secrets(&fsn(), &named(&bed, name)).await {
        Seen::Is(hashes) => hashes,
        other => panic!("{other:?}"),
    };
    let shop = hashes("shop-fsn").await;
    assert_eq!(shop.keys().collect::<Vec<_>>(), ["app"]);
    assert_eq!(shop, hashes("shop-hel").await);
    assert_ne!(shop, hashes("blog-fsn").await);
    assert_eq!(hashes("nobody").await.len(), 0);
}
