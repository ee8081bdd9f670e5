//! What a verification established, and what it did not.

use std::borrow::Cow;

use super::reveal::hidden_left_open;
use super::tpm::NO_HARDWARE_ROOT;
use super::{
    EvidenceSource, Expectations, Failure, FailureClass, MAX_ASSURANCE, Rederived, Report, Sentence, SigningTime,
    TpmProof, challenge, claims, time,
};
use crate::attest::certificate::Certificate;
use crate::attest::document::Document;
use crate::attest::policy::{Minimum, TrustPolicy};
use crate::attest::statement::{Assurance, ChallengeSource, LoadedLibrary, Statement};
use crate::attest::trust::OWN_KEY_NAME;
use crate::evidence::Origin;

/// The level of the report as a whole.
pub(super) fn assurance(statement: &Statement, rederived: &Rederived) -> Assurance {
    rederived.verdict.assurance.min(statement.predicate.verdict.assurance).min(MAX_ASSURANCE)
}

/// The same for a document that is not a report.
pub(super) fn conclude_document(document: Document, expectations: &Expectations, report: &mut Report) {
    if report.is_valid() {
        report.fail_contradictions(document.contradictions());
    }
    let made = match &document {
        Document::Acceptance(receipt) => Some(("acceptedAt", &receipt.predicate.accepted_at)),
        Document::Certificate(certificate) => Some(("issuedAt", &certificate.predicate.issued_at)),
        // Its signer takes something back whenever that was: what is open about a withdrawal would make it a mere dispute.
        Document::Void(_) | Document::Report(_) => None,
    };
    if let Some((what, made)) = made
        && report.is_valid()
        && let Ok(made) = made.parse()
    {
        time::hold_against_now(what, made, expectations.now, report);
    }
    if report.is_valid() && expectations.challenge.is_some() {
        let observed = format!("a document of kind {}, which answers none", document.kind().as_str());
        let expected = "the report that answers the challenge";
        report.indeterminate.push(Failure::new(FailureClass::Replay, "challenge", expected, &observed));
    }
    if report.is_valid()
        && let (Document::Certificate(certificate), Some(policy)) = (&document, &expectations.policy)
    {
        hold_certificate(&certificate.predicate, policy, report);
    }
    if report.is_valid() {
        let kind = document.kind().as_str();
        for signer in &report.signers {
            report.proven.push(format!("{:?} (key {}) signed exactly this {kind}", signer.name, signer.keyid).into());
        }
        prove_times(report);
        report.not_proven.extend(document_leaves_open(&document));
        report.not_proven.extend(time_left_open(report));
        report.not_proven.extend(timestamps_left_open(report));
    }
    report.document = Some(document);
}

/// Holds what a certificate says of its report against the minimums of the policy. What it does not say is left open.
fn hold_certificate(certificate: &Certificate, policy: &TrustPolicy, report: &mut Report) {
    let Minimum { assurance, tool, signature_set, max_age: _ } = &policy.minimum;
    if let Some(level) = assurance.filter(|level| certificate.verdict.assurance < *level) {
        let observed = certificate.verdict.assurance.to_string();
        report.fail(FailureClass::Policy, "assurance of the report", &format!("{level} or more"), &observed);
    }
    let unknown = [
        assurance.map(|_| "assurance"),
        tool.as_ref().map(|_| "version of the tool"),
        signature_set.as_ref().map(|_| "version of the signature set"),
        (!policy.images.is_empty()).then_some("system image"),
    ];
    let unknown: Vec<&str> = unknown.into_iter().flatten().collect();
    if !unknown.is_empty() {
        let policy = &policy.name;
        report
            .not_proven
            .push(format!("that the report reaches what policy {policy:?} asks for: {}", unknown.join(", ")).into());
    }
}

