//! A response and the token in it, read and verified.

use std::time::Duration;

use der::asn1::AnyRef;
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Tag, Tagged};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ring::digest;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage, ring as algorithms};
use x509_cert::Certificate;
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectKeyIdentifier};

use super::Authorities;
use super::fields::{Fields, Malformed, tagged, tagged_primitive};
use super::request::{self, SHA256};
use crate::attest::Digest;

/// The largest response that is read. One with a chain of three RSA certificates has some 6 KB.
pub const MAX_RESPONSE_BYTES: usize = 32 << 10;
/// Certificates in a token.
const MAX_CERTIFICATES: usize = 16;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// The same as the content of a DER OBJECT IDENTIFIER.
const TIME_STAMPING_DER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Why a response proves no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Over the size cap; nothing was read.
    #[error("the response has {0} bytes, more than the {MAX_RESPONSE_BYTES} that are accepted")]
    TooLarge(usize),
    /// Not a response, or one that holds no token of RFC 3161.
    #[error("not a timestamp response: {0}")]
    Malformed(#[from] Malformed),
    /// The authority refused (PKIStatus of RFC 3161, section 2.4.2).
    #[error("the authority refused with status {0}")]
    Refused(u8),
    /// An algorithm that is not accepted.
    #[error("the {what} is {algorithm}, which is not accepted")]
    Algorithm {
        /// What the algorithm is for.
        what: &'static str,
        /// Its object identifier.
        algorithm: String,
    },
    /// A field that contradicts another.
    #[error("the {0} is not the one of what was signed")]
    Differs(&'static str),
    /// None of the certificates is the one that the token names as its signer's.
    #[error("the certificate that signed is not in the token")]
    NoCertificate,
    /// The certificate can't be read.
    #[error("the authority's certificate can't be read: {0}")]
    Certificate(String),
    /// Not made by the key of the certificate.
    #[error("the signature is not by the key of the authority's certificate")]
    Signature,
    /// The certificate is for something else.
    #[error("the authority's certificate is not for time-stamping alone (id-kp-timeStamping, critical)")]
    Usage,
    /// No chain to a root that is believed.
    #[error("the authority's certificate leads to no root that is believed: {0}")]
    Chain(String),
}

/// A token as it was read; nothing in it is verified yet.
#[derive(Debug, Clone)]
pub struct Token<'a> {
    /// SHA-256 of what the authority was shown.
    pub imprint: Digest,
    /// The nonce of the request, as the content of a DER INTEGER.
    pub nonce: Option<&'a [u8]>,
    /// When the authority saw it.
    pub generated_at: Timestamp,
    /// How far off that may be.
    pub accuracy: SignedDuration,
    /// The TSTInfo, which is what was digested.
    content: &'a [u8],
    certificates: Vec<CertificateDer<'a>>,
    /// Signed attributes with their header, whose tag is that of a field.
    attributes: &'a [u8],
    message_digest: &'a [u8],
    /// The signer as SignerIdentifier of RFC 5652, which is not signed itself.
    named: AnyRef<'a>,
    signer: SignerId<'a>,
    digest_algorithm: ObjectIdentifier,
    signature_algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

/// Digest of the certificate that signed (ESSCertID, ESSCertIDv2 of RFC 5035).
#[derive(Debug, Clone)]
struct SignerId<'a> {
    algorithm: &'static digest::Algorithm,
    digest: &'a [u8],
}

impl<'a> Token<'a> {
    /// Reads a TimeStampResp (RFC 3161, section 2.4.2) in DER.
    pub fn from_response(bytes: &'a [u8]) -> Result<Self, TokenError> {
        if bytes.len() > MAX_RESPONSE_BYTES {
            return Err(TokenError::TooLarge(bytes.len()));
        }
        let mut file = Fields::new(bytes, "response")?;
        let mut response = file.sequence("response")?;
        file.finish("end of the response")?;
        match response.sequence("status")?.take(Tag::Integer, "status")? {
            [0 | 1] => {}
            [status] => return Err(TokenError::Refused(*status)),
            _ => return Err(Malformed("status").into()),
        }
        let mut content_info = response.sequence("token")?;
        response.finish("end of the response")?;
        if content_info.oid("type of the token")? != SIGNED_DATA {
            return Err(Malformed("signed data").into());
        }
        let explicit = content_info.take(tagged(0), "signed data")?;
        Self::from_signed_data(Fields::new(explicit, "signed data")?.sequence("signed data")?)
    }

