//! What a driver logs.

use crate::next::{Action, Change};
use crate::ports::{ClusterChange, Outcome};
use crate::record::Intent;
use crate::steps;

pub(super) fn log_change(intent: &Intent, step: u8, change: &Change) {
    let name = steps::name(step);
    match change {
        Change::Start(_) => tracing::info!(id = %intent.id, step, name, "step started"),
        Change::Finish(effect) => {
            tracing::info!(id = %intent.id, step, name, note = effect.note.as_deref().unwrap_or(""), "step done");
        }
        Change::Turn { step, reason, .. } => tracing::warn!(id = %intent.id, step, %reason, "undoing"),
        Change::Undone(_) => tracing::info!(id = %intent.id, step, name, "step undone"),
        Change::Swap | Change::SwapBack => tracing::info!(id = %intent.id, step, "swapping the lease"),
        Change::TurnForward => tracing::warn!(id = %intent.id, "the promotion was issued after all: forward"),
        Change::Redo(why) => tracing::warn!(id = %intent.id, step, name, %why, "its effect is gone: it is done anew"),
        Change::Token(_) => tracing::warn!(id = %intent.id, step, "the old half left a newer token"),
        Change::PromoteWith(_) => tracing::warn!(id = %intent.id, step, "it is promoted with another token"),
        _ => {}
    }
}

pub(super) fn describe(action: &Action) -> String {
    match action {
        Action::Record(change) => match change {
            Change::Acquire { .. } => "acquire the lease".into(),
            Change::TakeBack { reason, .. } => format!("take the lease back: {reason}"),
            Change::Lineage(_) => "write the lineage down".into(),
            Change::InSync(in_sync) => format!("write down that the halves are in sync: {in_sync}"),
            _ => "record".into(),
        },
        Action::Cluster(write) => {
            let what = match &write.change {
                ClusterChange::Claim => "claim",
                ClusterChange::Demote { .. } => "demote",
                ClusterChange::FenceAndDemote { .. } => "fence and demote",
                ClusterChange::Promote { .. } => "promote",
                ClusterChange::Fence => "fence",
                ClusterChange::Unfence { .. } => "unfence",
            };
            format!("{what} {} in {}", write.object, write.region)
        }
        Action::Route(write) => format!("weights of {} in {}", write.object, write.region),
        Action::Publish { .. } => "publish records".into(),
        Action::TryWrite { region, .. } => format!("write over a new connection in {region}"),
        Action::Emit(event) => format!("publish {}", event.body.kind.as_str()),
        Action::Admit(write) => format!("ask whether {} in {} would be promoted", write.object, write.region),
        Action::Copy { .. } => "bring the spec in line with the record".into(),
    }
}

pub(super) fn say(outcome: &Outcome<()>) -> String {
    match outcome {
        Outcome::Done(()) => "done".into(),
        Outcome::NotApplied(cause) => format!("not applied: {cause}"),
        Outcome::Refused(cause) => format!("refused: {cause}"),
        Outcome::Unknown(cause) => format!("unknown: {cause}"),
    }
}
