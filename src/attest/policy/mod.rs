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
//!
//! [[revoked_device]]                         # a GPU, a switch, a TPM: one of the first two
//! certificate = "4128D6A1F32E02BE9C"         # serial number of a certificate in its chain, hexadecimal
//! pdi = "0x28d6a1f32e02be9c"
//! revoked_at = "2026-02-01T00:00:00Z"        # left out: never trustworthy
//! reason = "stolen from the warehouse"
//! ```

mod allowed_signers;
mod edit;
mod signed;
mod wire;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

use super::Digest;
use super::device::Pdi;
use super::key::PublicKey;
use super::statement::Assurance;
use super::trust::TrustedKeys;

pub use allowed_signers::{AllowedSigner, Skipped, parse as parse_allowed_signers};
pub use edit::{NewKey, add_key, add_revocation, bump_version, template};
pub use signed::{OpenedPolicy, POLICY_TYPE, SIGNED_BY_OWNERS, SeenPolicy, claimed_name, open, sign};

/// The largest policy that is read.
pub const MAX_POLICY_BYTES: usize = 1 << 20;

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

impl PolicyKey {
    /// Whether it is good for one of these.
    pub fn may_sign(&self, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| self.scopes.contains(scope))
    }
}

/// A key that may sign a policy, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The key.
    pub public: PublicKey,
    /// Nothing signed before it counts.
    pub valid_from: Option<Timestamp>,
    /// Nothing signed after it counts.
    pub valid_until: Option<Timestamp>,
}

