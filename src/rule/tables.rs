//! `signatures/parts/*.toml`: what is known about products, with sources.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde::Deserialize;

use crate::evidence::{FactPath, Part, Value};

/// One table. Either a set (`values`, `patterns`) that a fact is in or not, or rows that are looked up by another fact
/// of the same part (`key_fact`, `rows`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What the table lists.
    pub title: String,
    /// Where its entries come from.
    pub sources: Vec<String>,
    /// The fact whose text selects the row.
    pub key_fact: Option<FactPath>,
    /// Rows by key: the values that are known to go with it.
    #[serde(default)]
    pub rows: BTreeMap<String, Vec<String>>,
    /// The members of a set; compared without regard to case and to runs of white space.
    #[serde(default)]
    pub values: Vec<String>,
    /// Regular expressions that match members of a set as a whole, without regard to case.
    #[serde(default)]
    pub patterns: Vec<Pattern>,
}

/// A compiled pattern of a set.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, Self::Error> {
        Regex::new(&format!("(?i)^(?:{pattern})$")).map(Self).map_err(|error| format!("{pattern:?}: {error}"))
    }
}

impl Table {
    /// Whether the text is in the set.
    pub fn has(&self, text: &str) -> bool {
        let text = normalise(text);
        self.values.iter().any(|value| normalise(value) == text)
            || self.patterns.iter().any(|pattern| pattern.0.is_match(&text))
    }
}

/// All tables of a signature set.
#[derive(Debug, Clone, Default)]
pub struct Tables(pub(super) BTreeMap<String, Table>);

impl Tables {
    /// The table of that name (its file name without `.toml`).
    pub fn get(&self, name: &str) -> Option<&Table> {
        self.0.get(name)
    }

    /// Whether the table lists the value for that part. The error names what is missing to say: the fact that selects
    /// the row, or the row.
    pub fn contains(&self, name: &str, part: &Part, value: &Value) -> Result<bool, FactPath> {
        let missing = || FactPath::new(format!("parts/{name}"));
        let table = self.get(name).ok_or_else(missing)?;
        let text = value.to_string();
        match &table.key_fact {
            None => Ok(table.has(&text)),
            Some(key) => {
                let row = self
                    .row(table, part)
                    .ok_or_else(|| if part.text(key.as_str()).is_some() { missing() } else { key.clone() })?;
                Ok(row.iter().any(|known| normalise(known) == normalise(&text)))
            }
        }
    }

    /// What would have been expected instead, in words.
    pub(super) fn expectation(&self, name: &str, part: &Part, wanted: bool) -> String {
        let row = self.get(name).and_then(|table| self.row(table, part));
        match (row, wanted) {
            (Some(row), false) => format!("one of {} (parts/{name})", row.join(", ")),
            (Some(row), true) => format!("none of {} (parts/{name})", row.join(", ")),
            (None, false) => format!("listed in parts/{name}"),
            (None, true) => format!("not listed in parts/{name}"),
        }
    }

    fn row<'a>(&self, table: &'a Table, part: &Part) -> Option<&'a Vec<String>> {
        let key = part.text(table.key_fact.as_ref()?.as_str())?;
        table.rows.get(&key.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn normalise(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