fn document_leaves_open(document: &Document) -> Vec<Sentence> {
    let origin = |origin: Origin| match origin {
        Origin::Live => None,
        other => Some(format!("that any machine was looked at: the evidence is {other}").into()),
    };
    match document {
        Document::Report(_) => Vec::new(),
        Document::Acceptance(receipt) => {
            let looked = &receipt.predicate.as_received;
            let mut open: Vec<Sentence> = origin(looked.origin).into_iter().collect();
            open.push("that the report which it is about verifies, and differs so: it was not given".into());
            open.push("what the buyer saw: nothing but the identity and a digest of the look is in it".into());
            open
        }
        Document::Void(_) => {
            vec!["that its signer could void the other document: only who signed that can".into()]
        }
        Document::Certificate(certificate) => {
            let predicate = &certificate.predicate;
            let mut open: Vec<Sentence> = origin(predicate.origin).into_iter().collect();
            open.push("that verdict and checks follow from the evidence: evidence withheld".into());
            open.push("that the report which it was made from verifies: it was not given".into());
            // The salted digest of the report's own unit is not a value of the machine.
            open.extend(hidden_left_open(predicate.hidden().len() - 1));
            open
        }
    }
}

/// Until when it had been signed, in the words of authorities that are believed.
fn prove_times(report: &mut Report) {
    let proven = report.signing_times.iter().map(|SigningTime { keyid, not_after, authority }| {
        format!("key {keyid} had signed it by {not_after}: {authority:?} stamped the signature then").into()
    });
    report.proven.extend(proven);
}

/// What nobody knows of the time at which a document was made; `None` where a believed clock saw a signature that counts.
fn time_left_open(report: &Report) -> Option<Sentence> {
    if report.signers.iter().any(|signer| report.signed_before(&signer.keyid).is_some()) {
        return None;
    }
    let why = match report.unknown_authorities {
        0 => "the time is the signer's own, and no trusted clock confirms it",
        _ => "it is stamped with a time, by an authority that nobody said to believe",
    };
    Some(format!("when it was made: {why}").into())
}

/// Timestamps beside those of [`prove_times`], of which nothing follows.
fn timestamps_left_open(report: &Report) -> Vec<Sentence> {
    let others = if report.signing_times.is_empty() { 0 } else { report.unknown_authorities };
    let left =
        |count: usize, what: &str| (count > 0).then(|| format!("what {count} of the timestamps say: {what}").into());
    let open = [
        left(others, "they are by authorities that nobody said to believe"),
        left(
            report.unchecked_timestamps,
            "they are over signatures that were not checked, since their keys are not known",
        ),
    ];
    open.into_iter().flatten().collect()
}

