//! What `yanji certify` asks the TPM, before the burn-in and after it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use yanji::attest::Digest;
use yanji::attest::challenge::TpmCredential;
use yanji::attest::tpm::certificate::{MAX_CERTIFICATE_BYTES, MAX_CHAIN, subject_public_key_info};
use yanji::attest::tpm::public_key::PublicKey;
use yanji::attest::tpm::{EVENT_LOG_ITEM, Phase, Platform, nonce};
use yanji::evidence::{Origin, Reading};
use yanji::host::Host;
use yanji::host::tpm::{self, TpmAddress};
use yanji::whole_file;

use super::error::CliError;
use super::input::small_file;

/// File in the folder of an unfinished run: what the TPM said at the start.
const STATE_FILE: &str = "platform.json";

/// The TPM in the arguments of `yanji certify`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TpmArgs {
    /// TPM that confirms time and system: a device, tcp:HOST:PORT for one in software, or none [default: /dev/tpmrm0]
    #[arg(long, value_name = "PATH|tcp:HOST:PORT|none", conflicts_with = "host")]
    pub tpm: Option<TpmAddress>,
    /// Certificates, PEM, that an authority issued for the TPM's attestation key, the key's own first
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "resume"])]
    pub tpm_certificate: Option<PathBuf>,
}

/// The TPM of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformRun {
    /// As on the command line; empty for the machine's own.
    address: String,
    platform: Platform,
}

impl PlatformRun {
    /// Asks the TPM at the start of a run, which also answers the challenge's credential, and keeps the answer for one that is cut off.
    pub fn begin(
        args: &TpmArgs,
        host: &dyn Host,
        s0: &Digest,
        credential: Option<&TpmCredential>,
        work: &Path,
    ) -> anyhow::Result<Self> {
        let certificates = args.tpm_certificate.as_deref().map(read_certificates).transpose()?.unwrap_or_default();
        // Whoever looks at another machine's files has no business with the TPM of this one.
        let own = if host.origin() == Origin::Live { TpmAddress::Default } else { TpmAddress::None };
        let address = args.tpm.clone().unwrap_or(own);
        let start = match &address {
            TpmAddress::None => Reading::Unsupported,
            address => tpm::quote(address, nonce(s0, Phase::Start, None).as_bytes()),
        };
        if let (Reading::Known(quoted), Some(first)) = (&start, certificates.first()) {
            let key = PublicKey::parse(&quoted.ak_public).map(|key| key.subject_public_key_info()).ok();
            if subject_public_key_info(first).ok() != key {
                bail!(
                    CliError::usage(
                        "the first certificate of --tpm-certificate is not that of this TPM's attestation key"
                    )
                    .hint("the key is platform.tpm.akPub of an earlier report of this machine")
                );
            }
        }
        let mut platform = Platform::begin(start, certificates);
        if credential.is_some() && platform.tpm.is_none() {
            eprintln!("notice: the challenge asks this machine's TPM for an answer, and there will be none");
        }
        if let Some(credential) = credential.filter(|_| platform.tpm.is_some()) {
            platform.activated(tpm::activate(&address, credential));
        }
        for why in &platform.missing {
            eprintln!("notice: {}{why}", if platform.tpm.is_none() { "no hardware root: " } else { "" });
        }
        if platform.tpm.is_none() && args.tpm.as_ref().is_some_and(|asked| *asked != TpmAddress::None) {
            eprintln!(
                "hint: if {address} is to confirm the burn-in, stop now and mend that: there is no adding it later"
            );
        }
        let run = Self {
            address: if address == TpmAddress::Default { String::new() } else { address.to_string() },
            platform,
        };
        let path = work.join(STATE_FILE);
        let content = serde_json::to_vec(&run)?;
        whole_file::write(&path, |file| file.write_all(&content))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(run)
    }

    /// Goes on with what the TPM said at the start. A run that began without one ends without one.
    pub fn resume(args: &TpmArgs, work: &Path) -> anyhow::Result<Self> {
        let path = work.join(STATE_FILE);
        let mut run: Self = match fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content)
                .with_context(|| CliError::usage(format!("cannot go on: {} is damaged", path.display())))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let missing = vec!["the run was cut off before the TPM was asked".to_owned()];
                Self { address: "none".to_owned(), platform: Platform { tpm: None, missing } }
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        if let Some(address) = &args.tpm {
            run.address = address.to_string();
        }
        Ok(run)
    }

    /// Asks the TPM again at the end. The second value is the firmware's log of what it measured.
    pub fn end(mut self, host: &dyn Host, s0: &Digest, chain_head: Option<&Digest>) -> (Platform, Option<Vec<u8>>) {
        if self.platform.tpm.is_none() {
            return (self.platform, None);
        }
        let known = self.platform.missing.len();
        let log = self.ask_at_end(host, s0, chain_head);
        for why in &self.platform.missing[known..] {
            eprintln!("notice: {why}");
        }
        let quotes = self.platform.tpm.as_ref().map_or(0, |tpm| tpm.quotes.len());
        if quotes < 2 {
            eprintln!(
                "hint: the report says so, and no TPM confirms how long the burn-in took or what ran; if that is to be \
                 confirmed, mend it and certify again"
            );
        }
        (self.platform, log)
    }

    fn ask_at_end(&mut self, host: &dyn Host, s0: &Digest, chain_head: Option<&Digest>) -> Option<Vec<u8>> {
        let address = self.address.parse().unwrap_or_default();
        self.platform.end(tpm::quote(&address, nonce(s0, Phase::End, chain_head).as_bytes()));
        let log = match &address {
            TpmAddress::Tcp(_) | TpmAddress::None => Reading::Absent,
            device => host.read(&event_log_path(&device.to_string())),
        };
        let log = match log {
            Reading::Known(log) if !log.is_empty() => log,
            Reading::Denied => {
                self.platform
                    .missing
                    .push("the firmware's event log may not be read without more privileges".to_owned());
                return None;
            }
            other => {
                let state = other.state();
                self.platform.missing.push(format!("the firmware's event log is {state}"));
                return None;
            }
        };
        if let Some(tpm) = &mut self.platform.tpm {
            tpm.event_log = Some(EVENT_LOG_ITEM.to_owned());
        }
        Some(log)
    }
}

/// Where the kernel keeps the log that belongs to a device: `tpm0` for `/dev/tpmrm0`.
fn event_log_path(device: &str) -> String {
    let number: String =
        device.chars().rev().take_while(char::is_ascii_digit).collect::<Vec<_>>().into_iter().rev().collect();
    format!("/sys/kernel/security/tpm{number}/binary_bios_measurements")
}

fn read_certificates(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let content = small_file(path, MAX_CHAIN * MAX_CERTIFICATE_BYTES * 2)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).take(MAX_CHAIN).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => {
            Ok(certificates.into_iter().map(|certificate| certificate.to_vec()).collect())
        }
        _ => bail!(
            CliError::usage(format!("{} holds no certificates", path.display()))
                .hint("give PEM, beginning with the certificate of the TPM's attestation key")
        ),
    }
}
