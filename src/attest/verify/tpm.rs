//! What the machine's TPM signed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::claims::BURN_IN_LENGTH;
use super::{
    ClaimLevel, EvidenceItems, Expectations, Failure, FailureClass, MAX_LISTED, Rederived, Report, challenge, standing,
};
use crate::attest::Digest;
use crate::attest::challenge::TpmCredential;
use crate::attest::policy::{DeviceId, Root, RootKind, TrustPolicy};
use crate::attest::statement::{Assurance, Inline, Statement};
use crate::attest::tpm::certificate::{self, ChainError, MAX_CERTIFICATE_BYTES, MAX_CHAIN, MAX_MANUFACTURER, Purpose};
use crate::attest::tpm::event_log::EventLog;
use crate::attest::tpm::public_key::PublicKey;
use crate::attest::tpm::quote::{Attestation, Clock, Said, pcr_digest};
use crate::attest::tpm::{
    BANK, FIRMWARE_REGISTERS, HANDED_REGISTER, IMAGE_REGISTER, KeyBinding, Phase, Platform, REQUIRED_REGISTERS, SHA256,
    Secret, SignedQuote, TpmEvidence, nonce,
};

/// Parts in a thousand by which a TPM's clock and the machine's may differ without anybody having to look.
const CLOCK_PERMILLE: u64 = 10;
/// Parts in a thousand by which it may be slow at all (TPM 2.0 Library, Part 1, 36.3): 15 percent.
const MAX_CLOCK_PERMILLE: u64 = 150;
/// Milliseconds that a TPM's clock may lose when its power goes without warning: it need not be saved more often (Part 1, 36.3).
const MAX_CLOCK_LOSS_MS: u64 = 1 << 22;
/// Sentences about what could not be had; the tool writes a handful.
const MAX_MISSING: usize = 100;
/// What a report leaves open without a TPM.
pub(super) const NO_HARDWARE_ROOT: &str = "what runs on this machine, and for how long: no hardware root";
/// Why one quote proves nothing of a run.
const ONE_QUOTE: &str = "the TPM did not quote both before and after";

/// What a TPM proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TpmProof {
    /// The vendor, as the TPM names it.
    pub manufacturer: String,
    /// Whether a certificate that leads to a pinned root names that vendor. Otherwise the name is what anybody can write.
    pub manufacturer_vouched: bool,
    /// The pinned root that vouches for the key which signed; `None`: anybody could have made that key.
    pub root: Option<String>,
    /// Why there is none.
    pub no_root: Option<String>,
    /// Whether there was one when the session ended, and certificates have come to their end since.
    #[serde(skip)]
    pub expired: bool,
    /// Milliseconds between the quotes by the TPM's own time, in one boot; `None` where that is not known.
    pub elapsed_ms: Option<u64>,
    /// Why not, or what that is not worth.
    pub elapsed_doubt: Option<String>,
    /// Active time of the burn-in that is claimed.
    pub claimed_ms: Option<u64>,
    /// The allowed image that ran.
    pub image: Option<String>,
    /// Why none is known; `None` where the policy allows none in particular.
    pub no_image: Option<String>,
    /// Events in the log of the firmware for those registers that it was held against; `None` without a log.
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
    let Platform { tpm, missing } = statement.predicate.platform.as_ref()?;
    if missing.len() > MAX_MISSING {
        let expected = format!("at most {MAX_MISSING} sentences");
        report.fail(FailureClass::Format, "platform.missing", &expected, &missing.len().to_string());
        return None;
    }
    let tpm = tpm.as_ref()?;
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
    let vouched = vouched(statement, tpm, &key, expectations, report)?;
    let event_log = check_event_log(tpm, &quotes, items, report)?;
    let (image, no_image) = match check_image(policy, &quotes, report)? {
        Ran::NotAsked => (None, None),
        Ran::Image(image) => (Some(image), None),
        Ran::Unknown(why) => (None, Some(why)),
    };
    let fact = |path| rederived.evidence.as_ref()?.part("burn")?.integer(path);
    let claimed_ms = fact("burn.active_seconds").and_then(|seconds| u64::try_from(seconds).ok()?.checked_mul(1000));
    let resumed = fact("burn.resumes").is_some_and(|resumes| resumes > 0);
    let elapsed = match quotes.as_slice() {
        [Some(start), Some(end)] => elapsed(start, end, claimed_ms, resumed, report)?,
        _ => Elapsed { ms: None, doubt: Some(ONE_QUOTE.to_owned()) },
    };
    let Vouched { root, no_root, expired, names_vendor } = vouched;
    Some(TpmProof {
        manufacturer: tpm.manufacturer.clone(),
        manufacturer_vouched: names_vendor,
        root,
        no_root,
        expired,
        elapsed_ms: elapsed.ms,
        elapsed_doubt: elapsed.doubt,
        claimed_ms,
        image,
        no_image,
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
        let numbers = |registers: &[u32]| registers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let expected = format!("registers {} of bank {BANK}, and a quote of them", numbers(&REQUIRED_REGISTERS));
        let quoted = |(hash, registers): &(u16, Vec<u32>)| format!("{} by hash {hash:#06x}", numbers(registers));
        let quoted = or_none(selection.iter().map(quoted).collect::<Vec<_>>().join(" and "));
        let observed =
            format!("registers {} of bank {:?} beside a quote of {quoted}", or_none(numbers(&registers)), signed.bank);
        report.fail(FailureClass::TpmPcr, &format!("registers in the {what}"), &expected, &observed);
        return None;
    }
    let computed = pcr_digest(signed.pcrs.values().map(Digest::as_bytes));
    if quoted != computed.as_bytes() {
        let what = format!("registers beside the {what}");
        report.fail(FailureClass::TpmPcr, &what, &or_none(hex::encode(quoted)), &computed.to_string());
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
        let observed = or_none(hex::encode(&attestation.extra_data));
        report.fail(FailureClass::TpmNonce, what, &nonce.to_string(), &observed);
        return None;
    }
    Some(attestation)
}

