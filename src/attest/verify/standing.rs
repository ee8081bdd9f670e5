//! Whether the signers are those whom the trust policy wants, and were so when they signed.

use jiff::Timestamp;

use super::{Expectations, Failure, FailureClass, Report};
use crate::attest::Digest;
use crate::attest::document::Kind;
use crate::attest::policy::{DeviceId, Objection, PolicyKey, Role, Scope, Standing, TrustPolicy};
use crate::attest::statement::Statement;

/// Holds the signers of [`Report::signers`] against the policy. Those that do not count are taken out of the list.
/// `made_at` is when the document says that it was made; `proven` gives a time before which a trusted clock saw the signature
/// of a key.
///
/// A signature that does not count spoils nothing that others carry: whoever stole a key could otherwise make a genuine
/// report invalid by adding a signature.
pub(super) fn check(
    kind: Kind,
    made_at: &str,
    policy: &TrustPolicy,
    proven: &dyn Fn(&Digest) -> Option<Timestamp>,
    now: Timestamp,
    report: &mut Report,
) {
    // Whoever signs does so at the end. That it is a time is checked with the statement's other contradictions; until
    // then a text that is none is as late as can be, and helps no revoked key.
    let claimed = made_at.parse().unwrap_or(Timestamp::MAX);
    let mut good: Vec<&PolicyKey> = Vec::new();
    let mut unproven: Vec<(&PolicyKey, Failure)> = Vec::new();
    let mut bad: Vec<(&PolicyKey, Failure)> = Vec::new();
    for signer in &report.signers {
        let Some(key) = policy.key(&signer.keyid) else { continue };
        if !key.may_sign(kind.scopes()) {
            bad.push((key, out_of_scope(key, kind)));
            continue;
        }
        match policy.standing(key, claimed, proven(&signer.keyid), now) {
            Standing::Good => good.push(key),
            Standing::Unproven(objection) => unproven.push((key, failure(key, &objection, FailureClass::Time))),
            Standing::Bad(objection) => bad.push((key, failure(key, &objection, FailureClass::UntrustedSigner))),
        }
    }
    let all: Vec<&PolicyKey> = good.iter().copied().chain(unproven.iter().map(|(key, _)| *key)).collect();
    let counted = if missing(policy, kind, &good).is_empty() {
        // Nothing hangs on the others.
        report.warnings.extend(unproven.into_iter().chain(bad).map(|(_, failure)| failure));
        good
    } else if missing(policy, kind, &all).is_empty() {
        report.indeterminate.extend(unproven.into_iter().map(|(_, failure)| failure));
        report.warnings.extend(bad.into_iter().map(|(_, failure)| failure));
        all
    } else {
        report.failures.extend(bad.into_iter().map(|(_, failure)| failure));
        report.failures.extend(missing(policy, kind, &all));
        all
    };
    let ids: Vec<Digest> = counted.iter().map(|key| key.public.keyid()).collect();
    report.signers.retain(|signer| ids.contains(&signer.keyid));
}

/// Holds a device that speaks in a report against those that the policy revokes.
pub(super) fn check_device(
    what: &str,
    is: impl Fn(&DeviceId) -> bool,
    class: FailureClass,
    statement: &Statement,
    expectations: &Expectations,
    report: &mut Report,
) {
    let Some(policy) = &expectations.policy else { return };
    let claimed = statement.predicate.session.ended_at.parse().unwrap_or(Timestamp::MAX);
    let proven = report.signers.iter().filter_map(|signer| report.signed_before(&signer.keyid)).min();
    let failure = |it: Objection| Failure::new(class, &format!("{what}: revocation"), &it.expected, &it.observed);
    match policy.device_standing(is, claimed, proven) {
        Standing::Good => {}
        Standing::Unproven(objection) => report.indeterminate.push(failure(objection)),
        Standing::Bad(objection) => report.failures.push(failure(objection)),
    }
}

/// What the policy asks for beyond those keys.
fn missing(policy: &TrustPolicy, kind: Kind, keys: &[&PolicyKey]) -> Vec<Failure> {
    let mut missing = Vec::new();
    if keys.is_empty() {
        let expected = format!("at least 1 key that may sign a {}", kind.as_str());
        missing.push(Failure::new(FailureClass::Threshold, "signers who count", &expected, "0"));
    }
    for (role, count) in policy.thresholds.iter().filter(|(role, _)| kind.has_threshold() && **role != Role::Owner) {
        let of_role: Vec<&str> =
            keys.iter().filter(|key| key.roles.contains(role)).map(|key| key.name.as_str()).collect();
        if of_role.len() < *count {
            let observed = format!("{}: {:?}", of_role.len(), of_role);
            let expected = format!("{count} different keys");
            missing.push(Failure::new(
                FailureClass::Threshold,
                &format!("signers of role {role}"),
                &expected,
                &observed,
            ));
        }
    }
    missing
}

fn out_of_scope(key: &PolicyKey, kind: Kind) -> Failure {
    let words = |scopes: &[Scope]| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    let what = format!("signature of {:?}", key.name);
    let expected = format!("a key that may sign a {}: {}", kind.as_str(), words(kind.scopes()));
    let observed = format!("one for {}", words(&key.scopes));
    Failure::new(FailureClass::UntrustedSigner, &what, &expected, &observed)
}

fn failure(key: &PolicyKey, objection: &Objection, otherwise: FailureClass) -> Failure {
    let class = if objection.revoked { FailureClass::Revoked } else { otherwise };
    Failure::new(class, &format!("signature of {:?}", key.name), &objection.expected, &objection.observed)
}
