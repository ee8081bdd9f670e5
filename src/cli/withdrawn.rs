//! Withdrawals that lie beside reports: whatever says that one of them does not count must not be overlooked.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::{memchr, memmem};
use yanji::attest::document::Document;
use yanji::attest::envelope::Envelope;
use yanji::attest::verify::{Expectations, Failure, FailureClass, Report, Signed, verify};
use yanji::attest::void::VOID_TYPE;
use yanji::attest::withdrawal::{Withdrawal, Withdrawals};
use yanji::attest::{Digest, MAX_DOCUMENT_BYTES, timestamp};
use yanji::report;

use super::checked::open_regular;
use super::{output, search};

/// A withdrawal that was verified.
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// What its verification found.
    pub report: Report,
    /// Digests by which others may name it.
    pub digests: Vec<Digest>,
    /// Digests by which it names what it takes back.
    targets: Vec<Digest>,
}

impl Found {
    /// The withdrawal, where it counts; `None`, and a notice on stderr, where it does not.
    pub fn counted(&self) -> Option<Withdrawal> {
        let Self { path, report, digests, .. } = self;
        let name = path.display().to_string();
        let withdrawal = Withdrawal::of(&name, report, digests);
        if withdrawal.is_none() {
            let class = report.class().map_or("", |class| class.as_str());
            eprintln!("notice: {} takes a document back, and does not count: {class}", output::name(path));
        }
        withdrawal
    }
}

/// Those of the files that are withdrawals, each once. What is something else, or can't be read, is left out; that is told of
/// what is called a withdrawal.
pub fn read(files: &[PathBuf], expectations: &Expectations) -> Vec<Found> {
    let mut seen = HashSet::new();
    let withdrawals = files.iter().filter_map(|path| {
        let bytes = told(path, small(path, MAX_DOCUMENT_BYTES).map_err(|error| error.to_string()))?;
        let envelope = told(path, Envelope::parse(&bytes).map_err(|error| error.to_string()))?;
        // By all of its bytes: a copy with a damaged signature must not hide the one that counts.
        if !seen.insert(Digest::of(&bytes)) {
            return None;
        }
        if !may_be_void(&envelope.payload) && !search::is_called_withdrawal(path) {
            return None;
        }
        let document = Document::read(&envelope.payload)
            .map_err(|it| format!("{}: expected {}; observed {}", it.what, it.expected, it.observed));
        let Document::Void(void) = told(path, document)? else { return None };
        let targets = void.predicate.targets().collect();
        let timestamps = small(&timestamp::beside(path), timestamp::MAX_SIDECAR_BYTES).ok();
        let signed = Signed { envelope: &bytes, timestamps: timestamps.as_deref() };
        let nothing = || Failure::new(FailureClass::Evidence, "evidence", "that of a report", "a withdrawal has none");
        let report = verify(signed, None::<&[u8]>, expectations, &mut |_, _| Err(nothing()));
        Some(Found { path: path.clone(), report, digests: digests(&bytes), targets })
    });
    withdrawals.collect()
}

/// The withdrawals among the files. Those that do not count are named on stderr.
pub fn gather(files: &[PathBuf], expectations: &Expectations) -> Withdrawals {
    Withdrawals::new(read(files, expectations).iter().filter_map(Found::counted).collect())
}

/// Those of the withdrawals that take back one of the documents with these digests, or a withdrawal of one, and count.
/// Those that do not are named on stderr; of all others nothing is said.
pub fn about(found: Vec<Found>, documents: impl IntoIterator<Item = Digest>) -> Vec<Found> {
    let mut by_target: HashMap<Digest, Vec<usize>> = HashMap::new();
    for (index, withdrawal) in found.iter().enumerate() {
        withdrawal.targets.iter().for_each(|target| by_target.entry(*target).or_default().push(index));
    }
    let mut looked_at = vec![false; found.len()];
    let mut counted = vec![false; found.len()];
    let mut waiting: Vec<Digest> = documents.into_iter().collect();
    while let Some(digest) = waiting.pop() {
        for index in by_target.remove(&digest).into_iter().flatten() {
            if !looked_at[index] {
                looked_at[index] = true;
                if found[index].counted().is_some() {
                    counted[index] = true;
                    waiting.extend(&found[index].digests);
                }
            }
        }
    }
    found.into_iter().zip(counted).filter_map(|(withdrawal, counted)| counted.then_some(withdrawal)).collect()
}

/// Digests by which others may name an envelope: of the file, of what it was before somebody co-signed, and of what is signed
/// in it, which stays the same whatever becomes of the signatures.
pub fn digests(envelope: &[u8]) -> Vec<Digest> {
    let mut digests = vec![Digest::of(envelope)];
    if let Ok(envelope) = Envelope::parse(envelope) {
        digests.extend(envelope.digests());
        digests.push(Digest::of(&envelope.payload));
    }
    digests
}

/// Whether to read the whole payload: thousands of reports lie in a folder, and a withdrawal among them names its type, if need
/// be by escapes.
fn may_be_void(payload: &[u8]) -> bool {
    memmem::find(payload, VOID_TYPE.as_bytes()).is_some() || memchr(b'\\', payload).is_some()
}

/// What was read; where that failed and the file is called a withdrawal, a notice.
fn told<T>(path: &Path, read: Result<T, String>) -> Option<T> {
    if let Err(why) = &read
        && search::is_called_withdrawal(path)
    {
        search::not_a_withdrawal(path, &report::for_terminal(why, output::style()));
    }
    read.ok()
}

/// The bytes of a regular file that has no more.
fn small(path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    // Nothing is taken out of a pipe that somebody else waits for.
    let metadata = fs::metadata(path)?;
    let too_large = || io::Error::other(format!("it has more than {max_bytes} bytes"));
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > max_bytes as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    open_regular(path)?.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes { Err(too_large()) } else { Ok(bytes) }
}
