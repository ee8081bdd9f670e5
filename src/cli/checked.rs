//! Signed documents on disk: how every command opens and verifies one.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::OFlags;
use yanji::attest::envelope::{self, EnvelopeError};
use yanji::attest::timestamp::{self, MAX_SIDECAR_BYTES};
use yanji::attest::verify::{
    Expectations, FailureClass, MAX_KEPT_BYTES, MAX_RECORDS_BYTES, Report, Signed, verify, verify_evidence,
};
use yanji::attest::{self, write};
use yanji::evidence::Evidence;
use yanji::policy::Judgement;
use yanji::rule::Signatures;

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::{output, redact, search, verified, withdrawn};

/// An envelope and what lies beside it, open and not yet read.
pub struct Files {
    path: PathBuf,
    envelope: File,
    evidence: Option<File>,
    timestamps: Option<File>,
}

/// An envelope that was read, and what lies beside it.
pub struct Opened {
    /// The file, also where its folder was given.
    pub path: PathBuf,
    /// Its bytes; nothing of a file that is too large to be an envelope.
    pub envelope: Vec<u8>,
    /// Why it is too large, where it is.
    pub too_large: Option<EnvelopeError>,
    timestamps: Option<Vec<u8>>,
    evidence: Option<File>,
}

/// A document that was verified.
pub struct Checked {
    /// What was read.
    pub opened: Opened,
    /// What the verification found.
    pub report: Report,
    /// What comes out of a valid report's evidence now.
    pub judgement: Option<Judgement>,
    /// What a report's evidence shows.
    pub evidence: Option<Evidence>,
    /// What the records of its burn-in show, in a sentence.
    pub burn: Option<String>,
    by_policy: bool,
}

/// The envelope in a folder, or that file.
pub fn locate(path: &Path) -> PathBuf {
    let in_folder = |name: &str| path.join(name);
    match path.is_dir() {
        false => path.to_owned(),
        true if in_folder(write::ENVELOPE_FILE).exists() => in_folder(write::ENVELOPE_FILE),
        true if in_folder(redact::CERTIFICATE_FILE).exists() => in_folder(redact::CERTIFICATE_FILE),
        true => in_folder(write::ENVELOPE_FILE),
    }
}

/// The bytes of the envelope in a folder, or of that file, for a command that verifies nothing.
pub fn read_envelope(path: &Path) -> anyhow::Result<Vec<u8>> {
    let located = locate(path);
    let opened = if path.is_dir() { open_regular(&located) } else { File::open(&located) };
    let bytes = opened.map_err(EnvelopeError::Io).and_then(envelope::read);
    bytes.with_context(|| unreadable(&located))
}

impl Files {
    /// Opens the envelope in a folder, or a file that the user named, who may then give a pipe, and what lies beside it.
    pub fn named(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() { Self::found(&locate(path)) } else { Self::open(path, |path| File::open(path)) }
    }

    /// Opens a file that was found in a folder.
    pub fn found(path: &Path) -> anyhow::Result<Self> {
        Self::open(path, open_regular)
    }

    fn open(path: &Path, open: impl FnOnce(&Path) -> io::Result<File>) -> anyhow::Result<Self> {
        Ok(Self {
            envelope: open(path).with_context(|| unreadable(path))?,
            evidence: beside(&path.with_file_name(write::EVIDENCE_FILE))?,
            timestamps: beside(&timestamp::beside(path))?,
            path: path.to_owned(),
        })
    }

    /// What a verification keeps in memory: parts of the evidence, and of an envelope the text, the payload and the statement.
    pub fn kept_bytes(&self) -> u64 {
        let bytes = |file: &File| file.metadata().map_or(0, |metadata| metadata.len());
        let evidence = self.evidence.as_ref().map_or(0, bytes).min(MAX_KEPT_BYTES + MAX_RECORDS_BYTES);
        evidence + bytes(&self.envelope).saturating_mul(4)
    }

    /// Reads all but the evidence.
    pub fn read(self) -> anyhow::Result<Opened> {
        let Self { path, envelope, evidence, timestamps } = self;
        let (envelope, too_large) = match envelope::read(envelope) {
            Ok(bytes) => (bytes, None),
            Err(EnvelopeError::Io(error)) => return Err(error).with_context(|| unreadable(&path)),
            Err(error) => (Vec::new(), Some(error)),
        };
        let timestamps = timestamps.map(|file| -> anyhow::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let capped = &mut file.take(MAX_SIDECAR_BYTES as u64 + 1);
            capped.read_to_end(&mut bytes).with_context(|| unreadable(&timestamp::beside(&path)))?;
            Ok(bytes)
        });
        let timestamps = timestamps.transpose()?;
        Ok(Opened { path, envelope, too_large, timestamps, evidence })
    }
}