/// Nothing is said as a word.
fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

/// Who says that the attestation key lives in a real TPM.
#[derive(Default)]
struct Vouched {
    /// That root, if one does.
    root: Option<String>,
    /// Why none does.
    no_root: Option<String>,
    /// Whether one did, and the time of a certificate is over.
    expired: bool,
    /// Whether the certificate of the endorsement key, which leads to a root, names the vendor.
    names_vendor: bool,
}

/// Where one certificate leads.
enum Way<'r> {
    /// To that root.
    To(&'r Root),
    /// To none, why, and what a person has to look at.
    Open { why: String, expired: bool, failure: Option<Failure> },
}

impl Way<'_> {
    fn open(why: String) -> Self {
        Self::Open { why, expired: false, failure: None }
    }
}

/// What certificates are held against.
struct Terms<'r> {
    roots: Vec<&'r Root>,
    /// When a trusted clock saw the signature, and without one now.
    at: Timestamp,
    /// When the session ended, as its signer says.
    ended: Timestamp,
}

impl<'r> Terms<'r> {
    fn new(statement: &Statement, expectations: &'r Expectations, report: &Report) -> Self {
        let roots = expectations.policy.iter().flat_map(|policy| &policy.roots);
        let proven = report.signers.iter().filter_map(|signer| report.signed_before(&signer.keyid)).min();
        let at = proven.unwrap_or(expectations.now);
        Self {
            roots: roots.filter(|root| root.kind == RootKind::Tpm).collect(),
            at,
            ended: statement.predicate.session.ended_at.parse().unwrap_or(at),
        }
    }

    /// Where a certificate leads; the error is what is wrong with it. One that was valid when the session ended is no worse for
    /// being old.
    fn follow(&self, what: &str, leaf: &[u8], above: &[Inline], purpose: Purpose) -> Result<Way<'r>, Failure> {
        let above: Vec<&[u8]> = above.iter().map(|Inline(bytes)| bytes.as_slice()).collect();
        let chain = |at| certificate::chain(leaf, &above, &self.roots, purpose, at);
        let error = match chain(self.at) {
            Ok(root) => return Ok(Way::To(root)),
            Err(error) => error,
        };
        let why = error.to_string();
        let roots: Vec<String> = self.roots.iter().map(|root| certificate::describe(&root.certificate_der)).collect();
        let expected = format!("a chain to a pinned root: {}", roots.join(", "));
        let observed = format!("{}: {why}", certificate::describe(leaf));
        let failure = Failure::new(FailureClass::TpmKey, what, &expected, &observed);
        match error {
            ChainError::NoRoot => Ok(Way::open(why)),
            // A TPM of another vendor is no forgery.
            ChainError::UnknownIssuer => Ok(Way::Open { why, expired: false, failure: Some(failure) }),
            ChainError::Untimely(_) if chain(self.ended).is_ok() => {
                Ok(Way::Open { why, expired: true, failure: Some(failure) })
            }
            ChainError::Untimely(_) | ChainError::Wrong(_) => Err(failure),
        }
    }
}

