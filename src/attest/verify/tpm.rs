//! What the machine's TPM signed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::claims::BURN_IN_LENGTH;
use super::{ClaimLevel, EvidenceItems, Expectations, Failure, FailureClass, Rederived, Report, challenge, standing};
use crate::attest::Digest;
use crate::attest::challenge::TpmCredential;
use crate::attest::policy::{DeviceId, Root, RootKind, TrustPolicy};
use crate::attest::statement::{Assurance, Inline, Statement};
use crate::attest::tpm::certificate::{self, MAX_CERTIFICATE_BYTES, MAX_CHAIN, Purpose};
use crate::attest::tpm::event_log::EventLog;
use crate::attest::tpm::public_key::PublicKey;
use crate::attest::tpm::quote::{Attestation, Clock, Said, pcr_digest};
use crate::attest::tpm::{
    BANK, FIRMWARE_REGISTERS, HANDED_REGISTER, IMAGE_REGISTER, KeyBinding, Phase, Platform, REQUIRED_REGISTERS, SHA256,
    SignedQuote, TpmEvidence, nonce,
};

/// Parts in a thousand by which a TPM's clock may be slow without a word being lost about it.
const CLOCK_PERMILLE: u64 = 10;
/// Parts in a thousand by which it may be slow at all (TPM 2.0 Library, Part 1, 36.3): 15 percent.
const MAX_CLOCK_PERMILLE: u64 = 150;

/// What a TPM proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TpmProof {
    /// The vendor, as the TPM names it.
    pub manufacturer: String,
    /// The pinned root that vouches for the key which signed; `None`: anybody could have made that key.
    pub root: Option<String>,
    /// Why there is none.
    pub no_root: Option<String>,
    /// Milliseconds between the quotes by the TPM's own time, in one boot; `None` where that is not known.
    pub elapsed_ms: Option<u64>,
    /// Why not, or what that is not worth.
    pub elapsed_doubt: Option<String>,
    /// Active time of the burn-in that is claimed.
    pub claimed_ms: Option<u64>,
    /// The allowed image that ran.
    pub image: Option<String>,
    /// Events in the log of the firmware, which leads to the quoted registers; `None` without a log.
    pub event_log: Option<usize>,
}

impl TpmProof {
    /// Whether an allowed image ran, and a pinned root vouches for the TPM that says so.
    pub fn proves_image(&self) -> bool {
        self.root.is_some() && self.image.is_some()
    }
}

/// A quote that was checked.
struct Checked<'a> {
    signed: &'a SignedQuote,
    clock: Clock,
    /// Milliseconds since the TPM was powered on, where it said so.
    time_ms: Option<u64>,
}

/// Checks everything that the TPM signed. `None` where it signed nothing, or where something failed.
pub(super) fn check(
    statement: &Statement,
    items: &EvidenceItems<'_>,
    rederived: &Rederived,
    expectations: &Expectations,
    report: &mut Report,
) -> Option<TpmProof> {
    let tpm = statement.predicate.platform.as_ref()?.tpm.as_ref()?;
    let key = read_key(tpm, report)?;
    let mut quotes = Vec::new();
    for phase in [Phase::Start, Phase::End] {
        let found: Vec<&SignedQuote> = tpm.quotes.iter().filter(|quote| quote.phase == phase).collect();
        match found.as_slice() {
            [] => quotes.push(None),
            [quote] => quotes.push(Some(check_quote(statement, quote, &key, report)?)),
            more => {
                let what = format!("quotes of the {}", phase.as_str());
                report.fail(FailureClass::TpmQuote, &what, "one", &more.len().to_string());
                return None;
            }
        }
    }
    let policy = expectations.policy.as_ref();
    let (root, no_root) = match vouched(statement, tpm, &key, expectations, report) {
        Vouched::By(root) => (Some(root), None),
        Vouched::Not(why) => (None, Some(why)),
        Vouched::Failed => return None,
    };
    let event_log = check_event_log(tpm, &quotes, items, report)?;
    let image = check_image(policy, &quotes, report)?;
    let fact = |path| rederived.evidence.as_ref()?.part("burn")?.integer(path);
    let claimed_ms = fact("burn.active_seconds").and_then(|seconds| u64::try_from(seconds).ok()?.checked_mul(1000));
    let resumed = fact("burn.resumes").is_some_and(|resumes| resumes > 0);
    let elapsed = match quotes.as_slice() {
        [Some(start), Some(end)] => elapsed(start, end, claimed_ms, resumed, report)?,
        _ => Elapsed { ms: None, doubt: Some("the TPM did not quote both before and after".to_owned()) },
    };
    Some(TpmProof {
        manufacturer: tpm.manufacturer.clone(),
        root,
        no_root,
        elapsed_ms: elapsed.ms,
        elapsed_doubt: elapsed.doubt,
        claimed_ms,
        image,
        event_log,
    })
}

