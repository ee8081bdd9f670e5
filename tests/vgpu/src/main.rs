//! `vgpu RIG.toml -- COMMAND…` runs `yanji COMMAND…` on the machine that the rig describes.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use vgpu::launch::{Machine, yanji};

const USAGE: &str = "usage: vgpu RIG.toml [--] COMMAND…   runs `yanji COMMAND…` on the rig
  RIG.toml is a file, or the name of one in tests/vgpu/rigs without its ending
  VGPU_YANJI names another yanji than the one that is built beside it";

fn main() -> ExitCode {
    let mut args: Vec<OsString> = env::args_os().skip(1).collect();
    if args.first().is_none_or(|it| it == "--help" || it == "-h") {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let rig = args.remove(0);
    if args.first().is_some_and(|it| it == "--") {
        args.remove(0);
    }
    match run(Path::new(&rig), &args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("vgpu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(rig: &Path, args: &[OsString]) -> anyhow::Result<u8> {
    let machine = Machine::new(&find(rig))?;
    let yanji = yanji()?;
    let status =
        machine.command(&yanji).args(args).status().with_context(|| format!("cannot run {}", yanji.display()))?;
    // As a shell says it.
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(code as u8)
}

/// The file, or the shipped rig of that name.
fn find(rig: &Path) -> PathBuf {
    let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rigs")).join(rig).with_extension("toml");
    if !rig.exists() && shipped.exists() { shipped } else { rig.to_owned() }
}
