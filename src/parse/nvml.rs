//! What NVML answered, as the child process that called it wrote it down (`/yanji/nvml.jsonl` in a capture): one JSON
//! object a line.
//!
//! ```text
//! device    GPU number in NVML's list, null for a call on the system
//! call      name of the function, or dlopen FILE, dlsym NAME, library FILE, end
//! args      its arguments, where it has any beside the device
//! reading   2 for the second reading of the same; left out for the first
//! and one of
//! value     what it gave: a number in NVML's unit, a text (bytes that are no UTF-8 as \xNN, a backslash as \x5c), an
//!           object with a structure's members
//! error     NVML's error code (nvmlReturn_t)
//! missing   the library has no such symbol, or there is no such library
//! failed    why it could not be called
//! gave_up   the call did not come back
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value as Json;

use crate::evidence::{Reading, Value};

/// GPUs whose answers are kept.
pub const MAX_DEVICES: u32 = 256;
/// Above this many GPUs their pairs are not asked for: the answers grow with the square.
pub const MAX_P2P_DEVICES: usize = 32;
/// The longest line: two certificate chains or an attestation report, in base64.
const MAX_LINE_BYTES: usize = 64 << 10;
/// NVML's value for "not available" (`NVML_VALUE_NOT_AVAILABLE`) in an unsigned member.
const NOT_AVAILABLE: [u64; 2] = [u32::MAX as u64, u64::MAX];

const NOT_SUPPORTED: u32 = 3;
const NO_PERMISSION: u32 = 4;
const FUNCTION_NOT_FOUND: u32 = 13;
const CORRUPTED_INFOROM: u32 = 14;
const GPU_IS_LOST: u32 = 15;
const RESET_REQUIRED: u32 = 16;
const ARGUMENT_VERSION_MISMATCH: u32 = 25;
const DEPRECATED: u32 = 26;

/// One line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Line {
    /// GPU, or none for the system.
    pub device: Option<u32>,
    /// Name of the call.
    pub call: String,
    #[serde(default)]
    args: Vec<u64>,
    #[serde(default = "first")]
    reading: u8,
    value: Option<Json>,
    error: Option<u32>,
    missing: Option<String>,
    failed: Option<String>,
    gave_up: Option<String>,
}

fn first() -> u8 {
    1
}

impl Line {
    /// Reads one line. `None` where it is not one.
    pub fn parse(line: &[u8]) -> Option<Self> {
        if line.len() > MAX_LINE_BYTES {
            return None;
        }
        serde_json::from_slice(line).ok()
    }

    fn outcome(self) -> Option<Outcome> {
        match self {
            Self { value: Some(value), .. } => Some(Outcome::Value(value)),
            Self { error: Some(code), .. } => Some(Outcome::Error(code)),
            Self { missing: Some(what), .. } => Some(Outcome::Missing(what)),
            Self { failed: Some(why), .. } => Some(Outcome::Failed(why)),
            Self { gave_up: Some(why), .. } => Some(Outcome::GaveUp(why)),
            _ => None,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Value(Json),
    Error(u32),
    Missing(String),
    Failed(String),
    GaveUp(String),
}

impl Outcome {
    fn reading(&self) -> Reading<&Json> {
        match self {
            Self::Value(value) => Reading::Known(value),
            Self::Error(NOT_SUPPORTED | FUNCTION_NOT_FOUND | ARGUMENT_VERSION_MISMATCH | DEPRECATED)
            | Self::Missing(_) => Reading::Unsupported,
            Self::Error(NO_PERMISSION) => Reading::Denied,
            Self::Error(code) => Reading::Failed(error_name(*code)),
            Self::Failed(why) => Reading::Failed(why.chars().take(400).collect()),
            Self::GaveUp(why) => Reading::Failed(format!("gave up: {why:.100}")),
        }
    }
}

/// All answers of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    system: Calls,
    devices: BTreeMap<u32, Device>,
    gave_up: Vec<(String, Option<u32>)>,
    /// Lines that are none.
    pub damaged_lines: usize,
}

/// The answers of one GPU.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Device {
    /// The first reading of everything.
    pub first: Calls,
    /// The second reading of what identifies the GPU.
    pub second: Calls,
}

/// Answers by call and arguments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calls {
    /// By the call's name, then by its arguments.
    outcomes: BTreeMap<String, BTreeMap<Vec<u64>, Outcome>>,
}

