//! From outcomes to a verdict, in one place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, Origin, Part, Reading, Value};
use crate::rule::{Check, Confidence, Outcome, Severity};

pub use yanji_format::Verdict;

/// The fact that lists what the seller of a part named.
const DISCLOSES: &str = "gpu.claimed.discloses";

/// `policy.toml`: what makes a verdict.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Name, signed with the verdict.
    pub name: String,
    /// Origins of evidence that can be accepted.
    pub origins: Vec<Origin>,
    /// A finding at least this severe and this sure rejects by itself.
    pub reject: Threshold,
    /// So many different findings on one part, each at least this severe and this sure, reject together.
    pub reject_together: Together,
    /// A finding at least this severe, however unsure, needs a person: undecided.
    pub suspect: Severity,
    /// Rules that must have looked at every part they are about, and at one part at least.
    pub required: Vec<String>,
    /// Rules that must have looked at every part they are about, where there is one.
    pub required_where_present: Vec<String>,
    /// The same as `required`, for a report that claims a burn-in.
    pub required_after_burn: Vec<String>,
    /// What an honest description by the seller covers.
    pub disclosed: Disclosed,
}

/// Modifications that the seller named: by the words of the fact `gpu.claimed.discloses`, the rules whose findings they
/// cover. A covered finding stays in the report and no longer rejects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosed {
    /// What a covered finding counts for.
    pub counts: DisclosedCounts,
    /// The memory that was sold is the memory that is there, and more than the product ever had.
    pub memory: Vec<String>,
    /// A blower was sold.
    pub cooler: Vec<String>,
    /// The mining card was sold by its name.
    pub mining: Vec<String>,
    /// The card was sold as modified.
    pub modified: Vec<String>,
}

/// What a covered finding counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisclosedCounts {
    /// A remark beside the verdict.
    Remark,
    /// A person has to look.
    Undecided,
}

impl Disclosed {
    /// Every rule that can be covered.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        [&self.memory, &self.cooler, &self.mining, &self.modified].into_iter().flatten().map(String::as_str)
    }

    /// Whether what the seller of a part named covers a rule's finding on it.
    fn covers(&self, part: Option<&Part>, rule: &str) -> bool {
        let Some(Value::List(named)) = part.and_then(|part| part.reading(DISCLOSES)).and_then(Reading::known) else {
            return false;
        };
        named.iter().filter_map(Value::as_text).any(|what| {
            let rules = match what {
                "memory" => &self.memory,
                "cooler" => &self.cooler,
                "mining" => &self.mining,
                "modified" => &self.modified,
                _ => return false,
            };
            rules.iter().any(|covered| covered == rule)
        })
    }
}

/// Severity and confidence from which on a finding counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// At least this severe.
    pub severity: Severity,
    /// At least this sure.
    pub confidence: Confidence,
}

/// See [`Policy::reject_together`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Together {
    /// How many findings of different rules.
    pub findings: usize,
    /// At least this severe.
    pub severity: Severity,
    /// At least this sure.
    pub confidence: Confidence,
}

/// How many checks ended how. Checks of rules that are not about a part are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Looked, and nothing is wrong.
    pub clear: usize,
    /// Looked, and something is.
    pub firing: usize,
    /// Could not look.
    pub not_checkable: usize,
}

impl Counts {
    /// Counts the outcomes of some checks.
    pub fn of(checks: &[Check]) -> Self {
        let mut counts = Self::default();
        for check in checks {
            match check.outcome {
                Outcome::Clear => counts.clear += 1,
                Outcome::Fires(_) => counts.firing += 1,
                Outcome::Inconclusive { .. } => counts.not_checkable += 1,
                Outcome::NotApplicable => {}
            }
        }
        counts
    }
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The result.
    pub verdict: Verdict,
    /// Why, in words; empty for an accepted machine without remarks.
    pub reasons: Vec<String>,
    /// How many checks ended how.
    pub counts: Counts,
}

impl Policy {
    /// Every rule that the policy needs, with and without a burn-in.
    pub fn required_rules(&self) -> impl Iterator<Item = &str> {
        let rules = self.required.iter().chain(&self.required_where_present).chain(&self.required_after_burn);
        rules.map(String::as_str)
    }

