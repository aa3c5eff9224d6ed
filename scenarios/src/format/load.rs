//! From paths to scenarios: finds files, reads them, and gathers every mistake before anything runs.

use super::mistake::Mistake;
use super::spot::Place;
use super::yaml::{self, FILE_LENGTH_MAX, Wrong};
use super::{Scenario, check, parts};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The files that the arguments name: a file is itself, a folder the `.yaml` and `.yml` files in it, sorted. One
/// that is named twice is there twice.
pub fn find(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<Mistake>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut mistakes = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            match irregular(argument) {
                None => files.push(argument.clone()),
                Some(mistake) => mistakes.push(mistake),
            }
            continue;
        }
        match scenario_files(argument) {
            Ok(found) if found.is_empty() => mistakes.push(Mistake::of_file(
                &argument.display().to_string(),
                "no scenario in this folder",
                "expected files that end in .yaml or .yml",
            )),
            Ok(found) => files.extend(found),
            Err(error) => mistakes.push(unreadable(argument, &error)),
        }
    }
    if mistakes.is_empty() { Ok(files) } else { Err(mistakes) }
}

fn scenario_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A device or a pipe may have no end, and may never give its first byte.
fn irregular(path: &Path) -> Option<Mistake> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => None,
        Ok(_) => {
            let hint = "expected a file on disk, or a folder of them";
            Some(Mistake::of_file(&path.display().to_string(), "neither a file nor a folder", hint))
        }
        Err(error) => Some(unreadable(path, &error)),
    }
}

/// At most one byte more than a scenario may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_LENGTH_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads and checks one file.
pub fn load(path: &Path) -> Result<Scenario, Vec<Mistake>> {
    let file = path.display().to_string();
    if let Some(mistake) = irregular(path) {
        return Err(vec![mistake]);
    }
    let bytes = read(path).map_err(|error| vec![unreadable(path, &error)])?;
    if bytes.len() > FILE_LENGTH_MAX {
        return Err(vec![Mistake::of_file(&file, "too large for a scenario", "at most 1 MiB")]);
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => return Err(vec![not_utf8(&file, &bytes, error.valid_up_to())]),
    };
    parse(&file, text)
}

/// Checks a text; `file` names it in mistakes. What compares parts with each other is looked at where each can be read.
pub fn parse(file: &str, text: &str) -> Result<Scenario, Vec<Mistake>> {
    let told = |wrong: Wrong| Mistake::at(file, text, wrong.place, wrong.message, wrong.hint);
    let read = yaml::is_yaml(text).map_err(|wrong| vec![wrong]);
    let scenario: Scenario = read.and_then(|()| parts::read_all(|| yaml::parse(text))).map_err(|wrong| {
        let hiding = |wrong| Mistake { may_hide_others: true, ..told(wrong) };
        wrong.into_iter().map(hiding).collect::<Vec<_>>()
    })?;
    let mistakes: Vec<Mistake> = check::check(&scenario).into_iter().map(told).collect();
    if mistakes.is_empty() { Ok(scenario) } else { Err(mistakes) }
}

fn unreadable(path: &Path, error: &io::Error) -> Mistake {
    let (message, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("no such file or folder".to_owned(), "look at the name, and where you are"),
        io::ErrorKind::PermissionDenied => ("you may not read it".to_owned(), "change its mode, or run as its owner"),
        _ => (format!("cannot be read: {error}"), ""),
    };
    Mistake::of_file(&path.display().to_string(), message, hint)
}

fn not_utf8(file: &str, bytes: &[u8], good: usize) -> Mistake {
    let before = String::from_utf8_lossy(&bytes[..good]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let text = String::from_utf8_lossy(bytes);
    let place = Place { line, column, length: 1 };
    Mistake::at(file, &text, place, format!("not UTF-8: byte 0x{:02x}", bytes[good]), "save the file as UTF-8")
}
