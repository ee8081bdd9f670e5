//! Verified reports as `yanji verify` prints them: one after the other, whatever their number.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;
use yanji::attest::Digest;
use yanji::attest::document::{Document, Kind};
use yanji::attest::statement::{Assurance, UNIT_SUBJECT};
use yanji::attest::verify::{
    ClaimLevel, Difference, Failure, FailureClass, Report, Sentence, Signer, SigningTime, TpmProof,
};
use yanji::ledger::Shared;
use yanji::policy::{Judgement, Verdict};
use yanji::report::{self, csv_row};

use super::args::Format;
use super::exit::Exit;
use super::{error, output};

const COLUMNS: [&str; 15] = [
    "path",
    "valid",
    "class",
    "verdict",
    "assurance",
    "report_id",
    "signers",
    "unit",
    "system_serial",
    "system_uuid",
    "started_at",
    "ended_at",
    "signed_before",
    "duplicates",
    "reasons",
];
/// What is in the column of the class for a report that could not be read.
const UNREADABLE: &str = "UNREADABLE";

/// One report in the JSON output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// What of it is not UTF-8 is replaced: JSON cannot hold it.
    path: Cow<'a, str>,
    kind: Option<Kind>,
    valid: bool,
    report_id: Option<&'a str>,
    envelope_sha256: Option<Digest>,
    signers: &'a [Signer],
    signing_times: &'a [SigningTime],
    assurance: Option<Assurance>,
    failures: &'a [Failure],
    indeterminate: &'a [Failure],
    warnings: &'a [Failure],
    claims: &'a [ClaimLevel],
    tpm: Option<&'a TpmProof>,
    differences: &'a [Difference],
    shared: &'a Shared,
    proven: &'a [Sentence],
    not_proven: &'a [Sentence],
    judgement: Option<&'a Judgement>,
    /// What was signed, of a document that is not a report.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<&'a Document>,
}

/// How many documents ended how.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    reports: usize,
    accepted: usize,
    rejected: usize,
    undecided: usize,
    invalid: usize,
    unreadable: usize,
    /// Documents that show a part of an earlier one. Whether that is the copy, only the two together say.
    #[serde(skip_serializing_if = "is_zero")]
    duplicates: usize,
    /// Valid documents that give no verdict: withdrawals.
    #[serde(skip_serializing_if = "is_zero")]
    without_verdict: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Prints reports and counts them.
pub struct Printer {
    format: Format,
    /// Many reports have a line each.
    several: bool,
    /// A trust policy says who is known.
    by_policy: bool,
    totals: Totals,
    /// A report by a key that nobody trusts.
    strangers: bool,
    /// What one could not be read for.
    worst_error: Option<Exit>,
}

impl Printer {
    /// Begins the output.
    pub fn begin(format: Format, several: bool, by_policy: bool) -> anyhow::Result<Self> {
        match format {
            Format::Json => output::print("{\"reports\":[")?,
            Format::Csv => output::print(&csv_row(COLUMNS))?,
            Format::Plain => {}
        }
        Ok(Self { format, several, by_policy, totals: Totals::default(), strangers: false, worst_error: None })
    }

    /// Prints one that could be read.
    pub fn print(&mut self, path: &Path, report: &Report, judgement: Option<&Judgement>) -> anyhow::Result<()> {
        self.strangers |= report.class() == Some(FailureClass::UntrustedSigner);
        let text = match self.format {
            Format::Json => self.separated(&serde_json::to_string(&entry(path, report, judgement))?),
            Format::Csv => csv(path, report, judgement),
            Format::Plain if self.several => one_line(path, report, judgement),
            Format::Plain => report::verification_plain(&path.to_string_lossy(), report, judgement, output::style()),
        };
        self.totals.reports += 1;
        self.totals.duplicates += usize::from(!report.shared.duplicates.is_empty());
        let verdict = judgement.map(|judgement| judgement.verdict);
        *match verdict.or_else(|| report.document_verdict()) {
            _ if !report.is_valid() => &mut self.totals.invalid,
            None => &mut self.totals.without_verdict,
            Some(Verdict::Accepted) => &mut self.totals.accepted,
            Some(Verdict::Rejected) => &mut self.totals.rejected,
            Some(Verdict::Undecided) => &mut self.totals.undecided,
        } += 1;
        output::print(&text)?;
        if self.format == Format::Plain {
            let same = "a later report about one names the earlier one (certify --previous), and shows no other parts";
            output::print(&report::shared_plain(&report.shared, same, output::style()))?;
        }
        Ok(())
    }

