//! What each claim of a report rests on.

use serde_json::Value as Json;

use super::{Expectations, Rederived, Report};
use crate::attest::statement::{Assurance, Statement};
use crate::attest::trust::OWN_KEY_NAME;
use crate::rule::{Check, Outcome};

/// Kinds of parts in the identity, what a person calls them, and the rules that compare independent paths to who they are.
/// Kinds without one are described by a single path.
const KINDS: [(&str, &str, &[&str]); 10] = [
    // SMBIOS, the kernel's copy of it and the boot firmware have one source.
    ("system", "the system", &[]),
    ("boards", "the boards", &[]),
    ("chassis", "the chassis", &[]),
    ("powerSupplies", "the power supplies", &[]),
    ("cpus", "the processors", &["cpu.smbios-differs"]),
    ("dimms", "the memory modules", &["dimm.spd-smbios-differ"]),
    ("drives", "the drives", &[]),
    ("nics", "the network cards", &[]),
    ("gpus", "the GPUs", &["gpu.sources-disagree"]),
    ("accelerators", "the accelerators", &[]),
];

/// One claim of a report and what it rests on. Texts may come from the report and are hostile.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ClaimLevel {
    /// What is claimed.
    pub claim: String,
    /// What it rests on.
    pub level: Assurance,
    /// Why it is that level and no higher one.
    pub reason: String,
}

/// Adds the claims that no other step has made: identity of each kind of part, length of the burn-in, time, tool, signer.
pub(super) fn add(statement: &Statement, rederived: &Rederived, expectations: &Expectations, report: &mut Report) {
    let predicate = &statement.predicate;
    let mut claims = Vec::new();
    let mut claim = |claim: String, level, reason: String| claims.push(ClaimLevel { claim, level, reason });
    for (kind, words, rules) in KINDS {
        let count = predicate.identity.get(kind).and_then(Json::as_array).map_or(0, Vec::len);
        if count == 0 {
            continue;
        }
        let name = if count == 1 { format!("identity of {words}") } else { format!("identity of {words} ({count})") };
        let (level, reason) = identity_level(rules, &rederived.checks);
        claim(name, level, reason);
    }
    if let Some(burn) = &rederived.burn {
        claim(
            "length of the burn-in".to_owned(),
            Assurance::L0,
            format!("{burn}, by the machine's own clock; no device that keeps time confirms it"),
        );
    }
    let session = &predicate.session;
    match &expectations.challenge {
        Some(challenge) => claim(
            format!("made after {}", challenge.issued.issued_at),
            Assurance::L1,
            "it contains random bytes that were not known before, and its own clock agrees".to_owned(),
        ),
        None => claim(
            format!("made from {} to {}", session.started_at, session.ended_at),
            Assurance::L0,
            "the machine's own clock says so".to_owned(),
        ),
    }
    claim(
        format!("made by yanji {} ({:.16}…)", predicate.tool.version, predicate.tool.binary_sha256.to_string()),
        Assurance::L0,
        "the tool described itself; no measured boot confirms what ran".to_owned(),
    );
    let names: Vec<&str> = report.signers.iter().map(|signer| signer.name.as_str()).collect();
    let (level, reason) = match names.as_slice() {
        [only] if *only == OWN_KEY_NAME => (Assurance::L0, "this machine's own key signed, and no other".to_owned()),
        [_] => (Assurance::L0, "one key signed, and its holder may say what it likes".to_owned()),
        more => (Assurance::L1, format!("{} different keys signed the same statement", more.len())),
    };
    claim(format!("vouched for by {}", names.join(", ")), level, reason);
    report.claims.append(&mut claims);
}

/// L1 when a rule that compares independent paths could look everywhere and found them equal.
fn identity_level(rules: &[&str], checks: &[Check]) -> (Assurance, String) {
    for rule in rules {
        let outcomes: Vec<&Outcome> =
            checks.iter().filter(|check| check.id == *rule).map(|check| &check.outcome).collect();
        let compared = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::NotApplicable)).count();
        let clear = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Clear)).count();
        return match (compared, clear) {
            (0, _) => (Assurance::L0, format!("software on the machine says so; {rule} had nothing to compare")),
            _ if clear < compared => (
                Assurance::L0,
                format!("software on the machine says so; {rule} found {clear} of {compared} in agreement"),
            ),
            _ => (
                Assurance::L1,
                format!("independent paths agree on all {compared} ({rule}); none of them is signed by a part"),
            ),
        };
    }
    (Assurance::L0, "software on the machine says so, by one path; no part signed it".to_owned())
}
