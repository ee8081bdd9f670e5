//! Refuses a signature set whose rules could not work: unknown facts, missing examples, examples that turn out
//! otherwise.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Outcome;
use super::condition::{Condition, Group, Test};
use super::signatures::{ANY_SCOPE, Example, Expectation, Rule, Signatures};
use super::tables::{Table, Tables};
use crate::evidence::{FactDef, FactPath, Kind, Part, Value};

/// Certainties of a record: A and B from documents or captures, C from general knowledge, D and E by id and name only.
const CERTAINTIES: [&str; 5] = ["A", "B", "C", "D", "E"];

/// One thing that is wrong with a signature set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// Id of the rule, or name of the file.
    pub subject: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong with a set, given all facts that collectors and [`super::derive`] can make.
pub fn lint<'a>(signatures: &Signatures, facts: impl Iterator<Item = &'a FactDef>) -> Vec<Complaint> {
    let catalogue: BTreeMap<&str, &FactDef> = facts.map(|fact| (fact.path, fact)).collect();
    let mut linter = Linter { signatures, catalogue, complaints: Vec::new() };
    for rule in &signatures.rules {
        linter.rule(rule);
    }
    for (name, table) in signatures.tables.iter() {
        if table.sources.is_empty() || table.title.trim().is_empty() {
            linter.complain(&format!("parts/{name}"), "a table needs a title and at least one source");
        }
        if table.key_fact.is_some() == table.rows.is_empty() {
            linter.complain(&format!("parts/{name}"), "`key_fact` and `rows` go together");
        }
        linter.records(&format!("parts/{name}"), table);
    }
    for id in signatures.policy.required_rules() {
        if signatures.rule(id).is_none() {
            linter.complain("policy.toml", &format!("requires rule {id}, which does not exist"));
        }
    }
    for id in signatures.policy.disclosed.rules() {
        if signatures.rule(id).is_none() {
            linter.complain("policy.toml", &format!("lets a disclosure cover rule {id}, which does not exist"));
        }
    }
    linter.complaints
}

struct Linter<'a> {
    signatures: &'a Signatures,
    catalogue: BTreeMap<&'a str, &'a FactDef>,
    complaints: Vec<Complaint>,
}

impl Linter<'_> {
    fn complain(&mut self, subject: &str, message: &str) {
        self.complaints.push(Complaint { subject: subject.to_owned(), message: message.to_owned() });
    }

    fn records(&mut self, subject: &str, table: &Table) {
        if table.key.is_some() == table.records.is_empty() || table.key.is_some() == table.fields.is_empty() {
            self.complain(subject, "`key`, `fields` and `records` go together");
        }
        for (key, record) in &table.records {
            for (field, value) in &record.0 {
                match table.fields.get(field) {
                    None => {
                        self.complain(subject, &format!("record {key:?} has {field}, which `fields` does not list"))
                    }
                    Some(kind) if *kind != value.kind() => {
                        self.complain(subject, &format!("record {key:?} has {field}, which is not {kind:?}"));
                    }
                    Some(_) => {}
                }
            }
            // How sure a record is decides whether it may reject.
            if !record.text("certainty").is_some_and(|letter| CERTAINTIES.contains(&letter)) {
                self.complain(subject, &format!("record {key:?} needs a `certainty` from A to E"));
            }
            if record.text("source").is_none_or(|source| source.trim().is_empty()) {
                self.complain(subject, &format!("record {key:?} needs a `source`"));
            }
        }
    }

    fn rule(&mut self, rule: &Rule) {
        for (name, text) in [("title", &rule.title), ("why", &rule.why), ("next", &rule.next), ("since", &rule.since)] {
            if text.trim().is_empty() {
                self.complain(&rule.id, &format!("`{name}` is empty"));
            }
        }
        if rule.references.is_empty() {
            self.complain(&rule.id, "needs at least one reference");
        }
        if rule.fires.conditions().next().is_none() {
            self.complain(&rule.id, "`fires` is empty");
        }
        self.group(rule, &rule.applies);
        self.group(rule, &rule.fires);
        for wanted in [Expectation::Fires, Expectation::Clear, Expectation::Inconclusive] {
            if rule.examples.iter().all(|example| example.expect != wanted) {
                self.complain(&rule.id, &format!("has no example that expects {wanted:?}"));
            }
        }
        for example in rule.examples.iter() {
            self.example(rule, example);
        }
    }

    fn group(&mut self, rule: &Rule, group: &Group) {
        for condition in group.conditions() {
            self.fact(rule, &condition.fact);
            if let Some(other) = condition.test.other_fact() {
                self.fact(rule, other);
            }
            if let Some(message) = self.kind_mismatch(condition) {
                self.complain(&rule.id, &message);
            }
            if let Test::InPart(table) | Test::NotInPart(table) = &condition.test
                && self.signatures.tables.get(table).is_none()
            {
                self.complain(&rule.id, &format!("names parts/{table}, which does not exist"));
            }
        }
    }

    fn fact(&mut self, rule: &Rule, path: &FactPath) {
        let scope = path.as_str().split('.').next().unwrap_or_default();
        if !self.catalogue.contains_key(path.as_str()) {
            self.complain(&rule.id, &format!("names {path}, which no collector makes"));
        } else if scope != rule.scope && scope != ANY_SCOPE {
            self.complain(&rule.id, &format!("names {path}, which parts of scope {} do not have", rule.scope));
        }
    }

    fn kind_mismatch(&self, condition: &Condition) -> Option<String> {
        let kind = self.catalogue.get(condition.fact.as_str())?.kind;
        let wanted: Vec<Kind> = match &condition.test {
            Test::Eq(value) | Test::Ne(value) => vec![value.kind()],
            Test::In(values) | Test::NotIn(values) => values.iter().map(Value::kind).collect(),
            Test::Lt(_) | Test::Le(_) | Test::Gt(_) | Test::Ge(_) | Test::LtFact(_) => vec![Kind::Integer],
            Test::Matches(_) | Test::InPart(_) | Test::NotInPart(_) => vec![Kind::Text],
            Test::Empty(_) if kind == Kind::Text => vec![Kind::Text],
            Test::Empty(_) => vec![Kind::List],
            Test::EqFact(other) | Test::NeFact(other) => vec![self.catalogue.get(other.as_str())?.kind],
            Test::Absent(_) => return None,
        };
        let wrong = wanted.iter().find(|wanted| **wanted != kind)?;
        Some(format!("compares {}, which is {kind:?}, as {wrong:?}", condition.fact))
    }

    fn example(&mut self, rule: &Rule, example: &Example) {
        for path in example.facts.keys() {
            self.fact(rule, path);
        }
        let says = example_outcome(rule, example, &self.signatures.tables);
        let matches = matches!(
            (&says, example.expect),
            (Outcome::Clear, Expectation::Clear)
                | (Outcome::Fires(_), Expectation::Fires)
                | (Outcome::Inconclusive { .. }, Expectation::Inconclusive)
                | (Outcome::NotApplicable, Expectation::NotApplicable)
        );
        if !matches {
            let name = &example.name;
            self.complain(
                &rule.id,
                &format!("example {name:?} expects {:?}, and the rule says {says:?}", example.expect),
            );
        }
    }
}

fn example_outcome(rule: &Rule, example: &Example, tables: &Tables) -> Outcome {
    let facts = example.facts.iter().map(|(path, fact)| (path.clone(), fact.to_fact())).collect();
    rule.evaluate(&Part { scope: rule.scope.clone(), id: format!("{}:example", rule.scope), facts }, tables)
}
