//! Whether a policy is the one that its owner signed last.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Objection, Owner, PolicyError, TrustPolicy};
use crate::attest::Digest;
use crate::attest::envelope::Envelope;
use crate::attest::key::{Key, PublicKey};
use crate::attest::signed::{self as envelopes, Kind};
use crate::attest::verify::{Failure, FailureClass};

/// Type of the predicate.
pub const POLICY_TYPE: &str = "https://yanji.example/trust-policy/v1";
/// What fails where too few owners signed, or too few of their keys are known.
pub const SIGNED_BY_OWNERS: &str = "owners who signed the policy";
const KIND: Kind = Kind { predicate_type: POLICY_TYPE, subject: "trust.toml" };

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Predicate {
    name: String,
    version: String,
    expires: String,
}

impl Predicate {
    fn of(policy: &TrustPolicy) -> Self {
        // A version is text: other readers round numbers beyond 2^53.
        Self { name: policy.name.clone(), version: policy.version.to_string(), expires: policy.expires.to_string() }
    }
}

/// The highest version of a policy that a verifier has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPolicy {
    /// Its version.
    pub version: u64,
    /// Digest of its text.
    pub sha256: Digest,
    /// How many owners must sign the next one.
    pub owner_threshold: usize,
    /// Who may sign the next one.
    pub owners: Vec<Owner>,
    /// Who signed this one. It may name other owners than them.
    pub signers: Vec<PublicKey>,
}

/// A policy that holds.
#[derive(Debug, Clone)]
pub struct OpenedPolicy {
    /// The policy.
    pub policy: TrustPolicy,
    /// Digest of its text.
    pub sha256: Digest,
    /// Owners whose signatures were checked.
    pub signers: Vec<PublicKey>,
}

impl OpenedPolicy {
    /// What a verifier has to remember of it.
    pub fn seen(&self) -> SeenPolicy {
        SeenPolicy {
            version: self.policy.version,
            sha256: self.sha256,
            owner_threshold: self.policy.owner_threshold(),
            owners: self.policy.owners(),
            signers: self.signers.clone(),
        }
    }
}

/// Signs a policy's text. A signature that is there already, over the same text, stays beside the new one.
pub fn sign(toml: &[u8], earlier: Option<&[u8]>, key: &Key) -> Result<Envelope, PolicyError> {
    let policy = TrustPolicy::parse(toml)?;
    let json = |error: serde_json::Error| PolicyError::Value { what: "signature".to_owned(), why: error.to_string() };
    let mut signed = envelopes::sign(KIND, Digest::of(toml), Predicate::of(&policy), key).map_err(json)?;
    let earlier = earlier.and_then(|bytes| Envelope::parse(bytes).ok());
    if let Some(mut earlier) = earlier.filter(|earlier| earlier.payload == signed.payload) {
        earlier.signatures.retain(|signature| signature.keyid != key.public().keyid());
        earlier.signatures.append(&mut signed.signatures);
        return Ok(earlier);
    }
    Ok(signed)
}

/// The name that a policy's text gives itself, to look up what was seen of it. Not checked.
pub fn claimed_name(toml: &[u8]) -> Option<String> {
    TrustPolicy::parse(toml).ok().map(|policy| policy.name)
}

