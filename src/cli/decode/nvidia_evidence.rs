//! `yanji decode nvidia-evidence`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use yanji::attest::device::{
    Certificate, Device, DeviceKind, Entry, EvidenceFile, MAX_FILE_BYTES, Pdi, RootError, Roots, SerialNumber, Steps,
    Terms, Unsigned, compare, read,
};
use yanji::attest::verify::{Failure, FailureClass};
use yanji::parse::spdm;
use yanji::report;

use crate::cli::args::Format;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output;

/// Arguments of `yanji decode nvidia-evidence`.
#[derive(Debug, clap::Args)]
pub struct NvidiaEvidenceArgs {
    /// Evidence as NVIDIA's tools write it in JSON, or a report (binary or hexadecimal) and its chain (PEM), one after
    /// the other
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What the devices were asked to sign: 64 hexadecimal digits. Without it the nonce of each file counts, which says
    /// nothing about when
    #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
    pub nonce: Option<Nonce>,
    /// Authority that vouches for devices beside NVIDIA's own, PEM. May be given several times
    #[arg(long = "device-root", value_name = "PEM")]
    pub device_roots: Vec<PathBuf>,
    /// Serial number of a certificate that was revoked, or PDI of a device that was: hexadecimal, with or without colons. May
    /// be given several times
    #[arg(long = "revoked", value_name = "ID", value_parser = parse_serial)]
    pub revoked: Vec<SerialNumber>,
}

/// 32 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Nonce([u8; spdm::NONCE_BYTES]);

fn parse_nonce(text: &str) -> Result<Nonce, String> {
    let mut nonce = [0; spdm::NONCE_BYTES];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut nonce).map_err(|_| "a nonce has 64 hexadecimal digits".to_owned())?;
    Ok(Nonce(nonce))
}

fn parse_serial(text: &str) -> Result<SerialNumber, String> {
    let wrong = || {
        "a serial number has 1 to 64 hexadecimal digits, such as openssl x509 -text prints them, and a PDI 16"
            .to_owned()
    };
    SerialNumber::parse(text).ok_or_else(wrong)
}

/// Adds the roots in the files.
pub fn add_device_roots(roots: &mut Roots, files: &[PathBuf]) -> anyhow::Result<()> {
    for file in files {
        let wrong = || {
            CliError::usage(format!("{} holds no authority's certificate", file.display()))
                .hint("give the root certificate in PEM")
        };
        let pem = fs::read(file).with_context(wrong)?;
        roots
            .add(&file.display().to_string(), &pem)
            .map_err(|error: RootError| anyhow::Error::new(error).context(wrong()))?;
    }
    Ok(())
}

/// What was asked, and what came out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    valid: bool,
    devices: Vec<DeviceView<'a>>,
    /// Whether GPUs and switches name each other; `null` where there are not both.
    topology: Option<bool>,
    failures: &'a [Failure],
    warnings: &'a [Failure],
    not_proven: &'a [String],
}

/// One device. `null` is a field that its report does not have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceView<'a> {
    source: &'a str,
    valid: bool,
    /// `gpu` or `switch`.
    #[serde(rename = "type")]
    kind: Option<DeviceKind>,
    architecture: Option<&'static str>,
    chip: Option<&'a str>,
    pdi: Option<Pdi>,
    vbios_version: Option<String>,
    driver_version: Option<&'a str>,
    board_id: Option<String>,
    chip_sku: Option<&'a str>,
    project: Option<&'a str>,
    project_sku: Option<&'a str>,
    fwid: Option<String>,
    nonce: String,
    root: Option<&'a str>,
    steps: Steps,
    certificates: &'a [Certificate],
    measurements: Vec<MeasurementView>,
    /// Switches at the GPU's links.
    switches: Option<Vec<Pdi>>,
    /// GPUs at the switch.
    gpus: Option<Vec<Pdi>>,
    opaque: Vec<OpaqueView>,
}

#[derive(Serialize)]
struct MeasurementView {
    index: u8,
    digest: String,
}

#[derive(Serialize)]
struct OpaqueView {
    #[serde(rename = "type")]
    kind: u16,
    name: Option<&'static str>,
    value: String,
}

