//! Errors as a person sees them: what went wrong, why, and what to do.

use std::fmt;

use yanji::attest::key::KeyError;
use yanji::attest::policy::PolicyError;
use yanji::attest::trust::TrustError;
use yanji::attest::verify::Failure;
use yanji::burn::ProfileError;
use yanji::report;
use yanji::rule::SignatureError;

use super::exit::Exit;

/// An error that knows its exit code and what the user can do.
#[derive(Debug)]
pub struct CliError {
    message: String,
    hint: Option<String>,
    exit: Exit,
    failure: Option<Box<Failure>>,
}

impl CliError {
    /// The user gave something wrong: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit: Exit::Usage, failure: None }
    }

    /// Something signed that does not hold: exit code 4.
    pub fn attestation(failure: Failure) -> Self {
        let Failure { class, what, expected, observed } = &failure;
        let message = format!("{class}: {what}: expected {expected}; observed {observed}");
        Self { message, hint: None, exit: Exit::AttestationInvalid, failure: Some(Box::new(failure)) }
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
pub fn print(error: &anyhow::Error) -> Exit {
    let mut exit = error.downcast_ref::<CliError>().map(|known| known.exit);
    let mut hint = error.downcast_ref::<CliError>().and_then(|known| known.hint.clone());
    let mut before = String::new();
    for (depth, cause) in error.chain().enumerate() {
        // Paths in a recorded machine and lines of a configuration are named as they are.
        let text = report::escape_controls(&cause.to_string());
        match depth {
            0 => eprintln!("error: {text}"),
            // A transparent wrapper says what its cause says.
            _ if text == before => {}
            _ => eprintln!("  caused by: {text}"),
        }
        before = text;
        if let Some((known_exit, known_hint)) = known(cause) {
            exit = exit.or(Some(known_exit));
            hint = hint.or(known_hint.map(str::to_owned));
        }
    }
    if let Some(hint) = hint {
        eprintln!("hint: {}", report::escape_controls(&hint));
    }
    exit.unwrap_or(Exit::ToolFailed)
}

/// The policy or challenge that does not hold, where that is the error.
pub fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.downcast_ref::<CliError>()?.failure.as_deref()
}

/// The exit code of an error.
pub fn exit(error: &anyhow::Error) -> Exit {
    let own = error.downcast_ref::<CliError>().map(|known| known.exit);
    own.or_else(|| error.chain().find_map(|cause| known(cause).map(|(exit, _)| exit))).unwrap_or(Exit::ToolFailed)
}

/// Exit code and hint of errors that the library knows: what the user gave is wrong, and how to mend it.
fn known(error: &(dyn std::error::Error + 'static)) -> Option<(Exit, Option<&'static str>)> {
    if let Some(error) = error.downcast_ref::<KeyError>() {
        let hint = match error {
            KeyError::Exposed { .. } => {
                Some("if somebody else could read it, make a new key and tell who trusts the old one")
            }
            KeyError::PassphraseNeeded(_) => Some("set YANJI_PASSPHRASE, or run on a terminal to be asked"),
            KeyError::Exists(_) => {
                Some("a key is never overwritten: choose another --out FILE, or move the old one away")
            }
            KeyError::NoHome(_) | KeyError::Io { .. } => {
                Some("name a key with --key FILE; yanji key gen --out FILE makes one anywhere")
            }
            _ => None,
        };
        return Some((Exit::Usage, hint));
    }
    let usage = error.is::<TrustError>()
        || error.is::<PolicyError>()
        || error.is::<ProfileError>()
        || error.is::<SignatureError>();
    usage.then_some((Exit::Usage, None))
}
