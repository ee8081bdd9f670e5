//! `yanji screen`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use yanji::claim::Order;
use yanji::evidence::EvidenceBuilder;
use yanji::import::{self, FORMATS, ImportError, Imported};
use yanji::inspection;
use yanji::ledger::{Ledger, Shared, Sighting};
use yanji::report::{self, Document};
use yanji::rule::Signatures;

use super::args::{Format, Global};
use super::claim::ClaimArgs;
use super::error::{self, CliError};
use super::exit::Exit;
use super::progress::Counter;
use super::{inspect, output};

/// Arguments of `yanji screen`.
#[derive(Debug, clap::Args)]
pub struct ScreenArgs {
    /// Files that the seller sent, folders of such files, or - for standard input. Each is another machine, and a part that
    /// two of them have is told
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// All files are about one machine
    #[arg(long)]
    pub same_machine: bool,
    /// What was sold.
    #[command(flatten)]
    pub claim: ClaimArgs,
}

/// Reads, evaluates and prints each file. The exit code is that of the worst one.
pub fn run(args: &ScreenArgs, global: &Global) -> anyhow::Result<Exit> {
    let signatures = inspect::load_signatures(global)?;
    let order = args.claim.load(&signatures)?;
    let (files, unusable) = listed(&args.files);
    let mut printer = Printer {
        signatures,
        order,
        several: !args.same_machine && files.len() + unusable.len() > 1,
        ledger: Ledger::default(),
        shared: Shared::default(),
        format: global.format,
        worst: Exit::Success,
        screened: 0,
        hinted: false,
    };
    let progress = Counter::new(files.len());
    for (path, error) in unusable {
        printer.fails(&path.to_string_lossy(), error)?;
    }
    let mut machine: Option<(Vec<String>, Imported)> = None;
    for path in &files {
        progress.step();
        let name = path.to_string_lossy().into_owned();
        match (import(path), args.same_machine, &mut machine) {
            (Err(error), _, _) => progress.suspend(|| printer.fails(&name, error))?,
            (Ok(imported), false, _) => progress.suspend(|| printer.print(&name, imported))?,
            (Ok(imported), true, Some((names, merged))) => {
                names.push(name);
                merged.merge(imported);
            }
            (Ok(imported), true, none) => *none = Some((vec![name], imported)),
        }
    }
    progress.finish();
    if let Some((names, merged)) = machine {
        printer.print(&names.join(" + "), merged)?;
    }
    printer.print_shared()?;
    printer.ledger.finish()?;
    Ok(printer.worst)
}

/// The files to read, folders replaced by the files in them, and what cannot be listed.
fn listed(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<(&Path, anyhow::Error)>) {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<PathBuf>>>()
        });
        match entries {
            Ok(mut entries) => {
                entries.retain(|entry| entry.is_file());
                entries.sort();
                files.append(&mut entries);
            }
            Err(error) => errors.push((path.as_path(), anyhow::Error::new(error).context(unreadable(path)))),
        }
    }
    (files, errors)
}

fn import(path: &Path) -> anyhow::Result<Imported> {
    let bytes =
        if path == Path::new("-") { import::read(io::stdin().lock()) } else { open(path).and_then(import::read) };
    bytes.and_then(|bytes| import::import(&bytes)).with_context(|| unreadable(path))
}

/// Opens a file, unless its size says already that it is too large.
fn open(path: &Path) -> Result<File, ImportError> {
    let file = File::open(path)?;
    if file.metadata()?.len() > import::MAX_FILE_BYTES { Err(ImportError::TooLarge) } else { Ok(file) }
}

fn unreadable(path: &Path) -> CliError {
    CliError::usage(format!("cannot screen {}", path.display()))
}

/// What to do about files of which nothing is known.
fn known_formats() -> String {
    let known: Vec<&str> = FORMATS.iter().map(|format| format.about).collect();
    format!("hint: yanji screen reads what these print: {}", known.join("; "))
}

struct Printer {
    signatures: Signatures,
    order: Order,
    /// Each file is a machine of its own.
    several: bool,
    ledger: Ledger,
    shared: Shared,
    format: Format,
    worst: Exit,
    screened: usize,
    hinted: bool,
}

/// A file that gave nothing, as a line of JSON.
#[derive(Serialize)]
struct Failure<'a> {
    file: &'a str,
    error: String,
}

impl Printer {
    fn print(&mut self, file: &str, imported: Imported) -> anyhow::Result<()> {
        let (format, notes) = (imported.format(), imported.notes().to_vec());
        let mut evidence = EvidenceBuilder::from(imported.into_evidence());
        self.order.add(&self.signatures.tables, &mut evidence);
        let inspection = inspection::assess(evidence.finish(), &self.signatures);
        match self.format {
            Format::Plain | Format::Csv => {
                let separator = if self.screened > 0 { "\n" } else { "" };
                let text =
                    report::screening_plain(file, &format, &notes, &inspection, &self.signatures, output::style());
                output::print(&(separator.to_owned() + &text))?;
            }
            Format::Json => {
                let document = Document {
                    file: Some(file.to_owned()),
                    format: Some(format),
                    notes,
                    ..Document::new(&inspection, &self.signatures)
                };
                if self.several { output::print_json_line(&document)? } else { output::print_json(&document)? }
            }
        }
        self.screened += 1;
        self.worsens(inspection.judgement.verdict.into());
        if self.several {
            let sighting = Sighting::of(&inspection.evidence, &self.signatures.tables);
            let mut shared = self.ledger.add(file, sighting);
            self.shared.duplicates.append(&mut shared.duplicates);
            self.shared.again.append(&mut shared.again);
        }
        Ok(())
    }

    /// What several machines have in common, behind what is said of each.
    fn print_shared(&mut self) -> anyhow::Result<()> {
        for duplicate in &self.shared.duplicates {
            let exit = match duplicate {
                _ if duplicate.is_certain() => Exit::Rejected,
                _ if duplicate.severity >= self.signatures.policy.suspect => Exit::Undecided,
                _ => continue,
            };
            self.worst = worse(self.worst, exit);
        }
        match self.format {
            Format::Json if self.several => output::print_json_line(&self.shared),
            Format::Plain | Format::Csv if self.shared != Shared::default() => {
                let same = "files about one are read with --same-machine";
                output::print(&format!("\n{}", report::shared_plain(&self.shared, same, output::style())))
            }
            _ => Ok(()),
        }
    }

    /// One file that cannot be read says nothing about the others.
    fn fails(&mut self, file: &str, error: anyhow::Error) -> anyhow::Result<()> {
        let unknown =
            matches!(error.downcast_ref::<ImportError>(), Some(ImportError::UnknownFormat | ImportError::Empty));
        let exit = error::print(&error);
        // Once is enough for a whole folder.
        if unknown && !std::mem::replace(&mut self.hinted, true) {
            eprintln!("{}", known_formats());
        }
        self.worsens(exit);
        if self.several && self.format == Format::Json {
            output::print_json_line(&Failure { file, error: format!("{error:#}") })?;
        }
        Ok(())
    }

    fn worsens(&mut self, exit: Exit) {
        self.worst = worse(self.worst, exit);
    }
}

fn worse(first: Exit, second: Exit) -> Exit {
    // What could not be read comes before any verdict, and a rejection before doubt.
    const ORDER: [Exit; 5] = [Exit::Success, Exit::Undecided, Exit::Rejected, Exit::Usage, Exit::ToolFailed];
    let rank = |exit| ORDER.iter().position(|it| *it == exit);
    if rank(second) > rank(first) { second } else { first }
}
