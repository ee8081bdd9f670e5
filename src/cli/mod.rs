//! One file per subcommand; exit codes in one place.

mod burn;
mod progress;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use yanji::burn::Ending;

#[derive(Parser)]
#[command(name = "yanji", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Burns the host in: memory and CPUs under load, verified to the bit
    Burn(burn::BurnArgs),
    #[command(hide = true)]
    Worker,
}

pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Burn(args) => burn::run(&args).map(|ending| match ending {
            Ending::Clean => 0,
            Ending::ErrorsFound => 1,
            Ending::Undecided => 3,
        }),
        Command::Worker => worker::run().map(|()| 0),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("caused by: {cause}");
            }
            ExitCode::from(if error.is::<burn::Usage>() { 2 } else { 5 })
        }
    }
}
