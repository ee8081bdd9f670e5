//! Whether hidden values of a certificate are the ones that somebody knows.

use super::{FailureClass, MAX_LISTED, Report, Sentence};
use crate::attest::certificate::{Certificate, Salts};

/// Holds the private file of a certificate, and texts that its reader knows, against what it hides. What does not match
/// fails.
pub fn reveal(report: &mut Report, certificate: &Certificate, salts: &Salts, known: &[String]) {
    if let Some(statement) = report.statement_sha256.filter(|statement| *statement != salts.certificate) {
        let expected = format!("the private file of the statement {statement}");
        let observed = format!("that of {}", salts.certificate);
        report.fail(FailureClass::Evidence, "private file", &expected, &observed);
        return report.establish_nothing();
    }
    let revealed = certificate.reveal(salts, known);
    let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let hidden = certificate.hidden().len() - 1;
    let before = hidden_left_open(hidden);
    report.not_proven.retain(|sentence| Some(sentence) != before.as_ref());
    report.not_proven.extend(hidden_left_open(hidden.saturating_sub(revealed.values.len())));
    for (path, value) in &revealed.values {
        report.proven.push(format!("{path} hides {:?}", shown(value)).into());
    }
    for (path, value) in revealed.wrong.iter().take(MAX_LISTED) {
        report.fail(
            FailureClass::Evidence,
            path,
            &format!("a place that hides {:?}", shown(value)),
            "another value, or none",
        );
    }
    for (text, paths) in &revealed.known {
        match paths.as_slice() {
            [] => {
                let observed = format!("none of {hidden} hidden values, as far as there are salts");
                report.fail(FailureClass::Evidence, "known value", &format!("a place that hides {text:?}"), &observed);
            }
            paths => report.proven.push(format!("{text:?} is what is hidden at {}", paths.join(", ")).into()),
        }
    }
    if !report.is_valid() {
        report.establish_nothing();
    }
}

/// What nobody knows of a certificate that hides so many values beside the unit's own.
pub(super) fn hidden_left_open(hidden: usize) -> Option<Sentence> {
    match hidden {
        0 => None,
        1 => Some("what the hidden value is".into()),
        _ => Some(format!("what the {hidden} hidden values are").into()),
    }
}
