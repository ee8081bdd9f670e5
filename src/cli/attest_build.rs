//! `yanji attest-build`: signs what packages were built from, for whoever gets them. For releases of this tool.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::Value;
use yanji::attest::envelope::Envelope;
use yanji::attest::statement::{STATEMENT_TYPE, Statement};
use yanji::attest::{MAX_DOCUMENT_BYTES, strict_json};
use yanji::whole_file;

use super::error::CliError;
use super::{input, key, output};

/// What is signed here and nothing else, so that no report can come out: SLSA 1.0, "Provenance".
const PROVENANCE_TYPE: &str = "https://slsa.dev/provenance/v1";

/// Arguments of `yanji attest-build`.
#[derive(Debug, clap::Args)]
pub struct AttestBuildArgs {
    /// in-toto Statement v1 with SLSA provenance
    #[arg(value_name = "STATEMENT")]
    pub statement: PathBuf,
    /// Private key to sign with [default: this machine's own, made on first use]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// File for the envelope
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Signs the bytes as they are.
pub fn run(args: &AttestBuildArgs) -> anyhow::Result<()> {
    let bytes = input::small_file(&args.statement, MAX_DOCUMENT_BYTES)?;
    let name = args.statement.display();
    let statement: Statement<Value> = strict_json::from_slice(&bytes, MAX_DOCUMENT_BYTES)
        .with_context(|| CliError::usage(format!("{name} is no in-toto statement")))?;
    if statement.statement_type != STATEMENT_TYPE || statement.predicate_type != PROVENANCE_TYPE {
        bail!(
            CliError::usage(format!("{name} is not signed: its predicate is of type {:?}", statement.predicate_type))
                .hint(format!("only {PROVENANCE_TYPE} is signed here; a report comes from yanji certify"))
        );
    }
    if statement.subject.is_empty() {
        bail!(CliError::usage(format!("{name} is not signed: it is about no file")));
    }
    let key = key::signing_key(args.key.as_deref())?;
    let subjects = statement.subject.len();
    let json = Envelope::sign(bytes, &key).to_json();
    whole_file::write(&args.output, |file| file.write_all(json.as_bytes()))
        .with_context(|| CliError::usage(format!("cannot write {}", args.output.display())))?;
    let output = args.output.display();
    output::print(&format!("{output}: {subjects} files, signed by key {}\n", key.public().keyid()))
}
