//! `yanji timestamp`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use yanji::attest::Digest;
use yanji::attest::envelope::{Envelope, Signature};
use yanji::attest::timestamp::{
    self, Authorities, MAX_RESPONSE_BYTES, MAX_SIDECAR_BYTES, MAX_TIMESTAMPS, Request, Sidecar, Token, ask,
};
use yanji::report::for_terminal;
use yanji::whole_file;

use super::args::{Format, Global};
use super::error::CliError;
use super::input::small_file;
use super::{checked, output, signer};

/// The largest file of root certificates.
const MAX_ROOTS_BYTES: usize = 1 << 20;

/// Arguments of `yanji timestamp`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("how").required(true).multiple(true).args(["tsa", "request", "response"]))]
pub struct TimestampArgs {
    /// Report: a report.dsse.json file, or the folder that holds it; or another signed document. The timestamps are kept
    /// beside it: report.timestamps.json
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,
    /// Address of the authority: http:// or https://. It is sent the SHA-256 of each signature, and nothing else
    #[arg(long, value_name = "URL", conflicts_with_all = ["request", "response"])]
    pub tsa: Option<String>,
    /// Write a request over the first signature without a timestamp, to be carried to an authority. With --response: read the
    /// request that it must answer
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// Add the response that came back
    #[arg(long, value_name = "FILE")]
    pub response: Option<PathBuf>,
    /// Root certificate of the authority, PEM, to check now what it sent
    #[arg(long = "tsa-root", value_name = "PEM")]
    pub tsa_roots: Vec<PathBuf>,
}

/// A request that was written.
#[derive(Serialize)]
struct Requested<'a> {
    file: &'a Path,
    keyid: Digest,
}

/// What became of a response.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stamp {
    /// The timestamps of the report.
    file: PathBuf,
    /// False of one that was there already.
    added: bool,
    /// Key whose signature it is over.
    keyid: Digest,
    not_after: String,
    authority: String,
    /// Whether the authority leads to a root that was given.
    believed: bool,
}

/// Adds timestamps, or writes a request for one.
pub fn run(args: &TimestampArgs, global: &Global) -> anyhow::Result<()> {
    let _lock = signer::lock_folder_of(&checked::locate(&args.report));
    let mut stamped = Stamped::load(&args.report)?;
    let mut roots = Authorities::default();
    for file in &args.tsa_roots {
        roots.extend(authorities(file)?);
    }
    if let Some(url) = &args.tsa {
        let mut stamps = Vec::new();
        let stamp_all = stamped.unstamped()?.iter().try_for_each(|signature| {
            let request = Request::new(&signature.bytes)?;
            let response = ask(url, &request).with_context(|| {
                CliError::usage(format!("no timestamp from {url} over the signature by key {}", signature.keyid))
                    .hint("nothing was added for it; run it again for what is missing")
            })?;
            let stamp = stamped.add(&response, Some(&request), &roots)?;
            if global.format != Format::Json {
                output::print(&stamp.line())?;
            }
            stamps.push(stamp);
            Ok(())
        });
        // Also those before one that failed.
        if global.format == Format::Json {
            output::print_json(&stamps)?;
        }
        return stamp_all;
    }
    let Some(file) = &args.response else {
        let Some(file) = &args.request else { bail!(CliError::usage("give --tsa, --request or --response")) };
        signer::refuse_existing(file)?;
        let signatures = stamped.unstamped()?;
        let Some(signature) = signatures.first() else { return Ok(()) };
        let request = Request::new(&signature.bytes)?.to_der();
        signer::write_new(file, &request)?;
        return match global.format {
            Format::Json => output::print_json(&Requested { file, keyid: signature.keyid }),
            Format::Plain | Format::Csv => output::print(&format!(
                "{}: a request over the signature by key {}\n",
                output::name(file),
                signature.keyid
            )),
        };
    };
    let request = match &args.request {
        Some(file) => {
            let wrong = || CliError::usage(format!("{} is no request", file.display()));
            Some(Request::from_der(&small_file(file, MAX_RESPONSE_BYTES)?).with_context(wrong)?)
        }
        None => None,
    };
    let stamp = stamped.add(&small_file(file, MAX_RESPONSE_BYTES)?, request.as_ref(), &roots)?;
    match global.format {
        Format::Json => output::print_json(&[stamp]),
        Format::Plain | Format::Csv => output::print(&stamp.line()),
    }
}