    /// SignedData of RFC 5652, section 5.1.
    fn from_signed_data(mut signed: Fields<'a>) -> Result<Self, TokenError> {
        signed.take(Tag::Integer, "version of the signed data")?;
        signed.take(Tag::Set, "digest algorithms")?;
        let mut encapsulated = signed.sequence("content")?;
        if encapsulated.oid("type of the content")? != TST_INFO {
            return Err(Malformed("TSTInfo").into());
        }
        let explicit = encapsulated.take(tagged(0), "TSTInfo")?;
        let content = Fields::new(explicit, "TSTInfo")?.take(Tag::OctetString, "TSTInfo")?;
        let mut certificates = Vec::new();
        if let Some(set) = signed.optional(tagged(0), "certificates")? {
            let mut set = Fields::new(set, "certificates")?;
            while !set.is_finished() {
                if certificates.len() == MAX_CERTIFICATES {
                    return Err(Malformed("end of the certificates").into());
                }
                certificates.push(CertificateDer::from(set.whole("certificate")?));
            }
        }
        signed.optional(tagged(1), "revocation lists")?;
        let mut signers = Fields::new(signed.take(Tag::Set, "signer")?, "signer")?;
        let mut signer = signers.sequence("signer")?;
        signers.finish("end of the only signer")?;

        // SignerInfo of RFC 5652, section 5.3.
        signer.take(Tag::Integer, "version of the signer")?;
        let named = signer.any("name of the signer")?;
        let digest_algorithm = signer.algorithm("digest algorithm")?;
        let attributes = signer.whole("signed attributes")?;
        let (message_digest, signer_id) = read_attributes(attributes)?;
        let signature_algorithm = signer.algorithm("signature algorithm")?;
        let signature = signer.take(Tag::OctetString, "signature")?;

        let info = TstInfo::read(content)?;
        Ok(Self {
            imprint: info.imprint,
            nonce: info.nonce,
            generated_at: info.generated_at,
            accuracy: info.accuracy,
            content,
            certificates,
            attributes,
            message_digest,
            named,
            signer: signer_id,
            digest_algorithm,
            signature_algorithm,
            signature,
        })
    }

    /// What was signed existed at this time, if the token is valid.
    pub fn not_after(&self) -> Timestamp {
        self.generated_at.saturating_add(self.accuracy).unwrap_or(Timestamp::MAX)
    }

    /// Whether the token is what its own certificate signed, and that certificate is for time-stamping. Says nothing about
    /// whose certificate it is. Gives the name in it.
    pub fn check_signature(&self) -> Result<String, TokenError> {
        let algorithm =
            digest_of(self.digest_algorithm).ok_or_else(|| not_accepted("digest algorithm", self.digest_algorithm))?;
        if digest::digest(algorithm, self.content).as_ref() != self.message_digest {
            return Err(TokenError::Differs("message digest"));
        }
        let certificate = self.signing_certificate()?;
        let unreadable = |error: webpki::Error| TokenError::Certificate(error.to_string());
        let end_entity = EndEntityCert::try_from(certificate).map_err(unreadable)?;
        // The attributes are signed as the SET that they are, whose tag the field replaced (RFC 5652, section 5.4).
        let mut message = self.attributes.to_vec();
        if let Some(tag) = message.first_mut() {
            *tag = 0x31;
        }
        let candidates = signature_algorithms(self.signature_algorithm, self.digest_algorithm)
            .ok_or_else(|| not_accepted("signature algorithm", self.signature_algorithm))?;
        if !candidates
            .into_iter()
            .any(|candidate| end_entity.verify_signature(candidate, &message, self.signature).is_ok())
        {
            return Err(TokenError::Signature);
        }
        let read = |error: der::Error| TokenError::Certificate(error.to_string());
        let certificate = Certificate::from_der(certificate).map_err(read)?;
        let certificate = certificate.tbs_certificate();
        if !is_named(certificate, self.named).map_err(read)? {
            return Err(TokenError::Differs("name of the signer"));
        }
        let usage = certificate.get_extension::<ExtendedKeyUsage>().map_err(read)?;
        match usage {
            Some((true, ExtendedKeyUsage(purposes))) if purposes == [TIME_STAMPING] => {}
            _ => return Err(TokenError::Usage),
        }
        Ok(certificate.subject().to_string())
    }

