//! `yanji verify`.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use yanji::attest::certificate::{MAX_SALTS_BYTES, Salts};
use yanji::attest::challenge::{SignedChallenge, TrustedChallenge};
use yanji::attest::document::{Document, Kind};
use yanji::attest::key::PublicKey;
use yanji::attest::policy::{Role, Scope, Standing, TrustPolicy};
use yanji::attest::verify::{Batch, Expectations, Failure, FailureClass, Report, Verified, reveal};
use yanji::attest::withdrawal::Withdrawals;
use yanji::attest::{self, Digest, MAX_DOCUMENT_BYTES};
use yanji::policy::Judgement;
use yanji::rule::Signatures;

use super::args::{Format, Global};
use super::checked::Files;
use super::error::CliError;
use super::exit::Exit;
use super::in_order::{self, Room};
use super::input::small_file;
use super::progress::Counter;
use super::search::{self, Candidate};
use super::state::State;
use super::terms::TermsArgs;
use super::verified::Printer;
use super::{inspect, trust, withdrawn};

/// Evidence and envelopes that are in memory at once, unless one report alone has more.
const MOST_EVIDENCE_BYTES: u64 = 512 << 20;

/// Duplicates that are told one by one of a report.
const MAX_LISTED: usize = 20;
/// The most threads that are of use to anybody.
const MAX_JOBS: usize = 256;

/// Arguments of `yanji verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Reports: report.dsse.json files, or folders that are searched for them. evidence.tar and
    /// report.timestamps.json are read from beside each, and so are withdrawals. Receipts, withdrawals and certificates too
    #[arg(required = true, value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Private file of a certificate: says what is hidden, where that is so
    #[arg(long, value_name = "SALTS")]
    pub reveal: Option<PathBuf>,
    /// A serial number or another value that you know: says where the certificate hides it. May be given several times
    #[arg(long, value_name = "TEXT", requires = "reveal")]
    pub known: Vec<String>,
    #[command(flatten)]
    pub terms: TermsArgs,
    /// Challenge that the report must answer, as yanji challenge new wrote it. Signed with this machine's own key, or by a
    /// buyer or auditor of the policy. The first answer is remembered, and another one refused
    #[arg(long, value_name = "FILE")]
    pub challenge: Option<PathBuf>,
    /// Reports to verify at once [default: one for each core]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
}

/// Verifies every report. The exit code is that of the worst one.
pub fn run(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let now = Timestamp::now();
    let mut expectations = args.terms.expectations()?;
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
    let withdrawals = withdrawn::gather(&found.withdrawals, &expectations);
    let verifier = Verifier { expectations, signatures, withdrawals, room: Room::new(MOST_EVIDENCE_BYTES) };
    let threads = args
        .jobs
        .map_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()), NonZeroUsize::get)
        .min(MAX_JOBS);
    let several = found.candidates.len() > 1;
    let counter = Counter::new(found.candidates.len());
    let mut printer = Printer::begin(global.format, several, args.terms.authorities.has_policy())?;
    let mut batch = Batch::default();
    // Of the only one, for the error's own exit code and hint.
    let mut unreadable = None;
    in_order::each(
        threads,
        found.candidates,
        |candidate| verifier.verify(candidate),
        |candidate, verified| {
            counter.step();
            let verified = verified.and_then(|found| refuse_reveal(&candidate, found, salts.is_some()));
            let (verified, judgement) = match verified {
                Ok(verified) => verified,
                // One file that cannot be read says nothing about the others.
                Err(error) => {
                    let told = several || global.format != Format::Plain;
                    let printed = match told {
                        true => counter.suspend(|| printer.unreadable(&candidate.name, &error)),
                        false => Ok(()),
                    };
                    unreadable = Some(error).filter(|_| !several);
                    return printed;
                }
            };
            let mut report = batch.add(&candidate.name.to_string_lossy(), verified);
            if let (true, Some(salts), Some(Document::Certificate(certificate))) =
                (report.is_valid(), &salts, report.document.clone())
            {
                reveal(&mut report, &certificate.predicate, salts, &args.known);
            }
            if let (Some(state), Some(challenge)) = (&state, &verifier.expectations.challenge)
                && let (true, Some(Kind::Report), Some(statement)) =
                    (report.is_valid(), report.kind(), report.statement_sha256)
            {
                state.remember_answer(challenge.issued.digest(), statement, now)?;
            }
            verifier.mark_duplicates(&mut report);
            let judgement = report.judge(judgement);
            counter.suspend(|| printer.print(&candidate.name, &report, judgement.as_ref()))
        },
    )?;
    counter.finish();
    let exit = printer.finish()?;
    batch.finish()?;
    if let Some(error) = unreadable {
        return Err(error);
    }
    Ok(exit)
}

