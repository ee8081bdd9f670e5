//! The certificate chain of a device (RFC 5280), from the key that signs its reports up to a root.
//!
//! ```text
//! 0  key that signs reports, made by the firmware ("GH100 A01 GSP FMC LF")
//! 1  key burned into the chip ("GH100 A01 GSP BROM"); its subject's serialNumber names the chip:
//!    41h for a GPU or 50h for a switch, then the eight bytes of its PDI
//! 2  ICA that provisioned it        3  identity of the chip family        4  NVIDIA Device Identity CA
//! ```

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde::Serialize;
use webpki::{EndEntityCert, KeyUsage, ring::ECDSA_P384_SHA384};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{DateTime, Decode};

use super::{Root, Roots};
use crate::attest::Digest;

/// The largest chain that is read. NVML's buffer has 5 KiB.
pub const MAX_CHAIN_BYTES: usize = 64 << 10;
/// The most certificates in a chain.
pub const MAX_CERTIFICATES: usize = 10;

/// U+FEFF in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Measured firmware in a certificate (TCG DICE Attestation Architecture 1.1, 6.1.1, `tcg-dice-TcbInfo`).
const TCB_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1");
/// The same as Blackwell's certificates name it, one arc below.
const TCB_INFO_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1.1");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");

/// A chain. Nothing of it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// From the device's key to the root, as given.
    pub certificates: Vec<Certificate>,
}

/// One certificate. Texts are what it says, and hostile until the chain has been verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Subject (RFC 4514).
    pub subject: String,
    /// Issuer (RFC 4514).
    pub issuer: String,
    /// Serial number, upper-case hexadecimal digits of whole bytes.
    pub serial: String,
    /// From when on it is valid.
    #[serde(serialize_with = "as_text")]
    pub not_before: DateTime,
    /// Until when it is valid.
    #[serde(serialize_with = "as_text")]
    pub not_after: DateTime,
    /// Digest of the certificate.
    pub sha256: Digest,
    /// The certificate.
    #[serde(skip)]
    pub der: CertificateDer<'static>,
    /// Public key: the contents of its bit string.
    #[serde(skip)]
    pub public_key: Vec<u8>,
    #[serde(skip)]
    common_name: Option<String>,
    #[serde(skip)]
    serial_number: Option<String>,
    #[serde(skip)]
    tcb_info: Vec<u8>,
}

/// The serial number of a certificate as a person writes it: hexadecimal digits, with the colons of OpenSSL, blanks or `0x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialNumber(String);

impl SerialNumber {
    /// Reads 1 to 64 digits, leading zeros aside; `None` of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|it| *it != ':' && !it.is_ascii_whitespace()).collect();
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
        let significant = digits.trim_start_matches('0');
        let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Whole bytes, as in a certificate.
        let zeros = match significant.len() {
            0 => "00",
            length if length % 2 == 1 => "0",
            _ => "",
        };
        (is_hex && significant.len() <= 64).then(|| Self(format!("{zeros}{}", significant.to_ascii_uppercase())))
    }

    /// The digits as in [`Certificate::serial`].
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why bytes are no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Larger than [`MAX_CHAIN_BYTES`].
    #[error("{0} bytes are more than a certificate chain can have")]
    TooLarge(usize),
    /// Not PEM, or no certificates in it.
    #[error("no certificates in PEM")]
    NotPem,
    /// More certificates than a chain has.
    #[error("more than {MAX_CERTIFICATES} certificates")]
    TooMany,
    /// Fewer than a device's chain needs.
    #[error("{0} certificates, and a device has its own and the one of its chip at least")]
    TooFew(usize),
    /// Not a certificate.
    #[error("certificate {0} is not X.509")]
    Certificate(usize),
}

/// What kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A GPU.
    Gpu,
    /// An NVSwitch.
    Switch,
}

impl std::fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gpu => "gpu",
            Self::Switch => "switch",
        })
    }
}

