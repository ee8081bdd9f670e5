//! What a document shares with earlier ones, for a person.

use super::for_terminal;
use super::style::{Style, Tone};
use crate::ledger::{Again, Duplicate, Shared};
use crate::rule::{Confidence, Severity};

/// Duplicates that are listed of one document; the rest is counted.
const MAX_LISTED: usize = 40;

/// One line for each earlier document about the same machine, and two for each part that another machine has too. Empty
/// where nothing is shared.
/// `same` says what to do where two documents are about one machine after all.
pub fn shared_plain(shared: &Shared, same: &str, style: Style) -> String {
    let again = shared.again.iter().map(|again| again_line(again, style));
    let duplicates = shared.duplicates.iter().take(MAX_LISTED).map(|it| duplicate_lines(it, same, style));
    let mut text: String = again.chain(duplicates).collect();
    let left_out = shared.duplicates.len().saturating_sub(MAX_LISTED);
    if left_out > 0 {
        text += &format!("  and {left_out} more\n");
    }
    text
}

fn again_line(again: &Again, style: Style) -> String {
    let name = |text: &str| for_terminal(text, style);
    format!(
        "SEEN AGAIN  {} is about the same machine as {} (by {}); {} ids of parts are in both\n",
        name(&again.second),
        name(&again.first),
        again.by.join(", "),
        again.parts
    )
}

fn duplicate_lines(duplicate: &Duplicate, same: &str, style: Style) -> String {
    let name = |text: &str| for_terminal(text, style);
    let certain = duplicate.is_certain();
    let tone = if certain { Tone::Bad } else { Tone::Warning };
    let (severity, confidence) = (severity_word(duplicate.severity), confidence_word(duplicate.confidence));
    let what_to_do = match (duplicate.machines_differ, certain) {
        (false, _) => format!("Not known to be two machines: {same}"),
        (true, true) => "One of the two is a clone, unless the part was moved from one machine to the other".to_owned(),
        (true, false) => {
            "Read both labels: a clone, a part that was moved, or a number that firmware made up".to_owned()
        }
    };
    format!(
        "{}  {} {} of {} in {} is that of {} in {}\n  {severity}, {confidence} confidence. {what_to_do}\n",
        style.paint(tone, "DUPLICATE"),
        name(&duplicate.fact),
        name(&duplicate.id),
        name(&duplicate.second.part),
        name(&duplicate.second.document),
        name(&duplicate.first.part),
        name(&duplicate.first.document),
    )
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn confidence_word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
        Confidence::VeryHigh => "very high",
    }
}
