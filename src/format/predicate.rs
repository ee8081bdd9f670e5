//! What a report says of a machine: this tool's predicate of an in-toto Statement v1.
//!
//! Numbers beyond 2^53 and 64-bit seeds are text, since other JSON readers round them. What nothing fills yet is left
//! out of the JSON.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use crate::strict_json::{self, StrictJsonError};
use crate::{Check, Digest, Origin, Verdict, hex_bytes};

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
///
/// The type parameters are those of the fields of that name, the last one of one device's evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[serde(bound(
    serialize = "Claims: Serialize + Default + PartialEq, Platform: Serialize, Device: Serialize",
    deserialize = "Claims: Deserialize<'de> + Default, Platform: Deserialize<'de>, Device: Deserialize<'de>"
))]
#[schemars(rename = "Predicate", description = "What was seen of a machine, how, and what follows from it.")]
#[schemars(
    bound = "Claims: JsonSchema + Serialize + Default + PartialEq, Platform: JsonSchema + Serialize, Device: JsonSchema + Serialize"
)]
pub struct Predicate<Claims, Platform, Device> {
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
    pub identity: Json,
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
    #[serde(default, skip_serializing_if = "is_default")]
    pub claims: Claims,
    /// What devices signed of themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_evidence: Vec<Device>,
    /// Every evidence item by digest.
    pub evidence: Vec<EvidenceItem>,
    /// What each rule says about each part.
    pub checks: Vec<Check>,
    /// What follows.
    pub verdict: SignedVerdict,
}

/// JSON that has no type yet, or nothing. Unlike with an `Option`, `null` is a value, which the type then refuses.
#[derive(Debug, Default)]
pub struct Unread(Option<Json>);

impl Unread {
    /// Gives it a type; the type's default where there is nothing.
    ///
    /// # Errors
    ///
    /// It is not of that type.
    pub fn typed<T: DeserializeOwned + Default>(self) -> serde_json::Result<T> {
        self.0.map_or_else(|| Ok(T::default()), serde_json::from_value)
    }
}

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// A report as [`read`] gives it: an in-toto Statement v1, whose unknown fields beside the predicate are ignored. What few
/// reports have, and what the rest of the tool knows more of, has no type yet.
#[derive(Debug, Deserialize)]
pub struct ReportStatement {
    /// `_type`.
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// Which predicate it is.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// Everything that is said about them.
    pub predicate: Predicate<Unread, Json, Json>,
}

/// Reads a report from strict JSON of at most `max_bytes`.
///
/// # Errors
///
/// As of [`strict_json::from_slice`].
pub fn read(bytes: &[u8], max_bytes: usize) -> Result<ReportStatement, StrictJsonError> {
    strict_json::from_slice(bytes, max_bytes)
}

impl<Claims, Platform, Device> Predicate<Claims, Platform, Device> {
    /// The same with those three typed in another way.
    ///
    /// # Errors
    ///
    /// The first that one of the conversions gives.
    pub fn convert<C, R, S, E>(
        self,
        claims: impl FnOnce(Claims) -> Result<C, E>,
        platform: impl FnOnce(Platform) -> Result<R, E>,
        device_evidence: impl FnMut(Device) -> Result<S, E>,
    ) -> Result<Predicate<C, R, S>, E> {
        Ok(Predicate {
            report_id: self.report_id,
            previous: self.previous,
            challenge: self.challenge,
            session: self.session,
            tool: self.tool,
            databases: self.databases,
            origin: self.origin,
            policy: self.policy,
            identity: self.identity,
            platform: self.platform.map(platform).transpose()?,
            burnin: self.burnin,
            condition: self.condition,
            disclosures: self.disclosures,
            claims: claims(self.claims)?,
            device_evidence: self.device_evidence.into_iter().map(device_evidence).collect::<Result<_, E>>()?,
            evidence: self.evidence,
            checks: self.checks,
            verdict: self.verdict,
        })
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A link to an earlier report about the same unit. Links make a custody chain.
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
    /// `H("yanji/v1/session\0" || challenge || keyid || toolSha256 || startedAt)`: binds challenge, signer, tool and start.
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
    /// Libraries in its memory when the session began, each once; [`LoadedLibrary::LIST`] alone where that could not be read.
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
    /// The kernel's list of what is in the memory of a process. It stands for all libraries where it could not be read.
    pub const LIST: &str = "/proc/self/maps";

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
    pub result: Verdict,
    /// How much it rests on.
    pub assurance: Assurance,
    /// Why it is not `accepted`, or what it is accepted in spite of.
    pub reasons: Vec<String>,
}

/// Numbers up to 2^53 as such, larger ones as decimal text (RFC 8785, appendix D; RFC 7493, section 2.2).
mod exact {
    use super::*;

    const MAX_EXACT: u64 = crate::value::MAX_EXACT.unsigned_abs();

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
    fn what_is_left_unread_is_typed_or_refused() {
        let digest = Digest::of(b"");
        let typed = |claims: &str| {
            let json = format!(
                r#"{{"_type":"","subject":[],"predicateType":"","predicate":{{"reportId":"","session":{{"s0":"{digest}","startedAt":"","endedAt":""}},"tool":{{"version":"","binarySha256":"{digest}"}},"databases":[],"origin":"live","policy":{{"name":"","sha256":"{digest}"}},"identity":{{}},"disclosures":[],{claims}"evidence":[],"checks":[],"verdict":{{"result":"accepted","assurance":"L0","reasons":[]}}}}}}"#
            );
            let predicate = read(json.as_bytes(), 1 << 20).unwrap().predicate;
            predicate.convert(Unread::typed::<Vec<u8>>, Ok, Ok).map(|predicate| predicate.claims)
        };
        assert!(typed("").unwrap().is_empty());
        assert_eq!(typed(r#""claims":[7],"#).unwrap(), [7]);
        for other in [r#""claims":null,"#, r#""claims":{},"#] {
            assert!(typed(other).is_err(), "{other}");
        }
    }
}
