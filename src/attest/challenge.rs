//! A challenge: random bytes that a buyer or auditor signs, and that a report must then contain.
//!
//! It bounds the time of a report on one side: what contains the bytes was not begun before they were known. A report
//! answers a challenge when value, issuer and purpose are the issued ones, and its session began while the challenge was
//! open. That nobody else's report answered it before is for the verifier to remember.

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::Digest;
use super::document::{self, DocumentError, Kind, Opened};
use super::envelope::Envelope;
use super::key::{Key, PublicKey};
use super::statement::{Challenge, ChallengeSource, hex_bytes};

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
        Ok(Self { value, purpose: purpose.to_owned(), issued_at, expires_at })
    }

    /// The signed file.
    pub fn sign(&self, key: &Key) -> Result<Envelope, ChallengeError> {
        let predicate = Predicate {
            value: self.value,
            purpose: self.purpose.clone(),
            issued_at: self.issued_at.to_string(),
            expires_at: self.expires_at.to_string(),
        };
        Ok(document::sign(KIND, self.digest(), predicate, key)?)
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
        let Opened { envelope, subject, predicate } = document::open::<Predicate>(KIND, bytes)?;
        let Predicate { value, purpose, issued_at, expires_at } = predicate;
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
        Ok(Self { issued: Issued { value, purpose, issued_at: issued, expires_at: expires }, envelope })
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
        let issuer = document::signers(&self.envelope, keys)?.first().map(PublicKey::keyid);
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
