//! `yanji verify`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use rustix::fs::OFlags;
use yanji::attest::certificate::{MAX_SALTS_BYTES, Salts};
use yanji::attest::challenge::{SignedChallenge, TrustedChallenge};
use yanji::attest::document::Document;
use yanji::attest::envelope::{self, EnvelopeError};
use yanji::attest::key::{Locations, PublicKey};
use yanji::attest::policy::{Role, Scope, Standing, TrustPolicy};
use yanji::attest::trust::TrustedKeys;
use yanji::attest::verify::{
    Batch, Expectations, Failure, FailureClass, MAX_KEPT_BYTES, MAX_RECORDS_BYTES, Report, Signed, Verified, reveal,
};
use yanji::attest::{self, Digest, MAX_DOCUMENT_BYTES, write};
use yanji::policy::{Judgement, Verdict};
use yanji::rule::Signatures;

use super::args::Global;
use super::decode::add_device_roots;
use super::error::CliError;
use super::exit::Exit;
use super::in_order::{self, Room};
use super::input::small_file;
use super::progress::Counter;
use super::search::{self, Candidate};
use super::state::State;
use super::verified::Printer;
use super::{inspect, timestamp, trust};

/// Evidence and envelopes that are in memory at once, unless one report alone has more.
const MOST_EVIDENCE_BYTES: u64 = 512 << 20;

/// Arguments of `yanji verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Reports: report.dsse.json files, or folders that are searched for them. evidence.tar and
    /// report.timestamps.json are read from beside each. Receipts, withdrawals and certificates too
    #[arg(required = true, value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Public key that may sign, PEM or hexadecimal. Without it: this machine's own key and
    /// $XDG_CONFIG_HOME/yanji/trusted_keys. With --trust: a key that may have signed the policy
    #[arg(long = "key", value_name = "PUB")]
    pub keys: Vec<PathBuf>,
    /// Private file of a certificate: says what is hidden, where that is so
    #[arg(long, value_name = "SALTS")]
    pub reveal: Option<PathBuf>,
    /// A serial number or another value that you know: says where the certificate hides it. May be given several times
    #[arg(long, value_name = "TEXT", requires = "reveal")]
    pub known: Vec<String>,
    /// Authority that vouches for devices beside NVIDIA's own, PEM. May be given several times
    #[arg(long = "device-root", value_name = "PEM")]
    pub device_roots: Vec<PathBuf>,
    /// Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Challenge that the report must answer, as yanji challenge new wrote it. Signed with this machine's own key, or by a
    /// buyer or auditor of the policy. The first answer is remembered, and another one refused
    #[arg(long, value_name = "FILE")]
    pub challenge: Option<PathBuf>,
    /// Root certificate of a time-stamping authority to believe, PEM; beside those of the policy
    #[arg(long = "tsa-root", value_name = "PEM")]
    pub tsa_roots: Vec<PathBuf>,
    /// Reports to verify at once [default: one for each core]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
}

/// Verifies every report. The exit code is that of the worst one.
pub fn run(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let now = Timestamp::now();
    let mut expectations = match &args.trust {
        Some(file) => Expectations::of_policy(trust::load(file, &args.keys)?.policy, now),
        None => Expectations::new(trusted_keys(&args.keys)?, now),
    };
    add_device_roots(&mut expectations.device_roots, &args.device_roots)?;
    for file in &args.tsa_roots {
        expectations.authorities.extend(timestamp::authorities(file)?);
    }
    // Held until the end, so that two runs cannot both accept a first answer.
    let state = match &args.challenge {
        Some(file) => {
            let mut challenge = issued_challenge(file, expectations.policy.as_ref())?;
            let state = State::open()?;
            challenge.answered_by = state.answer(challenge.issued.digest())?;
            expectations.challenge = Some(challenge);
            Some(state)
        }
        None => None,
    };
    let salts = args.reveal.as_deref().map(read_salts).transpose()?;
    let found = search::reports(&args.reports);
    if found.links > 0 {
        eprintln!("notice: {} symbolic links in the folders were not followed", found.links);
    }
    let verifier = Verifier { expectations, signatures, room: Room::new(MOST_EVIDENCE_BYTES) };
    let threads = args
        .jobs
        .map_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()), NonZeroUsize::get);
    let several = found.candidates.len() > 1;
    let counter = Counter::new(found.candidates.len());
    let mut printer = Printer::begin(global.format, several, args.trust.is_some())?;
    let mut batch = Batch::default();
    in_order::each(
        threads,
        found.candidates,
        |candidate| verifier.verify(candidate),
        |candidate, verified| {
            counter.step();
            let (verified, judgement) = match verified {
                Ok(verified) => verified,
                // One file that cannot be read says nothing about the others.
                Err(error) if several => return counter.suspend(|| printer.unreadable(&candidate.name, &error)),
                Err(error) => return Err(error),
            };
            let mut report = batch.add(&candidate.name.to_string_lossy(), verified);
            if let Some(salts) = &salts {
                let Some(Document::Certificate(certificate)) = report.document.clone() else {
                    let name = candidate.name.display();
                    bail!(CliError::usage(format!("{name} is no certificate, and hides nothing")));
                };
                reveal(&mut report, &certificate.predicate, salts, &args.known);
            }
            if let (Some(state), Some(challenge)) = (&state, &verifier.expectations.challenge)
                && let (true, Some(statement)) = (report.is_valid(), report.statement_sha256)
            {
                state.remember_answer(challenge.issued.digest(), statement, now)?;
            }
            let judgement = verifier.judge(&report, judgement);
            counter.suspend(|| printer.print(&candidate.name, &report, judgement.as_ref()))
        },
    )?;
    counter.finish();
    let exit = printer.finish()?;
    batch.finish()?;
    Ok(exit)
}

