//! `yanji history`: the custody chain of a unit.

use std::collections::HashSet;
use std::path::PathBuf;

use yanji::attest::Digest;
use yanji::attest::history::{Entry, History, named_by};
use yanji::report;

use super::args::{Format, Global};
use super::exit::Exit;
use super::terms::TermsArgs;
use super::{checked, inspect, output, search, withdrawn};

/// Arguments of `yanji history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  the chain is whole, every document agrees with the one that it names, and every verdict is accepted
  1  a report rejects its machine, or a receipt refuses its delivery
  3  a verdict is undecided, or something is missing, forks, is disputed, or could not be compared
  4  a document is not valid, was taken back (E_REVOKED), or does not agree with the one that it names (E_DRIFT and others)")]
pub struct HistoryArgs {
    /// Reports, receipts, withdrawals and certificates, in any order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub terms: TermsArgs,
}

/// Verifies every document, puts them in order and prints the chain.
pub fn run(args: &HistoryArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let expectations = args.terms.expectations()?;
    let found = search::beside(&args.files);
    let mut entries = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let checked = checked::check(path, &expectations, &signatures)?;
        let digests = withdrawn::digests(&checked.opened.envelope);
        let verdict = checked.judgement.map(|judgement| judgement.verdict);
        entries.push(Entry { name: path.display().to_string(), report: checked.report, verdict, digests });
    }
    let given: HashSet<Digest> = entries.iter().filter_map(|entry| entry.report.envelope_sha256).collect();
    let mut beside = withdrawn::read(&found, &expectations);
    beside.retain(|withdrawal| withdrawal.report.envelope_sha256.is_none_or(|envelope| !given.contains(&envelope)));
    // What merely lies there and is about other documents is nobody's question.
    let chain: Vec<Digest> =
        entries.iter().flat_map(|entry| entry.digests.iter().copied().chain(named_by(&entry.report))).collect();
    for withdrawal in withdrawn::about(beside, chain) {
        let (name, report) = (withdrawal.path.display().to_string(), withdrawal.report);
        entries.push(Entry { name, report, verdict: None, digests: withdrawal.digests });
    }
    let history = History::new(entries, &signatures.tables);
    match global.format {
        Format::Json => output::print_json(&history)?,
        Format::Plain | Format::Csv => output::print(&report::history_plain(&history, output::style()))?,
    }
    Ok(match (history.is_broken(), history.is_rejected(), history.is_open()) {
        (true, ..) => Exit::AttestationInvalid,
        (_, true, _) => Exit::Rejected,
        (_, _, true) => Exit::Undecided,
        _ => Exit::Success,
    })
}
