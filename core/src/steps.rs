//! The seven steps of a switchover, each defined once: name, estimate, effect, undo, time limits.
//!
//! Dry run, execution, undo and the table in the docs all read [`STEPS`]. When a step's effect counts as
//! seen, and what to do next, is decided elsewhere; nothing here looks at the world.

use crate::plan::Plan;
use std::time::Duration;

/// Estimate of step 1, s.
pub const VALIDATE_LEASE_ESTIMATE_SECONDS: u32 = 1;
/// Estimate of step 2, s.
pub const CORDON_OLD_PRIMARY_ESTIMATE_SECONDS: u32 = 2;
/// Estimate of step 3, s, where `drainSeconds` has its default. It is the drain itself; 0 where no route.
pub const DRAIN_HTTP_ESTIMATE_SECONDS: u32 = 10;
/// Estimate of step 4, s.
pub const FLIP_DNS_ESTIMATE_SECONDS: u32 = 5;
/// Estimate of step 5, s.
pub const SWAP_LEASE_ESTIMATE_SECONDS: u32 = 2;
/// Estimate of step 6, s.
pub const UNCORDON_NEW_PRIMARY_ESTIMATE_SECONDS: u32 = 3;
/// Estimate of step 7, s.
pub const AUDIT_EMIT_ESTIMATE_SECONDS: u32 = 1;

/// The number of steps.
pub const STEP_COUNT: u8 = 7;

/// The step that issues the promotion. Once the record says that it started, only forward.
pub const POINT_OF_NO_RETURN: u8 = 6;

/// Limits of the steps whose limit is a constant, s. Step 3 has its drain on top.
const LIMIT_SECONDS: [u32; 7] = [3, 0, 3, 5, 3, 10, 3];
/// Limits of the undos, s. Steps 6 and 7 have none.
const UNDO_LIMIT_SECONDS: [Option<u64>; 7] = [Some(3), Some(45), Some(3), Some(5), Some(3), None, None];

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// 1 to 7.
    pub number: u8,
    /// Its exact name.
    pub name: &'static str,
    /// Estimate, s; step 3's is that of the default drain. See [`Step::estimate_seconds`].
    pub estimate_default_seconds: u32,
    /// What it does.
    pub does: &'static str,
    /// What is seen when it is done.
    pub effect: &'static str,
    /// How it is undone. Absent: forward only.
    pub undo: Option<&'static str>,
    /// Issuing it cannot be taken back.
    pub irreversible: bool,
}

/// The seven steps, in order.
pub const STEPS: [Step; 7] = [
    Step {
        number: 1,
        name: "validate-lease",
        estimate_default_seconds: VALIDATE_LEASE_ESTIMATE_SECONDS,
        does: "checks that the lease is held by the old region and renewed, or free; pins its generation",
        effect: "the intent stands in the record, the preconditions hold, the new region's controller has seen it",
        undo: Some("remove the intent"),
        irreversible: false,
    },
    Step {
        number: 2,
        name: "cordon-old-primary",
        estimate_default_seconds: CORDON_OLD_PRIMARY_ESTIMATE_SECONDS,
        does: "stops writes on the old primary half, by demoting it",
        effect: "the old half's spec says replica, it refuses writes, its demotion token is in the intent",
        undo: Some("promote the old half back with its own token"),
        irreversible: false,
    },
    Step {
        number: 3,
        name: "drain-http",
        estimate_default_seconds: DRAIN_HTTP_ESTIMATE_SECONDS,
        does: "sets the route's weight toward the old region to 0 and raises the new one's, then waits",
        effect: "in the route of both regions the old backend has had weight 0 for the whole drain",
        undo: Some("the former weights"),
        irreversible: false,
    },
    Step {
        number: 4,
        name: "flip-dns",
        estimate_default_seconds: FLIP_DNS_ESTIMATE_SECONDS,
        does: "writes the application's records so that they answer the new region's addresses, and only those",
        effect: "every authoritative server answers only with addresses of the new region",
        undo: Some("the former records"),
        irreversible: false,
    },
    Step {
        number: 5,
        name: "swap-lease",
        estimate_default_seconds: SWAP_LEASE_ESTIMATE_SECONDS,
        does: "passes the lease from the old region to the new one, and the driving with it",
        effect: "the new region holds the next generation, with the same intent",
        undo: Some("swap back, as one more generation"),
        irreversible: false,
    },
    Step {
        number: 6,
        name: "uncordon-new-primary",
        estimate_default_seconds: UNCORDON_NEW_PRIMARY_ESTIMATE_SECONDS,
        does: "makes the replica half primary, the old half its replica",
        effect: "the new half carries this generation's claim and the token, its timeline grew, its restart is \
                 through, it is Ready, and a new connection writes",
        undo: None,
        irreversible: true,
    },
    Step {
        number: 7,
        name: "audit-emit",
        estimate_default_seconds: AUDIT_EMIT_ESTIMATE_SECONDS,
        does: "emits a durable `continuum-switchover` event",
        effect: "the stream acknowledged the event of this intent",
        undo: None,
        irreversible: true,
    },
];

/// The step of this number, 1 to 7.
///
/// # Panics
/// Where there is no such step: numbers come from this table or from a record that was checked.
pub fn step(number: u8) -> &'static Step {
    &STEPS[usize::from(number) - 1]
}