    /// Prints one that could not be read.
    pub fn unreadable(&mut self, path: &Path, error: &anyhow::Error) -> anyhow::Result<()> {
        self.worst_error = self.worst_error.max(Some(error::exit(error)));
        let why = format!("{error:#}");
        let text = match self.format {
            Format::Json => self.separated(
                &serde_json::json!({ "path": path.to_string_lossy(), "valid": false, "error": why }).to_string(),
            ),
            Format::Csv => {
                let mut cells = [""; COLUMNS.len()];
                let path = path.to_string_lossy();
                (cells[0], cells[1], cells[2], cells[COLUMNS.len() - 1]) = (&path, "false", UNREADABLE, &why);
                csv_row(cells)
            }
            Format::Plain => {
                let style = output::style();
                let path = report::for_terminal(&path.to_string_lossy(), style);
                format!("{UNREADABLE}  ({})  {path}\n", report::for_terminal(&why, style))
            }
        };
        self.totals.reports += 1;
        self.totals.unreadable += 1;
        output::print(&text)
    }

    /// Ends the output and gives the exit code.
    pub fn finish(self) -> anyhow::Result<Exit> {
        let totals = &self.totals;
        match self.format {
            Format::Json => output::print(&format!("\n],\"totals\":{}}}\n", serde_json::to_string(totals)?))?,
            Format::Plain if self.several => {
                let Totals { reports, accepted, rejected, undecided, invalid, unreadable, duplicates, .. } = totals;
                if *duplicates > 0 {
                    output::print(&format!(
                        "{duplicates} with a part of an earlier one: either of the two may be the copy\n"
                    ))?;
                }
                let unreadable = match unreadable {
                    0 => String::new(),
                    count => format!(", {count} unreadable"),
                };
                output::print(&format!(
                    "{reports} reports: {accepted} accepted, {rejected} rejected, {undecided} undecided, {invalid} \
                     invalid{unreadable}\n"
                ))?;
            }
            Format::Plain | Format::Csv => {}
        }
        if self.strangers {
            hint_untrusted(self.by_policy);
        }
        Ok(match (totals, self.worst_error) {
            (Totals { invalid: 1.., .. }, _) => Exit::AttestationInvalid,
            (_, Some(exit)) => exit,
            (Totals { rejected: 1.., .. }, _) => Exit::Rejected,
            (Totals { undecided: 1.., .. }, _) => Exit::Undecided,
            _ => Exit::Success,
        })
    }

    fn separated(&self, json: &str) -> String {
        let separator = if self.totals.reports == 0 { "\n" } else { ",\n" };
        separator.to_owned() + &report::escape_controls(json)
    }
}

/// The output of a run that verified nothing, since what the reports are held against does not hold.
pub fn nothing(failure: &Failure) -> serde_json::Value {
    serde_json::json!({ "reports": [], "totals": Totals::default(), "error": failure })
}

/// What to do about a signer whose key is not known.
pub fn hint_untrusted(by_policy: bool) {
    let how = match by_policy {
        true => "add it to the policy: yanji trust add NAME --public PUB --role seller (buyer, for a receipt)",
        false => "give it with --key",
    };
    eprintln!("hint: ask the signer for the public key by a way that the report did not take, and {how}");
}

