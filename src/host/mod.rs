//! The only way to the hardware.
//!
//! [`Host`] has four verbs: read a file, list a folder, read a link, and ask what no file tells ([`Query`]). Everything
//! that a collector learns passes through one of them, so that a [`RecordingHost`] can keep it raw and a
//! [`RecordedHost`] can play it back on another machine, years later.

mod broken;
mod files;
mod live;
pub mod nvml;
mod pci;
mod recorded;
mod recording;
mod redfish;
mod smbus;
pub mod tpm;

use crate::evidence::{Origin, Reading};

pub use broken::BrokenHost;
pub use live::LiveHost;
pub use recorded::{ArchiveError, RecordedHost};
pub use recording::{Capture, RecordingHost};
pub use redfish::{Bmc, BmcError, Credentials};
pub(crate) use redfish::{http_client, system_authorities};

/// The most that is read of one file. A table or register file is far smaller; whatever is larger is not one.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// A machine, present or not. Paths are absolute (`/sys/class/dmi/id/board_serial`).
///
/// No method blocks for ever, follows a path out of its root or panics, whatever the machine answers.
pub trait Host: Sync {
    /// Where the answers come from.
    fn origin(&self) -> Origin;

    /// The content of a file, at most [`MAX_FILE_BYTES`]; a larger one is `Failed`.
    fn read(&self, path: &str) -> Reading<Vec<u8>>;

    /// The names in a folder, sorted.
    fn list(&self, path: &str) -> Reading<Vec<String>>;

    /// The target of a symbolic link, as it stands in the link.
    fn link(&self, path: &str) -> Reading<String>;

    /// Says that a question follows. A host that has to wait for the answer may begin with it, while others are read.
    fn begin(&self, query: &Query) {
        _ = query;
    }

    /// What no file tells.
    fn ask(&self, query: &Query) -> Reading<Vec<u8>>;
}

/// A question that is not a file. The answer's bytes are kept raw; the parser named at each says how they are laid out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// All CPUID leaves as that logical CPU answers them: records of six little-endian u32 (leaf, subleaf, eax, ebx,
    /// ecx, edx). Read by `parse::cpuid`.
    Cpuid {
        /// Logical CPU number as in `/proc/cpuinfo`.
        cpu: u32,
    },
    /// The 4,096 bytes of an NVMe Identify data structure (NVM Express Base Specification 2.0, 5.17). Needs root.
    NvmeIdentify {
        /// Character device name: `nvme0`.
        controller: String,
        /// Controller or Namespace Structure: 1 for the controller, 0 for a namespace.
        cns: u8,
        /// Namespace id; 0 for the controller.
        namespace: u32,
    },
    /// An NVMe log page of the whole controller (NVM Express Base Specification 2.0, 5.16). Needs root.
    NvmeLog {
        /// Character device name: `nvme0`.
        controller: String,
        /// Log page identifier: 2 for health, 6 for self-tests.
        page: u8,
        /// Bytes to read, at most 4,096.
        length: u32,
    },
    /// A model-specific register of one logical CPU: 8 bytes, little-endian. Needs root and the kernel's msr module.
    Msr {
        /// Logical CPU number as in `/proc/cpuinfo`.
        cpu: u32,
        /// Number of the register.
        register: u32,
    },
    /// Standard output of a program that is installed on the machine, run without a shell, for at most 20 seconds.
    /// `Absent` where it is not installed.
    Command {
        /// Name, looked up in `PATH` and the `sbin` folders.
        program: String,
        /// Arguments.
        args: Vec<String>,
    },
    /// The JSON at a path of the management controller that the user named (Redfish, DMTF DSP0266), at most
    /// [`MAX_FILE_BYTES`], within 10 seconds. `Unsupported` where none was named. Read by `parse::redfish`.
    Redfish {
        /// Path below `/redfish/`.
        path: String,
    },
    /// What NVML answers to every call that a collector makes use of: JSON Lines, read by `parse::nvml`. Made in a child
    /// process; takes up to two minutes where the driver is wedged.
    Nvml,
    /// One register of a PCI function's BAR: 4 bytes, little-endian. Needs root.
    PciRegister {
        /// Address: `0000:17:00.0`.
        address: String,
        /// Number of the BAR.
        bar: u8,
        /// Byte offset in it, a multiple of 4.
        offset: u32,
    },
    /// The option ROM of a PCI function, which is switched on for the time of the reading. Needs root.
    OptionRom {
        /// Address: `0000:17:00.0`.
        address: String,
    },
    /// The content of a file, read once more: what a bus that disturbs its readings is caught by. A second
    /// [`Host::read`] would be answered from the first one in a replay.
    FileAgain {
        /// Absolute path.
        path: String,
    },
    /// Bytes of a memory module's EEPROM or hub, one after the other, without a kernel driver and without a write to either.
    /// `Absent` where nothing answers at the address, `Unsupported` without a `/dev/i2c-*`, `Failed` where a kernel driver has
    /// the address. Needs root and the kernel's i2c-dev module.
    SmbusBytes {
        /// Number of the bus: 0 for `/dev/i2c-0`.
        bus: u32,
        /// Address, 0x50 to 0x57.
        address: u8,
        /// Command of the first byte.
        first: u8,
        /// Bytes to read, at most 256.
        count: u16,
        /// Number of the reading: a later one is kept beside the first.
        turn: u8,
    },
    /// One byte, of no meaning, where the DDR4 EEPROMs of a bus have page 0 selected (JEDEC 21-C 4.1.6). Otherwise as
    /// [`Query::SmbusBytes`].
    SmbusPage {
        /// Number of the bus: 0 for `/dev/i2c-0`.
        bus: u32,
        /// Number of the reading: a later one is kept beside the first.
        turn: u8,
    },
    /// Total memory as the sysinfo library counts it: decimal bytes as text.
    TotalMemory,
    /// Effective user id: decimal text.
    EffectiveUser,
}

