//! The trust policy: whose signatures count for what, and what a report must reach.
//!
//! A policy is `trust.toml`, which a person edits, and `trust.toml.dsse.json` beside it: a statement about its digest,
//! signed by the policy's owner. It has a name, a version that only grows, and an end.
//!
//! ```toml
//! name = "acme"
//! version = 3
//! expires = "2027-03-01T00:00:00Z"
//!
//! [[key]]
//! name = "seller-inc"
//! public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"  # or PEM
//! roles = ["seller"]
//! scopes = ["certify"]                       # optional; what follows from the roles otherwise
//! valid_from = "2026-01-01T00:00:00Z"        # optional
//! valid_until = "2027-01-01T00:00:00Z"       # optional
//!
//! [threshold]                                # how many different keys of a role must sign
//! seller = 1
//!
//! [[root]]                                   # certificates that chains may end in
//! kind = "tpm"                               # nvidia-device-identity, tpm, tsa
//! pem = """-----BEGIN CERTIFICATE-----…"""
//!
//! [minimum]
//! assurance = "L1"
//! tool = "0.1.0"
//! signature_set = "2026.11.1"
//! max_age = "30d"
//!
//! [[image]]                                  # systems that may have made a report
//! name = "yanji-live"
//! version = "1"
//! pcr11 = "…"
//!
//! [[revoked]]
//! keyid = "74c181c7…"
//! compromised_at = "2026-02-01T00:00:00Z"    # left out: never trustworthy
//! reason = "laptop stolen"
//! ```

mod allowed_signers;
mod edit;
mod signed;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

use super::Digest;
use super::key::PublicKey;
use super::statement::Assurance;
use super::trust::TrustedKeys;

pub use allowed_signers::{AllowedSigner, Skipped, parse as parse_allowed_signers};
pub use edit::{NewKey, add_key, add_revocation, bump_version, template};
pub use signed::{OpenedPolicy, POLICY_TYPE, SeenPolicy, claimed_name, open, sign};

/// The largest policy that is read.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// Longest name of a policy, of a key, of an image.
const MAX_NAME_CHARS: usize = 100;

/// Why a text is not a policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Larger than [`MAX_POLICY_BYTES`].
    #[error("the policy has more than {MAX_POLICY_BYTES} bytes")]
    TooLarge,
    /// Not UTF-8.
    #[error("the policy is not UTF-8")]
    NotText,
    /// Not TOML, or not these fields.
    #[error("the policy cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value that means nothing.
    #[error("{what}: {why}")]
    Value {
        /// Where.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What a party is to a deal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Signs the policy.
    Owner,
    /// Offers machines and certifies them.
    Seller,
    /// Receives them.
    Buyer,
    /// A third party that looks at both.
    Auditor,
    /// Was there and signs what it saw.
    Witness,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Seller, Self::Buyer, Self::Auditor, Self::Witness];

    /// As in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Seller => "seller",
            Self::Buyer => "buyer",
            Self::Auditor => "auditor",
            Self::Witness => "witness",
        }
    }

    /// What a key of that role may sign when its policy entry does not say.
    fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Owner => &[Scope::Policy],
            Self::Seller | Self::Witness => &[Scope::Certify],
            Self::Buyer => &[Scope::Challenge, Scope::Acceptance],
            Self::Auditor => &[Scope::Certify, Scope::Challenge],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reports, alone or beside others.
    Certify,
    /// Challenges.
    Challenge,
    /// Receipts, and what voids one.
    Acceptance,
    /// The policy itself.
    Policy,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Certify, Self::Challenge, Self::Acceptance, Self::Policy];

    /// As in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certify => "certify",
            Self::Challenge => "challenge",
            Self::Acceptance => "acceptance",
            Self::Policy => "policy",
        }
    }
}

/// A key and what it is good for.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyKey {
    /// Name in reports.
    pub name: String,
    /// The key.
    pub public: PublicKey,
    /// What its holder is.
    pub roles: Vec<Role>,
    /// What it may sign.
    pub scopes: Vec<Scope>,
    /// Nothing signed before it counts.
    pub valid_from: Option<Timestamp>,
    /// Nothing signed after it counts.
    pub valid_until: Option<Timestamp>,
}

