//! The Cluster objects that a world starts with.

use super::view::{HEALTHY, Role, role};
use crate::determinism::EPOCH;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What may differ between worlds. Defaults: the pair of the examples, asynchronous.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Namespace.
    pub namespace: String,
    /// Value of the label that makes the two halves a pair.
    pub pair: String,
    /// System identifier of the database.
    pub system_id: String,
    /// `spec.postgresql.synchronous` naming the other half, required.
    pub synchronous: bool,
    /// `spec.switchoverDelay`, s.
    pub switchover_delay_seconds: u32,
    /// `spec.smartShutdownTimeout`, s.
    pub smart_shutdown_timeout_seconds: u32,
    /// `spec.replica.minApplyDelay`.
    pub min_apply_delay: Option<String>,
    /// `status.timelineID` of the primary half.
    pub timeline: u32,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            namespace: "shop".into(),
            pair: "shop".into(),
            system_id: "7711780216894003665".into(),
            synchronous: false,
            switchover_delay_seconds: 8,
            smart_shutdown_timeout_seconds: 180,
            min_apply_delay: None,
            timeline: 1,
        }
    }
}

/// A half as it stands before anything happened: `name` is the primary where `primary` says so, else it was born as
/// a replica of `other`. With its status; [`super::Operator::install`] puts it into a store.
pub fn cluster_object(name: &str, other: &str, primary: &str, instances: u32, options: &ClusterOptions) -> Value {
    let external = |name: &str| {
        let host = format!("{name}-rw");
        json!({"name": name, "connectionParameters": {"host": host, "user": "streaming_replica", "dbname": "postgres"}})
    };
    let is_primary = name == primary;
    let bootstrap = if is_primary {
        json!({"initdb": {"database": "app", "owner": "app"}})
    } else {
        json!({"pg_basebackup": {"source": other, "database": "app", "owner": "app"}})
    };
    let mut object = json!({
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {
            "name": name,
            "namespace": options.namespace,
            "labels": {
                "catalyst.openova.io/cnpg-pair": options.pair,
                "openova.io/cnpg-role": if is_primary { "primary" } else { "replica" },
            },
        },
        "spec": {
            "instances": instances,
            "imageName": "ghcr.io/cloudnative-pg/postgresql:15.18",
            "storage": {"size": "10Gi"},
            "bootstrap": bootstrap,
            "switchoverDelay": options.switchover_delay_seconds,
            "smartShutdownTimeout": options.smart_shutdown_timeout_seconds,
            "replica": {"primary": primary, "self": name, "source": other},
            "externalClusters": [external(name), external(other)],
            "postgresql": {"parameters": {"max_connections": "200"}},
        },
        "status": first_status(name, is_primary, instances, &options.system_id, options.timeline),
    });
    debug_assert_eq!(role(&object) == Role::Primary, is_primary);
    if options.synchronous {
        object["spec"]["postgresql"]["synchronous"] =
            json!({"method": "any", "number": 1, "dataDurability": "required", "standbyNamesPre": [other]});
    }
    if let Some(delay) = &options.min_apply_delay {
        object["spec"]["replica"]["minApplyDelay"] = json!(delay);
    }
    object
}

/// The status of a half that has been at rest for long.
pub fn first_status(name: &str, is_primary: bool, instances: u32, system_id: &str, timeline: u32) -> Value {
    let mut conditions = vec![
        condition("Initialized", "BootstrapCompleted", "Cluster has been bootstrapped"),
        condition("ConsistentSystemID", "Unique", "A single, unique system ID was found across reporting instances."),
        condition("Ready", "ClusterIsReady", "Cluster is Ready"),
    ];
    if is_primary {
        conditions.push(condition(
            "ContinuousArchiving",
            "ContinuousArchivingSuccess",
            "Continuous archiving is working",
        ));
    }
    let mut status = json!({
        "phase": HEALTHY,
        "currentPrimary": format!("{name}-1"),
        "targetPrimary": format!("{name}-1"),
        "instances": instances,
        "readyInstances": instances,
        "systemID": system_id,
        "switchReplicaClusterStatus": {},
        "instancesReportedState": {
            format!("{name}-1"): {"ip": "10.0.0.1", "isPrimary": is_primary, "timeLineID": timeline},
        },
        "conditions": conditions,
    });
    if is_primary {
        status["timelineID"] = json!(timeline);
    }
    status
}

fn condition(kind: &str, reason: &str, message: &str) -> Value {
    let at = Timestamp::from_second(EPOCH.as_secs().cast_signed()).expect("the epoch is a time");
    json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": at.to_string()})
}
