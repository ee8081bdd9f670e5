//! `yanji verify`.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use yanji::attest::envelope::{self, EnvelopeError};
use yanji::attest::key::{Locations, PublicKey};
use yanji::attest::statement::Assurance;
use yanji::attest::trust::TrustedKeys;
use yanji::attest::verify::{Batch, Claim, Difference, Expectations, Failure, FailureClass, Report, Signer};
use yanji::attest::{self, Digest, write};
use yanji::ledger::Shared;
use yanji::policy::{Judgement, Verdict};
use yanji::report;
use yanji::rule::Signatures;

use super::args::{Format, Global};
use super::decode::device_roots;
use super::error::CliError;
use super::exit::Exit;
use super::{error, inspect, output};

/// Arguments of `yanji verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Reports: report.dsse.json files, or folders that hold one. evidence.tar is read from beside it
    #[arg(required = true, value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Public key that may sign, PEM or hexadecimal. Without it: this machine's own key and
    /// $XDG_CONFIG_HOME/yanji/trusted_keys
    #[arg(long = "key", value_name = "PUB")]
    pub keys: Vec<PathBuf>,
    /// Authority that vouches for devices beside NVIDIA's own, PEM. May be given several times
    #[arg(long = "device-root", value_name = "PEM")]
    pub device_roots: Vec<PathBuf>,
}

/// One report in the JSON output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified<'a> {
    path: &'a Path,
    valid: bool,
    report_id: Option<&'a str>,
    envelope_sha256: Option<Digest>,
    signers: &'a [Signer],
    assurance: Option<Assurance>,
    claims: &'a [Claim],
    failures: &'a [Failure],
    indeterminate: &'a [Failure],
    warnings: &'a [Failure],
    differences: &'a [Difference],
    shared: &'a Shared,
    proven: &'a [String],
    not_proven: &'a [String],
    judgement: Option<&'a Judgement>,
}

/// How many reports ended how.
#[derive(Debug, Default, Serialize)]
struct Totals {
    reports: usize,
    invalid: usize,
    accepted: usize,
    rejected: usize,
    undecided: usize,
}

