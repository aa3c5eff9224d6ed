//! The watch of the Continuums of one's own cluster, and the task groups that it begins and ends. All of them are begun anew
//! where this replica comes to lead, or leads no more.

use crate::directory::Directory;
use crate::group::Group;
use crate::health::{Part, Readiness};
use crate::host::Host;
use crate::kube_events::KubeEvents;
use crate::leader::{Leadership, Standing};
use crate::resource::Resource;
use crate::roster::{Change, Roster};
use continuum_core::name::{ObjectName, Region};
use continuum_live::resource::{CRD_NAME, GROUP, VERSION};
use futures_util::StreamExt;
use futures_util::future::{Either, join, join_all, select};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The most that is told of an error at once.
const TOLD_MAX: u32 = 5;

/// See the module.
pub(crate) struct Groups {
    host: Arc<Host>,
    directory: Directory,
    standing: Standing,
    events: KubeEvents,
    running: BTreeMap<ObjectName, Group>,
    /// Those that were told to end, until another of the name begins.
    ending: BTreeMap<ObjectName, JoinHandle<()>>,
}

impl Groups {
    pub fn new(host: Arc<Host>, directory: Directory, standing: Standing, events: KubeEvents) -> Self {
        Self { host, directory, standing, events, running: BTreeMap::new(), ending: BTreeMap::new() }
    }

    /// Begins and ends groups, for ever. A watch that fails ends none: what stands goes on, and is compared with the next
    /// whole list.
    pub async fn follow(&mut self, region: &Region, client: Client, leadership: &Leadership, readiness: &Readiness) {
        let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, "Continuum"), "continuums");
        let api: Api<DynamicObject> = Api::all_with(client, &kind);
        let mut events = pin!(watcher(api, watcher::Config::default()));
        let mut roster = Roster::default();
        let mut failures = 0;
        loop {
            // First of two: a replica that leads no more is not to wait for a watch that has much to tell.
            let event = match select(pin!(leadership.changed()), events.next()).await {
                Either::Left(_) => {
                    self.stand(leadership.now());
                    continue;
                }
                Either::Right((Some(event), _)) => event,
                Either::Right((None, _)) => return,
            };
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
                        self.directory.listed();
                        readiness.known(Part::List);
                    }
                }
                Err(error) => {
                    failures += 1;
                    let cause = told(region, &error);
                    if failures <= TOLD_MAX || failures % TOLD_MAX == 0 {
                        tracing::warn!(%cause, failures, "the Continuums cannot be watched");
                    }
                    if !roster.whole() {
                        readiness.waits_for(Part::List, cause);
                    }
                    self.pause(crate::pause::after(failures), leadership).await;
                }
            }
        }
    }

    /// Waits, and follows the election meanwhile.
    async fn pause(&mut self, pause: Duration, leadership: &Leadership) {
        let host = self.host.clone();
        let mut slept = pin!(host.clock().sleep(pause));
        while let Either::Right(_) = select(&mut slept, pin!(leadership.changed())).await {
            self.stand(leadership.now());
        }
    }

    /// Begins all anew, with another standing.
    fn stand(&mut self, standing: Standing) {
        self.standing = standing;
        for (name, group) in std::mem::take(&mut self.running) {
            let resource = group.resource.clone();
            let before = tokio::spawn(group.make_way());
            self.begin(name, resource, Some(before));
        }
    }

    fn begin(&mut self, name: ObjectName, resource: Arc<Resource>, before: Option<JoinHandle<()>>) {
        let (host, directory) = (self.host.clone(), self.directory.clone());
        let group = Group::start(host, directory, name.clone(), resource, self.standing.clone(), before);
        self.running.insert(name, group);
    }

    fn carry_out(&mut self, change: Change) {
        match change {
            Change::Start(name, object) => {
                let before = self.ending.remove(&name);
                self.begin(name, Arc::new(Resource::new(as_value(&object))), before);
            }
            Change::Update(name, object) => {
                if let Some(group) = self.running.get(&name) {
                    let now = as_value(&object);
                    // One tells. What became of it while another led was that one's to tell, and is told by nobody where it
                    // died first.
                    if matches!(self.standing, Standing::Leads(_)) {
                        self.events.changed(&group.resource.object(), &now);
                    }
                    group.resource.set(now);
                }
            }
            Change::End(name) => {
                self.ending.retain(|_, ending| !ending.is_finished());
                if let Some(group) = self.running.remove(&name) {
                    self.directory.remove(&name);
                    self.ending.insert(name, tokio::spawn(group.end()));
                }
            }
        }
    }

    /// Ends all. Calls of the API that are under way, and change nothing themselves, go on.
    pub async fn end(self) {
        let running = self.running.into_values().map(Group::make_way);
        join(join_all(running), join_all(self.ending.into_values())).await;
    }
}

fn as_value(object: &DynamicObject) -> serde_json::Value {
    serde_json::to_value(object).expect("it was read from JSON")
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
