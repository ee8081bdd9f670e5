//! Certificates of TPM keys: of the endorsement key by the TPM's vendor, and of the attestation key by whoever has seen
//! that it lives in that TPM (TCG EK Credential Profile 2.5; TCG TPM 2.0 Keys for Device Identity and Attestation 1.0).

use std::time::Duration;

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, Reader, SliceReader};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::attest::Digest;
use crate::attest::device::{describe_refusal, is_between};
use crate::attest::policy::Root;

/// Largest certificate that is read.
pub const MAX_CERTIFICATE_BYTES: usize = 16 << 10;
/// Certificates between a leaf and its root.
pub const MAX_CHAIN: usize = 8;

/// Characters of TPM_PT_MANUFACTURER.
pub const MAX_MANUFACTURER: usize = 4;

/// tcg-kp-EKCertificate, 2.23.133.8.1.
const ENDORSEMENT: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x01];
/// tcg-kp-AIKCertificate, 2.23.133.8.3.
const ATTESTATION: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x03];
/// tcg-at-tpmManufacturer.
const MANUFACTURER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.1");

/// What a certificate of a TPM is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An endorsement key.
    Endorsement,
    /// An attestation key.
    Attestation,
}

/// The first DER value of `bytes`: TPMs pad what they store.
pub fn trim(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let certificate = reader.tlv_bytes().ok()?;
    (certificate.first() == Some(&0x30)).then_some(certificate)
}

/// The public key of a certificate, DER of a SubjectPublicKeyInfo.
pub fn subject_public_key_info(certificate: &[u8]) -> Result<Vec<u8>, String> {
    let info = || read(certificate)?.tbs_certificate().subject_public_key_info().to_der();
    info().map_err(|error: der::Error| format!("is no certificate: {error}"))
}

/// The serial number of a certificate, upper-case hexadecimal digits without leading zero bytes.
pub fn serial(certificate: &[u8]) -> Option<String> {
    let certificate = read(certificate).ok()?;
    let bytes = certificate.tbs_certificate().serial_number().as_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    Some(hex::encode_upper(&bytes[first..]))
}

/// The vendor that the certificate of an endorsement key names, four letters as in TPM_PT_MANUFACTURER; `None` where it
/// names none.
pub fn manufacturer(certificate: &[u8]) -> Result<Option<String>, String> {
    let find = || -> Result<Option<String>, der::Error> {
        let certificate = read(certificate)?;
        let Some((_, names)) = certificate.tbs_certificate().get_extension::<SubjectAltName>()? else {
            return Ok(None);
        };
        for name in &names.0 {
            let GeneralName::DirectoryName(name) = name else { continue };
            if let Some(attribute) = name.iter().find(|attribute| attribute.oid == MANUFACTURER) {
                // "id:" and the four bytes in hexadecimal digits.
                let text = std::str::from_utf8(attribute.value.value()).unwrap_or_default();
                let id = text.strip_prefix("id:").and_then(|digits| u32::from_str_radix(digits, 16).ok());
                return Ok(id.map(manufacturer_name));
            }
        }
        Ok(None)
    };
    find().map_err(|error| format!("is no certificate: {error}"))
}

/// TPM_PT_MANUFACTURER as text: four letters, filled up with NUL or space. What is no printable ASCII character is a question mark.
pub fn manufacturer_name(id: u32) -> String {
    let bytes = id.to_be_bytes();
    // swtpm's certificate has the number that the vendor registry gives IBM, its TPM the letters.
    if id == 0x1014 {
        return "IBM".to_owned();
    }
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    bytes[..end].iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' }).collect()
}

/// Why no root vouches for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// There is none that could.
    #[error("no root is pinned")]
    NoRoot,
    /// Its issuer is another one than those that are pinned, or one between is missing.
    #[error("no pinned root vouches for it: no path to any of these roots")]
    UnknownIssuer,
    /// It, an authority between or the root was not valid at that time.
    #[error("no pinned root vouches for it: {0}")]
    Untimely(String),
    /// Not a certificate, not signed by the issuer that it names, or for another use.
    #[error("no pinned root vouches for it: {0}")]
    Wrong(&'static str),
}

