//! Certificate authorities that vouch for devices.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Certificate;

/// "NVIDIA Device Identity CA", which all of NVIDIA's GPUs and switches that attest lead to. From NVIDIA/nvtrust,
/// `guest_tools/gpu_verifiers/local_gpu_verifier/src/verifier/certs/verifier_device_root.pem`.
const NVIDIA_DEVICE_IDENTITY: &[u8] = include_bytes!("../roots/nvidia-device-identity.pem");
/// SHA-256 of that certificate.
pub const NVIDIA_DEVICE_IDENTITY_SHA256: &str = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48";
/// The most certificates in a file of roots.
const MAX_ROOTS: usize = 64;

/// One authority that is trusted to vouch for devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// What reports call it.
    pub name: String,
    /// The certificate.
    pub certificate: Certificate,
}

/// All authorities that are trusted to vouch for devices: the one that is built in, and those that the user gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    roots: Vec<Root>,
}

/// Why roots could not be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no certificate of an authority in PEM")]
pub struct RootError;

impl Root {
    fn new(name: &str, der: CertificateDer<'static>) -> Option<Self> {
        webpki::anchor_from_trusted_cert(&der).ok()?;
        Some(Self { name: name.to_owned(), certificate: Certificate::parse(der)? })
    }
}

impl Default for Roots {
    fn default() -> Self {
        let mut roots = Self { roots: Vec::new() };
        // A test reads the file; it can't fail here.
        _ = roots.add("NVIDIA Device Identity CA", NVIDIA_DEVICE_IDENTITY);
        roots
    }
}

impl Roots {
    /// Trusts every certificate of a PEM file too.
    pub fn add(&mut self, name: &str, pem: &[u8]) -> Result<(), RootError> {
        let mut added = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem).take(MAX_ROOTS) {
            added.push(Root::new(name, certificate.map_err(|_| RootError)?).ok_or(RootError)?);
        }
        if added.is_empty() {
            return Err(RootError);
        }
        self.roots.append(&mut added);
        Ok(())
    }

    /// Trusts a certificate, DER. One that cannot be read vouches for nothing.
    pub fn add_der(&mut self, name: &str, der: &[u8]) {
        self.roots.extend(Root::new(name, CertificateDer::from(der.to_vec())));
    }

    /// The roots, the built-in one first.
    pub fn iter(&self) -> impl Iterator<Item = &Root> {
        self.roots.iter()
    }

    /// Digests of the certificates, for a message.
    pub(super) fn digests(&self) -> String {
        let digest = |root: &Root| format!("{} ({})", root.name, root.certificate.sha256);
        self.roots.iter().map(digest).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_that_is_built_in_is_nvidias() {
        let roots = Roots::default();
        let digests: Vec<String> = roots.iter().map(|root| root.certificate.sha256.to_string()).collect();
        assert_eq!(digests, [NVIDIA_DEVICE_IDENTITY_SHA256]);
        assert_eq!(Roots::default().add("nothing", b"no certificate"), Err(RootError));
    }
}