/// Who says that the attestation key lives in a real TPM. `None` is a failure: what is claimed is wrong.
fn vouched(
    statement: &Statement,
    tpm: &TpmEvidence,
    key: &PublicKey,
    expectations: &Expectations,
    report: &mut Report,
) -> Option<Vouched> {
    let bound = match &tpm.ak_binding {
        KeyBinding::IakCertificate { chain, .. } | KeyBinding::Certificate { chain } => Some(chain.as_slice()),
        KeyBinding::Credential { .. } | KeyBinding::Own {} => None,
    };
    let certificates: Vec<&[u8]> = tpm
        .ek_cert
        .iter()
        .chain(&tpm.ek_chain)
        .chain(bound.unwrap_or_default())
        .map(|Inline(der)| der.as_slice())
        .collect();
    let longest = certificates.iter().map(|der| der.len()).max().unwrap_or_default();
    let bound_count = bound.unwrap_or_default().len();
    if tpm.ek_chain.len().max(bound_count) > MAX_CHAIN || longest > MAX_CERTIFICATE_BYTES {
        let expected = format!("at most {MAX_CHAIN} in a chain, of at most {MAX_CERTIFICATE_BYTES} bytes");
        let observed = format!("{} and {bound_count}, of up to {longest} bytes", tpm.ek_chain.len());
        report.fail(FailureClass::TpmKey, "certificates of the TPM", &expected, &observed);
        return None;
    }
    let serials: Vec<String> = certificates.iter().filter_map(|der| certificate::serial(der)).collect();
    not_revoked(&serials, statement, expectations, report)?;
    let names_vendor = check_vendor(tpm, report)?;
    let terms = Terms::new(statement, expectations, report);
    let certified = match bound {
        Some(chain) => Some(certified(chain, key, &terms, report)?),
        None => None,
    };
    let secret = tpm.ak_binding.secret();
    // Who has certified the key has said all that the vendor of the TPM could, unless the TPM itself has answered too.
    let endorsed = match (&certified, secret) {
        (Some(_), None) => None,
        _ => Some(endorsed(secret, statement, tpm, key, &terms, expectations, report)?),
    };
    let names_vendor = names_vendor && matches!(endorsed, Some(Way::To(_)));
    let ways: Vec<Way<'_>> = certified.into_iter().chain(endorsed).collect();
    let to = ways.iter().find_map(|way| match way {
        Way::To(root) => Some(*root),
        Way::Open { .. } => None,
    });
    if let Some(root) = to {
        let own: Vec<String> =
            certificate::serial(&root.certificate_der).into_iter().filter(|serial| !serials.contains(serial)).collect();
        not_revoked(&own, statement, expectations, report)?;
        let root = Some(certificate::describe(&root.certificate_der));
        return Some(Vouched { root, names_vendor, ..Vouched::default() });
    }
    let mut vouched = Vouched::default();
    let mut reasons = Vec::new();
    for way in ways {
        let Way::Open { why, expired, failure } = way else { continue };
        vouched.expired |= expired;
        report.indeterminate.extend(failure);
        if !reasons.contains(&why) {
            reasons.push(why);
        }
    }
    Some(Vouched { no_root: Some(reasons.join("; ")), ..vouched })
}

/// Holds serial numbers of certificates against the devices that the policy revokes. `None` is a failure.
fn not_revoked(
    serials: &[String],
    statement: &Statement,
    expectations: &Expectations,
    report: &mut Report,
) -> Option<()> {
    let is_device = |id: &DeviceId| matches!(id, DeviceId::Certificate(serial) if serials.contains(serial));
    standing::check_device("TPM", is_device, FailureClass::TpmKey, statement, expectations, report);
    report.is_valid().then_some(())
}

