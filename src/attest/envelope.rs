//! The DSSE envelope: who signed which bytes.
//!
//! [DSSE 1.0.2](https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md). The signature is over [`pae`] of
//! the payload bytes as they are; nothing is ever re-serialised for it.
//!
//! Reading is as strict as the specification lets it be, so that a changed byte does not go unnoticed:
//! - `keyid` must be there (the specification lets it be absent; in-toto's own verifier needs it too);
//! - base64 may be standard or URL-safe, padded or not, but one envelope uses one alphabet throughout, and unused
//!   trailing bits are zero;
//! - unknown fields are ignored, as the specification demands; nothing reads them;
//! - signatures of other kinds than Ed25519, or by keys with another kind of id, are kept unchecked.
//!
//! What is left: white space between JSON tokens, and an envelope with exactly one character that tells the alphabets
//! apart (`+` or `/`) reads the same when that one becomes its URL-safe twin. Both decode to the same signed bytes and
//! the same signature. A signature whose key nobody trusts can't be checked, so a change in it shows only in that it
//! stays unknown.

use std::borrow::Cow;
use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use memchr::memchr2;
use serde::{Deserialize, Serialize};

use super::key::Key;
use super::strict_json::{self, StrictJsonError};
use super::{Digest, Hasher};

/// The one payload type that is accepted.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The largest envelope that is read.
pub const MAX_ENVELOPE_BYTES: usize = 64 << 20;
/// The most signatures that an envelope may hold.
pub const MAX_SIGNATURES: usize = 64;
/// Ed25519 (RFC 8032, section 5.1.6).
const SIGNATURE_BYTES: usize = 64;

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`MAX_ENVELOPE_BYTES`].
    #[error("the envelope has more than {MAX_ENVELOPE_BYTES} bytes")]
    TooLarge,
    /// Could not be read at all.
    #[error("cannot read the envelope")]
    Io(#[from] io::Error),
    /// Not JSON, or not an envelope.
    #[error("the envelope {0}")]
    Json(StrictJsonError),
    /// A field that is not base64.
    #[error("{field} is not base64: {why}")]
    Base64 {
        /// Name of the field.
        field: String,
        /// What is wrong, and where.
        why: String,
    },
    /// Two alphabets in one envelope.
    #[error("the envelope mixes the standard and the URL-safe base64 alphabet")]
    MixedAlphabets,
    /// Something else than a statement was signed.
    #[error("the payload is of type {0:?} and not {PAYLOAD_TYPE:?}")]
    PayloadType(String),
    /// Nobody signed, or too many.
    #[error("the envelope has {0} signatures; 1 to {MAX_SIGNATURES} are accepted")]
    Signatures(usize),
}

/// Why a signature was not added.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// One key counts once, however often it signs.
    #[error("key {0} has signed already, and a second signature by it would count for nothing")]
    Twice(Digest),
    /// No verifier would accept one more.
    #[error("there are {MAX_SIGNATURES} signatures already")]
    Full,
}

/// A signature and the hint which key made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Which key claims to have signed. A hint to find the key by, never a reason to trust it.
    pub keyid: Digest,
    /// The Ed25519 signature over [`pae`].
    pub bytes: [u8; SIGNATURE_BYTES],
}

/// A signature that is none of Ed25519, or whose key has an id of another kind. DSSE lets everybody sign as they like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignSignature {
    /// As it stands there.
    pub keyid: String,
    /// As it stands there, decoded.
    pub bytes: Vec<u8>,
}

/// Signed bytes and their signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The bytes that were signed: a statement in JSON.
    pub payload: Vec<u8>,
    /// In the order of the envelope; the same one may be there twice.
    pub signatures: Vec<Signature>,
    /// Signatures of other kinds, which others check. They are kept, and come last.
    pub foreign: Vec<ForeignSignature>,
}

