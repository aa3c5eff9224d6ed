//! The report of a dry run, from what was found.

use super::{Finding, Findings};
use crate::plan::Plan;
use crate::report::{DryRunReport, DryRunStep};
use crate::steps::{self, STEPS};
use jiff::Timestamp;

/// The steps during which writes are stopped, as the contract counts them.
const DISRUPTING_STEPS: [u8; 3] = [2, 3, 5];

/// Always seven steps, also where an early one blocks: later ones then note what they depend on.
pub fn report(plan: &Plan, findings: &Findings, now: Timestamp) -> DryRunReport {
    let mut blocked_before: Vec<u8> = Vec::new();
    let mut rows = Vec::with_capacity(STEPS.len());
    for step in &STEPS {
        let mut notes = findings.notes(step.number).to_vec();
        if !blocked_before.is_empty() {
            let names: Vec<String> = blocked_before.iter().map(|n| format!("{n} ({})", steps::name(*n))).collect();
            notes.push(format!("depends on step {}, which is blocked", names.join(", ")));
        }
        if findings.blocked(step.number) {
            blocked_before.push(step.number);
        }
        rows.push(DryRunStep {
            step: step.number,
            name: step.name.to_owned(),
            preconditions_met: findings.met(step.number),
            estimated_duration_seconds: step.estimate_seconds(plan),
            notes,
        });
    }
    let sum = |counts: &dyn Fn(u8) -> bool| {
        STEPS.iter().filter(|step| counts(step.number)).map(|step| step.estimate_seconds(plan)).sum()
    };
    DryRunReport {
        plan_fingerprint: plan.fingerprint(),
        steps: rows,
        warnings: findings.warnings().map(Finding::to_string).collect(),
        blockers: findings.blockers().map(Finding::to_string).collect(),
        estimated_duration_seconds: sum(&|_| true),
        estimated_write_disruption_seconds: sum(&|number| DISRUPTING_STEPS.contains(&number)),
        generated_at: now,
    }
}
