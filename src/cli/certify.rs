//! `yanji certify`: the main job. Inspect, burn in, sign.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;
use yanji::attest::challenge::{CLOCK_SKEW, SignedChallenge, TpmCredential};
use yanji::attest::device::{DeviceEvidence, DeviceNonce, Phase};
use yanji::attest::document::Document;
use yanji::attest::envelope::Envelope;
use yanji::attest::evidence_tar::{Content, Item};
use yanji::attest::key::Key;
use yanji::attest::statement::{Challenge, ChallengeSource, Previous, Relation};
use yanji::attest::timestamp;
use yanji::attest::tpm::EVENT_LOG_ITEM;
use yanji::attest::write::{self, WrittenReport};
use yanji::attest::{self, Claims, Derived, Digest, HOST_ITEM, MAX_DOCUMENT_BYTES, RECORDS_ITEM, SessionStart};
use yanji::burn::gpu::GpuSummary;
use yanji::burn::{BurnError, FILE_NAME, Request, Start};
use yanji::claim::Order;
use yanji::collect;
use yanji::evidence::Reading;
use yanji::host::{Host, Query, RecordedHost, RecordingHost};
use yanji::inspection::Inspection;
use yanji::report;
use yanji::rule::Signatures;
use yanji::whole_file;

use super::args::{Format, Global};
use super::claim::ClaimArgs;
use super::error::CliError;
use super::exit::Exit;
use super::input::small_file;
use super::platform::{PlatformRun, TpmArgs};
use super::{burn, checked, inspect, key, output};

/// Folder inside of `--out` where an unfinished run keeps its state.
const WORK_FOLDER: &str = ".unfinished";
const SESSION_FILE: &str = "session.json";

/// Arguments of `yanji certify`.
#[derive(Debug, clap::Args)]
pub struct CertifyArgs {
    /// Folder for the report; made when it is missing [default: yanji-report-TIME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to burn in, and for how long: quick (2 minutes), 24h, 72h, 168h, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "quick")]
    pub profile: String,
    /// Private key to sign with [default: this machine's own, made on first use]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Challenge of the buyer, which the report then contains: the file of yanji challenge new, 64 hexadecimal digits or 32
    /// bytes
    #[arg(long, value_name = "FILE")]
    pub challenge: Option<PathBuf>,
    /// An earlier report about the same unit: its folder or its report.dsse.json. The new one names it by digest
    #[arg(long, value_name = "REPORT", requires = "relation")]
    pub previous: Option<PathBuf>,
    /// What the earlier report is to the new one
    #[arg(long, value_enum, requires = "previous")]
    pub relation: Option<RelationName>,
    /// Condition in which the machine is offered
    #[arg(long, value_enum)]
    pub condition: Option<Condition>,
    /// Something the buyer should know: a repair, a replaced part, a known fault. May be given several times
    #[arg(long, value_name = "TEXT")]
    pub disclose: Vec<String>,
    /// What was sold.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// Go on with a run that was interrupted or cut off
    #[arg(long, conflicts_with_all = ["profile", "challenge", "previous"])]
    pub resume: bool,
    /// Certify a recorded machine. The burn-in is left out, and no policy accepts the result
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    pub host: Option<PathBuf>,
    #[command(flatten)]
    pub live: inspect::LiveArgs,
    #[command(flatten)]
    pub tpm: TpmArgs,
}

/// Condition in which a machine is offered.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Condition {
    /// Never used
    New,
    /// Used
    Used,
    /// Used, then repaired or cleaned for sale
    Refurbished,
}

/// What an earlier report is to a new one.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RelationName {
    /// It shows the unit as it was built
    AsBuilt,
    /// It shows the unit as it was delivered
    AsDelivered,
    /// The new one takes its place
    Supersedes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Certified<'a> {
    report_id: &'a str,
    envelope_sha256: String,
    keyid: String,
    files: &'a [PathBuf],
    inspection: &'a Inspection,
    /// What the burn-in measured of each GPU: units, distributions, methods, seeds, kernels and their self-tests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    gpus: &'a BTreeMap<String, GpuSummary>,
}