/// A policy from its text and the envelope beside it.
///
/// `seen` is what was accepted before under its name. Then its owners, and nobody else, sign the next version: so a key is
/// handed over by the policy that the old one signs. A name that was never seen must be signed by one of `anchors`, keys that
/// the verifier knows from elsewhere.
///
/// A signature counts in the time of its key only, as the last version limits it, or this one where none was seen. The very
/// policy that was accepted before was signed in time.
pub fn open(
    toml: &[u8],
    envelope: Option<&[u8]>,
    anchors: &[PublicKey],
    seen: Option<&SeenPolicy>,
    now: Timestamp,
) -> Result<OpenedPolicy, Failure> {
    let refuse =
        |what: &str, expected: &str, observed: &str| Failure::new(FailureClass::Policy, what, expected, observed);
    let envelope = envelope.ok_or_else(|| {
        refuse("signature of the policy", "trust.toml.dsse.json beside it, signed by its owner", "no such file")
    })?;
    let opened = envelopes::open::<Predicate>(KIND, envelope)
        .map_err(|error| refuse("signature of the policy", "a signed statement about the policy", &chain(&error)))?;
    let sha256 = Digest::of(toml);
    // The very policy that was accepted before is signed by whom it was signed then.
    let (owners, from) = match seen {
        None => (anchors.to_vec(), "a key that is known beforehand"),
        Some(seen) if seen.sha256 == sha256 => (seen.signers.clone(), "who signed it when it was seen first"),
        Some(seen) => (seen.owners.iter().map(|owner| owner.public).collect(), "an owner that the last version names"),
    };
    let mut signers = envelopes::signers(&opened.envelope, &owners).map_err(|keyid| {
        let expected = format!("a signature by key {keyid} over these bytes");
        refuse("signature of the policy", &expected, "a signature over other bytes, or a damaged one")
    })?;
    if signers.is_empty() {
        let by =
            |keys: &mut dyn Iterator<Item = Digest>| keys.map(|id| format!("key {id}")).collect::<Vec<_>>().join(", ");
        let known = by(&mut owners.iter().map(PublicKey::keyid));
        let known = if known.is_empty() { "there is none".to_owned() } else { known };
        let observed = by(&mut opened.envelope.signatures.iter().map(|it| it.keyid));
        return Err(refuse("signer of the policy", &format!("{from}: {known}"), &observed));
    }
    if sha256 != opened.subject {
        return Err(refuse("digest of the policy", &opened.subject.to_string(), &sha256.to_string()));
    }
    let policy =
        TrustPolicy::parse(toml).map_err(|error| refuse("policy", "a policy that can be read", &chain(&error)))?;
    let said = Predicate::of(&policy);
    if opened.predicate != said {
        let show = |it: &Predicate| format!("{:?} version {} until {}", it.name, it.version, it.expires);
        return Err(refuse("policy", &show(&opened.predicate), &show(&said)));
    }
    let limits = match seen {
        None => policy.owners(),
        Some(seen) if seen.sha256 == sha256 => Vec::new(),
        Some(seen) => seen.owners.clone(),
    };
    // One that does not count spoils nothing that others carry.
    let mut untimely = None;
    signers.retain(|key| {
        let objection = limits.iter().filter(|owner| owner.public == *key).find_map(|owner| owner.untimely(now));
        let counts = objection.is_none();
        untimely = untimely.take().or(objection);
        counts
    });
    // A lower threshold takes as many owners as the one before.
    let before = seen.filter(|seen| seen.sha256 != sha256).map_or(1, |seen| seen.owner_threshold);
    let needed = before.max(policy.owner_threshold()).max(1);
    if signers.len() < needed {
        if let Some(Objection { expected, observed, .. }) = untimely {
            return Err(refuse("time of an owner's key", &expected, &observed));
        }
        let mut named: Vec<Digest> = opened.envelope.signatures.iter().map(|it| it.keyid).collect();
        named.sort_unstable();
        named.dedup();
        let observed = format!("{} known here, of {} that signed", signers.len(), named.len());
        return Err(refuse(SIGNED_BY_OWNERS, &format!("{needed} different keys"), &observed));
    }
    if let Some(seen) = seen {
        let same = policy.version == seen.version;
        if policy.version < seen.version || same && sha256 != seen.sha256 {
            let expected = format!("version {} ({}) or a later one", seen.version, seen.sha256);
            let observed = format!("version {} ({sha256})", policy.version);
            return Err(refuse("version of the policy", &expected, &observed));
        }
    }
    if now > policy.expires {
        let (expected, observed) = (format!("used until {}", policy.expires), format!("now it is {now}"));
        return Err(refuse("time of the policy", &expected, &observed));
    }
    Ok(OpenedPolicy { policy, sha256, signers })
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
