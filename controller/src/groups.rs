//! The watch of the Continuums of one's own cluster, and the task groups that it begins and ends.

use crate::directory::Directory;
use crate::group::Group;
use crate::health::Readiness;
use crate::host::Host;
use crate::roster::{Change, Roster};
use continuum_core::name::{ObjectName, Region};
use continuum_live::resource::{CRD_NAME, GROUP, VERSION};
use futures_util::StreamExt;
use futures_util::future::join_all;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The most that is told of an error at once.
const TOLD_MAX: u32 = 5;

/// See the module.
pub(crate) struct Groups {
    host: Arc<Host>,
    directory: Directory,
    running: BTreeMap<ObjectName, Group>,
    /// Those that were told to end, until another of the name begins.
    ending: BTreeMap<ObjectName, JoinHandle<()>>,
}

impl Groups {
    pub fn new(host: Arc<Host>, directory: Directory) -> Self {
        Self { host, directory, running: BTreeMap::new(), ending: BTreeMap::new() }
    }

    /// Begins and ends groups, for ever. A watch that fails ends none: what stands goes on, and is compared with the next
    /// whole list.
    pub async fn follow(&mut self, region: &Region, client: Client, readiness: &Readiness) {
        let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, "Continuum"), "continuums");
        let api: Api<DynamicObject> = Api::all_with(client, &kind);
        let mut events = pin!(watcher(api, watcher::Config::default()));
        let mut roster = Roster::default();
        let mut failures = 0;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // Only a whole list says that the server is well: `Init` comes before each try.
                    if matches!(event, watcher::Event::InitDone) {
                        if failures > 0 {
                            tracing::info!(%region, "the Continuums are watched again");
                        }
                        failures = 0;
                    }
                    for change in roster.take(event) {
                        self.carry_out(change);
                    }
                    if roster.whole() && failures == 0 {
                        readiness.listed();
                    }
                }
                Err(error) => {
                    failures += 1;
                    let cause = told(region, &error);
                    if failures <= TOLD_MAX || failures % TOLD_MAX == 0 {
                        tracing::warn!(%cause, failures, "the Continuums cannot be watched");
                    }
                    if !roster.whole() {
                        readiness.waits_for(cause);
                    }
                    self.host.clock().sleep(crate::pause::after(failures)).await;
                }
            }
        }
    }

    fn carry_out(&mut self, change: Change) {
        match change {
            Change::Start(name, object) => {
                let before = self.ending.remove(&name);
                let (host, directory) = (self.host.clone(), self.directory.clone());
                let group = Group::start(host, directory, name.clone(), &object, before);
                self.running.insert(name, group);
            }
            Change::Update(name, object) => {
                if let Some(group) = self.running.get(&name) {
                    group.update(&object);
                }
            }
            Change::End(name) => {
                self.ending.retain(|_, ending| !ending.is_finished());
                if let Some(group) = self.running.remove(&name) {
                    self.ending.insert(name, tokio::spawn(group.end()));
                }
            }
        }
    }

    /// Sends nothing more that drives.
    pub fn stop_driving(&self) {
        self.running.values().for_each(Group::stop_driving);
    }

    /// Ends all.
    pub async fn end(self) {
        join_all(self.running.into_values().map(Group::end)).await;
        join_all(self.ending.into_values()).await;
    }
}

/// What is wrong with a watch, and how to mend it.
fn told(region: &Region, error: &watcher::Error) -> String {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    let cure = match code {
        Some(404) => format!(": is {CRD_NAME} installed? `continuum-controller --print-crd` gives it"),
        Some(403) => format!(": give this controller's account the verbs list and watch on continuums.{GROUP}"),
        Some(401) => ": its credentials are not taken; renew them".to_owned(),
        _ => String::new(),
    };
    format!("{region}: {}{cure}", crate::chain(error))
}
