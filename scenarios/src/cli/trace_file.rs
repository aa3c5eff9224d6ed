//! The file of `--trace`. That it can be written, and is no file of the user's, is found out before anything runs.

use super::{EXIT_OUTPUT, EXIT_USAGE};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The kind of a file stands within this many bytes.
const BEGIN_LENGTH: u64 = 4096;

/// A file that can be written.
pub(super) struct TraceFile {
    path: PathBuf,
    file: File,
}

/// Whether a scenario stands in a file, which nobody wants to lose to a slip of the keyboard.
fn is_scenario(path: &Path) -> bool {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGIN_LENGTH).read_to_end(&mut begin));
    read.is_ok() && String::from_utf8_lossy(&begin).contains("kind: Scenario")
}

/// Why there is no trace file, and the exit code that says so.
pub(super) struct Refused {
    pub why: String,
    pub code: u8,
}

impl TraceFile {
    /// Opens it, or makes it. What stood in it stays until the trace is there. None of the inputs may be it, by
    /// whatever name: a link is followed.
    pub fn open(path: &Path, inputs: &[PathBuf]) -> Result<Self, Refused> {
        let wrong = |why: String| Refused {
            why: format!("{}: the trace cannot be written: {why}", path.display()),
            code: EXIT_OUTPUT,
        };
        // A pipe or a device may take the first byte and not the rest, or none at all.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(wrong("no regular file; name a file on disk".into()));
        }
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(|error| wrong(error.to_string()))?;
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let own = file.metadata().map(identity).map_err(|error| wrong(error.to_string()))?;
        if inputs.iter().any(|input| input.metadata().map(identity).is_ok_and(|input| input == own)) {
            let why = format!("{}: the trace would replace the scenario; name another file", path.display());
            return Err(Refused { why, code: EXIT_USAGE });
        }
        if is_scenario(path) {
            let why = format!("{}: the trace would replace a scenario; name another file", path.display());
            return Err(Refused { why, code: EXIT_USAGE });
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes the trace in the place of what was there.
    pub fn write(mut self, trace: &str) -> Result<(), String> {
        self.replace(trace).map_err(|error| format!("{}: the trace cannot be written: {error}", self.path.display()))
    }

    fn replace(&mut self, trace: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(trace.as_bytes())?;
        self.file.sync_all()
    }
}
