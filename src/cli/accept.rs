//! `yanji accept`: the buyer's receipt.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use yanji::attest::acceptance::{Acceptability, Acceptance, AsReceived, Look, OpenPoint};
use yanji::attest::drift::{Drift, drift, is_system_compared};
use yanji::attest::envelope::Envelope;
use yanji::attest::history::drift_failures;
use yanji::attest::statement::{Statement, UNIT_SUBJECT};
use yanji::attest::verify::{Expectations, Failure};
use yanji::attest::{self, Digest, strict_json};
use yanji::evidence::{Evidence, Origin};
use yanji::report;
use yanji::rule::Signatures;

use super::args::{Format, Global};
use super::checked::{self, Checked};
use super::error::CliError;
use super::exit::Exit;
use super::signer::{self, SignerArgs};
use super::{inspect, output};

/// The largest inspection that is read: a full rack enclosure's has some 20 MB.
const MAX_INSPECTION_BYTES: u64 = 64 << 20;

/// Arguments of `yanji accept`.
#[derive(Debug, clap::Args)]
pub struct AcceptArgs {
    /// The seller's report: its folder, or its report.dsse.json
    pub report: PathBuf,
    /// What came: what yanji inspect --format json printed here, or a report of your own
    #[arg(long, value_name = "NEW")]
    pub as_received: PathBuf,
    /// Take what came although a part is missing, or another one, or could not be compared, or something about a report is
    /// indeterminate. The receipt says so
    #[arg(long)]
    pub accept_differences: bool,
    /// Where to write the receipt
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub signer: SignerArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    /// None where something could not be compared, and nothing was signed.
    file: Option<&'a Path>,
    result: Option<Acceptability>,
    report: Digest,
    keyid: Digest,
    difference: &'a [Drift],
    open: &'a [OpenPoint],
    failures: &'a [Failure],
    not_proven: &'a [String],
}

/// What of an inspection's JSON is looked at.
#[derive(Deserialize)]
struct Inspected {
    evidence: Evidence,
}

/// Verifies the report, compares it with what came, and signs what follows. A part that is missing or another one is
/// `E_DRIFT`: the receipt is a refusal, and the exit code 4.
pub fn run(args: &AcceptArgs, global: &Global) -> anyhow::Result<Exit> {
    signer::refuse_existing(&args.out)?;
    let signatures = inspect::load_signatures(global)?;
    let signer = args.signer.load()?;
    let checked = checked::check_standing(&args.report, &signer.expectations, &signatures)?;
    if let Some(exit) = refusal(&checked, args, global)? {
        return Ok(exit);
    }
    let mut open = OpenPoint::of(&checked.report);
    let (Some(statement), Some(sha256)) = (&checked.report.statement, checked.report.envelope_sha256) else {
        bail!(CliError::usage(format!("{} is no report, and only a report is accepted", args.report.display())));
    };
    let seller = checked.report.statement_sha256;
    let as_received = match look(args, seller, &signer.own, &signatures, &mut open, global)? {
        Ok(looked) => looked,
        Err(exit) => return Ok(exit),
    };
    let origin = as_received.origin;
    let difference = drift(&statement.predicate.identity, &as_received.identity, &signatures.tables);
    let mut not_proven = Vec::new();
    if origin != Origin::Live {
        not_proven.push(format!("that any machine was looked at: what came is {origin}"));
    }
    if !is_system_compared(&statement.predicate.identity, &as_received.identity, &signatures.tables) {
        not_proven.push(
            "that it is the same system: no serial number or UUID of the system is in both looks, only its parts were compared"
                .to_owned(),
        );
    }
    let result = Acceptability::of(&difference, &open, args.accept_differences);
    let failures = match result {
        Some(Acceptability::Refused) => drift_failures(&difference),
        _ => Vec::new(),
    };
    if let Some(result) = result {
        let unit = statement.subject_sha256(UNIT_SUBJECT).context("the report has no unit")?;
        let (difference, open) = (difference.clone(), open.clone());
        let predicate =
            Acceptance { accepted_at: signer::now(), report: sha256, as_received, difference, open, result };
        let receipt = Statement::acceptance(unit, predicate);
        signer::write_envelope(&args.out, &Envelope::sign(receipt.to_json()?, &signer.key))?;
    }
    let file = result.map(|_| args.out.as_path());
    let keyid = signer.key.public().keyid();
    match global.format {
        Format::Json => {
            output::print_json(&Accepted {
                file,
                result,
                report: sha256,
                keyid,
                difference: &difference,
                open: &open,
                failures: &failures,
                not_proven: &not_proven,
            })?;
        }
        Format::Plain | Format::Csv => {
            let style = output::style();
            let mut text = report::failures_plain(&failures, style)
                + &report::changes_plain(&difference, style)
                + &report::open_points_plain(&open, style);
            text += &match (result, file) {
                (Some(result), Some(file)) => {
                    format!("Receipt: {}, signed by key {keyid}\n  {}\n", result.as_str(), output::name(file))
                }
                _ => "No receipt: something could not be compared\n".to_owned(),
            };
            text.extend(not_proven.iter().map(|it| format!("NOT proven: {it}\n")));
            output::print(&text)?;
        }
    }
    Ok(match result {
        Some(Acceptability::Refused) => Exit::AttestationInvalid,
        Some(_) => Exit::Success,
        None => {
            eprintln!(
                "hint: look again as root, with what the seller looked with, or take it as it is with --accept-differences"
            );
            Exit::Undecided
        }
    })
}

