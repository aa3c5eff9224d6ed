//! A call that its caller gave up is an error, also where a dependency never answers.

use async_trait::async_trait;
use continuum_core::mailbox::Cancel;
use continuum_core::name::{ObjectName, Region};
use continuum_core::observe::{ClusterView, CopyView, RouteView, Seen};
use continuum_core::plan::Plan;
use continuum_core::ports::{
    ActOnCopy, ActOnPair, ActOnRoute, Actors, ClusterWrite, ObserveCopies, ObservePair, ObserveRoute, Observers,
    Outcome, RouteWrite,
};
use continuum_core::roles::RoleSecret;
use continuum_core::sequencer::{OperationError, Sequencer};
use continuum_live::clock::SystemClock;
use futures_util::future::join;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

/// Never answers.
struct Silent;

#[async_trait]
impl ObserveCopies for Silent {
    async fn copy(&self, _: &Region) -> Seen<CopyView> {
        pending().await
    }
}

#[async_trait]
impl ObservePair for Silent {
    async fn cluster(&self, _: &Region, _: &ObjectName) -> Seen<ClusterView> {
        pending().await
    }
    async fn secrets(&self, _: &Region, _: &ClusterView) -> Seen<BTreeMap<String, RoleSecret>> {
        pending().await
    }
    async fn backup_runs(&self, _: &Region, _: &ClusterView) -> Seen<bool> {
        pending().await
    }
    async fn missing_rights(&self, _: &Region, _: &Plan) -> Seen<Vec<String>> {
        pending().await
    }
    async fn admits(&self, _: &ClusterWrite) -> Seen<Result<(), String>> {
        pending().await
    }
}

#[async_trait]
impl ObserveRoute for Silent {
    async fn route(&self, _: &Region, _: &ObjectName) -> Seen<RouteView> {
        pending().await
    }

    async fn admits(&self, _: &RouteWrite) -> Seen<Result<(), String>> {
        Seen::Is(Ok(()))
    }
}

#[async_trait]
impl ActOnPair for Silent {
    async fn write(&self, _: &ClusterWrite) -> Outcome {
        pending().await
    }
}

#[async_trait]
impl ActOnRoute for Silent {
    async fn set_weights(&self, _: &RouteWrite) -> Outcome {
        pending().await
    }
}

#[async_trait]
impl ActOnCopy for Silent {
    async fn patch_spec(&self, _: &str, _: &Value) -> Outcome {
        pending().await
    }
    async fn set_finalizers(&self, _: &str, _: &[String]) -> Outcome {
        pending().await
    }
    async fn patch_status(&self, _: &Value) -> Outcome {
        pending().await
    }
}

fn sequencer() -> Sequencer {
    let silent = Arc::new(Silent);
    let observers = Observers {
        cache: None,
        witness: None,
        pair: silent.clone(),
        database: None,
        route: silent.clone(),
        records: None,
        vantages: None,
        audit: None,
        latency: None,
        copies: silent.clone(),
    };
    let actors = Actors {
        witness: None,
        pair: silent.clone(),
        database: None,
        route: silent.clone(),
        records: None,
        audit: None,
        copy: silent,
    };
    Sequencer {
        me: Region::new("fsn"),
        name: ObjectName::new("shop", "shop"),
        clock: Arc::new(SystemClock::new()),
        keeper: None,
        observers: observers.clone(),
        dry_observers: observers,
        actors,
        waits: false,
        refused: Default::default(),
        found: Default::default(),
    }
}

#[tokio::test]
async fn a_cancelled_dry_run_is_an_error() {
    let (sequencer, cancel, to) = (sequencer(), Cancel::default(), Region::new("hel"));
    let (ended, ()) = join(sequencer.dry_run(&to, None, &cancel), async { cancel.cancel() }).await;
    assert!(matches!(ended, Err(OperationError::Cancelled { operation: "dry-run" })), "{ended:?}");
}

#[tokio::test]
async fn a_cancelled_health_check_is_an_error() {
    let (sequencer, cancel, primary) = (sequencer(), Cancel::default(), Region::new("hel"));
    let (ended, ()) = join(sequencer.health(None, &primary, None, &cancel), async { cancel.cancel() }).await;
    assert!(matches!(ended, Err(OperationError::Cancelled { operation: "PostSwitchoverHealth" })), "{ended:?}");
}

#[tokio::test]
async fn what_is_cancelled_before_it_begins_does_not_begin() {
    let (sequencer, cancel, to) = (sequencer(), Cancel::default(), Region::new("hel"));
    cancel.cancel();
    assert!(sequencer.dry_run(&to, None, &cancel).await.is_err());
}
