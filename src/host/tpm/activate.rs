//! TPM2_ActivateCredential: the TPM reads a secret that was encrypted to its endorsement key, for one of its other keys.

use super::command::{Command, code};
use super::{DEADLINE, ENDORSEMENT, Key, PERSISTENT_FIRST, Tpm, TpmError};
use crate::attest::Digest;
use crate::attest::challenge::TpmCredential;
use crate::attest::tpm::public_key::PublicKey;
use crate::attest::tpm::wire::Writer;
use crate::attest::tpm::{NO_ALGORITHM, SHA256};

/// TPM_RH_NULL.
const NOTHING: u32 = 0x4000_0007;
/// TPM_SE_POLICY.
const POLICY_SESSION: u8 = 1;
/// fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt.
const STORAGE_KEY: u32 = 0x0003_00b2;
/// TPM2_PolicySecret of the endorsement hierarchy (TCG EK Credential Profile 2.5, B.3.3).
const POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
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
        for template in [ecc_template(), rsa_template()] {
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
        let parameters = Writer::new().sized(&[0; 16]).sized(&[]).u8(POLICY_SESSION).u16(NO_ALGORITHM).u16(SHA256);
        let start = Command::new(code::START_AUTH_SESSION, &[NOTHING, NOTHING], parameters).with_answered_handle();
        let answer = self.run(&start, DEADLINE)?;
        let answer = start.read_answer(&answer).map_err(|error| super::refusal(&start, error))?;
        let session = answer.handle.ok_or(TpmError::Missing("the TPM gave no session"))?;

        // Neither a nonce nor a digest of the command, no reference, and no end.
        let nothing = Writer::new().sized(&[]).sized(&[]).sized(&[]).u32(0);
        let policy = Command::authorised(code::POLICY_SECRET, &[ENDORSEMENT, session], 1, nothing);
        let handles = [attestation.handle, endorsement.handle];
        let parameters = Writer::new().sized(&credential.id_object.0).sized(&credential.encrypted_secret.0);
        let activate = Command::authorised(code::ACTIVATE_CREDENTIAL, &handles, 1, parameters).with_policy(session);
        let secret = self
            .ask(&policy, |_| Ok(()))
            .and_then(|()| self.ask(&activate, |reader| Ok(<[u8; 32]>::try_from(reader.sized()?).ok())));
        if secret.is_err() {
            self.flush(session);
        }
        secret?.ok_or(TpmError::Missing("the credential holds no secret of 32 bytes"))
    }
}

/// Template L-1 of the TCG EK Credential Profile (B.3.3): RSA with 2048 bits.
fn rsa_template() -> Vec<u8> {
    storage_key(0x0001).u16(NO_ALGORITHM).u16(2048).u32(0).sized(&[0; 256]).finish()
}

/// Template L-2 (B.3.4): ECC on P-256.
fn ecc_template() -> Vec<u8> {
    const P256: u16 = 0x0003;
    let key = storage_key(0x0023).u16(NO_ALGORITHM).u16(P256).u16(NO_ALGORITHM);
    key.sized(&[0; 32]).sized(&[0; 32]).finish()
}

/// What both have in common: up to the symmetric algorithm, AES with 128 bits in CFB mode.
fn storage_key(kind: u16) -> Writer {
    const AES: u16 = 0x0006;
    const CFB: u16 = 0x0043;
    Writer::new().u16(kind).u16(SHA256).u32(STORAGE_KEY).sized(&POLICY).u16(AES).u16(128).u16(CFB)
}
