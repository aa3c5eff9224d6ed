//! A role change to replica changes PostgreSQL's configuration (`archive_mode`): the instance manager says so in phase
//! and Ready, beside the demotion that goes on. In the traces this comes before the fence, or after `inProgress`; and
//! ends before the token or after the whole demotion. Where the half is fenced or restarting already it does not show.

use super::hand::Hand;
use super::view::{APPLYING, HEALTHY, Role};

impl Hand {
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
            if demoted && !view.fenced && view.phase == HEALTHY && !view.disabled && self.memory().manager_up {
                self.announce().await;
            }
        }
    }

    async fn announce(&self) {
        if self.chance(70) {
            self.pause(150..=220).await;
        } else {
            self.until_view(|view| view.in_progress || view.role == Role::Primary).await;
            self.pause(15..=40).await;
        }
        self.set_phase(APPLYING, Some("PostgreSQL configuration changed"), Some(false)).await;
        // A half that was never promoted has nothing to demote, whatever it was told for a moment.
        let demotes = !self.instance.status().in_recovery;
        if self.chance(85) || !demotes {
            self.pause(280..=430).await;
        } else {
            self.until_view(|view| view.role == Role::Primary || view.ended_a_demotion()).await;
            self.pause(60..=110).await;
        }
        if self.view().is_some_and(|view| view.phase == APPLYING) {
            self.set_phase(HEALTHY, None, Some(true)).await;
        }
    }
}
