//! Outcomes made by hand, to look at.

use crate::format::parse;
use crate::outcome::{Check, Entry, EntryKind, Felt, Interval, Outcome, Report, Unmet};
use crate::runner::{Fabric, RunOptions};
use continuum_core::name::Region;
use continuum_core::report::{DryRunReport, DryRunStep, ExecuteReport, ExecuteResult, HealthCheck, HealthReport};

const FILE: &str = "scenarios/reply-lost-on-promotion.yaml";
const TEXT: &str = "
apiVersion: continuum.openova.io/v1alpha1
kind: Scenario
metadata: { name: reply-lost-on-promotion }
spec:
  seed: 7
  steps:
    - loseReply: { from: api.hel, before: { step: 6 } }
    - execute: { to: hel }
";

fn begin() -> Outcome {
    let scenario = parse(FILE, TEXT).unwrap();
    Outcome::begin(
        &scenario,
        &RunOptions { file: FILE.into(), seed: scenario.spec.seed, fabric: Fabric::Turmoil, trace: false },
    )
}

fn line(run: &mut Outcome, at_ms: u64, kind: EntryKind, label: &str, detail: &str) {
    run.timeline.push(Entry { at_ms, kind, label: label.into(), detail: detail.into(), ..Entry::default() });
}

fn step(run: &mut Outcome, at_ms: u64, step: u8, label: &str, detail: &str, took_ms: Option<u64>) {
    let (label, detail) = (label.into(), detail.into());
    let step = Some(step);
    run.timeline.push(Entry { at_ms, kind: EntryKind::Step, step, label, detail, took_ms, report: None });
}

fn check(name: &str, ok: bool, detail: &str, evidence: &[&str]) -> Check {
    let evidence = evidence.iter().map(|line| (*line).to_owned()).collect();
    let (at_ms, trace) = (None, vec![]);
    Check { name: name.into(), ok, expected_to_fail: false, detail: detail.into(), evidence, at_ms, trace }
}

fn dry_run(blockers: &[&str], warnings: &[&str]) -> Report {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Report::DryRun(DryRunReport {
        plan_fingerprint: "5f0c93a1e27b440d".into(),
        steps: vec![DryRunStep {
            step: 1,
            name: "validate-lease".into(),
            preconditions_met: true,
            estimated_duration_seconds: 1,
            notes: vec!["fsn holds generation 1".into()],
        }],
        warnings: owned(warnings),
        blockers: owned(blockers),
        estimated_duration_seconds: 24,
        estimated_write_disruption_seconds: 14,
        generated_at: "2026-11-01T00:00:12Z".parse().unwrap(),
    })
}

fn execute(result: ExecuteResult, failed_at_step: u8, error: Option<&str>) -> Report {
    Report::Execute(ExecuteReport {
        id: "shop/shop/1.1".into(),
        result,
        plan_fingerprint: "5f0c93a1e27b440d".into(),
        from: Region::new("fsn"),
        to: Region::new("hel"),
        completed_steps: vec![1, 2, 3, 4, 5, 6, 7],
        failed_at_step,
        error: error.map(str::to_owned),
        rolled_back: if failed_at_step > 0 { vec![4, 3, 2, 1] } else { vec![] },
        started_at: "2026-11-01T00:00:14Z".parse().unwrap(),
        finished_at: "2026-11-01T00:00:41.300Z".parse().unwrap(),
        write_gap_seconds: Some(26.8),
        took_seconds: None,
        rto_missed_by_seconds: None,
        events_owed: 0,
    })
}

fn health(pair_passes: bool) -> Report {
    let check = |name: &str, passed: bool, detail: &str, deferred: bool| HealthCheck {
        name: name.into(),
        passed,
        detail: detail.into(),
        deferred,
    };
    Report::Health(HealthReport {
        new_primary_region: Region::new("hel"),
        checks: vec![
            check("replicas-healthy", pair_passes, "shop-fsn does not stream from shop-hel", false),
            check("dns-probes", true, "", false),
            check("latency-normal", false, "deferred: no metrics source is configured", true),
            check("audit-posted", true, "", false),
        ],
        overall_healthy: pair_passes,
        generated_at: "2026-11-01T00:01:11Z".parse().unwrap(),
    })
}

