//! Reports in folders.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use yanji::attest::write::{ENVELOPE_FILE, STATEMENT_FILE};

use super::checked;
use super::redact::{CERTIFICATE_FILE, SALTS_ENDING};

/// Folders inside of each other.
const MAX_DEPTH: usize = 32;

/// A report, or something that was asked for and could not be looked into.
#[derive(Debug)]
pub struct Candidate {
    /// What to call it: what the user gave, or the folder in which it was found.
    pub name: PathBuf,
    /// The envelope, or why nobody can know whether there is one.
    pub envelope: io::Result<PathBuf>,
    /// Whether the user named the very file, who may then give a pipe.
    pub named: bool,
}

/// What was found, in an order that depends on nothing but the names.
#[derive(Debug, Default)]
pub struct Found {
    /// The reports.
    pub candidates: Vec<Candidate>,
    /// Symbolic links inside of folders. None was followed.
    pub links: usize,
    /// Other JSON files in those folders and beside the named files, and named ones that are no report by their name: any may
    /// be a withdrawal.
    pub others: Vec<PathBuf>,
}

/// The reports that were named, and those in the folders that were named, however deep.
pub fn reports(arguments: &[PathBuf]) -> Found {
    let (mut found, mut parents) = (Found::default(), BTreeSet::new());
    for argument in arguments {
        if !argument.is_dir() {
            let envelope = Ok(argument.clone());
            found.candidates.push(Candidate { name: argument.clone(), envelope, named: true });
            if !is_known(argument) {
                found.others.push(argument.clone());
            }
            parents.extend(argument.parent());
            continue;
        }
        let before = found.candidates.len();
        found.look_into(argument, 0);
        if found.candidates.len() == before {
            // A folder without any report is one whose report is missing.
            let envelope = Ok(argument.join(ENVELOPE_FILE));
            found.candidates.push(Candidate { name: argument.clone(), envelope, named: false });
        }
    }
    for parent in parents {
        let here = parent.as_os_str().is_empty();
        let listed = fs::read_dir(if here { Path::new(".") } else { parent });
        if let Err(error) = &listed {
            eprintln!("notice: {} was not searched for withdrawals: {error}", parent.display());
        }
        let entries = listed.into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let paths = files.map(|entry| parent.join(entry.file_name()));
        found.others.extend(paths.filter(|path| may_be_withdrawal(path)));
    }
    found.others.sort();
    found.others.dedup();
    found
}

/// The JSON files in the folders of these documents, or in these folders, and the documents themselves.
pub fn beside(documents: &[PathBuf]) -> Vec<PathBuf> {
    let located: Vec<PathBuf> = documents.iter().map(|path| checked::locate(path)).collect();
    reports(&located).others
}

/// Whether a file in a folder could be a withdrawal, by its name.
fn may_be_withdrawal(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".json") && !name.ends_with(".timestamps.json") && !is_known(path)
}

/// Whether it has the name of something else: a hundred thousand reports are not read twice.
fn is_known(path: &Path) -> bool {
    let known = [ENVELOPE_FILE, CERTIFICATE_FILE, STATEMENT_FILE];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    known.iter().any(|known| name == *known) || name.ends_with(SALTS_ENDING)
}

impl Found {
    fn look_into(&mut self, folder: &Path, depth: usize) {
        let listed = if depth > MAX_DEPTH {
            Err(io::Error::other(format!("more than {MAX_DEPTH} folders inside of each other")))
        } else {
            fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        };
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => return self.push(folder, Err(error)),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        let holds_report = entries.iter().any(|entry| entry.file_name() == ENVELOPE_FILE);
        for entry in entries {
            let path = entry.path();
            match entry.file_type() {
                Err(error) => self.push(&path, Err(error)),
                Ok(kind) if kind.is_symlink() => self.links += 1,
                // What `certify --resume` set aside belongs to the report beside it, which replaced it.
                Ok(kind) if kind.is_dir() && holds_report && is_set_aside(&path) => {}
                Ok(kind) if kind.is_dir() => self.look_into(&path, depth + 1),
                Ok(_) if entry.file_name() == ENVELOPE_FILE => self.push(folder, Ok(path)),
                Ok(_) if entry.file_name() == CERTIFICATE_FILE => self.push(folder, Ok(path)),
                Ok(kind) if kind.is_file() && may_be_withdrawal(&path) => self.others.push(path),
                Ok(_) => {}
            }
        }
    }

    fn push(&mut self, name: &Path, envelope: io::Result<PathBuf>) {
        self.candidates.push(Candidate { name: name.to_owned(), envelope, named: false });
    }
}

fn is_set_aside(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with("interrupted-") || name == ".unfinished"
}
