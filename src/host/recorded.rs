//! A machine that is elsewhere: a capture, or a folder laid out like the root.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use rustix::fs::OFlags;

use super::recording::{Capture, FORMAT, INDEX_PATH, Index};
use super::{Host, MAX_FILE_BYTES, Query};
use crate::evidence::{Origin, Reading};

/// Bytes of all files of a capture, unpacked.
const MAX_TOTAL_BYTES: u64 = 512 << 20;
/// Files in a capture. A large server has about 20,000.
const MAX_ENTRIES: usize = 200_000;
/// Folders inside of folders; sysfs has about 20.
const MAX_DEPTH: usize = 64;
/// Links that one path may pass through.
const MAX_LINKS: usize = 16;
/// log2 of the largest zstd window that is accepted: 128 MiB, what `zstd --long` makes.
const MAX_WINDOW_LOG: u32 = 27;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why an archive or folder is not a recorded machine. Nothing was written anywhere.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive could not be read or unpacked.
    #[error("cannot read the recorded machine")]
    Io(#[from] io::Error),
    /// An entry that could reach outside of the archive.
    #[error("entry {0:?} leaves the archive")]
    Escapes(String),
    /// A link, device, FIFO or another entry that a capture never has.
    #[error("entry {path:?} is a {kind}, and a recorded machine has files only")]
    NotAFile {
        /// Path of the entry.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// The same file twice.
    #[error("entry {0:?} is there twice")]
    Duplicate(String),
    /// A single file over the cap.
    #[error("entry {path:?} has {bytes} bytes, more than the {MAX_FILE_BYTES} that a captured file may have")]
    FileTooLarge {
        /// Path of the entry.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// All files together over the cap.
    #[error("unpacks to more than {MAX_TOTAL_BYTES} bytes")]
    TooLarge,
    /// Folders inside of folders.
    #[error("has folders more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Too many files.
    #[error("has more than {MAX_ENTRIES} files")]
    TooMany,
    /// The index is not one.
    #[error("its index is damaged")]
    Index(#[source] serde_json::Error),
    /// Made by a newer tool.
    #[error("has layout {0}, and this tool reads layout {FORMAT}")]
    Format(u32),
}

/// A recorded machine, held in memory. Nothing is ever unpacked to disk, and no path leads out of it.
#[derive(Debug)]
pub struct RecordedHost {
    capture: Capture,
}

impl From<Capture> for RecordedHost {
    fn from(capture: Capture) -> Self {
        Self { capture }
    }
}

impl RecordedHost {
    /// Opens a capture archive (tar, zstd-compressed or plain) or a folder laid out like the root.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        if fs::metadata(path)?.is_dir() {
            let mut loader = Loader::default();
            loader.folder(path, "", 0)?;
            loader.finish()
        } else {
            Self::from_archive(fs::File::open(path)?)
        }
    }

    /// Reads a capture archive: tar, zstd-compressed or plain.
    pub fn from_archive(mut archive: impl Read) -> Result<Self, ArchiveError> {
        let mut magic = Vec::new();
        archive.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        let compressed = magic == ZSTD_MAGIC;
        let archive = io::Cursor::new(magic).chain(archive);
        let mut loader = Loader::default();
        if compressed {
            let mut unpacked = zstd::stream::read::Decoder::new(archive)?;
            unpacked.window_log_max(MAX_WINDOW_LOG)?;
            loader.tar(unpacked)?;
        } else {
            loader.tar(archive)?;
        }
        loader.finish()
    }

    /// Follows links lexically, inside of the recorded tree only. `None` where a link is circular.
    fn resolve(&self, path: &str) -> Option<String> {
        let links = &self.capture.index.links;
        if links.is_empty() {
            return Some(path.to_owned());
        }
        let mut pending: Vec<String> =
            path.split('/').rev().filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let mut resolved = String::new();
        let mut hops = 0;
        while let Some(name) = pending.pop() {
            match name.as_str() {
                "." => continue,
                ".." => {
                    resolved.truncate(resolved.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let candidate = format!("{resolved}/{name}");
            match links.get(&candidate) {
                Some(Reading::Known(target)) => {
                    hops += 1;
                    if hops > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        resolved.clear();
                    }
                    pending.extend(target.split('/').rev().filter(|name| !name.is_empty()).map(str::to_owned));
                }
                _ => resolved = candidate,
            }
        }
        Some(resolved)
    }

    fn content(&self, path: &str) -> Option<Reading<Vec<u8>>> {
        if let Some(content) = self.capture.files.get(path) {
            return Some(Reading::Known(content.clone()));
        }
        let reading = self.capture.index.readings.get(path)?;
        Some(reading.as_ref().and_then(|()| Reading::Failed("the capture has lost this file".to_owned())))
    }

    /// The names below a folder for which no listing was recorded.
    fn derived_list(&self, path: &str) -> Reading<Vec<String>> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let mut names = BTreeSet::new();
        let files = self.capture.files.range(prefix.clone()..).map(|(path, _)| path);
        let links = self.capture.index.links.range(prefix.clone()..).map(|(path, _)| path);
        let inside = |path: &&String| path.starts_with(&prefix);
        for path in files.take_while(inside).chain(links.take_while(inside)) {
            let rest = &path[prefix.len()..];
            names.insert(rest.split('/').next().unwrap_or(rest).to_owned());
        }
        if names.is_empty() { Reading::Absent } else { Reading::Known(names.into_iter().collect()) }
    }
}

impl Host for RecordedHost {
    fn origin(&self) -> Origin {
        Origin::Recorded
    }

    fn read(&self, path: &str) -> Reading<Vec<u8>> {
        if let Some(reading) = self.content(path) {
            return reading;
        }
        match self.resolve(path) {
            Some(resolved) => self.content(&resolved).unwrap_or(Reading::Absent),
            None => Reading::Failed("circular link".to_owned()),
        }
    }

    fn list(&self, path: &str) -> Reading<Vec<String>> {
        if let Some(reading) = self.capture.index.lists.get(path) {
            return reading.clone();
        }
        match self.resolve(path) {
            Some(resolved) => self.derived_list(&resolved),
            None => Reading::Failed("circular link".to_owned()),
        }
    }

    fn link(&self, path: &str) -> Reading<String> {
        if let Some(reading) = self.capture.index.links.get(path) {
            return reading.clone();
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let name = &path[parent.len()..];
        let resolved = self.resolve(parent).map(|parent| parent + name);
        resolved.and_then(|path| self.capture.index.links.get(&path).cloned()).unwrap_or(Reading::Absent)
    }

    fn ask(&self, query: &Query) -> Reading<Vec<u8>> {
        // A folder that somebody copied by hand answers files only.
        self.content(&query.path()).unwrap_or(Reading::Unsupported)
    }
}

#[derive(Default)]
struct Loader {
    capture: Capture,
    total_bytes: u64,
    entries: usize,
}

impl Loader {
    fn tar(&mut self, archive: impl Read) -> Result<(), ArchiveError> {
        // The cap counts headers and padding too, so that a stream of empty entries ends as well.
        let mut archive = tar::Archive::new(archive.take(2 * MAX_TOTAL_BYTES));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry_path(&entry.path()?)?;
            match entry.header().entry_type() {
                tar::EntryType::Regular => {}
                tar::EntryType::Directory => {
                    self.count()?;
                    continue;
                }
                other => return Err(ArchiveError::NotAFile { path, kind: entry_kind(other) }),
            }
            let bytes = entry.size();
            self.admit(&path, bytes)?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            self.add(path, content)?;
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), ArchiveError> {
        if depth > MAX_DEPTH {
            return Err(ArchiveError::TooDeep);
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                self.count()?;
                let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
                self.capture.index.links.insert(path, Reading::Known(target));
            } else if kind.is_dir() {
                self.count()?;
                self.folder(&entry.path(), &path, depth + 1)?;
            } else if kind.is_file() {
                self.admit(&path, entry.metadata()?.len())?;
                // Neither a link nor a FIFO that took its place meanwhile is followed or waited for.
                let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
                match fs::File::options().read(true).custom_flags(flags.bits() as i32).open(entry.path()) {
                    Ok(file) => {
                        let mut content = Vec::new();
                        file.take(MAX_FILE_BYTES as u64).read_to_end(&mut content)?;
                        self.add(path, content)?;
                    }
                    Err(error) => {
                        self.capture.index.readings.insert(path, super::files::reading_of(&error));
                    }
                }
            } else {
                return Err(ArchiveError::NotAFile { path, kind: "device, FIFO or socket" });
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES { Err(ArchiveError::TooMany) } else { Ok(()) }
    }

    fn admit(&mut self, path: &str, bytes: u64) -> Result<(), ArchiveError> {
        self.count()?;
        if bytes > MAX_FILE_BYTES as u64 && path != INDEX_PATH {
            return Err(ArchiveError::FileTooLarge { path: path.to_owned(), bytes });
        }
        self.total_bytes = self.total_bytes.saturating_add(bytes);
        if self.total_bytes > MAX_TOTAL_BYTES { Err(ArchiveError::TooLarge) } else { Ok(()) }
    }

    fn add(&mut self, path: String, content: Vec<u8>) -> Result<(), ArchiveError> {
        match self.capture.files.insert(path.clone(), content) {
            None => Ok(()),
            Some(_) => Err(ArchiveError::Duplicate(path)),
        }
    }

    fn finish(mut self) -> Result<RecordedHost, ArchiveError> {
        if let Some(index) = self.capture.files.remove(INDEX_PATH) {
            let mut index: Index = serde_json::from_slice(&index).map_err(ArchiveError::Index)?;
            if index.format != FORMAT {
                return Err(ArchiveError::Format(index.format));
            }
            index.links.append(&mut self.capture.index.links);
            index.readings.append(&mut self.capture.index.readings);
            self.capture.index = index;
        }
        Ok(RecordedHost { capture: self.capture })
    }
}

fn entry_path(path: &Path) -> Result<String, ArchiveError> {
    let mut absolute = String::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                absolute.push('/');
                absolute.push_str(&name.to_string_lossy());
            }
            Component::CurDir => {}
            _ => return Err(ArchiveError::Escapes(path.to_string_lossy().into_owned())),
        }
    }
    Ok(absolute)
}

fn entry_kind(kind: tar::EntryType) -> &'static str {
    match kind {
        tar::EntryType::Link => "hard link",
        tar::EntryType::Symlink => "symbolic link",
        tar::EntryType::Char | tar::EntryType::Block => "device",
        tar::EntryType::Fifo => "FIFO",
        _ => "special entry",
    }
}