/// The name of the step of this number; `?` where there is none (a record of another version).
pub fn name(number: u8) -> &'static str {
    STEPS.iter().find(|step| step.number == number).map_or("?", |step| step.name)
}

/// `step-4 (flip-dns): <cause>`; the bare cause for number 0, which is no step.
pub fn failure_text(number: u8, cause: &str) -> String {
    match number {
        0 => cause.to_owned(),
        _ => format!("step-{number} ({}): {cause}", name(number)),
    }
}

impl Step {
    /// Estimate under this plan, s.
    pub fn estimate_seconds(&self, plan: &Plan) -> u32 {
        if self.number == 3 { plan.drain_seconds() } else { self.estimate_default_seconds }
    }

    /// How long the step may take, the caches of authoritative servers that step 4 waits for not counted: they are no
    /// part of the objective, and cutting step 2 short for them would undo moves that go well. Past it a step before the point of no return is undone; past step 6's
    /// it is only reported. Absent: the objective leaves step 2 no time at all, which is a blocker.
    pub fn limit(&self, plan: &Plan) -> Option<Duration> {
        let constant = |number: u8| u64::from(LIMIT_SECONDS[usize::from(number) - 1]);
        let drain = u64::from(plan.drain_seconds());
        let seconds = match self.number {
            2 => {
                let others: u64 = (1..=STEP_COUNT).map(constant).sum::<u64>() + drain;
                u64::from(plan.rto_seconds).checked_sub(others).filter(|left| *left > 0)?
            }
            3 => constant(3) + drain,
            number => constant(number),
        };
        Some(Duration::from_secs(seconds))
    }

    /// How long its undo may take before the next earlier one starts. Absent: forward only.
    pub fn undo_limit(&self) -> Option<Duration> {
        UNDO_LIMIT_SECONDS[usize::from(self.number) - 1].map(Duration::from_secs)
    }
}

/// The table of the docs, in Markdown.
pub fn table_markdown() -> String {
    let mut table = String::from(
        "| # | name | estimate, s | limit, s | what it does | done when | undo | limit of the undo, s |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for step in &STEPS {
        let estimate = match step.number {
            3 => format!("{} (= `drainSeconds`; 0 where no route)", step.estimate_default_seconds),
            _ => step.estimate_default_seconds.to_string(),
        };
        let constant = LIMIT_SECONDS[usize::from(step.number) - 1];
        let limit = match step.number {
            2 => "RTO less all others".to_owned(),
            3 => format!("drain + {constant}"),
            4 => format!("{constant} + caches"),
            6 => format!("{constant}, reported only"),
            _ => constant.to_string(),
        };
        let undo_limit = step.undo_limit().map_or("".to_owned(), |limit| limit.as_secs().to_string());
        table.push_str(&format!(
            "| {} | `{}` | {estimate} | {limit} | {} | {} | {} | {undo_limit} |\n",
            step.number,
            step.name,
            step.does,
            step.effect,
            step.undo.unwrap_or("forward only"),
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::fixture;

    #[test]
    fn names_are_the_contracts_and_numbers_count_from_one() {
        let names: Vec<&str> = STEPS.iter().map(|s| s.name).collect();
        assert_eq!(
            names,
            [
                "validate-lease",
                "cordon-old-primary",
                "drain-http",
                "flip-dns",
                "swap-lease",
                "uncordon-new-primary",
                "audit-emit"
            ]
        );
        for (i, step) in STEPS.iter().enumerate() {
            assert_eq!(usize::from(step.number), i + 1);
            assert_eq!(super::step(step.number), step);
        }
    }

    #[test]
    fn estimates_sum_to_24_with_a_route_and_to_14_without() {
        let mut plan = fixture::plan();
        let sum = |plan: &Plan| STEPS.iter().map(|s| s.estimate_seconds(plan)).sum::<u32>();
        assert_eq!(sum(&plan), 24);
        plan.route = None;
        assert_eq!(sum(&plan), 14);
    }

    #[test]
    fn the_limits_of_all_steps_together_are_the_objective() {
        let mut plan = fixture::plan();
        let sum = |plan: &Plan| STEPS.iter().map(|s| s.limit(plan).expect("positive").as_secs()).sum::<u64>();
        assert_eq!(sum(&plan), 60);
        assert_eq!(step(2).limit(&plan), Some(Duration::from_secs(23)));
        plan.route = None;
        assert_eq!(sum(&plan), 60);
    }

    #[test]
    fn an_objective_that_leaves_step_2_nothing_gives_no_limit() {
        let mut plan = fixture::plan();
        plan.rto_seconds = 37;
        assert_eq!(step(2).limit(&plan), None);
        plan.rto_seconds = 38;
        assert_eq!(step(2).limit(&plan), Some(Duration::from_secs(1)));
        plan.rto_seconds = 0;
        assert_eq!(step(2).limit(&plan), None);
    }

    #[test]
    fn a_step_is_irreversible_exactly_where_it_has_no_undo() {
        for step in &STEPS {
            assert_eq!(step.irreversible, step.undo.is_none(), "{}", step.name);
            assert_eq!(step.irreversible, step.undo_limit().is_none(), "{}", step.name);
            assert_eq!(step.irreversible, step.number >= POINT_OF_NO_RETURN);
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_step() {
        let table = table_markdown();
        assert_eq!(table.lines().count(), 9);
        for step in &STEPS {
            assert!(table.contains(&format!("| {} | `{}` |", step.number, step.name)), "{table}");
        }
    }
}
