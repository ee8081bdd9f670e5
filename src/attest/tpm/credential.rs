//! A secret that only one TPM can read, and only while a certain key of its own is loaded: TPM2_MakeCredential, done here
//! without a TPM (TPM 2.0 Library, Part 1, 24 "Credential Protection", B.10.4 and C.6.4; RFC 8017, 7.1.1).
//!
//! Whoever gives the secret back has asked the TPM that holds the private half of the endorsement key, and that TPM holds an
//! object of exactly that name: public key and attributes. So the vendor's certificate of the endorsement key vouches for the
//! attestation key too. Nothing follows for a certificate that nobody trusts: a TPM in software can do all of this.
//!
//! What a key protects with follows from its kind (TCG EK Credential Profile 2.5, B.3 and B.4): RSA with 2048 bits and P-256
//! SHA-256 and AES with 128 bits, RSA with 3072 or 4096 bits and P-384 SHA-384 and AES with 256 bits.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use der::Decode;
use der::asn1::UintRef;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{agreement, digest, hmac};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::wire::Writer;

/// Bytes of the secret.
const SECRET_BYTES: usize = 32;
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";

/// What the TPM is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The contents of a TPM2B_ID_OBJECT.
    pub id_object: Vec<u8>,
    /// The contents of a TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: Vec<u8>,
}

/// Why nothing could be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not a public key.
    #[error("the endorsement key can't be read")]
    Key,
    /// A key of another kind.
    #[error("the endorsement key is neither RSA with 2048, 3072 or 4096 bits nor on P-256 or P-384")]
    Unsupported,
    /// The system's random number generator failed.
    #[error("the system gives no random numbers")]
    Random,
}

/// What an endorsement key protects with.
#[derive(Clone, Copy)]
struct Protection {
    hash: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    /// Bits of the AES key.
    aes_bits: u32,
}

impl Protection {
    fn low() -> Self {
        Self { hash: &digest::SHA256, hmac: hmac::HMAC_SHA256, aes_bits: 128 }
    }

    fn high() -> Self {
        Self { hash: &digest::SHA384, hmac: hmac::HMAC_SHA384, aes_bits: 256 }
    }

    fn hash_bits(self) -> u32 {
        self.hash.output_len() as u32 * 8
    }

    fn random(self) -> Result<Vec<u8>, CredentialError> {
        let mut bytes = vec![0; self.hash.output_len()];
        SystemRandom::new().fill(&mut bytes).map_err(|_| CredentialError::Random)?;
        Ok(bytes)
    }

    /// KDFa (Part 1, 11.4.10.2) with one context, for no more bits than the hash has.
    fn kdf_a(self, seed: &[u8], label: &[u8], context: &[u8], bits: u32) -> Vec<u8> {
        let message = [&1u32.to_be_bytes(), label, context, &bits.to_be_bytes()].concat();
        hmac::sign(&hmac::Key::new(self.hmac, seed), &message).as_ref()[..bits as usize / 8].to_vec()
    }

    /// KDFe (Part 1, 11.4.10.3), for a seed as long as the hash.
    fn kdf_e(self, shared: &[u8], own_x: &[u8], peer_x: &[u8]) -> Vec<u8> {
        let message = [&1u32.to_be_bytes(), shared, b"IDENTITY\0", own_x, peer_x].concat();
        digest::digest(self.hash, &message).as_ref().to_vec()
    }

    /// MGF1 (RFC 8017, B.2.1), applied.
    fn mask(self, seed: &[u8], data: &mut [u8]) {
        for (chunk, counter) in data.chunks_mut(self.hash.output_len()).zip(0u32..) {
            let hash = digest::digest(self.hash, &[seed, &counter.to_be_bytes()].concat());
            chunk.iter_mut().zip(hash.as_ref()).for_each(|(byte, mask)| *byte ^= mask);
        }
    }
}

/// A seed, the same encrypted, and what is protected with it.
type Seed = (Vec<u8>, Vec<u8>, Protection);