/// Reads all lines. Of two answers to the same call the first one stays.
pub fn parse(text: &[u8]) -> Answers {
    let mut answers = Answers::default();
    let mut lost = BTreeSet::new();
    for raw in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let Some(mut line) = Line::parse(raw).filter(|line| line.device.is_none_or(|device| device < MAX_DEVICES))
        else {
            answers.damaged_lines += 1;
            continue;
        };
        let (device, second) = (line.device, line.reading > 1);
        let (call, args) = (std::mem::take(&mut line.call), std::mem::take(&mut line.args));
        let Some(outcome) = line.outcome() else {
            answers.damaged_lines += 1;
            continue;
        };
        if let Outcome::GaveUp(_) = outcome {
            // Readers that share the GPUs can be lost in the same call.
            let call = (call.clone(), device);
            if lost.insert(call.clone()) {
                answers.gave_up.push(call);
            }
        }
        let calls = match device {
            None => &mut answers.system,
            Some(device) => {
                let device = answers.devices.entry(device).or_default();
                if second { &mut device.second } else { &mut device.first }
            }
        };
        calls.outcomes.entry(call).or_default().entry(args).or_insert(outcome);
    }
    answers
}

impl Answers {
    /// Answers that are not about one GPU.
    pub fn system(&self) -> &Calls {
        &self.system
    }

    /// The GPUs that NVML was asked about, by number.
    pub fn devices(&self) -> impl Iterator<Item = (u32, &Device)> {
        self.devices.iter().map(|(&number, device)| (number, device))
    }

    /// Calls that did not come back: `nvmlDeviceGetName on GPU 3`.
    pub fn gave_up(&self) -> Vec<String> {
        let name = |(call, device): &(String, Option<u32>)| match device {
            Some(device) => format!("{call:.80} on GPU {device}"),
            None => format!("{call:.80}"),
        };
        self.gave_up.iter().map(name).collect()
    }

    /// Whether the library was loaded, or why not.
    pub fn loaded(&self) -> Reading<()> {
        self.system.get(LOAD, &[]).map(|_| ())
    }

    /// Whether the library was loaded and could be initialised, or why not.
    pub fn initialised(&self) -> Reading<()> {
        self.loaded().and_then(|()| self.system.get("nvmlInit_v2", &[]).map(|_| ()))
    }

    /// How many GPUs NVML lists.
    pub fn device_count(&self) -> Reading<u64> {
        self.initialised().and_then(|()| self.system.number("nvmlDeviceGetCount_v2", &[], ""))
    }

    /// Whether there is no NVML library on the machine at all.
    pub fn no_library(&self) -> bool {
        matches!(self.system.outcome(LOAD, &[]), Some(Outcome::Missing(_)))
    }

    /// Path, digest and build id of a library; [`Reading::Absent`] where there is no such file.
    pub fn library(&self, file: &str) -> Reading<&Json> {
        let call = format!("library {file}");
        if file == NVML_LIBRARY && !matches!(self.loaded(), Reading::Known(())) {
            return match self.loaded() {
                Reading::Unsupported => Reading::Absent,
                other => other.and_then(|()| Reading::Absent),
            };
        }
        match self.system.outcome(&call, &[]) {
            Some(Outcome::Missing(_)) => Reading::Absent,
            _ => self.system.get(&call, &[]),
        }
    }
}

/// Name of the NVML library.
pub const NVML_LIBRARY: &str = "libnvidia-ml.so.1";
/// Name of the CUDA driver library.
pub const CUDA_LIBRARY: &str = "libcuda.so.1";
const LOAD: &str = "dlopen libnvidia-ml.so.1";

impl Calls {
    fn outcome(&self, call: &str, args: &[u64]) -> Option<&Outcome> {
        self.outcomes.get(call)?.get(args)
    }

    /// What a call gave.
    pub fn get(&self, call: &str, args: &[u64]) -> Reading<&Json> {
        match self.outcome(call, args) {
            Some(outcome) => outcome.reading(),
            None => Reading::Failed("not asked: the reader ended before".to_owned()),
        }
    }

    /// The call of which there is an answer: the newer name of two, unless only the older one worked.
    pub fn either<'a>(&self, newer: &'a str, older: &'a str) -> &'a str {
        let works = |call: &str| matches!(self.get(call, &[]), Reading::Known(_));
        if !works(newer) && works(older) { older } else { newer }
    }

