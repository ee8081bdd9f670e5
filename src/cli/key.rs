//! `yanji key`: make and show signing keys.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use serde_json::json;
use yanji::attest::key::{self, Key, KeyError, Locations, PublicKey};
use zeroize::Zeroizing;

use super::args::{Format, Global};
use super::error::CliError;
use super::output;

/// Environment variable that holds the passphrase of a private key.
pub const PASSPHRASE_VARIABLE: &str = "YANJI_PASSPHRASE";
/// What to do where nobody can be asked for the passphrase of a key that there is.
const PASSPHRASE_HINT: &str = "set YANJI_PASSPHRASE, or run on a terminal to be asked";
/// The same of a key that is made.
const NEW_PASSPHRASE_HINT: &str = "give --passphrase-file FILE, set YANJI_PASSPHRASE, or run on a terminal to be asked; --no-passphrase makes a key without one";
/// The longest passphrase that is read from a file or a terminal.
const MAX_PASSPHRASE_BYTES: usize = 4096;

/// Make and show signing keys.
#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make an Ed25519 key: a private key file (mode 0600) and its public half beside it (FILE.pub)
    Gen {
        /// Where to write the private key [default: this machine's own key, $XDG_DATA_HOME/yanji/key.pem]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Encrypt it with the first line of this file instead of YANJI_PASSPHRASE or a prompt
        #[arg(long, value_name = "FILE", conflicts_with = "no_passphrase")]
        passphrase_file: Option<PathBuf>,
        /// Do not encrypt it
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Show the id and the public half of a key; a private key is never shown
    Show {
        /// A public key or a private key; its passphrase is needed only without FILE.pub beside it [default: this machine's own key]
        file: Option<PathBuf>,
    },
}

