//! `yanji decode`: one file for each kind of image.

mod nvidia_evidence;
mod smbios;
mod spd;
mod vbios;

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use yanji::report;

use super::args::Global;
use super::error::CliError;
use super::exit::Exit;

pub use nvidia_evidence::{NvidiaEvidenceArgs, add_device_roots};

/// Arguments of `yanji decode`.
#[derive(Debug, clap::Args)]
pub struct DecodeArgs {
    /// What the file is.
    #[command(subcommand)]
    pub kind: Kind,
}

/// What the file is.
#[derive(Debug, Subcommand)]
pub enum Kind {
    /// The EEPROM of a memory module (SPD), as sysfs or a programmer read it, or as a hexadecimal dump
    Spd {
        /// File with the image
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// The tables of the firmware (SMBIOS): dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI, or what dmidecode prints
    Smbios {
        /// File with the tables
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// The VBIOS of an NVIDIA graphics card, as sysfs, nvflash or a flash programmer read it
    Vbios {
        /// File with the image
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// What an NVIDIA GPU or NVSwitch signed of itself: decodes and verifies it, and exits with 4 when anything fails
    NvidiaEvidence(NvidiaEvidenceArgs),
}

/// Decodes and prints.
pub fn run(args: &DecodeArgs, global: &Global) -> anyhow::Result<Exit> {
    match &args.kind {
        Kind::Spd { file } => spd::run(file, global.format)?,
        Kind::Smbios { file } => smbios::run(file, global.format)?,
        Kind::Vbios { file } => vbios::run(file, global.format)?,
        Kind::NvidiaEvidence(args) => return nvidia_evidence::run(args, global.format),
    }
    Ok(Exit::Success)
}

/// The whole file, unless it is larger than such a file can be; then `hint` says so.
fn read(path: &Path, max_bytes: usize, hint: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max_bytes as u64 + 1).read_to_end(&mut bytes).with_context(|| cannot_read(path))?;
    if bytes.len() > max_bytes {
        bail!(
            CliError::usage(format!("{} is larger than {}", path.display(), report::binary_bytes(max_bytes as i64)))
                .hint(hint)
        );
    }
    Ok(bytes)
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| cannot_read(path))
}

fn cannot_read(path: &Path) -> CliError {
    CliError::usage(format!("cannot read {}", path.display())).hint("give a file that you can read; root reads more")
}

/// What a parser says of bytes that are not what the user said, and what to do.
fn cannot_decode(path: &Path, error: impl Error + Send + Sync + 'static, hint: &str) -> anyhow::Error {
    anyhow::Error::new(error).context(CliError::usage(format!("cannot decode {}", path.display())).hint(hint))
}