    /// Answers to a call by their arguments, in order.
    pub fn all<'a>(&'a self, call: &'a str) -> impl Iterator<Item = (&'a [u64], Reading<&'a Json>)> {
        let same = self.outcomes.get(call).into_iter().flatten();
        same.map(|(args, outcome)| (args.as_slice(), outcome.reading()))
    }

    /// Text of a call.
    pub fn text(&self, call: &str) -> Reading<String> {
        self.get(call, &[]).and_then(json_text)
    }

    /// Text of a call with arguments.
    pub fn text_of(&self, call: &str, args: &[u64]) -> Reading<String> {
        self.get(call, args).and_then(json_text)
    }

    /// Whether the library does not have the call, or not in this form: that says nothing about the board.
    pub fn is_lacking(&self, call: &str) -> bool {
        let outcome = self.outcome(call, &[]);
        let lacking = [FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED];
        match outcome {
            Some(Outcome::Missing(_)) => true,
            Some(Outcome::Error(code)) => lacking.contains(code),
            _ => false,
        }
    }

    /// Whether there is any answer to the call.
    pub fn was_asked(&self, call: &str) -> bool {
        self.all(call).next().is_some()
    }

    /// A number of a call, or the member `member` of the structure that it gave. NVML's value for "not available" is
    /// [`Reading::Unsupported`].
    pub fn number(&self, call: &str, args: &[u64], member: &str) -> Reading<u64> {
        self.get(call, args).and_then(|value| json_number(value, member))
    }

    /// Whether the driver said in any call that the GPU is lost or needs a reset.
    pub fn lost(&self) -> bool {
        let mut outcomes = self.outcomes.values().flat_map(BTreeMap::values);
        outcomes.any(|outcome| matches!(outcome, Outcome::Error(GPU_IS_LOST | RESET_REQUIRED)))
    }

    /// Whether the call said that the InfoROM is damaged.
    pub fn inforom_corrupted(&self, call: &str) -> bool {
        let outcome = self.outcome(call, &[]);
        matches!(outcome, Some(Outcome::Error(CORRUPTED_INFOROM)))
    }
}

/// A member of a structure as text.
pub fn member_text(value: &Json, member: &str) -> Reading<String> {
    match value.get(member) {
        None => Reading::Failed(format!("no member {member}")),
        Some(Json::Null) => Reading::Absent,
        Some(text) => json_text(text),
    }
}

/// Text with its escaped bytes. Words that stand for a missing value become the reading that they mean.
fn json_text(value: &Json) -> Reading<String> {
    let Some(text) = value.as_str() else { return Reading::Failed("not a text".to_owned()) };
    match Value::text_from_bytes(&unescaped(text)) {
        Err(length) => Reading::Failed(format!("text of {length} bytes is longer than any field")),
        Ok(text) => match text.as_str() {
            "" => Reading::Absent,
            "N/A" | "[N/A]" | "Not Supported" | "[Not Supported]" => Reading::Unsupported,
            "Insufficient Permissions" | "[Insufficient Permissions]" => Reading::Denied,
            "Unknown Error" | "[Unknown Error]" | "ERR!" | "GPU is lost" | "[GPU is lost]" => Reading::Failed(text),
            _ => Reading::Known(text),
        },
    }
}

/// A number, or that member of a structure.
pub fn json_number(value: &Json, member: &str) -> Reading<u64> {
    let value = if member.is_empty() { Some(value) } else { value.get(member) };
    match value.and_then(Json::as_u64) {
        Some(number) if NOT_AVAILABLE.contains(&number) => Reading::Unsupported,
        Some(number) => Reading::Known(number),
        None => Reading::Failed("not a number".to_owned()),
    }
}

/// Bytes behind `\xNN`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        bytes.extend(&rest.as_bytes()[..at]);
        let byte = rest.get(at + 2..at + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(b"\\x"),
        }
        rest = &rest[at + if byte.is_some() { 4 } else { 2 }..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}

