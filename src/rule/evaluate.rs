//! Applies every rule to every part of its scope.

use super::condition::Truth;
use super::signatures::{ANY_SCOPE, Rule, Signatures};
use super::tables::Tables;
use super::{Check, Finding, Outcome};
use crate::evidence::{Evidence, Part};

impl Rule {
    /// Whether the rule is about that kind of part.
    pub fn covers(&self, part: &Part) -> bool {
        self.scope == ANY_SCOPE || self.scope == part.scope
    }

    /// What the rule says of a part of its scope.
    pub fn evaluate(&self, part: &Part, tables: &Tables) -> Outcome {
        let applies = self.applies.evaluate(part, tables);
        if applies == Truth::False {
            return Outcome::NotApplicable;
        }
        let fires = self.fires.evaluate(part, tables);
        match (applies, fires) {
            (Truth::Unknown(mut missing), fires) => {
                if let Truth::Unknown(more) = fires {
                    missing.extend(more);
                    missing.sort();
                    missing.dedup();
                }
                Outcome::Inconclusive { missing }
            }
            (_, Truth::Unknown(missing)) => Outcome::Inconclusive { missing },
            (_, Truth::False) => Outcome::Clear,
            (_, Truth::True(witnesses)) => {
                Outcome::Fires(Finding { severity: self.severity, confidence: self.confidence, witnesses })
            }
        }
    }
}

/// Every rule over every part of its scope, sorted by rule, then in the order of the parts. The evidence must hold the
/// derived facts already (see [`super::derive`]).
pub fn evaluate(evidence: &Evidence, signatures: &Signatures) -> Vec<Check> {
    let mut checks = Vec::new();
    for rule in &signatures.rules {
        for part in evidence.parts.iter().filter(|part| rule.covers(part)) {
            let outcome = rule.evaluate(part, &signatures.tables);
            checks.push(Check { id: rule.id.clone(), part: part.id.clone(), outcome });
        }
    }
    checks
}