impl Query {
    /// Where the answer lies in a capture. Unique a query; only letters, digits, `.`, `_`, `-`, `=`, `,` and `/`.
    pub fn path(&self) -> String {
        match self {
            Self::Cpuid { cpu } => format!("/yanji/cpuid/{cpu}.bin"),
            Self::NvmeIdentify { controller, cns, namespace } => {
                format!("/yanji/nvme/{}/identify-{cns}-{namespace}.bin", file_name(controller))
            }
            Self::NvmeLog { controller, page, length } => {
                format!("/yanji/nvme/{}/log-{page:02x}-{length}.bin", file_name(controller))
            }
            Self::Msr { cpu, register } => format!("/yanji/msr/{cpu}-{register:x}.bin"),
            Self::Command { program, args } => format!(
                "/yanji/command/{}",
                std::iter::once(program).chain(args).map(|word| file_name(word)).collect::<Vec<_>>().join(",")
            ),
            Self::Redfish { path } => format!("/yanji/redfish/{}.json", file_name(path)),
            Self::Nvml => "/yanji/nvml.jsonl".to_owned(),
            Self::PciRegister { address, bar, offset } => {
                format!("/yanji/pci/{}/bar{bar}-{offset:x}.bin", file_name(address))
            }
            Self::OptionRom { address } => format!("/yanji/pci/{}/rom.bin", file_name(address)),
            Self::FileAgain { path } => format!("/yanji/again/{}", file_name(path)),
            Self::SmbusBytes { bus, address, first, count, turn } => {
                format!("/yanji/smbus/{bus}-{address:04x}/{first:02x}-{count}-{turn}.bin")
            }
            Self::SmbusPage { bus, turn } => format!("/yanji/smbus/{bus}-page-{turn}.bin"),
            Self::TotalMemory => "/yanji/total-memory-bytes".to_owned(),
            Self::EffectiveUser => "/yanji/effective-user".to_owned(),
        }
    }
}

/// Escapes a word for use as one path segment: every other byte becomes `=XX`.
fn file_name(word: &str) -> String {
    let mut name = String::with_capacity(word.len());
    for byte in word.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(byte.into()),
            b'.' if !name.is_empty() => name.push('.'),
            _ => name.push_str(&format!("={byte:02X}")),
        }
    }
    if name.is_empty() { "=".to_owned() } else { name }
}
