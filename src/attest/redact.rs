//! From a report that verifies to a certificate that can be shown to anybody.
//!
//! What is hidden is looked for by value in every text of the certificate, so that a serial number does not stay in the name
//! of a part or in a sentence of the seller. Fillers that firmware prints where there is no serial number hide nothing and
//! are hidden in their own place only.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Digest;
use super::certificate::{Certificate, CertifiedCheck, Salt, Salts, UNIT_PATH, below, hidden, salted};
use super::identity::{names_unit, scope_of};
use super::statement::{SignedVerdict, Statement, StatementError, UNIT_SUBJECT};
use crate::evidence::{self, Evidence};
use crate::inspection::fact_catalogue;
use crate::rule::{BLANK_IDENTITIES, Check, Tables, normalise_id};

/// The group of all facts that name one unit.
pub const SERIALS: &str = "serials";
/// What stands in place of a text that held a hidden value.
pub const REPLACED: &str = "[hidden]";
/// Shorter values are hidden in their place only: they are parts of half the words.
const MIN_SOUGHT_CHARS: usize = 4;
/// The same for letters and digits alone, which also meet over the ends of words.
const MIN_SOUGHT_LETTERS: usize = 6;
/// The same of an id without its prefix.
const MIN_BARE_CHARS: usize = 8;
/// With what programs begin ids that labels print without it: numbers, UUIDs of NVIDIA's, world-wide names of drives.
const PREFIXES: [&str; 9] = ["wwn-0x", "0x", "GPU-", "MIG-", "SWX-", "naa.", "eui.", "nvme.", "uuid."];

/// Why nothing was redacted.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// Nothing that could be hidden has that name.
    #[error("{0:?} is neither {SERIALS:?} nor the name of a fact")]
    UnknownFact(String),
    /// The system's random number generator failed.
    #[error("the system gives no random numbers")]
    Random,
    /// The statement can't be made.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A value that was to be hidden would show. Nothing is signed then.
    #[error("a hidden value would still show in {0}")]
    StillThere(String),
}

/// What is to be hidden.
#[derive(Debug, Clone, PartialEq)]
pub struct Hide {
    names: Vec<String>,
}

/// A report that was verified, and what its verification found.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The signed statement.
    pub statement: &'a Statement,
    /// Digest of its envelope.
    pub envelope_sha256: Digest,
    /// The trusted keys that signed it.
    pub signers: &'a [Digest],
    /// The facts that the evidence shows.
    pub evidence: &'a Evidence,
    /// What the records of a burn-in show, in a sentence.
    pub burn: Option<&'a str>,
}

impl Hide {
    /// `serials`, and names of facts.
    pub fn parse(names: &[String]) -> Result<Self, RedactError> {
        for name in names {
            if name != SERIALS && !fact_catalogue().any(|fact| fact.path == name) {
                return Err(RedactError::UnknownFact(name.clone()));
            }
        }
        Ok(Self { names: names.to_vec() })
    }

    fn hides(&self, path: &str) -> bool {
        self.names.iter().any(|name| if name == SERIALS { names_unit(path) } else { name == path })
    }
}

/// The certificate and its private file. `issued_at` is the time of signing (RFC 3339).
pub fn redact(
    source: Source<'_>,
    hide: &Hide,
    issued_at: String,
    tables: &Tables,
) -> Result<(Statement<Certificate>, Salts), RedactError> {
    let report = &source.statement.predicate;
    let mut redactor = Redactor { hide, sought: Sought::of(source, hide, tables), salts: BTreeMap::new() };
    let unit = source.statement.subject_sha256(UNIT_SUBJECT).map_or(Value::Null, |unit| unit.to_string().into());
    let certificate = Certificate {
        issued_at,
        report: source.envelope_sha256,
        report_signers: source.signers.to_vec(),
        unit: redactor.salted(UNIT_PATH, unit)?,
        started_at: report.session.started_at.clone(),
        ended_at: report.session.ended_at.clone(),
        tool: report.tool.clone(),
        databases: report.databases.clone(),
        policy: report.policy.clone(),
        origin: report.origin,
        identity: redactor.identity(&report.identity)?,
        hides: hide.names.clone(),
        burnin: source.burn.map(|text| redactor.text(text)),
        condition: report.condition.as_deref().map(|text| redactor.text(text)),
        disclosures: report.disclosures.iter().map(|text| redactor.text(text)).collect(),
        checks: report.checks.iter().map(|check| redactor.check(check)).collect(),
        verdict: SignedVerdict {
            reasons: report.verdict.reasons.iter().map(|text| redactor.text(text)).collect(),
            ..report.verdict.clone()
        },
    };
    let Redactor { sought, salts, .. } = redactor;
    let statement = Statement::certificate(certificate)?;
    let json = statement.to_json()?;
    let signed: Value = serde_json::from_slice(&json).map_err(StatementError::Json)?;
    if let Some(place) = sought.still_in(&signed, String::new()) {
        return Err(RedactError::StillThere(place));
    }
    Ok((statement, Salts { certificate: Digest::of(&json), salts }))
}

struct Redactor<'a> {
    hide: &'a Hide,
    sought: Sought,
    salts: BTreeMap<String, Salt>,
}