/// Says what all of this established and what it did not.
pub(super) fn conclude(
    statement: &Statement,
    rederived: &Rederived,
    assurance: Assurance,
    expectations: &Expectations,
    report: &mut Report,
) {
    let predicate = &statement.predicate;
    report.assurance = Some(assurance);
    claims::add(statement, rederived, expectations, report);

    for signer in &report.signers {
        report.proven.push(format!("{:?} (key {}) signed exactly this statement", signer.name, signer.keyid).into());
    }
    prove_times(report);
    let bytes = predicate.evidence.iter().fold(0u64, |sum, item| sum.saturating_add(item.bytes));
    let count = predicate.evidence.len();
    report.proven.push(format!("the evidence is the evidence that was signed: {count} items, {bytes} bytes").into());
    if rederived.same_signatures {
        let checks = predicate.checks.len();
        report.proven.push(format!("the verdict and all {checks} checks follow from the evidence").into());
    }
    report.proven.extend(rederived.burn.clone().map(Cow::Owned));
    if let Some(policy) = &expectations.policy {
        report.proven.push(
            format!(
                "the signers and the report are what trust policy {:?}, version {}, asks for",
                policy.name, policy.version
            )
            .into(),
        );
    }
    let own = expectations.challenge.as_ref().is_some_and(|it| challenge::is_own(statement, it, report));
    if let Some(expected) = &expectations.challenge {
        let (issued, purpose) = (expected.issued.issued_at, &expected.issued.purpose);
        let begun = match challenge::clock_behind(&predicate.session, expected) {
            _ if own => String::new(),
            None => format!(": it was begun after {issued}"),
            Some(behind) => format!(": it was begun after {issued}, and its own clock is at least {behind:#} behind"),
        };
        let issuer = expected.issuer;
        report
            .proven
            .push(format!("the report answers the challenge for {purpose:?} that key {issuer} issued{begun}").into());
    }
    report.proven.push(Cow::Borrowed(match assurance {
        Assurance::L0 => "L0: software on the machine says what the evidence says",
        _ => "L1: two or more independent paths in the evidence agree",
    }));

    let image_proven = report.tpm.as_ref().is_some_and(TpmProof::proves_image);
    let root = report.tpm.as_ref().and_then(|tpm| tpm.root.clone());
    let timed = report.signers.iter().any(|signer| report.signed_before(&signer.keyid).is_some());
    let unknown_authorities = report.unknown_authorities;
    let timestamps = timestamps_left_open(report);
    let not_proven = &mut report.not_proven;
    if predicate.origin != Origin::Live {
        not_proven.push(format!("that any machine was looked at: the evidence is {}", predicate.origin).into());
    }
    // The reasons that the tool gave have been said.
    if predicate.platform.as_ref().is_none_or(|it| it.tpm.is_none() && it.missing.is_empty()) {
        not_proven.push(NO_HARDWARE_ROOT.into());
    }
    if rederived.burn.is_none() {
        not_proven.push("that the machine survives load: the report holds no burn-in".into());
    }
    let signed: Vec<&str> = report
        .claims
        .iter()
        .filter(|claim| claim.level >= Assurance::L2)
        .filter_map(|claim| claim.claim.strip_prefix("identity of "))
        .collect();
    if signed.is_empty() {
        not_proven.push(Cow::Borrowed(match root {
            None => "that the parts are genuine: no part signed its own identity, and no hardware root was checked",
            Some(_) => "that the parts are genuine: no part signed its own identity; the TPM speaks for itself only",
        }));
    } else {
        not_proven.push(format!("that other parts than {} are genuine: they signed nothing", signed.join(", ")).into());
        not_proven.push(Cow::Borrowed(match &expectations.policy {
            Some(policy) if !policy.revoked_devices.is_empty() => {
                "that the certificates of these were not revoked by anybody but the trust policy: it was not looked up"
            }
            _ => "that the certificates of these were not revoked: revocation was not looked up",
        }));
        not_proven.push("that the firmware of these is good: there are no references for what they measured".into());
    }
    match predicate.challenge.as_ref().map(|challenge| challenge.source) {
        _ if own => not_proven
            .push("that the report is fresh: for all that is known, whoever made it knew the challenge before".into()),
        _ if expectations.challenge.is_some() && timed => {}
        _ if expectations.challenge.is_some() => {
            not_proven.push("how long after the challenge it was made: only a trusted timestamp bounds that".into());
        }
        Some(ChallengeSource::Buyer | ChallengeSource::Auditor) => {
            not_proven.push(
                "that the report is fresh: its challenge is not known to be one that was issued, it was not compared \
                 with any"
                    .into(),
            );
        }
        _ => not_proven
            .push("that the report is fresh: it answers no challenge of a third party and could be an old one".into()),
    }
    let asked = expectations.challenge.as_ref().is_some_and(|challenge| challenge.issued.credential.is_some());
    let tpm = predicate.platform.as_ref().and_then(|platform| platform.tpm.as_ref());
    if asked && tpm.is_none_or(|tpm| tpm.ak_binding.secret().is_none()) {
        not_proven.push("that the TPM which the challenge asks is the one of this machine: it did not answer".into());
    }
    if timed {
        not_proven.push(
            "that it was made at the times that it tells: a timestamp says only that it had been signed by then".into(),
        );
    } else if unknown_authorities > 0 {
        not_proven
            .push("when it was made: it is stamped with a time, by an authority that nobody said to believe".into());
    } else {
        not_proven.push("when it was made: the times are the machine's own, and no trusted clock confirms them".into());
    }
    not_proven.extend(timestamps);
    if !image_proven {
        not_proven.push("that the tool and the system which made it were unmodified: the tool described itself".into());
    }
    if predicate.tool.loaded_libs.iter().any(|library| library.path == LoadedLibrary::LIST) {
        not_proven.push(
            "that nobody put a library in front of those of the system: the tool could not list what it had loaded"
                .into(),
        );
    }
    if predicate.previous.is_some() {
        not_proven
            .push("what became of the unit since the earlier report that it names: the two were not compared".into());
    }
    if !rederived.same_signatures {
        not_proven.push(
            "that the signed checks follow from the evidence: another signature set was used to re-evaluate it".into(),
        );
    }
    if report.evidence == Some(EvidenceSource::Inline) {
        not_proven.push(
            "that evidence.tar is unchanged: it was not given; every item was checked inside of the statement".into(),
        );
    }
    if report.signers.iter().all(|signer| signer.name == OWN_KEY_NAME) {
        not_proven
            .push("that anybody but this machine vouches for it: it is signed with this machine's own key only".into());
    }
}