/// Per-device identifier, burned into the chip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pdi(pub [u8; 8]);

impl Pdi {
    /// The same bytes in reverse order, as some of NVIDIA's interfaces give them.
    pub fn reversed(self) -> Self {
        let Self(mut bytes) = self;
        bytes.reverse();
        Self(bytes)
    }

    /// Reads 16 hexadecimal digits, with `0x` or without.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Whether two interfaces name the same chip. Which of them reverse the bytes is not documented.
    pub fn is_same(self, other: Self) -> bool {
        self == other || self == other.reversed()
    }
}

impl std::fmt::Display for Pdi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#018x}", u64::from_be_bytes(self.0))
    }
}

impl std::fmt::Debug for Pdi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pdi {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was looked at.
    pub what: &'static str,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub observed: String,
}

impl Chain {
    /// Reads the certificates of a PEM file.
    pub fn parse(pem: &[u8]) -> Result<Self, ChainError> {
        if pem.len() > MAX_CHAIN_BYTES {
            return Err(ChainError::TooLarge(pem.len()));
        }
        // Windows writes a byte order mark, behind which the first certificate would not be found.
        let pem = pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(pem);
        // NVML's buffer is not always cut where its text ends.
        let end = pem.iter().position(|&byte| byte == 0).unwrap_or(pem.len());
        let mut certificates = Vec::new();
        for der in CertificateDer::pem_slice_iter(&pem[..end]) {
            if certificates.len() == MAX_CERTIFICATES {
                return Err(ChainError::TooMany);
            }
            let der: CertificateDer<'static> = der.map_err(|_| ChainError::NotPem)?;
            let certificate = Certificate::parse(der).ok_or(ChainError::Certificate(certificates.len() + 1))?;
            certificates.push(certificate);
        }
        match certificates.len() {
            0 => Err(ChainError::NotPem),
            1 => Err(ChainError::TooFew(1)),
            _ => Ok(Self { certificates }),
        }
    }

    /// The key that signs reports.
    pub fn leaf(&self) -> &Certificate {
        &self.certificates[0]
    }

    /// The certificate of the chip.
    fn chip_certificate(&self) -> &Certificate {
        &self.certificates[1]
    }

    /// Which device the chip's certificate names.
    pub fn device(&self) -> Option<(DeviceKind, Pdi)> {
        let mut bytes = [0; 9];
        hex::decode_to_slice(self.chip_certificate().serial_number.as_ref()?, &mut bytes).ok()?;
        let (&kind, pdi) = bytes.split_first()?;
        let kind = match kind {
            0x41 => DeviceKind::Gpu,
            0x50 => DeviceKind::Switch,
            _ => return None,
        };
        Some((kind, Pdi(pdi.try_into().ok()?)))
    }

    /// The chip that its certificate names: `GH100`, `LS_10`.
    pub fn chip(&self) -> Option<&str> {
        self.chip_certificate().common_name.as_deref()?.split(' ').next().filter(|chip| !chip.is_empty())
    }

    /// Whether the first certificate names that firmware, so that the report and the key are of one firmware.
    pub fn names_firmware(&self, fwid: &[u8]) -> bool {
        !fwid.is_empty() && self.leaf().tcb_info.windows(fwid.len()).any(|window| window == fwid)
    }

    /// The certificates and the root that they lead to, which whoever sends a chain may leave out.
    pub fn path<'a>(&'a self, root: Option<&'a Root>) -> impl Iterator<Item = &'a Certificate> {
        self.certificates.iter().chain(root.map(|root| &root.certificate))
    }

    /// Whether each certificate up to that root is valid at that time.
    pub fn check_validity(&self, root: Option<&Root>, at: Timestamp) -> Result<(), Fault> {
        let invalid = self.path(root).find(|it| !is_between(at, it.not_before, it.not_after));
        match invalid {
            None => Ok(()),
            Some(certificate) => Err(Fault {
                what: "validity",
                expected: format!("valid at {at}"),
                observed: format!(
                    "{} is valid from {} to {}",
                    certificate.subject, certificate.not_before, certificate.not_after
                ),
            }),
        }
    }