/// What a root certificate vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootKind {
    /// GPUs and switches of NVIDIA.
    NvidiaDeviceIdentity,
    /// TPMs of one vendor.
    Tpm,
    /// Timestamps (RFC 3161).
    Tsa,
}

/// A pinned root certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// What it vouches for.
    pub kind: RootKind,
    /// X.509 in DER.
    pub certificate_der: Vec<u8>,
}

/// What a report must reach. `None` asks for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Minimum {
    /// Level of the report as a whole.
    pub assurance: Option<Assurance>,
    /// Version of the tool that made it.
    pub tool: Option<Version>,
    /// Version of the signature set that it was made with.
    pub signature_set: Option<Version>,
    /// How long ago it may have been made.
    pub max_age: Option<SignedDuration>,
}

/// A system image that may have made a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it leaves in register 11 of a TPM (SHA-256 bank).
    pub pcr11: Digest,
}

/// A key that is not trusted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Which key.
    pub keyid: Digest,
    /// From when on somebody else could sign with it; `None`: always.
    pub compromised_at: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// Numbers between dots. Compared number by number: 0.10 is newer than 0.9.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u64>);

impl Version {
    /// Reads `1`, `0.1.0`, `2026.12.1`. Anything else is no version that could be compared.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let plain = !part.is_empty() && part.len() <= 18 && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        let mut numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
        while numbers.len() > 1 && numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self(numbers))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
    }
}

/// Whose signatures count for what, and what a report must reach.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustPolicy {
    /// Its name. Versions are counted by name.
    pub name: String,
    /// Grows with every change.
    pub version: u64,
    /// Not used after that.
    pub expires: Timestamp,
    /// Every key once.
    pub keys: Vec<PolicyKey>,
    /// How many different keys of a role must sign: a report, or for [`Role::Owner`] the policy.
    pub thresholds: BTreeMap<Role, usize>,
    /// Pinned root certificates.
    pub roots: Vec<Root>,
    /// What a report must reach.
    pub minimum: Minimum,
    /// Systems that may have made a report; empty: any.
    pub images: Vec<Image>,
    /// Keys that are not trusted any more, each once.
    pub revoked: Vec<Revocation>,
}

/// What a key's signature is worth at the time when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Good,
    /// It counts if it was made when it says; no trusted clock confirms that.
    Unproven(Objection),
    /// It does not count.
    Bad(Objection),
}

/// What speaks against a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// Whether the key was revoked; else its time is over or has not come.
    pub revoked: bool,
    /// What should be.
    pub expected: String,
    /// What is.
    pub observed: String,
}