/// Name of an error (`nvmlReturn_t` in `nvml.h`).
pub fn error_name(code: u32) -> String {
    const NAMES: [&str; 31] = [
        "SUCCESS",
        "UNINITIALIZED",
        "INVALID_ARGUMENT",
        "NOT_SUPPORTED",
        "NO_PERMISSION",
        "ALREADY_INITIALIZED",
        "NOT_FOUND",
        "INSUFFICIENT_SIZE",
        "INSUFFICIENT_POWER",
        "DRIVER_NOT_LOADED",
        "TIMEOUT",
        "IRQ_ISSUE",
        "LIBRARY_NOT_FOUND",
        "FUNCTION_NOT_FOUND",
        "CORRUPTED_INFOROM",
        "GPU_IS_LOST",
        "RESET_REQUIRED",
        "OPERATING_SYSTEM",
        "LIB_RM_VERSION_MISMATCH",
        "IN_USE",
        "MEMORY",
        "NO_DATA",
        "VGPU_ECC_NOT_SUPPORTED",
        "INSUFFICIENT_RESOURCES",
        "FREQ_NOT_SUPPORTED",
        "ARGUMENT_VERSION_MISMATCH",
        "DEPRECATED",
        "NOT_READY",
        "GPU_NOT_FOUND",
        "INVALID_STATE",
        "RESET_TYPE_NOT_SUPPORTED",
    ];
    match (code, NAMES.get(code as usize)) {
        (0, _) => "NVML_SUCCESS".to_owned(),
        (_, Some(name)) => format!("NVML_ERROR_{name}"),
        (999, _) => "NVML_ERROR_UNKNOWN".to_owned(),
        _ => format!("NVML error {code}"),
    }
}

/// Name of an enumeration's value, or why it has none.
pub fn named(value: u64, names: &[&str]) -> Reading<String> {
    match usize::try_from(value).ok().and_then(|index| names.get(index)) {
        Some(&"") => Reading::Unsupported,
        Some(&name) => Reading::Known(name.to_owned()),
        None => Reading::Failed(format!("value {value} has no name here")),
    }
}

/// `nvmlBrandType_t`.
pub const BRANDS: &[&str] = &[
    "",
    "Quadro",
    "Tesla",
    "NVS",
    "GRID",
    "GeForce",
    "Titan",
    "NVIDIA Virtual Applications",
    "NVIDIA Virtual PC",
    "NVIDIA Virtual Compute Server",
    "NVIDIA RTX Virtual Workstation",
    "NVIDIA Cloud Gaming",
    "Quadro RTX",
    "NVIDIA RTX",
    "NVIDIA",
    "GeForce RTX",
    "Titan RTX",
];

/// `nvmlDeviceArchitecture_t`.
pub const ARCHITECTURES: &[&str] =
    &["", "", "Kepler", "Maxwell", "Pascal", "Volta", "Turing", "Ampere", "Ada", "Hopper", "Blackwell"];

/// `nvmlGpuVirtualizationMode_t`.
pub const VIRTUALIZATION_MODES: &[&str] = &["none", "passthrough", "vgpu", "host-vgpu", "host-vsga"];

/// `nvmlComputeMode_t`.
pub const COMPUTE_MODES: &[&str] = &["default", "exclusive-thread", "prohibited", "exclusive-process"];

/// `nvmlGpuP2PStatus_t`.
pub const P2P_STATES: &[&str] = &[
    "ok",
    "chipset-not-supported",
    "gpu-not-supported",
    "topology-not-supported",
    "disabled-by-registry",
    "not-supported",
    "unknown",
];

/// `nvmlGpuFabricState_t`.
pub const FABRIC_STATES: &[&str] = &["not-supported", "not-started", "in-progress", "completed"];

/// `nvmlNvlinkVersion_t`.
pub const NVLINK_VERSIONS: &[&str] = &["", "1.0", "2.0", "2.2", "3.0", "3.1", "4.0", "5.0"];

/// `nvmlMemoryLocation_t`.
pub const MEMORY_LOCATIONS: &[&str] = &[
    "l1-cache",
    "l2-cache",
    "device-memory",
    "register-file",
    "texture-memory",
    "texture-shared-memory",
    "cbu",
    "sram",
];