fn read_key(tpm: &TpmEvidence, report: &mut Report) -> Option<PublicKey> {
    let expected = "a key that a TPM lets sign attestations only, and never lets out";
    match PublicKey::parse(&tpm.ak_pub.0) {
        Ok(key) if key.is_restricted_signing_key() => Some(key),
        Ok(key) => {
            let observed = format!("a key with attributes {:#010x}", key.attributes);
            report.fail(FailureClass::TpmKey, "attestation key", expected, &observed);
            None
        }
        Err(error) => {
            report.fail(FailureClass::TpmKey, "attestation key", expected, &format!("a key that {error}"));
            None
        }
    }
}

fn check_quote<'a>(
    statement: &Statement,
    signed: &'a SignedQuote,
    key: &PublicKey,
    report: &mut Report,
) -> Option<Checked<'a>> {
    let session = &statement.predicate.session;
    let what = format!("quote of the {}", signed.phase.as_str());
    let chain_head = session.chain_head.as_ref().filter(|_| signed.phase == Phase::End);
    let nonce = nonce(&session.s0, signed.phase, chain_head);
    let quote = attestation(&what, &signed.attest, &signed.sig, key, &nonce, report)?;
    let Said::Quote { selection, pcr_digest: quoted } = &quote.said else {
        report.fail(FailureClass::TpmQuote, &what, "a quote of registers", "an attestation of the time");
        return None;
    };
    let registers: Vec<u32> = signed.pcrs.keys().copied().collect();
    let all = REQUIRED_REGISTERS.iter().all(|register| signed.pcrs.contains_key(register));
    if signed.bank != BANK || !all || *selection != [(SHA256, registers.clone())] {
        let expected = format!("registers {REQUIRED_REGISTERS:?} of bank {BANK}");
        let observed = format!("{registers:?} of {:?} beside a quote of {selection:?}", signed.bank);
        report.fail(FailureClass::TpmPcr, &format!("registers in the {what}"), &expected, &observed);
        return None;
    }
    let computed = pcr_digest(signed.pcrs.values().map(Digest::as_bytes));
    if quoted != computed.as_bytes() {
        let what = format!("registers beside the {what}");
        report.fail(FailureClass::TpmPcr, &what, &hex::encode(quoted), &computed.to_string());
        return None;
    }
    let time_ms = match &signed.time {
        None => None,
        Some(time) => {
            let what = format!("time at the {}", signed.phase.as_str());
            let attested = attestation(&what, &time.attest, &time.sig, key, &nonce, report)?;
            let Said::Time { time_ms } = attested.said else {
                report.fail(FailureClass::TpmQuote, &what, "an attestation of the time", "a quote of registers");
                return None;
            };
            if boot(&attested.clock) != boot(&quote.clock) {
                let (expected, observed) = (boot_text(&quote.clock), boot_text(&attested.clock));
                report.fail(FailureClass::TpmClock, &what, &expected, &observed);
                return None;
            }
            Some(time_ms)
        }
    };
    Some(Checked { signed, clock: quote.clock, time_ms })
}

/// Something that the key signed over that nonce.
fn attestation(
    what: &str,
    attest: &Inline,
    signature: &Inline,
    key: &PublicKey,
    nonce: &Digest,
    report: &mut Report,
) -> Option<Attestation> {
    if let Err(error) = key.verify(&attest.0, &signature.0) {
        report.fail(FailureClass::TpmQuote, what, "signed by the attestation key", &error.to_string());
        return None;
    }
    let attestation = match Attestation::parse(&attest.0) {
        Ok(attestation) => attestation,
        Err(error) => {
            report.fail(FailureClass::TpmQuote, what, "a TPM's attestation", &format!("one that {error}"));
            return None;
        }
    };
    if attestation.extra_data != nonce.as_bytes() {
        let observed = hex::encode(&attestation.extra_data);
        report.fail(FailureClass::TpmNonce, what, &nonce.to_string(), &observed);
        return None;
    }
    Some(attestation)
}