/// Whether the certificate of the endorsement key names the vendor whom the TPM names. `None` is a failure.
fn check_vendor(tpm: &TpmEvidence, report: &mut Report) -> Option<bool> {
    let (what, observed) = ("vendor of the TPM", &tpm.manufacturer);
    let is_printable = observed.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if observed.len() > MAX_MANUFACTURER || !is_printable {
        let expected = format!("at most {MAX_MANUFACTURER} printable ASCII characters, as a TPM has them");
        report.fail(FailureClass::TpmKey, what, &expected, &format!("{observed:?}"));
        return None;
    }
    let Some(Inline(ek)) = &tpm.ek_cert else { return Some(false) };
    match certificate::manufacturer(ek) {
        Ok(Some(named)) if named != *observed => {
            let expected = format!("{named:?}, whom the endorsement key's certificate names");
            report.fail(FailureClass::TpmKey, what, &expected, &format!("{observed:?}"));
            None
        }
        Ok(named) => Some(named.is_some()),
        Err(error) => {
            let expected = "an X.509 certificate";
            report.fail(FailureClass::TpmKey, "certificate of the endorsement key", expected, &error);
            None
        }
    }
}

/// Where the certificate of the attestation key leads. `None` is a failure.
fn certified<'r>(chain: &[Inline], key: &PublicKey, terms: &Terms<'r>, report: &mut Report) -> Option<Way<'r>> {
    let what = "certificate of the attestation key";
    let Some((Inline(leaf), above)) = chain.split_first() else {
        report.fail(FailureClass::TpmKey, what, "a certificate", "none");
        return None;
    };
    let expected = key.subject_public_key_info();
    match certificate::subject_public_key_info(leaf) {
        Ok(observed) if observed == expected => {}
        Ok(observed) => {
            let name = |info: &[u8]| format!("one of key {}", Digest::of(info));
            report.fail(FailureClass::TpmKey, what, &name(&expected), &name(&observed));
            return None;
        }
        Err(error) => {
            report.fail(FailureClass::TpmKey, what, "an X.509 certificate", &error);
            return None;
        }
    }
    match terms.follow(what, leaf, above, Purpose::Attestation) {
        Ok(way) => Some(way),
        Err(failure) => {
            report.failures.push(failure);
            None
        }
    }
}

/// Where the certificate of the endorsement key leads, and whether something ties the key that signed to it. `None` is a
/// failure.
fn endorsed<'r>(
    secret: Option<&Secret>,
    statement: &Statement,
    tpm: &TpmEvidence,
    key: &PublicKey,
    terms: &Terms<'r>,
    expectations: &Expectations,
    report: &mut Report,
) -> Option<Way<'r>> {
    let tied = match secret {
        Some(Secret(secret)) => activated(secret, statement, tpm, key, expectations, report)?,
        None => Err("nothing ties the key that signed to it"),
    };
    let Some(Inline(ek)) = &tpm.ek_cert else {
        return Some(Way::open("the TPM has no certificate of its vendor".to_owned()));
    };
    match (terms.follow("certificate of the endorsement key", ek, &tpm.ek_chain, Purpose::Endorsement), tied) {
        (Ok(Way::To(root)), Ok(())) => Some(Way::To(root)),
        (Ok(Way::To(_)), Err(why)) => Some(Way::open(format!("the certificate of its vendor is genuine, but {why}"))),
        (Ok(Way::Open { why, expired, failure }), tied) => {
            Some(Way::Open { why, expired: expired && tied.is_ok(), failure })
        }
        // Anybody can put the certificate of somebody else's TPM beside a key; it says nothing, and refutes nothing.
        (Err(failure), _) => Some(Way::Open { why: failure.observed.clone(), expired: false, failure: Some(failure) }),
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
            report.fail(
                FailureClass::TpmKey,
                &format!("{what}: {of}"),
                &or_none(expected.unwrap_or_default()),
                &or_none(observed.unwrap_or_default()),
            );
            return None;
        }
    }
    Some(Ok(()))
}

/// Events of the firmware's log for the registers that were quoted, and that only firmware extends: it has to lead to them. The
/// outer `None` is a failure.
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
    let mut compared = BTreeSet::new();
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
            compared.insert(register);
        }
    }
    Some(last.map(|_| compared.into_iter().filter_map(|register| log.events.get(register)).sum()))
}

