//! `yanji cosign`: another signature on a document that verifies.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Serialize;
use yanji::attest::Digest;
use yanji::attest::envelope::Envelope;
use yanji::report;
use yanji::whole_file;

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::signer::{self, SignerArgs};
use super::{checked, inspect, output};

/// Arguments of `yanji cosign`.
#[derive(Debug, clap::Args)]
pub struct CosignArgs {
    /// The report to sign too: its folder, or its report.dsse.json
    pub report: PathBuf,
    #[command(flatten)]
    pub signer: SignerArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cosigned {
    file: PathBuf,
    keyid: Digest,
    signatures: usize,
    envelope_sha256: Digest,
    envelope_sha256_before: Digest,
}

/// Verifies, then adds a signature. What does not verify is not signed.
pub fn run(args: &CosignArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let signer = args.signer.load()?;
    let _lock = signer::lock_folder_of(&checked::locate(&args.report));
    let checked = checked::check_standing(&args.report, &signer.expectations, &signatures)?;
    if let Some(exit) = checked.refusal_to_sign(global)? {
        return Ok(exit);
    }
    let path = &checked.opened.path;
    let mut envelope = Envelope::parse(&checked.opened.envelope)?;
    if let Err(error) = envelope.cosign(&signer.key) {
        bail!(CliError::usage(format!("{} is not signed again: {error}", path.display())));
    }
    let json = envelope.to_json();
    whole_file::write(path, |file| file.write_all(json.as_bytes()))
        .with_context(|| CliError::usage(format!("cannot write {}", path.display())))?;
    let cosigned = Cosigned {
        file: path.clone(),
        keyid: signer.key.public().keyid(),
        signatures: envelope.signatures.len(),
        envelope_sha256: Digest::of(json.as_bytes()),
        envelope_sha256_before: Digest::of(&checked.opened.envelope),
    };
    match global.format {
        Format::Json => output::print_json(&cosigned)?,
        Format::Plain | Format::Csv => {
            let name = path.to_string_lossy();
            let judgement = checked.judgement.as_ref();
            let verified = report::verification_plain(&name, &checked.report, judgement, output::style());
            let Cosigned { keyid, signatures, .. } = cosigned;
            output::print(&format!("{verified}Signed by key {keyid} too: {signatures} signatures\n"))?;
        }
    }
    Ok(Exit::Success)
}