enum Vouched {
    /// By that root.
    By(String),
    /// By none, and why.
    Not(String),
    /// What is claimed is wrong.
    Failed,
}

/// Who says that the attestation key lives in a real TPM.
fn vouched(
    statement: &Statement,
    tpm: &TpmEvidence,
    key: &PublicKey,
    expectations: &Expectations,
    report: &mut Report,
) -> Vouched {
    let policy = expectations.policy.as_ref();
    let roots: Vec<&Root> =
        policy.into_iter().flat_map(|policy| &policy.roots).filter(|root| root.kind == RootKind::Tpm).collect();
    let pinned = || match roots.as_slice() {
        [] => "no root of TPMs is pinned".to_owned(),
        roots => roots.iter().map(|root| certificate::describe(&root.certificate_der)).collect::<Vec<_>>().join(", "),
    };
    let bound = match &tpm.ak_binding {
        KeyBinding::IakCertificate { chain } | KeyBinding::Certificate { chain } => chain.as_slice(),
        KeyBinding::Credential { .. } | KeyBinding::Own {} => &[],
    };
    let certificates: Vec<&[u8]> =
        tpm.ek_cert.iter().chain(&tpm.ek_chain).chain(bound).map(|Inline(der)| der.as_slice()).collect();
    let longest = certificates.iter().map(|der| der.len()).max().unwrap_or_default();
    if tpm.ek_chain.len().max(bound.len()) > MAX_CHAIN || longest > MAX_CERTIFICATE_BYTES {
        let expected = format!("at most {MAX_CHAIN} in a chain, of at most {MAX_CERTIFICATE_BYTES} bytes");
        let observed = format!("{} and {}, of up to {longest} bytes", tpm.ek_chain.len(), bound.len());
        report.fail(FailureClass::TpmKey, "certificates of the TPM", &expected, &observed);
        return Vouched::Failed;
    }
    let serials: Vec<String> = certificates.iter().filter_map(|der| certificate::serial(der)).collect();
    let is_device = |id: &DeviceId| matches!(id, DeviceId::Certificate(serial) if serials.contains(serial));
    standing::check_device("TPM", is_device, FailureClass::TpmKey, statement, expectations, report);
    if !report.is_valid() {
        return Vouched::Failed;
    }
    if let Some(Inline(ek)) = &tpm.ek_cert {
        let named = match certificate::manufacturer(ek) {
            Ok(named) => named,
            Err(error) => {
                let expected = "an X.509 certificate";
                report.fail(FailureClass::TpmKey, "certificate of the endorsement key", expected, &error);
                return Vouched::Failed;
            }
        };
        if named.as_ref().is_some_and(|named| *named != tpm.manufacturer) {
            let expected = format!("{:?}, whom the endorsement key's certificate names", named.unwrap_or_default());
            report.fail(FailureClass::TpmKey, "vendor of the TPM", &expected, &format!("{:?}", tpm.manufacturer));
            return Vouched::Failed;
        }
    }
    match &tpm.ak_binding {
        KeyBinding::IakCertificate { chain } | KeyBinding::Certificate { chain } => {
            let what = "certificate of the attestation key";
            let Some((Inline(leaf), above)) = chain.split_first() else {
                report.fail(FailureClass::TpmKey, what, "a certificate", "none");
                return Vouched::Failed;
            };
            let expected = key.subject_public_key_info();
            match certificate::subject_public_key_info(leaf) {
                Ok(observed) if observed == expected => {}
                Ok(observed) => {
                    let name = |info: &[u8]| format!("one of key {}", Digest::of(info));
                    report.fail(FailureClass::TpmKey, what, &name(&expected), &name(&observed));
                    return Vouched::Failed;
                }
                Err(error) => {
                    report.fail(FailureClass::TpmKey, what, "an X.509 certificate", &error);
                    return Vouched::Failed;
                }
            }
            let above: Vec<&[u8]> = above.iter().map(|Inline(bytes)| bytes.as_slice()).collect();
            match certificate::chain(leaf, &above, &roots, Purpose::Attestation, expectations.now) {
                Ok(root) => Vouched::By(certificate::describe(&root.certificate_der)),
                Err(why) if roots.is_empty() => Vouched::Not(why),
                Err(why) => {
                    let expected = format!("a chain to a pinned root: {}", pinned());
                    report.fail(
                        FailureClass::TpmKey,
                        what,
                        &expected,
                        &format!("{}: {why}", certificate::describe(leaf)),
                    );
                    Vouched::Failed
                }
            }
        }
        binding @ (KeyBinding::Credential { .. } | KeyBinding::Own {}) => {
            let tied = match binding {
                KeyBinding::Credential { secret } => match activated(secret, statement, tpm, key, expectations, report)
                {
                    Some(tied) => tied,
                    None => return Vouched::Failed,
                },
                _ => Err("nothing ties the key that signed to it"),
            };
            let Some(Inline(ek)) = &tpm.ek_cert else {
                return Vouched::Not("the TPM has no certificate of its vendor".to_owned());
            };
            let above: Vec<&[u8]> = tpm.ek_chain.iter().map(|Inline(bytes)| bytes.as_slice()).collect();
            match (certificate::chain(ek, &above, &roots, Purpose::Endorsement, expectations.now), tied) {
                (Ok(root), Ok(())) => Vouched::By(certificate::describe(&root.certificate_der)),
                (Ok(_), Err(why)) => Vouched::Not(format!("the certificate of its vendor is genuine, but {why}")),
                (Err(why), _) => {
                    // Who pins roots expects one of them; a TPM of another vendor is no forgery.
                    if !roots.is_empty() {
                        let what = "certificate of the endorsement key";
                        let expected = format!("a chain to a pinned root: {}", pinned());
                        let observed = format!("{}: {why}", certificate::describe(ek));
                        report.indeterminate.push(Failure::new(FailureClass::TpmKey, what, &expected, &observed));
                    }
                    Vouched::Not(why)
                }
            }
        }
    }
}

