//! The command line: one file per subcommand, exit codes in [`exit`], errors in [`error`].

mod accept;
mod args;
mod attest_build;
mod burn;
mod capture;
mod certify;
mod challenge;
mod checked;
mod claim;
mod cosign;
mod decode;
mod error;
mod evidence;
mod exit;
mod export;
#[cfg(debug_assertions)]
mod generate;
mod gpu;
mod history;
mod image;
mod in_order;
mod input;
mod inspect;
mod key;
mod nvml_reader;
mod output;
mod platform;
mod progress;
mod redact;
mod rules;
mod screen;
mod search;
mod signer;
mod state;
mod terms;
mod timestamp;
mod trust;
mod verified;
mod verify;
mod void;
mod withdrawn;
mod worker;

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser};
use jiff::Timestamp;

use args::{Args, Command, Format};
use error::CliError;
use exit::Exit;

/// Runs the command line and gives the exit code.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let level = match args.verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(output::colour_on_stderr())
        .without_time()
        .init();
    let exit = match std::panic::catch_unwind(|| run(&args)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) if output::is_closed_pipe(&error) => Exit::Success,
        Ok(Err(error)) => {
            // Where standard output can't be written, the code and standard error still say it.
            _ = print_failure(&args, &error);
            error::print(&error)
        }
        Err(_) => {
            eprintln!("hint: this is a bug in yanji; please report it with the message above");
            Exit::ToolFailed
        }
    };
    exit.into()
}

/// For a program, the policy or challenge that does not hold; for a person all of the error is on standard error.
fn print_failure(args: &Args, error: &anyhow::Error) -> anyhow::Result<()> {
    match (error::failure(error), args.global.format, &args.command) {
        (Some(failure), Format::Json, Command::Verify(_)) => output::print_json(&verified::nothing(failure)),
        (Some(failure), Format::Json, _) => output::print_json(&serde_json::json!({ "error": failure })),
        _ => Ok(()),
    }
}

fn run(args: &Args) -> anyhow::Result<Exit> {
    let global = &args.global;
    if global.format == Format::Csv && !matches!(args.command, Command::Verify(_)) {
        bail!(CliError::usage("only verify prints csv").hint("take --format json"));
    }
    // Whoever asks for a time that is none panics.
    Timestamp::try_from(SystemTime::now()).with_context(|| {
        CliError::usage("the clock of this system shows no time that there can be").hint("set the clock")
    })?;
    match &args.command {
        Command::Inspect(inspect) => inspect::run(inspect, global),
        Command::Screen(screen) => screen::run(screen, global),
        Command::Capture(capture) => capture::run(capture, global),
        Command::Burn(burn) => burn::run(burn, global),
        Command::Certify(certify) => certify::run(certify, global),
        Command::Worker => worker::run().map(|()| Exit::Success),
        Command::NvmlReader => nvml_reader::run().map(|()| Exit::Success),
        Command::GpuWorker => gpu::work().map(|()| Exit::Success),
        Command::GpuPeers => gpu::copy().map(|()| Exit::Success),
        Command::GpuTelemetry => gpu::watch().map(|()| Exit::Success),
        Command::Verify(verify) => verify::run(verify, global),
        Command::Cosign(cosign) => cosign::run(cosign, global),
        Command::Accept(accept) => accept::run(accept, global),
        Command::Void(void) => void::run(void, global),
        Command::History(history) => history::run(history, global),
        Command::Evidence(evidence) => evidence::run(evidence, global),
        Command::Redact(redact) => redact::run(redact, global),
        Command::Timestamp(timestamp) => timestamp::run(timestamp, global).map(|()| Exit::Success),
        Command::Export(export) => export::run(export, global).map(|()| Exit::Success),
        Command::Decode(decode) => decode::run(decode, global),
        Command::Image(image) => image::run(image, global).map(|()| Exit::Success),
        Command::Key(key) => key::run(key, global).map(|()| Exit::Success),
        Command::Challenge(challenge) => challenge::run(challenge, global).map(|()| Exit::Success),
        Command::Trust(trust) => trust::run(trust, global).map(|()| Exit::Success),
        Command::Rules(rules) => rules::run(rules, global),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Args::command(), "yanji", &mut std::io::stdout().lock());
            Ok(Exit::Success)
        }
        #[cfg(debug_assertions)]
        Command::Generate(generate) => generate::run(generate),
        Command::AttestBuild(attest) => attest_build::run(attest).map(|()| Exit::Success),
    }
}
