//! Whether checks and verdict follow from the evidence.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use super::{Difference, EvidenceItems, Failure, FailureClass, MAX_LISTED, Report, shorten};
use crate::attest::statement::{Assurance, Database, SignedVerdict, Statement, Subject};
use crate::evidence::Evidence;
use crate::inspection::TOOL_VERSION;
use crate::ledger::Sighting;
use crate::rule::Check;

/// The highest level that a report as a whole can have: what devices sign themselves counts for their own identity only, and
/// is told claim by claim ([`super::ClaimLevel`]).
pub const MAX_ASSURANCE: Assurance = Assurance::L1;

/// What comes out when collectors, rules and policy run again on the evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Rederived {
    /// What the rules say now.
    pub checks: Vec<Check>,
    /// What the policy makes of it.
    pub verdict: SignedVerdict,
    /// Who the machine is according to the evidence; `None` when the caller did not derive it.
    pub identity: Option<serde_json::Value>,
    /// The subjects of its parts; `None` when the caller did not derive them.
    pub subjects: Option<Vec<Subject>>,
    /// Whether the very signature set and policy were used that the statement names. Only then must everything be equal.
    pub same_signatures: bool,
    /// The signature set that was used now.
    pub signatures: Option<Database>,
    /// What the records of a burn-in show, in a sentence; `None` without a burn-in.
    pub burn: Option<String>,
    /// The ids of the machine and of its parts, for the comparison with other reports.
    pub sighting: Sighting,
    /// The facts from which it was derived; `None` when the caller did not derive it.
    pub evidence: Option<Evidence>,
}

