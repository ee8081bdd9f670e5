//! `signatures/parts/**/*.toml`: what is known about products, with sources.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use memchr::memmem;
use regex_lite::Regex;
use serde::{Deserialize, Deserializer};

use crate::evidence::{FactPath, Kind, Part, Value};
use crate::packed::unpack;

/// One table. A set (`values`, `contains`, `patterns`) that a fact is in or not; rows that are looked up by another fact of
/// the same part (`key_fact`, `rows`); or records of several fields (`key`, `fields`, `records`) that derived facts are made
/// from.
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
    /// What anywhere in a text makes it a member, without regard to case: quicker to look for than a pattern that begins anywhere.
    #[serde(default, deserialize_with = "in_lower_case")]
    pub contains: Vec<String>,
    /// What selects a record, in words.
    pub key: Option<String>,
    /// The fields that a record can have, with the type of each.
    #[serde(default)]
    pub fields: BTreeMap<String, Kind>,
    /// Records by key.
    #[serde(default)]
    pub records: BTreeMap<String, Record>,
    /// The `pattern` of each record that has one. Compiling them takes longer than what they are asked.
    #[serde(skip)]
    compiled: OnceLock<BTreeMap<String, Regex>>,
}

fn in_lower_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<String>::deserialize(deserializer)?.iter().map(|word| word.to_lowercase()).collect())
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

/// One record of a table. A field that is not there is not known.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Record(pub(super) BTreeMap<String, Value>);

impl Record {
    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// The text of a field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_text()
    }

    /// The number in a field.
    pub fn integer(&self, field: &str) -> Option<i64> {
        self.get(field)?.as_integer()
    }

    /// Whether a field is there and true.
    pub fn is(&self, field: &str) -> bool {
        self.get(field).and_then(Value::as_bool) == Some(true)
    }

    /// The items of a list; none when the field is not there.
    pub fn list(&self, field: &str) -> &[Value] {
        match self.get(field) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The numbers of a list.
    pub fn integers(&self, field: &str) -> impl Iterator<Item = i64> {
        self.list(field).iter().filter_map(Value::as_integer)
    }

    /// The texts of a list.
    pub fn texts(&self, field: &str) -> impl Iterator<Item = &str> {
        self.list(field).iter().filter_map(Value::as_text)
    }
}

impl Table {
    /// The records whose field `pattern` is a regular expression, with that.
    pub(super) fn patterned(&self) -> impl Iterator<Item = (&str, &Regex, &Record)> {
        let compile = || {
            let pattern = |record: &Record| Regex::new(record.text("pattern")?).ok();
            self.records.iter().filter_map(|(key, record)| Some((key.clone(), pattern(record)?))).collect()
        };
        let compiled = self.compiled.get_or_init(compile);
        compiled.iter().filter_map(|(key, pattern)| Some((key.as_str(), pattern, self.records.get(key)?)))
    }

    /// Whether the text is in the set.
    pub fn has(&self, text: &str) -> bool {
        let text = normalise(text);
        self.values.iter().any(|value| same(value, &text))
            || self.contains.iter().any(|word| memmem::find(text.as_bytes(), word.as_bytes()).is_some())
            || self.patterns.iter().any(|pattern| pattern.0.is_match(&text))
    }
}

/// A table, or the packed form that it is read from when it is first asked for: most machines need few of them.
#[derive(Clone)]
pub(super) struct Stored {
    packed: &'static [u8],
    table: OnceLock<Option<Table>>,
}

impl Stored {
    /// As JSON, compressed.
    pub(super) fn packed(packed: &'static [u8]) -> Self {
        Self { packed, table: OnceLock::new() }
    }

    /// `None`, as for a table that does not exist, if the packed form is none.
    fn get(&self) -> Option<&Table> {
        let read = || unpack(self.packed).and_then(|json| serde_json::from_slice(&json).ok());
        self.table.get_or_init(read).as_ref()
    }
}

impl From<Table> for Stored {
    fn from(table: Table) -> Self {
        Self { packed: &[], table: OnceLock::from(Some(table)) }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// All tables of a signature set.
#[derive(Debug, Clone, Default)]
pub struct Tables(pub(super) BTreeMap<String, Stored>);

impl Tables {
    /// The table of that name (its path below `parts/` without `.toml`).
    pub fn get(&self, name: &str) -> Option<&Table> {
        self.0.get(name)?.get()
    }

    /// Reads the tables whose names begin so: for a thread that has nothing else to do. Otherwise a table is read when it is
    /// first asked for.
    pub fn unpack(&self, prefix: &str) {
        for (_, stored) in self.0.iter().filter(|(name, _)| name.starts_with(prefix)) {
            stored.get();
        }
    }

    /// Every table with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.0.iter().filter_map(|(name, stored)| Some((name.as_str(), stored.get()?)))
    }

    /// The record of a table with that key.
    pub fn record(&self, name: &str, key: &str) -> Option<&Record> {
        self.get(name)?.records.get(key)
    }

    /// All records of a table, by key.
    pub fn records(&self, name: &str) -> impl Iterator<Item = (&str, &Record)> {
        self.get(name).into_iter().flat_map(|table| &table.records).map(|(key, record)| (key.as_str(), record))
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

/// Whether a text is the other one once that is normalised, without making it so: tables are asked often.
fn same(text: &str, normalised: &str) -> bool {
    let mut words = normalised.split(' ').filter(|word| !word.is_empty());
    text.split_whitespace().all(|word| {
        words.next().is_some_and(|other| {
            if word.is_ascii() { word.eq_ignore_ascii_case(other) } else { word.to_lowercase() == other }
        })
    }) && words.next().is_none()
}
