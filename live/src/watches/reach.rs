//! What a Cluster says of how PostgreSQL is reached. All else of it is large, and nobody asks for it here.

use continuum_core::observe::Stored;
use serde_json::{Value, json};

/// That part of a Cluster, in the places where the Cluster has it: `metadata.namespace` and `.name`, `serverCASecret`
/// of `spec.certificates` and `status.certificates`, and of each entry of `spec.externalClusters` its `name`,
/// `sslRootCert`, and host, port and sslmode of its `connectionParameters`.
pub fn reach(cluster: &Value) -> Stored {
    let part = |of: &Value, fields: &[&str]| -> Value {
        fields.iter().filter_map(|field| Some(((*field).to_owned(), of.get(field)?.clone()))).collect()
    };
    let entries = cluster["spec"]["externalClusters"].as_array().into_iter().flatten().map(|entry| {
        json!({
            "name": entry["name"],
            "sslRootCert": entry["sslRootCert"],
            "connectionParameters": part(&entry["connectionParameters"], &["host", "port", "sslmode"]),
        })
    });
    let entries: Value = entries.collect();
    let certificates = |of: &str| part(&cluster[of]["certificates"], &["serverCASecret"]);
    let reach = json!({
        "metadata": part(&cluster["metadata"], &["namespace", "name"]),
        "spec": { "certificates": certificates("spec"), "externalClusters": entries },
        "status": { "certificates": certificates("status") },
    });
    reach.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_postgresql_is_kept_and_nothing_else_of_a_cluster() {
        let entry = json!({
            "name": "shop-hel",
            "connectionParameters": { "host": "db.hel", "port": "5433", "sslmode": "verify-ca", "user": "replica" },
            "sslRootCert": { "name": "hel-ca", "key": "ca.crt" }, "sslKey": { "name": "hel-key", "key": "tls.key" },
        });
        let cluster = json!({
            "metadata": { "namespace": "shop", "name": "shop-fsn", "resourceVersion": "7", "managedFields": [{}] },
            "spec": {
                "instances": 3, "certificates": { "serverCASecret": "asked-ca", "clientCASecret": "c" },
                "externalClusters": [entry, "shop"],
            },
            "status": { "phase": "x", "certificates": { "serverCASecret": "own-ca", "expirations": {} } },
        });
        let entry = json!({
            "name": "shop-hel",
            "connectionParameters": { "host": "db.hel", "port": "5433", "sslmode": "verify-ca" },
            "sslRootCert": { "name": "hel-ca", "key": "ca.crt" },
        });
        let nothing = json!({ "name": null, "connectionParameters": {}, "sslRootCert": null });
        let expected = json!({
            "metadata": { "namespace": "shop", "name": "shop-fsn" },
            "spec": { "certificates": { "serverCASecret": "asked-ca" }, "externalClusters": [entry, nothing] },
            "status": { "certificates": { "serverCASecret": "own-ca" } },
        });
        assert_eq!(reach(&cluster).read(), expected);
        let empty = json!({
            "metadata": {}, "spec": { "certificates": {}, "externalClusters": [] }, "status": { "certificates": {} },
        });
        assert_eq!(reach(&Value::Null).read(), empty);
    }
}
