//! One inspection: collect, derive, evaluate, judge. The same steps run on a live machine, on a recorded one, and in
//! the verifier on the evidence of a signed report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::burn;
use crate::collect::{self, COLLECTORS};
use crate::evidence::{Evidence, FactDef, FactPath, Part, Reading};
use crate::host::Host;
use crate::policy::Judgement;
use crate::rule::{self, Check, Outcome, SetId, Signatures};

/// Version of this tool.
pub const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was seen of a machine and what it means.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inspection {
    /// Version of the tool that evaluated.
    pub tool_version: String,
    /// Signature set that it evaluated with.
    pub signatures: SetId,
    /// Name of the policy.
    pub policy: String,
    /// Facts of all parts, derived ones included.
    pub evidence: Evidence,
    /// Every rule on every part of its scope.
    pub checks: Vec<Check>,
    /// The verdict.
    pub judgement: Judgement,
}

/// What more privilege would give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Denied {
    /// Facts that were refused, each once, whatever the number of parts.
    pub facts: Vec<FactPath>,
    /// Checks that are not checkable because of them.
    pub checks: usize,
}

/// Every fact that a collector, the burn-in or the derivation can make: the names that rules may use.
pub fn fact_catalogue() -> impl Iterator<Item = &'static FactDef> {
    COLLECTORS
        .iter()
        .flat_map(|collector| collector.facts())
        .chain(burn::FACTS)
        .chain(burn::GPU_FACTS)
        .chain(rule::FACTS)
}

/// Collects from a host and evaluates.
pub fn inspect(host: &dyn Host, signatures: &Signatures) -> Inspection {
    assess(collect::collect(host), signatures)
}

/// Evaluates evidence as collected, with the claim added where there is one ([`crate::claim::Claim::add`]), without
/// derived facts. A part of scope `burn` says that a burn-in is claimed.
pub fn assess(mut evidence: Evidence, signatures: &Signatures) -> Inspection {
    rule::derive(&mut evidence, fact_catalogue(), &signatures.tables);
    let checks = rule::evaluate(&evidence, signatures);
    let burned = evidence.scope("burn").next().is_some();
    let judgement = signatures.policy.judge(&checks, &evidence, burned);
    Inspection {
        tool_version: TOOL_VERSION.to_owned(),
        signatures: signatures.id.clone(),
        policy: signatures.policy.name.clone(),
        evidence,
        checks,
        judgement,
    }
}

impl Inspection {
    /// What more privilege would give. Derived facts that are missing for the same reason are not listed again.
    pub fn denied(&self) -> Denied {
        let derived: Vec<&str> = rule::FACTS.iter().map(|fact| fact.path).collect();
        let mut facts: Vec<FactPath> = self.evidence.denied().map(|(_, path)| path.clone()).collect();
        facts.retain(|path| !derived.contains(&path.as_str()));
        facts.sort();
        facts.dedup();
        let denied = |part: &Part, path: &FactPath| part.reading(path.as_str()) == Some(&Reading::Denied);
        let checks = self.checks.iter().filter(|check| match &check.outcome {
            Outcome::Inconclusive { missing } => {
                self.evidence.part(&check.part).is_some_and(|part| missing.iter().any(|path| denied(part, path)))
            }
            _ => false,
        });
        Denied { checks: checks.count(), facts }
    }
}
