//! `yanji image`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use yanji::attest::tpm::image::{self, ImageError, MAX_IMAGE_BYTES, PHASES};

use super::args::{Format, Global};
use super::error::CliError;
use super::output;

/// Arguments of `yanji image`.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Compute what a TPM's registers hold when this image runs, for the [[image]] lines of a trust policy
    Measure {
        /// Unified kernel image: an EFI program with the kernel in it
        #[arg(value_name = "UKI")]
        image: PathBuf,
        /// Phase of the boot that the system measures after the kernel has started; may be given several times, in order.
        /// All that systemd knows: enter-initrd, leave-initrd, sysinit, ready
        #[arg(long = "phase", value_name = "NAME")]
        phases: Vec<String>,
        /// The four phases that systemd measures
        #[arg(long, conflicts_with = "phases")]
        systemd_phases: bool,
    },
}

/// Runs the subcommand.
pub fn run(args: &ImageArgs, global: &Global) -> anyhow::Result<()> {
    let ImageCommand::Measure { image, phases, systemd_phases } = &args.command;
    let phases: Vec<&str> = if *systemd_phases { PHASES.to_vec() } else { phases.iter().map(String::as_str).collect() };
    let content = read(image)?;
    let measured = image::measure(&content, &phases).map_err(|error| {
        let hint = match error {
            ImageError::Phase { .. } => "give --phase once for each phase, in the order of the boot",
            _ => "give the .efi file that the firmware starts, with the kernel and its initrd in it",
        };
        anyhow::Error::new(error).context(CliError::usage(format!("{} cannot be measured", image.display())).hint(hint))
    })?;
    match global.format {
        Format::Json => output::print_json(&measured),
        Format::Plain | Format::Csv => {
            let mut text = format!("file            sha256:{}\n", measured.sha256);
            text += &format!("Authenticode    sha256:{}\n", measured.authenticode);
            let stub = measured.stub_version.map_or("another".to_owned(), |version| format!("systemd-stub {version}"));
            text += &format!("stub            {stub}\n");
            text += &format!("sections        {}\n", measured.sections.join(" "));
            text += &format!("PCR 4           {}\n", measured.pcr4);
            text += &format!("PCR 4           {}  under Secure Boot\n", measured.pcr4_secure_boot);
            for (index, phase) in std::iter::once("stub").chain(phases).enumerate() {
                let Some(value) = measured.pcr11.get(phase) else { continue };
                let name = if index == 0 { "as it starts".to_owned() } else { format!("after {phase}") };
                text += &format!("PCR 11          {value}  {name}\n");
            }
            output::print(&text)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = || CliError::usage(format!("cannot read {}", path.display()));
    let mut content = Vec::new();
    let file = File::open(path).with_context(unreadable)?;
    file.take(MAX_IMAGE_BYTES + 1).read_to_end(&mut content).with_context(unreadable)?;
    if content.len() as u64 > MAX_IMAGE_BYTES {
        bail!(CliError::usage(format!("{} is larger than any system image", path.display())));
    }
    Ok(content)
}
