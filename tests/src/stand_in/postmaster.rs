//! A postmaster, as its data folder and the kernel tell of it.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// In its data folder, written by it.
const PID_FILE: &str = "postmaster.pid";

/// A running postmaster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub process: u32,
    pub says: Says,
}

/// What it says of itself, in the last line of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Starting,
    Stopping,
    /// It takes sessions, in recovery or not.
    Ready,
}

impl Postmaster {
    /// The one of a data folder; `None`: none runs.
    ///
    /// # Errors
    ///
    /// It cannot be told whether one runs.
    pub fn of(data: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(data.join(PID_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let mut lines = text.lines();
        let process = lines.next().and_then(|line| line.trim().parse().ok());
        // It writes its number first, and the rest as it comes to it.
        let process: u32 = process.ok_or_else(|| io::Error::other(format!("{PID_FILE} has no number yet")))?;
        // One that was killed leaves its file, and its number may be another's by now. A zombie has no folder.
        match std::fs::read_link(format!("/proc/{process}/cwd")) {
            Ok(folder) if folder == data.canonicalize()? => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            _ => return Ok(None),
        }
        let says = match lines.nth(6).map(str::trim) {
            Some("ready") => Says::Ready,
            Some("stopping") => Says::Stopping,
            _ => Says::Starting,
        };
        Ok(Some(Self { process, says }))
    }

    /// Sends it a signal, `-INT` for example. Whether that could be.
    pub fn signal(&self, signal: &str) -> bool {
        send(signal, &[self.process])
    }

    /// `kill -9` of it and of all its processes: those that it leaves behind keep another from starting.
    pub fn kill(&self) {
        let of = self.process;
        let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let all: Vec<u32> = std::iter::once(of).chain(children).collect();
        send("-KILL", &all);
    }
}

fn send(signal: &str, processes: &[u32]) -> bool {
    let processes = processes.iter().map(u32::to_string);
    let sent = Command::new("kill").arg(signal).args(processes).status();
    sent.is_ok_and(|status: ExitStatus| status.success())
}
