//! What a verifier remembers from one run to the next: answered challenges and accepted trust policies.
//!
//! Two files of lines in `$XDG_STATE_HOME/yanji`, written whole under a lock that is held as long as the value lives. A
//! damaged file is refused: to start over with an empty one would accept what was refused before.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use yanji::attest::Digest;
use yanji::attest::key::{Locations, PublicKey};
use yanji::attest::policy::{Owner, SeenPolicy};
use yanji::whole_file;

use super::error::CliError;

/// A challenge takes some 160 bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The verifier's memory, locked.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Opens and locks it; makes it on first use. Waits for another run that holds it.
    pub fn open() -> anyhow::Result<Self> {
        let folder = Locations::from_env()?.state;
        let unusable = || {
            CliError::usage(format!("cannot remember anything in {}", folder.display()))
                .hint("set XDG_STATE_HOME to a folder that can be written: without memory a replay goes unnoticed")
        };
        let lock = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let lock = File::options().create(true).append(true).mode(0o600).open(folder.join("lock"))?;
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        };
        let lock = lock().with_context(unusable)?;
        Ok(Self { folder, _lock: lock })
    }

    /// The statement that answered a challenge first, by the digest of its random bytes.
    pub fn answer(&self, challenge: Digest) -> anyhow::Result<Option<Digest>> {
        let mut found = None;
        self.read("challenges", |line| {
            let (name, rest) = line.split_once(' ')?;
            let (statement, time) = rest.split_once(' ')?;
            let statement = Digest::parse(statement)?;
            time.parse::<Timestamp>().ok()?;
            if Digest::parse(name)? == challenge && found.is_none() {
                found = Some(statement);
            }
            Some(())
        })?;
        Ok(found)
    }

    /// Remembers the first answer to a challenge.
    pub fn remember_answer(&self, challenge: Digest, statement: Digest, now: Timestamp) -> anyhow::Result<()> {
        if self.answer(challenge)?.is_some() {
            return Ok(());
        }
        let text = self.read("challenges", |_| Some(()))?;
        self.write("challenges", &format!("{text}{challenge} {statement} {now}\n"))
    }

    /// The highest version of a policy that was accepted under that name.
    pub fn policy(&self, name: &str) -> anyhow::Result<Option<SeenPolicy>> {
        let mut found = None;
        self.read("policies", |line| {
            let (seen, seen_name) = parse_policy(line)?;
            if seen_name == name {
                found = Some(seen);
            }
            Some(())
        })?;
        Ok(found)
    }

    /// Remembers the version of a policy that was accepted under that name.
    pub fn remember_policy(&self, name: &str, seen: &SeenPolicy) -> anyhow::Result<()> {
        if self.policy(name)?.as_ref() == Some(seen) {
            return Ok(());
        }
        let mut others = String::new();
        self.read("policies", |line| {
            if parse_policy(line)?.1 != name {
                others.push_str(line);
                others.push('\n');
            }
            Some(())
        })?;
        let SeenPolicy { version, sha256, owner_threshold, owners, signers } = seen;
        let owners = owners.iter().map(owner_word).collect::<Vec<_>>().join(",");
        let signers = signers.iter().map(PublicKey::to_hex).collect::<Vec<_>>().join(",");
        let line = format!("{version} {sha256} {owner_threshold} {owners} {signers} {name}\n");
        self.write("policies", &(others + &line))
    }

    /// Gives every line of a file to `line`, which says `None` to one that it cannot read, and the whole.
    fn read(&self, file: &str, mut line: impl FnMut(&str) -> Option<()>) -> anyhow::Result<String> {
        let path = self.folder.join(file);
        let text = match read_capped(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            other => other.with_context(|| damaged(&path, "cannot be read"))?,
        };
        for (index, content) in text.lines().enumerate() {
            if line(content).is_none() {
                bail!(damaged(&path, &format!("is damaged in line {}", index + 1)));
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            bail!(damaged(&path, "is cut off"));
        }
        Ok(text)
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(file);
        whole_file::write(&path, |out| out.write_all(text.as_bytes())).with_context(|| {
            CliError::usage(format!("cannot write {}", path.display())).hint("make room, and run again")
        })
    }
}

fn read_capped(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {MAX_BYTES} bytes")));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn damaged(path: &Path, how: &str) -> CliError {
    CliError::usage(format!("{} {how}", path.display()))
        .hint("restore it from a backup. Without it, a challenge that was answered and a policy that was replaced count again")
}

fn parse_policy(line: &str) -> Option<(SeenPolicy, &str)> {
    let mut words = line.splitn(6, ' ');
    let mut word = || words.next();
    let keys = |text: &str| text.split(',').map(PublicKey::from_hex).collect::<Option<Vec<_>>>();
    let seen = SeenPolicy {
        version: word()?.parse().ok()?,
        sha256: Digest::parse(word()?)?,
        owner_threshold: word()?.parse().ok()?,
        owners: word()?.split(',').map(parse_owner).collect::<Option<_>>()?,
        signers: keys(word()?)?,
    };
    Some((seen, word()?))
}

/// `KEY`, or `KEY@FROM/UNTIL` of a key that counts in its time only; either time may be left out.
fn owner_word(owner: &Owner) -> String {
    let Owner { public, valid_from, valid_until } = owner;
    let time = |time: &Option<Timestamp>| time.map_or_else(String::new, |time| time.to_string());
    match (valid_from, valid_until) {
        (None, None) => public.to_hex(),
        (from, until) => format!("{}@{}/{}", public.to_hex(), time(from), time(until)),
    }
}

fn parse_owner(word: &str) -> Option<Owner> {
    let (key, limits) = word.split_once('@').unwrap_or((word, "/"));
    let (from, until) = limits.split_once('/')?;
    let time = |text: &str| (!text.is_empty()).then(|| text.parse()).transpose().ok();
    Some(Owner { public: PublicKey::from_hex(key)?, valid_from: time(from)?, valid_until: time(until)? })
}
