//! Whether the report reaches what the trust policy asks for.

use super::{Failure, FailureClass, MAX_LISTED, Rederived, Report, TpmProof};
use crate::attest::policy::{Minimum, TrustPolicy, Version};
use crate::attest::statement::{Assurance, Database, Statement};

/// Holds a report, of which everything else is right, against the minimums of the policy.
pub(super) fn check(
    statement: &Statement,
    rederived: &Rederived,
    assurance: Assurance,
    policy: Option<&TrustPolicy>,
    tpm: Option<&TpmProof>,
    report: &mut Report,
) {
    let predicate = &statement.predicate;
    let signed = predicate.databases.iter().find(|database| database.name == "signatures");
    let relabelled = relabelled(signed, rederived.signatures.as_ref());
    for library in predicate.tool.loaded_libs.iter().filter(|library| library.is_foreign()).take(MAX_LISTED) {
        let expected = "libraries of the system only: this one can answer the tool in the place of another";
        let what = "libraries in the tool that made the report";
        report.indeterminate.push(Failure::new(FailureClass::Policy, what, expected, &library.path));
    }
    let Some(policy) = policy else {
        report.warnings.extend(relabelled);
        return;
    };
    let Minimum { assurance: level, tool, signature_set, max_age: _ } = &policy.minimum;
    if let Some(level) = level.filter(|level| assurance < *level) {
        report.fail(FailureClass::Policy, "assurance", &format!("{level} or more"), &assurance.to_string());
    }
    if !policy.images.is_empty() && !tpm.is_some_and(TpmProof::proves_image) {
        let allowed = policy.images.iter().map(|image| format!("{} {}", image.name, image.version));
        let expected = format!("one of: {}", allowed.collect::<Vec<_>>().join(", "));
        let why = match tpm {
            None => "no TPM signed anything",
            Some(tpm) => tpm.no_image.as_deref().or(tpm.no_root.as_deref()).unwrap_or("no root is pinned"),
        };
        let observed = format!("nothing proves which system ran: {why}");
        let failure = Failure::new(FailureClass::ImageUnknown, "system image", &expected, &observed);
        // What held when the report was made is not refuted by time.
        match tpm.is_some_and(|tpm| tpm.expired && tpm.image.is_some()) {
            true => report.indeterminate.push(failure),
            false => report.failures.push(failure),
        }
    }
    at_least(report, "tool.version", tool.as_ref(), &predicate.tool.version);
    if signature_set.is_some() {
        let observed = signed.map_or("none", |database| &database.version);
        at_least(report, "version of the signature set", signature_set.as_ref(), observed);
        report.failures.extend(relabelled);
    } else {
        report.warnings.extend(relabelled);
    }
}

fn at_least(report: &mut Report, what: &str, minimum: Option<&Version>, observed: &str) {
    let Some(minimum) = minimum else { return };
    // A version that cannot be compared has not been shown to be new enough.
    if Version::parse(observed).is_none_or(|version| version < *minimum) {
        report.fail(FailureClass::Policy, what, &format!("{minimum} or later"), observed);
    }
}

/// A set under the version of the verifier's own with other content: old or changed rules that call themselves new.
fn relabelled(signed: Option<&Database>, own: Option<&Database>) -> Option<Failure> {
    let (signed, own) = (signed?, own?);
    let differs = signed.version == own.version && signed.sha256 != own.sha256;
    let what = format!("content of signature set {}", own.version);
    differs.then(|| Failure::new(FailureClass::Policy, &what, &own.sha256.to_string(), &signed.sha256.to_string()))
}
