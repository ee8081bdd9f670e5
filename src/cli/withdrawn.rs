//! Withdrawals that lie beside reports: whatever says that one of them does not count must not be overlooked.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use yanji::attest::document::{Document, Kind};
use yanji::attest::envelope::Envelope;
use yanji::attest::verify::{Expectations, Report, Signed, verify};
use yanji::attest::withdrawal::{Withdrawal, Withdrawals};
use yanji::attest::{Digest, MAX_DOCUMENT_BYTES, timestamp};

use super::checked::open_regular;

/// A withdrawal that was verified.
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// What its verification found.
    pub report: Report,
    /// Digests by which others may name it.
    pub digests: Vec<Digest>,
}

/// Those of the files that are withdrawals, each once. What is something else, or can't be read, is left out.
pub fn read(files: &[PathBuf], expectations: &Expectations) -> Vec<Found> {
    let mut seen = HashSet::new();
    let withdrawals = files.iter().filter_map(|path| {
        let bytes = small(path, MAX_DOCUMENT_BYTES)?;
        let envelope = Envelope::parse(&bytes).ok()?;
        // By all of its bytes: a copy with a damaged signature must not hide the one that counts.
        if !seen.insert(Digest::of(&bytes)) || !is_withdrawal(&envelope) {
            return None;
        }
        let timestamps = small(&timestamp::beside(path), timestamp::MAX_SIDECAR_BYTES);
        let signed = Signed { envelope: &bytes, timestamps: timestamps.as_deref() };
        let nothing = || "no evidence".to_owned();
        let report = verify(signed, None::<&[u8]>, expectations, &mut |_, _| Err(nothing()));
        Some(Found { path: path.clone(), report, digests: digests(&bytes) })
    });
    withdrawals.collect()
}

/// The withdrawals among the files. Those that do not count are named on stderr.
pub fn gather(files: &[PathBuf], expectations: &Expectations) -> Withdrawals {
    let mut valid = Vec::new();
    for Found { path, report, digests } in read(files, expectations) {
        let name = path.display().to_string();
        match Withdrawal::of(&name, &report, &digests) {
            Some(withdrawal) => valid.push(withdrawal),
            None => {
                let class = report.class().map_or("", |class| class.as_str());
                eprintln!("notice: {name} takes a document back, and does not count: {class}");
            }
        }
    }
    Withdrawals::new(valid)
}

/// Digests by which others may name an envelope: of the file, and of what it was before somebody co-signed.
pub fn digests(envelope: &[u8]) -> Vec<Digest> {
    let mut digests = vec![Digest::of(envelope)];
    digests.extend(Envelope::parse(envelope).map(|it| it.digests()).unwrap_or_default());
    digests
}

fn is_withdrawal(envelope: &Envelope) -> bool {
    Document::read(&envelope.payload).is_ok_and(|document: Document| document.kind() == Kind::Void)
}

/// The bytes of a regular file that has no more.
fn small(path: &Path, max_bytes: usize) -> Option<Vec<u8>> {
    // Nothing is taken out of a pipe that somebody else waits for.
    let metadata = fs::metadata(path).ok().filter(|it| it.is_file() && it.len() <= max_bytes as u64)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    open_regular(path).ok()?.take(max_bytes as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= max_bytes).then_some(bytes)
}
