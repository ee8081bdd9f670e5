//! `yanji inspect`.

use std::path::PathBuf;

use yanji::host::{Host, LiveHost, RecordedHost};
use yanji::inspection;
use yanji::report;
use yanji::rule::Signatures;

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::output;

/// Arguments of `yanji inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// Inspect a recorded machine: an archive of `yanji capture`, or a folder laid out like the root
    #[arg(long, value_name = "PATH")]
    pub host: Option<PathBuf>,
}

/// Collects, evaluates and prints. The exit code follows the verdict.
pub fn run(args: &InspectArgs, global: &Global) -> anyhow::Result<Exit> {
    let host = open_host(args.host.as_deref())?;
    let signatures = load_signatures(global)?;
    let inspection = inspection::inspect(host.as_ref(), &signatures);
    match global.format {
        Format::Plain => output::print(&report::inspection_plain(&inspection, &signatures, output::style()))?,
        Format::Json => output::print_json(&report::Document::new(&inspection, &signatures))?,
    }
    Ok(inspection.judgement.verdict.into())
}

/// This machine, or the recorded one.
pub fn open_host(recorded: Option<&std::path::Path>) -> anyhow::Result<Box<dyn Host>> {
    match recorded {
        None => Ok(Box::new(LiveHost::new())),
        Some(path) => match RecordedHost::open(path) {
            Ok(host) => Ok(Box::new(host)),
            Err(error) => Err(anyhow::Error::new(error).context(
                CliError::usage(format!("{} is not a recorded machine", path.display()))
                    .hint("make one with: yanji capture -o host.tar.zst"),
            )),
        },
    }
}

/// The built-in signatures, or those in `--signatures`.
pub fn load_signatures(global: &Global) -> anyhow::Result<Signatures> {
    match &global.signatures {
        None => Ok(Signatures::embedded()?),
        Some(folder) => Signatures::from_folder(folder).map_err(|error| {
            anyhow::Error::new(error).context(
                CliError::usage(format!("cannot use the signatures in {}", folder.display()))
                    .hint("signatures/README.md describes the format; yanji rules lint --signatures DIR checks it"),
            )
        }),
    }
}
