//! TPM2_ActivateCredential: the TPM reads a secret that was encrypted to its endorsement key, for one of its other keys.

use super::command::{Command, code};
use super::{DEADLINE, ENDORSEMENT, Key, PERSISTENT_FIRST, Tpm, TpmError};
use crate::attest::Digest;
use crate::attest::challenge::TpmCredential;
use crate::attest::tpm::public_key::PublicKey;
use crate::attest::tpm::wire::{Reader, Writer};
use crate::attest::tpm::{NO_ALGORITHM, SHA256};

/// TPM_RH_NULL.
const NOTHING: u32 = 0x4000_0007;
/// TPM_SE_POLICY.
const POLICY_SESSION: u8 = 1;
/// fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt.
const STORAGE_KEY: u32 = 0x0003_00b2;
/// Beside these: a password is enough.
const USER_WITH_AUTH: u32 = 1 << 6;
const SHA384: u16 = 0x000c;
/// PolicyA: TPM2_PolicySecret of the endorsement hierarchy (TCG EK Credential Profile 2.5, B.3.3).
const POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];
/// PolicyB: that, or TPM2_PolicyAuthorizeNV (B.6.5), with SHA-256.
const POLICY_B_SHA256: [u8; 32] = [
    0xca, 0x3d, 0x0a, 0x99, 0xa2, 0xb9, 0x39, 0x06, 0xf7, 0xa3, 0x34, 0x24, 0x14, 0xef, 0xcf, 0xb3, 0xa3, 0x85, 0xd4,
    0x4c, 0xd1, 0xfd, 0x45, 0x90, 0x89, 0xd1, 0x9b, 0x50, 0x71, 0xc0, 0xb7, 0xa0,
];
/// PolicyB with SHA-384.
const POLICY_B_SHA384: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48,
    0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09, 0x69, 0x96,
    0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];

impl Tpm {
    /// The secret in a credential. The policy that endorsement keys ask for is the empty password of their hierarchy.
    pub(super) fn activate(&mut self, credential: &TpmCredential) -> Result<[u8; 32], TpmError> {
        let indices = self.handles(super::NV_FIRST)?;
        let attestation = match self.identity_key(&indices) {
            Some(key) => key,
            None => self.attestation_key()?,
        };
        let endorsement = self.endorsement_key(&credential.endorsement_key);
        let secret = match &endorsement {
            Ok(endorsement) => self.activate_with(&attestation, endorsement, credential),
            Err(_) => Err(TpmError::Missing("the TPM makes no endorsement key of that certificate")),
        };
        for key in [Some(&attestation), endorsement.as_ref().ok()].into_iter().flatten().filter(|key| key.transient) {
            self.flush(key.handle);
        }
        endorsement?;
        secret
    }

    /// The endorsement key with that digest of its SubjectPublicKeyInfo: one that somebody left in the TPM, or one that it
    /// makes again from its seed.
    fn endorsement_key(&mut self, wanted: &Digest) -> Result<Key, TpmError> {
        let is_wanted = |public: &[u8]| {
            PublicKey::parse(public).is_ok_and(|key| Digest::of(&key.subject_public_key_info()) == *wanted)
        };
        for handle in self.handles(PERSISTENT_FIRST)? {
            let command = Command::new(code::READ_PUBLIC, &[handle], Writer::new());
            let public = self.ask(&command, |reader| Ok(reader.sized()?.to_vec()));
            if let Some(public) = public.ok().filter(|public| is_wanted(public)) {
                return Ok(Key { handle, public, transient: false, chain: Vec::new() });
            }
        }
        for template in templates() {
            let Ok(key) = self.create_primary(ENDORSEMENT, &template) else { continue };
            if is_wanted(&key.public) {
                return Ok(key);
            }
            self.flush(key.handle);
        }
        Err(TpmError::Missing("the TPM makes no endorsement key of that certificate"))
    }

