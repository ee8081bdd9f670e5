//! Reads what other tools printed, so that it can be judged by the same rules as a machine that is here.
//!
//! Whoever sends a file can have written it with an editor: the evidence has the origin *imported*, and no policy that
//! asks for more accepts it. Still it is what a buyer has before paying, and a careless forgery contradicts itself.
//!
//! One more format is one more row in [`FORMATS`].

mod drive;
mod gpu;
mod lspci;
mod machine;
mod nvidia_smi;
mod nvidia_smi_value;

use std::borrow::Cow;
use std::io::{self, Read};

use crate::evidence::Evidence;
use crate::parse::{device_query, nvflash, nvidia_smi as smi, plain_text, proc_information};
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
