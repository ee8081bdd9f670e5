//! `yanji capture`.

use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;
use yanji::collect;
use yanji::host::RecordingHost;
use yanji::whole_file;

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::{inspect, output};

/// Arguments of `yanji capture`.
#[derive(Debug, clap::Args)]
pub struct CaptureArgs {
    /// Archive to write
    #[arg(short, long, value_name = "FILE", default_value = "host.tar.zst")]
    pub out: PathBuf,
    /// Record a recorded machine again, with what this version reads
    #[arg(long, value_name = "PATH")]
    pub host: Option<PathBuf>,
    #[command(flatten)]
    pub live: inspect::LiveArgs,
}

/// What was captured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Captured {
    path: PathBuf,
    files: usize,
    bytes: usize,
    denied_facts: usize,
}

/// Runs the collectors and writes everything that they read.
pub fn run(args: &CaptureArgs, global: &Global) -> anyhow::Result<Exit> {
    let host = inspect::open_host(args.host.as_deref(), &args.live)?;
    let recording = RecordingHost::new(host.as_ref());
    let evidence = collect::collect(&recording);
    let capture = recording.into_capture();
    whole_file::write(&args.out, |file| capture.write(file)).with_context(|| {
        CliError::usage(format!("cannot write {}", args.out.display())).hint("choose another place with -o FILE")
    })?;
    let (files, bytes) = capture.size();
    let captured = Captured { path: args.out.clone(), files, bytes, denied_facts: evidence.denied().count() };
    match global.format {
        Format::Json => output::print_json(&captured)?,
        Format::Plain | Format::Csv => {
            let mut text = format!("{}: {files} files, {bytes} bytes unpacked\n", output::name(&args.out));
            if captured.denied_facts > 0 {
                text += &format!("{} facts were refused; run as root to record them as well\n", captured.denied_facts);
            }
            text += "It holds serial numbers. Inspect it anywhere with: yanji inspect --host FILE\n";
            output::print(&text)?;
        }
    }
    Ok(Exit::Success)
}
