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
use continuum_core::name::ObjectName;
use continuum_live::watches::ServerWatches;
use futures_util::future::{Either, join, join_all, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use tokio::task::JoinHandle;

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
    pub async fn follow(&mut self, watches: &ServerWatches, leadership: &Leadership, readiness: &Readiness) {
        let mut roster = Roster::default();
        let mut listed = false;
        loop {
            // First of two: a replica that leads no more is not to wait for a watch that has much to tell.
            if let Either::Left(_) = select(pin!(leadership.changed()), pin!(watches.news())).await {
                self.stand(leadership.now());
                continue;
            }
            match watches.changes() {
                Ok(changes) => {
                    for (name, object) in changes {
                        for change in roster.take(name, object) {
                            self.carry_out(change);
                        }
                    }
                    listed = true;
                    self.directory.listed();
                    readiness.known(Part::List);
                }
                Err(cause) if !listed => readiness.waits_for(Part::List, format!("{}: {cause}", watches.region())),
                Err(_) => {}
            }
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
                self.begin(name, Arc::new(Resource::new(object)), before);
            }
            Change::Update(name, object) => {
                if let Some(group) = self.running.get(&name) {
                    // One tells. What became of it while another led was that one's to tell, and is told by nobody where it
                    // died first.
                    if matches!(self.standing, Standing::Leads(_)) {
                        self.events.changed(&group.resource.object(), &object.read());
                    }
                    group.resource.set(object);
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
