use super::{example, json, summary, table, yaml};
use crate::outcome::{Outcome, Verdict};

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn gave_up() -> Outcome {
    let mut run = example::passed();
    run.timeline.truncate(2);
    run.reports.clear();
    run.checks.clear();
    run.scenario = "gave-up".into();
    run.did_not_finish = Some("`wait` for converged: not within 2m".into());
    run
}

#[test]
fn a_run_that_passed_fits_one_screen() {
    let shown = plain(&table(&example::passed()));
    assert!(shown.lines().count() <= 30);
    assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_run_that_failed_shows_its_evidence() {
    insta::assert_snapshot!(plain(&table(&example::failed())));
}

#[test]
fn several_runs_have_a_line_each_and_failures_in_full() {
    insta::assert_snapshot!(plain(&summary(&[example::passed(), example::failed(), gave_up()])));
}

#[test]
fn scenarios_of_one_name_are_told_apart_by_their_files() {
    let mut twin = example::passed();
    twin.file = "mine/reply-lost-on-promotion.yaml".into();
    let shown = plain(&summary(&[example::passed(), twin, gave_up()]));
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].contains("reply-lost-on-promotion (scenarios/reply-lost-on-promotion.yaml)"), "{shown}");
    assert!(lines[1].contains("reply-lost-on-promotion (mine/reply-lost-on-promotion.yaml)"), "{shown}");
    assert!(lines[2].contains("gave-up  "), "{shown}");
}

#[test]
fn json_has_the_facts_of_the_table() {
    let text = json(&[example::passed()]);
    insta::assert_snapshot!(text);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let from_yaml: serde_json::Value = serde_saphyr::from_str(&yaml(&[example::passed()])).unwrap();
    assert_eq!(value, from_yaml);
}

#[test]
fn seed_and_options_come_first_and_the_command_last() {
    for run in [example::passed(), example::failed(), gave_up()] {
        let shown = plain(&table(&run));
        assert!(shown.lines().next().unwrap().contains("seed 7 · turmoil 10 ms"));
        assert_eq!(
            shown.lines().last().unwrap(),
            "reproduce  continuum run scenarios/reply-lost-on-promotion.yaml --seed 7"
        );
    }
}

#[test]
fn a_terminal_sees_colours_and_a_pipe_none() {
    let coloured = table(&example::failed());
    assert!(coloured.contains('\u{1b}'));
    assert!(!plain(&coloured).contains('\u{1b}'));
}

#[test]
fn a_check_that_should_fail_and_holds_is_a_failure() {
    let mut run = example::passed();
    assert_eq!(run.verdict(), Verdict::Passed);
    run.checks[0].expected_to_fail = true;
    assert_eq!(run.verdict(), Verdict::Failed);
}
