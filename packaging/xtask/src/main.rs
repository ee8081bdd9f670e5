//! `cargo xtask image` builds the boot image; `cargo xtask guest-test` runs it, and the tool on a real kernel, in QEMU.

mod fixtures;
mod guest;
mod guests;
#[path = "../../../tests/it/support/smbios.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
mod smbios;
#[path = "../../../tests/it/support/spd.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
mod spd;
mod tpm;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use clap::Parser;

#[derive(Parser)]
#[command(about = "Builds yanji's boot image and tests it in virtual machines")]
enum Args {
    /// Build the boot image: packaging/image/build.sh, with its options
    Image {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Run the binary on real kernels: each guest by itself, with a table at the end
    GuestTest(guests::GuestTestArgs),
}

fn main() -> ExitCode {
    let done = match Args::parse() {
        Args::Image { options } => image(&options).map(|()| true),
        Args::GuestTest(args) => guests::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder that holds the project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

fn image(options: &[String]) -> anyhow::Result<()> {
    let script = project().join("packaging/image/build.sh");
    let status = Command::new(&script).args(options).status().with_context(|| script.display().to_string())?;
    ensure!(status.success(), "{} failed", script.display());
    Ok(())
}
