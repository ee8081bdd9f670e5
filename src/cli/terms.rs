//! What a signed document is held against: the options of every command that verifies.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use yanji::attest::key::{Locations, PublicKey};
use yanji::attest::trust::TrustedKeys;
use yanji::attest::verify::Expectations;

use super::decode::add_device_roots;
use super::error::CliError;
use super::{timestamp, trust};

/// Whose word counts.
#[derive(Debug, Clone, clap::Args)]
pub struct TermsArgs {
    /// Public key that may sign, PEM or hexadecimal. Without it: this machine's own key and
    /// $XDG_CONFIG_HOME/yanji/trusted_keys. With --trust: a key that may have signed the policy
    #[arg(long = "key", value_name = "PUB")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    pub authorities: AuthorityArgs,
}

/// Whose word counts beside that of keys.
#[derive(Debug, Clone, clap::Args)]
pub struct AuthorityArgs {
    /// Trust policy that says whose signatures count and what a report must reach, instead of trusted_keys
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Root certificate of a time-stamping authority to believe, PEM; beside those of the policy
    #[arg(long = "tsa-root", value_name = "PEM")]
    tsa_roots: Vec<PathBuf>,
    /// Authority that vouches for devices beside NVIDIA's own, PEM. May be given several times
    #[arg(long = "device-root", value_name = "PEM")]
    device_roots: Vec<PathBuf>,
}

impl TermsArgs {
    /// What follows from the options, now.
    pub fn expectations(&self) -> anyhow::Result<Expectations> {
        let keys = self.keys.iter().map(|file| Ok((file.display().to_string(), public_key(file)?)));
        let keys: Vec<(String, PublicKey)> = keys.collect::<anyhow::Result<_>>()?;
        self.authorities.expectations(keys, None)
    }
}

impl AuthorityArgs {
    /// Whether a policy says who is known.
    pub fn has_policy(&self) -> bool {
        self.trust.is_some()
    }

    /// What follows from the options, now. `keys` may sign, or the policy where there is one; without any, this machine's own
    /// and those that its user trusts do. `own` counts beside them, unless a policy says who counts.
    pub fn expectations(
        &self,
        keys: Vec<(String, PublicKey)>,
        own: Option<(String, PublicKey)>,
    ) -> anyhow::Result<Expectations> {
        let now = Timestamp::now();
        let mut expectations = match &self.trust {
            Some(file) => {
                let keys: Vec<PublicKey> = keys.into_iter().map(|(_, key)| key).collect();
                Expectations::of_policy(trust::load(file, &keys)?.policy, now)
            }
            None => {
                let mut trusted = match keys.is_empty() {
                    true => TrustedKeys::load(&Locations::from_env()?)?,
                    false => TrustedKeys::from_public_keys(keys),
                };
                own.into_iter().for_each(|(name, key)| trusted.add(name, key));
                Expectations::new(trusted, now)
            }
        };
        add_device_roots(&mut expectations.device_roots, &self.device_roots)?;
        for file in &self.tsa_roots {
            expectations.authorities.extend(timestamp::authorities(file)?);
        }
        Ok(expectations)
    }
}

fn public_key(file: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::load(file).with_context(|| {
        CliError::usage(format!("{} is no public key", file.display()))
            .hint("yanji key show FILE prints the public half of a key")
    })
}
