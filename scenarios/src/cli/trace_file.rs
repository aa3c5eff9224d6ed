//! The file of `--trace`. That it can be written is found out before anything runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// A file that can be written.
pub(super) struct TraceFile {
    path: PathBuf,
    file: File,
}

impl TraceFile {
    /// Opens it, or makes it. What stood in it stays until the trace is there.
    pub fn open(path: &Path) -> Result<Self, String> {
        let wrong = |why: String| format!("{}: the trace cannot be written: {why}", path.display());
        // A pipe or a device may take the first byte and not the rest, or none at all.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(wrong("no regular file; name a file on disk".into()));
        }
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(|error| wrong(error.to_string()))?;
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
