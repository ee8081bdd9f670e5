//! From raw evidence items to what is signed. Signer and verifier both call [`derive()`], so that they cannot differ.

use std::io::Cursor;

use super::Digest;
use super::identity::{identity, part_subjects};
use super::statement::{Assurance, BurnIn, Database, Records, SignedVerdict, Statement};
use super::verify::{EvidenceItems, Failure, FailureClass, MAX_KEPT_BYTES, MAX_RECORDS_BYTES, Rederived};
use crate::burn::{self, Summary};
use crate::claim::Order;
use crate::collect;
use crate::evidence::{Evidence, EvidenceBuilder, Origin};
use crate::host::RecordedHost;
use crate::inspection::{self, Inspection, TOOL_VERSION};
use crate::ledger::Sighting;
use crate::policy::Judgement;
use crate::rule::{Check, Outcome, Signatures};

/// Item that holds the recorded machine, as [`crate::host::Capture::write`] makes it.
pub const HOST_ITEM: &str = "host.tar.zst";
/// Item that holds the records of the burn-in.
pub const RECORDS_ITEM: &str = "burn/records.jsonl";

/// Rules that compare independent paths to one fact: the processor with the firmware's description of it, and the
/// memory that firmware lists with the memory that the kernel found.
const INDEPENDENT_PATHS: [&str; 2] = ["cpu.smbios-differs", "memory.capacity-sum"];

/// What follows from the evidence.
#[derive(Debug)]
pub struct Derived {
    /// Parts, facts, checks, judgement.
    pub inspection: Inspection,
    /// What the records of the burn-in add up to, when there are any.
    pub burn: Option<Summary>,
    /// Who the machine says it is.
    pub identity: serde_json::Value,
    /// Verdict with assurance and reasons.
    pub verdict: SignedVerdict,
}

/// Why evidence leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The recorded machine can't be read.
    #[error("the recorded machine ({HOST_ITEM}) can't be read")]
    Host(#[from] crate::host::ArchiveError),
    /// The records of the burn-in are damaged or belong to another session.
    #[error("the records of the burn-in ({RECORDS_ITEM}) can't be read")]
    Records(#[from] burn::RecordError),
    /// The records begin from another session.
    #[error("the records of the burn-in begin from {observed}, and this session from {expected}")]
    Session {
        /// The session's value.
        expected: Digest,
        /// Where the records begin.
        observed: String,
    },
    /// The burn-in ran on another machine than the one that is recorded, or under another boot.
    #[error(
        "the burn-in ran on another machine: its {what} was {burned}, and is {recorded} where the machine was recorded"
    )]
    OtherMachine {
        /// What differs.
        what: &'static str,
        /// In the records of the burn-in.
        burned: String,
        /// In the recorded machine.
        recorded: String,
    },
}

/// Runs collectors, rules and policy on the evidence. `origin` is the claimed one, since a replay can't know it, unless the
/// evidence itself tells of a virtual driver; `s0` is the session's value, from which the records of the burn-in must
/// begin; `order` is what the parts were sold as.
pub fn derive(
    host: &[u8],
    records: Option<&[u8]>,
    origin: Origin,
    s0: &Digest,
    order: &Order,
    signatures: &Signatures,
) -> Result<Derived, DeriveError> {
    let recorded = RecordedHost::from_archive(Cursor::new(host))?;
    let mut evidence = collect::collect(&recorded);
    // What says of itself that it is simulated stays so, whatever is claimed of it.
    if evidence.origin != Origin::Simulated {
        evidence.origin = origin;
    }
    let burn = records.map(burn::replay).transpose()?;
    if let Some(summary) = &burn {
        if summary.genesis != s0.to_string() {
            return Err(DeriveError::Session { expected: *s0, observed: summary.genesis.clone() });
        }
        same_machine(summary, &evidence)?;
        let mut builder = EvidenceBuilder::from(evidence);
        burn::add_evidence(summary, &mut builder);
        evidence = builder.finish();
    }
    let identity = identity(&evidence);
    let mut builder = EvidenceBuilder::from(evidence);
    order.add(&signatures.tables, &mut builder);
    evidence = builder.finish();
    let inspection = inspection::assess(evidence, signatures);
    let verdict = SignedVerdict {
        result: inspection.judgement.verdict,
        assurance: assurance(&inspection.checks),
        reasons: inspection.judgement.reasons.clone(),
    };
    Ok(Derived { inspection, burn, identity, verdict })
}

