//! A TPM of a few fields, which signs as a real one does, and authorities that certify its keys.

use std::collections::BTreeMap;

use der::Decode;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use x509_cert::spki::SubjectPublicKeyInfoRef;
use yanji::attest::tpm::public_key::{Numbers, PublicKey};
use yanji::attest::tpm::quote::{MAGIC, TYPE_QUOTE, TYPE_TIME, pcr_digest};
use yanji::attest::tpm::wire::Writer;
use yanji::attest::tpm::{ECDSA, NO_ALGORITHM, QUOTED_REGISTERS, SHA256};
use yanji::evidence::Reading;
use yanji::host::tpm::Quoted;

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
pub const RESTRICTED_SIGNING_KEY: u32 = 0x0005_0072;

/// A TPM. All fields are there to be changed between two quotes.
pub struct TestTpm {
    key: EcdsaKeyPair,
    pub manufacturer: String,
    pub attributes: u32,
    pub clock_ms: u64,
    pub time_ms: u64,
    pub resets: u32,
    pub restarts: u32,
    pub safe: bool,
    pub registers: BTreeMap<u32, [u8; 32]>,
    pub ek_certificate: Option<Vec<u8>>,
    /// Whether it attests its time beside its registers.
    pub attests_time: bool,
}

impl TestTpm {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap(),
            manufacturer: "IFX".to_owned(),
            attributes: RESTRICTED_SIGNING_KEY,
            clock_ms: 5_000_000_000,
            time_ms: 400_000,
            resets: 17,
            restarts: 2,
            safe: true,
            // A system that was handed nothing.
            registers: QUOTED_REGISTERS
                .map(|register| (register, if register == 12 { [0; 32] } else { [register as u8; 32] }))
                .into(),
            ek_certificate: None,
            attests_time: true,
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, milliseconds: u64) {
        self.clock_ms += milliseconds;
        self.time_ms += milliseconds;
    }

    /// TPMT_PUBLIC.
    pub fn public(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let public = Writer::new().u16(0x0023).u16(SHA256).u32(self.attributes).sized(&[]);
        let public = public.u16(NO_ALGORITHM).u16(ECDSA).u16(SHA256).u16(3).u16(NO_ALGORITHM);
        public.sized(&point[1..33]).sized(&point[33..]).finish()
    }

    fn sign(&self, attest: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(&SystemRandom::new(), attest).unwrap();
        let (r, s) = signature.as_ref().split_at(32);
        Writer::new().u16(ECDSA).u16(SHA256).sized(r).sized(s).finish()
    }

    fn attest(&self, kind: u16, nonce: &[u8; 32], body: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let attest = Writer::new().u32(MAGIC).u16(kind).sized(&[0, 0xb, 1]).sized(nonce);
        let attest = self.clock(attest).u64(0x0007_0055_0000_0000).bytes(body).finish();
        let signature = self.sign(&attest);
        (attest, signature)
    }

    fn clock(&self, writer: Writer) -> Writer {
        writer.u64(self.clock_ms).u32(self.resets).u32(self.restarts).u8(self.safe.into())
    }

    /// What the tool gets when it asks for a quote.
    pub fn quoted(&self, nonce: &[u8; 32]) -> Quoted {
        let bitmap = self.registers.keys().fold(0u32, |bitmap, register| bitmap | 1 << register).to_le_bytes();
        let body = Writer::new().u32(1).u16(SHA256).u8(3).bytes(&bitmap[..3]);
        let body = body.sized(pcr_digest(self.registers.values()).as_bytes()).finish();
        let (attest, signature) = self.attest(TYPE_QUOTE, nonce, &body);
        let time = self.clock(Writer::new().u64(self.time_ms)).u64(7).finish();
        Quoted {
            manufacturer: self.manufacturer.clone(),
            firmware: "7.85.0.0".to_owned(),
            ek_certificate: Reading::or_absent(self.ek_certificate.clone()),
            ek_chain: Vec::new(),
            ak_public: self.public(),
            ak_chain: Vec::new(),
            attest,
            signature,
            registers: self.registers.clone(),
            time: self.attests_time.then(|| self.attest(TYPE_TIME, nonce, &time)),
        }
    }
}