impl Owner {
    /// What speaks against a policy that it signs now. No clock says when a policy was signed, so it has to be now.
    pub fn untimely(&self, now: Timestamp) -> Option<Objection> {
        let objection = |what: &str, limit: Timestamp| Objection {
            revoked: false,
            expected: format!("key {} signs {what} {limit}", self.public.keyid()),
            observed: format!("now it is {now}"),
        };
        match (self.valid_from, self.valid_until) {
            (Some(from), _) if now < from => Some(objection("not before", from)),
            (_, Some(until)) if now > until => Some(objection("not after", until)),
            _ => None,
        }
    }
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

/// A device whose word does not count any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedDevice {
    /// Which one.
    pub id: DeviceId,
    /// From when on; `None`: always.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// What names a device in its own certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceId {
    /// Serial number of a certificate in its chain, upper-case hexadecimal digits.
    Certificate(String),
    /// The id that is burned into a chip of NVIDIA's.
    Pdi(Pdi),
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(serial) => write!(f, "certificate {serial}"),
            Self::Pdi(pdi) => write!(f, "PDI {pdi}"),
        }
    }
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
    /// Devices that are not.
    pub revoked_devices: Vec<RevokedDevice>,
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
        toml::from_str::<wire::Wire>(text)?.check()
    }

    /// The key with that id.
    pub fn key(&self, keyid: &Digest) -> Option<&PolicyKey> {
        self.keys.iter().find(|key| key.public.keyid() == *keyid)
    }

    /// The keys that may sign that, revoked ones too: see [`Self::standing`].
    pub fn keys_for(&self, scope: Scope) -> impl Iterator<Item = &PolicyKey> {
        self.keys.iter().filter(move |key| key.scopes.contains(&scope))
    }

    /// The keys whose signatures on some kind of document count. Which kind, [`Self::key`] tells of each.
    pub fn trusted_keys(&self) -> TrustedKeys {
        let some = |key: &&PolicyKey| key.may_sign(&[Scope::Certify, Scope::Acceptance]);
        TrustedKeys::from_public_keys(self.keys.iter().filter(some).map(|key| (key.name.clone(), key.public)))
    }

    /// How many owners must sign the policy.
    pub fn owner_threshold(&self) -> usize {
        self.thresholds.get(&Role::Owner).copied().unwrap_or(1)
    }

    /// The keys that may sign the next version.
    pub fn owners(&self) -> Vec<Owner> {
        let owners = self.keys_for(Scope::Policy).filter(|key| {
            key.roles.contains(&Role::Owner) && !self.revoked.iter().any(|it| it.keyid == key.public.keyid())
        });
        let owner =
            |key: &PolicyKey| Owner { public: key.public, valid_from: key.valid_from, valid_until: key.valid_until };
        owners.map(owner).collect()
    }

    /// What a report is worth in which a device of one of these ids speaks, signed at `claimed` as it says itself, or before
    /// `proven` as a trusted clock saw.
    pub fn device_standing(
        &self,
        is: impl Fn(&DeviceId) -> bool,
        claimed: Timestamp,
        proven: Option<Timestamp>,
    ) -> Standing {
        let of_device = self.revoked_devices.iter().filter(|revoked| is(&revoked.id));
        let worst = of_device
            .map(|RevokedDevice { id, revoked_at, reason }| {
                fallen("device", &id.to_string(), *revoked_at, reason, claimed, proven)
            })
            .max_by_key(|standing| match standing {
                Standing::Good => 0,
                Standing::Unproven(_) => 1,
                Standing::Bad(_) => 2,
            });
        worst.unwrap_or(Standing::Good)
    }

    /// What a signature of that key is worth that claims to be from `claimed`. `proven` is a time before which a trusted
    /// clock saw it.
    pub fn standing(&self, key: &PolicyKey, claimed: Timestamp, proven: Option<Timestamp>, now: Timestamp) -> Standing {
        let keyid = key.public.keyid();
        let made = proven.unwrap_or(claimed);
        let how = if proven.is_some() { "by a trusted clock" } else { "as the report claims" };
        if let Some(revocation) = self.revoked.iter().find(|it| it.keyid == keyid) {
            let Revocation { compromised_at, reason, .. } = revocation;
            let fallen = fallen("key", &format!("key {keyid}"), *compromised_at, reason, claimed, proven);
            if fallen != Standing::Good {
                return fallen;
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

/// What something signed is worth that hangs on what was revoked.
fn fallen(
    noun: &str,
    name: &str,
    at: Option<Timestamp>,
    reason: &str,
    claimed: Timestamp,
    proven: Option<Timestamp>,
) -> Standing {
    let Some(at) = at else {
        let observed = format!("{name} is revoked: {reason}");
        return Standing::Bad(Objection { revoked: true, expected: format!("a {noun} that is not revoked"), observed });
    };
    let made = proven.unwrap_or(claimed);
    let how = if proven.is_some() { "by a trusted clock" } else { "as the report claims" };
    let objection = Objection {
        revoked: true,
        expected: format!("a trusted timestamp from before {at}, when the {noun} fell: {reason}"),
        observed: format!("signed at {made}, {how}"),
    };
    match proven {
        _ if made >= at => Standing::Bad(objection),
        None => Standing::Unproven(objection),
        Some(_) => Standing::Good,
    }
}

/// A public key as 64 hexadecimal digits or in PEM.
pub fn parse_public(text: &str) -> Result<PublicKey, String> {
    PublicKey::parse(text).map_err(|why| format!("is no public key (64 hexadecimal digits or PEM): {why}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
name = "acme"
version = 7
expires = "2027-01-01T00:00:00Z"

[[key]]
name = "owner"
public = "0101010101010101010101010101010101010101010101010101010101010101"
roles = ["owner"]

[[key]]
name = "seller"
public = "0202020202020202020202020202020202020202020202020202020202020202"
roles = ["seller", "auditor"]
valid_from = "2026-01-01T00:00:00Z"
valid_until = "2026-07-01T00:00:00Z"

[threshold]
seller = 1

[minimum]
max_age = "30d"
tool = "0.10"

[[image]]
name = "live"
version = "1"
pcr11 = "74c181c7ad8a0855d4b55e44d2ba87aabdddb196832571f15f92fece332e4916"
"#;

    const NO_CERTIFICATE: &str = r#"
[[root]]
kind = "tsa"
pem = """
-----BEGIN CERTIFICATE-----
MAMCAQE=
-----END CERTIFICATE-----
"""
[[image]]"#;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn refused(from: &str, to: &str) -> String {
        assert!(POLICY.contains(from), "{from}");
        TrustPolicy::parse(POLICY.replace(from, to).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn every_value_means_something() {
        let policy = TrustPolicy::parse(POLICY.as_bytes()).unwrap();
        assert_eq!(policy.minimum.max_age, Some(SignedDuration::from_hours(720)));
        assert_eq!(policy.keys[1].scopes, [Scope::Certify, Scope::Challenge]);
        let owner = Owner { public: PublicKey::from_bytes([1; 32]), valid_from: None, valid_until: None };
        assert_eq!(policy.owners(), [owner]);
        assert_eq!(policy.trusted_keys().len(), 1);
        assert_eq!(policy.images[0].name, "live");
        for (from, to, words) in [
            ("version = 7", "version = -1", "version"),
            ("version = 7", "version = 7\nversions = 8", "unknown field"),
            ("2027-01-01T00:00:00Z", "2027-01-01", "is no time such as"),
            ("roles = [\"owner\"]", "roles = [\"boss\"]", "unknown variant"),
            ("roles = [\"owner\"]", "roles = [\"buyer\"]", "0 keys may sign the next version"),
            ("seller = 1", "seller = 2", "asks for 2 keys of role seller, and there are 1"),
            ("seller = 1", "owner = 2", "asks for 2"),
            ("02020202020202020202020202020202020202020202020202", "", "no public key"),
            ("max_age = \"30d\"", "max_age = \"-30d\"", "no duration"),
            ("tool = \"0.10\"", "tool = \"0.10-rc\"", "not numbers between dots"),
            ("2026-07-01", "2025-07-01", "valid until before it is valid"),
            ("name = \"live\"", "name = \"a\\u001bb\"", "control character"),
            ("[[image]]", "[[root]]\nkind = \"tpm\"\npem = \"x\"\n[[image]]", "root 0"),
            ("[[image]]", NO_CERTIFICATE, "root 0: is not a certificate that chains can end in"),
        ] {
            let message = refused(from, to);
            assert!(message.contains(words), "{to}: {message}");
        }
        let deep = format!("name = {}", "[".repeat(100_000));
        assert!(matches!(TrustPolicy::parse(deep.as_bytes()), Err(PolicyError::Toml(_))));
        assert!(matches!(TrustPolicy::parse(&vec![b' '; MAX_POLICY_BYTES + 1]), Err(PolicyError::TooLarge)));
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        let version = |text| Version::parse(text).unwrap();
        assert!(
            version("0.10") > version("0.9.9")
                && version("1.0") == version("1")
                && version("2026.12.1") > version("2026.12")
        );
        for text in ["", "1.", "1.a", "1.-1", "v1", "1.2-rc", "9999999999999999999"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_signature_is_worth_depends_on_when_it_was_made_and_who_says_so() {
        let now = time("2026-06-01T00:00:00Z");
        let mut policy = TrustPolicy::parse(POLICY.as_bytes()).unwrap();
        let seller = policy.keys[1].clone();
        let standing = |policy: &TrustPolicy, claimed: &str, proven: Option<&str>, now| match policy.standing(
            &seller,
            time(claimed),
            proven.map(time),
            now,
        ) {
            Standing::Good => "good",
            Standing::Unproven(Objection { revoked: true, .. }) => "unproven, revoked",
            Standing::Unproven(_) => "unproven",
            Standing::Bad(Objection { revoked: true, .. }) => "bad, revoked",
            Standing::Bad(_) => "bad",
        };
        let (before, within, after) = ("2025-12-31T00:00:00Z", "2026-03-01T00:00:00Z", "2026-08-01T00:00:00Z");
        assert_eq!(standing(&policy, within, None, now), "good");
        assert_eq!(standing(&policy, before, None, now), "bad");
        assert_eq!(standing(&policy, after, None, now), "bad");
        // The trusted clock counts, whatever is claimed.
        assert_eq!(standing(&policy, within, Some(after), now), "bad");
        let later = time("2026-09-01T00:00:00Z");
        assert_eq!(standing(&policy, within, None, later), "unproven");
        assert_eq!(standing(&policy, within, Some(within), later), "good");

        let keyid = seller.public.keyid();
        let compromised_at = Some(time("2026-04-01T00:00:00Z"));
        policy.revoked = vec![Revocation { keyid, compromised_at, reason: "stolen".to_owned() }];
        let (earlier, meanwhile) = ("2026-03-31T23:59:59Z", "2026-04-01T00:00:00Z");
        assert_eq!(standing(&policy, earlier, None, now), "unproven, revoked");
        assert_eq!(standing(&policy, earlier, Some(earlier), now), "good");
        assert_eq!(standing(&policy, earlier, Some(meanwhile), now), "bad, revoked");
        assert_eq!(standing(&policy, meanwhile, None, now), "bad, revoked");
        policy.revoked[0].compromised_at = None;
        assert_eq!(standing(&policy, earlier, Some(earlier), now), "bad, revoked");
    }
}