/// What every thread holds the reports against.
struct Verifier {
    expectations: Expectations,
    signatures: Signatures,
    room: Room,
}

impl Verifier {
    /// Verifies one report alone.
    fn verify(&self, candidate: &Candidate) -> anyhow::Result<(Verified, Option<Judgement>)> {
        // A report that finds a fault in this program must not hide the others.
        let verified = std::panic::catch_unwind(AssertUnwindSafe(|| self.verify_unguarded(candidate)));
        verified.unwrap_or_else(|_| Err(anyhow::anyhow!("this is a bug in yanji: it failed over this report")))
    }

    fn verify_unguarded(&self, candidate: &Candidate) -> anyhow::Result<(Verified, Option<Judgement>)> {
        let path = match &candidate.envelope {
            Ok(path) => path,
            Err(error) => bail!(CliError::usage(format!("cannot look into {}: {error}", candidate.name.display()))),
        };
        let unreadable = || {
            CliError::usage(format!("cannot read {}", path.display()))
                .hint("give the report.dsse.json that yanji certify wrote")
        };
        let file = if candidate.named { File::open(path) } else { open_regular(path) }.with_context(unreadable)?;
        let evidence = beside(path, write::EVIDENCE_FILE)?;
        let bytes = |file: &File| file.metadata().map_or(0, |metadata| metadata.len());
        // What is kept of the evidence, and of an envelope the text, the payload and the statement.
        let kept_bytes = evidence.as_ref().map_or(0, bytes).min(MAX_KEPT_BYTES + MAX_RECORDS_BYTES);
        let _room = self.room.take(kept_bytes + bytes(&file).saturating_mul(4));
        let envelope = match envelope::read(file) {
            Ok(envelope) => envelope,
            Err(EnvelopeError::Io(error)) => return Err(error).with_context(unreadable),
            Err(error) => return Ok((Report::unreadable(&error).into(), None)),
        };
        let mut timestamps = None;
        if let Some(file) = beside(path, attest::timestamp::FILE_NAME)? {
            let mut bytes = Vec::new();
            let capped = &mut file.take(attest::timestamp::MAX_SIDECAR_BYTES as u64 + 1);
            capped.read_to_end(&mut bytes).with_context(unreadable)?;
            timestamps = Some(bytes);
        }
        let signed = Signed { envelope: &envelope, timestamps: timestamps.as_deref() };
        let mut judgement = None;
        let evidence = evidence.map(|file| BufReader::with_capacity(64 << 10, file));
        let verified = Verified::new(signed, evidence, &self.expectations, &mut |statement, items| {
            let (rederived, judged) = attest::rederive(statement, items, &self.signatures)?;
            judgement = Some(judged);
            Ok(rederived)
        });
        Ok((verified, judgement))
    }