/// A switchover that went well, with a lost reply.
pub(crate) fn passed() -> Outcome {
    let mut run = begin();
    line(&mut run, 0, EntryKind::Ready, "ready", "fsn primary (timeline 1), hel standby, lag 0.1 s, lease fsn/1");
    run.report(12_400, dry_run(&[], &["step-4: record TTL 60 s is longer than the RTO of 60 s allows"]));
    line(&mut run, 14_000, EntryKind::Execute, "execute", "requested by scenario");
    line(&mut run, 14_450, EntryKind::Clients, "clients", "last write, acknowledged by fsn");
    step(&mut run, 14_300, 1, "validate-lease", "fsn holds generation 1, 27.9 s of its term left", None);
    step(&mut run, 14_400, 2, "cordon-old-primary", "demotion begins", None);
    step(&mut run, 22_900, 2, "", "last write 0/3A2F1C8, token in hand", Some(8_500));
    step(&mut run, 33_000, 3, "drain-http", "shop-fsn 100 -> 0", Some(10_000));
    step(&mut run, 33_400, 4, "flip-dns", "shop.example.org -> 10.2.0.1, verified", Some(400));
    step(&mut run, 33_500, 5, "swap-lease", "hel holds generation 2; hel drives from here", Some(100));
    step(&mut run, 33_600, 6, "uncordon-new-primary", "promotion begins", None);
    line(&mut run, 33_600, EntryKind::Fault, "lose reply", "api.hel -> controller.hel");
    step(&mut run, 38_600, 6, "", "no answer in 5 s: looking; it was applied", None);
    step(&mut run, 41_200, 6, "", "timeline 2, ready, takes writes", Some(7_600));
    step(&mut run, 41_300, 7, "audit-emit", "acknowledged, seq 4", Some(100));
    run.report(41_300, execute(ExecuteResult::Succeeded, 0, None));
    run.report(71_300, health(true));
    run.result.result = Some(ExecuteResult::Succeeded);
    run.result.duration_ms = Some(27_300);
    run.result.write_gap_ms = Some(26_800);
    run.result.felt = Some(Felt {
        without_writer_ms: 26_800,
        without_writer: vec![Interval { from_ms: 14_450, to_ms: 41_250 }],
        until_the_end: false,
        new_sessions_refused_ms: 600,
        new_sessions_refused: vec![Interval { from_ms: 47_400, to_ms: 48_000 }],
        refused_writes: 41,
        unanswered_writes: 3,
    });
    run.result.acknowledged_writes = 1_412;
    run.result.primary = Some("hel".into());
    run.result.simulated_ms = 71_300;
    run.checks = vec![
        check("one-writer", true, "", &[]),
        check("no-lost-write", true, "1,412 acknowledged", &[]),
        check("generations", true, "", &[]),
        check("dry-run-pure", true, "", &[]),
        check("audit", true, "6 events", &[]),
        check("nothing-left", true, "", &[]),
        check("status-true", true, "", &[]),
        check("converged", true, "", &[]),
        check("writes-resume", true, "", &[]),
    ];
    run
}

/// A switchover that went wrong in every way that a table must show.
pub(crate) fn failed() -> Outcome {
    let mut run = begin();
    run.report(
        12_400,
        dry_run(
            &[
                "step-1: lease held by backup-tool, which is no region of this Continuum: find out who that is and \
               why before anything else",
                "step-5: lease held by backup-tool",
            ],
            &[],
        ),
    );
    let error = "step-4 (flip-dns): the authoritative server answers SERVFAIL";
    run.report(90_000, execute(ExecuteResult::Undone, 4, Some(error)));
    run.report(95_000, health(false));
    run.report(96_000, Report::Error("invalid plan: toRegion is empty".into()));
    run.result.result = Some(ExecuteResult::Undone);
    run.result.duration_ms = Some(75_000);
    run.result.rto_missed_by_ms = Some(16_900);
    run.result.write_gap_ms = Some(76_900);
    run.result.felt = Some(Felt {
        without_writer_ms: 83_400,
        without_writer: vec![Interval { from_ms: 12_000, to_ms: 18_500 }, Interval { from_ms: 19_100, to_ms: 96_000 }],
        until_the_end: true,
        new_sessions_refused_ms: 0,
        new_sessions_refused: vec![],
        refused_writes: 1_204,
        unanswered_writes: 0,
    });
    run.result.acknowledged_writes = 1_234_567;
    run.result.acknowledged_writes_lost = 2;
    let acknowledged =
        ["fsn-1 acknowledged 1,203 at 88.31 s, timeline 1", "hel-1 acknowledged 1,204 at 88.20 s, timeline 2"];
    let both = "fsn-1 and hel-1 both acknowledged writes, 88.20 s to 88.31 s";
    run.checks = vec![
        Check {
            at_ms: Some(88_200),
            trace: vec![
                "88.132 controller.fsn  INFO  fenced region=fsn".into(),
                "88.204 pg.hel          DEBUG event=\"AcceptsWrites { timeline: 2 }\" instance=shop-hel".into(),
            ],
            ..check("one-writer", false, both, &acknowledged)
        },
        check("no-lost-write", false, "2 of 1,234,567", &["1,203", "1,205"]),
        Check { expected_to_fail: true, ..check("converged", false, "an intent stands in the record", &[]) },
    ];
    run.unmet = vec![
        Unmet {
            line: Some(9),
            what: "execute.expect.result".into(),
            expected: "succeeded".into(),
            found: "undone".into(),
        },
        Unmet { line: None, what: "expect.primary".into(), expected: "hel".into(), found: "fsn".into() },
    ];
    run
}
