//! Reports in folders.

use std::collections::BTreeSet;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use yanji::attest::write::ENVELOPE_FILE;

use super::redact::CERTIFICATE_FILE;
use super::{checked, output};

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
    /// The named files, and the JSON files in those folders and beside the named files: any may be a withdrawal, whatever its
    /// name.
    pub withdrawals: Vec<PathBuf>,
}

/// The reports that were named, and those in the folders that were named, however deep.
pub fn reports(arguments: &[PathBuf]) -> Found {
    let (mut found, mut parents) = (Found::default(), BTreeSet::new());
    for argument in arguments {
        if !argument.is_dir() {
            let envelope = Ok(argument.clone());
            found.candidates.push(Candidate { name: argument.clone(), envelope, named: true });
            found.withdrawals.push(argument.clone());
            parents.extend(argument.parent());
            continue;
        }
        let before = found.candidates.len();
        found.look_into(argument, 0);
        if found.candidates.len() == before {
            // A folder without any report is one whose report is missing.
            let path = argument.join(ENVELOPE_FILE);
            let envelope = match path.is_symlink() {
                true => Err(io::Error::other(format!("{ENVELOPE_FILE} is a symbolic link, and none is followed"))),
                false => Ok(path),
            };
            found.candidates.push(Candidate { name: argument.clone(), envelope, named: false });
        }
    }
    for parent in parents {
        let here = parent.as_os_str().is_empty();
        let listed = fs::read_dir(if here { Path::new(".") } else { parent });
        if let Err(error) = &listed {
            eprintln!("notice: {} was not searched for withdrawals: {error}", output::name(parent));
        }
        for entry in listed.into_iter().flatten().flatten() {
            let path = parent.join(entry.file_name());
            // A folder is searched where it is named itself.
            if entry.file_type().is_ok_and(|kind| !kind.is_dir() && may_be_withdrawal(&path, kind)) {
                found.withdrawals.push(path);
            }
        }
    }
    found.withdrawals.sort();
    found.withdrawals.dedup();
    found
}

/// The JSON files in the folders of these documents, or in these folders, and the documents themselves.
pub fn beside(documents: &[PathBuf]) -> Vec<PathBuf> {
    let located: Vec<PathBuf> = documents.iter().map(|path| checked::locate(path)).collect();
    reports(&located).withdrawals
}

/// Whether a file in a folder could be a withdrawal. That one which is called so can't be read is told.
fn may_be_withdrawal(path: &Path, kind: FileType) -> bool {
    if !kind.is_file() && is_called_withdrawal(path) {
        not_a_withdrawal(path, "it is no regular file");
    }
    kind.is_file() && is_json(path)
}

fn is_json(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.ends_with(".json") && !name.ends_with(".timestamps.json")
}

/// Whether its name says that it takes something back.
pub fn is_called_withdrawal(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    is_json(path) && ["void", "withdraw"].iter().any(|word| name.contains(word))
}

/// Says that a file which is called a withdrawal was not read as one.
pub fn not_a_withdrawal(path: &Path, why: &str) {
    eprintln!("notice: {} is called a withdrawal, and takes nothing back: {why}", output::name(path));
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
                Ok(kind) if kind.is_symlink() => {
                    self.links += 1;
                    may_be_withdrawal(&path, kind);
                }
                // What `certify --resume` set aside belongs to the report beside it, which replaced it.
                Ok(kind) if kind.is_dir() && holds_report && is_set_aside(&path) => {}
                Ok(kind) if kind.is_dir() => self.look_into(&path, depth + 1),
                Ok(kind) => {
                    if may_be_withdrawal(&path, kind) {
                        self.withdrawals.push(path.clone());
                    }
                    if entry.file_name() == ENVELOPE_FILE || entry.file_name() == CERTIFICATE_FILE {
                        self.push(folder, Ok(path));
                    }
                }
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