    /// What to make of a report, now that it was compared with the others: nothing of one that is not valid, and no
    /// acceptance of one about which something is open.
    fn judge(&self, report: &Report, judgement: Option<Judgement>) -> Option<Judgement> {
        let mut judgement = judgement.filter(|_| report.is_valid())?;
        let mut open = Vec::new();
        if report.differences.iter().any(|difference| difference.what == "identity") {
            // Another version of the tool may read the identity otherwise; whose report this is, is open until then.
            open.push("the signed identity is not the one that this version reads".to_owned());
        }
        for Failure { class, what, expected, observed } in &report.indeterminate {
            open.push(format!("{class}: {what} is {observed}, not {expected}"));
        }
        let suspect = self.signatures.policy.suspect;
        for duplicate in report.shared.duplicates.iter().filter(|duplicate| duplicate.severity >= suspect) {
            open.push(format!(
                "{}: {} of {} needs a person to look: {} in {} has it too",
                FailureClass::Duplicate,
                duplicate.fact,
                duplicate.second.part,
                duplicate.first.part,
                duplicate.first.document
            ));
        }
        if !open.is_empty() && judgement.verdict == Verdict::Accepted {
            judgement.verdict = Verdict::Undecided;
        }
        judgement.reasons.extend(open);
        Some(judgement)
    }
}

/// A file that lies beside the envelope, if there is one.
fn beside(envelope: &Path, name: &str) -> anyhow::Result<Option<File>> {
    let path = envelope.with_file_name(name);
    match open_regular(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(anyhow::Error::new(error).context(CliError::usage(format!("cannot read {}", path.display()))))
        }
    }
}

/// Opens a regular file, without waiting for whoever writes into a pipe.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

fn read_salts(path: &Path) -> anyhow::Result<Salts> {
    let wrong = || {
        CliError::usage(format!("{} is no private file of a certificate", path.display()))
            .hint("yanji redact writes it beside the certificate: private-salts.json")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(wrong)?;
    file.take(MAX_SALTS_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(wrong)?;
    Salts::parse(&bytes).with_context(wrong)
}

/// The challenge of a file, when this machine or a buyer or auditor of the policy issued it.
fn issued_challenge(file: &Path, policy: Option<&TrustPolicy>) -> anyhow::Result<TrustedChallenge> {
    let wrong = || {
        CliError::usage(format!("{} is no signed challenge", file.display()))
            .hint("give the file that yanji challenge new wrote")
    };
    let signed = SignedChallenge::parse(&small_file(file, MAX_DOCUMENT_BYTES)?).with_context(wrong)?;
    let mut keys = trust::anchors()?;
    let issued_at = signed.issued().issued_at;
    let issuers = policy.into_iter().flat_map(|policy| {
        policy.keys_for(Scope::Challenge).filter(move |key| {
            key.roles.iter().any(|role| matches!(role, Role::Buyer | Role::Auditor))
                && policy.standing(key, issued_at, None, issued_at) == Standing::Good
        })
    });
    keys.extend(issuers.map(|key| key.public));
    let by = |keys: &mut dyn Iterator<Item = Digest>| keys.map(|id| format!("key {id}")).collect::<Vec<_>>().join(", ");
    let what = format!("challenge {}", file.display());
    let observed = by(&mut signed.named_keys());
    match signed.trusted(&keys) {
        Ok(Some(challenge)) => Ok(challenge),
        Ok(None) => {
            let known = by(&mut keys.iter().map(PublicKey::keyid));
            let expected = format!("signed by this machine, or a buyer or auditor of the policy: {known}");
            let failure = Failure::new(FailureClass::UntrustedSigner, &what, &expected, &observed);
            bail!(CliError::attestation(&failure).hint(
                "whoever knows the bytes before can answer them before: take a challenge that you issued yourself, or name \
                 its issuer in the policy"
            ))
        }
        Err(keyid) => {
            let expected = format!("a signature by key {keyid} over these bytes");
            let observed = "a signature over other bytes, or a damaged one";
            bail!(CliError::attestation(&Failure::new(FailureClass::Signature, &what, &expected, observed)))
        }
    }
}

/// The keys of those files; without one, this machine's own and those that its user trusts.
pub fn trusted_keys(files: &[PathBuf]) -> anyhow::Result<TrustedKeys> {
    if files.is_empty() {
        return Ok(TrustedKeys::load(&Locations::from_env()?)?);
    }
    let mut keys = Vec::new();
    for file in files {
        let key = PublicKey::load(file).with_context(|| {
            CliError::usage(format!("{} is no public key", file.display()))
                .hint("yanji key show FILE prints the public half of a key")
        })?;
        keys.push((file.display().to_string(), key));
    }
    Ok(TrustedKeys::from_public_keys(keys))
}
