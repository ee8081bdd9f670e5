//! Standard output: data only, and harmless when nobody reads it any more.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use yanji::report::{self, Style};

/// What standard output can show. Colours only on a terminal and without `NO_COLOR`; Unicode when the locale says so.
pub fn style() -> Style {
    style_of(io::stdout().is_terminal())
}

/// Whether standard error can show colours.
pub fn colour_on_stderr() -> bool {
    style_of(io::stderr().is_terminal()).colour
}

fn style_of(terminal: bool) -> Style {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let term = set("TERM");
    let dumb = term.as_ref().is_none_or(|term| term == "dumb");
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let unicode = locale.is_some_and(|locale| {
        let locale = locale.to_string_lossy().to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    Style { colour: terminal && !dumb && set("NO_COLOR").is_none(), unicode }
}

/// The name of a file in a message: whoever made the file chose it.
pub fn name(path: &Path) -> String {
    report::for_terminal(&path.to_string_lossy(), style())
}

/// Prints text as it is.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

/// Prints one JSON document.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&(report::json_lines(value)? + "\n"))
}

/// Prints one JSON document on one line.
pub fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    print(&(report::json_line(value)? + "\n"))
}

/// Whether the reader of standard output went away, as `head` does. That is no failure.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
