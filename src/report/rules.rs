//! `yanji rules list` and `explain` for a person.

use super::style::{Style, Tone};
use super::table::Table;
use crate::rule::{Condition, Confidence, Expectation, Group, Rule, Severity, Signatures, Test};

/// One line a rule.
pub fn list_plain(signatures: &Signatures, style: Style) -> String {
    let mut table = Table::new(&["rule", "severity", "confidence", "title"]);
    for rule in &signatures.rules {
        table.row([
            rule.id.clone(),
            format!("{:?}", rule.severity).to_lowercase(),
            confidence(rule),
            rule.title.clone(),
        ]);
    }
    let id = &signatures.id;
    let heading = format!("signatures {} ({})", id.version, &id.sha256[..16.min(id.sha256.len())]);
    format!("{}\n\n{}\n{} rules\n", style.paint(Tone::Heading, &heading), table.render(), signatures.rules.len())
}

/// Everything that a rule's file says: first what a buyer needs, then how the rule works.
pub fn explain_plain(rule: &Rule, style: Style) -> String {
    let severity = format!("{:?}", rule.severity).to_lowercase();
    let mut text = format!("{}\n{}\n", style.paint(Tone::Heading, &rule.id), rule.title);
    let mut section = |heading: &str, body: String| {
        if !body.is_empty() {
            text += &format!("\n{}\n{body}", style.paint(Tone::Heading, heading));
        }
    };
    section("What it means", paragraph(&rule.why));
    section(
        "How bad, and how sure",
        paragraph(&format!("{severity}: {}", severity_plain(rule.severity)))
            + &paragraph(&format!("{} confidence: {}", confidence(rule), confidence_plain(rule.confidence))),
    );
    section("What else can cause it", list(&rule.innocent));
    section("What to do", paragraph(&rule.next));
    section("What it can't tell", list(&rule.limits));
    let mut works = String::new();
    for (heading, group) in [("applies to parts where", &rule.applies), ("fires when", &rule.fires)] {
        if group.conditions().next().is_some() {
            works += &format!("  {heading}\n{}", group_plain(group));
        }
    }
    works += "  examples\n";
    for example in rule.examples.iter() {
        works += &format!("    {}: {}\n", example.name, expectation_plain(example.expect));
    }
    works += &format!("  scope {}, in the signatures since {}\n", rule.scope, rule.since);
    section("How it works", works);
    section("References", list(&rule.references));
    text
}

fn severity_plain(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "worth knowing",
        Severity::Low => "a blemish",
        Severity::Medium => "lowers the value of the part or the trust in it",
        Severity::High => "the part is probably not what it was sold as, or not healthy; a person has to look",
        Severity::Critical => "the part is not what it was sold as, or it is faulty",
    }
}

fn confidence_plain(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "innocent causes are common",
        Confidence::Medium => "innocent causes are known, so it decides nothing by itself",
        Confidence::High => "innocent causes are rare",
        Confidence::VeryHigh => "no innocent cause is known on a part that the tables know",
    }
}

fn expectation_plain(expectation: Expectation) -> &'static str {
    match expectation {
        Expectation::Clear => "clear",
        Expectation::Fires => "fires",
        Expectation::Inconclusive => "inconclusive",
        Expectation::NotApplicable => "not about this part",
    }
}

/// Text in lines of 100 columns, indented.
fn paragraph(text: &str) -> String {
    wrapped(text, "  ", "  ")
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| wrapped(item, "  - ", "    ")).collect()
}

fn wrapped(text: &str, first: &str, next: &str) -> String {
    const COLUMNS: usize = 100;
    let (mut lines, mut line) = (String::new(), first.to_owned());
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines += &line;
            lines.push('\n');
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    lines + &line + "\n"
}

fn confidence(rule: &Rule) -> String {
    match rule.confidence {
        Confidence::VeryHigh => "very high".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn group_plain(group: &Group) -> String {
    let lines = |heading: &str, conditions: &[Condition]| {
        if conditions.is_empty() {
            return String::new();
        }
        conditions.iter().fold(format!("    {heading}\n"), |text, condition| {
            text + &format!("      {}\n", condition_plain(condition))
        })
    };
    lines("all of", &group.all) + &lines("any of", &group.any) + &lines("none of", &group.none)
}

fn condition_plain(condition: &Condition) -> String {
    let values =
        |values: &[crate::evidence::Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let fact = &condition.fact;
    match &condition.test {
        Test::Eq(value) => format!("{fact} is {value}"),
        Test::Ne(value) => format!("{fact} is not {value}"),
        Test::Lt(limit) => format!("{fact} < {limit}"),
        Test::Le(limit) => format!("{fact} <= {limit}"),
        Test::Gt(limit) => format!("{fact} > {limit}"),
        Test::Ge(limit) => format!("{fact} >= {limit}"),
        Test::In(list) => format!("{fact} is one of {}", values(list)),
        Test::NotIn(list) => format!("{fact} is none of {}", values(list)),
        Test::Matches(regex) => format!("{fact} matches {}", regex.as_str()),
        Test::Empty(true) => format!("{fact} is empty"),
        Test::Empty(false) => format!("{fact} is not empty"),
        Test::Absent(true) => format!("{fact} does not exist"),
        Test::Absent(false) => format!("{fact} exists"),
        Test::EqFact(other) => format!("{fact} equals {other}"),
        Test::NeFact(other) => format!("{fact} differs from {other}"),
        Test::LtFact(other) => format!("{fact} < {other}"),
        Test::InPart(table) => format!("{fact} is listed in parts/{table}"),
        Test::NotInPart(table) => format!("{fact} is not listed in parts/{table}"),
    }
}