/// The last session of the burn-in must have run under the boot that was recorded, on a machine with as much memory.
fn same_machine(summary: &Summary, evidence: &Evidence) -> Result<(), DeriveError> {
    let part = |id: &str| evidence.part(id);
    let recorded = part("platform").and_then(|part| part.text("platform.boot_id"));
    if let (Some(burned), Some(recorded)) = (summary.boot_id.known(), recorded)
        && burned != recorded
    {
        let (burned, recorded) = (burned.clone(), recorded.to_owned());
        return Err(DeriveError::OtherMachine { what: "boot id", burned, recorded });
    }
    let recorded = part("memory").and_then(|part| part.integer("memory.meminfo.total_bytes"));
    if let (Some(&burned), Some(recorded)) = (summary.memory_total_bytes.known(), recorded) {
        // The kernel keeps a little more or less for itself from boot to boot.
        let recorded = recorded.unsigned_abs();
        if burned.abs_diff(recorded) > recorded / 50 {
            let (burned, recorded) = (burned.to_string(), recorded.to_string());
            return Err(DeriveError::OtherMachine { what: "memory in bytes", burned, recorded });
        }
    }
    Ok(())
}

/// What the records show of a burn-in, in a sentence for a verifier.
fn burn_claim(summary: &Summary) -> String {
    let seconds = |milliseconds: u64| milliseconds / 1000;
    let mut claim = format!(
        "the records show a burn-in {:?}: {} of {} s active",
        summary.profile.name,
        seconds(summary.active_ms),
        summary.profile.duration_seconds
    );
    if summary.profile.memory.is_some() {
        let (tested, verified) = (summary.memory.tested_bytes as f64 / 1e9, summary.memory.verified_bytes as f64 / 1e9);
        claim += &format!(", {tested:.1} GB of memory tested, {verified:.1} GB verified");
    }
    if summary.profile.cpu.is_some() {
        claim += &format!(", {} blocks checked on {} CPUs", summary.cpu.checked_blocks, summary.cpu.cpus_checked);
    }
    claim
}

/// What the statement says of a burn-in.
pub fn burn_in(summary: &Summary, records: &[u8]) -> BurnIn {
    BurnIn {
        profile: summary.profile.name.clone(),
        seed: summary.seed.to_string(),
        records: Records { sha256: Digest::of(records), count: summary.records },
    }
}

impl Derived {
    /// Last link of the records' chain, when there was a burn-in.
    pub fn chain_head(&self) -> Option<Digest> {
        self.burn.as_ref().and_then(chain_head)
    }
}

/// Last link of the records' chain.
fn chain_head(summary: &Summary) -> Option<Digest> {
    Digest::parse(&summary.head)
}

/// L1 when independent paths to the same facts were compared and agree everywhere, else L0.
pub(crate) fn assurance(checks: &[Check]) -> Assurance {
    let agree = |id: &str| {
        let mut outcomes = checks.iter().filter(|check| check.id == id).map(|check| &check.outcome).peekable();
        outcomes.peek().is_some() && outcomes.all(|outcome| *outcome == Outcome::Clear)
    };
    if INDEPENDENT_PATHS.into_iter().all(agree) { Assurance::L1 } else { Assurance::L0 }
}

/// Why the evidence is not what was measured in this session, for a verifier.
fn unusable(error: &DeriveError) -> Failure {
    let chain = |error: &dyn std::error::Error| {
        std::iter::successors(error.source(), |cause| cause.source())
            .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
    };
    let (what, expected, observed) = match error {
        DeriveError::Host(cause) => {
            (HOST_ITEM.to_owned(), "a recorded machine as this tool packs it".to_owned(), chain(cause))
        }
        DeriveError::Records(cause) => {
            (RECORDS_ITEM.to_owned(), "an unbroken chain of records".to_owned(), chain(cause))
        }
        DeriveError::Session { expected, observed } => {
            (format!("beginning of {RECORDS_ITEM}"), expected.to_string(), observed.clone())
        }
        DeriveError::OtherMachine { what, burned, recorded } => {
            (format!("{what} in {RECORDS_ITEM}"), recorded.clone(), burned.clone())
        }
    };
    Failure::new(FailureClass::Evidence, &what, &expected, &observed)
}

/// The first thing that the statement says of the burn-in otherwise than the records. Which records were signed is a matter of
/// the evidence; what was done in them follows from it.
fn burn_in_differs(shown: Option<&BurnIn>, signed: Option<&BurnIn>) -> Option<Failure> {
    type Field = fn(&BurnIn) -> String;
    let fields: [(FailureClass, &str, Field); 4] = [
        (FailureClass::Evidence, "burnin.records.sha256", |it| it.records.sha256.to_string()),
        (FailureClass::Evidence, "burnin.records.count", |it| it.records.count.to_string()),
        (FailureClass::VerdictMismatch, "burnin.profile", |it| it.profile.clone()),
        (FailureClass::VerdictMismatch, "burnin.seed", |it| it.seed.clone()),
    ];
    fields.into_iter().find_map(|(class, what, field)| differs(class, what, shown.map(field), signed.map(field)))
}

