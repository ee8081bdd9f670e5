//! The `yanji` command: parse, run, print the error, exit code.

mod cli;

use std::process::ExitCode;

/// Thousands of reports and captures are read into short texts, which the system's allocator is slow with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