impl Stamp {
    fn line(&self) -> String {
        let Self { file, added, keyid, not_after, authority, believed } = self;
        let file = output::name(file);
        if !added {
            return format!("{file}: this response was there already, and was not added again\n");
        }
        let authority = for_terminal(authority, output::style());
        let known = if *believed { "" } else { " (nobody said to believe it)" };
        format!("{file}: key {keyid} had signed by {not_after}, says {authority}{known}\n")
    }
}

/// The roots in a PEM file.
pub fn authorities(file: &Path) -> anyhow::Result<Authorities> {
    let wrong = || {
        CliError::usage(format!("{} is no root certificate", file.display())).hint(
            "give the authority's root in PEM: the certificate that signed itself, not the one that signs timestamps",
        )
    };
    Authorities::from_pem(&small_file(file, MAX_ROOTS_BYTES)?).with_context(wrong)
}

/// An envelope, and the timestamps beside it.
pub struct Stamped {
    /// The envelope.
    pub envelope: Envelope,
    /// The timestamps.
    pub sidecar: Sidecar,
    path: PathBuf,
}

impl Stamped {
    /// Reads a report.dsse.json, or the one in a folder. No signature is checked.
    pub fn load(report: &Path) -> anyhow::Result<Self> {
        let path = checked::locate(report);
        let unreadable = |path: &Path| CliError::usage(format!("cannot read {}", path.display()));
        let envelope = Envelope::parse(&checked::read_envelope(report)?).with_context(|| unreadable(&path))?;
        let beside = timestamp::beside(&path);
        let mut sidecar = Sidecar::default();
        match checked::open_regular(&beside) {
            Ok(file) => {
                let mut bytes = Vec::new();
                let read = file.take(MAX_SIDECAR_BYTES as u64 + 1).read_to_end(&mut bytes);
                read.with_context(|| unreadable(&beside))?;
                sidecar = Sidecar::parse(&bytes).with_context(|| unreadable(&beside))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| unreadable(&beside)),
        }
        Ok(Self { envelope, sidecar, path: beside })
    }

    /// The signatures over which there is no timestamp.
    fn unstamped(&self) -> anyhow::Result<Vec<Signature>> {
        let stamped: Vec<Digest> = self
            .sidecar
            .responses
            .iter()
            .filter_map(|response| Token::from_response(response).ok())
            .map(|token| token.imprint)
            .collect();
        let is_new = |signature: &&Signature| !stamped.contains(&Digest::of(&signature.bytes));
        let signatures: Vec<Signature> = self.envelope.signatures.iter().filter(is_new).cloned().collect();
        if signatures.is_empty() {
            bail!(
                CliError::usage("every signature of the report has a timestamp")
                    .hint(format!("for others, move {} away", self.path.display()))
            );
        }
        Ok(signatures)
    }

    /// Adds a response that is not there yet to the file, after everything about it was checked that can be.
    fn add(&mut self, response: &[u8], request: Option<&Request>, roots: &Authorities) -> anyhow::Result<Stamp> {
        let refused = || CliError::usage("the response was not added").hint("nothing was changed for it");
        let token = Token::from_response(response).with_context(refused)?;
        let signatures = &self.envelope.signatures;
        let Some(signature) = signatures.iter().find(|it| Digest::of(&it.bytes) == token.imprint) else {
            bail!(anyhow::anyhow!("it is over another signature than those of this report").context(refused()));
        };
        if let Some(request) = request
            && (request.imprint != token.imprint || request.nonce.as_deref() != token.nonce)
        {
            bail!(anyhow::anyhow!("it answers another request").context(refused()));
        }
        let verified = if roots.is_empty() { token.check_signature() } else { token.verify(roots) };
        let authority = verified.with_context(refused)?;
        let stamp = Stamp {
            file: self.path.clone(),
            added: !self.sidecar.responses.iter().any(|added| added == response),
            keyid: signature.keyid,
            not_after: token.not_after().to_string(),
            authority,
            believed: !roots.is_empty(),
        };
        if !stamp.added {
            return Ok(stamp);
        }
        if self.sidecar.responses.len() == MAX_TIMESTAMPS {
            bail!(anyhow::anyhow!("there are {MAX_TIMESTAMPS} timestamps already").context(refused()));
        }
        self.sidecar.responses.push(response.to_vec());
        self.save()?;
        Ok(stamp)
    }

    fn save(&self) -> anyhow::Result<()> {
        let json = self.sidecar.to_json();
        whole_file::write(&self.path, |out| out.write_all(json.as_bytes()))
            .with_context(|| CliError::usage(format!("cannot write {}", self.path.display())))
    }
}
