//! From raw evidence items to what is signed. Signer and verifier both call [`derive()`], so that they cannot differ.

use std::io::Cursor;

use super::Digest;
use super::identity::{identity, part_subjects};
use super::statement::{Assurance, BurnIn, Database, PolicyRef, Records, SignedVerdict, Statement};
use super::verify::{EvidenceItems, Rederived};
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
        "the burn-in ran on another machine: {what} was {burned}, and is {recorded} where the machine was recorded"
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
        return Err(DeriveError::OtherMachine { what: "the boot id", burned, recorded });
    }
    let recorded = part("memory").and_then(|part| part.integer("memory.meminfo.total_bytes"));
    if let (Some(&burned), Some(recorded)) = (summary.memory_total_bytes.known(), recorded) {
        // The kernel keeps a little more or less for itself from boot to boot.
        let recorded = recorded.unsigned_abs();
        if burned.abs_diff(recorded) > recorded / 50 {
            let (burned, recorded) = (burned.to_string(), recorded.to_string());
            return Err(DeriveError::OtherMachine { what: "its memory in bytes", burned, recorded });
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

/// [`derive()`] for [`super::verify::verify`]: on the checked items of a report, compared with what the report claims
/// of them. The judgement is the one of today's policy.
pub fn rederive(
    statement: &Statement,
    items: &EvidenceItems<'_>,
    signatures: &Signatures,
) -> Result<(Rederived, Judgement), String> {
    let predicate = &statement.predicate;
    let item = |id: &str| match items.get(id) {
        Some(bytes) => Ok(Some(bytes)),
        None if predicate.evidence.iter().all(|item| item.id != id) => Ok(None),
        None => Err(format!("{id} is larger than what is evaluated")),
    };
    let host = item(HOST_ITEM)?.ok_or_else(|| format!("{HOST_ITEM} is not among the evidence"))?;
    let records = item(RECORDS_ITEM)?;
    let order = &predicate.claims;
    let derived =
        derive(host, records, predicate.origin, &predicate.session.s0, order, signatures).map_err(|error| {
            std::iter::successors(std::error::Error::source(&error), |cause| cause.source())
                .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
        })?;
    let origin = derived.inspection.evidence.origin;
    if origin != predicate.origin {
        return Err(format!("the evidence is {origin}, and the statement claims that it is {}", predicate.origin));
    }
    let burnin = derived.burn.as_ref().zip(records).map(|(summary, records)| burn_in(summary, records));
    if burnin != predicate.burnin {
        return Err(format!("the records show {burnin:?}, and the statement claims {:?}", predicate.burnin));
    }
    let chain_head = derived.chain_head();
    if chain_head != predicate.session.chain_head {
        return Err(format!(
            "the records end in {chain_head:?}, and the statement in {:?}",
            predicate.session.chain_head
        ));
    }
    let same_set = predicate
        .databases
        .iter()
        .any(|database| database.name == "signatures" && database.sha256.to_string() == signatures.id.sha256);
    let policy = PolicyRef {
        name: signatures.policy.name.clone(),
        sha256: Digest::parse(&signatures.policy_sha256).ok_or("the signature set has no digest")?,
    };
    if same_set && predicate.policy != policy {
        return Err(format!("the signature set has policy {policy:?}, and the statement names {:?}", predicate.policy));
    }
    // Another version of the tool decodes more, or otherwise.
    let same_decode = predicate.tool.version == TOOL_VERSION;
    let same_signatures = same_set && same_decode;
    if same_decode && derived.identity != predicate.identity {
        return Err("the statement's identity is not the one that the evidence shows".to_owned());
    }
    let subjects = part_subjects(&derived.inspection.evidence, inspection::fact_catalogue(), &signatures.tables);
    if same_decode && !statement.part_subjects().eq(&subjects) {
        return Err("the statement's subjects are not the parts that the evidence shows".to_owned());
    }
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
