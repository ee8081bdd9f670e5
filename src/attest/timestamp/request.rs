//! What an authority is asked.

use der::Tag;
use der::oid::ObjectIdentifier;
use ring::rand::{SecureRandom, SystemRandom};

use super::fields::{Fields, Malformed};
use crate::attest::Digest;

/// id-sha256 (RFC 5754, section 2.2).
pub(super) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// The request up to the digest: version 1, a MessageImprint of SHA-256 (RFC 3161, section 2.4.1). The second byte is its
/// length.
const HEAD: [u8; 24] = [
    0x30, 0x40, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
    0x01, 0x05, 0x00, 0x04, 0x20,
];
/// certReq: the token shall hold the certificate that signed it.
const CERT_REQ: [u8; 3] = [0x01, 0x01, 0xff];
const NONCE_BYTES: usize = 8;
/// The longest nonce that is read, so that every length fits into one byte. Others write 8 bytes or 20.
const MAX_NONCE_BYTES: usize = 32;

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The system's random number generator failed.
    #[error("the system gives no random numbers")]
    Random,
    /// Not a request.
    #[error("not a timestamp request: {0}")]
    Malformed(#[from] Malformed),
    /// A request over another digest than SHA-256.
    #[error("a request over something else than SHA-256")]
    Algorithm,
}

/// A request for a timestamp over one signature (RFC 3161, section 2.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// SHA-256 of the signature's bytes.
    pub imprint: Digest,
    /// The nonce, as the content of a DER INTEGER, that the response has to repeat.
    pub nonce: Option<Vec<u8>>,
}

impl Request {
    /// A request over a signature's bytes, with a nonce of its own.
    pub fn new(signature: &[u8]) -> Result<Self, RequestError> {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut nonce).map_err(|_| RequestError::Random)?;
        // Positive, and of full length: DER knows one form of each number.
        nonce[0] = nonce[0] & 0x3f | 0x40;
        Ok(Self { imprint: Digest::of(signature), nonce: Some(nonce.to_vec()) })
    }

    /// The request as DER.
    pub fn to_der(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(self.imprint.as_bytes());
        if let Some(nonce) = &self.nonce {
            bytes.extend_from_slice(&[0x02, nonce.len() as u8]);
            bytes.extend_from_slice(nonce);
        }
        bytes.extend_from_slice(&CERT_REQ);
        bytes[1] = (bytes.len() - 2) as u8;
        bytes
    }

    /// Reads a request, as this tool or `openssl ts -query -sha256` writes it.
    pub fn from_der(bytes: &[u8]) -> Result<Self, RequestError> {
        let mut file = Fields::new(bytes, "request")?;
        let mut request = file.sequence("request")?;
        file.finish("end of the request")?;
        request.take(Tag::Integer, "version")?;
        let imprint = imprint(&mut request)?.ok_or(RequestError::Algorithm)?;
        request.optional(Tag::ObjectIdentifier, "policy")?;
        let nonce = request.optional(Tag::Integer, "nonce")?;
        if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
            return Err(Malformed("nonce").into());
        }
        Ok(Self { imprint, nonce: nonce.map(<[u8]>::to_vec) })
    }
}

/// Reads a MessageImprint; `None` for one of another digest than SHA-256.
pub(super) fn imprint(fields: &mut Fields<'_>) -> Result<Option<Digest>, Malformed> {
    const WHAT: &str = "message imprint";
    let mut imprint = fields.sequence(WHAT)?;
    let algorithm = imprint.algorithm(WHAT)?;
    let digest = imprint.take(Tag::OctetString, WHAT)?;
    imprint.finish(WHAT)?;
    Ok(<[u8; 32]>::try_from(digest).ok().filter(|_| algorithm == SHA256).map(Digest::from_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_it_was_written() {
        let request = Request::new(b"signature").unwrap();
        let der = request.to_der();
        assert_eq!(der.len(), 2 + usize::from(der[1]));
        assert_eq!(Request::from_der(&der).unwrap(), request);
        assert_ne!(Request::new(b"signature").unwrap(), request);
        let bare = Request { nonce: None, ..request };
        assert_eq!(Request::from_der(&bare.to_der()).unwrap(), bare);
    }
}
