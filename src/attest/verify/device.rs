//! Whether devices signed this session's nonces, and whether they are the parts that the report lists.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{ClaimLevel, Expectations, FailureClass, MAX_LISTED, Rederived, Report, standing};
use crate::attest::Digest;
use crate::attest::device::{
    self, Device, DeviceEvidence, DeviceKind, DeviceNonce, Pdi, Phase, Terms, Unsigned, Verification,
};
use crate::attest::policy::DeviceId;
use crate::attest::statement::{Assurance, Statement};
use crate::evidence::{Evidence, Origin, Part};

/// The most evidence of one report that is looked at: a rack's GPUs, twice.
const MAX_EVIDENCE: usize = 1024;

/// Kinds of parts that sign, what their certificates say that they are, and where the digest of the report is that was
/// recorded at the start.
const SIGNERS: [(&str, DeviceKind, &str); 2] = [
    ("gpu", DeviceKind::Gpu, "gpu.nvml.confidential_compute.report_sha256"),
    ("nvswitch", DeviceKind::Switch, "nvswitch.nscq.report_sha256"),
];

/// What the driver says of a chip's PDI, and what the chip's registers do.
const NVML_PDI: &str = "gpu.nvml.pdi";
const CHIP_PDI: &str = "gpu.bar0.pdi";

/// One piece of evidence, decoded and verified.
struct Checked<'a> {
    evidence: &'a DeviceEvidence,
    device: Device,
    verification: Verification,
}

/// Checks all evidence of devices, and that none is missing. Adds a claim for each part whose device signed.
pub(super) fn check(
    statement: &Statement,
    rederived: &Rederived,
    expectations: &Expectations,
    report: &mut Report,
) -> bool {
    let all = &statement.predicate.device_evidence;
    if all.len() > MAX_EVIDENCE {
        let expected = format!("at most {MAX_EVIDENCE} reports of devices");
        report.fail(FailureClass::DeviceChain, "deviceEvidence", &expected, &all.len().to_string());
        return false;
    }
    let empty = Evidence { origin: Origin::Imported, parts: Vec::new() };
    let recorded = rederived.evidence.as_ref().unwrap_or(&empty);
    let checked: Vec<Checked<'_>> =
        all.iter().filter_map(|evidence| verify(evidence, statement, expectations, report)).collect();
    for it in &checked {
        join(it, recorded, report);
    }
    stated(&checked, recorded, statement, expectations, report);
    for part in recorded.scope("gpu") {
        let Some((nvml, chip)) = pdi(part, NVML_PDI).zip(pdi(part, CHIP_PDI)) else { continue };
        if !chip.is_same(nvml) {
            let (expected, observed) = (format!("{nvml}, as NVML says"), format!("{chip} in the chip's registers"));
            report.fail(FailureClass::IdentityConflict, &format!("{}: PDI", part.id), &expected, &observed);
        }
    }
    let mut open = BTreeSet::new();
    for phase in [Phase::Start, Phase::End] {
        let of_phase = checked.iter().filter(|it| it.evidence.phase == phase);
        let devices: Vec<(&str, &Device)> = of_phase.map(|it| (it.evidence.part.as_str(), &it.device)).collect();
        let signed = |id: &str| devices.iter().any(|(part, _)| *part == id);
        let unsigned = |scope: &'static str| recorded.scope(scope).filter(|part| !signed(&part.id)).count();
        let unsigned = Unsigned { gpus: unsigned("gpu"), switches: unsigned("nvswitch") };
        let fleet = device::compare(&devices, unsigned);
        // At the end as at the start is one finding.
        let new: Vec<_> = fleet.failures.into_iter().filter(|it| !report.failures.contains(it)).collect();
        report.failures.extend(new);
        // Two boards in one machine, or the GPU of another machine that signs through a relay; a device that did not sign, or
        // is hidden; a link that is down: a person has to look.
        let unsure = fleet.apart.into_iter().chain(fleet.uneven);
        let unsure: Vec<_> = unsure.filter(|it| !report.indeterminate.contains(it)).collect();
        report.indeterminate.extend(unsure);
        open.extend(fleet.not_proven);
    }
    let by_part = by_part(&checked, report);
    // Nobody could ask the GPUs of a recording or of a printout.
    if matches!(statement.predicate.origin, Origin::Live | Origin::Simulated) {
        missing(recorded, &by_part, report);
    }
    report.failures.truncate(MAX_LISTED);
    if !report.is_valid() {
        return false;
    }
    report.not_proven.extend(open.into_iter().map(Cow::Owned));
    let is_unread = |part: &Part| part.scope == "gpu" && pdi(part, CHIP_PDI).is_none();
    if by_part.keys().filter_map(|id| recorded.part(id)).any(is_unread) {
        // Of the chips that sign, no published header names the registers with the PDI.
        let why = "nothing but NVIDIA's driver tells the PDI of what is in a slot";
        report.not_proven.push(format!("that the GPUs which signed are the chips in those slots: {why}").into());
    }
    let fabric: BTreeSet<Pdi> = checked.iter().filter_map(|it| it.device.gpus()).flatten().collect();
    for (part, ends) in by_part {
        conclude(part, ends, &fabric, statement, recorded, report);
    }
    true
}

