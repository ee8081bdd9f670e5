//! Devices that sign reports of themselves: certificate chains of the shape that NVIDIA's have, under a root of the tests.
//!
//! ```text
//! Authority (root) ─► chip family ─► provisioner ─► chip ("… BROM", names the PDI) ─► firmware's key, which signs reports
//! ```

use std::path::Path;
use std::sync::OnceLock;
use std::{fs, io};

use anyhow::{Context, anyhow};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SerialNumber, date_time_ymd,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};

/// `serialNumber` in a name (X.520).
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];
/// `tcg-dice-TcbInfo`.
const TCB_INFO: [u64; 6] = [2, 23, 133, 5, 4, 1];
/// What the firmware of every virtual device hashes to.
const FWID: [u8; 48] = [0xf1; 48];
/// DER of a TcbInfo: a sequence that has only `fwids`, with one of SHA-384.
const TCB_INFO_HEADER: [u8; 17] =
    [0x30, 0x41, 0xa6, 0x3f, 0x30, 0x3d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];

/// A root that vouches for virtual devices.
pub struct Authority {
    root: Certified,
    family: Certified,
    provisioner: Certified,
}

/// A certificate with its key.
struct Certified {
    pem: String,
    params: CertificateParams,
    key: KeyPair,
}

/// What a device is made as.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `GH100`, `LS_10`.
    pub chip: String,
    /// 41h for a GPU, 50h for a switch.
    pub kind: u8,
    /// Its PDI, 16 hexadecimal digits.
    pub pdi: String,
    /// Last year in which its certificates are valid.
    pub until_year: i32,
}

/// A device that can sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The chain in PEM, with the root at its end.
    pub chain: String,
    /// The key in PKCS#8.
    pub key: Vec<u8>,
}

/// What a report says of a GPU.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Measurements: 64 on GPUs, 31 on switches.
    pub measurements: u8,
    /// Opaque fields: type and value.
    pub fields: Vec<(u16, Vec<u8>)>,
}

impl Authority {
    /// A new root with what is below it.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        Self::until(name, 9999)
    }

    /// A new root that is valid up to the end of that year, longer than which everything below it is.
    pub fn until(name: &str, year: i32) -> anyhow::Result<Self> {
        let root = Certified::new(name, None, authority(), year, None)?;
        let family = Certified::new("TEST GH100 Identity", None, authority(), 9999, Some(&root))?;
        let provisioner = Certified::new("TEST GH100 Provisioner ICA 1", None, authority(), 9999, Some(&family))?;
        Ok(Self { root, family, provisioner })
    }

    /// The one of this process.
    pub fn of_process() -> anyhow::Result<&'static Self> {
        static AUTHORITY: OnceLock<Result<Authority, String>> = OnceLock::new();
        let made = || Self::new("TEST Device Identity CA").map_err(|error| format!("{error:#}"));
        AUTHORITY.get_or_init(made).as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// The root in PEM.
    pub fn root(&self) -> &str {
        &self.root.pem
    }

    /// Makes a device.
    pub fn device(&self, identity: &Identity) -> anyhow::Result<Signer> {
        let Identity { chip, kind, pdi, until_year } = identity;
        let number = format!("{kind:02X}{}", pdi.to_uppercase());
        let name = format!("{chip} A01 GSP BROM");
        let brom = Certified::new(&name, Some(&number), authority(), *until_year, Some(&self.provisioner))?;
        let name = format!("{chip} A01 GSP FMC LF");
        let leaf = Certified::new(&name, Some("F1".repeat(20).as_str()), IsCa::NoCa, *until_year, Some(&brom))?;
        let chain = [&leaf, &brom, &self.provisioner, &self.family, &self.root];
        Ok(Signer { chain: chain.map(|it| it.pem.as_str()).concat(), key: leaf.key.serialize_der() })
    }
}

fn authority() -> IsCa {
    IsCa::Ca(BasicConstraints::Unconstrained)
}

impl Certified {
    fn new(name: &str, number: Option<&str>, is_ca: IsCa, year: i32, issuer: Option<&Self>) -> anyhow::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(number) = number {
            let text = DnValue::PrintableString(number.try_into()?);
            params.distinguished_name.push(DnType::from_oid(&SERIAL_NUMBER), text);
            if let Ok(serial) = u128::from_str_radix(number, 16) {
                params.serial_number = Some(SerialNumber::from_slice(&serial.to_be_bytes()[7..]));
            }
        }
        params.distinguished_name.push(DnType::OrganizationName, "TEST Corporation");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 10, 17);
        params.not_after = date_time_ymd(year, 12, 31);
        params.key_usages = match is_ca {
            IsCa::Ca(_) => vec![KeyUsagePurpose::KeyCertSign],
            _ => {
                let info = [&TCB_INFO_HEADER[..], &[0x04, FWID.len() as u8], &FWID].concat();
                params.custom_extensions.push(CustomExtension::from_oid_content(&TCB_INFO, info));
                vec![KeyUsagePurpose::DigitalSignature]
            }
        };
        params.is_ca = is_ca;
        let certificate = match issuer {
            None => params.self_signed(&key)?,
            Some(issuer) => params.signed_by(&key, &Issuer::from_params(&issuer.params, &issuer.key))?,
        };
        Ok(Self { pem: certificate.pem(), params, key })
    }
}

impl Signer {
    /// Writes it into a folder, for the library that another process loads.
    pub fn save(&self, folder: &Path, ordinal: usize) -> io::Result<()> {
        fs::write(folder.join(format!("attest-{ordinal}.pem")), &self.chain)?;
        fs::write(folder.join(format!("attest-{ordinal}.key")), &self.key)
    }

    /// Reads it again.
    pub fn load(folder: &Path, ordinal: usize) -> io::Result<Self> {
        let chain = fs::read_to_string(folder.join(format!("attest-{ordinal}.pem")))?;
        Ok(Self { chain, key: fs::read(folder.join(format!("attest-{ordinal}.key")))? })
    }

    /// A report over that nonce: an SPDM 1.1 request and the signed response to it.
    pub fn report(&self, nonce: &[u8; 32], contents: &Contents) -> anyhow::Result<Vec<u8>> {
        let mut report = vec![0x11, 0xe0, 0x01, 0xff];
        report.extend(nonce);
        report.push(0);
        report.extend([0x11, 0x60, 0, 0, contents.measurements]);
        let length = u32::from(contents.measurements) * 55;
        report.extend(&length.to_le_bytes()[..3]);
        for index in 1..=contents.measurements {
            report.extend([index, 1, 51, 0, 1, 48, 0]);
            report.extend([index; 48]);
        }
        report.extend([0xd5; 32]);
        let firmware = (20, FWID.to_vec());
        let mut opaque = Vec::new();
        for (kind, value) in contents.fields.iter().chain([&firmware]) {
            opaque.extend(kind.to_le_bytes());
            opaque.extend((value.len() as u16).to_le_bytes());
            opaque.extend(value);
        }
        report.extend((opaque.len() as u16).to_le_bytes());
        report.extend(opaque);
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.key, &random)
            .map_err(|error| anyhow!("{error}"))?;
        let signature = key.sign(&random, &report).ok().context("the key does not sign")?;
        report.extend(signature.as_ref());
        Ok(report)
    }
}

/// A VBIOS version as GPUs sign it: `96.00.A5.00.01`.
pub fn vbios_field(version: &str) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = version.split('.').map(|pair| u8::from_str_radix(pair, 16).ok()).collect::<Option<_>>()?;
    if bytes.len() != 5 {
        return None;
    }
    bytes[..4].reverse();
    bytes.extend([0; 3]);
    Some(bytes)
}
