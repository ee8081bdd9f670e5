//! `yanji redact`: a certificate for the public.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use yanji::attest::Digest;
use yanji::attest::envelope::Envelope;
use yanji::attest::redact::{Hide, Source, redact};
use yanji::{report, whole_file};

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::signer::{self, SignerArgs};
use super::{checked, inspect, output};

/// Name of the signed certificate.
pub const CERTIFICATE_FILE: &str = "certificate.dsse.json";
/// What the file with the salts is called behind the name of the folder. Nobody else may read it.
pub const SALTS_ENDING: &str = ".private-salts.json";

/// Arguments of `yanji redact`.
#[derive(Debug, clap::Args)]
pub struct RedactArgs {
    /// The report: its folder, or its report.dsse.json
    pub report: PathBuf,
    /// What to hide: serials (serial numbers, UUIDs, hardware addresses and other ids of one unit), and names of facts
    #[arg(long, value_name = "serials|FACT", required = true, value_delimiter = ',')]
    pub hide: Vec<String>,
    /// Folder for the certificate; made when it is missing. Its private file is written beside it: DIR.private-salts.json
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub signer: SignerArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Redacted<'a> {
    certificate: &'a Path,
    private: &'a Path,
    statement_sha256: Digest,
    keyid: Digest,
    hidden: usize,
}

/// Verifies a report, then signs what it comes to without what is hidden and without the raw evidence.
pub fn run(args: &RedactArgs, global: &Global) -> anyhow::Result<Exit> {
    let (certificate, private) = (args.out.join(CERTIFICATE_FILE), salts_path(&args.out)?);
    signer::refuse_existing(&certificate)?;
    signer::refuse_existing(&private)?;
    let hide = Hide::parse(&args.hide).map_err(|error| {
        anyhow::Error::new(error).context(
            CliError::usage("cannot hide that").hint("names of facts are those of yanji inspect --format json"),
        )
    })?;
    let signatures = inspect::load_signatures(global)?;
    let signer = args.signer.load()?;
    let checked = checked::check_standing(&args.report, &signer.expectations, &signatures)?;
    if let Some(exit) = checked.refusal_to_sign(global)? {
        return Ok(exit);
    }
    let found = &checked.report;
    let (Some(statement), Some(evidence), Some(envelope_sha256)) =
        (&found.statement, &checked.evidence, found.envelope_sha256)
    else {
        bail!(CliError::usage(format!("{} is no report, and only a report is redacted", args.report.display())));
    };
    if !found.differences.is_empty() {
        bail!(
            CliError::usage("the report comes out otherwise with this tool and these signatures")
                .hint("redact it with the version of yanji and the --signatures that made it")
        );
    }
    let signers: Vec<Digest> = found.signers.iter().map(|signer| signer.keyid).collect();
    let burn = checked.burn.as_deref();
    let source = Source { statement, envelope_sha256, signers: &signers, evidence, burn };
    let (statement, salts) = redact(source, &hide, signer::now(), &signatures.tables)?;

    let unwritable = |path: &Path| CliError::usage(format!("cannot write {}", path.display()));
    fs::create_dir_all(&args.out).with_context(|| unwritable(&args.out))?;
    // The private file first: a certificate whose salts were lost can't be matched by anybody.
    let content = serde_json::to_string_pretty(&salts)? + "\n";
    whole_file::write_new(&private, 0o600, content.as_bytes()).with_context(|| unwritable(&private))?;
    let envelope = Envelope::sign(statement.to_json()?, &signer.key);
    if let Err(error) = signer::write_envelope(&certificate, &envelope) {
        _ = fs::remove_file(&private);
        return Err(error);
    }
    let keyid = signer.key.public().keyid();
    let hidden = salts.salts.len() - 1;
    match global.format {
        Format::Json => output::print_json(&Redacted {
            certificate: &certificate,
            private: &private,
            statement_sha256: salts.certificate,
            keyid,
            hidden,
        })?,
        Format::Plain | Format::Csv => output::print(&format!(
            "Certificate, signed by key {keyid}: {} hidden, evidence withheld\n  {}\n\
             Private file with the salts and the hidden values; keep it to yourself\n  {}\n",
            report::plural(hidden, "value"),
            output::name(&certificate),
            output::name(&private)
        ))?,
    }
    Ok(Exit::Success)
}

/// Beside the folder: whoever publishes all that lies in it publishes no secret.
fn salts_path(folder: &Path) -> anyhow::Result<PathBuf> {
    let Some(name) = folder.file_name() else {
        bail!(
            CliError::usage(format!("{} has no name, after which the private file is called", folder.display()))
                .hint("name the folder: -o public")
        );
    };
    let mut name = name.to_owned();
    name.push(SALTS_ENDING);
    Ok(folder.with_file_name(name))
}