/// Verifies every report. The exit code is that of the worst one.
pub fn run(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let expectations = Expectations {
        trusted: trusted_keys(&args.keys)?,
        now: jiff::Timestamp::now(),
        device_roots: device_roots(&args.device_roots)?,
        revoked_devices: Vec::new(),
    };
    let mut verifier = Verifier { batch: Batch::default(), expectations, signatures, totals: Totals::default() };
    let mut unreadable = false;
    if global.format == Format::Json {
        output::print("{\"reports\":[")?;
    }
    for (index, path) in args.reports.iter().enumerate() {
        let (report, judgement) = match verifier.verify(path) {
            Ok(verified) => verified,
            // One file that cannot be read says nothing about the others.
            Err(error) if args.reports.len() > 1 => {
                unreadable = true;
                error::print(&error);
                if global.format == Format::Json {
                    let separator = if index == 0 { "\n" } else { ",\n" };
                    let entry = serde_json::json!({ "path": path, "valid": false, "error": format!("{error:#}") });
                    output::print(&(separator.to_owned() + &report::escape_controls(&entry.to_string())))?;
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let text = match global.format {
            Format::Json => {
                let separator = if index == 0 { "\n" } else { ",\n" };
                let json = serde_json::to_string(&verified(path, &report, judgement.as_ref()))?;
                separator.to_owned() + &report::escape_controls(&json)
            }
            Format::Plain if args.reports.len() == 1 => {
                let path = path.to_string_lossy();
                report::verification_plain(&path, &report, judgement.as_ref(), output::style())
            }
            Format::Plain => one_line(path, &report, judgement.as_ref()),
        };
        output::print(&text)?;
        if global.format == Format::Plain {
            output::print(&report::shared_plain(&report.shared, output::style()))?;
        }
    }
    let totals = &verifier.totals;
    match global.format {
        Format::Json => output::print(&format!("\n],\"totals\":{}}}\n", serde_json::to_string(totals)?))?,
        Format::Plain if args.reports.len() > 1 => output::print(&format!(
            "{} reports: {} accepted, {} rejected, {} undecided, {} invalid\n",
            totals.reports, totals.accepted, totals.rejected, totals.undecided, totals.invalid
        ))?,
        Format::Plain => {}
    }
    std::io::stderr().flush()?;
    Ok(match totals {
        Totals { invalid: 1.., .. } => Exit::AttestationInvalid,
        _ if unreadable => Exit::Usage,
        Totals { rejected: 1.., .. } => Exit::Rejected,
        Totals { undecided: 1.., .. } => Exit::Undecided,
        _ => Exit::Success,
    })
}

struct Verifier {
    batch: Batch,
    expectations: Expectations,
    signatures: Signatures,
    totals: Totals,
}

impl Verifier {
    fn verify(&mut self, path: &Path) -> anyhow::Result<(Report, Option<Judgement>)> {
        let name = &*path.to_string_lossy();
        let path = if path.is_dir() { path.join(write::ENVELOPE_FILE) } else { path.to_owned() };
        let unreadable = || {
            CliError::usage(format!("cannot read {}", path.display()))
                .hint("give the report.dsse.json that yanji certify wrote")
        };
        let bytes = match envelope::read(File::open(&path).with_context(unreadable)?) {
            Ok(bytes) => bytes,
            Err(EnvelopeError::Io(error)) => return Err(error).with_context(unreadable),
            Err(error) => {
                self.totals.reports += 1;
                self.totals.invalid += 1;
                return Ok((Report::unreadable(&error), None));
            }
        };
        let container = path.with_file_name(write::EVIDENCE_FILE);
        let evidence = match File::open(&container) {
            Ok(file) => Some(BufReader::with_capacity(1 << 20, file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let message = CliError::usage(format!("cannot read {}", container.display()));
                return Err(anyhow::Error::new(error).context(message));
            }
        };
        let mut judgement = None;
        let signatures = &self.signatures;
        let report = self.batch.verify(name, &bytes, evidence, &self.expectations, &mut |statement, items| {
            let (rederived, judged) = attest::rederive(statement, items, signatures)?;
            judgement = Some(judged);
            Ok(rederived)
        });
        self.totals.reports += 1;
        if !report.is_valid() {
            judgement = None;
        }
        if let Some(judgement) = &mut judgement
            && report.differences.iter().any(|difference| difference.what == "identity")
        {
            // Another version of the tool may read the identity otherwise; whose report this is, is open until then.
            judgement.reasons.push("the signed identity is not the one that this version reads".to_owned());
            if judgement.verdict == Verdict::Accepted {
                judgement.verdict = Verdict::Undecided;
            }
        }
        for open in &report.indeterminate {
            let Some(judgement) = &mut judgement else { break };
            judgement
                .reasons
                .push(format!("{}: {} is {}, not {}", open.class, open.what, open.observed, open.expected));
            if judgement.verdict == Verdict::Accepted {
                judgement.verdict = Verdict::Undecided;
            }
        }
        let suspect = self.signatures.policy.suspect;
        for duplicate in report.shared.duplicates.iter().filter(|duplicate| duplicate.severity >= suspect) {
            let Some(judgement) = &mut judgement else { break };
            judgement.reasons.push(format!(
                "{}: {} of {} needs a person to look: {} in {} has it too",
                FailureClass::Duplicate,
                duplicate.fact,
                duplicate.second.part,
                duplicate.first.part,
                duplicate.first.document
            ));
            if judgement.verdict == Verdict::Accepted {
                judgement.verdict = Verdict::Undecided;
            }
        }
        match judgement.as_ref().map(|judgement| judgement.verdict) {
            None => self.totals.invalid += 1,
            Some(Verdict::Accepted) => self.totals.accepted += 1,
            Some(Verdict::Rejected) => self.totals.rejected += 1,
            Some(Verdict::Undecided) => self.totals.undecided += 1,
        }
        if report.class() == Some(FailureClass::UntrustedSigner) {
            eprintln!(
                "hint: ask the signer for the public key by a way that the report did not take, and give it with --key"
            );
        }
        Ok((report, judgement))
    }
}

fn trusted_keys(files: &[PathBuf]) -> anyhow::Result<TrustedKeys> {
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

fn verified<'a>(path: &'a Path, report: &'a Report, judgement: Option<&'a Judgement>) -> Verified<'a> {
    Verified {
        path,
        valid: report.is_valid(),
        report_id: report.statement.as_ref().map(|statement| statement.predicate.report_id.as_str()),
        envelope_sha256: report.envelope_sha256,
        signers: &report.signers,
        assurance: report.assurance,
        claims: &report.claims,
        failures: &report.failures,
        indeterminate: &report.indeterminate,
        warnings: &report.warnings,
        differences: &report.differences,
        shared: &report.shared,
        proven: &report.proven,
        not_proven: &report.not_proven,
        judgement,
    }
}

fn one_line(path: &Path, report: &Report, judgement: Option<&Judgement>) -> String {
    let style = output::style();
    let path = report::for_terminal(&path.to_string_lossy(), style);
    match (judgement, report.assurance) {
        (Some(judgement), Some(assurance)) => {
            format!("valid    {:<9} {assurance}  {path}\n", judgement.verdict.to_string())
        }
        _ => {
            let failure = report.failures.first();
            let class = failure.map_or("", |failure| failure.class.as_str());
            let what = failure.map_or(String::new(), |failure| report::for_terminal(&failure.what, style));
            format!("INVALID  {class} ({what})  {path}\n")
        }
    }
}
