//! `yanji void`: takes a signed document back.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Serialize;
use yanji::attest::Digest;
use yanji::attest::envelope::{self, Envelope};
use yanji::attest::statement::Statement;
use yanji::attest::void::Void;

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::signer;
use super::{checked, key, output};

/// The longest reason that is signed.
const MAX_REASON_CHARS: usize = 4096;

/// Arguments of `yanji void`.
#[derive(Debug, clap::Args)]
pub struct VoidArgs {
    /// What does not count any more: a report, a receipt, a certificate
    pub file: PathBuf,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Where to write the withdrawal
    #[arg(short, long, value_name = "OUT")]
    pub out: PathBuf,
    /// Private key to sign with; one that signed the file [default: this machine's own]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Voided<'a> {
    file: &'a PathBuf,
    voids: Digest,
    statement: Digest,
    keyid: Digest,
    own: bool,
}

/// Signs that another envelope does not count. That one need not verify: it may have been signed with a stolen key.
pub fn run(args: &VoidArgs, global: &Global) -> anyhow::Result<Exit> {
    signer::refuse_existing(&args.out)?;
    if args.reason.trim().is_empty() || args.reason.chars().count() > MAX_REASON_CHARS {
        bail!(CliError::usage(format!("a reason has 1 to {MAX_REASON_CHARS} characters")));
    }
    let path = checked::locate(&args.file);
    let bytes = checked::read_envelope(&args.file)?;
    let envelope = Envelope::parse(&bytes)
        .with_context(|| CliError::usage(format!("{} is no signed document", path.display())))?;
    let key = key::signing_key(args.key.as_deref())?;
    let keyid = key.public().keyid();
    // Anybody can write the id of a key beside a signature that it did not make.
    let signed = envelope::pae(&envelope.payload);
    let own = envelope.signatures.iter().any(|it| it.keyid == keyid && key.public().verify(&signed, &it.bytes));
    let (voids, statement) = (Digest::of(&bytes), Digest::of(&envelope.payload));
    let reason = args.reason.clone();
    let void = Statement::void(Void { voided_at: signer::now(), voids, statement: Some(statement), reason });
    signer::write_envelope(&args.out, &Envelope::sign(void.to_json()?, &key))?;
    if !own {
        eprintln!("notice: key {keyid} did not sign {}: this disputes it, and does not void it", output::name(&path));
    }
    match global.format {
        Format::Json => output::print_json(&Voided { file: &args.out, voids, statement, keyid, own })?,
        Format::Plain | Format::Csv => {
            output::print(&format!("Void: {voids}, signed by key {keyid}\n  {}\n", output::name(&args.out)))?;
        }
    }
    Ok(Exit::Success)
}
