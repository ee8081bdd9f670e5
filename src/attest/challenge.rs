//! A challenge: random bytes that a buyer or auditor signs, and that a report must then contain.
//!
//! It bounds the time of a report on one side: what contains the bytes was not begun before they were known. A report
//! answers a challenge when value, issuer and purpose are the issued ones, and its session began while the challenge was
//! open. That nobody else's report answered it before is for the verifier to remember.
//!
//! It may carry a credential for one machine's TPM: a secret that only this TPM can read, for the key that will sign. The
//! challenge says the secret's digest, so that whoever verifies needs to remember nothing.

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use yanji_format::hex_bytes;

use super::envelope::Envelope;
use super::key::{Key, PublicKey};
use super::signed::{self, DocumentError, Kind, Opened};
use super::statement::{Challenge, ChallengeSource, Inline};
use super::tpm::credential::{self, CredentialError};
use super::tpm::public_key::PublicKey as TpmKey;
use super::tpm::{TpmEvidence, certificate};
use super::{Digest, Hasher};

/// Type of the predicate.
pub const CHALLENGE_TYPE: &str = "https://yanji.example/challenge/v1";
/// Name of the subject: its digest is that of the random bytes.
pub const CHALLENGE_SUBJECT: &str = "challenge";
/// How far the clocks of issuer and reporting machine may be apart.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(10);
/// Longest purpose.
pub const MAX_PURPOSE_CHARS: usize = 200;

const KIND: Kind = Kind { predicate_type: CHALLENGE_TYPE, subject: CHALLENGE_SUBJECT };

/// Why there is no challenge.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// Not a challenge at all.
    #[error("not a challenge")]
    Document(#[from] DocumentError),
    /// The fields contradict each other.
    #[error("the challenge contradicts itself: {what} should be {expected} and is {observed}")]
    Contradiction {
        /// Which field.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        observed: String,
    },
    /// A purpose that nobody can compare.
    #[error("a purpose has 1 to {MAX_PURPOSE_CHARS} characters, none of them a control character")]
    Purpose,
    /// The time it is open lies out of range.
    #[error("a challenge is open for more than nothing, and ends before the year 10000")]
    Lifetime,
    /// There is nothing to encrypt to.
    #[error("no credential can be made for that TPM: {0}")]
    Tpm(String),
    /// Its key is of another kind.
    #[error("no credential can be made for that TPM")]
    Credential(#[from] CredentialError),
    /// The system's random number generator failed.
    #[error("the system gives no random numbers")]
    Random,
    /// Cannot be written as JSON.
    #[error("the challenge cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// What the issuer signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Predicate {
    #[serde(with = "hex_bytes")]
    value: [u8; 32],
    purpose: String,
    issued_at: String,
    expires_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<TpmCredential>,
}

/// A secret for one TPM and one of its keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TpmCredential {
    /// Digest of the endorsement key that it is encrypted to: of its SubjectPublicKeyInfo.
    pub endorsement_key: Digest,
    /// The name of the attestation key that has to be loaded beside it.
    pub attestation_key: Inline,
    /// TPM2B_ID_OBJECT, without its length.
    pub id_object: Inline,
    /// TPM2B_ENCRYPTED_SECRET, without its length.
    pub encrypted_secret: Inline,
    /// [`TpmCredential::commitment`] of the secret.
    pub secret_sha256: Digest,
}

impl TpmCredential {
    /// A new secret for the TPM of an earlier report, of which nothing need be believed.
    pub fn new(tpm: &TpmEvidence) -> Result<Self, ChallengeError> {
        let missing = ChallengeError::Tpm;
        let Inline(ek) =
            tpm.ek_cert.as_ref().ok_or_else(|| missing("it has no certificate of its vendor".to_owned()))?;
        let info = certificate::subject_public_key_info(ek).map_err(missing)?;
        let key = TpmKey::parse(&tpm.ak_pub.0).map_err(|error| missing(format!("its attestation key {error}")))?;
        let name = key.name().ok_or_else(|| missing("its attestation key has no name".to_owned()))?;
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| ChallengeError::Random)?;
        let made = credential::make(&info, name, &secret)?;
        Ok(Self {
            endorsement_key: Digest::of(&info),
            attestation_key: Inline(name.to_vec()),
            id_object: Inline(made.id_object),
            encrypted_secret: Inline(made.encrypted_secret),
            secret_sha256: Self::commitment(&secret),
        })
    }

    /// What shows that a secret is the right one, and not what it is.
    pub fn commitment(secret: &[u8; 32]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(b"yanji/v1/credential\0");
        hasher.update(secret);
        hasher.finish()
    }
}

