//! `yanji challenge`: random bytes that a report has to contain.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use yanji::attest::Digest;
use yanji::attest::challenge::{Issued, TpmCredential};
use yanji::attest::document::Document;
use yanji::attest::envelope::Envelope;
use yanji::attest::policy::parse_duration;
use yanji::attest::tpm::TpmEvidence;
use yanji::whole_file;

use super::args::{Format, Global};
use super::error::CliError;
use super::{checked, key, output};

/// Arguments of `yanji challenge`.
#[derive(Debug, clap::Args)]
pub struct ChallengeArgs {
    #[command(subcommand)]
    command: ChallengeCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ChallengeCommand {
    /// Sign 32 random bytes, which the seller's report then has to contain: it cannot have been made before
    New {
        /// What it is for: an order number. One challenge for one machine
        #[arg(long = "for", value_name = "ORDER")]
        purpose: String,
        /// How long the seller may take to begin: 7d, 12h
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_duration)]
        expires: SignedDuration,
        /// File to write; nothing is overwritten
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// Private key to sign with [default: this machine's own, made on first use]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Carry a secret that only the machine's TPM can read: an earlier report of the machine, which need not be believed,
        /// says which TPM. The answer proves that the vendor's certificate is that of the TPM which signs
        #[arg(long, value_name = "REPORT")]
        for_tpm: Option<PathBuf>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    path: &'a Path,
    value: Digest,
    purpose: &'a str,
    issued_at: String,
    expires_at: String,
    issuer: Digest,
    /// Digest of the TPM's endorsement key, where the challenge carries a secret for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    endorsement_key: Option<Digest>,
}

/// Runs `yanji challenge`.
pub fn run(args: &ChallengeArgs, global: &Global) -> anyhow::Result<()> {
    let ChallengeCommand::New { purpose, expires, out, key, for_tpm } = &args.command;
    let none = || CliError::usage("no challenge was made");
    let mut issued = Issued::new(purpose, Timestamp::now(), *expires).with_context(none)?;
    if let Some(report) = for_tpm {
        issued.credential = Some(TpmCredential::new(&read_tpm(report)?).with_context(none)?);
    }
    let key = key::signing_key(key.as_deref())?;
    let envelope = issued.sign(&key)?.to_json() + "\n";
    whole_file::write_new(out, 0o644, envelope.as_bytes()).with_context(|| {
        CliError::usage(format!("cannot write {}", out.display()))
            .hint("choose another -o FILE; a challenge is never overwritten")
    })?;
    let issuer = key.public().keyid();
    match global.format {
        Format::Json => output::print_json(&Made {
            path: out,
            value: Digest::from_bytes(issued.value),
            purpose,
            issued_at: issued.issued_at.to_string(),
            expires_at: issued.expires_at.to_string(),
            issuer,
            endorsement_key: issued.credential.map(|it| it.endorsement_key),
        }),
        Format::Plain | Format::Csv => output::print(&format!(
            "{}: challenge for {purpose:?}, open until {}, signed by key {issuer}\n\
             Send it to the seller, who runs: yanji certify --challenge {}\n",
            output::name(out),
            issued.expires_at,
            output::name(out)
        )),
    }
}

/// What a report says of the machine's TPM. Nothing is verified: what is encrypted to a key can be read by that key only.
fn read_tpm(report: &Path) -> anyhow::Result<TpmEvidence> {
    let path = checked::locate(report);
    let wrong = || {
        CliError::usage(format!("{} is no report of a machine with a TPM", path.display()))
            .hint("let the seller run: yanji certify --profile quick, as root")
    };
    let envelope = Envelope::parse(&checked::read_envelope(report)?).with_context(wrong)?;
    let Ok(Document::Report(statement)) = Document::read(&envelope.payload) else { bail!(wrong()) };
    statement.predicate.platform.and_then(|platform| platform.tpm).with_context(wrong)
}