    /// [`Self::check_signature`], and whether the certificate was valid when it signed, by a chain to one of the roots.
    pub fn verify(&self, authorities: &Authorities) -> Result<String, TokenError> {
        let name = self.check_signature()?;
        let chain = |error: webpki::Error| {
            TokenError::Chain(match error {
                webpki::Error::UnknownIssuer => "none of the roots issued it".to_owned(),
                webpki::Error::CertExpired { .. } => "a certificate had expired when the token was made".to_owned(),
                webpki::Error::CertNotValidYet { .. } => {
                    "a certificate was not valid yet when the token was made".to_owned()
                }
                webpki::Error::InvalidSignatureForPublicKey => "a certificate is not signed by its issuer".to_owned(),
                other => format!("{other:?}"),
            })
        };
        let end_entity = EndEntityCert::try_from(self.signing_certificate()?).map_err(chain)?;
        let seconds = u64::try_from(self.generated_at.as_second()).map_err(|_| Malformed("time of the token"))?;
        end_entity
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &authorities.roots,
                &self.certificates,
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                // The certificate itself has it (see above); authorities between need not say so.
                KeyUsage::required_if_present(TIME_STAMPING_DER),
                None,
                None,
            )
            .map_err(chain)?;
        Ok(name)
    }

    fn signing_certificate(&self) -> Result<&CertificateDer<'a>, TokenError> {
        let SignerId { algorithm, digest } = &self.signer;
        let is_it = |certificate: &&CertificateDer<'_>| digest::digest(algorithm, certificate).as_ref() == *digest;
        self.certificates.iter().find(is_it).ok_or(TokenError::NoCertificate)
    }
}

/// Whether a SignerIdentifier (RFC 5652, section 5.3) names that certificate: by issuer and serial number, or by key.
fn is_named(certificate: &TbsCertificate, name: AnyRef<'_>) -> Result<bool, der::Error> {
    if name.tag() != Tag::Sequence {
        let key = certificate.get_extension::<SubjectKeyIdentifier>()?;
        return Ok(name.tag() == tagged_primitive(0) && key.is_some_and(|(_, key)| key.0.as_bytes() == name.value()));
    }
    let mut expected = certificate.issuer().to_der()?;
    certificate.serial_number().encode(&mut expected)?;
    Ok(expected == name.value())
}

