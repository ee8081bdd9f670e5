//! What could not be checked, for a person.

use super::for_terminal;
use super::style::Style;
use super::table::Table;
use crate::collect::NOT_OBSERVABLE;
use crate::evidence::{Evidence, FactPath, Part, Reading};
use crate::rule::{Check, Outcome};

/// One line for all rules that one hidden source leaves open; a table of the others, by rule.
pub(super) fn blind(checks: &[Check], evidence: &Evidence, style: Style) -> String {
    let mut hidden: Vec<Hidden<'_>> = Vec::new();
    let mut rules: Vec<(&str, usize, Vec<String>)> = Vec::new();
    for check in checks {
        let Outcome::Inconclusive { missing } = &check.outcome else { continue };
        let part = evidence.part(&check.part);
        if let Some((source, why)) = part.and_then(|part| hidden_source(part, missing)) {
            match hidden.iter_mut().find(|it| it.source == source && it.why == why) {
                Some(known) => known.add(check),
                None => hidden.push(Hidden { source, why, rules: vec![&check.id], parts: vec![&check.part] }),
            }
            continue;
        }
        let reasons = missing.iter().map(|path| {
            let state = part.and_then(|part| part.reading(path.as_str())).map_or("not known", Reading::state);
            format!("{path} {state}")
        });
        match rules.iter_mut().find(|(id, _, _)| *id == check.id) {
            Some((_, count, _)) => *count += 1,
            None => rules.push((&check.id, 1, reasons.collect())),
        }
    }
    let mut table = Table::new(&["rule", "parts", "why"]);
    for (id, count, reasons) in rules {
        table.row([id.to_owned(), count.to_string(), reasons.join(", ")]);
    }
    let lines: String = hidden.iter().map(|it| it.line(style)).collect();
    if table.is_empty() { lines } else { lines + &table.render() }
}

/// A source that is not to be had here, and what that leaves open.
struct Hidden<'a> {
    /// How its facts begin: `dimm.spd`.
    source: &'a str,
    why: &'a str,
    rules: Vec<&'a str>,
    parts: Vec<&'a str>,
}

impl<'a> Hidden<'a> {
    fn add(&mut self, check: &'a Check) {
        if !self.rules.contains(&check.id.as_str()) {
            self.rules.push(&check.id);
        }
        if !self.parts.contains(&check.part.as_str()) {
            self.parts.push(&check.part);
        }
    }

    fn line(&self, style: Style) -> String {
        let count = match self.rules.as_slice() {
            [rule] => (*rule).to_owned(),
            rules => format!("{} rules", rules.len()),
        };
        let parts = match self.parts.as_slice() {
            [first, .., last] => {
                let (first, last) = (for_terminal(first, style), for_terminal(last, style));
                format!("{first} to {last} ({} parts)", self.parts.len())
            }
            parts => for_terminal(&parts.concat(), style),
        };
        format!("  {count} could not be checked on {parts}: {} is {}\n", self.source, for_terminal(self.why, style))
    }
}

/// How the facts of a hidden source begin, and why it is hidden, where all of the missing facts were to come from it.
fn hidden_source<'a>(part: &'a Part, missing: &[FactPath]) -> Option<(&'a str, &'a str)> {
    // Derived facts name no source: `dimm.crc_bad`, but `dimm.spd.serial`.
    let mut read = part.facts.iter().filter(|(path, _)| path.as_str().matches('.').count() > 1);
    let (path, why) = read.find_map(|(path, fact)| {
        let from_it = |missing: &FactPath| part.facts.get(missing).is_some_and(|it| it.source.contains(&fact.source));
        (fact.source.starts_with(NOT_OBSERVABLE) && missing.iter().all(from_it)).then_some((path, &fact.source))
    })?;
    let (source, _) = path.as_str().rsplit_once('.')?;
    Some((source, why))
}