/// Derives everything again.
pub(super) fn rederive(
    statement: &Statement,
    items: &EvidenceItems<'_>,
    rederive: &mut dyn FnMut(&Statement, &EvidenceItems<'_>) -> Result<Rederived, Failure>,
    report: &mut Report,
) -> Option<Rederived> {
    rederive(statement, items).map_err(|failure| report.failures.push(failure)).ok()
}

/// Compares what was derived again with what was signed.
pub(super) fn check(statement: &Statement, rederived: &Rederived, report: &mut Report) {
    let signed = &statement.predicate;
    if signed.verdict.assurance > MAX_ASSURANCE {
        report.fail(
            FailureClass::VerdictMismatch,
            "verdict.assurance",
            &format!("at most {MAX_ASSURANCE}: what devices sign counts for their own identity only"),
            &signed.verdict.assurance.to_string(),
        );
    }
    if let Some(now) = &rederived.signatures
        && let Some(named) = signed.databases.iter().find(|it| it.name == now.name && it.sha256 == now.sha256)
        && named.version != now.version
    {
        let what = format!("version of the database {:?}", now.name);
        report.fail(FailureClass::VerdictMismatch, &what, &now.version, &named.version);
    }
    let mut differences = Vec::new();
    let identity = rederived.identity.as_ref();
    if let Some(identity) = identity.and_then(|now| first_difference("", Some(&signed.identity), Some(now))) {
        // No table of the signature set has a part in it.
        if rederived.same_signatures || signed.tool.version != TOOL_VERSION {
            differences.push(identity);
        } else {
            report.fail(FailureClass::VerdictMismatch, &identity.what, &identity.now, &identity.signed);
        }
    }
    if let Some(subjects) = &rederived.subjects {
        differences.extend(compare_subjects(&statement.part_subjects().collect::<Vec<_>>(), subjects));
    }
    if signed.verdict != rederived.verdict {
        differences.push(Difference {
            what: "verdict".to_owned(),
            signed: json(&signed.verdict),
            now: json(&rederived.verdict),
        });
    }
    differences.extend(compare_checks(&signed.checks, &rederived.checks));
    if rederived.same_signatures {
        for difference in differences.iter().take(MAX_LISTED) {
            let Difference { what, signed, now } = difference;
            report.fail(FailureClass::VerdictMismatch, what, now, signed);
        }
    } else {
        let left_out = differences.len().saturating_sub(MAX_LISTED);
        differences.truncate(MAX_LISTED);
        for difference in &mut differences {
            difference.signed = shorten(&difference.signed);
            difference.now = shorten(&difference.now);
        }
        if left_out > 0 {
            let what = format!("{left_out} more differences");
            let count = |checks: &[Check]| format!("{} checks in all", checks.len());
            differences.push(Difference { what, signed: count(&signed.checks), now: count(&rederived.checks) });
        }
        report.differences = differences;
    }
}

/// Where two identities differ first, by a JSON pointer (RFC 6901), and what each has there.
fn first_difference(pointer: &str, signed: Option<&Json>, now: Option<&Json>) -> Option<Difference> {
    if signed == now {
        return None;
    }
    let at = |name: &str| format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
    let inside = match (signed, now) {
        (Some(Json::Object(signed)), Some(Json::Object(now))) => {
            let mut names = signed.keys().chain(now.keys());
            names.find_map(|name| first_difference(&at(name), signed.get(name), now.get(name)))
        }
        (Some(Json::Array(signed)), Some(Json::Array(now))) => {
            let mut places = 0..signed.len().max(now.len());
            places.find_map(|index| first_difference(&at(&index.to_string()), signed.get(index), now.get(index)))
        }
        _ => None,
    };
    let text = |value: Option<&Json>| value.map_or_else(|| "nothing".to_owned(), Json::to_string);
    inside.or_else(|| Some(Difference { what: format!("identity {pointer}"), signed: text(signed), now: text(now) }))
}

/// The first subject that only one side has, or that is at another place.
fn compare_subjects(signed: &[&Subject], now: &[Subject]) -> Option<Difference> {
    let text = |it: &Subject| format!("{}, {}", it.name, it.digest.sha256);
    let none = || "no such subject".to_owned();
    let place = (0..signed.len().max(now.len())).find(|place| signed.get(*place).copied() != now.get(*place))?;
    let (rest_signed, rest_now) = (signed.get(place..).unwrap_or_default(), now.get(place..).unwrap_or_default());
    let (signed, now) = match (rest_signed, rest_now) {
        (signed, [missing, ..]) if !signed.contains(&missing) => (none(), text(missing)),
        ([added, ..], now) if !now.contains(added) => (text(added), none()),
        (signed, now) => {
            let at = |it: Option<&Subject>| it.map_or_else(none, |it| format!("{} at place {}", text(it), place + 1));
            (at(signed.first().copied()), at(now.first()))
        }
    };
    Some(Difference { what: "subjects".to_owned(), signed, now })
}

/// The checks that differ, in the order of the signed ones. Equal ones in another order differ as a whole.
fn compare_checks(signed: &[Check], now: &[Check]) -> Vec<Difference> {
    if signed == now {
        return Vec::new();
    }
    let name = |check: &Check| format!("check {:?} of {:?}", check.id, check.part);
    let index = |checks: &[Check]| -> BTreeMap<(String, String), Check> {
        checks.iter().map(|check| ((check.id.clone(), check.part.clone()), check.clone())).collect()
    };
    let (signed_by_name, now_by_name) = (index(signed), index(now));
    let mut differences = Vec::new();
    for (key, check) in &signed_by_name {
        let other = now_by_name.get(key);
        if other != Some(check) {
            differences.push(Difference {
                what: name(check),
                signed: json(check),
                now: other.map_or_else(|| "no such check".to_owned(), json),
            });
        }
    }
    for check in now_by_name.iter().filter(|(key, _)| !signed_by_name.contains_key(*key)).map(|(_, check)| check) {
        differences.push(Difference { what: name(check), signed: "no such check".to_owned(), now: json(check) });
    }
    if differences.is_empty() {
        differences.push(Difference {
            what: "order or repetition of the checks".to_owned(),
            signed: format!("{} checks", signed.len()),
            now: format!("{} checks", now.len()),
        });
    }
    differences
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
