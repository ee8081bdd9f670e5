//! What a verification established, and what it did not.

use super::{EvidenceSource, Expectations, MAX_ASSURANCE, Rederived, Report, TpmProof, claims};
use crate::attest::statement::{Assurance, ChallengeSource, Statement};
use crate::attest::trust::OWN_KEY_NAME;
use crate::evidence::Origin;

/// The level of the report as a whole.
pub(super) fn assurance(statement: &Statement, rederived: &Rederived) -> Assurance {
    rederived.verdict.assurance.min(statement.predicate.verdict.assurance).min(MAX_ASSURANCE)
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
        report.proven.push(format!("{:?} (key {}) signed exactly this statement", signer.name, signer.keyid));
    }
    let bytes = predicate.evidence.iter().fold(0u64, |sum, item| sum.saturating_add(item.bytes));
    let count = predicate.evidence.len();
    report.proven.push(format!("the evidence is the evidence that was signed: {count} items, {bytes} bytes"));
    if rederived.same_signatures {
        let checks = predicate.checks.len();
        report.proven.push(format!("the verdict and all {checks} checks follow from the evidence"));
    }
    report.proven.extend(rederived.burn.clone());
    if let Some(policy) = &expectations.policy {
        report.proven.push(format!(
            "the signers and the report are what trust policy {:?}, version {}, asks for",
            policy.name, policy.version
        ));
    }
    if let Some(challenge) = &expectations.challenge {
        let (issued, purpose) = (challenge.issued.issued_at, &challenge.issued.purpose);
        report.proven.push(format!(
            "the report answers the challenge for {purpose:?} that key {} issued: it was begun after {issued}",
            challenge.issuer
        ));
    }
    report.proven.push(match assurance {
        Assurance::L0 => "L0: software on the machine says what the evidence says".to_owned(),
        _ => "L1: two or more independent paths in the evidence agree".to_owned(),
    });

    let image_proven = report.tpm.as_ref().is_some_and(TpmProof::proves_image);
    let root = report.tpm.as_ref().and_then(|tpm| tpm.root.clone());
    let mut not_proven = |sentence: &str| report.not_proven.push(sentence.to_owned());
    if predicate.origin != Origin::Live {
        not_proven(&format!("that any machine was looked at: the evidence is {}", predicate.origin));
    }
    if rederived.burn.is_none() {
        not_proven("that the machine survives load: the report holds no burn-in");
    }
    not_proven(match root {
        None => "that the parts are genuine: no part signed its own identity, and no hardware root was checked",
        Some(_) => "that the parts are genuine: no part signed its own identity; the TPM speaks for itself only",
    });
    match predicate.challenge.as_ref().map(|challenge| challenge.source) {
        _ if expectations.challenge.is_some() => {
            not_proven("how long after the challenge it was made: only a trusted timestamp bounds that");
        }
        Some(ChallengeSource::Buyer | ChallengeSource::Auditor) => {
            not_proven(
                "that the report is fresh: its challenge is not known to be one that was issued, it was not compared with any",
            );
        }
        _ => not_proven("that the report is fresh: it answers no challenge of a third party and could be an old one"),
    }
    not_proven("when it was made: the times are the machine's own, and no trusted clock confirms them");
    if !image_proven {
        not_proven("that the tool and the system which made it were unmodified: the tool described itself");
    }
    if !rederived.same_signatures {
        not_proven("that the signed checks follow from the evidence: another signature set was used to re-evaluate it");
    }
    if report.evidence == Some(EvidenceSource::Inline) {
        not_proven("that evidence.tar is unchanged: it was not given; every item was checked inside of the statement");
    }
    if report.signers.iter().all(|signer| signer.name == OWN_KEY_NAME) {
        not_proven("that anybody but this machine vouches for it: it is signed with this machine's own key only");
    }
}
