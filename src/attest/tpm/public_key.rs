//! The public half of a TPM's signing key, and what it signs: TPMT_PUBLIC and TPMT_SIGNATURE (TPM 2.0 Library, Part 2,
//! 12.2.4 and 11.3.4).

use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};

use super::wire::{Reader, WireError};
use super::{ECDSA, NO_ALGORITHM, RSASSA, SHA256};

const RSA: u16 = 0x0001;
const ECC: u16 = 0x0023;
const RSAPSS: u16 = 0x0016;
const ECDAA: u16 = 0x001a;
const SHA384: u16 = 0x000c;
const P256: u16 = 0x0003;
const P384: u16 = 0x0004;
/// Exponent of an RSA key that says 0.
const DEFAULT_EXPONENT: u32 = 65537;

/// TPMA_OBJECT bits of a key that lives in one TPM only, and signs nothing but what that TPM itself made.
const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const USER_WITH_AUTH: u32 = 1 << 6;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
const SIGN: u32 = 1 << 18;

/// A public key as a TPM describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// TPMA_OBJECT.
    pub attributes: u32,
    /// What is in it.
    pub numbers: Numbers,
    name: Option<Vec<u8>>,
}

/// The numbers of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers {
    /// RSA.
    Rsa {
        /// Modulus, big-endian, without leading zeros.
        modulus: Vec<u8>,
        /// Public exponent.
        exponent: u32,
    },
    /// A point on P-256 or P-384: two coordinates of equal length (32 or 48 bytes), big-endian.
    Ecc {
        /// Abscissa.
        x: Vec<u8>,
        /// Ordinate.
        y: Vec<u8>,
    },
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No TPMT_SIGNATURE.
    #[error("the signature {0}")]
    Wire(#[from] WireError),
    /// Of another algorithm than the key, or than this reader knows.
    #[error("the signature is of scheme {scheme:#06x} with hash {hash:#06x}, which does not suit the key")]
    Scheme {
        /// TPM_ALG_ID.
        scheme: u16,
        /// TPM_ALG_ID.
        hash: u16,
    },
    /// Another key made it, or over other bytes.
    #[error("the signature is not this key's over these bytes")]
    Wrong,
}

impl PublicKey {
    /// Reads a TPMT_PUBLIC of an RSA key or of one on P-256 or P-384.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u16()?;
        let name_algorithm = reader.u16()?;
        let attributes = reader.u32()?;
        reader.sized()?;
        let numbers = match kind {
            RSA => read_rsa(&mut reader)?,
            ECC => read_ecc(&mut reader)?,
            other => return Err(WireError::Unsupported { field: "type", value: other.into() }),
        };
        reader.finish()?;
        let digest = match name_algorithm {
            SHA256 => Some(&ring::digest::SHA256),
            SHA384 => Some(&ring::digest::SHA384),
            _ => None,
        };
        let name = digest.map(|algorithm| {
            let mut name = name_algorithm.to_be_bytes().to_vec();
            name.extend_from_slice(ring::digest::digest(algorithm, bytes).as_ref());
            name
        });
        Ok(Self { attributes, numbers, name })
    }

    /// The name of the object (Part 1, 16): algorithm and digest over all of the public area, attributes included.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// Whether a TPM that keeps its promises would let such a key sign attestations only, and never let it out. The
    /// promise is worth what vouches for the key.
    pub fn is_restricted_signing_key(&self) -> bool {
        let demanded = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | SIGN;
        self.attributes & (demanded | DECRYPT) == demanded
    }

    /// Whether its password is enough to use it; otherwise it takes a policy.
    pub fn is_used_with_password(&self) -> bool {
        self.attributes & USER_WITH_AUTH != 0
    }

    /// Checks a TPMT_SIGNATURE over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let mut reader = Reader::new(signature);
        let (scheme, hash) = (reader.u16()?, reader.u16()?);
        let unsuitable = SignatureError::Scheme { scheme, hash };
        let verified = match &self.numbers {
            Numbers::Ecc { x, y } => {
                let algorithm = match (scheme, hash, x.len()) {
                    (ECDSA, SHA256, 32) => &signature::ECDSA_P256_SHA256_FIXED,
                    (ECDSA, SHA384, 48) => &signature::ECDSA_P384_SHA384_FIXED,
                    _ => return Err(unsuitable),
                };
                let mut fixed = padded(reader.sized()?, x.len()).ok_or(SignatureError::Wrong)?;
                fixed.extend(padded(reader.sized()?, x.len()).ok_or(SignatureError::Wrong)?);
                UnparsedPublicKey::new(algorithm, [&[4], x.as_slice(), y].concat()).verify(message, &fixed)
            }
            Numbers::Rsa { modulus, exponent } => {
                let algorithm = match (scheme, hash) {
                    (RSASSA, SHA256) => &signature::RSA_PKCS1_2048_8192_SHA256,
                    (RSASSA, SHA384) => &signature::RSA_PKCS1_2048_8192_SHA384,
                    (RSAPSS, SHA256) => &signature::RSA_PSS_2048_8192_SHA256,
                    (RSAPSS, SHA384) => &signature::RSA_PSS_2048_8192_SHA384,
                    _ => return Err(unsuitable),
                };
                let exponent = exponent.to_be_bytes();
                let e = &exponent[exponent.iter().position(|byte| *byte != 0).unwrap_or(3)..];
                RsaPublicKeyComponents { n: modulus.as_slice(), e }.verify(algorithm, message, reader.sized()?)
            }
        };
        reader.finish()?;
        verified.map_err(|_| SignatureError::Wrong)
    }

    /// The key as certificates hold it: DER of a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7; RFC 3279, 2.3.1; RFC 5480, 2).
    pub fn subject_public_key_info(&self) -> Vec<u8> {
        const RSA_ENCRYPTION: [u8; 13] = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
        const EC_PUBLIC_KEY: [u8; 9] = [0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
        const NAMED_P256: [u8; 10] = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        const NAMED_P384: [u8; 7] = [0x06, 5, 0x2b, 0x81, 0x04, 0, 0x22];
        const SEQUENCE: u8 = 0x30;
        let (algorithm, key) = match &self.numbers {
            Numbers::Rsa { modulus, exponent } => {
                let key = [der_integer(modulus), der_integer(&exponent.to_be_bytes())].concat();
                (RSA_ENCRYPTION.to_vec(), der(SEQUENCE, &key))
            }
            Numbers::Ecc { x, y } => {
                let curve: &[u8] = if x.len() == 32 { &NAMED_P256 } else { &NAMED_P384 };
                ([&EC_PUBLIC_KEY, curve].concat(), [&[4], x.as_slice(), y].concat())
            }
        };
        let bits = der(0x03, &[&[0], key.as_slice()].concat());
        der(SEQUENCE, &[der(SEQUENCE, &algorithm), bits].concat())
    }
}

