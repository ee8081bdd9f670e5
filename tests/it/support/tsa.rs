//! A time-stamping authority for tests: certificates by rcgen, tokens by `openssl ts`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use tempfile::TempDir;

/// What the authority's certificate says that it may be used for, as DER of an ExtKeyUsageSyntax.
const TIME_STAMPING: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
const CODE_SIGNING: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

/// How an authority's certificate is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Certified {
    /// As it has to be.
    #[default]
    Rightly,
    /// It ended before the authority signed.
    Expired,
    /// For signing programs.
    ForCode,
    /// Without a purpose.
    ForAnything,
}

/// An authority with a chain of three certificates: root, intermediate, authority.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// An authority in which everything is as it should be.
    pub fn new() -> Self {
        Self::certified(Certified::Rightly)
    }

    /// An authority with a certificate of that kind.
    pub fn certified(how: Certified) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Self { folder };
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let named = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2090, 1, 1);
            params
        };
        let certifier = |name: &str| {
            let mut params = named(name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params
        };
        let (root_key, middle_key, own_key) = (key(), key(), key());
        let root = certifier("test root").self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(certifier("test root"), root_key);
        let middle = certifier("test intermediate").signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(certifier("test intermediate"), middle_key);

        let mut params = named("test authority");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if how == Certified::Expired {
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let usage = match how {
            Certified::Rightly | Certified::Expired => Some(TIME_STAMPING),
            Certified::ForCode => Some(CODE_SIGNING),
            Certified::ForAnything => None,
        };
        if let Some(usage) = usage {
            let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], usage.to_vec());
            extension.set_criticality(true);
            params.custom_extensions.push(extension);
        }
        let own = params.signed_by(&own_key, &middle_issuer).unwrap();
        authority.write("root.pem", root.pem().as_bytes());
        authority.write("middle.pem", middle.pem().as_bytes());
        authority.write("own.pem", own.pem().as_bytes());
        authority.write("own.key", own_key.serialize_pem().as_bytes());
        authority.write("serial", b"01\n");
        authority
    }

    /// The root certificate.
    pub fn root(&self) -> PathBuf {
        self.path("root.pem")
    }

    /// The root certificate in PEM.
    pub fn root_pem(&self) -> Vec<u8> {
        fs::read(self.root()).unwrap()
    }

    /// The response to a request, as `openssl ts` makes it.
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        self.answer_as(request, "accuracy = secs:1, millisecs:500, microsecs:100\n")
    }

    /// The same with more lines of the configuration.
    pub fn answer_as(&self, request: &[u8], more: &str) -> Vec<u8> {
        self.write("request.tsq", request);
        let config = format!(
            "[tsa]\ndefault_tsa = it\n[it]\nserial = {0}/serial\ncrypto_device = builtin\nsigner_cert = {0}/own.pem\n\
             signer_key = {0}/own.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\n{1}\
             ordering = yes\ntsa_name = yes\ness_cert_id_alg = sha256\n",
            self.folder.path().display(),
            more
        );
        self.write("ts.cnf", config.as_bytes());
        // `certs` of the configuration is left out: OpenSSL 3.0 does not sort what it takes from there. `-chain` is the same
        // on the command line.
        self.openssl(&[
            "ts",
            "-reply",
            "-config",
            "ts.cnf",
            "-queryfile",
            "request.tsq",
            "-chain",
            "middle.pem",
            "-out",
            "answer.tsr",
        ]);
        fs::read(self.path("answer.tsr")).unwrap()
    }

    /// A response that holds this TSTInfo, signed as a token is: for what `openssl ts` refuses to sign.
    pub fn answer_with(&self, tst_info: &[u8]) -> Vec<u8> {
        self.write("info.der", tst_info);
        self.openssl(&[
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-cades",
            "-nosmimecap",
            "-md",
            "sha256",
            "-in",
            "info.der",
            "-signer",
            "own.pem",
            "-inkey",
            "own.key",
            "-certfile",
            "middle.pem",
            "-econtent_type",
            "1.2.840.113549.1.9.16.1.4",
            "-outform",
            "DER",
            "-out",
            "token.der",
        ]);
        let token = fs::read(self.path("token.der")).unwrap();
        sequence(&[&[0x30, 0x03, 0x02, 0x01, 0x00], token.as_slice()].concat())
    }

    /// Whether OpenSSL finds the response to be one over that signature by this authority.
    pub fn openssl_accepts(&self, response: &[u8], signature: &[u8]) -> bool {
        self.write("check.tsr", response);
        self.write("check.bin", signature);
        self.run(&["ts", "-verify", "-in", "check.tsr", "-data", "check.bin", "-CAfile", "root.pem"]).status.success()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new("openssl").args(args).current_dir(self.folder.path()).output().unwrap()
    }

    fn openssl(&self, args: &[&str]) {
        let output = self.run(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A TSTInfo of version 1 over that SHA-256, made at `YYYYMMDDhhmmssZ`, without anything optional.
pub fn tst_info(imprint: &[u8; 32], time: &str) -> Vec<u8> {
    const POLICY: [u8; 6] = [0x06, 0x04, 0x2a, 0x03, 0x04, 0x01];
    const SHA256: [u8; 17] =
        [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00];
    let head = [&[0x02, 0x01, 0x01][..], &POLICY, &SHA256, &[0x04, 0x20], imprint, &[0x02, 0x01, 0x2a]].concat();
    sequence(&[&head[..], &[0x18, time.len() as u8], time.as_bytes()].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = if content.len() < 128 { vec![0x30, length[1]] } else { vec![0x30, 0x82, length[0], length[1]] };
    [header.as_slice(), content].concat()
}