/// Message digest and signer. Each attribute is there once, and has one value.
fn read_attributes<'a>(field: &'a [u8]) -> Result<(&'a [u8], SignerId<'a>), TokenError> {
    const WHAT: &str = "signed attributes";
    let mut attributes = Fields::new(Fields::new(field, WHAT)?.take(tagged(0), WHAT)?, WHAT)?;
    let (mut content_type, mut message_digest, mut signer, mut signer_v2) = (None, None, None, None);
    while !attributes.is_finished() {
        let mut attribute = attributes.sequence(WHAT)?;
        let kind = attribute.oid(WHAT)?;
        let values = attribute.take(Tag::Set, WHAT)?;
        let slot = match kind {
            CONTENT_TYPE => &mut content_type,
            MESSAGE_DIGEST => &mut message_digest,
            SIGNING_CERTIFICATE => &mut signer,
            SIGNING_CERTIFICATE_V2 => &mut signer_v2,
            _ => continue,
        };
        if slot.replace(values).is_some() {
            return Err(Malformed("only one of each signed attribute").into());
        }
    }
    let only = |values: Option<&'a [u8]>, tag: Tag, what: &'static str| -> Result<&'a [u8], Malformed> {
        let mut values = Fields::new(values.ok_or(Malformed(what))?, what)?;
        let value = values.take(tag, what)?;
        values.finish(what)?;
        Ok(value)
    };
    if only(content_type, Tag::ObjectIdentifier, "content type")? != TST_INFO.as_bytes() {
        return Err(TokenError::Differs("content type"));
    }
    let message_digest = only(message_digest, Tag::OctetString, "message digest")?;
    const SIGNER: &str = "digest of the signing certificate";
    let certificate_id = |values| -> Result<Fields<'a>, Malformed> {
        // SigningCertificate, its list of certificates, and of those the first, which is the one that signed.
        Fields::new(only(values, Tag::Sequence, SIGNER)?, SIGNER)?.sequence(SIGNER)?.sequence(SIGNER)
    };
    let signer = if signer_v2.is_some() {
        let mut id = certificate_id(signer_v2)?;
        let algorithm = match id.optional(Tag::Sequence, SIGNER)? {
            None => SHA256,
            Some(algorithm) => Fields::new(algorithm, SIGNER)?.oid(SIGNER)?,
        };
        let digest = id.take(Tag::OctetString, SIGNER)?;
        SignerId { algorithm: digest_of(algorithm).ok_or_else(|| not_accepted(SIGNER, algorithm))?, digest }
    } else {
        // Still written by authorities in use, and nobody can make a second certificate of one SHA-1.
        let digest = certificate_id(signer)?.take(Tag::OctetString, SIGNER)?;
        SignerId { algorithm: &digest::SHA1_FOR_LEGACY_USE_ONLY, digest }
    };
    Ok((message_digest, signer))
}

/// The part of a TSTInfo (RFC 3161, section 2.4.2) that means something here.
struct TstInfo<'a> {
    imprint: Digest,
    generated_at: Timestamp,
    accuracy: SignedDuration,
    nonce: Option<&'a [u8]>,
}

impl<'a> TstInfo<'a> {
    fn read(content: &'a [u8]) -> Result<Self, TokenError> {
        const WHAT: &str = "TSTInfo";
        let mut file = Fields::new(content, WHAT)?;
        let mut info = file.sequence(WHAT)?;
        file.finish(WHAT)?;
        if info.take(Tag::Integer, "version of the TSTInfo")? != [1] {
            return Err(Malformed("version 1 of the TSTInfo").into());
        }
        info.take(Tag::ObjectIdentifier, "policy of the authority")?;
        let imprint = request::imprint(&mut info)?.ok_or(TokenError::Differs("digest algorithm (SHA-256)"))?;
        info.take(Tag::Integer, "serial number of the token")?;
        let time = info.take(Tag::GeneralizedTime, "time of the token")?;
        let generated_at = generalized_time(time).ok_or(Malformed("time of the token"))?;
        let accuracy = match info.optional(Tag::Sequence, "accuracy")? {
            Some(accuracy) => read_accuracy(accuracy).map_err(|()| Malformed("accuracy"))?,
            None => SignedDuration::ZERO,
        };
        info.optional(Tag::Boolean, "ordering")?;
        let nonce = info.optional(Tag::Integer, "nonce")?;
        info.optional(tagged(0), "name of the authority")?;
        info.optional(tagged(1), "extensions")?;
        info.finish("end of the TSTInfo")?;
        Ok(Self { imprint, generated_at, accuracy, nonce })
    }
}

/// `YYYYMMDDhhmmss[.f…]Z`: always in UTC, and with as many fractional digits as the authority likes (RFC 3161, section
/// 2.4.2). What is beyond nanoseconds is cut.
fn generalized_time(content: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let number = |from: usize, to: usize| whole.get(from..to)?.parse::<i8>().ok();
    let nanoseconds: i32 = format!("{:0<9}", fraction).get(..9)?.parse().ok()?;
    let year: i16 = whole.get(..4)?.parse().ok()?;
    let time = DateTime::new(
        year,
        number(4, 6)?,
        number(6, 8)?,
        number(8, 10)?,
        number(10, 12)?,
        number(12, 14)?,
        nanoseconds,
    );
    TimeZone::UTC.to_timestamp(time.ok()?).ok()
}