/// A certificate authority.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

struct Subject(Vec<u8>, &'static SignatureAlgorithm);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.1
    }
}

/// The days at whose beginning a certificate begins and ends, as year, month and day.
pub type Days = [(i32, u8, u8); 2];

fn limit(params: &mut CertificateParams, days: Option<Days>) {
    if let Some(days) = days {
        [params.not_before, params.not_after] = days.map(|(year, month, day)| date_time_ymd(year, month, day));
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::valid(name, None)
    }

    /// One whose own certificate is valid on those days only.
    pub fn valid(name: &str, days: Option<Days>) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        limit(&mut params, days);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A certificate of an attestation key, given as TPMT_PUBLIC of a key on P-256.
    pub fn certify(&self, public: &[u8]) -> Vec<u8> {
        self.certify_for(public, None)
    }

    /// The same for those days only.
    pub fn certify_for(&self, public: &[u8], days: Option<Days>) -> Vec<u8> {
        let info = PublicKey::parse(public).unwrap().subject_public_key_info();
        let mut params = CertificateParams::default();
        limit(&mut params, days);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 3])];
        let subject = Subject(info[info.len() - 65..].to_vec(), &rcgen::PKCS_ECDSA_P256_SHA256);
        params.signed_by(&subject, &self.issuer).unwrap().der().to_vec()
    }

    /// A certificate of an endorsement key that names a vendor, eight hexadecimal digits.
    pub fn endorse(&self, vendor: &str) -> Vec<u8> {
        self.endorse_subject(vendor, &KeyPair::generate().unwrap())
    }

    /// The same for a key that is given as TPMT_PUBLIC.
    pub fn endorse_key(&self, vendor: &str, public: &[u8]) -> Vec<u8> {
        let key = PublicKey::parse(public).unwrap();
        let info = key.subject_public_key_info();
        let algorithm = match &key.numbers {
            Numbers::Ecc { x, .. } if x.len() == 32 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Numbers::Ecc { .. } => &rcgen::PKCS_ECDSA_P384_SHA384,
            Numbers::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
        };
        let bits = SubjectPublicKeyInfoRef::from_der(&info).unwrap().subject_public_key;
        self.endorse_subject(vendor, &Subject(bits.raw_bytes().to_vec(), algorithm))
    }

    fn endorse_subject(&self, vendor: &str, subject: &impl PublicKeyData) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
        let text = format!("id:{vendor}");
        // GeneralNames of one directoryName of one attribute, 2.23.133.2.1.
        let value = [&[0x06, 5, 0x67, 0x81, 0x05, 2, 1, 0x0c, text.len() as u8], text.as_bytes()].concat();
        let names = [0x30, 0x31, 0x30, 0xa4, 0x30]
            .into_iter()
            .fold(value, |value, tag| [&[tag, value.len() as u8], value.as_slice()].concat());
        let mut names = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
        names.set_criticality(true);
        params.custom_extensions = vec![names];
        params.signed_by(subject, &self.issuer).unwrap().der().to_vec()
    }
}

/// An event log of the firmware, in the crypto-agile format with SHA-256 digests.
pub struct TestLog(pub Vec<u8>);

impl TestLog {
    pub fn new() -> Self {
        let mut spec = b"Spec ID Event03\0".to_vec();
        spec.extend([0, 0, 0, 0, 0, 2, 0, 2]);
        spec.extend(1u32.to_le_bytes());
        spec.extend([0x0b, 0, 32, 0, 0]);
        let mut log = [0u32.to_le_bytes(), 3u32.to_le_bytes()].concat();
        log.extend([0; 20]);
        log.extend((spec.len() as u32).to_le_bytes());
        log.extend(spec);
        Self(log)
    }

    pub fn event(mut self, register: u32, kind: u32, digest: [u8; 32], event: &[u8]) -> Self {
        for number in [register, kind, 1] {
            self.0.extend(number.to_le_bytes());
        }
        self.0.extend([0x0b, 0]);
        self.0.extend(digest);
        self.0.extend((event.len() as u32).to_le_bytes());
        self.0.extend(event);
        self
    }
}
