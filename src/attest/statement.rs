//! What is signed: an in-toto Statement v1 with this tool's predicate.
//!
//! Numbers beyond 2^53 and 64-bit seeds are text, since other JSON readers round them. What nothing fills yet is left
//! out of the JSON.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::device::DeviceEvidence;
use super::evidence_tar::Written;
use super::tpm::Platform;
use super::{Digest, Hasher};
use crate::claim::Order;
use crate::evidence::Origin;
use crate::policy;
use crate::rule::Check;

/// `_type` of an in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Type of this tool's predicate.
pub const PREDICATE_TYPE: &str = "https://yanji.example/hw-authenticity/v1";
/// Name of the subject whose digest is that of the identity.
pub const UNIT_SUBJECT: &str = "unit";
/// Name of the subject, and of the file, that holds the raw evidence.
pub const EVIDENCE_SUBJECT: &str = "evidence.tar";

/// An in-toto Statement v1, a report's unless another predicate is named. Unknown fields beside the predicate are ignored,
/// as that specification demands; inside the predicate they are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Statement")]
pub struct Statement<P = Predicate> {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What it is about. A report is about the unit, its evidence, and the parts that have an id of their own.
    pub subject: Vec<Subject>,
    /// Which predicate it is: [`PREDICATE_TYPE`] of a report.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// Everything that is said about them.
    pub predicate: P,
}

/// Something that the statement is about, named by digest (in-toto ResourceDescriptor).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// `unit`, `evidence.tar` or `hwid:TYPE:…`.
    pub name: String,
    /// Its digest.
    pub digest: DigestSet,
}

/// The digests of a subject (in-toto DigestSet); other algorithms than SHA-256 are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DigestSet {
    /// SHA-256.
    pub sha256: Digest,
}

/// What was seen of a machine, how, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Predicate {
    /// Unique a report.
    pub report_id: String,
    /// The earlier report about the same unit that this one goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// What the buyer or auditor asked to be bound in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// When and under which boot.
    pub session: Session,
    /// What made the report.
    pub tool: Tool,
    /// The data that the rules came from.
    pub databases: Vec<Database>,
    /// Where the evidence came from.
    pub origin: Origin,
    /// What turned checks into the verdict.
    pub policy: PolicyRef,
    /// Who the machine says it is: an object, part kinds by name.
    pub identity: serde_json::Value,
    /// What the platform's roots of trust signed, where they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The burn-in, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burnin: Option<BurnIn>,
    /// Condition of the machine, in the words of whoever offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// What the seller declares: repairs, replaced parts, known faults.
    pub disclosures: Vec<String>,
    /// What the parts are offered as. The rules hold them against it.
    #[serde(default, skip_serializing_if = "Order::is_empty")]
    pub claims: Order,
    /// What devices signed of themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_evidence: Vec<DeviceEvidence>,
    /// Every evidence item by digest.
    pub evidence: Vec<EvidenceItem>,
    /// What each rule says about each part.
    pub checks: Vec<Check>,
    /// What follows.
    pub verdict: SignedVerdict,
}

/// A link to an earlier report about the same unit. Links make a custody chain: see [`super::history`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Previous {
    /// Digest of its envelope, as it was when the link was made. Signatures that were added since change the digest of
    /// the file.
    pub sha256: Digest,
    /// What it is to this report.
    pub relation: Relation,
}

/// What an earlier report is to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// It shows the unit as it was built.
    AsBuilt,
    /// It shows the unit as it was delivered.
    AsDelivered,
    /// The later report takes its place.
    Supersedes,
}

impl Relation {
    /// `as-built`, `as-delivered` or `supersedes`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsBuilt => "as-built",
            Self::AsDelivered => "as-delivered",
            Self::Supersedes => "supersedes",
        }
    }
}

/// Random bytes that a report has to contain, so that it can't have been made before they were known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenge {
    /// 32 bytes as 64 hexadecimal digits.
    #[serde(with = "hex_bytes")]
    #[schemars(with = "String")]
    pub value: [u8; 32],
    /// Who chose them.
    pub source: ChallengeSource,
    /// Id of the key that signed them, when they came in a signed challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Digest>,
    /// RFC 3339: from when on they could be known, as the issuer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
    /// RFC 3339: until when a session may begin, as the issuer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What the issuer asked for: an order number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

impl Challenge {
    /// Bytes that nobody signed.
    pub fn unsigned(value: [u8; 32], source: ChallengeSource) -> Self {
        Self { value, source, issuer: None, issued_at: None, expires_at: None, purpose: None }
    }
}