/// A failure where the statement has another value than the evidence, or only one of them has any.
fn differs(class: FailureClass, what: &str, shown: Option<String>, signed: Option<String>) -> Option<Failure> {
    let text = |it: Option<String>| it.unwrap_or_else(|| "none".to_owned());
    (shown != signed).then(|| Failure::new(class, what, &text(shown), &text(signed)))
}

/// [`derive()`] for [`super::verify::verify`]: on the checked items of a report. What the report says of its evidence must be
/// so; what the rules make of it is compared later. The judgement is the one of today's policy.
pub fn rederive(
    statement: &Statement,
    items: &EvidenceItems<'_>,
    signatures: &Signatures,
) -> Result<(Rederived, Judgement), Failure> {
    let predicate = &statement.predicate;
    let item = |id: &str| match (items.get(id), predicate.evidence.iter().find(|item| item.id == id)) {
        (Some(bytes), _) => Ok(Some(bytes)),
        (None, None) => Ok(None),
        (None, Some(listed)) => {
            let most = if id == RECORDS_ITEM { MAX_RECORDS_BYTES } else { MAX_KEPT_BYTES };
            let (expected, observed) = (format!("at most {most} bytes"), format!("{} bytes", listed.bytes));
            Err(Failure::new(FailureClass::Evidence, &format!("item {id:?}"), &expected, &observed))
        }
    };
    let host = item(HOST_ITEM)?.ok_or_else(|| {
        let what = format!("item {HOST_ITEM:?}");
        Failure::new(FailureClass::Evidence, &what, "the recorded machine", "none: the statement does not list it")
    })?;
    let records = item(RECORDS_ITEM)?;
    let (order, session) = (&predicate.claims, &predicate.session);
    let derived =
        derive(host, records, predicate.origin, &session.s0, order, signatures).map_err(|error| unusable(&error))?;
    let evidence = &derived.inspection.evidence;
    let [shown, claimed] = [evidence.origin, predicate.origin].map(|origin| Some(origin.to_string()));
    let origin = differs(FailureClass::VerdictMismatch, "origin", shown, claimed);
    let burnin = derived.burn.as_ref().zip(records).map(|(summary, records)| burn_in(summary, records));
    let burnin = || burn_in_differs(burnin.as_ref(), predicate.burnin.as_ref());
    let head = || {
        let [shown, signed] = [derived.chain_head(), session.chain_head].map(|head| head.map(|it| it.to_string()));
        differs(FailureClass::Evidence, "session.chainHead", shown, signed)
    };
    let boot_id = || {
        let recorded = evidence.part("platform").and_then(|part| part.text("platform.boot_id"));
        differs(FailureClass::Evidence, "session.bootId", recorded.map(str::to_owned), session.boot_id.clone())
    };
    let same_set = predicate
        .databases
        .iter()
        .any(|database| database.name == "signatures" && database.sha256.to_string() == signatures.id.sha256);
    let policy = || {
        let text = |name: &str, sha256: &str| format!("{name}, {sha256}");
        let used = text(&signatures.policy.name, &signatures.policy_sha256);
        let named = text(&predicate.policy.name, &predicate.policy.sha256.to_string());
        let class = FailureClass::VerdictMismatch;
        differs(class, "policy of the signature set", Some(used), Some(named)).filter(|_| same_set)
    };
    if let Some(failure) = origin.or_else(burnin).or_else(head).or_else(boot_id).or_else(policy) {
        return Err(failure);
    }
    // Another version of the tool decodes more, or otherwise.
    let same_signatures = same_set && predicate.tool.version == TOOL_VERSION;
    let subjects = part_subjects(&derived.inspection.evidence, inspection::fact_catalogue(), &signatures.tables);
    let mut sighting = Sighting::of(&derived.inspection.evidence, &signatures.tables);
    if let Some(challenge) = &predicate.challenge {
        sighting = sighting.answers(&challenge.value);
    }
    if let Some(key) = predicate.platform.as_ref().and_then(|platform| platform.tpm.as_ref()?.endorsement_key()) {
        sighting = sighting.endorsed_by(&key);
    }
    let rederived = Rederived {
        checks: derived.inspection.checks,
        verdict: derived.verdict,
        identity: Some(derived.identity),
        subjects: Some(subjects),
        same_signatures,
        signatures: Digest::parse(&signatures.id.sha256).map(|sha256| Database {
            name: "signatures".to_owned(),
            version: signatures.id.version.clone(),
            sha256,
        }),
        burn: derived.burn.as_ref().map(burn_claim),
        sighting,
        evidence: Some(derived.inspection.evidence),
    };
    Ok((rederived, derived.inspection.judgement))
}