/// A challenge as its issuer wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// The random bytes.
    pub value: [u8; 32],
    /// What it was issued for: an order number.
    pub purpose: String,
    /// From when on it could be known.
    pub issued_at: Timestamp,
    /// Until when a session may begin.
    pub expires_at: Timestamp,
    /// A secret for the machine's TPM.
    pub credential: Option<TpmCredential>,
}

/// A challenge file. Nobody has checked who signed it.
#[derive(Debug, Clone)]
pub struct SignedChallenge {
    issued: Issued,
    envelope: Envelope,
}

/// A challenge whose issuer the verifier trusts.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedChallenge {
    /// What was issued.
    pub issued: Issued,
    /// Whose signature over it was checked.
    pub issuer: Digest,
    /// The statement that answered it before, as far as the verifier remembers.
    pub answered_by: Option<Digest>,
}

impl Issued {
    /// A new challenge: 32 random bytes.
    pub fn new(purpose: &str, now: Timestamp, lifetime: SignedDuration) -> Result<Self, ChallengeError> {
        let mut value = [0; 32];
        SystemRandom::new().fill(&mut value).map_err(|_| ChallengeError::Random)?;
        // Whole seconds: nobody types fractions.
        let issued_at = Timestamp::from_second(now.as_second()).map_err(|_| ChallengeError::Lifetime)?;
        let expires_at = issued_at.checked_add(lifetime).map_err(|_| ChallengeError::Lifetime)?;
        if expires_at <= issued_at {
            return Err(ChallengeError::Lifetime);
        }
        check_purpose(purpose)?;
        Ok(Self { value, purpose: purpose.to_owned(), issued_at, expires_at, credential: None })
    }

    /// The signed file.
    pub fn sign(&self, key: &Key) -> Result<Envelope, ChallengeError> {
        let predicate = Predicate {
            value: self.value,
            purpose: self.purpose.clone(),
            issued_at: self.issued_at.to_string(),
            expires_at: self.expires_at.to_string(),
            credential: self.credential.clone(),
        };
        Ok(signed::sign(KIND, self.digest(), predicate, key)?)
    }

    /// SHA-256 of the random bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.value)
    }

    /// Whether no session may begin any more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now > self.expires_at
    }
}

impl SignedChallenge {
    /// Reads a challenge file. No signature is checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, ChallengeError> {
        let Opened { envelope, subject, predicate } = signed::open::<Predicate>(KIND, bytes)?;
        let Predicate { value, purpose, issued_at, expires_at, credential } = predicate;
        check_purpose(&purpose)?;
        let contradiction =
            |what, expected: String, observed: String| ChallengeError::Contradiction { what, expected, observed };
        let digest = Digest::of(&value);
        if digest != subject {
            return Err(contradiction("digest of the subject", digest.to_string(), subject.to_string()));
        }
        let time = |what, text: &str| {
            text.parse::<Timestamp>().map_err(|_| contradiction(what, "a time (RFC 3339)".to_owned(), shown(text)))
        };
        let (issued, expires) = (time("issuedAt", &issued_at)?, time("expiresAt", &expires_at)?);
        if expires <= issued {
            return Err(contradiction("expiresAt", format!("after {issued}"), expires.to_string()));
        }
        Ok(Self { issued: Issued { value, purpose, issued_at: issued, expires_at: expires, credential }, envelope })
    }

    /// What was issued, whoever it was.
    pub fn issued(&self) -> &Issued {
        &self.issued
    }

    /// The key ids that it names. Hints, never a reason to trust it.
    pub fn named_keys(&self) -> impl Iterator<Item = Digest> {
        self.envelope.signatures.iter().map(|signature| signature.keyid)
    }

    /// The challenge, when one of those keys signed it. `Ok(None)` when none did, and `Err` with the key whose signature is
    /// over other bytes.
    pub fn trusted(&self, keys: &[PublicKey]) -> Result<Option<TrustedChallenge>, Digest> {
        let issuer = signed::signers(&self.envelope, keys)?.first().map(PublicKey::keyid);
        Ok(issuer.map(|issuer| TrustedChallenge { issued: self.issued.clone(), issuer, answered_by: None }))
    }

    /// What a report that answers it says of it. Its signature is not checked: the seller need not know the buyer's key, and
    /// the buyer checks it.
    pub fn answer(&self) -> Challenge {
        Challenge {
            value: self.issued.value,
            source: ChallengeSource::Buyer,
            issuer: self.named_keys().next(),
            issued_at: Some(self.issued.issued_at.to_string()),
            expires_at: Some(self.issued.expires_at.to_string()),
            purpose: Some(self.issued.purpose.clone()),
        }
    }
}

fn check_purpose(purpose: &str) -> Result<(), ChallengeError> {
    let fits = (1..=MAX_PURPOSE_CHARS).contains(&purpose.chars().count()) && !purpose.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(ChallengeError::Purpose) }
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