/// Who chose a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeSource {
    /// Whoever receives the machine.
    Buyer,
    /// A third party.
    Auditor,
    /// The reporting machine itself, which proves nothing about time.
    #[serde(rename = "self")]
    Own,
}

/// One run of the tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Session {
    /// [`session_id`]: binds challenge, signer, tool and start.
    pub s0: Digest,
    /// RFC 3339, by the machine's own clock.
    pub started_at: String,
    /// RFC 3339, by the machine's own clock.
    pub ended_at: String,
    /// `/proc/sys/kernel/random/boot_id`, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Last link of the burn-in's record chain, when there was a burn-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_head: Option<Digest>,
}

/// The program that made the report, as it describes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// Digest of its executable.
    pub binary_sha256: Digest,
    /// What it was built from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// Libraries in its memory when the session began, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaded_libs: Vec<LoadedLibrary>,
}

/// A library that was loaded into the tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadedLibrary {
    /// Its file.
    pub path: String,
    /// Digest of that file; `None` where it could not be read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

impl LoadedLibrary {
    /// Whether it lies where no package puts a library: somebody put it in front, by `LD_PRELOAD` or a search path.
    pub fn is_foreign(&self) -> bool {
        const FOREIGN: [&str; 8] = ["/home/", "/root/", "/tmp/", "/var/tmp/", "/dev/", "/mnt/", "/media/", "/srv/"];
        FOREIGN.iter().any(|folder| self.path.starts_with(folder))
    }
}

/// A set of data that rules came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// `signatures`, `vendor-roots`, `revocations`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its digest.
    pub sha256: Digest,
}

/// The policy by name and content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub sha256: Digest,
}

/// A burn-in and the log that shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BurnIn {
    /// What was run.
    pub profile: String,
    /// Where its pseudo-random data began. Text: a 64-bit number that no reader may round.
    pub seed: String,
    /// The log.
    pub records: Records,
}

/// The log of a burn-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Records {
    /// Digest of the log.
    pub sha256: Digest,
    /// Records in it.
    #[serde(with = "exact")]
    #[schemars(with = "Exact")]
    pub count: u64,
}

/// One piece of raw evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceItem {
    /// Its path in `evidence.tar`.
    pub id: String,
    /// What it is (RFC 6838).
    pub media_type: String,
    /// Its digest.
    pub sha256: Digest,
    /// Its size.
    #[serde(with = "exact")]
    #[schemars(with = "Exact")]
    pub bytes: u64,
    /// Its bytes again, when they are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<Inline>,
}

/// How a 64-bit number is written: as a number up to 2^53, as text beyond.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the JSON only")]
enum Exact {
    Number(u64),
    Text(String),
}

/// Bytes inside of the statement: standard base64 with padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Inline(pub Vec<u8>);

impl std::fmt::Debug for Inline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inline({} bytes)", self.0.len())
    }
}

impl JsonSchema for Inline {
    fn schema_name() -> Cow<'static, str> {
        "Inline".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "contentEncoding": "base64" })
    }
}

impl Serialize for Inline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Inline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl de::Visitor<'_> for Base64 {
            type Value = Inline;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("base64")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Inline, E> {
                STANDARD.decode(text).map(Inline).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

/// How much a claim rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Assurance {
    /// Software on the machine says so.
    L0,
    /// Two or more independent paths agree.
    L1,
    /// The device signed it itself, and freshly.
    L2,
    /// L2, on a system image that a TPM proves, answering a third party's challenge.
    L3,
}

impl std::fmt::Display for Assurance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// The verdict, what it rests on, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedVerdict {
    /// The result.
    pub result: policy::Verdict,
    /// How much it rests on.
    pub assurance: Assurance,
    /// Why it is not `accepted`, or what it is accepted in spite of.
    pub reasons: Vec<String>,
}

/// Something in a statement that contradicts something else in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Where.
    pub what: String,
    /// What the rest of the statement leads to.
    pub expected: String,
    /// What is there.
    pub observed: String,
}

impl Contradiction {
    /// The two, where they differ.
    pub(super) fn between(what: &str, expected: impl ToString, observed: impl ToString) -> Option<Self> {
        let (expected, observed) = (expected.to_string(), observed.to_string());
        (expected != observed).then(|| Self { what: what.to_owned(), expected, observed })
    }

    /// A time that is none.
    pub(super) fn of_time(what: &str, text: &str) -> Option<Self> {
        let bad = text.parse::<jiff::Timestamp>().is_err();
        bad.then(|| Self { what: what.to_owned(), expected: "RFC 3339".to_owned(), observed: text.to_owned() })
    }
}

