//! What each claim of a report rests on.

use serde_json::Value as Json;

use super::{Expectations, Rederived, Report, Sentence, challenge};
use crate::attest::identity::scope_of;
use crate::attest::statement::{Assurance, Statement};
use crate::attest::trust::OWN_KEY_NAME;
use crate::rule::{Check, Outcome};

/// Kinds of parts in the identity, what a person calls them, and the rule that compares independent paths to who they are.
/// Kinds without one are described by a single path.
const KINDS: [(&str, &str, Option<&str>); 11] = [
    // SMBIOS, the kernel's copy of it and the boot firmware have one source.
    ("system", "the system", None),
    ("boards", "the boards", None),
    ("chassis", "the chassis", None),
    ("powerSupplies", "the power supplies", None),
    ("cpus", "the processors", Some("cpu.smbios-differs")),
    ("dimms", "the memory modules", Some("dimm.spd-smbios-differ")),
    ("drives", "the drives", None),
    ("nics", "the network cards", None),
    ("gpus", "the GPUs", Some("gpu.sources-disagree")),
    ("nvswitches", "the NVSwitches", None),
    ("accelerators", "the accelerators", None),
];

/// The claim that a TPM's clock can confirm.
pub(super) const BURN_IN_LENGTH: &str = "length of the burn-in";

/// One claim of a report and what it rests on. Texts may come from the report and are hostile.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ClaimLevel {
    /// What is claimed.
    pub claim: String,
    /// What it rests on.
    pub level: Assurance,
    /// Why it is that level and no higher one.
    pub reason: Sentence,
}

/// Adds the claims that no other step has made: identity of each kind of part, length of the burn-in, time, tool, signer.
pub(super) fn add(statement: &Statement, rederived: &Rederived, expectations: &Expectations, report: &mut Report) {
    let predicate = &statement.predicate;
    let mut claims = Vec::new();
    let made: Vec<String> = report.claims.iter().map(|made| made.claim.clone()).collect();
    let mut claim = |claim: String, level, reason: Sentence| {
        if !made.contains(&claim) {
            claims.push(ClaimLevel { claim, level, reason });
        }
    };
    for (kind, words, rule) in KINDS {
        let count = predicate.identity.get(kind).and_then(Json::as_array).map_or(0, Vec::len);
        if count == 0 {
            continue;
        }
        // Parts that signed their identity have a claim each.
        let prefix = format!("identity of {}:", scope_of(kind).unwrap_or(kind));
        let own = made.iter().filter(|made| made.starts_with(&prefix)).count();
        if count <= own {
            continue;
        }
        let name = if count == 1 { format!("identity of {words}") } else { format!("identity of {words} ({count})") };
        let (level, reason) = identity_level(rule, &rederived.checks);
        claim(name, level, reason);
    }
    if let Some(burn) = &rederived.burn {
        claim(
            BURN_IN_LENGTH.to_owned(),
            Assurance::L0,
            format!("{burn}, by the machine's own clock; no device that keeps time confirms it").into(),
        );
    }
    let session = &predicate.session;
    match &expectations.challenge {
        Some(expected) if !challenge::is_own(statement, expected, report) => {
            let clock = match challenge::clock_behind(session, expected) {
                None => "its own clock agrees".to_owned(),
                Some(behind) => format!("its own clock is at least {behind:#} behind"),
            };
            claim(
                format!("made after {}", expected.issued.issued_at),
                Assurance::L1,
                format!("it contains random bytes that were not known before, and {clock}").into(),
            );
        }
        _ => claim(
            format!("made from {} to {}", session.started_at, session.ended_at),
            Assurance::L0,
            "the machine's own clock says so".into(),
        ),
    }
    claim(
        format!("made by yanji {} ({:.16}…)", predicate.tool.version, predicate.tool.binary_sha256.to_string()),
        Assurance::L0,
        match report.tpm.as_ref().filter(|tpm| tpm.proves_image()).and_then(|tpm| tpm.image.as_ref()) {
            None => "the tool described itself; no measured boot confirms what ran".into(),
            Some(image) => format!("the tool described itself; a TPM confirms that it ran in the image {image}").into(),
        },
    );
    let names: Vec<&str> = report.signers.iter().map(|signer| signer.name.as_str()).collect();
    let (level, reason) = match names.as_slice() {
        [only] if *only == OWN_KEY_NAME => (Assurance::L0, "this machine's own key signed, and no other".into()),
        [_] => (Assurance::L0, "one key signed, and its holder may say what it likes".into()),
        more => (Assurance::L1, format!("{} different keys signed the same statement", more.len()).into()),
    };
    claim(format!("vouched for by {}", names.join(", ")), level, reason);
    report.claims.append(&mut claims);
}

/// L1 when a rule that compares independent paths could look everywhere and found them equal.
fn identity_level(rule: Option<&str>, checks: &[Check]) -> (Assurance, Sentence) {
    let Some(rule) = rule else {
        return (Assurance::L0, "software on the machine says so, by one path; no part signed it".into());
    };
    let count = |which: &dyn Fn(&Outcome) -> bool| {
        checks.iter().filter(|check| check.id == rule && which(&check.outcome)).count()
    };
    let clear = count(&|outcome| *outcome == Outcome::Clear);
    let differ = count(&|outcome| matches!(outcome, Outcome::Fires(_)));
    let blind = count(&|outcome| matches!(outcome, Outcome::Inconclusive { .. }));
    match (clear, differ, blind) {
        (0, 0, 0) => (Assurance::L0, format!("software on the machine says so; {rule} had nothing to compare").into()),
        (_, 0, 0) => {
            (Assurance::L1, format!("independent paths agree on all {clear} ({rule}); no part signed its identity").into())
        }
        _ => (
            Assurance::L0,
            format!(
                "software on the machine says so; {rule} found {clear} in agreement and {differ} not, and could not look \
                 at {blind}"
            )
            .into(),
        ),
    }
}