impl TrustPolicy {
    /// Reads a policy. Nothing is said about who wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| PolicyError::NotText)?;
        toml::from_str::<Wire>(text)?.check()
    }

    /// The key with that id.
    pub fn key(&self, keyid: &Digest) -> Option<&PolicyKey> {
        self.keys.iter().find(|key| key.public.keyid() == *keyid)
    }

    /// The keys that may sign that, revoked ones too: see [`Self::standing`].
    pub fn keys_for(&self, scope: Scope) -> impl Iterator<Item = &PolicyKey> {
        self.keys.iter().filter(move |key| key.scopes.contains(&scope))
    }

    /// The keys whose signatures on reports count.
    pub fn trusted_keys(&self) -> TrustedKeys {
        TrustedKeys::from_public_keys(self.keys_for(Scope::Certify).map(|key| (key.name.clone(), key.public)))
    }

    /// How many owners must sign the policy.
    pub fn owner_threshold(&self) -> usize {
        self.thresholds.get(&Role::Owner).copied().unwrap_or(1)
    }

    /// The keys that may sign the next version.
    pub fn owners(&self) -> Vec<PublicKey> {
        let owners = self.keys_for(Scope::Policy).filter(|key| {
            key.roles.contains(&Role::Owner) && !self.revoked.iter().any(|it| it.keyid == key.public.keyid())
        });
        owners.map(|key| key.public).collect()
    }

    /// What a signature of that key is worth that claims to be from `claimed`. `proven` is a time before which a trusted
    /// clock saw it.
    pub fn standing(&self, key: &PolicyKey, claimed: Timestamp, proven: Option<Timestamp>, now: Timestamp) -> Standing {
        let keyid = key.public.keyid();
        let made = proven.unwrap_or(claimed);
        let how = if proven.is_some() { "by a trusted clock" } else { "as the report claims" };
        if let Some(revocation) = self.revoked.iter().find(|it| it.keyid == keyid) {
            let reason = &revocation.reason;
            let Some(compromised_at) = revocation.compromised_at else {
                return Standing::Bad(Objection {
                    revoked: true,
                    expected: "a key that is not revoked".to_owned(),
                    observed: format!("key {keyid} is revoked: {reason}"),
                });
            };
            let objection = Objection {
                revoked: true,
                expected: format!("a trusted timestamp from before {compromised_at}, when the key fell: {reason}"),
                observed: format!("signed at {made}, {how}"),
            };
            if made >= compromised_at {
                return Standing::Bad(objection);
            }
            if proven.is_none() {
                return Standing::Unproven(objection);
            }
        }
        let objection = |what: &str, limit: Timestamp| Objection {
            revoked: false,
            expected: format!("signed {what} {limit}, as the policy limits the key"),
            observed: format!("signed at {made}, {how}"),
        };
        match (key.valid_from, key.valid_until) {
            (Some(from), _) if made < from => Standing::Bad(objection("not before", from)),
            (_, Some(until)) if made > until => Standing::Bad(objection("not after", until)),
            // Whoever kept the key may have set back the clock.
            (_, Some(until)) if proven.is_none() && now > until => {
                Standing::Unproven(objection("with a trusted timestamp from not after", until))
            }
            _ => Standing::Good,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: String,
    version: u64,
    expires: String,
    #[serde(default)]
    key: Vec<WireKey>,
    #[serde(default)]
    threshold: BTreeMap<Role, usize>,
    #[serde(default)]
    root: Vec<WireRoot>,
    #[serde(default)]
    minimum: WireMinimum,
    #[serde(default)]
    image: Vec<Image>,
    #[serde(default)]
    revoked: Vec<WireRevoked>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireKey {
    name: String,
    public: String,
    roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<Scope>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRoot {
    kind: RootKind,
    pem: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMinimum {
    assurance: Option<Assurance>,
    tool: Option<String>,
    signature_set: Option<String>,
    max_age: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRevoked {
    keyid: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compromised_at: Option<String>,
    reason: String,
}

impl Wire {
    fn check(self) -> Result<TrustPolicy, PolicyError> {
        check_name("name", &self.name)?;
        let mut seen: HashMap<PublicKey, String> = HashMap::new();
        let mut keys = Vec::with_capacity(self.key.len());
        for key in self.key {
            let key = key.check()?;
            if let Some(other) = seen.insert(key.public, key.name.clone()) {
                // One holder under two names would count twice.
                return Err(wrong(&format!("key {:?}", key.name), format!("is the key of {other:?}")));
            }
            keys.push(key);
        }
        let mut revoked_ids = HashSet::new();
        let revoked = self
            .revoked
            .into_iter()
            .map(|it| {
                let what = format!("revoked {}", it.keyid);
                if !revoked_ids.insert(it.keyid) {
                    return Err(wrong(&what, "is there twice".to_owned()));
                }
                let compromised_at = it.compromised_at.as_deref().map(|text| time(&what, text)).transpose()?;
                Ok(Revocation { keyid: it.keyid, compromised_at, reason: it.reason })
            })
            .collect::<Result<_, PolicyError>>()?;
        for (role, count) in &self.threshold {
            let holders = keys.iter().filter(|key| key.roles.contains(role)).count();
            if *count > holders {
                return Err(wrong(
                    "threshold",
                    format!("asks for {count} keys of role {role}, and there are {holders}"),
                ));
            }
        }
        let roots =
            self.root.into_iter().enumerate().map(|(index, root)| root.check(index)).collect::<Result<_, _>>()?;
        for image in &self.image {
            check_name("image", &image.name)?;
        }
        let policy = TrustPolicy {
            expires: time("expires", &self.expires)?,
            name: self.name,
            version: self.version,
            keys,
            thresholds: self.threshold,
            roots,
            minimum: self.minimum.check()?,
            images: self.image,
            revoked,
        };
        let owners = policy.owners().len();
        if owners == 0 || owners < policy.owner_threshold() {
            let why = format!("{owners} keys may sign the next version, and it takes {}", policy.owner_threshold());
            return Err(wrong("owners", why));
        }
        Ok(policy)
    }
}

impl WireKey {
    fn check(self) -> Result<PolicyKey, PolicyError> {
        check_name("key", &self.name)?;
        let what = format!("key {:?}", self.name);
        let public = parse_public(&self.public).map_err(|why| wrong(&what, why))?;
        let scopes = match self.scopes {
            Some(scopes) => scopes,
            None => {
                let mut scopes: Vec<Scope> = self.roles.iter().flat_map(|role| role.scopes()).copied().collect();
                scopes.sort_unstable();
                scopes.dedup();
                scopes
            }
        };
        let limit = |text: Option<String>| text.as_deref().map(|text| time(&what, text)).transpose();
        let (valid_from, valid_until) = (limit(self.valid_from)?, limit(self.valid_until)?);
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && until <= from
        {
            return Err(wrong(&what, "is valid until before it is valid".to_owned()));
        }
        Ok(PolicyKey { name: self.name, public, roles: self.roles, scopes, valid_from, valid_until })
    }
}

impl WireRoot {
    fn check(self, index: usize) -> Result<Root, PolicyError> {
        let what = format!("root {index}");
        let (label, document) =
            pkcs8::Document::from_pem(self.pem.trim()).map_err(|error| wrong(&what, error.to_string()))?;
        if label != "CERTIFICATE" {
            return Err(wrong(&what, "is not a certificate in PEM".to_owned()));
        }
        Ok(Root { kind: self.kind, certificate_der: document.as_bytes().to_vec() })
    }
}

impl WireMinimum {
    fn check(self) -> Result<Minimum, PolicyError> {
        let version = |what: &str, text: Option<String>| {
            let parse = |text: String| {
                Version::parse(&text).ok_or_else(|| wrong(what, format!("{text:?} is not numbers between dots")))
            };
            text.map(parse).transpose()
        };
        Ok(Minimum {
            assurance: self.assurance,
            tool: version("minimum.tool", self.tool)?,
            signature_set: version("minimum.signature_set", self.signature_set)?,
            max_age: self
                .max_age
                .map(|text| parse_duration(&text).map_err(|why| wrong("minimum.max_age", why)))
                .transpose()?,
        })
    }
}

/// A public key as 64 hexadecimal digits or in PEM.
pub fn parse_public(text: &str) -> Result<PublicKey, String> {
    match PublicKey::from_hex(text.trim()) {
        Some(key) => Ok(key),
        None => {
            PublicKey::from_pem(text).map_err(|why| format!("is no public key (64 hexadecimal digits or PEM): {why}"))
        }
    }
}

/// A time that passes: `7d`, `12h`, `1d 6h`. A day has 24 hours.
pub fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let span = || -> Result<SignedDuration, jiff::Error> {
        text.parse::<Span>()?.to_duration(SpanRelativeTo::days_are_24_hours())
    };
    match span() {
        Ok(duration) if duration.is_positive() => Ok(duration),
        _ => Err(format!("{text:?} is no duration such as 7d, 12h or 30min")),
    }
}

fn time(what: &str, text: &str) -> Result<Timestamp, PolicyError> {
    text.parse().map_err(|_| wrong(what, format!("{text:?} is no time such as 2027-03-01T00:00:00Z")))
}

fn check_name(what: &str, name: &str) -> Result<(), PolicyError> {
    if (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(wrong(what, format!("a name has 1 to {MAX_NAME_CHARS} characters, none of them a control character")))
}

fn wrong(what: &str, why: String) -> PolicyError {
    PolicyError::Value { what: what.to_owned(), why }
}
