//! Errors as a person sees them: what went wrong, why, and what to do.

use std::fmt;

use super::exit::Exit;

/// An error that knows its exit code and what the user can do.
#[derive(Debug)]
pub struct CliError {
    message: String,
    hint: Option<String>,
    exit: Exit,
}

impl CliError {
    /// The user gave something wrong: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit: Exit::Usage }
    }

    /// Adds what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// Prints an error with its causes and hints on standard error, and gives the exit code.
pub fn report(error: &anyhow::Error) -> Exit {
    let mut exit = Exit::ToolFailed;
    let mut hints = Vec::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        if depth == 0 {
            eprintln!("error: {text}");
        } else {
            eprintln!("  caused by: {text}");
        }
        if let Some(known) = cause.downcast_ref::<CliError>() {
            exit = known.exit;
            hints.extend(known.hint.clone());
        }
    }
    if let Some(known) = error.downcast_ref::<CliError>() {
        exit = known.exit;
        if hints.is_empty() {
            hints.extend(known.hint.clone());
        }
    }
    for hint in hints {
        eprintln!("hint: {hint}");
    }
    exit
}
