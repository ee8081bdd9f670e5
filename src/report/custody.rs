//! Receipts, withdrawals, certificates, and the chain that they make, for a person.

use super::escape::told_apart;
use super::style::{Style, Tone};
use super::verification::{failure_lines, failures_plain, lines};
use super::{counts_line, for_terminal};
use crate::attest::acceptance::{Acceptability, OpenPoint};
use crate::attest::document::{Document, Kind};
use crate::attest::drift::{Change, Drift};
use crate::attest::history::{History, Step};
use crate::policy::{Counts, Verdict};

/// Changes, or open points, that are listed of one document; the rest is counted.
const MAX_LISTED: usize = 40;

/// What a document says that is not a report.
pub fn document_plain(document: &Document, style: Style) -> String {
    let mut said = Vec::new();
    match document {
        Document::Report(_) => return String::new(),
        Document::Acceptance(receipt) => {
            let predicate = &receipt.predicate;
            let tone = match predicate.result {
                Acceptability::Accepted => Tone::Good,
                Acceptability::AcceptedWithDifferences => Tone::Warning,
                Acceptability::Refused => Tone::Bad,
            };
            let result = style.paint(tone, predicate.result.as_str());
            return lines("The signer says", &[format!("receipt for the report {}", predicate.report)], style)
                + &format!("    - on {}: {result}\n", for_terminal(&predicate.accepted_at, style))
                + &changes_plain(&predicate.difference, style)
                + &open_points_plain(&predicate.open, style);
        }
        Document::Void(void) => {
            let predicate = &void.predicate;
            said.push(format!("void: {}", predicate.voids));
            said.push(format!("on {}: {}", predicate.voided_at, predicate.reason));
        }
        Document::Certificate(certificate) => {
            let predicate = &certificate.predicate;
            said.push(format!("made on {} from the report {}", predicate.issued_at, predicate.report));
            said.push(format!("hidden: {}", predicate.hides.join(", ")));
            said.extend(predicate.burnin.iter().map(|burnin| format!("burn-in: {burnin}")));
            said.extend(predicate.condition.iter().map(|condition| format!("condition: {condition}")));
            said.extend(predicate.disclosures.iter().map(|disclosure| format!("disclosed: {disclosure}")));
            let verdict = &predicate.verdict;
            let tone = match verdict.result {
                Verdict::Accepted => Tone::Good,
                Verdict::Rejected => Tone::Bad,
                Verdict::Undecided => Tone::Warning,
            };
            let count = |status: &str| predicate.checks.iter().filter(|check| check.status == status).count();
            let (clear, firing, not_checkable) = (count("clear"), count("fires"), count("inconclusive"));
            let mut text = lines("The signer says", &said, style);
            let word = style.paint(tone, &verdict.result.to_string());
            text += &format!("  Verdict of the report: {word}, assurance {}\n", verdict.assurance);
            for reason in &verdict.reasons {
                text += &format!("    - {}\n", for_terminal(reason, style));
            }
            return text + &format!("  {}", counts_line(Counts { clear, firing, not_checkable }));
        }
    }
    lines("The signer says", &said, style)
}

/// One line for each change. Empty where there is none.
pub fn changes_plain(changes: &[Drift], style: Style) -> String {
    listed(changes, |change| {
        let tone = match change.change {
            Change::Missing | Change::Exchanged => Tone::Bad,
            Change::Unread => Tone::Warning,
            Change::Added | Change::Moved | Change::Changed => Tone::Heading,
        };
        let shown = |text: &Option<String>| text.as_deref().map_or("nothing".to_owned(), |it| told_apart(it, style));
        format!(
            "  {:<12} {} {}: was {}, is {}\n",
            style.paint(tone, change.change.as_str()),
            for_terminal(&change.part, style),
            for_terminal(&change.fact, style),
            shown(&change.before),
            shown(&change.after)
        )
    })
}

/// What was open and is taken all the same, a line each. Empty where there is nothing.
pub fn open_points_plain(open: &[OpenPoint], style: Style) -> String {
    let shown = |text: &str| for_terminal(text, style);
    listed(open, |OpenPoint { report, class, what, expected, observed }| {
        format!(
            "  {:<12} {} {} of the report {report}: expected {}, observed {}\n",
            style.paint(Tone::Warning, "open"),
            shown(class),
            shown(what),
            told_apart(expected, style),
            told_apart(observed, style)
        )
    })
}

fn listed<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    let text: String = items.iter().take(MAX_LISTED).map(line).collect();
    match items.len().saturating_sub(MAX_LISTED) {
        0 => text,
        left_out => text + &format!("  and {left_out} more\n"),
    }
}

