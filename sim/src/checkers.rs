//! What must hold of a run, each in a file of its own, judged from ground truth alone. A checker knows no
//! controller; where it needs the record, it reads what stands at the witness.

pub mod audit;
pub mod converged;
pub mod dry_run_pure;
#[cfg(test)]
mod fixture;
pub mod generations;
mod interference;
pub mod no_lost_write;
pub mod nothing_left;
pub mod one_writer;
pub mod status_true;
pub mod writes_resume;

use crate::ground::Ground;
use std::fmt;
use std::time::Duration;

/// So many pieces of evidence are shown at most.
const EVIDENCE_COUNT_MAX: usize = 10;

/// The checkers, in the order in which their verdicts are told.
pub const NAMES: [&str; 9] = [
    "one-writer",
    "no-lost-write",
    "generations",
    "dry-run-pure",
    "audit",
    "nothing-left",
    "status-true",
    "converged",
    "writes-resume",
];

/// That something does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Evidence {
    /// When it began not to. Absent: it is so at the end.
    at: Option<Duration>,
    /// What was seen.
    text: String,
}

impl From<String> for Evidence {
    fn from(text: String) -> Self {
        Self { at: None, text }
    }
}

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The checker.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// In a few words: `1,412 acknowledged`. May be empty.
    pub detail: String,
    /// When what the first piece of evidence tells of began. Absent: it is so at the end.
    pub at: Option<Duration>,
    /// Where it does not hold: what, and between which instants.
    pub evidence: Vec<String>,
}

impl Verdict {
    /// It holds where there is no evidence that it does not. `detail` is told where it holds; else the first
    /// piece of evidence is.
    fn of<E: Into<Evidence>>(name: &'static str, detail: String, evidence: Vec<E>) -> Self {
        let evidence: Vec<Evidence> = evidence.into_iter().map(Into::into).collect();
        let at = evidence.first().and_then(|first| first.at);
        let mut evidence: Vec<String> = evidence.into_iter().map(|evidence| evidence.text).collect();
        let ok = evidence.is_empty();
        let detail = if ok { detail } else { evidence[0].clone() };
        let more = evidence.len().saturating_sub(EVIDENCE_COUNT_MAX);
        if more > 0 {
            evidence.truncate(EVIDENCE_COUNT_MAX);
            evidence.push(format!("and {} more", count(more)));
        }
        Self { name, ok, detail, at, evidence }
    }
}

impl fmt::Display for Verdict {
    /// `no-lost-write ok (1,412 acknowledged)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ok, self.detail.is_empty()) {
            (true, true) => write!(f, "{} ok", self.name),
            (true, false) => write!(f, "{} ok ({})", self.name, self.detail),
            (false, _) => write!(f, "{}: {}", self.name, self.detail),
        }
    }
}

/// All verdicts, in the order in which they are told.
pub fn all(ground: &Ground) -> Vec<Verdict> {
    let checks: [fn(&Ground) -> Verdict; 9] = [
        one_writer::check,
        no_lost_write::check,
        generations::check,
        dry_run_pure::check,
        audit::check,
        nothing_left::check,
        status_true::check,
        converged::check,
        writes_resume::check,
    ];
    checks.iter().map(|check| check(ground)).collect()
}

/// `88.20 s`.
fn at(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// `1,412`.
fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_which_all_went_well_passes_every_checker() {
        let verdicts = all(&fixture::moved());
        assert_eq!(verdicts.iter().map(|verdict| verdict.name).collect::<Vec<_>>(), NAMES);
        let told: Vec<String> = verdicts.iter().map(Verdict::to_string).collect();
        assert_eq!(
            told,
            [
                "one-writer ok",
                "no-lost-write ok (3 acknowledged)",
                "generations ok",
                "dry-run-pure ok",
                "audit ok (3 events)",
                "nothing-left ok",
                "status-true ok",
                "converged ok",
                "writes-resume ok",
            ]
        );
    }

    #[test]
    fn numbers_are_grouped_and_evidence_is_cut_off() {
        assert_eq!([7, 999, 1_412, 1_000_000].map(count), ["7", "999", "1,412", "1,000,000"]);
        let verdict = Verdict::of("x", String::new(), vec!["wrong".to_owned(); 1_234]);
        assert_eq!(verdict.evidence.len(), 11);
        assert_eq!(verdict.evidence[10], "and 1,224 more");
        assert_eq!(verdict.to_string(), "x: wrong");
    }
}
