//! Whole switchovers over a world that obeys at once: each step from its start to the end, and back from
//! wherever a person aborts.

use super::*;

/// What was decided, in a word each.
type Story = Vec<String>;

impl World {
    /// Carries out a decision. Whether the intent still stands.
    fn obey(&mut self, decision: &Decision, story: &mut Story) -> bool {
        match decision {
            Decision::Wait(..) => self.pass(1),
            Decision::NotMine(holder) => self.me = holder.clone().expect("held"),
            Decision::Finish(result) => {
                story.push(format!("{result:?}"));
                return false;
            }
            Decision::Stuck(step, why) => panic!("step {step} is stuck: {why}"),
            Decision::Keep(..) | Decision::Rest(_) => panic!("an intent stands: {decision:?}"),
            Decision::Act(step, Action::Record(change)) | Decision::Undo(step, Action::Record(change)) => {
                self.change(*step, change);
                if let Change::Start(_) = change {
                    self.memory.begun(*step);
                }
            }
            Decision::Act(step, action) | Decision::Undo(step, action) => {
                story.push(format!("{step} {}", self.effect(action)));
                self.memory.tried(decision, &done(), self.at);
            }
        }
        true
    }

    fn effect(&mut self, action: &Action) -> String {
        match action {
            Action::Cluster(write) => self.cluster_effect(write),
            Action::Route(write) => {
                let route = self.route(&write.region);
                route.claim = Some(write.claim.clone());
                for (rule, weights) in route.rules.iter_mut().zip(&write.weights) {
                    for (name, weight) in &mut rule.backends {
                        *weight = weights.get(name).copied().unwrap_or(*weight);
                    }
                }
                format!("weights {}", write.region)
            }
            Action::Publish { sets, .. } => {
                let records = &mut self.zone().records;
                records.retain(|old| sets.iter().all(|new| new.kind != old.kind));
                records.extend(sets.iter().filter(|set| !set.contents.is_empty()).cloned());
                let forward = self.zone().records[0].contents[0].contains("10.2.0.1");
                self.answer("NOERROR", &[fixture::address(&if forward { hel() } else { fsn() })]);
                "publish".into()
            }
            Action::TryWrite { .. } => "write".into(),
            Action::Emit(_) => "emit".into(),
            Action::Admit(_) => "admit".into(),
            Action::Copy { .. } | Action::Record(_) => unreachable!("not an effect on the world"),
        }
    }

    fn cluster_effect(&mut self, write: &ClusterWrite) -> String {
        let at_from = write.region == fsn();
        let (cluster, database) = if at_from { self.from() } else { self.to() };
        cluster.claim = Some(write.claim.clone());
        match &write.change {
            ClusterChange::Claim => "claim".into(),
            ClusterChange::Demote { primary } => {
                cluster.role = Role::Replica;
                cluster.primary_name = Some(primary.clone());
                cluster.promotion_token = None;
                cluster.demotion_token = Some(token(cluster.timeline.unwrap(), "0/7000028"));
                *database = fixture::standby_database();
                format!("demote {}", write.region)
            }
            ClusterChange::Promote { primary, token, .. } => {
                cluster.role = Role::Primary;
                cluster.primary_name = Some(primary.clone());
                cluster.promotion_token = token.clone();
                cluster.last_promotion_token = token.clone();
                cluster.demotion_token = None;
                cluster.timeline = cluster.timeline.map(|timeline| timeline + 1);
                *database = fixture::primary_database("");
                database.timeline = cluster.timeline;
                format!("promote {}", write.region)
            }
            ClusterChange::Fence | ClusterChange::FenceAndDemote { .. } | ClusterChange::Unfence { .. } => {
                panic!("nothing is fenced here")
            }
        }
    }

    /// Drives until the intent ends, aborted after `abort_at` decisions.
    fn walk(&mut self, abort_at: Option<usize>) -> (Story, usize) {
        let mut story = Story::new();
        for count in 0..500 {
            if abort_at == Some(count) {
                self.abort = Some(ID.into());
            }
            self.set_beat(Some(count as u64 + 1));
            let decision = self.decide();
            if !self.obey(&decision, &mut story) {
                return (story, count);
            }
        }
        panic!("never ends: {story:?}");
    }
}

#[test]
fn a_switchover_does_its_seven_steps_in_order() {
    let mut world = World::begun();
    let (story, _) = world.walk(None);
    let expected =
        "2 demote fsn, 3 weights fsn, 3 weights hel, 4 publish, 6 admit, 6 promote hel, 6 write, 7 emit, Succeeded";
    assert_eq!(story.join(", "), expected);
    assert_eq!((world.record.generation, world.me.clone()), (5, hel()));
    assert!(world.record.intent.unwrap().steps.iter().all(|step| step.finished_at.is_some()));
    assert_eq!(world.record.lineage, Lineage::Of { region: hel(), timeline: 4 });
}

#[test]
fn aborted_at_any_decision_it_ends_as_it_began_or_succeeds() {
    let (_, decisions) = World::begun().walk(None);
    let mut undone = 0;
    for abort_at in 0..decisions {
        let mut world = World::begun();
        let (story, _) = world.walk(Some(abort_at));
        if story.last().unwrap() == "Succeeded" {
            assert!(world.record.intent.as_ref().unwrap().past_return(), "aborted at {abort_at}: {story:?}");
            continue;
        }
        undone += 1;
        let before = World::begun();
        assert!(world.record.held_by(&fsn()), "aborted at {abort_at}");
        assert_eq!(world.record.generation % 2, 0, "back is one more generation than there");
        assert!(matches!(&world.record.lineage, Lineage::Of { region, .. } if *region == fsn()));
        assert_eq!(world.seen.zone, before.seen.zone, "aborted at {abort_at}");
        assert_eq!(world.route(&fsn()).rules, before.clone().route(&fsn()).rules);
        assert_eq!(world.route(&hel()).rules, before.clone().route(&hel()).rules);
        assert_eq!((world.from().0.role, world.from().1.accepts), (Role::Primary, Accepts::Yes));
        assert_eq!((world.to().0.role, world.to().1.accepts), (Role::Replica, Accepts::No));
    }
    assert!(undone > 15, "{undone} of {decisions}");
}

#[test]
fn a_process_that_starts_anew_after_every_decision_gets_there_too() {
    let mut world = World::begun();
    let mut story = Story::new();
    for count in 0..500 {
        world.set_beat(Some(count + 1));
        let decision = world.decide();
        if !world.obey(&decision, &mut story) {
            break;
        }
        // Ages count anew, so it forgets only where it does not wait.
        if !matches!(
            decision,
            Decision::Wait(..) | Decision::Act(6 | 7, Action::Admit(_) | Action::TryWrite { .. } | Action::Emit(_))
        ) {
            world.memory = Memory::default();
        }
    }
    let expected =
        "2 demote fsn, 3 weights fsn, 3 weights hel, 4 publish, 6 admit, 6 promote hel, 6 write, 7 emit, Succeeded";
    assert_eq!(story.join(", "), expected);
}
