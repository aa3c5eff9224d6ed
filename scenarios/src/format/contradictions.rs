//! Expectations that no run can meet, or that every run does.

use super::check::{at, may_move};
use super::expect::{ExecuteExpect, Facts, HolderWord, ResultWord};
use super::names::RegionName;
use super::spot::{Place, Spot};
use super::steps::Step;
use super::yaml::Wrong;
use super::{Expect, Scenario};

pub(super) fn check(scenario: &Scenario, wrong: &mut Vec<Wrong>) {
    for (index, step) in scenario.spec.steps.iter().enumerate() {
        wrong.extend(of_step(step).or_else(|| goes_nowhere(scenario, index, step)));
    }
    let expect = &scenario.spec.expect;
    if expect.write_gap.is_some() && scenario.spec.world.workload.clients == 0 {
        let hint = "this world has no clients (spec.world.workload.clients)";
        wrong.push(at(expect.place, "a gap in writes that nobody makes", hint));
    }
    wrong.extend(of_result(scenario));
    wrong.extend(of_end(expect));
}

/// How a move is expected to end.
fn expected_of(step: &Step) -> Option<&ExecuteExpect> {
    match step {
        Step::Execute(execute) => Some(&execute.expect),
        Step::Failback(failback) => Some(&failback.expect),
        _ => None,
    }
}

fn of_step(step: &Spot<Step>) -> Option<Wrong> {
    if let Step::Assert(Facts { primary: Some(primary), writable: Some(writable), .. }) = &step.value {
        let both = format!("`primary: {primary}` and other regions in `writable`");
        return (*writable != [primary.clone()])
            .then(|| never(step.place, &both, "the primary is the one region that takes writes; keep one"));
    }
    let expect = expected_of(&step.value)?;
    let result = expect.result.filter(|result| matches!(result, ResultWord::Succeeded | ResultWord::AlreadyThere))?;
    let word = result.word();
    if let Some(failed) = expect.failed_at_step {
        let both = format!("`result: {word}` and `failedAtStep: {failed}`");
        return Some(never(step.place, &both, "what ended so failed at no step; keep one"));
    }
    let undone = expect.rolled_back.as_ref().is_some_and(|steps| !steps.is_empty());
    undone.then(|| {
        never(step.place, &format!("`result: {word}` and steps in `rolledBack`"), "what ended so undid none; keep one")
    })
}

/// A move to where the role is already, which does not end as one that moved it.
fn goes_nowhere(scenario: &Scenario, index: usize, step: &Spot<Step>) -> Option<Wrong> {
    let Step::Execute(execute) = &step.value else { return None };
    let (to, world) = (&execute.to, &scenario.spec.world);
    let earlier = scenario.spec.steps[..index].iter().map(|step| &step.value);
    let is_there = *to == world.primary && world.lease.initial.is_none() && !may_move(scenario, earlier);
    (is_there && execute.expect.result == Some(ResultWord::Succeeded)).then(|| {
        let hint = format!("{to} is primary already: `to: {}`, or `result: alreadyThere`", to.other());
        never(step.place, &format!("`to: {to}` and `result: succeeded`"), &hint)
    })
}

/// `expect.result` against the step whose result it is.
fn of_result(scenario: &Scenario) -> Option<Wrong> {
    let Spot { value: result, place } = scenario.spec.expect.result.as_ref()?;
    let moves: Vec<&Step> =
        scenario.spec.steps.iter().map(|step| &step.value).filter(|step| expected_of(step).is_some()).collect();
    let Some(last) = moves.last() else {
        return Some(at(*place, "a result of a switchover that nobody asks for", "add a step `execute`"));
    };
    // Moves that are not waited for may end in another order, and one may end without a report.
    let is_waited_for = |step: &&Step| match step {
        Step::Execute(execute) => execute.wait,
        Step::Failback(failback) => failback.wait,
        _ => false,
    };
    let expected = expected_of(last)?;
    if moves.len() > 1 && (!moves.iter().all(is_waited_for) || expected.error.is_some()) {
        return None;
    }
    let of_step = expected.result.filter(|of_step| of_step != result)?;
    let both = format!("`result: {}` here and `result: {}` of the last switchover", result.word(), of_step.word());
    Some(never(*place, &both, "both are said of the same switchover; keep one"))
}

/// What is expected of the end, against what the checks ask for that are not expected to fail.
fn of_end(expect: &Expect) -> Option<Wrong> {
    let Spot { value: primary, .. } = expect.primary.as_ref()?;
    if let Some(Spot { value: holder, place }) = &expect.holder
        && !is_region(*holder, primary)
        && !expect.expects_failure_of("converged")
    {
        let both = format!("`primary: {primary}` and `holder: {}`", holder.word());
        let hint = "the check `converged` wants the lease where the primary is: mend one, or expect it to fail";
        return Some(never(*place, &both, hint));
    }
    let of_dns = expect.dns.as_ref();
    let Spot { value: region, place } =
        of_dns.filter(|spot| spot.value != *primary && !expect.expects_failure_of("nothing-left"))?;
    let both = format!("`primary: {primary}` and `dns: {region}`");
    let hint = "the check `nothing-left` wants it to lead to the primary: mend one, or expect it to fail";
    Some(never(*place, &both, hint))
}

fn is_region(holder: HolderWord, region: &RegionName) -> bool {
    holder.word() == region.as_str()
}

fn never(place: Place, both: &str, hint: &str) -> Wrong {
    at(place, format!("can never hold: {both}"), hint)
}