/// Inspects, burns in, signs, and prints the result. The exit code follows the verdict.
pub fn run(args: &CertifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let mut host = inspect::open_host(args.host.as_deref(), &args.live)?;
    let signatures = inspect::load_signatures(global)?;
    let order = args.claim.load(&signatures)?;
    let profile = burn::load_profile(&args.profile)?;
    let (challenge, credential) = args.challenge.as_deref().map(read_challenge).transpose()?.unzip();
    let credential = credential.flatten();
    let previous = args.previous.as_deref().zip(args.relation).map(|(path, it)| read_previous(path, it)).transpose()?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => PathBuf::from(jiff::Timestamp::now().strftime("yanji-report-%Y%m%dT%H%M%SZ").to_string()),
    };
    prepare_folder(&out, args.resume)?;
    let work = out.join(WORK_FOLDER);
    // Nothing to go on with is left by a run that did not get as far as a burn-in.
    let give_up = |error: anyhow::Error| {
        if !args.resume {
            _ = fs::remove_dir_all(&work);
            _ = fs::remove_dir(&out);
        }
        error
    };
    let key = key::signing_key(args.key.as_deref()).map_err(give_up)?;
    let session =
        if args.resume { resume(&work, &key)? } else { start(&work, &key, challenge, previous).map_err(give_up)? };
    if args.host.is_none() {
        // GPUs that attest do so for this session.
        let live = inspect::live_host(&args.live).map_err(give_up)?;
        host = Box::new(live.with_attestation_nonce(start_nonce(&session)));
    }
    let platform = match (&args.host, args.resume) {
        (Some(_), _) => None,
        (None, true) => Some(PlatformRun::resume(&args.tpm, &work)?),
        (None, false) => Some(
            PlatformRun::begin(&args.tpm, host.as_ref(), &session.s0(), credential.as_ref(), &work).map_err(give_up)?,
        ),
    };
    let archive = record(host.as_ref()).map_err(give_up)?;
    let records = if args.host.is_some() {
        None
    } else {
        let records = work.join(FILE_NAME);
        let start = if args.resume {
            Start::Resume
        } else {
            Start::New { profile, genesis: *session.s0().as_bytes(), seed: seed(&session) }
        };
        let request = Request { folder: work.clone(), worker: None, start };
        match burn::run_request(host.as_ref(), &request, None) {
            // The run was cut off between its burn-in and its report.
            Err(error) if matches!(error.downcast_ref(), Some(BurnError::Finished { .. })) => {}
            burned => {
                _ = burned.with_context(|| {
                    format!("the burn-in could not run; its records so far are in {}", work.display())
                })?
            }
        }
        Some(fs::read(&records).context("cannot read the records of the burn-in")?)
    };
    let signed = sign(&out, args, order, session, &archive, records, host.as_ref(), platform, &signatures, &key);
    // A recorded machine is not resumed: there is no burn-in whose time would be lost.
    let (derived, written) = if args.host.is_some() { signed.map_err(give_up)? } else { signed? };
    if interrupted(&derived.inspection) {
        eprintln!("interrupted: go on with yanji certify --resume --out {}", out.display());
    } else {
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    print(&derived, &written, &signatures, &key, global)?;
    Ok(derived.inspection.judgement.verdict.into())
}

