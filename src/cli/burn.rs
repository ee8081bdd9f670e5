//! `yanji burn`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use yanji::burn::{self, BurnError, Ending, Event, Profile, Request, Start, Summary};
use yanji::evidence::{EvidenceBuilder, Reading};
use yanji::host::{Host, LiveHost};

use super::progress::Reporter;

/// Arguments of `yanji burn`.
#[derive(Debug, Args)]
pub struct BurnArgs {
    /// quick, 24h, 72h, 168h, or a TOML file
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
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Plain,
    Json,
}

/// The person asked for something that can't be: not a failure of the tool.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

/// Runs the burn in the foreground. Ctrl-C and SIGTERM stop it in order, a second one at once.
pub fn run(args: &BurnArgs) -> anyhow::Result<Ending> {
    let request = match &args.resume {
        Some(folder) => Request { folder: folder.clone(), worker: None, start: Start::Resume },
        None => {
            let profile = profile(&args.profile)?;
            let genesis = genesis()?;
            let seed = u32::from_le_bytes([genesis[0], genesis[1], genesis[2], genesis[3]]);
            let start = Start::New { profile, genesis, seed };
            Request { folder: args.out.clone(), worker: None, start }
        }
    };
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // In this order: the flag that the first one sets arms the second one.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancel))?;
        signal_hook::flag::register(signal, Arc::clone(&cancel))?;
    }
    let to_stdout = args.events.as_deref() == Some(Path::new("-"));
    let mut events: Option<Box<dyn Write>> = match &args.events {
        None => None,
        Some(_) if to_stdout => Some(Box::new(io::stdout())),
        Some(path) => Some(Box::new(File::create(path).map_err(|error| {
            anyhow::Error::new(error).context(format!("cannot write events to {}", path.display()))
        })?)),
    };
    let mut reporter = Reporter::new(events.is_some());
    let host = LiveHost::new();
    let result = burn::run(
        &host,
        &request,
        &mut |event: &Event<'_>| {
            reporter.report(event);
            if let Some(output) = &mut events {
                let written = serde_json::to_writer(&mut *output, event).map_err(io::Error::from);
                // A reader that is gone takes the events with it; the burn and its records go on.
                if written.and_then(|()| output.write_all(b"\n")).and_then(|()| output.flush()).is_err() {
                    events = None;
                }
            }
        },
        &cancel,
    );
    reporter.finish();
    let summary = result.map_err(explain)?;
    if !to_stdout {
        let mut output = io::stdout().lock();
        let written = match args.format {
            Format::Plain => plain(&host, &summary, &mut output),
            Format::Json => json(&summary, &mut output),
        };
        written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?;
    }
    if cancel.load(Ordering::Relaxed) {
        eprintln!("interrupted: undecided; go on with `yanji burn --resume {}`", request.folder.display());
    }
    Ok(summary.ending())
}

/// A builtin profile, or a file.
fn profile(name: &str) -> anyhow::Result<Profile> {
    if let Some(profile) = Profile::builtin(name) {
        return Ok(profile);
    }
    let path = Path::new(name);
    if !path.exists() {
        let message = format!("there is no profile or file {name:?}; profiles are {}", Profile::BUILTIN.join(", "));
        return Err(Usage(message).into());
    }
    Profile::load(path).map_err(|error| Usage(error.to_string()).into())
}

/// Mistakes of the person, told apart from failures of the tool.
fn explain(error: BurnError) -> anyhow::Error {
    let hint = match &error {
        BurnError::Exists { .. } => "choose another --out, or go on with --resume",
        BurnError::Finished { .. } => "start a new one with --out",
        BurnError::Busy { .. } => "wait for it to end",
        BurnError::Profile(_) => "correct the profile",
        _ => return error.into(),
    };
    Usage(format!("{error}: {hint}")).into()
}

/// 32 random bytes for the chain of records.
fn genesis() -> anyhow::Result<[u8; 32]> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 32];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => anyhow::bail!("the system gives no random numbers"),
    }
}

fn json(summary: &Summary, output: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, summary)?;
    output.write_all(b"\n")
}

/// Every fact with its value or the reason for its absence, then the verdict.
fn plain(host: &dyn Host, summary: &Summary, output: &mut impl Write) -> io::Result<()> {
    let mut builder = EvidenceBuilder::new(host.origin());
    burn::add_evidence(summary, &mut builder);
    for part in builder.finish().parts {
        for (path, fact) in part.facts {
            match fact.reading {
                Reading::Known(value) => writeln!(output, "{path}  {}", escape(&value.to_string()))?,
                Reading::Failed(reason) => writeln!(output, "{path}  (failed: {})", escape(&reason))?,
                other => writeln!(output, "{path}  ({})", other.state())?,
            }
        }
    }
    let verdict = match summary.ending() {
        Ending::Clean => "nothing found",
        Ending::ErrorsFound => "errors found",
        Ending::Undecided => "undecided",
    };
    writeln!(output, "{} records, head {}: {verdict}", summary.records, summary.head)
}

/// Text from devices may hold terminal escapes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() { escaped.extend(char.escape_default()) } else { escaped.push(char) }
    }
    escaped
}
