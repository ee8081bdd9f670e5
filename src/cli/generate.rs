//! `yanji generate`: everything that is made from the command line's own definition and from the report's types.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use yanji::attest::acceptance::Acceptance;
use yanji::attest::certificate::Certificate;
use yanji::attest::statement::Statement;
use yanji::attest::void::Void;
use yanji::report::Document;

use super::args::Args;
use super::exit::Exit;

/// Arguments of `yanji generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// Folder to write into: man/, completions/, help/ and schema/
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Writes man pages, shell completions, help texts and JSON schemas.
pub fn run(args: &GenerateArgs) -> anyhow::Result<Exit> {
    let folder = &args.folder;
    let command = Args::command().term_width(100);
    for below in ["man", "completions", "help", "schema"] {
        fs::create_dir_all(folder.join(below))
            .with_context(|| format!("cannot make {}", folder.join(below).display()))?;
    }
    clap_mangen::generate_to(command.clone(), folder.join("man")).context("cannot write the man pages")?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), "yanji", folder.join("completions"))
            .context("cannot write the completions")?;
    }
    let mut built = command;
    built.build();
    help_texts(&mut built, "yanji", &folder.join("help"))?;
    write_schema(folder, "inspection", &schemars::schema_for!(Document))?;
    write_schema(folder, "report", &schemars::schema_for!(Statement))?;
    write_schema(folder, "acceptance", &schemars::schema_for!(Statement<Acceptance>))?;
    write_schema(folder, "void", &schemars::schema_for!(Statement<Void>))?;
    write_schema(folder, "certificate", &schemars::schema_for!(Statement<Certificate>))?;
    Ok(Exit::Success)
}

fn help_texts(command: &mut clap::Command, name: &str, folder: &Path) -> anyhow::Result<()> {
    if command.is_hide_set() || command.get_name() == "help" {
        return Ok(());
    }
    let path = folder.join(format!("{name}.txt"));
    let text = command.render_long_help().to_string();
    let lines = text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    fs::write(&path, lines + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    for below in command.get_subcommands_mut() {
        let name = format!("{name}-{}", below.get_name());
        help_texts(below, &name, folder)?;
    }
    Ok(())
}

fn write_schema(folder: &Path, name: &str, schema: &schemars::Schema) -> anyhow::Result<()> {
    let path = folder.join("schema").join(format!("{name}.json"));
    fs::write(&path, serde_json::to_string_pretty(schema)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))
}
