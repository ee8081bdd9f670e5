//! Format and signatures.

use super::{FailureClass, Report, Signer};
use crate::attest::Digest;
use crate::attest::document::Document;
use crate::attest::envelope::{self, Envelope, MAX_ENVELOPE_BYTES};
use crate::attest::trust::TrustedKeys;

/// Gives the document and the ids of all keys that the envelope names.
pub(super) fn check(bytes: &[u8], trusted: &TrustedKeys, report: &mut Report) -> Option<(Document, Vec<Digest>)> {
    if bytes.len() <= MAX_ENVELOPE_BYTES {
        report.envelope_sha256 = Some(Digest::of(bytes));
    }
    let envelope = match Envelope::parse(bytes) {
        Ok(envelope) => envelope,
        Err(error) => {
            report.fail_envelope(&error);
            return None;
        }
    };
    report.signatures.clone_from(&envelope.signatures);
    report.foreign_signatures.clone_from(&envelope.foreign);
    let message = envelope::pae(&envelope.payload);
    let mut keyids: Vec<Digest> = Vec::new();
    for signature in &envelope.signatures {
        let keyid = signature.keyid;
        if !keyids.contains(&keyid) {
            keyids.push(keyid);
        }
        let Some(signer) = trusted.get(&keyid) else {
            if !report.unknown_signers.contains(&keyid) {
                report.unknown_signers.push(keyid);
            }
            continue;
        };
        if !signer.key.verify(&message, &signature.bytes) {
            let what = format!("signature of {:?}", signer.name);
            let expected = format!("a signature by key {keyid} over these bytes");
            report.fail(FailureClass::Signature, &what, &expected, "a signature over other bytes, or a damaged one");
        } else if !report.signers.iter().any(|signer| signer.keyid == keyid) {
            // One key counts once however many signatures it made.
            report.signers.push(Signer { name: signer.name.clone(), keyid });
        }
    }
    let foreign = match envelope.foreign.len() {
        0 => None,
        count => Some(format!("{count} of another kind than Ed25519, or by a key with another kind of id")),
    };
    if report.is_valid() && report.signers.is_empty() {
        let expected = format!("a signature by one of {} trusted keys", trusted.len());
        let named = keyids.iter().map(|id| format!("key {id}"));
        let observed = named.chain(foreign.clone()).collect::<Vec<_>>().join(", ");
        report.fail(FailureClass::UntrustedSigner, "signers", &expected, &observed);
    }
    if !report.is_valid() {
        report.signers.clear();
        return None;
    }
    if let Some(foreign) = foreign {
        report
            .not_proven
            .push(format!("what other signatures are worth: {foreign}, and nothing here checks those").into());
    }
    report.statement_sha256 = Some(Digest::of(&envelope.payload));
    match Document::read(&envelope.payload) {
        Ok(document) => Some((document, keyids)),
        Err(found) => {
            report.fail(FailureClass::Format, &found.what, &found.expected, &found.observed);
            None
        }
    }
}