/// TPMS_RSA_PARMS and the modulus.
fn read_rsa(reader: &mut Reader<'_>) -> Result<Numbers, WireError> {
    skip_symmetric(reader)?;
    skip_scheme(reader)?;
    reader.u16()?;
    let exponent = match reader.u32()? {
        0 => DEFAULT_EXPONENT,
        other => other,
    };
    let modulus = reader.sized()?;
    let first = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
    Ok(Numbers::Rsa { modulus: modulus[first..].to_vec(), exponent })
}

/// TPMS_ECC_PARMS and the point.
fn read_ecc(reader: &mut Reader<'_>) -> Result<Numbers, WireError> {
    skip_symmetric(reader)?;
    skip_scheme(reader)?;
    let curve = reader.u16()?;
    let bytes = match curve {
        P256 => 32,
        P384 => 48,
        other => return Err(WireError::Unsupported { field: "curveID", value: other.into() }),
    };
    skip_scheme(reader)?;
    let mut coordinate = || {
        let number = reader.sized()?;
        let length = u32::try_from(number.len()).unwrap_or(u32::MAX);
        padded(number, bytes).ok_or(WireError::Unsupported { field: "size of a coordinate", value: length })
    };
    Ok(Numbers::Ecc { x: coordinate()?, y: coordinate()? })
}

/// TPMT_SYM_DEF_OBJECT: algorithm, and unless there is none, key bits and mode.
fn skip_symmetric(reader: &mut Reader<'_>) -> Result<(), WireError> {
    if reader.u16()? != NO_ALGORITHM {
        reader.bytes(4)?;
    }
    Ok(())
}

/// A signing or derivation scheme: algorithm, and unless there is none, a hash; ECDAA has a counter too.
fn skip_scheme(reader: &mut Reader<'_>) -> Result<(), WireError> {
    match reader.u16()? {
        NO_ALGORITHM => {}
        ECDAA => _ = reader.bytes(4)?,
        _ => _ = reader.u16()?,
    }
    Ok(())
}

/// A big-endian number in exactly that many bytes.
fn padded(number: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let (extra, number) = number.split_at(number.len().saturating_sub(bytes));
    if extra.iter().any(|byte| *byte != 0) {
        return None;
    }
    let mut padded = vec![0; bytes - number.len()];
    padded.extend_from_slice(number);
    Some(padded)
}

/// A DER value behind its tag and length. A value here has less than 64 KiB.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let [.., high, low] = value.len().to_be_bytes();
    let header = match (high, low) {
        (0, ..=0x7f) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header.as_slice(), value].concat()
}

/// A non-negative DER INTEGER.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len().saturating_sub(1));
    let digits = &number[first..];
    let sign: &[u8] = if digits.first().is_none_or(|byte| *byte >= 0x80) { &[0] } else { &[] };
    der(0x02, &[sign, digits].concat())
}
