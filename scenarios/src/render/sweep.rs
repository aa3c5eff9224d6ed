//! Many seeds: a line for each scenario, and one for each run that did not pass, with the command that gives it again.

use super::layout::{BAD, GOOD, QUIET, grouped, paint, seconds, wrap};
use crate::outcome::Verdict;
use crate::sweep::{NotPassed, Spread, Sweep, SweepReport};

/// So many seeds of one reason are shown one by one.
const SEEDS_SHOWN_MAX: usize = 10;

/// `200 runs · 199 passed, 1 failed · gap p50 13.7 s, p95 14.9 s, max 61.2 s`, and what did not pass.
pub fn sweep(report: &SweepReport, width: usize) -> String {
    let mut text = String::new();
    let several = report.sweeps.len() > 1;
    for sweep in &report.sweeps {
        let is_twin = |other: &&Sweep| other.scenario == sweep.scenario && other.file != sweep.file;
        let name = match report.sweeps.iter().find(is_twin) {
            Some(_) => format!("{} ({}): ", sweep.scenario, sweep.file),
            None if several => format!("{}: ", sweep.scenario),
            None => String::new(),
        };
        push(&mut text, &format!("{name}{}", summary(sweep)), "", width);
        for runs in by_reason(&sweep.not_passed) {
            not_passed(&mut text, &runs, width);
        }
        let more = sweep.failed + sweep.unfinished - sweep.not_passed.len() as u64;
        if more > 0 {
            push(&mut text, &format!("and {} more that did not pass", grouped(more)), "", width);
        }
    }
    text
}

fn summary(sweep: &Sweep) -> String {
    let ran = sweep.passed + sweep.failed + sweep.unfinished;
    let counts = [
        (sweep.passed, "passed", GOOD),
        (sweep.failed, "failed", BAD),
        (sweep.unfinished, "unfinished", BAD),
        (sweep.not_run, "not run", BAD),
    ];
    let counts = counts.into_iter().filter(|(count, what, _)| *count > 0 || *what == "passed");
    let counts: Vec<String> = counts
        .map(|(count, what, style)| paint(if count > 0 { style } else { QUIET }, &format!("{} {what}", grouped(count))))
        .collect();
    let mut parts = vec![format!("{} run{}", grouped(ran), if ran == 1 { "" } else { "s" }), counts.join(", ")];
    if let Some(Spread { p50, p95, max }) = sweep.write_gap_ms {
        parts.push(format!("gap p50 {}, p95 {}, max {}", seconds(p50), seconds(p95), seconds(max)));
    }
    parts.join(" · ")
}

/// Runs that did not pass for one reason, in the order of the first of each.
fn by_reason(runs: &[NotPassed]) -> Vec<Vec<&NotPassed>> {
    let mut groups: Vec<Vec<&NotPassed>> = Vec::new();
    for run in runs {
        let is_alike = |group: &&mut Vec<&NotPassed>| (group[0].verdict, &group[0].why) == (run.verdict, &run.why);
        match groups.iter_mut().find(is_alike) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    groups
}

/// `1, 2, 5 and 7 more`.
fn seeds(runs: &[&NotPassed]) -> String {
    let shown: Vec<String> = runs.iter().take(SEEDS_SHOWN_MAX).map(|run| run.seed.to_string()).collect();
    let more = runs.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {}{more}", if runs.len() == 1 { "seed" } else { "seeds" }, shown.join(", "))
}

/// Runs of one reason, with the command for the first of them.
fn not_passed(text: &mut String, runs: &[&NotPassed], width: usize) {
    let Some(run) = runs.first() else { return };
    let word = match run.verdict {
        Verdict::Passed | Verdict::Failed => "FAILED",
        Verdict::DidNotFinish => "DID NOT FINISH",
        Verdict::Crashed => "CRASHED",
    };
    let head = format!("{} {}  ", paint(BAD, word), seeds(runs));
    let line = format!("{head}{}", run.why);
    let both = format!("{line}  {}", run.reproduce);
    if shown_length(&both) <= width {
        push(text, &both, "", width);
    } else {
        push(text, &line, "    ", width);
        push(text, &format!("    {}", run.reproduce), "    ", usize::MAX);
    }
}

fn shown_length(line: &str) -> usize {
    anstream::adapter::strip_str(line).to_string().chars().count()
}

/// Adds a text, its further lines indented. A style stands around single words, so wrapping breaks none.
fn push(text: &mut String, line: &str, indent: &str, width: usize) {
    let hidden = line.chars().count() - shown_length(line);
    let wrapped = if shown_length(line) <= width {
        vec![line.to_owned()]
    } else {
        wrap(line, width.saturating_sub(indent.len()).saturating_add(hidden))
    };
    for (index, part) in wrapped.iter().enumerate() {
        let indent = if index == 0 { "" } else { indent };
        text.push_str(&format!("{indent}{part}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::render::example;
    use crate::sweep::Tally;

    fn report() -> SweepReport {
        let mut tally = Tally::new("reply-lost".into(), "reply-lost.yaml".into(), &(1..=3_000));
        for seed in 1..=1_200 {
            tally.add(Outcome { seed, ..example::passed() });
        }
        tally.add(Outcome { seed: 1_201, ..example::failed() });
        SweepReport { sweeps: vec![tally.end()] }
    }

    #[test]
    fn many_runs_are_one_line_and_one_for_each_that_did_not_pass() {
        insta::assert_snapshot!(anstream::adapter::strip_str(&sweep(&report(), 110)).to_string());
    }

    #[test]
    fn one_reason_is_told_once_with_the_seeds_that_gave_it() {
        let mut tally = Tally::new("many".into(), "many.yaml".into(), &(1..=20));
        for seed in 1..=13 {
            tally.add(Outcome { seed, ..example::failed() });
        }
        tally.add(Outcome { seed: 14, did_not_finish: Some("past 10m".into()), ..example::failed() });
        let shown = sweep(&SweepReport { sweeps: vec![tally.end()] }, 110);
        let shown = anstream::adapter::strip_str(&shown).to_string();
        assert_eq!(shown.matches("FAILED").count(), 1, "{shown}");
        assert!(shown.contains("FAILED seeds 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more  "), "{shown}");
        assert!(shown.contains("DID NOT FINISH seed 14  past 10m"), "{shown}");
    }

    #[test]
    fn lines_fit_a_narrow_terminal_except_commands() {
        let shown = anstream::adapter::strip_str(&sweep(&report(), 60)).to_string();
        let long: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 60).collect();
        assert!(long.iter().all(|line| line.trim_start().starts_with("continuum run")), "{shown}");
    }
}
