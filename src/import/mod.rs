//! Reads what other tools printed, so that it can be judged by the same rules as a machine that is here.
//!
//! Whoever sends a file can have written it with an editor: the evidence has the origin *imported*, and no policy that
//! asks for more accepts it. Still it is what a buyer has before paying, and a careless forgery contradicts itself.
//!
//! One more format is one more row in [`FORMATS`].

mod cpu;
mod dimm;
mod drive;
mod gpu;
mod lshw;
mod lspci;
mod machine;
mod memory;
mod nvidia_smi;
mod nvidia_smi_value;

use std::borrow::Cow;
use std::io::{self, Read};

use crate::collect;
use crate::evidence::{Evidence, EvidenceBuilder, Origin, Reading};
use crate::parse::{cpuid, cpuinfo, decode_dimms, device_query, nvflash, nvidia_smi as smi, plain_text};
use crate::parse::{lshw as lshw_json, proc_information, smbios, spd};
use machine::Machine;

/// Bytes that are read of one file. A `nvidia-smi -q -x` of 16 GPUs has 1 MB.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// A kind of file that can be imported.
pub struct Format {
    /// Short name, as reports show it.
    pub name: &'static str,
    /// What makes such files, for a person.
    pub about: &'static str,
    recognise: fn(&Input<'_>) -> bool,
    read: fn(&Input<'_>, &mut Machine),
}

/// Every format, the ones that say most first: where two say the same, the first one counts.
pub const FORMATS: &[Format] = &[
    Format {
        name: "nvidia-smi-xml",
        about: "nvidia-smi -q -x",
        recognise: |input| input.text().is_some_and(smi::xml::recognise),
        read: |input, machine| nvidia_smi::xml(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "nvidia-smi-q",
        about: "nvidia-smi -q, or lines of it",
        recognise: |input| input.text().is_some_and(smi::text::recognise),
        read: |input, machine| nvidia_smi::text(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "nvidia-smi-csv",
        about: "nvidia-smi --query-gpu=… --format=csv",
        recognise: |input| input.text().is_some_and(smi::csv::recognise),
        read: |input, machine| nvidia_smi::csv(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "nvidia-smi-table",
        about: "nvidia-smi",
        recognise: |input| input.text().is_some_and(smi::table::recognise),
        read: |input, machine| nvidia_smi::table(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "nvlink",
        about: "nvidia-smi nvlink -s, nvidia-smi -L",
        recognise: |input| input.text().is_some_and(smi::nvlink::recognise),
        read: |input, machine| nvidia_smi::nvlink(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "lspci",
        about: "lspci -nnvvv, lspci -nnvvxxxx",
        recognise: |input| input.text().is_some_and(crate::parse::lspci::recognise),
        read: |input, machine| lspci::read(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "device-query",
        about: "CUDA deviceQuery",
        recognise: |input| input.text().is_some_and(device_query::recognise),
        read: |input, machine| gpu::device_query(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "proc-information",
        about: "/proc/driver/nvidia/gpus/*/information",
        recognise: |input| input.text().is_some_and(proc_information::recognise),
        read: |input, machine| gpu::proc_information(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "nvflash",
        about: "nvflash --version",
        recognise: |input| input.text().is_some_and(|text| !nvflash::parse(text).is_empty()),
        read: |input, machine| gpu::nvflash(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "spd",
        about: "an SPD image",
        recognise: |input| spd::recognise(input.bytes) || memory::spd_dump(input.text()).is_some(),
        read: |input, machine| memory::spd(input, machine),
    },
    Format {
        name: "dmidecode",
        about: "dmidecode, whole or in parts",
        recognise: |input| input.text().is_some_and(smbios::dmidecode::recognise),
        read: |input, machine| dimm::inventory(&smbios::dmidecode::parse(input.text().unwrap_or_default()), machine),
    },
    Format {
        name: "smbios",
        about: "dmidecode --dump-bin, /sys/firmware/dmi/tables/DMI",
        recognise: |input| input.text().is_none() && smbios::parse_file(input.bytes).is_ok(),
        read: |input, machine| {
            if let Ok(inventory) = smbios::parse_file(input.bytes) {
                dimm::inventory(&inventory, machine);
            }
        },
    },
    Format {
        name: "lshw",
        about: "lshw -json",
        recognise: |input| input.text().is_some_and(lshw_json::recognise),
        read: |input, machine| lshw::read(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "decode-dimms",
        about: "decode-dimms",
        recognise: |input| input.text().is_some_and(decode_dimms::recognise),
        read: |input, machine| dimm::decode_dimms(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "cpuinfo",
        about: "/proc/cpuinfo",
        recognise: |input| input.text().is_some_and(cpuinfo::recognise),
        read: |input, machine| cpu::cpuinfo(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "cpuid",
        about: "a CPUID dump of AIDA64",
        recognise: |input| input.text().is_some_and(cpuid::recognise_text),
        read: |input, machine| cpu::cpuid(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "vbios",
        about: "a VBIOS image",
        recognise: |input| gpu::is_vbios(input.bytes),
        read: |input, machine| gpu::vbios(input.bytes, machine),
    },
    Format {
        name: "smartctl-json",
        about: "smartctl -j -x, smartctl -j -l farm",
        recognise: |input| input.text().is_some_and(drive::is_smartctl_json),
        read: |input, machine| drive::smartctl_json(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "smartctl",
        about: "smartctl -x, smartctl -l farm",
        recognise: |input| input.text().is_some_and(crate::parse::smartctl_text::recognise),
        read: |input, machine| drive::smartctl_text(input.text().unwrap_or_default(), machine),
    },
    Format {
        name: "nvme-cli",
        about: "nvme smart-log, id-ctrl or list with -o json",
        recognise: |input| input.text().is_some_and(drive::is_nvme_cli),
        read: |input, machine| drive::nvme_cli(input.text().unwrap_or_default(), machine),
    },
];

/// A file's content.
struct Input<'a> {
    bytes: &'a [u8],
    text: Option<Cow<'a, str>>,
}

impl Input<'_> {
    fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// Why a file gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// It is larger than any printout.
    #[error("larger than {} MiB: no printout is", MAX_FILE_BYTES >> 20)]
    TooLarge,
    /// Nothing is in it.
    #[error("empty")]
    Empty,
    /// No format fits.
    #[error("not a format that can be screened")]
    UnknownFormat,
}

/// Adds the parts that a collector's own functions make of a printout, so that an import and the live machine say the same
/// of the same text. A part of which nothing is known is not in the printout, except for one that says why.
fn take_over(machine: &mut Machine, add: impl FnOnce(&mut EvidenceBuilder)) {
    /// The parts that machines have beside GPUs, as [`Machine::part`] wants their kinds.
    const SCOPES: &[&str] = &["platform", "board", "chassis", "psu", "cpu", "memory", "dimm", "drive"];
    let mut builder = EvidenceBuilder::new(Origin::Imported);
    add(&mut builder);
    let mut evidence = builder.finish();
    collect::keep_kinds(&mut evidence);
    for part in evidence.parts {
        let Some(scope) = SCOPES.iter().find(|scope| **scope == part.scope) else { continue };
        let telling = |reading: &Reading| matches!(reading, Reading::Known(_) | Reading::Failed(_));
        if part.facts.values().any(|fact| telling(&fact.reading)) || part.scope == "cpu" {
            for (path, fact) in part.facts {
                machine.part(scope, &part.id, path.as_str(), fact.reading, fact.source);
            }
        }
    }
}

/// What one file, or several about one machine, said.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    formats: Vec<&'static str>,
    machine: Machine,
}

/// Reads all of it, but not more than [`MAX_FILE_BYTES`].
///
/// Errors: an I/O error, or more bytes than that.
pub fn read(mut file: impl Read) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(ImportError::TooLarge) } else { Ok(bytes) }
}

/// Reads every format that the bytes hold: a capture may have several printouts, one behind the other.
///
/// Errors: nothing in it, or no format fits.
pub fn import(bytes: &[u8]) -> Result<Imported, ImportError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImportError::TooLarge);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ImportError::Empty);
    }
    let input = Input { bytes, text: plain_text::decode(bytes) };
    let mut imported = Imported::default();
    for format in FORMATS.iter().filter(|format| (format.recognise)(&input)) {
        imported.formats.push(format.name);
        (format.read)(&input, &mut imported.machine);
    }
    if imported.formats.is_empty() { Err(ImportError::UnknownFormat) } else { Ok(imported) }
}

impl Imported {
    /// Names of the formats that were found, joined by `+`.
    pub fn format(&self) -> String {
        self.formats.join("+")
    }

    /// What a person should know about the reading itself: cut, too long, not decoded.
    pub fn notes(&self) -> &[String] {
        &self.machine.notes
    }

    /// Adds what another file says of the same machine.
    pub fn merge(&mut self, other: Self) {
        for format in other.formats {
            if !self.formats.contains(&format) {
                self.formats.push(format);
            }
        }
        self.machine.merge(other.machine);
    }

    /// The facts, with origin imported.
    pub fn into_evidence(self) -> Evidence {
        self.machine.finish()
    }
}