/// One document for a program.
pub fn entry<'a>(path: &'a Path, report: &'a Report, judgement: Option<&'a Judgement>) -> Entry<'a> {
    Entry {
        path: path.to_string_lossy(),
        kind: report.kind(),
        valid: report.is_valid(),
        report_id: report.statement.as_ref().map(|statement| statement.predicate.report_id.as_str()),
        envelope_sha256: report.envelope_sha256,
        signers: &report.signers,
        signing_times: &report.signing_times,
        assurance: report.assurance,
        failures: &report.failures,
        indeterminate: &report.indeterminate,
        warnings: &report.warnings,
        claims: &report.claims,
        tpm: report.tpm.as_ref(),
        differences: &report.differences,
        shared: &report.shared,
        proven: &report.proven,
        not_proven: &report.not_proven,
        judgement,
        document: report.document.as_ref(),
    }
}

/// The class of the first failure; of a valid document those of what is open and of what should be known.
fn classes(report: &Report) -> String {
    if let Some(class) = report.class() {
        return class.to_string();
    }
    let mut classes: Vec<&str> = Vec::new();
    for class in report.indeterminate.iter().chain(&report.warnings).map(|it| it.class.as_str()) {
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    classes.join(", ")
}

fn one_line(path: &Path, report: &Report, judgement: Option<&Judgement>) -> String {
    let style = output::style();
    let path = report::for_terminal(&path.to_string_lossy(), style);
    match (judgement, report.assurance) {
        (Some(judgement), Some(assurance)) => {
            let classes = classes(report);
            let separator = if classes.is_empty() { "" } else { "  " };
            format!("valid    {:<9} {assurance}  {classes}{separator}{path}\n", judgement.verdict.to_string())
        }
        _ if report.is_valid() => {
            let kind = report.kind().map_or("", |kind| kind.as_str());
            let verdict = report.document_verdict().map_or_else(String::new, |verdict| verdict.to_string());
            format!("valid    {verdict:<9} {kind}  {path}\n")
        }
        _ => {
            let failure = report.failures.first();
            let class = failure.map_or("", |failure| failure.class.as_str());
            let what = failure.map_or(String::new(), |failure| report::for_terminal(&failure.what, style));
            format!("INVALID  {class} ({what})  {path}\n")
        }
    }
}

fn csv(path: &Path, report: &Report, judgement: Option<&Judgement>) -> String {
    let predicate = report.statement.as_ref().map(|statement| &statement.predicate);
    let said = |pick: fn(&yanji::attest::statement::Predicate) -> &str| predicate.map_or("", pick);
    // SMBIOS, or where the table could not be read, the kernel's copy of it.
    let system = |field: &str| {
        let system = predicate.and_then(|it| it.identity.get("system")?.get(0));
        let found = |source: &str| system?.get(format!("{source}.{field}"))?.as_str();
        found("smbios").or_else(|| found("dmi")).unwrap_or_default()
    };
    let subjects = report.statement.iter().flat_map(|statement| &statement.subject);
    let unit = subjects.filter(|subject| subject.name == UNIT_SUBJECT).map(|it| it.digest.sha256.to_string()).next();
    let joined = |texts: Vec<String>| texts.join("; ");
    let reasons = match judgement {
        Some(judgement) => judgement.reasons.clone(),
        None => {
            let sentence = |it: &Failure| format!("{}: expected {}, observed {}", it.what, it.expected, it.observed);
            report.failures.iter().map(sentence).collect()
        }
    };
    let earliest = report.signing_times.iter().map(|time| time.not_after).min();
    let verdict = judgement.map(|judgement| judgement.verdict).or_else(|| report.document_verdict());
    csv_row([
        &*path.to_string_lossy(),
        if report.is_valid() { "true" } else { "false" },
        &classes(report),
        &verdict.map(|verdict| verdict.to_string()).unwrap_or_default(),
        &report.assurance.map(|assurance| assurance.to_string()).unwrap_or_default(),
        said(|it| &it.report_id),
        &joined(report.signers.iter().map(|signer| signer.name.clone()).collect()),
        &unit.unwrap_or_default(),
        system("system_serial"),
        system("system_uuid"),
        said(|it| &it.session.started_at),
        said(|it| &it.session.ended_at),
        &earliest.map(|time| time.to_string()).unwrap_or_default(),
        &report.shared.duplicates.len().to_string(),
        &joined(reasons),
    ])
}