impl Redactor<'_> {
    fn salted(&mut self, path: &str, value: Value) -> Result<Digest, RedactError> {
        let salt = Salt::of(value).map_err(|_| RedactError::Random)?;
        let digest = salted(&salt.salt, path, salt.value.as_ref().unwrap_or(&Value::Null));
        self.salts.insert(path.to_owned(), salt);
        Ok(digest)
    }

    /// The identity with every hidden fact, and every text that holds a hidden value, as a salted digest.
    fn identity(&mut self, identity: &Value) -> Result<Value, RedactError> {
        let mut kinds = Map::new();
        for (kind, parts) in identity.as_object().into_iter().flatten() {
            let scope = scope_of(kind).unwrap_or(kind);
            let path = below("", kind);
            let mut redacted = Vec::new();
            for (index, part) in parts.as_array().into_iter().flatten().enumerate() {
                let path = below(&path, &index.to_string());
                let mut facts = Map::new();
                for (name, value) in part.as_object().into_iter().flatten() {
                    let shown = match name.as_str() {
                        // The name of a part is in every check of it, under the same replacement.
                        "id" => self.text(value.as_str().unwrap_or_default()).into(),
                        "unknown" => value.clone(),
                        _ if self.hide.hides(&format!("{scope}.{name}")) || self.sought.is_in_value(value) => {
                            let path = below(&path, name);
                            hidden(self.salted(&path, value.clone())?)
                        }
                        _ => value.clone(),
                    };
                    facts.insert(name.clone(), shown);
                }
                redacted.push(Value::Object(facts));
            }
            kinds.insert(kind.clone(), redacted.into());
        }
        Ok(kinds.into())
    }

    fn text(&self, text: &str) -> String {
        if self.sought.is_in(text) { REPLACED.to_owned() } else { text.to_owned() }
    }

    fn check(&self, check: &Check) -> CertifiedCheck {
        CertifiedCheck { id: check.id.clone(), part: self.text(&check.part), status: check.outcome.status().to_owned() }
    }
}

/// The values that may not show, in upper case: as they are, and by their letters and digits alone, since one tool prints
/// `B8:3F:D2` and another `b83fd2`.
struct Sought {
    exact: Vec<String>,
    letters: Vec<String>,
}

impl Sought {
    fn of(source: Source<'_>, hide: &Hide, tables: &Tables) -> Self {
        let mut values = Vec::new();
        for part in &source.evidence.parts {
            for (path, fact) in &part.facts {
                if let (true, Some(value)) = (hide.hides(path.as_str()), fact.reading.known()) {
                    texts(value, &mut values);
                }
            }
        }
        // What an older version of the tool read, and this one does not.
        for (kind, parts) in source.statement.predicate.identity.as_object().into_iter().flatten() {
            let scope = scope_of(kind).unwrap_or(kind);
            for (name, value) in parts.as_array().into_iter().flatten().filter_map(Value::as_object).flatten() {
                if let (true, Some(text)) = (hide.hides(&format!("{scope}.{name}")), value.as_str()) {
                    values.push(text.to_owned());
                }
            }
        }
        let blank = tables.get(BLANK_IDENTITIES);
        values.retain(|text| blank.is_none_or(|table| !table.has(text)));
        let sorted = |mut words: Vec<String>, min_chars: usize| {
            words.retain(|word| word.chars().count() >= min_chars);
            words.sort();
            words.dedup();
            words
        };
        let bare: Vec<String> = values.iter().filter_map(|text| without_prefix(text)).collect();
        values.extend(bare);
        let letters = values.iter().map(|text| normalise_id(text)).collect();
        let exact = values.iter().map(|text| text.trim().to_ascii_uppercase()).collect();
        Self { exact: sorted(exact, MIN_SOUGHT_CHARS), letters: sorted(letters, MIN_SOUGHT_LETTERS) }
    }

    fn is_in(&self, text: &str) -> bool {
        let letters = normalise_id(text);
        let text = text.to_ascii_uppercase();
        self.exact.iter().any(|word| text.contains(word)) || self.letters.iter().any(|word| letters.contains(word))
    }

    fn is_in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_in(text),
            Value::Array(values) => values.iter().any(|value| self.is_in_value(value)),
            Value::Object(fields) => fields.values().any(|value| self.is_in_value(value)),
            Value::Number(number) => self.exact.contains(&number.to_string()),
            _ => false,
        }
    }

    /// The first place that shows a value after all. Digests and times are not looked at: they are made of the very letters
    /// that serial numbers are made of, and of nothing of the machine's.
    fn still_in(&self, value: &Value, path: String) -> Option<String> {
        match value {
            Value::String(text) => {
                let free = Digest::parse(text).is_some() || text.parse::<jiff::Timestamp>().is_ok();
                (!free && self.is_in(text)).then_some(path)
            }
            Value::Array(values) => values
                .iter()
                .enumerate()
                .find_map(|(index, value)| self.still_in(value, below(&path, &index.to_string()))),
            Value::Object(fields) => fields.iter().find_map(|(name, value)| self.still_in(value, below(&path, name))),
            _ => None,
        }
    }
}

/// What a label or a person writes of an id that a program prints with a prefix, where enough is left to be told from other
/// numbers.
fn without_prefix(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = PREFIXES.iter().find_map(|prefix| {
        text.split_at_checked(prefix.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(prefix))
            .map(|(_, rest)| rest)
    })?;
    (bare.trim_start_matches('0').len() >= MIN_BARE_CHARS).then(|| bare.to_owned())
}

fn texts(value: &evidence::Value, found: &mut Vec<String>) {
    match value {
        evidence::Value::List(values) => values.iter().for_each(|value| texts(value, found)),
        // Yes and no are in every sentence.
        evidence::Value::Bool(_) => {}
        other => found.push(other.to_string()),
    }
}
