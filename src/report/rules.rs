//! `yanji rules list` and `explain` for a person.

use super::style::{Style, Tone};
use super::table::Table;
use crate::rule::{Condition, Group, Rule, Signatures, Test};

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

/// Everything that a rule's file says.
pub fn explain_plain(rule: &Rule, style: Style) -> String {
    let mut text = format!("{}\n{}\n\n", style.paint(Tone::Heading, &rule.id), rule.title);
    let severity = format!("{:?}", rule.severity).to_lowercase();
    text += &format!("severity    {severity}\nconfidence  {}\nscope       {}\n", confidence(rule), rule.scope);
    text += &format!("since       {}\n\nwhy\n  {}\n", rule.since, rule.why);
    for (heading, group) in [("applies to parts where", &rule.applies), ("fires when", &rule.fires)] {
        if group.conditions().next().is_some() {
            text += &format!("\n{heading}\n{}", group_plain(group));
        }
    }
    text += &list("innocent causes", &rule.innocent);
    text += &format!("\nwhat to do\n  {}\n", rule.next);
    text += &list("references", &rule.references);
    text += "\nexamples\n";
    for example in &rule.examples {
        text += &format!("  {}: {}\n", example.name, format!("{:?}", example.expect).to_lowercase());
    }
    text
}

fn confidence(rule: &Rule) -> String {
    match rule.confidence {
        crate::rule::Confidence::VeryHigh => "very high".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn list(heading: &str, items: &[String]) -> String {
    items.iter().fold(format!("\n{heading}\n"), |text, item| text + &format!("  - {item}\n"))
}

fn group_plain(group: &Group) -> String {
    let lines = |heading: &str, conditions: &[Condition]| {
        if conditions.is_empty() {
            return String::new();
        }
        conditions
            .iter()
            .fold(format!("  {heading}\n"), |text, condition| text + &format!("    {}\n", condition_plain(condition)))
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