impl Opened {
    /// What there is to verify.
    pub fn signed(&self) -> Signed<'_> {
        Signed { envelope: &self.envelope, timestamps: self.timestamps.as_deref() }
    }

    /// `evidence.tar` beside the envelope, from its beginning, when there is one.
    pub fn evidence(&self) -> anyhow::Result<Option<BufReader<&File>>> {
        let Some(mut file) = self.evidence.as_ref() else { return Ok(None) };
        file.rewind().context("cannot read the evidence")?;
        Ok(Some(BufReader::with_capacity(64 << 10, file)))
    }
}

/// Opens and verifies one document.
pub fn check(path: &Path, expectations: &Expectations, signatures: &Signatures) -> anyhow::Result<Checked> {
    let checked = rederive(path, expectations, signatures)?;
    Ok(checked.judged())
}

/// The same, and nothing that lies beside it takes it back.
pub fn check_standing(path: &Path, expectations: &Expectations, signatures: &Signatures) -> anyhow::Result<Checked> {
    let mut checked = rederive(path, expectations, signatures)?;
    checked.withdraw(path, expectations);
    Ok(checked.judged())
}

fn rederive(path: &Path, expectations: &Expectations, signatures: &Signatures) -> anyhow::Result<Checked> {
    let opened = Files::named(path)?.read()?;
    let (mut judgement, mut evidence, mut burn) = (None, None, None);
    let report = match &opened.too_large {
        Some(error) => Report::unreadable(error),
        None => verify(opened.signed(), opened.evidence()?, expectations, &mut |statement, items| {
            let (rederived, judged) = attest::rederive(statement, items, signatures)?;
            (judgement, evidence, burn) = (Some(judged), rederived.evidence.clone(), rederived.burn.clone());
            Ok(rederived)
        }),
    };
    Ok(Checked { opened, report, judgement, evidence, burn, by_policy: expectations.policy.is_some() })
}

/// Opens one document and verifies who signed it, that its evidence is what was signed, and that nothing which lies beside it
/// takes it back.
pub fn check_evidence(path: &Path, expectations: &Expectations) -> anyhow::Result<Checked> {
    let opened = Files::named(path)?.read()?;
    let report = match &opened.too_large {
        Some(error) => Report::unreadable(error),
        None => verify_evidence(opened.signed(), opened.evidence()?, expectations),
    };
    let by_policy = expectations.policy.is_some();
    let mut checked = Checked { opened, report, judgement: None, evidence: None, burn: None, by_policy };
    checked.withdraw(path, expectations);
    Ok(checked)
}

impl Checked {
    /// Counts the withdrawals that lie beside it.
    fn withdraw(&mut self, path: &Path, expectations: &Expectations) {
        if !self.report.is_valid() {
            return;
        }
        let withdrawals = withdrawn::gather(&search::beside(&[path.to_owned()]), expectations);
        withdrawals.apply(&withdrawn::digests(&self.opened.envelope), &mut self.report);
    }

    fn judged(mut self) -> Self {
        self.judgement = self.report.judge(self.judgement);
        self
    }

    /// Prints why a document is not valid, with the exit code for that; `None` for a valid one.
    pub fn refusal(&self, global: &Global) -> anyhow::Result<Option<Exit>> {
        if self.report.is_valid() {
            return Ok(None);
        }
        self.print(global)?;
        if self.report.class() == Some(FailureClass::UntrustedSigner) {
            verified::hint_untrusted(self.by_policy);
        }
        Ok(Some(Exit::AttestationInvalid))
    }

    /// The same for a command that signs: nor is anything signed for a document that is indeterminate, since the doubt would
    /// not be in what is signed.
    pub fn refusal_to_sign(&self, global: &Global) -> anyhow::Result<Option<Exit>> {
        let refusal = self.refusal(global)?;
        if refusal.is_some() || self.report.indeterminate.is_empty() {
            return Ok(refusal);
        }
        self.print(global)?;
        eprintln!(
            "hint: nothing was signed: first settle what is indeterminate, with the signer or a trusted timestamp"
        );
        Ok(Some(Exit::Undecided))
    }

    fn print(&self, global: &Global) -> anyhow::Result<()> {
        let (path, judgement) = (&self.opened.path, self.judgement.as_ref());
        match global.format {
            Format::Json => output::print_json(&verified::entry(path, &self.report, judgement)),
            Format::Plain | Format::Csv => {
                let name = path.to_string_lossy();
                output::print(&yanji::report::verification_plain(&name, &self.report, judgement, output::style()))
            }
        }
    }
}

/// A file that lies beside the envelope, if there is one.
fn beside(path: &Path) -> anyhow::Result<Option<File>> {
    match open_regular(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(anyhow::Error::new(error).context(CliError::usage(format!("cannot read {}", path.display()))))
        }
    }
}

/// Opens a regular file, without waiting for whoever writes into a pipe.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

fn unreadable(path: &Path) -> CliError {
    CliError::usage(format!("cannot read {}", path.display()))
        .hint("give the report.dsse.json that yanji certify wrote")
}
