//! A role change to replica changes PostgreSQL's configuration (`archive_mode`): the instance manager says so in phase
//! and Ready, beside the demotion that goes on. In the traces this comes before the fence, or after `inProgress`; and
//! ends before the token or after the whole demotion. Where the half is fenced or restarting already it does not show.

use super::Shared;
use super::view::{APPLYING, HEALTHY, Role};
use std::time::Duration;

impl Shared {
    pub(super) async fn announce_configuration(&self) {
        let mut applied = self.view().map(|view| view.role);
        loop {
            let mark = self.mark();
            let Some(view) = self.view() else {
                self.moved_on(mark, None).await;
                continue;
            };
            if applied == Some(view.role) {
                self.moved_on(mark, None).await;
                continue;
            }
            let demoted = applied == Some(Role::Primary) && view.role == Role::Replica;
            applied = Some(view.role);
            if demoted && !view.fenced && view.phase == HEALTHY && self.memory().manager_up {
                self.announce().await;
            }
        }
    }

    async fn announce(&self) {
        if self.chance(70) {
            self.pause(150..=220).await;
        } else {
            self.pause(380..=450).await;
        }
        self.set_phase(APPLYING, Some("PostgreSQL configuration changed"), Some(false), "instance-manager");
        if self.chance(85) {
            self.pause(280..=430).await;
        } else {
            // Until the demotion is through; it takes seconds where the instance manager is busy.
            loop {
                let mark = self.mark();
                let due = self.now() + Duration::from_secs(1);
                match self.view() {
                    Some(view) if view.in_progress || view.demotion_token.is_none() => {
                        self.moved_on(mark, Some(due)).await;
                        if self.view().is_some_and(|view| view.role == Role::Primary) {
                            break;
                        }
                    }
                    _ => break,
                }
            }
            self.pause(80..=150).await;
        }
        if self.view().is_some_and(|view| view.phase == APPLYING) {
            self.set_phase(HEALTHY, None, Some(true), "operator");
        }
    }
}