/// Why a statement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The identity is not something that RFC 8785 can serialise.
    #[error("the identity has no canonical form")]
    Canonical(#[source] serde_json::Error),
    /// The identity is not an object.
    #[error("the identity is not an object")]
    NotAnObject,
    /// Cannot be written as JSON.
    #[error("the statement cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl<P: Serialize> Statement<P> {
    /// The JSON that is signed, without white space.
    pub fn to_json(&self) -> Result<Vec<u8>, StatementError> {
        serde_json::to_vec(self).map_err(StatementError::Json)
    }
}

impl<P> Statement<P> {
    /// A statement of that type about those subjects.
    pub fn about(subject: Vec<Subject>, predicate_type: &str, predicate: P) -> Self {
        let (statement_type, predicate_type) = (STATEMENT_TYPE.to_owned(), predicate_type.to_owned());
        Self { statement_type, subject, predicate_type, predicate }
    }

    /// The digest of the only subject of that name; `None` where there is none, or more than one.
    pub fn subject_sha256(&self, name: &str) -> Option<Digest> {
        let mut named = self.subject.iter().filter(|subject| subject.name == name);
        let digest = named.next()?.digest.sha256;
        named.next().is_none().then_some(digest)
    }
}

impl Statement {
    /// A statement about the unit that `predicate.identity` describes and about those parts ([`part_subject`]). Its
    /// evidence is added by [`Self::set_evidence`].
    pub fn new(predicate: Predicate, parts: Vec<Subject>) -> Result<Self, StatementError> {
        let mut subject = vec![unit_subject(&predicate.identity)?];
        subject.extend(parts);
        Ok(Self::about(subject, PREDICATE_TYPE, predicate))
    }

    /// Names the evidence as it was written.
    pub fn set_evidence(&mut self, written: Written) {
        self.subject.retain(|subject| subject.name != EVIDENCE_SUBJECT);
        let at = self.subject.len().min(1);
        self.subject.insert(at, evidence_subject(written.sha256));
        self.predicate.evidence = written.items;
    }

    /// The digest of `evidence.tar`, when there is such a subject.
    pub fn evidence_sha256(&self) -> Option<Digest> {
        self.subject.iter().find(|subject| subject.name == EVIDENCE_SUBJECT).map(|subject| subject.digest.sha256)
    }

    /// What in this statement contradicts the rest of it: the unit's digest, times, the session id (of one of
    /// `signers`), ids that are there twice, inline bytes that are not those of their digest.
    pub fn contradictions(&self, signers: &[Digest]) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let mut differ = |what: &str, expected: String, observed: String| {
            found.push(Contradiction { what: what.to_owned(), expected, observed });
        };
        let predicate = &self.predicate;
        for name in [UNIT_SUBJECT, EVIDENCE_SUBJECT] {
            let count = self.subject.iter().filter(|subject| subject.name == name).count();
            if count != 1 {
                differ(&format!("subjects named {name}"), "1".to_owned(), count.to_string());
            }
        }
        if let Some(unit) = self.subject.iter().find(|subject| subject.name == UNIT_SUBJECT) {
            let observed = unit.digest.sha256;
            match unit_subject(&predicate.identity).map(|unit| unit.digest.sha256) {
                Ok(expected) if expected == observed => {}
                Ok(expected) => differ("digest of the subject unit", expected.to_string(), observed.to_string()),
                Err(error) => differ("identity", "an object".to_owned(), error.to_string()),
            }
        }

        let session = &predicate.session;
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
        match (time(&session.started_at), time(&session.ended_at)) {
            (Some(started), Some(ended)) if started <= ended => {}
            _ => differ(
                "session times",
                "RFC 3339, the end not before the start".to_owned(),
                format!("{} to {}", session.started_at, session.ended_at),
            ),
        }
        let s0 = |signer| {
            session_id(predicate.challenge.as_ref(), signer, &predicate.tool.binary_sha256, &session.started_at)
        };
        if !signers.iter().any(|signer| s0(signer) == session.s0) {
            let expected = signers.first().map_or_else(|| "a signer".to_owned(), |signer| s0(signer).to_string());
            differ("session.s0", expected, session.s0.to_string());
        }

        let mut ids = BTreeSet::new();
        for item in &predicate.evidence {
            if !ids.insert(&item.id) {
                differ("evidence ids", "each one once".to_owned(), format!("{:?} twice", item.id));
            }
            if let Some(Inline(bytes)) = &item.inline {
                let observed = (bytes.len() as u64, Digest::of(bytes));
                if observed != (item.bytes, item.sha256) {
                    differ(
                        &format!("inline bytes of {:?}", item.id),
                        format!("{} bytes, {}", item.bytes, item.sha256),
                        format!("{} bytes, {}", observed.0, observed.1),
                    );
                }
            }
        }
        found
    }
}

