//! What a live suite does without its server: it is skipped, or fails where the environment insists.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether `CONTINUUM_LIVE=require`.
pub(crate) fn is_required() -> bool {
    std::env::var("CONTINUUM_LIVE").is_ok_and(|value| value == "require")
}

/// Tells that `what` is not there, and how to get it. Panics where it is required.
pub fn skip(what: &str, cure: &str) {
    assert!(!is_required(), "no {what}, and CONTINUUM_LIVE=require: {cure}");
    tell(&format!("skipped: no {what} ({cure})"));
}

/// Says it on stderr. Not by `eprintln!`, which the test harness keeps to itself when the test passes.
pub(crate) fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// What a script of `tools` has built, as its `path` prints it. `None`: nothing yet.
pub fn built(tool: &str) -> Option<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools").join(tool);
    let found = Command::new(tool).arg("path").stderr(Stdio::null()).output().ok()?;
    found.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&found.stdout).trim_end()))
}
