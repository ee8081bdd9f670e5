//! Writing a report into a folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Digest;
use super::envelope::{Envelope, MAX_ENVELOPE_BYTES};
use super::evidence_tar::{self, Item, TarError};
use super::key::Key;
use super::statement::{EVIDENCE_SUBJECT, Statement, StatementError};

/// Name of the signed envelope.
pub const ENVELOPE_FILE: &str = "report.dsse.json";
/// Name of the statement for reading. Not signed.
pub const STATEMENT_FILE: &str = "report.json";
/// Name of the evidence container.
pub const EVIDENCE_FILE: &str = EVIDENCE_SUBJECT;
/// Name of the signer's public key. A convenience: whoever verifies takes the key from elsewhere.
pub const SIGNER_FILE: &str = "signer.pub";

/// Why no report was written. No half-written file is left behind, and no envelope.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file could not be written: disk full, read-only, no permission.
    #[error("cannot write {path:?}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The evidence could not be written.
    #[error("cannot write the evidence to {path:?}")]
    Evidence {
        /// The container.
        path: PathBuf,
        /// What went wrong.
        source: TarError,
    },
    /// The statement can't be made.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The statement contradicts itself; no verifier would accept it.
    #[error("the statement is not consistent: {what} should be {expected} and is {observed}")]
    Contradiction {
        /// Where.
        what: String,
        /// What the rest of it leads to.
        expected: String,
        /// What is there.
        observed: String,
    },
    /// The envelope would be larger than any verifier accepts.
    #[error("the envelope would have {0} bytes, more than the {MAX_ENVELOPE_BYTES} that are accepted")]
    TooLarge(usize),
    /// There is a report already.
    #[error("{0:?} exists already, and a report is never overwritten")]
    Exists(PathBuf),
}

/// A report that was written.
#[derive(Debug, Clone)]
pub struct WrittenReport {
    /// The statement with its evidence listed.
    pub statement: Statement,
    /// Digest of the envelope.
    pub envelope_sha256: Digest,
    /// The files, the envelope last.
    pub files: Vec<PathBuf>,
}

/// Writes `evidence.tar`, `report.json`, `signer.pub` and `report.dsse.json` into a folder, which is made when it is
/// missing. The statement's evidence and its subject `evidence.tar` are filled in from `items`.
///
/// Everything is on the disk under temporary names before the first file gets its own, the envelope last: a folder with
/// an envelope has the whole report.
pub fn write(
    folder: &Path,
    mut statement: Statement,
    items: Vec<Item>,
    key: &Key,
) -> Result<WrittenReport, WriteError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let envelope_path = folder.join(ENVELOPE_FILE);
    if envelope_path.symlink_metadata().is_ok() {
        return Err(WriteError::Exists(envelope_path));
    }

    let evidence_path = folder.join(EVIDENCE_FILE);
    let evidence = temporary(folder).map_err(io_error(&evidence_path))?;
    // `write` flushes what it wrote to.
    let written = evidence_tar::write(items, BufWriter::with_capacity(1 << 20, evidence.as_file()))
        .map_err(|source| WriteError::Evidence { path: evidence_path.clone(), source })?;
    evidence.as_file().sync_all().map_err(io_error(&evidence_path))?;

    statement.set_evidence(written);
    if let Some(found) = statement.contradictions(&[key.public().keyid()]).into_iter().next() {
        let super::statement::Contradiction { what, expected, observed } = found;
        return Err(WriteError::Contradiction { what, expected, observed });
    }
    let envelope = Envelope::sign(statement.to_json()?, key).to_json();
    if envelope.len() > MAX_ENVELOPE_BYTES {
        return Err(WriteError::TooLarge(envelope.len()));
    }
    let mut readable = serde_json::to_string_pretty(&statement).map_err(StatementError::Json)?;
    readable.push('\n');

    let mut ready = vec![(evidence_path, evidence)];
    for (name, content) in
        [(STATEMENT_FILE, &readable), (SIGNER_FILE, &key.public().to_pem()), (ENVELOPE_FILE, &envelope)]
    {
        let path = folder.join(name);
        let mut file = temporary(folder).map_err(io_error(&path))?;
        let result = file.write_all(content.as_bytes()).and_then(|()| file.as_file().sync_all());
        result.map_err(io_error(&path))?;
        ready.push((path, file));
    }
    let mut files = Vec::with_capacity(ready.len());
    for (path, file) in ready {
        if path == envelope_path {
            file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
                io::ErrorKind::AlreadyExists => WriteError::Exists(path.clone()),
                _ => WriteError::Io { path: path.clone(), source: error.error },
            })?;
        } else {
            file.persist(&path).map_err(|error| WriteError::Io { path: path.clone(), source: error.error })?;
        }
        files.push(path);
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))?;
    Ok(WrittenReport { statement, envelope_sha256: Digest::of(envelope.as_bytes()), files })
}

fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".yanji-report-").permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder)
}