    fn activate_with(
        &mut self,
        attestation: &Key,
        endorsement: &Key,
        credential: &TpmCredential,
    ) -> Result<[u8; 32], TpmError> {
        let handles = [attestation.handle, endorsement.handle];
        let parameters = Writer::new().sized(&credential.id_object.0).sized(&credential.encrypted_secret.0);
        let activate =
            |authorised| Command::authorised(code::ACTIVATE_CREDENTIAL, &handles, authorised, parameters.clone());
        let read = |reader: &mut Reader<'_>| Ok(<[u8; 32]>::try_from(reader.sized()?).ok());
        let other = TpmError::Missing("the credential holds no secret of 32 bytes");
        if PublicKey::parse(&endorsement.public).is_ok_and(|key| key.is_used_with_password()) {
            return self.ask(&activate(2), read)?.ok_or(other);
        }
        let parameters = Writer::new().sized(&[0; 16]).sized(&[]).u8(POLICY_SESSION).u16(NO_ALGORITHM).u16(SHA256);
        let start = Command::new(code::START_AUTH_SESSION, &[NOTHING, NOTHING], parameters).with_answered_handle();
        let answer = self.run(&start, DEADLINE)?;
        let answer = start.read_answer(&answer).map_err(|error| super::refusal(&start, error))?;
        let session = answer.handle.ok_or(TpmError::Missing("the TPM gave no session"))?;

        // Neither a nonce nor a digest of the command, no reference, and no end.
        let nothing = Writer::new().sized(&[]).sized(&[]).sized(&[]).u32(0);
        let policy = Command::authorised(code::POLICY_SECRET, &[ENDORSEMENT, session], 1, nothing);
        let activate = activate(1).with_policy(session);
        let secret = self.ask(&policy, |_| Ok(())).and_then(|()| self.ask(&activate, read));
        if secret.is_err() {
            self.flush(session);
        }
        secret?.ok_or(other)
    }
}

/// What vendors make endorsement keys of, in the order in which they are tried: the templates of the low range, L-2 and L-1
/// (TCG EK Credential Profile 2.5, B.3.4 and B.3.3), then H-3, H-2, H-1, H-6 and H-7 of the high range (B.4.5, B.4.4, B.4.3,
/// B.4.8, B.4.9). A key of RSA takes an old TPM long.
fn templates() -> [Vec<u8>; 7] {
    const P256: u16 = 0x0003;
    const P384: u16 = 0x0004;
    let ecc = |public: Writer, curve, coordinate: &[u8]| {
        public.u16(NO_ALGORITHM).u16(curve).u16(NO_ALGORITHM).sized(coordinate).sized(coordinate).finish()
    };
    let rsa = |public: Writer, bits, modulus: &[u8]| public.u16(NO_ALGORITHM).u16(bits).u32(0).sized(modulus).finish();
    let low = |kind| storage_key(kind, SHA256, STORAGE_KEY, &POLICY_A, 128);
    let high = |kind| storage_key(kind, SHA256, STORAGE_KEY | USER_WITH_AUTH, &POLICY_B_SHA256, 128);
    let strong = |kind| storage_key(kind, SHA384, STORAGE_KEY | USER_WITH_AUTH, &POLICY_B_SHA384, 256);
    [
        ecc(low(ECC), P256, &[0; 32]),
        rsa(low(RSA), 2048, &[0; 256]),
        ecc(strong(ECC), P384, &[]),
        ecc(high(ECC), P256, &[]),
        rsa(high(RSA), 2048, &[]),
        rsa(strong(RSA), 3072, &[]),
        rsa(strong(RSA), 4096, &[]),
    ]
}

const RSA: u16 = 0x0001;
const ECC: u16 = 0x0023;

/// What all have in common: up to the symmetric algorithm, AES in CFB mode.
fn storage_key(kind: u16, hash: u16, attributes: u32, policy: &[u8], aes_bits: u16) -> Writer {
    const AES: u16 = 0x0006;
    const CFB: u16 = 0x0043;
    Writer::new().u16(kind).u16(hash).u32(attributes).sized(policy).u16(AES).u16(aes_bits).u16(CFB)
}
