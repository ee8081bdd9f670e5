//! Who signs, and whose signatures count: the options of every command that signs after a verification of its own.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;
use yanji::attest::envelope::Envelope;
use yanji::attest::key::{Key, KeyError, PublicKey};
use yanji::attest::trust::{OWN_KEY_NAME, TrustedKeys};
use yanji::attest::verify::Expectations;
use yanji::whole_file;

use super::error::CliError;
use super::key;
use super::terms::AuthorityArgs;

/// Who signs, and whose signatures count.
#[derive(Debug, clap::Args)]
pub struct SignerArgs {
    /// Private key to sign with [default: this machine's own, made on first use], or the public key of somebody whose
    /// signature counts [default: this machine's own and $XDG_CONFIG_HOME/yanji/trusted_keys] (with --trust: on the policy).
    /// May be given several times
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    authorities: AuthorityArgs,
}

/// A key to sign with, and whose signatures count beside its own.
pub struct Signer {
    /// The key.
    pub key: Key,
    /// What a document is held against.
    pub expectations: Expectations,
    /// What a document of one's own is held against: a policy is about those of others.
    pub own: Expectations,
}

impl SignerArgs {
    /// Loads all keys.
    pub fn load(&self) -> anyhow::Result<Signer> {
        let (mut private, mut public): (Option<&Path>, Vec<(String, PublicKey)>) = (None, Vec::new());
        for file in &self.keys {
            match PublicKey::load(file) {
                Ok(key) => public.push((file.display().to_string(), key)),
                Err(KeyError::Malformed { .. }) if private.is_none() => private = Some(file),
                Err(KeyError::Malformed { .. }) => {
                    bail!(
                        CliError::usage(format!("{} is the second private key, and one signs", file.display()))
                            .hint("give the public half of a key whose signatures count: FILE.pub")
                    )
                }
                Err(error) => return Err(error.into()),
            }
        }
        let key = key::signing_key(private)?;
        let name = private.map_or_else(|| OWN_KEY_NAME.to_owned(), |file| file.display().to_string());
        let own = (name, *key.public());
        let expectations = self.authorities.expectations(public, Some(own.clone()))?;
        let own = match expectations.policy {
            None => expectations.clone(),
            Some(_) => {
                Expectations { trusted: TrustedKeys::from_public_keys([own]), policy: None, ..expectations.clone() }
            }
        };
        Ok(Signer { key, expectations, own })
    }
}

/// Refuses a file that is there already; asked before anything is verified.
pub fn refuse_existing(path: &Path) -> anyhow::Result<()> {
    if path.symlink_metadata().is_ok() {
        bail!(
            CliError::usage(format!("{} exists already, and nothing is overwritten", path.display()))
                .hint("choose another name, or move the old one away")
        );
    }
    Ok(())
}

/// Keeps other runs that change a file in this folder waiting as long as the value lives: each adds to what is there, and the
/// last would take away what the others added. A file system without such locks gives `None`.
pub fn lock_folder_of(file: &Path) -> Option<File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder).ok()?;
    retry_on_intr(|| flock(&folder, FlockOperation::LockExclusive)).ok()?;
    Some(folder)
}

/// Writes a signed envelope into a new file.
pub fn write_envelope(path: &Path, envelope: &Envelope) -> anyhow::Result<()> {
    write_new(path, envelope.to_json().as_bytes())
}

/// Writes a new file, which everybody may read.
pub fn write_new(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    whole_file::write_new(path, 0o644, content)
        .with_context(|| CliError::usage(format!("cannot write {}", path.display())))
}

/// Now, as it is signed.
pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}
