//! `yanji export`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::json;
use yanji::attest::bundle::bundle;
use yanji::attest::envelope;
use yanji::attest::page::page;

use super::args::{Format, Global};
use super::error::CliError;
use super::timestamp::Stamped;
use super::{output, signer};

/// Arguments of `yanji export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Report: a report.dsse.json file, or the folder that holds it. Nothing about it is verified
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,
    /// Write a Sigstore bundle of version 0.3. Of several signatures each has a file of its own
    #[arg(long, requires = "output")]
    pub sigstore: bool,
    /// File for the bundle
    #[arg(short, long, value_name = "FILE", requires = "sigstore")]
    pub output: Option<PathBuf>,
    /// File for a page that shows the statement and checks its signature in a browser, with a key that is typed in
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// File for the bytes that are signed, as OpenSSL wants them
    #[arg(long, value_name = "FILE")]
    pub pae: Option<PathBuf>,
    /// File for the 64 bytes of the signature. Of several signatures each has a file of its own
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
}

/// Writes the files that were asked for, none of which may be there yet.
pub fn run(args: &ExportArgs, global: &Global) -> anyhow::Result<()> {
    if args.output.is_none() && args.html.is_none() && args.pae.is_none() && args.signature.is_none() {
        bail!(
            CliError::usage("nothing to write")
                .hint("give --sigstore -o FILE, --html FILE, or --pae FILE --signature FILE")
        );
    }
    let Stamped { envelope, sidecar, .. } = Stamped::load(&args.report)?;
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    if let Some(file) = &args.html {
        files.push((file.clone(), page(&envelope).into_bytes()));
    }
    if let Some(file) = &args.pae {
        files.push((file.clone(), envelope::pae(&envelope.payload)));
    }
    let several = envelope.signatures.len() > 1;
    for signature in &envelope.signatures {
        let name = |file: &Path| if several { with_key(file, &signature.keyid.to_string()) } else { file.to_owned() };
        if let Some(file) = &args.signature {
            files.push((name(file), signature.bytes.to_vec()));
        }
        if let Some(file) = &args.output {
            files.push((name(file), (bundle(&envelope, signature, &sidecar).to_string() + "\n").into_bytes()));
        }
    }
    // All or none of them.
    for (index, (file, _)) in files.iter().enumerate() {
        signer::refuse_existing(file)?;
        if files.iter().take(index).any(|(other, _)| other == file) {
            bail!(
                CliError::usage(format!("{} would be written twice", file.display()))
                    .hint("give each file a name of its own; one key's signature is written once")
            );
        }
    }
    for (file, content) in &files {
        signer::write_new(file, content)?;
        if global.format != Format::Json {
            output::print(&format!("{}\n", output::name(file)))?;
        }
    }
    match global.format {
        Format::Json => output::print_json(&json!({ "files": files.iter().map(|(file, _)| file).collect::<Vec<_>>() })),
        Format::Plain | Format::Csv => Ok(()),
    }
}

/// `name.KEY.ending`, with the first digits of the key's id.
fn with_key(file: &Path, keyid: &str) -> PathBuf {
    let key = &keyid[..16.min(keyid.len())];
    let ending = file.extension().map(|ending| ending.to_string_lossy());
    file.with_extension(ending.map_or_else(|| key.to_owned(), |ending| format!("{key}.{ending}")))
}
