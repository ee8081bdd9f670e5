//! Tests of the built binary, and of the whole pipeline over recorded machines.

mod attacks;
mod batch;
mod certify;
mod challenge;
mod claims;
mod custody;
mod device_attacks;
mod device_evidence;
mod faults;
mod hostile;
mod machines;
mod readme;
mod redaction;
mod reports;
mod timestamp;
mod tpm;
mod trust;
mod usage;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;
use tempfile::TempDir;
use yanji::collect;
use yanji::evidence::Origin;
use yanji::host::Host;
use yanji::inspection::{self, Inspection};
use yanji::rule::Signatures;

use crate::support::RecordedMachine;

const YANJI: &str = env!("CARGO_BIN_EXE_yanji");

/// A working folder of its own, with keys and configuration of its own.
pub struct Place {
    folder: TempDir,
}

/// What a finished command left.
#[derive(Debug)]
pub struct Ran {
    code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `yanji` in this place, with nothing of the caller's surroundings that changes what it prints.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(YANJI);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("YANJI_ROOT")
            .env_remove("YANJI_PASSPHRASE");
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Writes the machine's archive and gives its name for `--host`.
    pub fn archive(&self, machine: &RecordedMachine) -> &'static str {
        machine.archive(&self.path("host.tar.zst"));
        "host.tar.zst"
    }

    /// The built-in signature set, to be changed.
    fn signatures(&self) -> PathBuf {
        let folder = self.path("signatures");
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/signatures")), &folder);
        folder
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn change(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no {from}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Inspects as if the recorded machine were the one that the tool runs on.
fn inspect_as_live(host: &dyn Host, signatures: &Signatures) -> Inspection {
    let mut evidence = collect::collect(host);
    evidence.origin = Origin::Live;
    inspection::assess(evidence, signatures)
}