/// The evidence of one part at the start and at the end.
#[derive(Clone, Copy, Default)]
struct Ends<'a> {
    start: Option<&'a Checked<'a>>,
    end: Option<&'a Checked<'a>>,
}

/// What the device of that part was to sign in that phase.
fn nonce(statement: &Statement, evidence: &DeviceEvidence) -> [u8; 32] {
    let session = &statement.predicate.session;
    let chain_head = match evidence.phase {
        Phase::Start => None,
        Phase::End => session.chain_head,
    };
    let place = evidence.part.split_once(':').map_or(evidence.part.as_str(), |(_, place)| place);
    DeviceNonce { s0: session.s0, phase: evidence.phase, chain_head }.of(place)
}

fn verify<'a>(
    evidence: &'a DeviceEvidence,
    statement: &Statement,
    expectations: &Expectations,
    report: &mut Report,
) -> Option<Checked<'a>> {
    let (part, phase) = (&evidence.part, evidence.phase);
    let nonce = nonce(statement, evidence);
    if evidence.nonce.as_bytes() != &nonce {
        let what = format!("{part}, {phase}: nonce of the statement");
        report.fail(FailureClass::Nonce, &what, &hex::encode(nonce), &evidence.nonce.to_string());
    }
    let named =
        |failure: super::Failure| super::Failure { what: format!("{part}, {phase}: {}", failure.what), ..failure };
    let device = match Device::decode(&evidence.report.0, &evidence.cert_chain.0) {
        Ok(device) => device,
        Err(failure) => {
            report.failures.push(named(failure));
            return None;
        }
    };
    let terms = Terms { roots: &expectations.device_roots, at: expectations.now, revoked: &[], nonce: Some(nonce) };
    let verification = device.verify(&terms);
    report.failures.extend(verification.failures.iter().cloned().map(named));
    let is_device = |id: &DeviceId| match id {
        DeviceId::Certificate(serial) => device.chain.path(verification.root.as_ref()).any(|it| it.serial == *serial),
        DeviceId::Pdi(revoked) => device.identity().is_some_and(|(_, pdi)| pdi.is_same(*revoked)),
    };
    standing::check_device(
        &format!("{part}, {phase}"),
        is_device,
        FailureClass::DeviceChain,
        statement,
        expectations,
        report,
    );
    Some(Checked { evidence, device, verification })
}

