//! The command line's shape.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use super::{
    accept, attest_build, burn, capture, certify, challenge, cosign, decode, evidence, exit, export, history, image,
    inspect, key, redact, rules, screen, timestamp, trust, verify, void,
};

/// Tells whether the hardware in a server is what it was sold as, burns it in, and signs what it saw.
#[derive(Debug, Parser)]
#[command(name = "yanji", version, about, after_help = after_help(), max_term_width = 100, subcommand_required = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// Say more on standard error; twice for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

fn after_help() -> String {
    format!("{}\n\n{ENVIRONMENT}", exit::HELP)
}

/// What `--help` says about the environment.
const ENVIRONMENT: &str = "\
Environment:
  YANJI_ROOT  Folder below which /sys, /proc and /dev are read instead of the root: for a container
              into which the machine's folders are mounted, and for a virtual machine under test.
              Reports then say `simulated`, and no policy accepts them
  YANJI_BMC_USER, YANJI_BMC_PASSWORD
              Who asks the management controller that --bmc names
  YANJI_PASSPHRASE
              Passphrase of the private key that signs, and of one that `key gen` makes; without it
              the terminal is asked
  NO_COLOR    No colours";

/// Options of every command.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// How to print the result
    #[arg(long, global = true, value_enum, default_value_t = Format::Plain, value_name = "FORMAT")]
    pub format: Format,
    /// Use the rules in this folder instead of the built-in ones
    #[arg(long, global = true, value_name = "DIR")]
    pub signatures: Option<PathBuf>,
}

/// How results are printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for a person
    Plain,
    /// One JSON document
    Json,
    /// A table for a spreadsheet; of verify only
    Csv,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at this machine, or at a recorded one, and say whether it is what it claims to be
    Inspect(inspect::InspectArgs),
    /// Judge what a seller sent: nvidia-smi, lspci and other printouts of a machine that is not here
    Screen(screen::ScreenArgs),
    /// Record what an inspection reads, so that it can be inspected elsewhere
    Capture(capture::CaptureArgs),
    /// Load memory and processors, and check every bit that comes back
    Burn(burn::BurnArgs),
    /// Inspect, burn in, and write a signed report
    Certify(certify::CertifyArgs),
    /// Run one workload of a burn-in
    #[command(hide = true)]
    Worker,
    /// Ask NVML
    #[command(hide = true)]
    NvmlReader,
    /// Burn one GPU
    #[command(hide = true)]
    GpuWorker,
    /// Copy between GPUs
    #[command(hide = true)]
    GpuPeers,
    /// Watch GPUs
    #[command(hide = true)]
    GpuTelemetry,
    /// Check signed reports: signature, evidence, and that the verdict follows from it
    Verify(verify::VerifyArgs),
    /// Sign a report too, after a verification of your own
    Cosign(cosign::CosignArgs),
    /// Sign a receipt: what was certified, what came, and what is different
    Accept(accept::AcceptArgs),
    /// Sign that a document does not count any more
    Void(void::VoidArgs),
    /// Put reports, receipts and withdrawals of a unit in order, and say what changed between them
    History(history::HistoryArgs),
    /// List and get the raw evidence of a report
    Evidence(evidence::EvidenceArgs),
    /// Sign a certificate for the public that hides serial numbers and other facts
    Redact(redact::RedactArgs),
    /// Have a time-stamping authority confirm that a report was signed by now
    Timestamp(timestamp::TimestampArgs),
    /// Write a report in the form that other verifiers read
    Export(export::ExportArgs),
    /// Show what is in a file that was read from a part
    Decode(decode::DecodeArgs),
    /// Say what a TPM sees of a system image
    Image(image::ImageArgs),
    /// Make and show signing keys
    Key(key::KeyArgs),
    /// Ask for a fresh report: random bytes that it has to contain
    Challenge(challenge::ChallengeArgs),
    /// Say in a signed file whose signatures count for what
    Trust(trust::TrustArgs),
    /// List, explain and check the rules
    Rules(rules::RulesArgs),
    /// Print a shell completion script
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Write man pages, completions, help texts and JSON schemas
    // A released binary is a good deal smaller without.
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Generate(super::generate::GenerateArgs),
    /// Sign what packages were built from
    #[command(hide = true)]
    AttestBuild(attest_build::AttestBuildArgs),
}