/// Bits of `nvmlClocksEventReason*`, from the lowest.
pub const THROTTLE_REASONS: &[&str] = &[
    "idle",
    "applications-clocks-setting",
    "sw-power-cap",
    "hw-slowdown",
    "sync-boost",
    "sw-thermal-slowdown",
    "hw-thermal-slowdown",
    "hw-power-brake-slowdown",
    "display-clock-setting",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn outcomes_become_readings() {
        let answers = parse(
            br#"{"device":null,"call":"dlopen libnvidia-ml.so.1","value":true}
{"device":null,"call":"nvmlInit_v2","value":true}
{"device":null,"call":"nvmlDeviceGetCount_v2","value":1}
not a line
{"device":0,"call":"nvmlDeviceGetName","value":"NVIDIA H100"}
{"device":0,"call":"nvmlDeviceGetName","value":"second answer"}
{"device":0,"call":"nvmlDeviceGetName","reading":2,"value":"NVIDIA\\xff\\x5cx41 H100"}
{"device":0,"call":"nvmlDeviceGetSerial","error":3}
{"device":0,"call":"nvmlDeviceGetPdi","missing":"symbol"}
{"device":0,"call":"nvmlDeviceGetEccMode","error":4}
{"device":0,"call":"nvmlDeviceValidateInforom","error":14}
{"device":0,"call":"nvmlDeviceGetPowerUsage","error":15}
{"device":0,"call":"nvmlDeviceGetBoardId","value":4294967295}
{"device":0,"call":"nvmlDeviceGetMemoryInfo_v2","value":{"total":85899345920}}
{"device":0,"call":"nvmlDeviceGetClockInfo","args":[1],"gave_up":"no answer within 10 s"}
{"device":99999,"call":"nvmlDeviceGetName","value":"x"}
"#,
        );
        assert_eq!(answers.device_count(), Reading::Known(1));
        assert_eq!(answers.damaged_lines, 2);
        assert_eq!(answers.gave_up(), ["nvmlDeviceGetClockInfo on GPU 0"]);
        let (number, device) = answers.devices().next().unwrap();
        assert_eq!((number, answers.devices().count()), (0, 1));
        let calls = &device.first;
        assert_eq!(calls.text("nvmlDeviceGetName"), Reading::Known("NVIDIA H100".to_owned()));
        assert_eq!(device.second.text("nvmlDeviceGetName"), Reading::Known("NVIDIA\\xff\\x41 H100".to_owned()));
        assert_eq!(calls.text("nvmlDeviceGetSerial"), Reading::Unsupported);
        assert_eq!(calls.number("nvmlDeviceGetPdi", &[], ""), Reading::Unsupported);
        assert_eq!(calls.number("nvmlDeviceGetEccMode", &[], "current"), Reading::Denied);
        assert!(calls.inforom_corrupted("nvmlDeviceValidateInforom") && calls.lost());
        assert_eq!(calls.number("nvmlDeviceGetBoardId", &[], ""), Reading::Unsupported);
        assert_eq!(calls.number("nvmlDeviceGetMemoryInfo_v2", &[], "total"), Reading::Known(80 << 30));
        assert!(
            matches!(calls.number("nvmlDeviceGetClockInfo", &[1], ""), Reading::Failed(why) if why.contains("10 s"))
        );
        assert!(matches!(calls.text("nvmlDeviceGetUUID"), Reading::Failed(why) if why.contains("not asked")));
    }

    #[test]
    fn a_library_that_is_missing_is_told_from_one_that_does_not_load() {
        let missing = parse(br#"{"device":null,"call":"dlopen libnvidia-ml.so.1","missing":"no such file"}"#);
        assert!(missing.no_library());
        assert_eq!(missing.initialised(), Reading::Unsupported);
        let broken = parse(br#"{"device":null,"call":"dlopen libnvidia-ml.so.1","failed":"wrong ELF class"}"#);
        assert!(!broken.no_library());
        assert_eq!(broken.initialised(), Reading::Failed("wrong ELF class".to_owned()));
        assert!(matches!(parse(b"").initialised(), Reading::Failed(_)));
    }

    proptest! {
        #[test]
        fn never_panics(
            text in r#"(\{"device":(null|[0-9]{1,3}),"call":"[a-zA-Z_]{1,4}","(value|error|gave_up)":([0-9]{1,20}|"(\\\\x|[0-9a-g]|é){0,6}"|\{"total":-?[0-9]\})\}|\n|\PC){0,12}"#
        ) {
            let answers = parse(text.as_bytes());
            let _ = (answers.device_count(), answers.gave_up());
            for (_, device) in answers.devices() {
                for call in device.first.outcomes.keys() {
                    for (args, reading) in device.first.all(call) {
                        let _ = (device.first.text(call), device.first.number(call, args, "total"), reading);
                    }
                }
            }
        }
    }
}