    /// The verdict over all checks of the evidence. `burned` says whether the report claims a burn-in.
    pub fn judge(&self, checks: &[Check], evidence: &Evidence, burned: bool) -> Judgement {
        let origin = evidence.origin;
        let covered = |check: &Check| self.disclosed.covers(evidence.part(&check.part), &check.id);
        let (disclosed, open): (Vec<&Check>, Vec<&Check>) =
            checks.iter().filter(|check| matches!(check.outcome, Outcome::Fires(_))).partition(|check| covered(check));
        let rejecting = self.rejecting(&open);
        let mut undecided = Vec::new();
        if !self.origins.contains(&origin) {
            undecided.push(format!(
                "the evidence is {origin}, and policy {} accepts {} only",
                self.name,
                self.origins()
            ));
        }
        let suspect = open
            .iter()
            .filter(|check| matches!(&check.outcome, Outcome::Fires(finding) if finding.severity >= self.suspect));
        undecided.extend(by_rule(suspect.copied()).into_iter().map(|it| format!("{it} needs a person to look")));
        // What another tool printed of one part can't show the whole machine that the required rules are about. That
        // such evidence is not accepted is said above already.
        let whole_machine = origin != Origin::Imported || self.origins.contains(&origin);
        undecided.extend(self.not_assessed(checks, burned, whole_machine));
        let mut remarks: Vec<String> =
            by_rule(disclosed).into_iter().map(|it| format!("{it}: modified as disclosed")).collect();
        if self.disclosed.counts == DisclosedCounts::Undecided {
            undecided.append(&mut remarks);
        }
        let (verdict, mut reasons) = match (rejecting.is_empty(), undecided.is_empty()) {
            (false, _) => (Verdict::Rejected, rejecting),
            (true, false) => (Verdict::Undecided, undecided),
            (true, true) => (Verdict::Accepted, Vec::new()),
        };
        reasons.append(&mut remarks);
        Judgement { verdict, reasons, counts: Counts::of(checks) }
    }

    fn origins(&self) -> String {
        self.origins.iter().map(|origin| origin.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn rejecting(&self, checks: &[&Check]) -> Vec<String> {
        let mut alone = Vec::new();
        let mut together: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for &check in checks {
            let Outcome::Fires(finding) = &check.outcome else { continue };
            if finding.severity >= self.reject.severity && finding.confidence >= self.reject.confidence {
                alone.push(check);
            }
            let counted = finding.severity >= self.reject_together.severity
                && finding.confidence >= self.reject_together.confidence;
            if counted {
                together.entry(&check.part).or_default().push(&check.id);
            }
        }
        let mut reasons = by_rule(alone);
        if reasons.is_empty() {
            for (part, rules) in together {
                if rules.len() >= self.reject_together.findings {
                    reasons.push(format!("{} together on {part}", rules.join(", ")));
                }
            }
        }
        reasons
    }

    fn not_assessed(&self, checks: &[Check], burned: bool, whole_machine: bool) -> Vec<String> {
        let always = self.required.iter().map(|rule| (rule, true));
        let where_present = self.required_where_present.iter().map(|rule| (rule, false));
        let after_burn = self.required_after_burn.iter().filter(|_| burned).map(|rule| (rule, true));
        let mut reasons = Vec::new();
        for (rule, must_exist) in always.chain(where_present).chain(after_burn) {
            let mut assessed = 0;
            let mut blind = Vec::new();
            for check in checks.iter().filter(|check| check.id == *rule) {
                match check.outcome {
                    Outcome::Clear | Outcome::Fires(_) => assessed += 1,
                    Outcome::Inconclusive { .. } => blind.push(check.part.as_str()),
                    Outcome::NotApplicable => {}
                }
            }
            if !blind.is_empty() {
                reasons.push(format!("{rule} could not be assessed on {}", first_of(&blind)));
            } else if must_exist && whole_machine && assessed == 0 {
                reasons.push(format!("{rule} found nothing to look at"));
            }
        }
        reasons
    }
}

/// `rule on part and 7 more`: eight cards that share a finding have one reason. Each part is named at the finding.
fn by_rule<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Vec<String> {
    let mut rules: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in checks {
        match rules.iter_mut().find(|(rule, _)| *rule == check.id) {
            Some((_, parts)) => parts.push(&check.part),
            None => rules.push((&check.id, vec![&check.part])),
        }
    }
    rules.into_iter().map(|(rule, parts)| format!("{rule} on {}", first_of(&parts))).collect()
}

fn first_of(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