/// Where evidence came from, and what is in it.
struct Source {
    name: String,
    entry: Entry,
}

/// A device that could be decoded, with what its verification found.
struct Checked {
    source: String,
    device: Device,
    steps: Steps,
    root: Option<String>,
    valid: bool,
}

/// Decodes, verifies, prints. Anything that fails makes it exit code 4.
pub(super) fn run(args: &NvidiaEvidenceArgs, format: Format) -> anyhow::Result<Exit> {
    let mut roots = Roots::default();
    add_device_roots(&mut roots, &args.device_roots)?;
    let (mut failures, mut warnings, mut not_proven) = (Vec::new(), Vec::new(), Vec::new());
    let sources = load(&args.files, &mut failures)?;
    let at = Timestamp::now();
    let mut checked = Vec::new();
    let mut unfresh = false;
    for Source { name, entry } in sources {
        let named = |failure: Failure| Failure { what: format!("{name}: {}", failure.what), ..failure };
        let device = match Device::decode(&entry.report, &entry.chain) {
            Ok(device) => device,
            Err(failure) => {
                failures.push(named(failure));
                continue;
            }
        };
        unfresh |= args.nonce.is_none();
        let nonce = args.nonce.map(|nonce| nonce.0).or(entry.nonce);
        let mut found = device.verify(&Terms { roots: &roots, at, revoked: &args.revoked, nonce });
        found.failures.extend(claimed(&device, &entry));
        let valid = found.failures.is_empty();
        failures.extend(found.failures.into_iter().map(named));
        warnings.push(named(device.unknown_measurements()));
        checked.push(Checked {
            source: name,
            device,
            steps: found.steps,
            root: found.root.map(|root| root.name),
            valid,
        });
    }
    let named: Vec<_> = checked.iter().map(|it| (it.source.as_str(), &it.device)).collect();
    let fleet = compare(&named, Unsigned::default());
    failures.extend(fleet.failures);
    // Whoever gives the evidence of a board gives all of it.
    failures.extend(fleet.uneven);
    not_proven.extend(fleet.not_proven);
    not_proven.extend(fleet.apart.iter().map(|it| {
        let Failure { what, expected, observed, .. } = it;
        format!("that these GPUs are of one machine: {what}: {observed}, and not {expected}")
    }));
    if unfresh {
        not_proven.push("that any of it is fresh: no nonce was given, and the one in a file is whoever's".to_owned());
    }
    // Of no device there is nothing that could have been proven.
    if !checked.is_empty() {
        let unrevoked = match args.revoked.as_slice() {
            [] => "that no certificate was revoked: revocation was not looked up",
            _ => "that no certificate was revoked by anybody but the list that was given: it was not looked up",
        };
        not_proven.push(unrevoked.to_owned());
        not_proven.push("that the firmware is good: there are no references for the measurements".to_owned());
    }
    let document = Document {
        valid: failures.is_empty(),
        devices: checked.iter().map(DeviceView::from).collect(),
        topology: fleet.topology,
        failures: &failures,
        warnings: &warnings,
        not_proven: &not_proven,
    };
    match format {
        Format::Json => output::print_json(&document)?,
        Format::Plain | Format::Csv => output::print(&plain(&checked, &document, args.nonce.is_none()))?,
    }
    Ok(if failures.is_empty() { Exit::Success } else { Exit::AttestationInvalid })
}