/// Prints why a report is not taken, with the exit code for that; `None` for one that is.
fn refusal(checked: &Checked, args: &AcceptArgs, global: &Global) -> anyhow::Result<Option<Exit>> {
    if args.accept_differences {
        return checked.refusal(global);
    }
    let refusal = checked.refusal_to_sign(global)?;
    if refusal == Some(Exit::Undecided) {
        eprintln!("hint: or take it as it is with --accept-differences; the receipt says what was open");
    }
    Ok(refusal)
}

/// The buyer's look: an inspection, or a report, which must verify and not be the seller's own, whoever signed that too.
fn look(
    args: &AcceptArgs,
    seller: Option<Digest>,
    expectations: &Expectations,
    signatures: &Signatures,
    open: &mut Vec<OpenPoint>,
    global: &Global,
) -> anyhow::Result<Result<AsReceived, Exit>> {
    let path = args.as_received.as_path();
    let wrong = || {
        CliError::usage(format!("{} is neither an inspection nor a report", path.display()))
            .hint("make one with: yanji inspect --format json > received.json")
    };
    let mut bytes = Vec::new();
    if !path.is_dir() {
        let opened = File::open(path).with_context(wrong)?;
        opened.take(MAX_INSPECTION_BYTES + 1).read_to_end(&mut bytes).with_context(wrong)?;
    }
    if path.is_dir() || Envelope::parse(&bytes).is_ok() {
        let checked = checked::check_standing(path, expectations, signatures)?;
        if let Some(exit) = refusal(&checked, args, global)? {
            return Ok(Err(exit));
        }
        let (Some(statement), Some(sha256)) = (&checked.report.statement, checked.report.envelope_sha256) else {
            bail!(wrong());
        };
        if checked.report.statement_sha256 == seller {
            bail!(
                CliError::usage("what came is the seller's report itself")
                    .hint("look at the machine that came: yanji inspect --format json > received.json")
            );
        }
        open.extend(OpenPoint::of(&checked.report));
        let predicate = &statement.predicate;
        let (origin, identity) = (predicate.origin, predicate.identity.clone());
        return Ok(Ok(AsReceived { source: Look::Report, sha256, origin, identity }));
    }
    let inspected: Inspected = strict_json::from_slice(&bytes, MAX_INSPECTION_BYTES as usize).with_context(wrong)?;
    let Inspected { evidence } = inspected;
    let (origin, identity) = (evidence.origin, attest::identity(&evidence));
    Ok(Ok(AsReceived { source: Look::Inspection, sha256: Digest::of(&bytes), origin, identity }))
}
