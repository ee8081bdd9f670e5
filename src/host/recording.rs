//! Keeps what the collectors read, so that somebody else can replay it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::{Host, Query};
use crate::evidence::{Origin, Reading};

/// Name of the index inside a capture.
pub(super) const INDEX_PATH: &str = "/yanji/index.json";
/// Version of the capture's layout.
pub(super) const FORMAT: u32 = 1;

/// What a capture says beside the files that it holds: every answer that is not a file's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    /// Version of this layout.
    pub format: u32,
    /// Version of the tool that made the capture.
    pub tool_version: String,
    /// Reads that gave no content, and why.
    pub readings: BTreeMap<String, Reading<()>>,
    /// Folder listings.
    pub lists: BTreeMap<String, Reading<Vec<String>>>,
    /// Link targets.
    pub links: BTreeMap<String, Reading<String>>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            format: FORMAT,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            readings: BTreeMap::new(),
            lists: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }
}

/// Raw answers of a machine, in memory: files by absolute path, and the index of everything else.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) index: Index,
}

impl Capture {
    /// Writes the capture as a zstd-compressed tar archive, laid out like the root (`sys/…`, `proc/…`), with the
    /// answers that are not files under `yanji/`. The same capture gives the same bytes.
    pub fn write(&self, output: impl Write) -> io::Result<()> {
        let compressor = zstd::stream::write::Encoder::new(output, 9)?;
        let mut archive = tar::Builder::new(compressor);
        let index = serde_json::to_vec_pretty(&self.index)?;
        append(&mut archive, INDEX_PATH, &index)?;
        for (path, content) in &self.files {
            append(&mut archive, path, content)?;
        }
        archive.into_inner()?.finish()?.flush()
    }

    /// Sets the content of a file, or the raw answer to a query under [`Query::path`].
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        let path = path.into();
        self.index.readings.remove(&path);
        self.files.insert(path, content.into());
    }

    /// Sets the target of a symbolic link.
    pub fn insert_link(&mut self, path: impl Into<String>, target: impl Into<String>) {
        self.index.links.insert(path.into(), Reading::Known(target.into()));
    }

    /// Refuses a path to whoever reads, lists or follows it.
    pub fn deny(&mut self, path: impl Into<String>) {
        let path = path.into();
        self.files.remove(&path);
        self.index.lists.insert(path.clone(), Reading::Denied);
        self.index.links.insert(path.clone(), Reading::Denied);
        self.index.readings.insert(path, Reading::Denied);
    }

    /// Takes a file, a link or a folder with everything below it away.
    pub fn remove(&mut self, path: &str) {
        let below = format!("{}/", path.trim_end_matches('/'));
        let keep = |name: &String| name != path && !name.starts_with(&below);
        self.files.retain(|name, _| keep(name));
        self.index.readings.retain(|name, _| keep(name));
        self.index.lists.retain(|name, _| keep(name));
        self.index.links.retain(|name, _| keep(name));
    }

    /// How many files it holds, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.files.len(), self.files.values().map(Vec::len).sum())
    }
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, path.trim_start_matches('/'), content)
}

/// Passes everything through to another host and keeps the answers.
pub struct RecordingHost<'a> {
    inner: &'a dyn Host,
    capture: Mutex<Capture>,
}

impl<'a> RecordingHost<'a> {
    /// Starts with an empty capture.
    pub fn new(inner: &'a dyn Host) -> Self {
        Self { inner, capture: Mutex::default() }
    }

    /// Everything that was read.
    pub fn into_capture(self) -> Capture {
        match self.capture.into_inner() {
            Ok(capture) => capture,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    fn keep(&self, change: impl FnOnce(&mut Capture)) {
        match self.capture.lock() {
            Ok(mut capture) => change(&mut capture),
            Err(poisoned) => change(&mut poisoned.into_inner()),
        }
    }

    /// The first answer is kept: a replay must not see a later one that no rule saw.
    fn keep_content(&self, path: String, reading: &Reading<Vec<u8>>) {
        self.keep(|capture| {
            if capture.files.contains_key(&path) || capture.index.readings.contains_key(&path) {
                return;
            }
            match reading {
                Reading::Known(content) => {
                    capture.files.insert(path, content.clone());
                }
                other => {
                    capture.index.readings.insert(path, other.as_ref().map(|_| ()));
                }
            }
        });
    }
}

impl Host for RecordingHost<'_> {
    fn origin(&self) -> Origin {
        self.inner.origin()
    }

    fn read(&self, path: &str) -> Reading<Vec<u8>> {
        let reading = self.inner.read(path);
        self.keep_content(path.to_owned(), &reading);
        reading
    }

    fn list(&self, path: &str) -> Reading<Vec<String>> {
        let reading = self.inner.list(path);
        self.keep(|capture| {
            capture.index.lists.entry(path.to_owned()).or_insert_with(|| reading.clone());
        });
        reading
    }

    fn link(&self, path: &str) -> Reading<String> {
        let reading = self.inner.link(path);
        self.keep(|capture| {
            capture.index.links.entry(path.to_owned()).or_insert_with(|| reading.clone());
        });
        reading
    }

    fn begin(&self, query: &Query) {
        self.inner.begin(query);
    }

    fn ask(&self, query: &Query) -> Reading<Vec<u8>> {
        let reading = self.inner.ask(query);
        self.keep_content(query.path(), &reading);
        reading
    }
}