    /// Whether none of the certificates up to that root has one of those serial numbers, and the chip none as its PDI.
    pub fn check_revocation(&self, root: Option<&Root>, revoked: &[SerialNumber]) -> Result<(), Fault> {
        let fault = |observed: String| Fault {
            what: "revocation",
            expected: "no revoked certificate".to_owned(),
            observed: format!("{observed} is revoked"),
        };
        if let Some(it) = self.path(root).find(|it| revoked.iter().any(|serial| serial.as_str() == it.serial)) {
            return Err(fault(format!("{}, serial number {},", it.subject, it.serial)));
        }
        // Reports name a device by its PDI, so whoever revokes one may know no more of it.
        let is_revoked = |pdi: Pdi| SerialNumber::parse(&pdi.to_string()).is_some_and(|it| revoked.contains(&it));
        match self.device() {
            Some((kind, pdi)) if is_revoked(pdi) || is_revoked(pdi.reversed()) => Err(fault(format!("{kind} {pdi}"))),
            _ => Ok(()),
        }
    }

    /// Whether every certificate is signed by the next one, up to one of the roots; gives that root. Time is left to
    /// [`Self::check_validity`].
    pub fn check_signatures<'a>(&self, roots: &'a Roots) -> Result<&'a Root, Fault> {
        let fault = |observed: String| Fault {
            what: "chain",
            expected: format!("every certificate signed by the next, up to {}", roots.digests()),
            observed,
        };
        let refused = |error: webpki::Error| fault(describe_refusal(&error).to_owned());
        let anchors: Vec<_> = roots
            .iter()
            .filter_map(|root| Some((root, webpki::anchor_from_trusted_cert(&root.certificate.der).ok()?)))
            .collect();
        let trusted: Vec<_> = anchors.iter().map(|(_, anchor)| anchor.clone()).collect();
        let leaf = EndEntityCert::try_from(&self.leaf().der).map_err(refused)?;
        let mut issuers: Vec<CertificateDer<'_>> = self.certificates[1..].iter().map(|it| it.der.clone()).collect();
        // The root may be at the end of what the device sends, and counts as the one that is pinned only.
        if let Some(last) = issuers.pop_if(|last| roots.iter().any(|root| root.certificate.der == *last)) {
            drop(last);
        }
        // A time at which all of them were valid, if there was one.
        let newest = self.certificates.iter().map(|it| it.not_before.unix_duration()).max().unwrap_or_default();
        let time = UnixTime::since_unix_epoch(newest);
        // A device's certificate says nothing about its usage, or that it is for attestation.
        let usage = KeyUsage::required_if_present(&ATTESTATION_USAGE);
        let path = leaf
            .verify_for_usage(&[ECDSA_P384_SHA384], &trusted, &issuers, time, usage, None, None)
            .map_err(refused)?;
        // The path must be the chain as it was sent: what it leads past proves nothing about the device.
        if !path.intermediate_certificates().map(|it| it.der()).eq(issuers.iter().cloned()) {
            return Err(fault("certificates that do not belong to the path".to_owned()));
        }
        let anchor = path.anchor();
        let root = anchors.iter().find(|(_, it)| {
            it.subject == anchor.subject && it.subject_public_key_info == anchor.subject_public_key_info
        });
        root.map(|(root, _)| *root).ok_or_else(|| fault("another root".to_owned()))
    }
}

/// `tcg-dice-kp-eca` (2.23.133.5.4.100.12), DER contents.
const ATTESTATION_USAGE: [u8; 7] = [0x67, 0x81, 0x05, 0x05, 0x04, 0x64, 0x0c];