/// Seconds, milliseconds and microseconds, each optional.
fn read_accuracy(content: &[u8]) -> Result<SignedDuration, ()> {
    const WHAT: &str = "accuracy";
    let mut fields = Fields::new(content, WHAT).map_err(|_| ())?;
    let mut number = |tag: Tag, most: u32| -> Result<u32, ()> {
        let Some(content) = fields.optional(tag, WHAT).map_err(|_| ())? else { return Ok(0) };
        let number = content.iter().take(5).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        u32::try_from(number).ok().filter(|number| content.len() <= 5 && *number <= most).ok_or(())
    };
    // A day is no accuracy, and nothing that a year could be added to.
    let seconds = number(Tag::Integer, 86_400)?;
    let milliseconds = number(tagged_primitive(0), 999)?;
    let microseconds = number(tagged_primitive(1), 999)?;
    fields.finish(WHAT).map_err(|_| ())?;
    let microseconds = u64::from(seconds) * 1_000_000 + u64::from(milliseconds) * 1000 + u64::from(microseconds);
    Ok(SignedDuration::from_micros(microseconds as i64))
}

fn digest_of(algorithm: ObjectIdentifier) -> Option<&'static digest::Algorithm> {
    match algorithm {
        SHA256 => Some(&digest::SHA256),
        SHA384 => Some(&digest::SHA384),
        SHA512 => Some(&digest::SHA512),
        _ => None,
    }
}

/// The algorithms that an identifier may stand for (RFC 5754, RFC 8419): those of ECDSA name no curve, and that of RSA alone
/// leaves the digest to the field before.
fn signature_algorithms(
    signature: ObjectIdentifier,
    digest: ObjectIdentifier,
) -> Option<Vec<&'static dyn SignatureVerificationAlgorithm>> {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
    const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
    const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
    const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
    const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    Some(match (signature, digest) {
        (RSA, SHA256) | (RSA_SHA256, _) => vec![algorithms::RSA_PKCS1_2048_8192_SHA256],
        (RSA, SHA384) | (RSA_SHA384, _) => vec![algorithms::RSA_PKCS1_2048_8192_SHA384],
        (RSA, SHA512) | (RSA_SHA512, _) => vec![algorithms::RSA_PKCS1_2048_8192_SHA512],
        (ECDSA_SHA256, _) => vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256],
        (ECDSA_SHA384, _) => vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384],
        (ED25519, _) => vec![algorithms::ED25519],
        _ => return None,
    })
}

fn not_accepted(what: &'static str, algorithm: ObjectIdentifier) -> TokenError {
    TokenError::Algorithm { what, algorithm: algorithm.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_and_may_have_fractions() {
        let read = |text: &str| generalized_time(text.as_bytes()).map(|time| time.to_string());
        assert_eq!(read("20260301110000Z").as_deref(), Some("2026-03-01T11:00:00Z"));
        assert_eq!(read("20260301110000.25Z").as_deref(), Some("2026-03-01T11:00:00.25Z"));
        assert_eq!(read("20260301110000.1234567891Z").as_deref(), Some("2026-03-01T11:00:00.123456789Z"));
        for wrong in ["20260301110000", "202603011100Z", "20260301110000.Z", "20261301110000Z", "+0260301110000Z", "Z"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn accuracy_is_added_up() {
        let read = |bytes: &[u8]| read_accuracy(bytes).map(|accuracy| accuracy.as_micros());
        assert_eq!(read(&[]), Ok(0));
        assert_eq!(read(&[2, 1, 1, 0x80, 2, 1, 0xf4, 0x81, 1, 100]), Ok(1_500_100));
        assert_eq!(read(&[0x80, 2, 0x03, 0xe8]), Err(()));
        assert_eq!(read(&[2, 5, 1, 0, 0, 0, 0]), Err(()));
    }
}
