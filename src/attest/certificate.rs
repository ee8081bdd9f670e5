//! A certificate for the public: what a report comes to, with chosen values hidden.
//!
//! A hidden value is an object `{"hidden": DIGEST}` in its place, the digest being
//! `sha256("yanji/v1/redact\0" || salt || path || value)`: 32 random bytes a value, the place as a JSON Pointer (RFC 6901)
//! into the identity, and the text of the value (of what is no text, its canonical JSON). Without the salt nobody can try
//! out the few serial numbers that a maker gives; with it, who knows the value can tell that it is the one.
//!
//! For the same reason the subject `unit` is the digest of the identity as it stands here. The digest that the report has of
//! it would let anybody try out what is hidden, so that one is salted too, under the path [`UNIT_PATH`].

use std::collections::{BTreeMap, BTreeSet};

use ring::rand::{SecureRandom, SystemRandom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::acceptance::REPORT_SUBJECT;
use super::statement::{
    Contradiction, Database, PolicyRef, SignedVerdict, Statement, StatementError, Tool, UNIT_SUBJECT, subject,
    unit_subject,
};
use super::strict_json::{self, StrictJsonError};
use super::{Digest, Hasher};
use crate::evidence::Origin;

/// Type of the predicate.
pub const CERTIFICATE_TYPE: &str = "https://yanji.example/hw-certificate/v1";
/// Path of the salted digest of the report's own subject `unit`.
pub const UNIT_PATH: &str = "unit";
/// The largest file of salts that is read.
pub const MAX_SALTS_BYTES: usize = 16 << 20;
const SALT_BYTES: usize = 32;
/// Key of a hidden value's digest.
const HIDDEN: &str = "hidden";

/// What a report comes to. The raw evidence is not in it, so nothing in it can be derived again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// RFC 3339, by the clock of the machine that signed.
    pub issued_at: String,
    /// Digest of the envelope of the report.
    pub report: Digest,
    /// Keys that had signed the report, and whose signatures the signer of this certificate checked.
    pub report_signers: Vec<Digest>,
    /// Salted digest of the report's subject `unit`.
    pub unit: Digest,
    /// Beginning of the report's session, by the machine's own clock.
    pub started_at: String,
    /// Its end.
    pub ended_at: String,
    /// What made the report.
    pub tool: Tool,
    /// The data that its rules came from.
    pub databases: Vec<Database>,
    /// What turned its checks into the verdict.
    pub policy: PolicyRef,
    /// Where its evidence came from.
    pub origin: Origin,
    /// Who the machine said it is, with what is hidden as salted digests.
    pub identity: Value,
    /// What was asked to be hidden: `serials`, names of facts.
    pub hides: Vec<String>,
    /// What the records of the burn-in show, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burnin: Option<String>,
    /// Condition of the machine, in the words of whoever offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// What the seller declares.
    pub disclosures: Vec<String>,
    /// What each rule said about each part.
    pub checks: Vec<CertifiedCheck>,
    /// What followed.
    pub verdict: SignedVerdict,
}

/// What a rule said about a part, without the values that made it say so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertifiedCheck {
    /// Id of the rule.
    pub id: String,
    /// Id of the part.
    pub part: String,
    /// `clear`, `fires`, `inconclusive` or `not-applicable`.
    pub status: String,
}

/// The private file of a certificate: salts, and the values that they hide. Who is to match values that he knows himself
/// gets the file without them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Salts {
    /// Digest of the statement that hides the values.
    pub certificate: Digest,
    /// By path.
    pub salts: BTreeMap<String, Salt>,
}

/// The salt of one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Salt {
    /// 32 bytes as hexadecimal digits.
    pub salt: Digest,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What the salts of a certificate show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Revealed {
    /// Values that are the hidden ones, by path.
    pub values: Vec<(String, Value)>,
    /// Known texts as they are spelled where they are hidden, and the paths; a text as it was given, and none.
    pub known: Vec<(String, Vec<String>)>,
    /// Paths whose value is another than the private file says, or that hide nothing.
    pub wrong: Vec<(String, Value)>,
}

impl Salt {
    /// A new one for that value.
    pub(super) fn of(value: Value) -> Result<Self, ring::error::Unspecified> {
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt)?;
        Ok(Self { salt: Digest::from_bytes(salt), value: Some(value) })
    }
}

impl Salts {
    /// Reads a private file; duplicate keys and files of more than [`MAX_SALTS_BYTES`] are refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, StrictJsonError> {
        strict_json::from_slice(bytes, MAX_SALTS_BYTES)
    }
}