/// The subject `unit`: SHA-256 of the identity's canonical JSON (RFC 8785).
pub fn unit_subject(identity: &serde_json::Value) -> Result<Subject, StatementError> {
    if !identity.is_object() {
        return Err(StatementError::NotAnObject);
    }
    let canonical = serde_json_canonicalizer::to_vec(identity).map_err(StatementError::Canonical)?;
    Ok(subject(UNIT_SUBJECT, Digest::of(&canonical)))
}

/// A subject by name and digest.
pub fn subject(name: &str, sha256: Digest) -> Subject {
    Subject { name: name.to_owned(), digest: DigestSet { sha256 } }
}

/// The subject `evidence.tar`.
pub fn evidence_subject(sha256: Digest) -> Subject {
    subject(EVIDENCE_SUBJECT, sha256)
}

/// The subject of one part that has an id of its own: `H("hwid/v1\0" || type || id)`, so that two reports can be
/// matched by it while the id itself stays out of the name. `id_type` is a fixed word such as `nvidia-pdi`.
pub fn part_subject(id_type: &str, id: &str) -> Subject {
    let mut hasher = Hasher::new();
    for bytes in ["hwid/v1\0", id_type, id] {
        hasher.update(bytes.as_bytes());
    }
    let sha256 = hasher.finish();
    Subject { name: format!("hwid:{id_type}:{:.16}", sha256.to_string()), digest: DigestSet { sha256 } }
}

/// The session id `s0 = H("yanji/v1/session\0" || challenge || keyid || toolSha256 || startedAt)`. Digests and the
/// challenge are 32 raw bytes each; without a challenge there are none, and the text of a time can't stand in for them.
pub fn session_id(challenge: Option<&Challenge>, keyid: &Digest, tool_sha256: &Digest, started_at: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"yanji/v1/session\0");
    if let Some(challenge) = challenge {
        hasher.update(&challenge.value);
    }
    hasher.update(keyid.as_bytes());
    hasher.update(tool_sha256.as_bytes());
    hasher.update(started_at.as_bytes());
    hasher.finish()
}

/// 32 bytes as lower-case hexadecimal digits.
pub(super) mod hex_bytes {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        Digest::from_bytes(*bytes).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        Digest::deserialize(deserializer).map(|digits| *digits.as_bytes())
    }
}

/// Numbers up to 2^53 as such, larger ones as decimal text (RFC 8785, appendix D; RFC 7493, section 2.2).
mod exact {
    use super::*;

    const MAX_EXACT: u64 = 1 << 53;

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *number <= MAX_EXACT { serializer.serialize_u64(*number) } else { serializer.collect_str(number) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        struct Number;
        impl de::Visitor<'_> for Number {
            type Value = u64;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number up to 2^53, or a larger one as decimal text")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
                if number <= MAX_EXACT {
                    Ok(number)
                } else {
                    Err(E::invalid_value(de::Unexpected::Unsigned(number), &self))
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                match text.parse::<u64>() {
                    Ok(number) if number > MAX_EXACT && number.to_string() == text => Ok(number),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keep_every_bit() {
        for (number, json) in [(7, "7"), (1 << 53, "9007199254740992"), ((1 << 53) + 1, "\"9007199254740993\"")] {
            let records = Records { sha256: Digest::of(b""), count: number };
            let text = serde_json::to_string(&records).unwrap();
            assert!(text.ends_with(&format!("\"count\":{json}}}")), "{text}");
            assert_eq!(serde_json::from_str::<Records>(&text).unwrap(), records);
        }
        for json in ["9007199254740993", "\"7\"", "\"09007199254740993\"", "-1", "1.5"] {
            let text = format!("{{\"sha256\":\"{}\",\"count\":{json}}}", Digest::of(b""));
            assert!(serde_json::from_str::<Records>(&text).is_err(), "{json}");
        }
    }

    #[test]
    fn the_unit_does_not_depend_on_the_order_of_keys() {
        let unit = |json: &str| unit_subject(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(unit(r#"{"b":1,"a":[2]}"#), unit(r#"{ "a": [2], "b": 1.0 }"#));
        assert_eq!(unit(r#"{"a":1}"#).digest.sha256, Digest::of(br#"{"a":1}"#));
        assert!(unit_subject(&serde_json::json!([])).is_err());
    }
}