/// Encrypts to the endorsement key, DER of a SubjectPublicKeyInfo, for the object of that name.
pub fn make(endorsement_key: &[u8], name: &[u8], secret: &[u8; SECRET_BYTES]) -> Result<Credential, CredentialError> {
    let info = SubjectPublicKeyInfoRef::from_der(endorsement_key).map_err(|_| CredentialError::Key)?;
    let key = info.subject_public_key.as_bytes().ok_or(CredentialError::Key)?;
    let (seed, encrypted_secret, with) = match info.algorithm.oid.to_string().as_str() {
        RSA_ENCRYPTION => rsa_seed(key)?,
        EC_PUBLIC_KEY => ecc_seed(key)?,
        _ => return Err(CredentialError::Unsupported),
    };
    let mut identity = Writer::new().sized(secret).finish();
    encrypt_cfb(&with.kdf_a(&seed, b"STORAGE\0", name, with.aes_bits), &mut identity)?;
    let protected = [identity.as_slice(), name].concat();
    let key = hmac::Key::new(with.hmac, &with.kdf_a(&seed, b"INTEGRITY\0", &[], with.hash_bits()));
    let integrity = hmac::sign(&key, &protected);
    let id_object = Writer::new().sized(integrity.as_ref()).bytes(&identity).finish();
    Ok(Credential { id_object, encrypted_secret })
}

/// For that RSAPublicKey (RFC 8017, A.1.1): OAEP.
fn rsa_seed(key: &[u8]) -> Result<Seed, CredentialError> {
    let (modulus, exponent) = rsa_numbers(key).ok_or(CredentialError::Key)?;
    let with = match modulus.len() {
        256 => Protection::low(),
        384 | 512 => Protection::high(),
        _ => return Err(CredentialError::Unsupported),
    };
    if modulus.last().is_none_or(|last| last & 1 == 0) {
        return Err(CredentialError::Unsupported);
    }
    let (seed, mask_seed) = (with.random()?, with.random()?);
    let label = digest::digest(with.hash, b"IDENTITY\0");
    let mut block = label.as_ref().to_vec();
    block.resize(modulus.len() - 1 - mask_seed.len() - 1 - seed.len(), 0);
    block.push(1);
    block.extend(&seed);
    with.mask(&mask_seed, &mut block);
    let mut masked_seed = mask_seed;
    with.mask(&block, &mut masked_seed);
    let message = [&[0], masked_seed.as_slice(), &block].concat();
    Ok((seed, power(&message, exponent, &modulus), with))
}

fn rsa_numbers(key: &[u8]) -> Option<(Vec<u8>, u32)> {
    #[derive(der::Sequence)]
    struct Numbers<'a> {
        modulus: UintRef<'a>,
        exponent: UintRef<'a>,
    }
    let numbers = Numbers::from_der(key).ok()?;
    let mut exponent = [0; 4];
    let bytes = numbers.exponent.as_bytes();
    exponent.get_mut(4usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some((numbers.modulus.as_bytes().to_vec(), u32::from_be_bytes(exponent)))
}

/// For the key of that point: the seed follows from a key for this once, and TPMS_ECC_POINT is that key's public half.
fn ecc_seed(point: &[u8]) -> Result<Seed, CredentialError> {
    let (curve, with) = match point {
        [4, coordinates @ ..] if coordinates.len() == 64 => (&agreement::ECDH_P256, Protection::low()),
        [4, coordinates @ ..] if coordinates.len() == 96 => (&agreement::ECDH_P384, Protection::high()),
        _ => return Err(CredentialError::Unsupported),
    };
    let bytes = with.hash.output_len();
    let own = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new());
    let own = own.map_err(|_| CredentialError::Random)?;
    let public = own.compute_public_key().map_err(|_| CredentialError::Random)?;
    let (x, y) = public.as_ref()[1..].split_at(bytes);
    let peer = agreement::UnparsedPublicKey::new(curve, point);
    let seed = agreement::agree_ephemeral(own, &peer, |shared| with.kdf_e(shared, x, &point[1..=bytes]));
    Ok((seed.map_err(|_| CredentialError::Key)?, Writer::new().sized(x).sized(y).finish(), with))
}

/// AES in CFB mode, from a block of zeros (Part 1, B.10.4): each key is used once. A key has 16 bytes or 32.
fn encrypt_cfb(key: &[u8], data: &mut [u8]) -> Result<(), CredentialError> {
    let cipher: Box<dyn Fn(&mut aes::Block)> = if let Ok(key) = <[u8; 16]>::try_from(key) {
        let cipher = Aes128::new(&key.into());
        Box::new(move |block| cipher.encrypt_block(block))
    } else {
        let key = <[u8; 32]>::try_from(key).map_err(|_| CredentialError::Unsupported)?;
        let cipher = Aes256::new(&key.into());
        Box::new(move |block| cipher.encrypt_block(block))
    };
    let mut last = [0; 16];
    for chunk in data.chunks_mut(16) {
        let mut block = last.into();
        cipher(&mut block);
        chunk.iter_mut().zip(block).for_each(|(byte, mask)| *byte ^= mask);
        last[..chunk.len()].copy_from_slice(chunk);
    }
    Ok(())
}