/// Whether the TPM with that endorsement key read the challenge's secret, while it held the key that signed. `Some(Err)` says
/// why nobody can know; `None` is a failure: what is claimed is wrong.
fn activated(
    secret: &[u8; 32],
    statement: &Statement,
    tpm: &TpmEvidence,
    key: &PublicKey,
    expectations: &Expectations,
    report: &mut Report,
) -> Option<Result<(), &'static str>> {
    let Some(challenge) = &expectations.challenge else {
        return Some(Err("the challenge that ties the key which signed to it was not given"));
    };
    if challenge::is_own(statement, challenge, report) {
        return Some(Err("whoever made the report chose the secret that ties the key which signed to it"));
    }
    let what = "credential of the attestation key";
    let Some(credential) = &challenge.issued.credential else {
        report.fail(FailureClass::TpmKey, what, "none: the challenge carries none", "a secret");
        return None;
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    for (of, expected, observed) in [
        (
            "digest of the secret",
            Some(credential.secret_sha256.to_string()),
            Some(TpmCredential::commitment(secret).to_string()),
        ),
        (
            "endorsement key",
            Some(credential.endorsement_key.to_string()),
            tpm.endorsement_key().map(|digest| digest.to_string()),
        ),
        ("attestation key", Some(hex::encode(&credential.attestation_key.0)), key.name().map(hex::encode)),
    ] {
        if expected != observed {
            report.fail(FailureClass::TpmKey, &format!("{what}: {of}"), &or_none(expected), &or_none(observed));
            return None;
        }
    }
    Some(Ok(()))
}

