//! Signed documents on disk: opened, and verified one at a time.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context;
use yanji::attest::envelope::{self, EnvelopeError};
use yanji::attest::verify::{Expectations, FailureClass, Report, verify};
use yanji::attest::{self, write};
use yanji::evidence::Evidence;
use yanji::policy::Judgement;
use yanji::rule::Signatures;

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::{output, redact, verified};

/// An envelope and the file of evidence beside it.
pub struct Opened {
    /// The file, also where its folder was given.
    pub path: PathBuf,
    /// Its bytes; nothing of a file that is too large to be an envelope.
    pub envelope: Vec<u8>,
    /// Why it is too large, where it is.
    pub too_large: Option<EnvelopeError>,
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
}

/// Opens an envelope, or the one in a folder.
pub fn open(path: &Path) -> anyhow::Result<Opened> {
    let in_folder = |name: &str| path.join(name);
    let path = match path.is_dir() {
        false => path.to_owned(),
        true if in_folder(write::ENVELOPE_FILE).exists() => in_folder(write::ENVELOPE_FILE),
        true if in_folder(redact::CERTIFICATE_FILE).exists() => in_folder(redact::CERTIFICATE_FILE),
        true => in_folder(write::ENVELOPE_FILE),
    };
    let unreadable = || {
        CliError::usage(format!("cannot read {}", path.display()))
            .hint("give the report.dsse.json that yanji certify wrote")
    };
    let (envelope, too_large) = match envelope::read(File::open(&path).with_context(unreadable)?) {
        Ok(bytes) => (bytes, None),
        Err(EnvelopeError::Io(error)) => return Err(error).with_context(unreadable),
        Err(error) => (Vec::new(), Some(error)),
    };
    Ok(Opened { path, envelope, too_large })
}

impl Opened {
    /// `evidence.tar` beside the envelope, when there is one.
    pub fn evidence(&self) -> anyhow::Result<Option<BufReader<File>>> {
        let container = self.path.with_file_name(write::EVIDENCE_FILE);
        match File::open(&container) {
            Ok(file) => Ok(Some(BufReader::with_capacity(1 << 20, file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = CliError::usage(format!("cannot read {}", container.display()));
                Err(anyhow::Error::new(error).context(message))
            }
        }
    }
}

/// Opens and verifies one document.
pub fn check(path: &Path, expectations: &Expectations, signatures: &Signatures) -> anyhow::Result<Checked> {
    let opened = open(path)?;
    let (mut judgement, mut evidence, mut burn) = (None, None, None);
    let report = match &opened.too_large {
        Some(error) => Report::unreadable(error),
        None => verify(&opened.envelope, opened.evidence()?, expectations, &mut |statement, items| {
            let (mut rederived, judged) = attest::rederive(statement, items, signatures)?;
            (judgement, evidence, burn) = (Some(judged), rederived.evidence.take(), rederived.burn.clone());
            Ok(rederived)
        }),
    };
    if !report.is_valid() {
        judgement = None;
    }
    Ok(Checked { opened, report, judgement, evidence, burn })
}

impl Checked {
    /// Prints why a document is not valid, with the exit code for that; `None` for a valid one.
    pub fn refusal(&self, global: &Global) -> anyhow::Result<Option<Exit>> {
        if self.report.is_valid() {
            return Ok(None);
        }
        let path = &self.opened.path;
        match global.format {
            Format::Json => output::print_json(&verified::entry(path, &self.report, None))?,
            Format::Plain | Format::Csv => {
                let name = path.to_string_lossy();
                output::print(&yanji::report::verification_plain(&name, &self.report, None, output::style()))?;
            }
        }
        if self.report.class() == Some(FailureClass::UntrustedSigner) {
            verified::hint_untrusted(false);
        }
        Ok(Some(Exit::AttestationInvalid))
    }
}