/// `base` to that power modulo `modulus`, as long as the modulus; big-endian. The base is smaller than the modulus. Its time
/// depends on the base, which whoever watches the issuer's own machine may learn.
fn power(base: &[u8], exponent: u32, modulus: &[u8]) -> Vec<u8> {
    let (base, modulus) = (limbs(base), limbs(modulus));
    let mut result = vec![0; modulus.len()];
    result[0] = 1;
    for bit in (0..32 - exponent.leading_zeros()).rev() {
        result = multiply(&result, &result, &modulus);
        if exponent >> bit & 1 == 1 {
            result = multiply(&result, &base, &modulus);
        }
    }
    result.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
}

/// The lowest limb first.
fn limbs(bytes: &[u8]) -> Vec<u32> {
    bytes.rchunks(4).map(|chunk| chunk.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte))).collect()
}

/// A product, bit by bit: both factors and the result are smaller than the modulus.
fn multiply(a: &[u32], b: &[u32], modulus: &[u32]) -> Vec<u32> {
    let mut product = vec![0; modulus.len()];
    for limb in a.iter().rev() {
        for bit in (0..32).rev() {
            let twice = product.clone();
            add(&mut product, &twice, modulus);
            if limb >> bit & 1 == 1 {
                add(&mut product, b, modulus);
            }
        }
    }
    product
}

fn add(sum: &mut [u32], other: &[u32], modulus: &[u32]) {
    let mut carry = 0u64;
    for (limb, other) in sum.iter_mut().zip(other) {
        let total = u64::from(*limb) + u64::from(*other) + carry;
        (*limb, carry) = (total as u32, total >> 32);
    }
    if carry == 1 || sum.iter().rev().ge(modulus.iter().rev()) {
        let mut borrow = 0i64;
        for (limb, other) in sum.iter_mut().zip(modulus) {
            let total = i64::from(*limb) - i64::from(*other) + borrow;
            (*limb, borrow) = (total as u32, total >> 32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_arithmetic() {
        let small = |base: u32, exponent, modulus: u32| {
            let power = power(&base.to_be_bytes(), exponent, &modulus.to_be_bytes());
            u32::from_be_bytes(power.try_into().unwrap())
        };
        for (base, exponent, modulus) in
            [(2, 10, 1_000_003), (4_294_967_290, 65537, 4_294_967_291), (7, 1, 11), (5, 0, 7)]
        {
            let expected = (0..exponent).fold(1u64, |power, _| power * u64::from(base) % u64::from(modulus));
            assert_eq!(u64::from(small(base, exponent, modulus)), expected, "{base} {exponent} {modulus}");
        }
        // 2^64 modulo 2^64 - 59, over two limbs.
        let modulus = (u64::MAX - 58).to_be_bytes();
        assert_eq!(power(&2u64.to_be_bytes(), 64, &modulus), 59u64.to_be_bytes());
        assert_eq!(power(&(u64::MAX - 59).to_be_bytes(), 2, &modulus), 1u64.to_be_bytes());
    }

    #[test]
    fn both_sides_come_to_one_seed_and_other_keys_are_not_served() {
        assert_eq!(make(b"", b"", &[0; 32]), Err(CredentialError::Key));
        for (curve, bytes) in [(&agreement::ECDH_P256, 32), (&agreement::ECDH_P384, 48)] {
            let key = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new()).unwrap();
            let public = key.compute_public_key().unwrap();
            assert!(matches!(ecc_seed(&public.as_ref()[1..]), Err(CredentialError::Unsupported)));
            let (seed, point, with) = ecc_seed(public.as_ref()).unwrap();
            let (x, y) = (&point[2..2 + bytes], &point[4 + bytes..]);
            let peer = agreement::UnparsedPublicKey::new(curve, [&[4], x, y].concat());
            let own_x = &public.as_ref()[1..=bytes];
            let theirs = agreement::agree_ephemeral(key, &peer, |shared| with.kdf_e(shared, x, own_x)).unwrap();
            assert_eq!((&seed, seed.len()), (&theirs, bytes));
        }
    }
}