/// The events of the firmware's log, which has to lead to the registers that only firmware extends. The outer `None` is a
/// failure.
fn check_event_log(
    tpm: &TpmEvidence,
    quotes: &[Option<Checked<'_>>],
    items: &EvidenceItems<'_>,
    report: &mut Report,
) -> Option<Option<usize>> {
    let Some(id) = &tpm.event_log else { return Some(None) };
    let what = format!("event log {id:?}");
    let Some(bytes) = items.get(id) else {
        report.fail(FailureClass::TpmPcr, &what, "an item of the evidence", "none, or one that is too large");
        return None;
    };
    let log = match EventLog::replay(bytes) {
        Ok(log) => log,
        Err(error) => {
            report.fail(FailureClass::TpmPcr, &what, "a log that can be replayed", &error.to_string());
            return None;
        }
    };
    // The log is that of the last boot, to which the quote of another one says nothing.
    let last = quotes.iter().flatten().next_back().map(|quote| boot(&quote.clock));
    for quote in quotes.iter().flatten().filter(|quote| Some(boot(&quote.clock)) == last) {
        for (register, quoted) in quote.signed.pcrs.iter().filter(|(register, _)| FIRMWARE_REGISTERS.contains(register))
        {
            let replayed = log.registers.get(register).copied().unwrap_or_default();
            if replayed != *quoted.as_bytes() {
                let what = format!("register {register} in the quote of the {}", quote.signed.phase.as_str());
                let expected = format!("{}, where the event log leads to", hex::encode(replayed));
                report.fail(FailureClass::TpmPcr, &what, &expected, &quoted.to_string());
                return None;
            }
        }
    }
    Some(last.map(|_| log.events))
}

/// The allowed image that ran from start to end, and was handed nothing: a command line of somebody else makes another system of
/// it. The outer `None` is a failure.
fn check_image(
    policy: Option<&TrustPolicy>,
    quotes: &[Option<Checked<'_>>],
    report: &mut Report,
) -> Option<Option<String>> {
    let images = policy.map_or(&[][..], |policy| &policy.images);
    if images.is_empty() {
        return Some(None);
    }
    let mut ran = BTreeSet::new();
    let mut handed_nothing = true;
    for quote in quotes.iter().flatten() {
        match quote.signed.pcrs.get(&HANDED_REGISTER) {
            None => handed_nothing = false,
            Some(handed) if *handed.as_bytes() == [0; 32] => {}
            Some(handed) => {
                let what = format!("register {HANDED_REGISTER} in the quote of the {}", quote.signed.phase.as_str());
                let expected = "zero: the image started with its own command line, and with nothing beside it";
                report.fail(FailureClass::ImageUnknown, &what, expected, &handed.to_string());
                return None;
            }
        }
        let observed = quote.signed.pcrs.get(&IMAGE_REGISTER)?;
        match images.iter().find(|image| image.pcr11 == *observed) {
            Some(image) => _ = ran.insert(format!("{} {}", image.name, image.version)),
            None => {
                let name = |image: &crate::attest::policy::Image| {
                    format!("{} ({} {})", image.pcr11, image.name, image.version)
                };
                let expected = images.iter().map(name).collect::<Vec<_>>().join(", ");
                let what = format!("register {IMAGE_REGISTER} in the quote of the {}", quote.signed.phase.as_str());
                report.fail(FailureClass::ImageUnknown, &what, &expected, &observed.to_string());
                return None;
            }
        }
    }
    // One image at the start and another at the end: a run that went on under another system.
    Some((handed_nothing && quotes.iter().all(Option::is_some) && ran.len() == 1).then(|| ran.pop_first()).flatten())
}

struct Elapsed {
    ms: Option<u64>,
    doubt: Option<String>,
}

/// The time between the quotes, which has to cover the burn-in. `None` is a failure.
fn elapsed(
    start: &Checked<'_>,
    end: &Checked<'_>,
    claimed_ms: Option<u64>,
    resumed: bool,
    report: &mut Report,
) -> Option<Elapsed> {
    let what = "time between the quotes";
    if boot(&start.clock) != boot(&end.clock) {
        if resumed {
            let doubt = "the machine was started again in between, so that the TPM did not watch all of the run";
            return Some(Elapsed { ms: None, doubt: Some(doubt.to_owned()) });
        }
        let (expected, observed) = (boot_text(&start.clock), boot_text(&end.clock));
        report.fail(FailureClass::TpmClock, "boots of the TPM", &expected, &observed);
        return None;
    }
    let Some(clock_ms) = end.clock.clock_ms.checked_sub(start.clock.clock_ms) else {
        let expected = format!("at least {} ms, as at the start", start.clock.clock_ms);
        report.fail(FailureClass::TpmClock, "clock at the end", &expected, &format!("{} ms", end.clock.clock_ms));
        return None;
    };
    let time_ms = start.time_ms.zip(end.time_ms).map(|(start, end)| end.checked_sub(start));
    let (elapsed_ms, mut doubt) = match time_ms {
        Some(Some(time_ms)) => (clock_ms.min(time_ms), None),
        Some(None) => {
            report.fail(FailureClass::TpmClock, "time at the end", "later than at the start", "earlier");
            return None;
        }
        None => (clock_ms, Some("the TPM signed its clock only, which its owner can set forward".to_owned())),
    };
    if doubt.is_some() && !(start.clock.safe && end.clock.safe) {
        let (expected, observed) = ("a clock that was never set back", "one that may have been, after a loss of power");
        report.indeterminate.push(Failure::new(FailureClass::TpmClock, "clock of the TPM", expected, observed));
        doubt = Some("the TPM's clock may have been set back by a loss of power".to_owned());
    }
    if let Some(claimed_ms) = claimed_ms.filter(|claimed| elapsed_ms < *claimed) {
        let least = |permille: u64| claimed_ms - claimed_ms / 1000 * permille - claimed_ms % 1000 * permille / 1000;
        let expected = format!("at least {} s, the active time of the burn-in", seconds(claimed_ms));
        let observed = format!("{} s", seconds(elapsed_ms));
        if elapsed_ms < least(MAX_CLOCK_PERMILLE) {
            report.fail(FailureClass::TpmClock, what, &expected, &observed);
            return None;
        }
        if elapsed_ms < least(CLOCK_PERMILLE) {
            report.indeterminate.push(Failure::new(FailureClass::TpmClock, what, &expected, &observed));
            doubt = Some("less time passed than is claimed, though no more than a TPM's clock may be slow".to_owned());
        }
    }
    Some(Elapsed { ms: Some(elapsed_ms), doubt })
}

fn boot(clock: &Clock) -> (u32, u32) {
    (clock.reset_count, clock.restart_count)
}

fn boot_text(clock: &Clock) -> String {
    format!("{} resets and {} restarts", clock.reset_count, clock.restart_count)
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// Says what the TPM proved, and what it did not.
pub(super) fn conclude(
    statement: &Statement,
    proof: Option<TpmProof>,
    expectations: &Expectations,
    report: &mut Report,
) {
    let Some(Platform { tpm, missing }) = &statement.predicate.platform else { return };
    report.not_proven.extend(missing.iter().map(|why| match tpm {
        None => format!("what runs on this machine, and for how long: no hardware root, {why}").into(),
        Some(_) => format!("all that a TPM could show: {why}").into(),
    }));
    let Some(proof) = proof else { return };
    let name = format!("TPM ({})", proof.manufacturer);
    let asked = expectations.challenge.as_ref().is_some_and(|it| !challenge::is_own(statement, it, report));
    let mut claim = |level, reason: String| {
        if proof.claimed_ms.is_some() {
            report.claims.push(ClaimLevel { claim: BURN_IN_LENGTH.to_owned(), level, reason: reason.into() });
        }
    };
    let length = proof.elapsed_ms.map(|elapsed| match proof.claimed_ms {
        Some(claimed) => {
            format!(
                "{} s passed between start and end, in one boot; the burn-in of {} s fits",
                seconds(elapsed),
                seconds(claimed)
            )
        }
        None => format!("{} s passed between start and end, in one boot", seconds(elapsed)),
    });
    match (&proof.root, length, &proof.elapsed_doubt) {
        (Some(root), Some(length), None) => {
            let answered = asked && proof.image.is_some();
            let level = if answered { Assurance::L3 } else { Assurance::L2 };
            report.proven.push(format!("{level}: the {name} signed that {length}").into());
            report.proven.push(format!("a pinned root vouches for the key of that TPM: {root}").into());
            report
                .not_proven
                .push("that this TPM is in the machine whose parts are listed: they do not name each other".into());
            // Part 1, 36.3: 15 percent, and as much again by TPM2_ClockRateAdjust.
            report.not_proven.push("how long it took exactly: a TPM's clock may run up to a third fast".into());
            claim(level, format!("the {name} signed that {length}"));
        }
        (Some(_), length, Some(doubt)) => {
            let said = length.map_or(String::new(), |length| format!(", though the {name} signed that {length}"));
            report.not_proven.push(format!("how long the burn-in took{said}: {doubt}").into());
            claim(Assurance::L0, doubt.clone());
        }
        (None, length, doubt) => {
            let why = proof.no_root.as_deref().unwrap_or("no root is pinned");
            let said =
                length.map_or_else(|| doubt.clone().unwrap_or_default(), |length| format!("it says that {length}"));
            report
                .not_proven
                .push(format!("how long the burn-in took (L0): the {name} may be software; {said}").into());
            report.not_proven.push(format!("that the {name} is hardware: {why}").into());
            claim(Assurance::L0, format!("a TPM says so that may be software: {why}"));
        }
        (Some(_), None, None) => {}
    }
    match (&proof.root, &proof.image) {
        (Some(_), Some(image)) => {
            report.proven.push(format!("the genuine image {image} ran, from start to end").into())
        }
        // With a policy that allows images there is no report without one of them.
        _ => report.not_proven.push("which system ran: no image is known to hold the TPM's registers against".into()),
    }
    if let (Some(_), Some(events)) = (&proof.root, proof.event_log) {
        report
            .proven
            .push(format!("the firmware's log of {events} events leads to the registers that the TPM signed").into());
    }
    report.tpm = Some(proof);
}
