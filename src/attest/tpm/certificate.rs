//! Certificates of TPM keys: of the endorsement key by the TPM's vendor, and of the attestation key by whoever has seen
//! that it lives in that TPM (TCG EK Credential Profile 2.5; TCG TPM 2.0 Keys for Device Identity and Attestation 1.0).

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, Reader, SliceReader};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::attest::Digest;
use crate::attest::policy::Root;

/// Largest certificate that is read.
pub const MAX_CERTIFICATE_BYTES: usize = 16 << 10;
/// Certificates between a leaf and its root.
pub const MAX_CHAIN: usize = 8;

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

/// TPM_PT_MANUFACTURER as text: four letters, filled up with NUL or space.
pub fn manufacturer_name(id: u32) -> String {
    let bytes = id.to_be_bytes();
    // swtpm's certificate has the number that the vendor registry gives IBM, its TPM the letters.
    if id == 0x1014 {
        return "IBM".to_owned();
    }
    String::from_utf8_lossy(&bytes).trim_end_matches(['\0', ' ']).to_owned()
}

/// The root that vouches for a certificate at that time, directly or through `intermediates`.
pub fn chain<'r>(
    certificate: &[u8],
    intermediates: &[&[u8]],
    roots: &[&'r Root],
    purpose: Purpose,
    at: jiff::Timestamp,
) -> Result<&'r Root, String> {
    let der = CertificateDer::from(certificate);
    let leaf = EndEntityCert::try_from(&der).map_err(|error| format!("is no certificate: {error}"))?;
    let intermediates: Vec<_> = intermediates.iter().map(|bytes| CertificateDer::from(*bytes)).collect();
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let mut why = "no root is pinned".to_owned();
    for root in roots {
        let root_der = CertificateDer::from(root.certificate_der.as_slice());
        let Ok(anchor) = anchor_from_trusted_cert(&root_der) else {
            why = format!("the root {} is no certificate", Digest::of(&root.certificate_der));
            continue;
        };
        let usage = KeyUsage::required_if_present(match purpose {
            Purpose::Endorsement => ENDORSEMENT,
            Purpose::Attestation => ATTESTATION,
        });
        let anchors = [anchor];
        match leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &intermediates, time, usage, None, None) {
            Ok(_) => return Ok(root),
            Err(error) => why = format!("no pinned root vouches for it: {error}"),
        }
    }
    Err(why)
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