/// Refuses a valid document of which nothing can be revealed. What is wrong with another comes first.
fn refuse_reveal<T>(candidate: &Candidate, found: (Verified, T), asked: bool) -> anyhow::Result<(Verified, T)> {
    let report = &found.0.report;
    if asked && report.is_valid() && report.kind() != Some(Kind::Certificate) {
        bail!(CliError::usage(format!("{} is no certificate, and hides nothing", candidate.name.display())));
    }
    Ok(found)
}

/// What every thread holds the reports against.
struct Verifier {
    expectations: Expectations,
    signatures: Signatures,
    withdrawals: Withdrawals,
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
        let files = if candidate.named { Files::named(path) } else { Files::found(path) }?;
        let _room = self.room.take(files.kept_bytes());
        let opened = files.read()?;
        if let Some(error) = &opened.too_large {
            return Ok((Report::unreadable(error).into(), None));
        }
        let mut judgement = None;
        let evidence = opened.evidence()?;
        let mut verified = Verified::new(opened.signed(), evidence, &self.expectations, &mut |statement, items| {
            let (rederived, judged) = attest::rederive(statement, items, &self.signatures)?;
            judgement = Some(judged);
            Ok(rederived)
        });
        if !self.withdrawals.is_empty() && verified.report.is_valid() {
            self.withdrawals.apply(&withdrawn::digests(&opened.envelope), &mut verified.report);
        }
        Ok((verified, judgement))
    }

    /// Duplicates that no failure tells are open, where they are as bad as what the policy wants a person to look at.
    fn mark_duplicates(&self, report: &mut Report) {
        let suspect = self.signatures.policy.suspect;
        let open = report.shared.duplicates.iter().filter(|it| it.severity >= suspect && !it.is_certain());
        let open = open.take(MAX_LISTED).map(|it| {
            let what = format!("{} {} of {}", it.fact, it.id, it.second.part);
            let observed = format!("in {} of {} too", it.first.part, it.first.document);
            Failure::new(FailureClass::Duplicate, &what, "in one machine only", &observed)
        });
        report.indeterminate.extend(open);
    }
}

fn read_salts(path: &Path) -> anyhow::Result<Salts> {
    let wrong = || {
        CliError::usage(format!("{} is no private file of a certificate", path.display()))
            .hint("yanji redact writes it beside the certificate's folder: DIR.private-salts.json")
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
    let issuers: Vec<PublicKey> = issuers.map(|key| key.public).filter(|key| !keys.contains(key)).collect();
    keys.extend(issuers);
    let by = |keys: &mut dyn Iterator<Item = Digest>| keys.map(|id| format!("key {id}")).collect::<Vec<_>>().join(", ");
    let what = format!("challenge {}", file.display());
    let observed = by(&mut signed.named_keys());
    match signed.trusted(&keys) {
        Ok(Some(challenge)) => Ok(challenge),
        Ok(None) => {
            let known = match keys.as_slice() {
                [] => "no such key is known here".to_owned(),
                keys => by(&mut keys.iter().map(PublicKey::keyid)),
            };
            let expected = format!("signed by this machine, or a buyer or auditor of the policy: {known}");
            let failure = Failure::new(FailureClass::UntrustedSigner, &what, &expected, &observed);
            bail!(CliError::attestation(failure).hint(
                "whoever knows the bytes before can answer them before: take a challenge that you issued yourself, or name \
                 its issuer in the policy"
            ))
        }
        Err(keyid) => {
            let expected = format!("a signature by key {keyid} over these bytes");
            let observed = "a signature over other bytes, or a damaged one";
            bail!(CliError::attestation(Failure::new(FailureClass::Signature, &what, &expected, observed)))
        }
    }
}
