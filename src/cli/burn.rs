//! `yanji burn`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Args;
use ring::rand::{SecureRandom, SystemRandom};
use yanji::burn::{self, BurnError, Ending, Event, Profile, Request, Start, Summary};
use yanji::evidence::EvidenceBuilder;
use yanji::host::Host;
use yanji::inspection;
use yanji::report;

use super::args::{Format, Global};
use super::error::CliError;
use super::exit::Exit;
use super::progress::Reporter;
use super::{inspect, output};

/// Arguments of `yanji burn`.
#[derive(Debug, Args)]
pub struct BurnArgs {
    /// quick (2 minutes), 24h, 72h, 168h, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "quick", conflicts_with = "resume")]
    profile: String,
    /// Folder for the records; must not hold those of another burn
    #[arg(long, value_name = "DIR", default_value = "yanji-burn", conflicts_with = "resume")]
    out: PathBuf,
    /// Go on with the burn in this folder for the rest of its time
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Write every event as a JSON line to this file, or to standard output for -
    #[arg(long, value_name = "-|FILE")]
    events: Option<PathBuf>,
}

/// Runs the burn in the foreground. Ctrl-C and SIGTERM stop it in order, a second one at once.
pub fn run(args: &BurnArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let request = match &args.resume {
        Some(folder) => Request { folder: folder.clone(), worker: None, start: Start::Resume },
        None => {
            let profile = load_profile(&args.profile)?;
            let genesis = genesis()?;
            let seed = u32::from_le_bytes([genesis[0], genesis[1], genesis[2], genesis[3]]);
            let start = Start::New { profile, genesis, seed };
            Request { folder: args.out.clone(), worker: None, start }
        }
    };
    let to_stdout = args.events.as_deref() == Some(Path::new("-"));
    let events: Option<Box<dyn Write>> = match &args.events {
        None => None,
        Some(_) if to_stdout => Some(Box::new(io::stdout())),
        Some(path) => Some(Box::new(
            File::create(path)
                .with_context(|| CliError::usage(format!("cannot write events to {}", path.display())))?,
        )),
    };
    let host = inspect::live_host(&inspect::LiveArgs::default())?;
    let (summary, cancelled) = run_request(&host, &request, events)?;
    if !to_stdout {
        match global.format {
            Format::Json => output::print_json(&summary)?,
            Format::Plain | Format::Csv => {
                let mut builder = EvidenceBuilder::new(host.origin());
                burn::add_evidence(&summary, &mut builder);
                let inspection = inspection::assess(builder.finish(), &signatures);
                let text = report::burn_plain(&summary, &inspection, &signatures, output::style());
                output::print(&text)?;
            }
        }
    }
    if cancelled {
        eprintln!("interrupted: undecided");
    }
    Ok(match summary.ending() {
        Ending::Clean => Exit::Success,
        Ending::ErrorsFound => Exit::Rejected,
        Ending::Undecided => Exit::Undecided,
    })
}

/// Runs a request with progress on standard error and, when asked for, events as JSON lines. Says whether it was
/// cancelled by a signal.
pub fn run_request(
    host: &dyn Host,
    request: &Request,
    mut events: Option<Box<dyn Write>>,
) -> anyhow::Result<(Summary, bool)> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // In this order: the flag that the first one sets arms the second one.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancel))?;
        signal_hook::flag::register(signal, Arc::clone(&cancel))?;
    }
    let mut reporter = Reporter::new(events.is_some());
    let result = burn::run(
        host,
        request,
        &mut |event: &Event<'_>| {
            reporter.report(event);
            if let Some(output) = &mut events {
                let json = report::json_line(event).map_err(io::Error::from);
                let written = json.and_then(|json| output.write_all(json.as_bytes()));
                // A reader that is gone takes the events with it; the burn and its records go on.
                if written.and_then(|()| output.write_all(b"\n")).and_then(|()| output.flush()).is_err() {
                    events = None;
                }
            }
        },
        &cancel,
    );
    reporter.finish();
    Ok((result.map_err(explain)?, cancel.load(Ordering::Relaxed)))
}

/// A builtin profile, or a file.
pub fn load_profile(name: &str) -> anyhow::Result<Profile> {
    if let Some(profile) = Profile::builtin(name) {
        return Ok(profile);
    }
    let path = Path::new(name);
    if !path.exists() {
        let error = CliError::usage(format!("there is no profile or file {name:?}"));
        return Err(error.hint(format!("the built-in profiles are {}", Profile::BUILTIN.join(", "))).into());
    }
    Ok(Profile::load(path)?)
}

/// Mistakes of the person, told apart from failures of the tool.
fn explain(error: BurnError) -> anyhow::Error {
    let hint = match &error {
        BurnError::Exists { .. } => "choose another --out, or go on with --resume",
        BurnError::Finished { .. } => "start a new one with --out",
        BurnError::Busy { .. } => "wait for it to end",
        BurnError::Profile(_) => "correct the profile",
        BurnError::Folder { .. } | BurnError::NoRoom { .. } => "choose another --out, or make room",
        _ => return error.into(),
    };
    let usage = CliError::usage("the burn-in cannot run").hint(hint);
    anyhow::Error::new(error).context(usage)
}

/// 32 random bytes for the chain of records.
fn genesis() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => anyhow::bail!("the system gives no random numbers"),
    }
}