/// The system that ran.
enum Ran {
    /// The policy allows none in particular.
    NotAsked,
    /// The allowed image of that name and version.
    Image(String),
    /// Nobody knows, and why.
    Unknown(String),
}

/// The allowed image that ran from start to end of one boot, and was handed nothing: a command line of somebody else makes another
/// system of it. `None` is a failure.
fn check_image(policy: Option<&TrustPolicy>, quotes: &[Option<Checked<'_>>], report: &mut Report) -> Option<Ran> {
    let images = policy.map_or(&[][..], |policy| &policy.images);
    if images.is_empty() {
        return Some(Ran::NotAsked);
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
    let unknown = |why: &str| Some(Ran::Unknown(why.to_owned()));
    let [Some(start), Some(end)] = quotes else { return unknown(ONE_QUOTE) };
    // Whatever ran in between, the registers were zero again when the next system began.
    if boot(&start.clock) != boot(&end.clock) {
        return unknown("the machine was started again between the quotes, and they do not say what ran meanwhile");
    }
    if !handed_nothing {
        return unknown("the TPM was not asked what the image was handed (register 12)");
    }
    let ran: Vec<String> = ran.into_iter().collect();
    match ran.as_slice() {
        [image] => Some(Ran::Image(image.clone())),
        several => {
            Some(Ran::Unknown(format!("not the same image at the start and at the end: {}", several.join(", "))))
        }
    }
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
            check_clock_of_boots(&start.clock, &end.clock, claimed_ms, report)?;
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
    let (elapsed_ms, mut doubt) = match start.time_ms.zip(end.time_ms) {
        Some((start, end)) if end < start => {
            let expected = format!("at least {start} ms, as at the start");
            report.fail(FailureClass::TpmClock, "time at the end", &expected, &format!("{end} ms"));
            return None;
        }
        Some((start, end)) => (clock_ms.min(end - start), None),
        None => (clock_ms, Some("the TPM signed its clock only, which its owner can set forward".to_owned())),
    };
    if doubt.is_some() && !(start.clock.safe && end.clock.safe) {
        let (expected, observed) = ("a clock that was never set back", "one that may have been, after a loss of power");
        report.indeterminate.push(Failure::new(FailureClass::TpmClock, "clock of the TPM", expected, observed));
        doubt = Some("the TPM's clock may have been set back by a loss of power".to_owned());
    }
    if let Some(claimed_ms) = claimed_ms.filter(|claimed| elapsed_ms < *claimed) {
        let expected = format!("at least {} s, the active time of the burn-in", seconds(claimed_ms));
        let observed = format!("{} s", seconds(elapsed_ms));
        if elapsed_ms < slow(claimed_ms, MAX_CLOCK_PERMILLE) {
            report.fail(FailureClass::TpmClock, what, &expected, &observed);
            return None;
        }
        if elapsed_ms < slow(claimed_ms, CLOCK_PERMILLE) {
            report.indeterminate.push(Failure::new(FailureClass::TpmClock, what, &expected, &observed));
            doubt = Some("less time passed than is claimed, though no more than a TPM's clock may be slow".to_owned());
        } else if doubt.is_none() {
            let percent = CLOCK_PERMILLE / 10;
            doubt =
                Some(format!("that is within the {percent} % by which clocks may differ, but less than is claimed"));
        }
    }
    Some(Elapsed { ms: Some(elapsed_ms), doubt })
}

/// Holds the clocks of two boots against each other: a run that went on after a boot is no reason to look away. `None` is a
/// failure.
fn check_clock_of_boots(start: &Clock, end: &Clock, claimed_ms: Option<u64>, report: &mut Report) -> Option<()> {
    if boot(end) < boot(start) {
        let expected = format!("{} or more, as at the start", boot_text(start));
        report.fail(FailureClass::TpmClock, "boots of the TPM", &expected, &boot_text(end));
        return None;
    }
    // A restart comes after an orderly end, which loses nothing.
    let resets = end.reset_count - start.reset_count;
    let lost = MAX_CLOCK_LOSS_MS * u64::from(resets);
    let claimed = i128::from(claimed_ms.map_or(0, |claimed| slow(claimed, MAX_CLOCK_PERMILLE)));
    let needed = claimed - i128::from(lost);
    let passed = i128::from(end.clock_ms) - i128::from(start.clock_ms);
    // A clock that is safe shows more than it ever did.
    let expected = if passed < needed {
        Some(format!(
            "at least {needed} ms after the start: the active time of the burn-in, less what a clock may be slow and what {resets} \
             losses of power may take of it"
        ))
    } else {
        (end.safe && passed < 0)
            .then(|| "no less than at the start: the TPM says that it was never set back".to_owned())
    };
    if let Some(expected) = expected {
        report.fail(FailureClass::TpmClock, "clock at the end", &expected, &format!("{passed} ms after the start"));
        return None;
    }
    Some(())
}

/// The least that a clock shows when that many milliseconds passed, and it is slow by so many parts in a thousand.
fn slow(milliseconds: u64, permille: u64) -> u64 {
    milliseconds - milliseconds / 1000 * permille - milliseconds % 1000 * permille / 1000
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
    let what = match tpm {
        None => format!("{NO_HARDWARE_ROOT},"),
        Some(_) => "all that a TPM could show:".to_owned(),
    };
    report.not_proven.extend(missing.iter().take(MAX_LISTED).map(|why| format!("{what} {why}").into()));
    if let more @ 1.. = missing.len().saturating_sub(MAX_LISTED) {
        report.not_proven.push(format!("{what} {more} more reasons").into());
    }
    let Some(proof) = proof else { return };
    let name = match proof.manufacturer_vouched {
        true => format!("the TPM ({})", proof.manufacturer),
        false => format!("a TPM that calls itself {:?}", proof.manufacturer),
    };
    let asked = expectations.challenge.as_ref().is_some_and(|it| !challenge::is_own(statement, it, report));
    let mut claim = |level, reason: String| {
        if proof.claimed_ms.is_some() {
            report.claims.push(ClaimLevel { claim: BURN_IN_LENGTH.to_owned(), level, reason: reason.into() });
        }
    };
    let length = proof.elapsed_ms.map(|elapsed| match proof.claimed_ms {
        Some(claimed) if elapsed < claimed => {
            // As the other two are cut to tenths, rounded up.
            let less = (claimed - elapsed).next_multiple_of(100);
            let [elapsed, less, claimed] = [elapsed, less, claimed].map(seconds);
            format!(
                "{elapsed} s passed between start and end, in one boot, {less} s less than the burn-in of {claimed} s"
            )
        }
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
            report.proven.push(format!("{level}: {name} signed that {length}").into());
            report.proven.push(format!("a pinned root vouches for the key of that TPM: {root}").into());
            report
                .not_proven
                .push("that this TPM is in the machine whose parts are listed: they do not name each other".into());
            // Part 1, 36.3: 15 percent, and as much again by TPM2_ClockRateAdjust.
            report.not_proven.push("how long it took exactly: a TPM's clock may run up to a third fast".into());
            claim(level, format!("{name} signed that {length}"));
        }
        (Some(_), length, Some(doubt)) => {
            let said = length.as_ref().map_or(String::new(), |length| format!(", though {name} signed that {length}"));
            report.not_proven.push(format!("how long the burn-in took{said}: {doubt}").into());
            claim(
                Assurance::L0,
                length.map_or_else(|| doubt.clone(), |length| format!("{name} signed that {length}: {doubt}")),
            );
        }
        (None, length, doubt) => {
            let why = proof.no_root.as_deref().unwrap_or("no root is pinned");
            let said =
                length.map_or_else(|| doubt.clone().unwrap_or_default(), |length| format!("it says that {length}"));
            report.not_proven.push(format!("how long the burn-in took (L0): {name} may be software; {said}").into());
            report.not_proven.push(format!("that {name} is hardware: {why}").into());
            claim(Assurance::L0, format!("a TPM says so that may be software: {why}"));
        }
        (Some(_), None, None) => {}
    }
    match (&proof.root, &proof.image) {
        (Some(_), Some(image)) => {
            report.proven.push(format!("the genuine image {image} ran, from start to end").into())
        }
        (_, Some(image)) => report
            .not_proven
            .push(format!("that the image {image} ran: no root vouches for the TPM that says so").into()),
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
