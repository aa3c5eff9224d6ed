//! How far long work is: a bar on a terminal, lines off it, nothing for a single run.

use super::tell;
use crate::outcome::{Outcome, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Off a terminal, no more lines than about this are written.
const LINE_COUNT_MAX: usize = 100;

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    ended: usize,
    not_passed: usize,
}

impl Progress {
    pub fn new(total: usize) -> Self {
        let bar = (total > 1 && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len}  {msg}")
                .expect("the template is constant and right");
            ProgressBar::new(total as u64).with_style(style.progress_chars("##-"))
        });
        Self { bar, total, ended: 0, not_passed: 0 }
    }

    pub fn one_more(&mut self, outcome: &Outcome) {
        self.ended += 1;
        self.not_passed += usize::from(outcome.verdict() != Verdict::Passed);
        let so_far = match self.not_passed {
            0 => String::new(),
            count => format!(", {count} did not pass"),
        };
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.set_message(format!("{}{so_far}", outcome.file));
            }
            None if self.total > 1 && self.is_told() => {
                tell(&format!("{}/{} {}{so_far}", self.ended, self.total, outcome.file));
            }
            None => {}
        }
    }

    /// Whether this one has a line.
    fn is_told(&self) -> bool {
        self.ended == self.total || self.ended.is_multiple_of(self.total.div_ceil(LINE_COUNT_MAX))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
