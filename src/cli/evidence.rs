//! `yanji evidence`: the raw evidence of a report.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use yanji::attest::Digest;
use yanji::attest::evidence_tar;
use yanji::attest::statement::{EvidenceItem, Statement};
use yanji::attest::verify::EvidenceSource;
use yanji::report::{self, Table};

use super::args::{Format, Global};
use super::checked::{self, Opened};
use super::error::CliError;
use super::exit::Exit;
use super::terms::TermsArgs;
use super::{output, signer};

/// Arguments of `yanji evidence`.
#[derive(Debug, clap::Args)]
pub struct EvidenceArgs {
    #[command(subcommand)]
    command: EvidenceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EvidenceCommand {
    /// List every item with its size and digest, once all of them are the ones that were signed
    List {
        /// The report: its folder, or its report.dsse.json
        report: PathBuf,
        #[command(flatten)]
        terms: TermsArgs,
    },
    /// Write one item, once its digest is the one that was signed
    Get {
        /// The report: its folder, or its report.dsse.json
        report: PathBuf,
        /// Id of the item, as list prints it
        id: String,
        /// Where to write it [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        terms: TermsArgs,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    evidence: Option<EvidenceSource>,
    items: Vec<ListedItem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedItem<'a> {
    id: &'a str,
    media_type: &'a str,
    bytes: u64,
    sha256: Digest,
    inline: bool,
}

/// Runs `yanji evidence`.
pub fn run(args: &EvidenceArgs, global: &Global) -> anyhow::Result<Exit> {
    let (EvidenceCommand::List { report, terms } | EvidenceCommand::Get { report, terms, .. }) = &args.command;
    if let EvidenceCommand::Get { out: Some(out), .. } = &args.command {
        signer::refuse_existing(out)?;
    }
    let checked = checked::check_evidence(report, &terms.expectations()?)?;
    if let Some(exit) = checked.refusal(global)? {
        return Ok(exit);
    }
    let Some(statement) = &checked.report.statement else { bail!("a report that is valid has no statement") };
    match &args.command {
        EvidenceCommand::List { .. } => list(statement, checked.report.evidence, global)?,
        EvidenceCommand::Get { id, out, .. } => get(statement, &checked.opened, id, out.as_deref())?,
    }
    Ok(Exit::Success)
}

fn list(statement: &Statement, evidence: Option<EvidenceSource>, global: &Global) -> anyhow::Result<()> {
    let items = &statement.predicate.evidence;
    match global.format {
        Format::Json => {
            let item = |item: &'_ EvidenceItem| item.inline.is_some();
            let items = items
                .iter()
                .map(|it| ListedItem {
                    id: &it.id,
                    media_type: &it.media_type,
                    bytes: it.bytes,
                    sha256: it.sha256,
                    inline: item(it),
                })
                .collect();
            output::print_json(&Listed { evidence, items })
        }
        Format::Plain | Format::Csv => {
            let style = output::style();
            let mut table = Table::new(&["id", "type", "bytes", "sha256"]);
            for item in items {
                table.row([
                    report::for_terminal(&item.id, style),
                    report::for_terminal(&item.media_type, style),
                    item.bytes.to_string(),
                    item.sha256.to_string(),
                ]);
            }
            let from = match evidence {
                Some(EvidenceSource::Inline) => "evidence.tar was not given; these bytes are inside of the statement\n",
                _ => "",
            };
            output::print(&(table.render() + from))
        }
    }
}

/// The item goes into a file without a name first: whoever reads the output gets all of what was signed, or nothing.
fn get(statement: &Statement, opened: &Opened, id: &str, out: Option<&Path>) -> anyhow::Result<()> {
    let Some(item) = statement.predicate.evidence.iter().find(|item| item.id == id) else {
        bail!(
            CliError::usage(format!("the report has no evidence item {id:?}"))
                .hint(format!("yanji evidence list {} shows them all", opened.path.display()))
        );
    };
    let mut copy = temporary(out)?;
    let sha256 = match (opened.evidence()?, &item.inline) {
        (Some(container), _) => {
            let found = evidence_tar::extract(container, id, copy.as_file_mut()).context("cannot read the evidence")?;
            found.map(|found| found.sha256)
        }
        (None, Some(inline)) => {
            copy.write_all(&inline.0).context("cannot copy the item")?;
            Some(Digest::of(&inline.0))
        }
        (None, None) => None,
    };
    // The file may have changed since it was verified.
    if sha256 != Some(item.sha256) {
        bail!(CliError::usage(format!("the evidence changed while it was read: {id:?} is not what was signed")));
    }
    match out {
        Some(out) => {
            let written = copy.as_file().sync_all().and_then(|()| {
                copy.persist_noclobber(out).map_err(|error| error.error)?;
                Ok(())
            });
            written.with_context(|| CliError::usage(format!("cannot write {}", out.display())))
        }
        None => {
            let file: &mut File = copy.as_file_mut();
            file.rewind().context("cannot read the copy")?;
            print_bytes(file)
        }
    }
}

fn temporary(out: Option<&Path>) -> anyhow::Result<tempfile::NamedTempFile> {
    let folder = match out {
        None => std::env::temp_dir(),
        Some(out) => match out.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        },
    };
    tempfile::Builder::new()
        .prefix(".yanji-evidence-")
        .tempfile_in(&folder)
        .with_context(|| CliError::usage(format!("cannot write into {}", folder.display())))
}

fn print_bytes(mut input: impl Read) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    io::copy(&mut input, &mut stdout).and_then(|_| stdout.flush()).context("cannot write to standard output")
}