/// What stands for a hidden value.
pub(super) fn hidden(digest: Digest) -> Value {
    json!({ HIDDEN: digest })
}

/// The digest of a hidden value.
pub fn salted(salt: &Digest, path: &str, value: &Value) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"yanji/v1/redact\0");
    hasher.update(salt.as_bytes());
    hasher.update(path.as_bytes());
    match value {
        Value::String(text) => hasher.update(text.as_bytes()),
        // Facts are numbers up to 2^53, truth values and lists of them, which always have a canonical form.
        other => hasher.update(&serde_json_canonicalizer::to_vec(other).unwrap_or_default()),
    }
    hasher.finish()
}

/// One step deeper in a JSON Pointer.
pub(super) fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl Certificate {
    /// Every hidden value by path, [`UNIT_PATH`] among them.
    pub fn hidden(&self) -> BTreeMap<String, Digest> {
        let mut found = BTreeMap::from([(UNIT_PATH.to_owned(), self.unit)]);
        collect(&self.identity, String::new(), &mut found);
        found
    }

    /// Holds the private file and known texts against what is hidden.
    pub fn reveal(&self, salts: &Salts, known: &[String]) -> Revealed {
        let hidden = self.hidden();
        let mut revealed = Revealed::default();
        for (path, Salt { salt, value }) in &salts.salts {
            let Some(value) = value else { continue };
            let place = (path.clone(), value.clone());
            if hidden.get(path) == Some(&salted(salt, path, value)) {
                revealed.values.push(place);
            } else {
                revealed.wrong.push(place);
            }
        }
        let places = |text: &str| -> Vec<String> {
            let value = Value::from(text);
            let is = |path: &str, digest: &Digest| {
                salts.salts.get(path).is_some_and(|it| salted(&it.salt, path, &value) == *digest)
            };
            hidden.iter().filter(|(path, digest)| is(path, digest)).map(|(path, _)| path.clone()).collect()
        };
        for text in known.iter().map(|text| text.trim()) {
            // A label says in capitals what a machine may say in small letters.
            let spellings = BTreeSet::from([text.to_owned(), text.to_ascii_lowercase(), text.to_ascii_uppercase()]);
            let found = spellings.into_iter().map(|spelling| (places(&spelling), spelling));
            let before = revealed.known.len();
            revealed.known.extend(found.filter(|(paths, _)| !paths.is_empty()).map(|(paths, it)| (it, paths)));
            if revealed.known.len() == before {
                revealed.known.push((text.to_owned(), Vec::new()));
            }
        }
        revealed
    }
}

fn collect(value: &Value, path: String, found: &mut BTreeMap<String, Digest>) {
    match value {
        Value::Object(fields) => {
            if let (1, Some(digest)) =
                (fields.len(), fields.get(HIDDEN).and_then(Value::as_str).and_then(Digest::parse))
            {
                found.insert(path, digest);
                return;
            }
            for (name, value) in fields {
                collect(value, below(&path, name), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(value, below(&path, &index.to_string()), found);
            }
        }
        _ => {}
    }
}

impl Statement<Certificate> {
    /// A certificate about that report.
    pub fn certificate(predicate: Certificate) -> Result<Self, StatementError> {
        let subjects = vec![subject(REPORT_SUBJECT, predicate.report), unit_subject(&predicate.identity)?];
        Ok(Self::about(subjects, CERTIFICATE_TYPE, predicate))
    }

    pub(super) fn contradictions(&self) -> Vec<Contradiction> {
        let predicate = &self.predicate;
        let named = |name: &str| self.subject_sha256(name).map_or_else(|| "none".to_owned(), |it| it.to_string());
        let unit = match unit_subject(&predicate.identity) {
            Ok(unit) => unit.digest.sha256.to_string(),
            Err(error) => error.to_string(),
        };
        let statuses = ["clear", "fires", "inconclusive", "not-applicable"];
        let unknown = predicate.checks.iter().find(|check| !statuses.contains(&check.status.as_str()));
        let found = [
            Contradiction::of_time("issuedAt", &predicate.issued_at),
            Contradiction::of_time("startedAt", &predicate.started_at),
            Contradiction::of_time("endedAt", &predicate.ended_at),
            Contradiction::between("subject report", predicate.report, named(REPORT_SUBJECT)),
            Contradiction::between("subject unit", unit, named(UNIT_SUBJECT)),
            unknown.map(|check| Contradiction {
                what: format!("status of {:?}", check.id),
                expected: statuses.join(", "),
                observed: check.status.clone(),
            }),
        ];
        found.into_iter().flatten().collect()
    }
}