/// Holds the PDIs that software told against the devices that the policy revokes. A chip need not sign to say which one it
/// is, and one that did has been looked at.
fn stated(
    checked: &[Checked<'_>],
    recorded: &Evidence,
    statement: &Statement,
    expectations: &Expectations,
    report: &mut Report,
) {
    // Thousands of reports have thousands of facts each, and hardly a policy revokes a device.
    if expectations.policy.as_ref().is_none_or(|policy| policy.revoked_devices.is_empty()) {
        return;
    }
    for part in &recorded.parts {
        let told = part.facts.keys().filter(|path| path.as_str().ends_with(".pdi"));
        let mut told: Vec<Pdi> = told.filter_map(|path| pdi(part, path.as_str())).collect();
        for signed in checked.iter().filter(|it| it.evidence.part == part.id).filter_map(|it| it.device.identity()) {
            told.retain(|pdi| !pdi.is_same(signed.1));
        }
        let is_device =
            |id: &DeviceId| matches!(id, DeviceId::Pdi(revoked) if told.iter().any(|it| it.is_same(*revoked)));
        let what = format!("{}, PDI as recorded", part.id);
        standing::check_device(&what, is_device, FailureClass::DeviceChain, statement, expectations, report);
    }
}

/// The PDI that one source told of a part.
fn pdi(part: &Part, path: &str) -> Option<Pdi> {
    Pdi::parse(part.text(path)?)
}

/// Holds a device against the part that it is said to be.
fn join(checked: &Checked<'_>, recorded: &Evidence, report: &mut Report) {
    let Checked { evidence, device, .. } = checked;
    let what = |of: &str| format!("{}, {}: {of}", evidence.part, evidence.phase);
    let Some(part) = recorded.part(&evidence.part) else {
        let expected = "a part that the evidence shows";
        report.fail(FailureClass::IdentityConflict, &what("part"), expected, "no such part");
        return;
    };
    let Some((_, kind, recorded_report)) = SIGNERS.iter().find(|(scope, ..)| *scope == part.scope) else {
        let expected = "a part that signs: a GPU or an NVSwitch";
        report.fail(FailureClass::IdentityConflict, &what("part"), expected, &part.scope);
        return;
    };
    if device.identity().is_some_and(|(signed, _)| signed != *kind) {
        let expected = format!("the certificate of a {kind}");
        report.fail(FailureClass::IdentityConflict, &what("certificate"), &expected, &device.label());
    }
    for (path, by) in [(NVML_PDI, "as NVML says"), (CHIP_PDI, "in the chip's registers")] {
        if let (Some(said), Some((_, signed))) = (pdi(part, path), device.identity())
            && !signed.is_same(said)
        {
            let (expected, observed) = (format!("{said}, {by}"), format!("{signed} in the certificate"));
            report.fail(FailureClass::IdentityConflict, &what("PDI"), &expected, &observed);
        }
    }
    // The start is in the recorded machine too.
    let digest = Digest::of(&evidence.report.0).to_string();
    if let Some(first) = part.text(recorded_report).filter(|_| evidence.phase == Phase::Start)
        && first != digest
    {
        let expected = format!("{first}, as the recorded machine has it");
        report.fail(FailureClass::IdentityConflict, &what("report"), &expected, &digest);
    }
}

/// Start and end of each part, which have to be of one chip.
fn by_part<'a>(checked: &'a [Checked<'a>], report: &mut Report) -> BTreeMap<&'a str, Ends<'a>> {
    let mut parts: BTreeMap<&str, Ends<'_>> = BTreeMap::new();
    for it in checked {
        let ends = parts.entry(it.evidence.part.as_str()).or_default();
        let place = match it.evidence.phase {
            Phase::Start => &mut ends.start,
            Phase::End => &mut ends.end,
        };
        if place.replace(it).is_some() {
            let what = format!("{}: {}", it.evidence.part, it.evidence.phase);
            report.fail(FailureClass::Duplicate, &what, "evidence once", "evidence twice");
        }
    }
    for (part, ends) in &parts {
        let Some((start, end)) = ends.start.zip(ends.end) else { continue };
        // The key that signs comes with the firmware; the chip's own stays.
        let chip = |it: &Checked<'_>| it.device.chain.certificates[1].sha256;
        if chip(start) != chip(end) {
            let [expected, observed] = [start, end].map(|it| format!("{} ({})", it.device.label(), chip(it)));
            let what = format!("{part}: device at the end");
            report.fail(FailureClass::IdentityConflict, &what, &expected, &observed);
        }
    }
    parts
}

/// Devices that can sign, and whose evidence is not there.
fn missing(recorded: &Evidence, found: &BTreeMap<&str, Ends<'_>>, report: &mut Report) {
    let signed =
        |part: &&Part| SIGNERS.iter().any(|(scope, _, fact)| part.scope == *scope && part.text(fact).is_some());
    for part in recorded.parts.iter().filter(signed) {
        let ends = found.get(part.id.as_str()).copied().unwrap_or_default();
        if ends.start.is_none() {
            let what = format!("{}, start: device evidence", part.id);
            let expected = "the report that the device gave when the machine was recorded";
            report.fail(FailureClass::DeviceChain, &what, expected, "none");
        }
        // A device that died in the burn-in signs nothing any more; that accuses nobody, and proves nothing.
        if ends.end.is_none() {
            let what = format!("{}, end: device evidence", part.id);
            let open = super::Failure::new(
                FailureClass::DeviceChain,
                &what,
                "a report over the end of the burn-in",
                "none: the device that was burned in may be another one",
            );
            report.indeterminate.push(open);
        }
    }
}

/// What a part's evidence establishes.
fn conclude(
    part: &str,
    ends: Ends<'_>,
    fabric: &BTreeSet<Pdi>,
    statement: &Statement,
    recorded: &Evidence,
    report: &mut Report,
) {
    let Some(first) = ends.start.or(ends.end) else { return };
    let root = first.verification.root.as_ref().map_or("an unnamed root", |root| root.name.as_str());
    let identity = first.device.identity();
    let signed = identity.map_or_else(String::new, |(_, pdi)| pdi.to_string());
    let phases = match (ends.start, ends.end) {
        (Some(_), Some(_)) => "start and end",
        (Some(_), None) => "the start only",
        _ => "the end only",
    };
    let mut reason =
        format!("the chip with PDI {signed} signed the nonces of this session ({phases}); {root} vouches for it");
    let told = |path: &str| recorded.part(part).and_then(|part| pdi(part, path)).is_some();
    if identity.is_some_and(|(kind, _)| kind == DeviceKind::Gpu) {
        reason += match (told(NVML_PDI), told(CHIP_PDI)) {
            (true, true) => "; NVML and the chip's registers tell the same PDI",
            (true, false) => "; NVML tells the same PDI",
            (false, true) => "; the chip's registers tell the same PDI",
            (false, false) => "; NVML told no PDI to compare",
        };
    }
    if identity.is_some_and(|(_, pdi)| fabric.contains(&pdi)) {
        reason += "; the NVSwitches' signed lists name it";
    }
    let burned = statement.predicate.burnin.is_some();
    let level = if ends.start.is_some() && (ends.end.is_some() || !burned) { Assurance::L2 } else { Assurance::L0 };
    report.claims.push(ClaimLevel { claim: format!("identity of {part}"), level, reason: reason.into() });
    report.warnings.push(first.device.unknown_measurements());
}
