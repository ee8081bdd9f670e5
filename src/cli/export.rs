//! `yanji export`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use yanji::attest::bundle::bundle;
use yanji::attest::envelope;
use yanji::attest::page::page;
use yanji::whole_file;

use super::error::CliError;
use super::output;
use super::timestamp::Stamped;

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

/// Writes the files that were asked for.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    if args.output.is_none() && args.html.is_none() && args.pae.is_none() && args.signature.is_none() {
        bail!(
            CliError::usage("nothing to write")
                .hint("give --sigstore -o FILE, --html FILE, or --pae FILE --signature FILE")
        );
    }
    let Stamped { envelope, sidecar, .. } = Stamped::load(&args.report)?;
    if let Some(file) = &args.html {
        write(file, page(&envelope).as_bytes())?;
    }
    if let Some(file) = &args.pae {
        write(file, &envelope::pae(&envelope.payload))?;
    }
    let several = envelope.signatures.len() > 1;
    for signature in &envelope.signatures {
        let name = |file: &Path| if several { with_key(file, &signature.keyid.to_string()) } else { file.to_owned() };
        if let Some(file) = &args.signature {
            write(&name(file), &signature.bytes)?;
        }
        if let Some(file) = &args.output {
            write(&name(file), (bundle(&envelope, signature, &sidecar).to_string() + "\n").as_bytes())?;
        }
    }
    Ok(())
}

/// `name.KEY.ending`, with the first digits of the key's id.
fn with_key(file: &Path, keyid: &str) -> PathBuf {
    let key = &keyid[..16.min(keyid.len())];
    let ending = file.extension().map(|ending| ending.to_string_lossy());
    file.with_extension(ending.map_or_else(|| key.to_owned(), |ending| format!("{key}.{ending}")))
}

fn write(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    whole_file::write(file, |out| out.write_all(content))
        .with_context(|| CliError::usage(format!("cannot write {}", file.display())))?;
    output::print(&format!("{}\n", file.display()))
}