/// The chain, a document after those that it names, and what is wrong with it.
pub fn history_plain(history: &History, style: Style) -> String {
    let mut text = String::new();
    let chains = history.documents.iter().map(|step| step.chain).max().unwrap_or_default();
    let mut chain = 0;
    for (index, step) in history.documents.iter().enumerate() {
        if step.chain != chain && chains > 1 {
            chain = step.chain;
            text += &format!("{}\n", style.paint(Tone::Heading, &format!("Chain {chain} of {chains}")));
        }
        text += &step_plain(index + 1, step, style);
    }
    let name = |text: &str| for_terminal(text, style);
    let warn = |word: &str| style.paint(Tone::Warning, word);
    for gap in &history.gaps {
        let link = gap.link.as_str();
        text += &format!("{}  {} {link} {}, which was not given\n", warn("GAP"), name(&gap.name), gap.sha256);
    }
    for fork in &history.forks {
        let after: Vec<String> = fork.followed_by.iter().map(|it| name(it)).collect();
        text += &format!("{}  {} is followed by {}\n", warn("FORK"), name(&fork.name), after.join(" and "));
    }
    if !history.circle.is_empty() {
        let names: Vec<String> = history.circle.iter().map(|it| name(it)).collect();
        text +=
            &format!("{}  {} name each other, or one that does\n", style.paint(Tone::Bad, "CIRCLE"), names.join(", "));
    }
    for (repeated, earlier) in &history.repeated {
        text += &format!("{} says the same as {}, and is left out\n", name(repeated), name(earlier));
    }
    let (documents, gaps, forks) = (history.documents.len(), history.gaps.len(), history.forks.len());
    let invalid = history.documents.iter().filter(|step| !step.valid && step.voided_by.is_empty()).count();
    let voided = history.documents.iter().filter(|step| !step.voided_by.is_empty()).count();
    let disagreeing = history.documents.iter().filter(|step| !step.disagreements.is_empty()).count();
    text + &format!(
        "{documents} documents in {chains} chains: {invalid} invalid, {disagreeing} disagreeing, {voided} void; {gaps} gaps, \
         {forks} forks\n"
    )
}

fn step_plain(number: usize, step: &Step, style: Style) -> String {
    let name = |text: &str| for_terminal(text, style);
    let kind = step.kind.map_or("document", |kind| kind.as_str());
    let mut text = format!("{number}. {kind} {}", name(&step.name));
    if !step.valid && step.voided_by.is_empty() {
        text += &format!(": {}\n", style.paint(Tone::Bad, "INVALID"));
        return text + &failures_plain(&step.failures, style);
    }
    if let Some(says) = &step.says {
        text += &format!(": {}", name(says));
    }
    if let Some(verdict) = step.verdict.filter(|it| step.kind == Some(Kind::Report) || *it == Verdict::Undecided)
        && step.says.as_ref().is_some_and(|says| *says != verdict.to_string())
    {
        text += &format!(", now {verdict}");
    }
    if !step.voided_by.is_empty() {
        text += &format!("  {}", style.paint(Tone::Bad, "VOID"));
    }
    text += "\n";
    if let Some(time) = &step.time {
        text += &format!("     on {}, by the signer's clock\n", name(time));
    }
    for signer in &step.signers {
        text += &format!("     signed by {:?} (key {})\n", name(&signer.name), signer.keyid);
    }
    for unknown in &step.unknown_signers {
        text += &format!("     names key {unknown}, which is not known here\n");
    }
    for link in &step.links {
        let target = link.name.as_deref().map_or_else(|| link.sha256.to_string(), name);
        text += &format!("     {} {target}\n", link.link.as_str());
    }
    for by in &step.voided_by {
        text += &format!("     taken back by its signer: {}\n", name(by));
    }
    for by in &step.disputed_by {
        let disputed = style.paint(Tone::Warning, "disputed");
        text += &format!("     {disputed} by somebody who is not certain to be its signer: {}\n", name(by));
    }
    for remark in &step.remarks {
        text += &format!("     {}: {}\n", style.paint(Tone::Warning, "note"), name(remark));
    }
    if step.links.iter().any(|link| link.name.is_some()) && step.changes.is_empty() && step.unit.is_some() {
        text += "     no part differs in what both sides tell\n";
    }
    text += &changes_plain(&step.changes, style);
    text += &open_points_plain(&step.open, style);
    text += &failures_plain(&step.failures, style);
    text += &failure_lines(&step.indeterminate, Tone::Warning, "indeterminate: ", style);
    text + &failures_plain(&step.disagreements, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::history::drift_failures;

    #[test]
    fn values_that_look_alike_are_shown_apart() {
        let style = Style { colour: false, unicode: true };
        let change = |before: &str, after: &str| {
            [Drift {
                kind: "drives".to_owned(),
                part: "drive:sda".to_owned(),
                change: Change::Exchanged,
                fact: "serial".to_owned(),
                before: Some(before.to_owned()),
                after: Some(after.to_owned()),
            }]
        };
        let fake = change("overlayblk", "\u{43e}verlayblk");
        assert!(changes_plain(&fake, style).ends_with(": was overlayblk, is \\u{43e}verlayblk\n"));
        let failed = failures_plain(&drift_failures(&fake), style);
        assert!(failed.ends_with("expected: overlayblk\n    observed: \\u{43e}verlayblk\n"), "{failed}");
        assert!(changes_plain(&change("浪潮", "联想"), style).ends_with("was 浪潮, is 联想\n"));
    }
}
