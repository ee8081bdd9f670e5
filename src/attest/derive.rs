//! From raw evidence items to what is signed. Signer and verifier both call [`derive()`], so that they cannot differ.

use std::io::Cursor;

use super::Digest;
use super::identity::{identity, part_subjects};
use super::statement::{Assurance, BurnIn, Records, SignedVerdict, Statement};
use super::verify::{EvidenceItems, Rederived};
use crate::burn::{self, Summary};
use crate::collect;
use crate::evidence::{EvidenceBuilder, Origin};
use crate::host::RecordedHost;
use crate::inspection::{self, Inspection, TOOL_VERSION};
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
}

/// Runs collectors, rules and policy on the evidence. `origin` is the claimed one, since a replay can't know it; `s0` is
/// the session's value, from which the records of the burn-in must begin.
pub fn derive(
    host: &[u8],
    records: Option<&[u8]>,
    origin: Origin,
    s0: &Digest,
    signatures: &Signatures,
) -> Result<Derived, DeriveError> {
    let recorded = RecordedHost::from_archive(Cursor::new(host))?;
    let mut evidence = collect::collect(&recorded);
    evidence.origin = origin;
    let burn = records.map(burn::replay).transpose()?;
    if let Some(summary) = &burn {
        if summary.genesis != s0.to_string() {
            return Err(DeriveError::Session { expected: *s0, observed: summary.genesis.clone() });
        }
        let mut builder = EvidenceBuilder::from(evidence);
        burn::add_evidence(summary, &mut builder);
        evidence = builder.finish();
    }
    let identity = identity(&evidence);
    let inspection = inspection::assess(evidence, signatures);
    let verdict = SignedVerdict {
        result: inspection.judgement.verdict,
        assurance: assurance(&inspection.checks),
        reasons: inspection.judgement.reasons.clone(),
    };
    Ok(Derived { inspection, burn, identity, verdict })
}

/// What the statement says of a burn-in.
pub fn burn_in(summary: &Summary, records: &[u8]) -> BurnIn {
    BurnIn {
        profile: summary.profile.name.clone(),
        seed: summary.seed.to_string(),
        records: Records { sha256: Digest::of(records), count: summary.records },
    }
}

/// Last link of the records' chain.
pub(super) fn chain_head(summary: &Summary) -> Option<Digest> {
    Digest::parse(&summary.head)
}

/// L1 when independent paths to the same facts were compared and agree everywhere, else L0.
fn assurance(checks: &[Check]) -> Assurance {
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
    let derived = derive(host, records, predicate.origin, &predicate.session.s0, signatures).map_err(|error| {
        std::iter::successors(std::error::Error::source(&error), |cause| cause.source())
            .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
    })?;
    let burnin = derived.burn.as_ref().zip(records).map(|(summary, records)| burn_in(summary, records));
    if burnin != predicate.burnin {
        return Err(format!("the records show {burnin:?}, and the statement claims {:?}", predicate.burnin));
    }
    let chain_head = derived.burn.as_ref().and_then(chain_head);
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
    // Another version of the tool decodes more, or otherwise.
    let same_signatures = same_set && predicate.tool.version == TOOL_VERSION;
    let subjects = part_subjects(&derived.inspection.evidence, inspection::fact_catalogue(), &signatures.tables);
    let claimed = statement.subject.iter().filter(|subject| subject.name.starts_with("hwid:"));
    if same_signatures && !claimed.eq(&subjects) {
        return Err("the statement's subjects are not the parts that the evidence shows".to_owned());
    }
    let rederived = Rederived {
        checks: derived.inspection.checks,
        verdict: derived.verdict,
        identity: Some(derived.identity),
        same_signatures,
    };
    Ok((rederived, derived.inspection.judgement))
}
