//! A verification for a person.

use super::escape::{sentence, told_apart};
use super::style::{Style, Tone};
use super::{counts_line, for_terminal};
use crate::attest::verify::{Failure, FailureClass, Report};
use crate::policy::{Judgement, Verdict};

/// What was proven of one report, at which level, and what was not. `judgement` is what comes out of the evidence now.
pub fn verification_plain(path: &str, report: &Report, judgement: Option<&Judgement>, style: Style) -> String {
    let valid = report.is_valid();
    let (tone, word) = if valid { (Tone::Good, "valid") } else { (Tone::Bad, "INVALID") };
    let mut text = format!("{}: {}\n", for_terminal(path, style), style.paint(tone, word));
    let found = [
        (Tone::Bad, "", &report.failures),
        (Tone::Warning, "indeterminate: ", &report.indeterminate),
        (Tone::Warning, "", &report.warnings),
    ];
    for (tone, kind, failures) in found {
        text += &failure_lines(failures, tone, kind, style);
    }
    if !valid {
        return text;
    }
    if let Some(assurance) = report.assurance {
        text += &format!("  assurance {assurance}\n");
    }
    let claims: Vec<String> =
        report.claims.iter().map(|it| format!("{} {}: {}", it.level, it.claim, it.reason)).collect();
    text += &lines("Claims, and what each rests on", &claims, style);
    text += &lines("Proven", &report.proven, style);
    text += &lines("NOT proven", &report.not_proven, style);
    if let Some(statement) = &report.statement {
        let predicate = &statement.predicate;
        let mut said = Vec::new();
        if let Some(condition) = &predicate.condition {
            said.push(format!("condition: {condition}"));
        }
        said.extend(predicate.disclosures.iter().map(|disclosure| format!("disclosed: {disclosure}")));
        text += &lines("The signer says", &said, style);
    }
    if let Some(document) = &report.document {
        text += &super::document_plain(document, style);
    }
    let differences: Vec<String> = report
        .differences
        .iter()
        .map(|found| format!("{}: signed {}, now {}", found.what, found.signed, found.now))
        .collect();
    text += &lines("Otherwise with these signatures", &differences, style);
    if let Some(judgement) = judgement {
        let tone = match judgement.verdict {
            Verdict::Accepted => Tone::Good,
            Verdict::Rejected => Tone::Bad,
            Verdict::Undecided => Tone::Warning,
        };
        text += &format!("  Verdict: {}\n", style.paint(tone, &judgement.verdict.to_string()));
        for reason in &judgement.reasons {
            text += &format!("    - {}\n", sentence(reason, style));
        }
        text += &format!("  {}", counts_line(judgement.counts));
    }
    text
}

/// What failed, with what was expected and what was there.
pub fn failures_plain(failures: &[Failure], style: Style) -> String {
    failure_lines(failures, Tone::Bad, "", style)
}

/// Each failure with what was expected and what was there.
pub(super) fn failure_lines(failures: &[Failure], tone: Tone, kind: &str, style: Style) -> String {
    let mut text = String::new();
    for failure in failures {
        let class = style.paint(tone, &format!("{kind}{}", failure.class));
        text += &format!("  {class} {}\n", for_terminal(&failure.what, style));
        // These hold one id against another.
        let ids = [FailureClass::IdentityConflict, FailureClass::Duplicate, FailureClass::Drift];
        let shown = if ids.contains(&failure.class) { told_apart } else { sentence };
        text += &format!("    expected: {}\n", shown(&failure.expected, style));
        text += &format!("    observed: {}\n", shown(&failure.observed, style));
    }
    text
}

/// A heading and sentences below it; nothing without any.
pub(super) fn lines(heading: &str, items: &[impl AsRef<str>], style: Style) -> String {
    if items.is_empty() {
        return String::new();
    }
    items.iter().fold(format!("  {}\n", style.paint(Tone::Heading, heading)), |text, item| {
        text + &format!("    - {}\n", sentence(item.as_ref(), style))
    })
}