/// Runs `yanji key`.
pub fn run(args: &KeyArgs, global: &Global) -> anyhow::Result<()> {
    let show = |key: &PublicKey, public: &Path, private: Option<&Path>| show(key, public, private, global);
    match &args.command {
        KeyCommand::Gen { out, passphrase_file, no_passphrase } => {
            let path = match out {
                Some(path) => path.clone(),
                None => Locations::from_env()?.own_key(),
            };
            // Before the prompt: nobody should type a passphrase for nothing.
            for file in [path.clone(), key::public_path(&path)] {
                if file.symlink_metadata().is_ok() {
                    return Err(KeyError::Exists(file).into());
                }
            }
            let passphrase = if *no_passphrase { None } else { Some(new_passphrase(passphrase_file.as_deref())?) };
            let key = Key::create(&path, passphrase.as_ref().map(|text| text.as_bytes()))?;
            show(key.public(), &key::public_path(&path), Some(&path))
        }
        KeyCommand::Show { file } => {
            let path = match file {
                Some(path) => path.clone(),
                None => Locations::from_env()?.own_key(),
            };
            let public = key::public_path(&path);
            if public.exists() {
                let shown = PublicKey::load(&public)?;
                // A passphrase is not asked for: the public half is there to be read without it.
                match Key::load(&path, None) {
                    Ok(key) if *key.public() != shown => bail!(
                        CliError::usage(format!(
                            "{} is no public half of {}: expected key {}, observed key {}",
                            public.display(),
                            path.display(),
                            key.public().keyid(),
                            shown.keyid()
                        ))
                        .hint(format!("move {} away, and run it again", public.display()))
                    ),
                    Ok(_) => {}
                    Err(error) => eprintln!("notice: {} was not compared with it: {error}", public.display()),
                }
                return show(&shown, &public, Some(&path));
            }
            match PublicKey::load(&path) {
                Ok(key) => show(&key, &path, None),
                Err(KeyError::Malformed { .. }) => {
                    let key = load_private(&path)?;
                    show(key.public(), &path, Some(&path))
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// Loads a private key; asks for its passphrase when it has one: `YANJI_PASSPHRASE`, else a prompt on the terminal.
pub fn load_private(path: &Path) -> anyhow::Result<Key> {
    // A public half is readable by all, and no secret was exposed by that.
    if PublicKey::load(path).is_ok() {
        let file = path.display().to_string();
        let hint = match file.strip_suffix(".pub") {
            Some(private) => format!("give the private half: {private}"),
            None => "give the private half: the file of the same name without .pub".to_owned(),
        };
        bail!(CliError::usage(format!("{file} is the public half of a key, which signs nothing")).hint(hint));
    }
    with_passphrase(path, |passphrase| Key::load(path, passphrase))
}

/// The private key of that file, or this machine's own, made on first use. That one was made is said on standard error.
pub fn signing_key(path: Option<&Path>) -> anyhow::Result<Key> {
    if let Some(path) = path {
        return load_private(path);
    }
    let (key, created) = load_or_create_own()?;
    if created {
        let locations = Locations::from_env()?;
        eprintln!("notice: made a signing key for this machine: {}", locations.own_key().display());
        eprintln!("        give {} to whoever has to verify your reports", locations.own_public_key().display());
    }
    Ok(key)
}

/// Loads this machine's own key, made on first use; says whether it was made now.
fn load_or_create_own() -> anyhow::Result<(Key, bool)> {
    let locations = Locations::from_env()?;
    with_passphrase(&locations.own_key(), |passphrase| locations.load_or_create_own_key(passphrase))
}

fn with_passphrase<T>(path: &Path, mut load: impl FnMut(Option<&[u8]>) -> Result<T, KeyError>) -> anyhow::Result<T> {
    match load(None) {
        Err(KeyError::PassphraseNeeded(_)) => {}
        other => return Ok(other?),
    }
    let passphrase = match passphrase_from_env()? {
        Some(passphrase) => passphrase,
        None => prompt(&format!("Passphrase of {}: ", path.display()), PASSPHRASE_HINT)?,
    };
    Ok(load(Some(passphrase.as_bytes()))?)
}

fn show(key: &PublicKey, public_path: &Path, private_path: Option<&Path>, global: &Global) -> anyhow::Result<()> {
    if global.format == Format::Json {
        return output::print_json(&json!({
            "privateKey": private_path.map(Path::to_string_lossy),
            "publicKey": public_path.to_string_lossy(),
            "keyid": key.keyid(),
            "hex": key.to_hex(),
            "pem": key.to_pem(),
        }));
    }
    let mut text = String::new();
    if let Some(path) = private_path {
        text.push_str(&format!("private key  {}\n", output::name(path)));
    }
    text.push_str(&format!("public key   {}\n", output::name(public_path)));
    text.push_str(&format!("keyid        {}\n", key.keyid()));
    text.push_str(&format!("hex          {}\n\n{}", key.to_hex(), key.to_pem()));
    output::print(&text)
}

fn new_passphrase(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    let passphrase = if let Some(file) = file {
        let unreadable = || {
            CliError::usage(format!("cannot read a passphrase from {}", file.display()))
                .hint("give a text file whose first line is the passphrase: --passphrase-file FILE")
        };
        File::open(file).map_err(anyhow::Error::new).and_then(read_line).with_context(unreadable)?
    } else if let Some(passphrase) = passphrase_from_env()? {
        passphrase
    } else {
        let passphrase = prompt("Passphrase for the new key: ", NEW_PASSPHRASE_HINT)?;
        if passphrase != prompt("The same passphrase again: ", NEW_PASSPHRASE_HINT)? {
            bail!(CliError::usage("the two passphrases differ").hint("no key was made; run it again"));
        }
        passphrase
    };
    if passphrase.is_empty() {
        let source = match file {
            Some(file) => format!("the first line of {} is", file.display()),
            None => "the passphrase is".to_owned(),
        };
        bail!(CliError::usage(format!("{source} empty")).hint("--no-passphrase makes a key without one"));
    }
    Ok(passphrase)
}

fn passphrase_from_env() -> anyhow::Result<Option<Zeroizing<String>>> {
    match env::var(PASSPHRASE_VARIABLE) {
        Ok(passphrase) => Ok(Some(Zeroizing::new(passphrase))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => bail!(CliError::usage(format!("{PASSPHRASE_VARIABLE} is not UTF-8"))),
    }
}

/// The first line, without leaving a copy of it in a buffer.
fn read_line(mut input: impl Read) -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; MAX_PASSPHRASE_BYTES]);
    let mut length = 0;
    while length < bytes.len() && !bytes[..length].contains(&b'\n') {
        match input.read(&mut bytes[length..])? {
            0 => break,
            more => length += more,
        }
    }
    let line = bytes[..length].split(|&byte| byte == b'\n').next().unwrap_or_default();
    if line.len() == bytes.len() {
        bail!(CliError::usage(format!("the passphrase is longer than {MAX_PASSPHRASE_BYTES} bytes")));
    }
    let text = std::str::from_utf8(line).with_context(|| CliError::usage("the passphrase is not UTF-8"))?;
    Ok(Zeroizing::new(text.trim_end_matches('\r').to_owned()))
}

/// Asks on the terminal without showing what is typed. `hint` is what to do where there is none.
fn prompt(question: &str, hint: &str) -> anyhow::Result<Zeroizing<String>> {
    let none = || CliError::usage("no terminal to ask for a passphrase on").hint(hint);
    let terminal = File::options().read(true).write(true).open("/dev/tty").with_context(none)?;
    (&terminal).write_all(question.as_bytes())?;
    let hidden = HiddenInput::start(&terminal)?;
    let line = read_line(&terminal);
    drop(hidden);
    (&terminal).write_all(b"\n")?;
    line
}

/// Turns the terminal's echo off, and on again when dropped.
struct HiddenInput<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> HiddenInput<'a> {
    fn start(terminal: &'a File) -> anyhow::Result<Self> {
        let before = termios::tcgetattr(terminal).context("cannot hide the passphrase on this terminal")?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(terminal, OptionalActions::Flush, &hidden)
            .context("cannot hide the passphrase on this terminal")?;
        Ok(Self { terminal, before })
    }
}

impl Drop for HiddenInput<'_> {
    fn drop(&mut self) {
        // There is nothing left to do about a terminal that is gone.
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