/// Reads all files; a report and a chain that follow each other are one device.
fn load(files: &[PathBuf], failures: &mut Vec<Failure>) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut reports: Vec<(&Path, Vec<u8>)> = Vec::new();
    let mut chains = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let mut content = super::open(file)?.take(MAX_FILE_BYTES as u64 + 1);
        let mut bytes = Vec::new();
        let mut fail = |what: &str, observed: &str| {
            let expected = "evidence of a device: NVIDIA's JSON, a measurement report, or a PEM chain";
            failures.push(Failure::new(FailureClass::Format, what, expected, observed));
        };
        if let Err(error) = content.read_to_end(&mut bytes) {
            fail(&name, &error.to_string());
            continue;
        }
        match read(&bytes) {
            Ok(EvidenceFile::Report(report)) => reports.push((file, report)),
            Ok(EvidenceFile::Chain(chain)) => chains.push(chain),
            Ok(EvidenceFile::Devices(devices)) => {
                for (device, number) in devices.into_iter().zip(1..) {
                    let name = format!("{name}#{number}");
                    match device {
                        Ok(entry) => sources.push(Source { name, entry }),
                        Err(error) => fail(&name, &error.to_string()),
                    }
                }
            }
            Err(error) => fail(&name, &error.to_string()),
        }
    }
    if reports.len() != chains.len() && failures.is_empty() {
        let count = |count: usize, thing: &str| match count {
            0 => format!("no {thing}"),
            count => report::plural(count, thing),
        };
        let observed = format!("{} and {}", count(reports.len(), "report"), count(chains.len(), "chain"));
        let expected = "each report together with its PEM chain";
        failures.push(Failure::new(FailureClass::Format, "files", expected, &observed));
        return Ok(sources);
    }
    for ((file, report), chain) in reports.into_iter().zip(chains) {
        let entry = Entry { report, chain, ..Entry::default() };
        sources.push(Source { name: file.display().to_string(), entry });
    }
    Ok(sources)
}

/// What the file says of a device, held against what the device signed.
fn claimed(device: &Device, entry: &Entry) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut compare = |what: &str, signed: Option<&str>, said: &Option<String>| {
        if let (Some(signed), Some(said)) = (signed, said)
            && !signed.eq_ignore_ascii_case(said)
        {
            let what = format!("{}: {what}", device.label());
            failures.push(Failure::new(FailureClass::IdentityConflict, &what, &format!("{signed}, as signed"), said));
        }
    };
    compare("architecture", device.architecture(), &entry.architecture);
    compare("VBIOS version", device.report.vbios_version().as_deref(), &entry.vbios_version);
    compare("driver version", device.report.text(spdm::DRIVER_VERSION), &entry.driver_version);
    if let Some(said) = entry.nonce.filter(|said| *said != device.report.nonce) {
        let what = format!("{}: nonce in the file", device.label());
        let (expected, observed) = (format!("{}, as signed", hex::encode(device.report.nonce)), hex::encode(said));
        failures.push(Failure::new(FailureClass::Nonce, &what, &expected, &observed));
    }
    failures
}

impl<'a> From<&'a Checked> for DeviceView<'a> {
    fn from(checked: &'a Checked) -> Self {
        let Checked { source, device, steps, root, valid } = checked;
        let report = &device.report;
        let (kind, pdi) = device.identity().unzip();
        Self {
            source,
            valid: *valid,
            kind,
            architecture: device.architecture(),
            chip: device.chain.chip(),
            pdi,
            vbios_version: report.vbios_version(),
            driver_version: report.text(spdm::DRIVER_VERSION),
            board_id: report.board_id().map(|id| format!("{id:#06x}")),
            chip_sku: report.text(spdm::CHIP_SKU),
            project: report.text(spdm::PROJECT),
            project_sku: report.text(spdm::PROJECT_SKU),
            fwid: report.field(spdm::FWID).map(hex::encode),
            nonce: hex::encode(report.nonce),
            root: root.as_deref(),
            steps: *steps,
            certificates: &device.chain.certificates,
            measurements: report
                .measurements
                .iter()
                .map(|it| MeasurementView { index: it.index, digest: hex::encode(&it.value) })
                .collect(),
            switches: device.switches().map(|list| list.into_iter().collect()),
            gpus: device.gpus().map(|list| list.into_iter().collect()),
            opaque: report
                .opaque
                .iter()
                .map(|field| OpaqueView { kind: field.kind, name: field.name(), value: hex::encode(&field.value) })
                .collect(),
        }
    }
}

fn plain(checked: &[Checked], document: &Document<'_>, own_nonce: bool) -> String {
    let devices: Vec<report::DeviceRow<'_>> = checked
        .iter()
        .map(|it| report::DeviceRow {
            source: &it.source,
            device: &it.device,
            steps: &it.steps,
            root: it.root.as_deref(),
            own_nonce,
        })
        .collect();
    report::devices_plain(&devices, document.failures, document.warnings, document.not_proven, output::style())
}