/// The bytes that are signed: the pre-authentication encoding of DSSE 1.0.2, protocol.md. Signer and verifier both
/// call this function.
pub fn pae(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    let mut bytes = Vec::with_capacity(head.len() + payload.len());
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads an envelope, giving up as soon as it is too large.
pub fn read(input: impl Read) -> Result<Vec<u8>, EnvelopeError> {
    let mut bytes = Vec::new();
    input.take(MAX_ENVELOPE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_ENVELOPE_BYTES { Err(EnvelopeError::TooLarge) } else { Ok(bytes) }
}

impl Envelope {
    /// Signs a payload.
    pub fn sign(payload: Vec<u8>, key: &Key) -> Self {
        let signature = Signature { keyid: key.public().keyid(), bytes: key.sign(&pae(&payload)) };
        Self { payload, signatures: vec![signature], foreign: Vec::new() }
    }

    /// Adds a signature over the same payload.
    pub fn cosign(&mut self, key: &Key) -> Result<(), CosignError> {
        let keyid = key.public().keyid();
        if self.signatures.iter().any(|signature| signature.keyid == keyid) {
            return Err(CosignError::Twice(keyid));
        }
        if self.signatures.len() + self.foreign.len() >= MAX_SIGNATURES {
            return Err(CosignError::Full);
        }
        self.signatures.push(Signature { keyid, bytes: key.sign(&pae(&self.payload)) });
        Ok(())
    }

    /// The digests that this envelope, as [`Self::to_json`] writes it, had with fewer signatures and has now, foreign ones left
    /// out: what was linked to before somebody co-signed.
    pub fn digests(&self) -> Vec<Digest> {
        // Base64 and hexadecimal digits hold no brackets, so the only ones are around the signatures and each of them. What
        // comes before is large, and hashed once.
        let json = self.json(&[]);
        let list = json.rfind('[').unwrap_or_default();
        let (mut hasher, mut hashed) = (Hasher::new(), 0);
        let ends = json.bytes().enumerate().skip(list).filter(|(_, byte)| *byte == b'}');
        ends.take(self.signatures.len())
            .map(|(end, _)| {
                hasher.update(json.get(hashed..=end).unwrap_or_default().as_bytes());
                hashed = end + 1;
                let mut digest = hasher.clone();
                digest.update(b"]}");
                digest.finish()
            })
            .collect()
    }

    /// The envelope as JSON without any white space; standard base64 with padding.
    pub fn to_json(&self) -> String {
        self.json(&self.foreign)
    }

    fn json(&self, foreign: &[ForeignSignature]) -> String {
        let own = self.signatures.iter().map(|it| (it.keyid.to_string(), STANDARD.encode(it.bytes)));
        let foreign = foreign.iter().map(|it| (it.keyid.clone(), STANDARD.encode(&it.bytes)));
        let wire = Wire {
            payload: STANDARD.encode(&self.payload).into(),
            payload_type: PAYLOAD_TYPE.into(),
            signatures: own
                .chain(foreign)
                .map(|(keyid, sig)| WireSignature { keyid: keyid.into(), sig: sig.into() })
                .collect(),
        };
        // Strings only: there is nothing that JSON could not hold.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads an envelope. No signature is checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge);
        }
        let wire: Wire<'_> = strict_json::from_slice(bytes, MAX_ENVELOPE_BYTES).map_err(EnvelopeError::Json)?;
        if wire.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType(shorten(&wire.payload_type)));
        }
        if wire.signatures.is_empty() || wire.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::Signatures(wire.signatures.len()));
        }
        let fields = || std::iter::once(&wire.payload).chain(wire.signatures.iter().map(|signature| &signature.sig));
        let has = |[one, other]: [u8; 2]| fields().any(|text| memchr2(one, other, text.as_bytes()).is_some());
        let url_safe = has(*b"-_");
        if url_safe && has(*b"+/") {
            return Err(EnvelopeError::MixedAlphabets);
        }
        let (mut signatures, mut foreign) = (Vec::new(), Vec::new());
        for (index, signature) in wire.signatures.iter().enumerate() {
            let bytes = decode(&signature.sig, url_safe, || format!("signatures[{index}].sig"))?;
            match (Digest::parse(&signature.keyid), <[u8; SIGNATURE_BYTES]>::try_from(bytes)) {
                (Some(keyid), Ok(bytes)) => signatures.push(Signature { keyid, bytes }),
                (_, Ok(bytes)) => foreign.push((&signature.keyid, Vec::from(bytes))),
                (_, Err(bytes)) => foreign.push((&signature.keyid, bytes)),
            }
        }
        let foreign =
            foreign.into_iter().map(|(keyid, bytes)| ForeignSignature { keyid: keyid.to_string(), bytes }).collect();
        let payload = decode(&wire.payload, url_safe, || "payload".to_owned())?;
        Ok(Self { payload, signatures, foreign })
    }
}

/// Decodes one field. Unused trailing bits must be zero, and padding is whole or absent.
fn decode(text: &str, url_safe: bool, field: impl Fn() -> String) -> Result<Vec<u8>, EnvelopeError> {
    let engine = match (url_safe, text.ends_with('=')) {
        (false, true) => &STANDARD,
        (false, false) => &STANDARD_NO_PAD,
        (true, true) => &URL_SAFE,
        (true, false) => &URL_SAFE_NO_PAD,
    };
    engine.decode(text).map_err(|error| EnvelopeError::Base64 { field: field(), why: error.to_string() })
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow, rename = "payloadType")]
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<WireSignature<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature<'a> {
    #[serde(borrow)]
    keyid: Cow<'a, str>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_envelope_with_fewer_signatures() {
        let signature = |byte| Signature { keyid: Digest::of(&[byte]), bytes: [byte; SIGNATURE_BYTES] };
        for payload in [&b""[..], b"]}{[\"\\", &[0xff; 1000]] {
            let with = |count| Envelope {
                payload: payload.to_vec(),
                signatures: (0..count).map(signature).collect(),
                foreign: Vec::new(),
            };
            let expected: Vec<Digest> = (1..=4).map(|count| Digest::of(with(count).to_json().as_bytes())).collect();
            assert_eq!(with(4).digests(), expected);
            assert_eq!(with(0).digests(), []);
        }
    }
}
