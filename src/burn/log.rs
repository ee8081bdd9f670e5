//! The file that holds the chain of records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::BurnError;
use super::records::{Line, Record, hash};
use super::replay::{Replay, replay};
use super::summary::Summary;

/// Name of the file in the folder of a run.
pub const FILE_NAME: &str = "records.jsonl";
/// Largest file that is gone on with; a week makes some tens of megabytes.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Room that has to be free before a run starts.
const MIN_FREE_BYTES: u64 = 16 << 20;

/// An open chain: every record is on disk when [`Log::append`] returns.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    replay: Replay,
    seq: u64,
    head: String,
    start: Instant,
    active_before: Duration,
}

impl Log {
    /// Makes folder and file. Refuses a folder that holds a run already, or is too full for one.
    pub(super) fn create(folder: &Path, genesis: &[u8; 32]) -> Result<Self, BurnError> {
        let folder_error = |source| BurnError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(folder_error)?;
        let path = folder.join(FILE_NAME);
        let space = rustix::fs::statvfs(folder).map_err(|error| folder_error(error.into()))?;
        let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
        if free_bytes < MIN_FREE_BYTES {
            return Err(BurnError::NoRoom { path: folder.to_owned(), free_bytes, need_bytes: MIN_FREE_BYTES });
        }
        let file =
            OpenOptions::new().append(true).create_new(true).open(&path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => BurnError::Exists { path: folder.to_owned() },
                _ => folder_error(error),
            })?;
        lock(&file, &path)?;
        // The name has to survive a power loss as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(folder_error)?;
        Ok(Self {
            path,
            file,
            replay: Replay::default(),
            seq: 0,
            head: hex::encode(genesis),
            start: Instant::now(),
            active_before: Duration::ZERO,
        })
    }

    /// Opens an earlier run, checks the whole chain and cuts a torn last line off. Gives how many bytes that were.
    pub(super) fn open(folder: &Path) -> Result<(Self, u64), BurnError> {
        let path = folder.join(FILE_NAME);
        let folder_error = |source| BurnError::Folder { path: path.clone(), source };
        let mut file = OpenOptions::new().read(true).append(true).open(&path).map_err(folder_error)?;
        lock(&file, &path)?;
        if file.metadata().map_err(folder_error)?.len() > MAX_FILE_BYTES {
            return Err(folder_error(io::Error::other(format!("larger than {MAX_FILE_BYTES} bytes"))));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(folder_error)?;
        let damaged = |source| BurnError::Records { path: path.clone(), source };
        let summary = replay(&bytes).map_err(damaged)?;
        if summary.finished {
            return Err(BurnError::Finished { path: folder.to_owned() });
        }
        let whole = bytes.len() - summary.torn_bytes as usize;
        if summary.torn_bytes > 0 {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(folder_error)?;
        }
        let mut replay = Replay::default();
        for line in bytes[..whole].split_inclusive(|&byte| byte == b'\n') {
            replay.line(&line[..line.len() - 1]).map_err(damaged)?;
        }
        let log = Self {
            path: path.clone(),
            file,
            replay,
            seq: summary.records,
            head: summary.head,
            start: Instant::now(),
            active_before: Duration::from_millis(summary.active_ms),
        };
        Ok((log, summary.torn_bytes))
    }

    /// Active time of the run, earlier sessions included.
    pub(super) fn elapsed(&self) -> Duration {
        self.active_before + self.start.elapsed()
    }

    /// What follows from the records so far; `None` before the first.
    pub(super) fn summary(&self) -> Option<&Summary> {
        self.replay.summary()
    }

    /// Writes a record, and waits until it is on disk.
    pub(super) fn append(&mut self, record: Record) -> Result<Line, BurnError> {
        let at = jiff::Timestamp::now();
        let at = at.round(jiff::Unit::Millisecond).unwrap_or(at).to_string();
        let elapsed_ms = self.elapsed().as_millis() as u64;
        let line = Line { seq: self.seq, prev: self.head.clone(), at, elapsed_ms, record };
        let write_error = |source| BurnError::Write { path: self.path.clone(), source };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| write_error(error.into()))?;
        let damaged = |source| BurnError::Records { path: self.path.clone(), source };
        self.replay.line(&bytes).map_err(damaged)?;
        self.seq += 1;
        self.head = hash(&bytes);
        bytes.push(b'\n');
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).map_err(write_error)?;
        Ok(line)
    }
}

/// Keeps a second process out; the lock goes with this one, however it ends.
fn lock(file: &File, path: &Path) -> Result<(), BurnError> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => BurnError::Busy { path: path.to_owned() },
        _ => BurnError::Folder { path: path.to_owned(), source: error.into() },
    })
}
