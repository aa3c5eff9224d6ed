//! The operator's part of the half's pod: it alone makes a new one, and says how ready it is.
//!
//! A demotion whose transition is completed needs its pod for `pg_controldata`. Where that pod is gone the operator
//! gives up at every look before it comes to make a new one, and nothing is ever made again (seen in the traces,
//! 16c): the Cluster stays Ready and healthy.

use super::hand::{Condition, Hand};
use super::view::{HEALTHY, Role, WAITING};
use crate::servers::kube_api::PODS;
use serde_json::{Value, json};

/// Annotation that takes a Cluster's pods away.
const HIBERNATION: &str = "cnpg.io/hibernation";

/// Of a Cluster that names none.
const DEFAULT_IMAGE: &str = "ghcr.io/cloudnative-pg/postgresql:18";

impl Hand {
    pub(super) async fn care_for_pods(&self) {
        let mut ready_before = true;
        loop {
            let mark = self.mark();
            if !self.look_at_pod(&mut ready_before).await {
                self.moved_on(mark, None).await;
            }
        }
    }

    /// Does one thing. `false`: there is nothing to do.
    async fn look_at_pod(&self, ready_before: &mut bool) -> bool {
        let Some(view) = self.view().filter(|view| !view.disabled) else { return false };
        if !self.api.knows(&PODS) {
            return false;
        }
        let pod = self.pod().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let ready = pod.as_ref().is_some_and(|pod| is_ready(pod));
        if ready != *ready_before {
            *ready_before = ready;
            self.say_ready(ready).await;
            return true;
        }
        let present = pod.is_some();
        if present && view.hibernated {
            self.pause(100..=300).await;
            return self.api.delete(&PODS, &self.pod_name(), false).await.is_ok();
        }
        if !present && !view.gone {
            self.pause(150..=400).await;
            let none = "No instances are present in the cluster to report a system ID.";
            let status = json!({"readyInstances": null, "instancesReportedState": null, "systemID": null});
            return self
                .set_status(status, &[("ConsistentSystemID", Some(Condition::new(false, "NotFound", none)))])
                .await;
        }
        let deadlocked = view.role == Role::Replica && view.transition == Some(true);
        // The name is free when the old pod is gone whole.
        if self.pod().is_none() && !view.hibernated && !deadlocked {
            self.pause(500..=1_200).await;
            self.as_recorded(3_500).await;
            let Some(cluster) = self.cluster() else { return false };
            let made = self.api.create(&PODS, &pod_object(&cluster)).await.is_ok();
            if made && view.phase == HEALTHY {
                let reason = "Some instances are not yet active. Please wait.";
                self.set_phase(WAITING, Some(reason), Some(false)).await;
            }
            return made;
        }
        if ready && view.phase == WAITING {
            self.pause(150..=350).await;
            self.set_phase(HEALTHY, None, Some(true)).await;
            return true;
        }
        false
    }

    async fn say_ready(&self, ready: bool) {
        if ready {
            // From the kubelet to the operator.
            self.pause(180..=330).await;
        }
        let count = match (self.view(), ready) {
            (Some(view), true) => json!(view.instances),
            _ => Value::Null,
        };
        self.set_status(json!({"readyInstances": count}), &[]).await;
        if ready {
            self.report_in(90..=150);
        }
    }
}

pub(super) fn is_hibernated(cluster: &Value) -> bool {
    cluster["metadata"]["annotations"][HIBERNATION] == "on"
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// A half's pod, on its node from the first moment on.
pub(super) fn pod_object(cluster: &Value) -> Value {
    let name = super::text(&cluster["metadata"]["name"]);
    let grace = cluster["spec"]["stopDelay"].as_u64().unwrap_or(1800);
    let image = cluster["spec"]["imageName"].as_str().unwrap_or(DEFAULT_IMAGE);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{name}-1"),
            "namespace": cluster["metadata"]["namespace"],
            "ownerReferences": [{
                "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": name,
                "uid": cluster["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
            }],
            "labels": {"cnpg.io/cluster": name, "cnpg.io/instanceName": format!("{name}-1"), "cnpg.io/instanceRole": "primary"},
        },
        "spec": {
            "nodeName": format!("node-of-{name}"),
            "terminationGracePeriodSeconds": grace,
            "containers": [{"name": "postgres", "image": image}],
        },
    })
}

/// The status of a pod that runs.
pub(super) fn running(ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": ready}]})
}