/// The patterns of the burn-in follow from the session, so that nobody can choose them.
fn seed(session: &SessionStart) -> u32 {
    let [a, b, c, d, ..] = *session.s0().as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Moves the report of an interrupted run into a folder of its own: the run that goes on makes another.
fn set_aside(out: &Path) -> anyhow::Result<()> {
    if !out.join(write::ENVELOPE_FILE).exists() {
        return Ok(());
    }
    let aside = out.join(jiff::Timestamp::now().strftime("interrupted-%Y%m%dT%H%M%SZ").to_string());
    let moved = fs::create_dir(&aside).and_then(|()| {
        for file in [write::ENVELOPE_FILE, write::STATEMENT_FILE, write::EVIDENCE_FILE, write::SIGNER_FILE] {
            fs::rename(out.join(file), aside.join(file))?;
        }
        // They are about the signatures of the report that goes.
        let timestamps = timestamp::beside(&out.join(write::ENVELOPE_FILE));
        if let (true, Some(name)) = (timestamps.exists(), timestamps.file_name()) {
            fs::rename(&timestamps, aside.join(name))?;
        }
        Ok(())
    });
    moved.with_context(|| CliError::usage(format!("cannot move the earlier report to {}", aside.display())))
}

/// Everything that can go wrong with the folder goes wrong now, and not after hours of burn-in.
fn prepare_folder(out: &Path, resume: bool) -> anyhow::Result<()> {
    let work = out.join(WORK_FOLDER);
    let unusable = || CliError::usage(format!("cannot write into {}", out.display())).hint("choose another --out DIR");
    fs::create_dir_all(out).with_context(unusable)?;
    if out.join(write::ENVELOPE_FILE).exists() && !work.exists() {
        bail!(
            CliError::usage(format!("{} holds a report already, and a report is never overwritten", out.display()))
                .hint("choose another --out DIR, or move the old report away")
        );
    }
    match (work.exists(), resume) {
        (true, false) => bail!(
            CliError::usage(format!("{} holds a run that was cut off", out.display()))
                .hint("go on with --resume, or remove it: ".to_owned() + &work.display().to_string())
        ),
        (false, true) => bail!(
            CliError::usage(format!("{} holds no run that was cut off", out.display()))
                .hint("leave --resume out to start one")
        ),
        (true, true) => set_aside(out),
        (false, false) => fs::create_dir(&work).with_context(unusable),
    }
}

/// A signed challenge (`yanji challenge new`) and the credential in it, or 32 bytes that nobody signed.
fn read_challenge(path: &Path) -> anyhow::Result<(Challenge, Option<TpmCredential>)> {
    let wrong = || {
        CliError::usage(format!("{} is no challenge", path.display()))
            .hint("a challenge is what yanji challenge new wrote, or 32 random bytes: openssl rand -hex 32 > challenge")
    };
    let content = small_file(path, MAX_DOCUMENT_BYTES).with_context(wrong)?;
    // Random bytes may begin as JSON does.
    let raw = <[u8; 32]>::try_from(content.as_slice()).ok();
    if raw.is_none() && content.trim_ascii_start().starts_with(b"{") {
        let signed = SignedChallenge::parse(&content).with_context(wrong)?;
        let (issued, now) = (signed.issued(), jiff::Timestamp::now());
        if issued.is_expired(now) {
            bail!(
                CliError::usage(format!("the challenge {} expired at {}", path.display(), issued.expires_at))
                    .hint("ask whoever issued it for a new one, and look at this machine's clock")
            );
        }
        if issued.issued_at.duration_since(now) > CLOCK_SKEW {
            bail!(
                CliError::usage(format!("the challenge {} was issued at {}", path.display(), issued.issued_at))
                    .hint("that lies ahead: set this machine's clock, or nobody will accept the report")
            );
        }
        return Ok((signed.answer(), issued.credential.clone()));
    }
    let value = raw.or_else(|| {
        let text = std::str::from_utf8(&content).ok()?;
        hex::decode(text.trim()).ok()?.try_into().ok()
    });
    Ok((Challenge::unsigned(value.ok_or_else(wrong)?, ChallengeSource::Buyer), None))
}

/// Names an earlier report. Whether it verifies is for those to say who trust its signer: see `yanji history`.
fn read_previous(path: &Path, relation: RelationName) -> anyhow::Result<Previous> {
    let bytes = checked::read_envelope(path)?;
    let envelope = Envelope::parse(&bytes);
    let document = envelope.ok().and_then(|envelope| Document::read(&envelope.payload).ok());
    if !matches!(document, Some(Document::Report(_))) {
        bail!(
            CliError::usage(format!("{} is no report", path.display()))
                .hint("--previous takes what yanji certify wrote")
        );
    }
    let relation = match relation {
        RelationName::AsBuilt => Relation::AsBuilt,
        RelationName::AsDelivered => Relation::AsDelivered,
        RelationName::Supersedes => Relation::Supersedes,
    };
    Ok(Previous { sha256: Digest::of(&bytes), relation })
}

/// Everything that the collectors read, packed. A run that goes on records anew: what lay on the disk meanwhile, anybody
/// could have exchanged.
fn record(host: &dyn Host) -> anyhow::Result<Vec<u8>> {
    let recording = RecordingHost::new(host);
    collect::collect(&recording);
    let mut archive = Vec::new();
    recording.into_capture().write(&mut archive).context("cannot pack the recorded machine")?;
    Ok(archive)
}

/// A new session, kept for a run that is cut off.
fn start(
    work: &Path,
    key: &Key,
    mut challenge: Option<Challenge>,
    previous: Option<Previous>,
) -> anyhow::Result<SessionStart> {
    if let Some(challenge) = &mut challenge
        && challenge.issuer == Some(key.public().keyid())
    {
        challenge.source = ChallengeSource::Own;
    }
    let session = SessionStart::new(key.public().keyid(), challenge)?.after(previous);
    let path = work.join(SESSION_FILE);
    let content = serde_json::to_vec_pretty(&session)?;
    whole_file::write(&path, |file| file.write_all(&content))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(session)
}

fn resume(work: &Path, key: &Key) -> anyhow::Result<SessionStart> {
    let path = work.join(SESSION_FILE);
    let content = fs::read(&path).with_context(|| {
        CliError::usage(format!("cannot go on: {} cannot be read", path.display()))
            .hint(format!("remove {} and start again", work.display()))
    })?;
    let session: SessionStart = serde_json::from_slice(&content)
        .with_context(|| CliError::usage(format!("cannot go on: {} is damaged", path.display())))?;
    if session.keyid != key.public().keyid() {
        bail!(
            CliError::usage(format!("the run was started with key {}", session.keyid))
                .hint("give the same key with --key")
        );
    }
    if session.tool.binary_sha256 != attest::own_binary_sha256()? {
        bail!(
            CliError::usage("the run was started with another build of yanji")
                .hint("go on with that one, or start again")
        );
    }
    // Without a record nobody knows which profile was asked for, and a shorter one must not take its place.
    if !work.join(FILE_NAME).exists() {
        bail!(
            CliError::usage("the run was cut off before its burn-in began")
                .hint(format!("remove {} and start again", work.display()))
        );
    }
    Ok(session.resumed()?)
}

/// Whether the burn-in was stopped before its end.
fn interrupted(inspection: &Inspection) -> bool {
    let burn = inspection.evidence.part("burn");
    burn.and_then(|part| part.reading("burn.interrupted")) == Some(&Reading::Known(true.into()))
}

/// Derives from the very bytes that are signed, so that a verifier gets the same.
#[allow(clippy::too_many_arguments, reason = "one call, and each is another noun")]
fn sign(
    out: &Path,
    args: &CertifyArgs,
    order: Order,
    session: SessionStart,
    archive: &[u8],
    records: Option<Vec<u8>>,
    host: &dyn Host,
    platform: Option<PlatformRun>,
    signatures: &Signatures,
    key: &Key,
) -> anyhow::Result<(Derived, WrittenReport)> {
    let claims = Claims {
        order,
        condition: args.condition.and_then(|condition| Some(condition.to_possible_value()?.get_name().to_owned())),
        disclosures: args.disclose.clone(),
    };
    let derived = attest::derive(archive, records.as_deref(), host.origin(), &session.s0(), &claims.order, signatures)?;
    let device_evidence = match args.host {
        Some(_) => Vec::new(),
        None => device_evidence(args, &session, archive, &derived)?,
    };
    let s0 = session.s0();
    let mut statement = session.statement(&derived, records.as_deref(), signatures, claims)?;
    statement.predicate.device_evidence = device_evidence;
    let mut event_log = None;
    if let Some(platform) = platform {
        let (platform, log) = platform.end(host, &s0, statement.predicate.session.chain_head.as_ref());
        statement.predicate.platform = Some(platform);
        event_log = log;
    }
    let item = |id: &str, media_type: &str, bytes: Vec<u8>| Item {
        id: id.to_owned(),
        media_type: media_type.to_owned(),
        content: Content::Bytes(bytes),
    };
    let mut items = vec![item(HOST_ITEM, "application/zstd", archive.to_vec())];
    items.extend(records.map(|records| item(RECORDS_ITEM, "application/jsonl", records)));
    items.extend(event_log.map(|log| item(EVENT_LOG_ITEM, "application/octet-stream", log)));
    let written = write::write(out, statement, items, key).with_context(|| {
        CliError::usage(format!("cannot write the report into {}", out.display())).hint(match args.host {
            Some(_) => "make room, or choose another --out DIR",
            None => "make room, then run again with --resume: nothing that was measured is lost",
        })
    })?;
    Ok((derived, written))
}

/// What GPUs are asked to sign before the burn-in.
fn start_nonce(session: &SessionStart) -> DeviceNonce {
    DeviceNonce { s0: session.s0(), phase: Phase::Start, chain_head: None }
}

/// What GPUs signed when the machine was recorded, and what they sign now, after the burn-in.
fn device_evidence(
    args: &CertifyArgs,
    session: &SessionStart,
    archive: &[u8],
    derived: &Derived,
) -> anyhow::Result<Vec<DeviceEvidence>> {
    let recorded = RecordedHost::from_archive(archive).context("cannot read the recorded machine again")?;
    let mut evidence = DeviceEvidence::from_nvml(&recorded.ask(&Query::Nvml), &start_nonce(session));
    // Without a GPU that signs there is nobody to ask again.
    if !evidence.is_empty() {
        let end = DeviceNonce { s0: session.s0(), phase: Phase::End, chain_head: derived.chain_head() };
        let host = inspect::live_host(&args.live)?.with_attestation_nonce(end);
        evidence.extend(DeviceEvidence::from_nvml(&host.ask(&Query::Nvml), &end));
    }
    Ok(evidence)
}

fn print(
    derived: &Derived,
    written: &WrittenReport,
    signatures: &Signatures,
    key: &Key,
    global: &Global,
) -> anyhow::Result<()> {
    let report_id = &written.statement.predicate.report_id;
    let keyid = key.public().keyid().to_string();
    let inspection = &derived.inspection;
    let none = BTreeMap::new();
    let gpus = derived.burn.as_ref().map_or(&none, |summary| &summary.gpus);
    match global.format {
        Format::Json => output::print_json(&Certified {
            report_id,
            envelope_sha256: written.envelope_sha256.to_string(),
            keyid,
            files: &written.files,
            inspection,
            gpus,
        }),
        Format::Plain | Format::Csv => {
            let mut text = format!("Report {report_id}, signed by key {keyid}\n");
            for file in &written.files {
                text += &format!("  {}\n", output::name(file));
            }
            text += &report::gpus_burned_plain(&inspection.evidence, gpus, output::style());
            text += "\n";
            output::print(&(text + &report::inspection_plain(inspection, signatures, output::style())))
        }
    }
}
