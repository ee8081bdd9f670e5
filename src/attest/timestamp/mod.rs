//! When something was signed, in the words of a third party: RFC 3161 tokens over signatures.
//!
//! A time-stamping authority signs the SHA-256 of the 64 bytes of one Ed25519 signature, together with the time at which it
//! saw them. So the signature existed by then, whatever the clock of the signing machine said. Nothing follows about how
//! long it had existed before.
//!
//! The authority's responses lie [`beside`] the envelope, whole, as [`Sidecar`] describes it. That file is not
//! signed: whoever holds the report can add timestamps to it later, and whoever removes them takes a proof away and puts
//! none in its place.
//!
//! Specifications: [RFC 3161](https://www.rfc-editor.org/rfc/rfc3161), RFC 5816 (ESSCertIDv2), RFC 5652 (the signed data),
//! RFC 5035 (which certificate signed). The structures are read here, from DER only and in linear time.

mod ask;
mod fields;
mod request;
mod sidecar;
mod token;

pub use ask::{AskError, ask};
pub use request::{Request, RequestError};
pub use sidecar::{MAX_SIDECAR_BYTES, MAX_TIMESTAMPS, Sidecar, SidecarError, beside};
pub use token::{MAX_RESPONSE_BYTES, Token, TokenError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};

/// The time-stamping authorities that are believed: whatever a chain of certificates leads to from one of their roots.
#[derive(Debug, Clone, Default)]
pub struct Authorities {
    roots: Vec<TrustAnchor<'static>>,
}

/// Why a text holds no root certificates.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// Not PEM.
    #[error("not PEM: {0}")]
    Pem(String),
    /// PEM of something else.
    #[error("holds no certificate")]
    Empty,
    /// A certificate that can't be a root.
    #[error("certificate {number} can't be a root: {why}")]
    Certificate {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl Authorities {
    /// Reads root certificates from PEM (RFC 7468), one or more.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut authorities = Self::default();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| AuthoritiesError::Pem(error.to_string()))?;
            authorities.add(&certificate).map_err(|why| {
                let number = authorities.roots.len() + 1;
                AuthoritiesError::Certificate { number, why }
            })?;
        }
        if authorities.roots.is_empty() { Err(AuthoritiesError::Empty) } else { Ok(authorities) }
    }

    /// Root certificates in DER. One that can't be a root counts for nothing.
    pub fn from_der<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut authorities = Self::default();
        for certificate in certificates {
            _ = authorities.add(&CertificateDer::from(certificate));
        }
        authorities
    }

    /// Believes those of another list too.
    pub fn extend(&mut self, other: Self) {
        self.roots.extend(other.roots);
    }

    /// Whether no authority is believed.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    fn add(&mut self, certificate: &CertificateDer<'_>) -> Result<(), String> {
        let root = webpki::anchor_from_trusted_cert(certificate).map_err(|error| error.to_string())?;
        self.roots.push(root.to_owned());
        Ok(())
    }
}