/// The root that vouches for a certificate at that time, directly or through `intermediates`. All that lead to it are valid then,
/// the root as well.
pub fn chain<'r>(
    certificate: &[u8],
    intermediates: &[&[u8]],
    roots: &[&'r Root],
    purpose: Purpose,
    at: jiff::Timestamp,
) -> Result<&'r Root, ChainError> {
    let der = CertificateDer::from(certificate);
    let leaf = EndEntityCert::try_from(&der).map_err(|_| ChainError::Wrong("it is no certificate"))?;
    let intermediates: Vec<_> = intermediates.iter().map(|bytes| CertificateDer::from(*bytes)).collect();
    let usage = KeyUsage::required_if_present(match purpose {
        Purpose::Endorsement => ENDORSEMENT,
        Purpose::Attestation => ATTESTATION,
    });
    // Time is asked first, and an issuer that is not known says more than a time that is over.
    let issued = read(certificate).ok().map(|leaf| leaf.tbs_certificate().validity().not_before.to_unix_duration());
    let now = Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    let mut why = ChainError::NoRoot;
    for root in roots {
        let root_der = CertificateDer::from(root.certificate_der.as_slice());
        let anchors: Vec<_> = anchor_from_trusted_cert(&root_der).into_iter().collect();
        let verify = |time: Duration| {
            let time = UnixTime::since_unix_epoch(time);
            leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &intermediates, time, usage, None, None).map(|_| ())
        };
        let is_time = |error: &webpki::Error| {
            matches!(error, webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. })
        };
        let refused = |error: webpki::Error| match error {
            webpki::Error::UnknownIssuer => ChainError::UnknownIssuer,
            error => ChainError::Wrong(words(&error)),
        };
        let verified = match verify(now) {
            Err(error) if is_time(&error) => match issued.map_or(Err(error), verify) {
                Err(error) if !is_time(&error) => Err(refused(error)),
                _ => {
                    let path = std::iter::once(certificate).chain(intermediates.iter().map(AsRef::as_ref));
                    let untimely = path.filter_map(|der| check_validity(der, at).err()).next();
                    Err(ChainError::Untimely(
                        untimely.unwrap_or_else(|| format!("not all of its chain is valid at {at}")),
                    ))
                }
            },
            // Nothing but the name and the key of an anchor is looked at there.
            Ok(()) => check_validity(&root.certificate_der, at).map_err(ChainError::Untimely),
            Err(error) => Err(refused(error)),
        };
        match verified {
            Ok(()) => return Ok(root),
            // What was said of the root that it leads to counts, and not what was of the others.
            Err(error) if error.weight() >= why.weight() => why = error,
            Err(_) => {}
        }
    }
    Err(why)
}

impl ChainError {
    /// How close the certificate came to a root.
    fn weight(&self) -> u8 {
        match self {
            Self::NoRoot => 0,
            Self::UnknownIssuer => 1,
            Self::Wrong(_) => 2,
            Self::Untimely(_) => 3,
        }
    }
}

/// Whether a certificate is valid at that time; otherwise when it is.
fn check_validity(certificate: &[u8], at: jiff::Timestamp) -> Result<(), String> {
    let Ok(read) = read(certificate) else { return Err("a certificate whose validity cannot be read".to_owned()) };
    let validity = read.tbs_certificate().validity();
    let (from, to) = (validity.not_before.to_date_time(), validity.not_after.to_date_time());
    if is_between(at, from, to) {
        return Ok(());
    }
    Err(format!("{} is valid from {from} to {to}, not at {at}", describe(certificate)))
}

/// webpki's errors in words.
fn words(error: &webpki::Error) -> &'static str {
    use webpki::Error::{UnsupportedSignatureAlgorithmContext, UnsupportedSignatureAlgorithmForPublicKeyContext};
    match error {
        UnsupportedSignatureAlgorithmContext(_) | UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature of an algorithm that is not known"
        }
        error => describe_refusal(error),
    }
}

/// Subject of a certificate and the beginning of its digest, for a message.
pub fn describe(certificate: &[u8]) -> String {
    let sha256 = Digest::of(certificate).to_string();
    match read(certificate) {
        Ok(certificate) => format!("{:?} ({sha256:.16}…)", certificate.tbs_certificate().subject().to_string()),
        Err(_) => sha256,
    }
}

fn read(certificate: &[u8]) -> Result<Certificate, der::Error> {
    Certificate::from_der(certificate)
}
