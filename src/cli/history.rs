//! `yanji history`: the custody chain of a unit.

use std::path::PathBuf;

use yanji::attest::Digest;
use yanji::attest::envelope::Envelope;
use yanji::attest::history::{Entry, History};
use yanji::attest::verify::Expectations;
use yanji::report;

use super::args::{Format, Global};
use super::exit::Exit;
use super::{checked, inspect, output, verify};

/// Arguments of `yanji history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  the chain is whole, and every document agrees with the one that it names
  3  something is missing, forks, was taken back, or could not be compared
  4  a document is not valid, or does not agree with the one that it names (E_DRIFT and others)")]
pub struct HistoryArgs {
    /// Reports, receipts, withdrawals and certificates, in any order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Public key that may sign, PEM or hexadecimal. Without it: this machine's own key and
    /// $XDG_CONFIG_HOME/yanji/trusted_keys
    #[arg(long = "key", value_name = "PUB")]
    pub keys: Vec<PathBuf>,
}

/// Verifies every document, puts them in order and prints the chain.
pub fn run(args: &HistoryArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let expectations = Expectations::new(verify::trusted_keys(&args.keys)?, jiff::Timestamp::now());
    let mut entries = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let checked = checked::check(path, &expectations, &signatures)?;
        let mut digests = vec![Digest::of(&checked.opened.envelope)];
        digests.extend(Envelope::parse(&checked.opened.envelope).map(|it| it.digests()).unwrap_or_default());
        entries.push(Entry { name: path.display().to_string(), report: checked.report, digests });
    }
    let history = History::new(entries, &signatures.tables);
    match global.format {
        Format::Json => output::print_json(&history)?,
        Format::Plain | Format::Csv => output::print(&report::history_plain(&history, output::style()))?,
    }
    Ok(match (history.is_broken(), history.is_open()) {
        (true, _) => Exit::AttestationInvalid,
        (false, true) => Exit::Undecided,
        (false, false) => Exit::Success,
    })
}