/// Whether a certificate with that validity is valid at that time.
pub(crate) fn is_between(at: Timestamp, not_before: DateTime, not_after: DateTime) -> bool {
    // A device's certificates end with the year 9999, later than any time of jiff.
    let seconds = |time: DateTime| time.unix_duration().as_secs();
    let now = at.as_second().try_into().unwrap_or(0);
    (seconds(not_before)..=seconds(not_after)).contains(&now)
}

/// webpki's errors in words.
pub(crate) fn describe_refusal(error: &webpki::Error) -> &'static str {
    use webpki::Error::*;
    match error {
        UnknownIssuer => "no path to any of these roots",
        InvalidSignatureForPublicKey => "a signature that the next certificate's key did not make",
        CertExpired { .. } | CertNotValidYet { .. } => "no time at which all certificates are valid",
        UnsupportedSignatureAlgorithmContext(_) | UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "another algorithm than ECDSA P-384 with SHA-384"
        }
        EndEntityUsedAsCa => "a certificate signed by one that is no authority",
        CaUsedAsEndEntity => "an authority's certificate in the place of the device's own",
        PathLenConstraintViolated => "a longer path than an authority in it allows",
        RequiredEkuNotFoundContext(_) => "a certificate for another use",
        UnsupportedCriticalExtension => "a critical extension that is not known",
        _ => "a certificate that cannot be used",
    }
}

impl Certificate {
    pub(super) fn parse(der: CertificateDer<'static>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(&der).ok()?;
        let body = certificate.tbs_certificate();
        // Of a name that says it twice nobody knows which one is meant.
        let attribute = |wanted: ObjectIdentifier| {
            let mut found = body.subject().iter().filter(|attribute| attribute.oid == wanted);
            let text = std::str::from_utf8(found.next()?.value.value()).ok()?;
            found.next().is_none().then(|| text.to_owned())
        };
        let tcb_info = body
            .extensions()
            .into_iter()
            .flatten()
            .filter(|extension| [TCB_INFO, TCB_INFO_1].contains(&extension.extn_id))
            .flat_map(|extension| extension.extn_value.as_bytes().iter().copied())
            .collect();
        Some(Self {
            subject: body.subject().to_string(),
            issuer: body.issuer().to_string(),
            serial: hex::encode_upper(serial_bytes(body.serial_number().as_bytes())),
            not_before: body.validity().not_before.to_date_time(),
            not_after: body.validity().not_after.to_date_time(),
            sha256: Digest::of(&der),
            public_key: body.subject_public_key_info().subject_public_key.raw_bytes().to_vec(),
            common_name: attribute(COMMON_NAME),
            serial_number: attribute(SERIAL_NUMBER),
            tcb_info,
            der,
        })
    }
}

fn as_text<S: serde::Serializer>(time: &DateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Without the zero that keeps a DER integer positive.
fn serial_bytes(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_the_same_however_it_is_written() {
        let normal = |text: &str| SerialNumber::parse(text).map(|serial| serial.as_str().to_owned());
        for text in [
            "412921CE551E4EEDA3",
            "41:29:21:ce:55:1e:4e:ed:a3",
            "0x412921ce551e4eeda3",
            "00412921CE551E4EEDA3",
            "0412921CE551E4EEDA3",
            " 41 29 21 CE 55 1E 4E ED A3\n",
            "00:41:29:21:ce:55:1e:4e:ed:a3",
        ] {
            assert_eq!(normal(text).as_deref(), Some("412921CE551E4EEDA3"), "{text}");
        }
        // As `serial_bytes` leaves them.
        assert_eq!(normal("a1b").as_deref(), Some("0A1B"));
        assert_eq!(normal("0").as_deref(), Some("00"));
        let long = "1".repeat(65);
        for text in ["", " ", ":", "0x", "xyz", "41-29", "0x0x41", "+41", "\u{ff14}1", &long] {
            assert_eq!(normal(text), None, "{text}");
        }
    }
}
