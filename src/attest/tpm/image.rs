//! What a TPM is told of a unified kernel image (UKI), computed from the file.
//!
//! - Register 11: systemd-stub extends it, for every section that it knows and in its own order, by the digest of the
//!   section's name with a NUL and then by that of its content (systemd-stub(7), systemd-measure(1)); after it, the system
//!   may extend the names of the phases of its boot.
//! - Register 4: the firmware extends it by what it starts, as Authenticode hashes a PE file (Windows Authenticode Portable
//!   Executable Signature Format, "Calculating the PE Image Hash"; TCG PC Client Platform Firmware Profile, 3.3.4.5).

use std::collections::BTreeMap;

use serde::Serialize;

use super::event_log::extend;
use crate::attest::{Digest, Hasher};

/// The largest image that is measured.
pub const MAX_IMAGE_BYTES: u64 = 2 << 30;
/// Sections that systemd-stub measures, in its order, and the version that began to: an older one leaves them out.
const MEASURED: [(&str, u32); 10] = [
    (".linux", 0),
    (".osrel", 0),
    (".cmdline", 0),
    (".initrd", 0),
    (".ucode", 256),
    (".splash", 0),
    (".dtb", 0),
    (".uname", 254),
    (".sbat", 254),
    (".pcrpkey", 0),
];
/// Sections that make the measurement depend on the machine or on the choice of a person, with the same.
const VARIABLE: [(&str, u32); 4] = [(".profile", 257), (".dtbauto", 257), (".hwids", 257), (".efifw", 258)];
/// The section in which the stub says which version it is.
const MAGIC: &str = ".sdmagic";
/// Phases that `systemd-pcrphase` measures, in the order of a boot.
pub const PHASES: [&str; 4] = ["enter-initrd", "leave-initrd", "sysinit", "ready"];
/// Sections of a PE file.
const MAX_SECTIONS: u16 = 96;

/// What the registers hold when an image runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageMeasurement {
    /// Digest of the file.
    pub sha256: Digest,
    /// Authenticode digest of the image.
    pub authenticode: Digest,
    /// Authenticode digest of the kernel in it, which the stub starts by the firmware.
    pub kernel_authenticode: Option<Digest>,
    /// Register 4 where the firmware started nothing but the image.
    pub pcr4: Digest,
    /// The same with Secure Boot on: there systemd-stub has the firmware start the kernel unchecked, and so unmeasured (seen of
    /// version 252 on OVMF).
    pub pcr4_secure_boot: Digest,
    /// Register 11 by the phase after which it has that value; `stub` is before the first.
    pub pcr11: BTreeMap<String, Digest>,
    /// Version of systemd-stub, which decides what is measured; `None` for another stub, taken for the newest.
    pub stub_version: Option<u32>,
    /// The sections that were measured, in order.
    pub sections: Vec<String>,
}

/// Why a file can't be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not a PE file for 64-bit machines, or a damaged one.
    #[error("not a PE image: {0}")]
    NotPe(&'static str),
    /// A PE file, but not a unified kernel image.
    #[error("the image has no section {0:?}: it is no unified kernel image")]
    NoSection(&'static str),
    /// A section of that name comes twice, or makes the measurement depend on the machine.
    #[error("the image has more than one profile or device: section {0:?} cannot be measured beforehand")]
    Variable(String),
    /// A phase that systemd cannot measure, or that would stand for two values.
    #[error("the phase {phase:?} cannot be measured: {why}")]
    Phase {
        /// As it was given.
        phase: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Measures an image. `phases` are extended one after another behind the stub.
pub fn measure(image: &[u8], phases: &[&str]) -> Result<ImageMeasurement, ImageError> {
    for (index, phase) in phases.iter().enumerate() {
        let why = match *phase {
            "" => "it has no name",
            "stub" => "that is the image itself, before any phase",
            phase if phase.contains(':') => "each phase has a name of its own",
            phase if phases[..index].contains(&phase) => "it is given twice",
            _ => continue,
        };
        return Err(ImageError::Phase { phase: (*phase).to_owned(), why });
    }
    let pe = Pe::parse(image)?;
    let stub_version = pe
        .sections
        .iter()
        .find(|section| section.name == MAGIC)
        .and_then(|section| version_in(section.content(image).ok()?));
    let known = |table: &[(&str, u32)], name: &str| {
        table.iter().any(|(known, since)| *known == name && stub_version.is_none_or(|version| version >= *since))
    };
    let mut sections = BTreeMap::new();
    for section in &pe.sections {
        let name = section.name.as_str();
        if known(&VARIABLE, name) || (known(&MEASURED, name) && sections.insert(name, section).is_some()) {
            return Err(ImageError::Variable(name.to_owned()));
        }
    }
    let kernel = sections.get(".linux").ok_or(ImageError::NoSection(".linux"))?;
    let mut stub = [0; 32];
    let mut measured = Vec::new();
    for (name, section) in MEASURED.iter().filter_map(|(name, _)| Some((*name, sections.get(name)?))) {
        stub = extend(&stub, Digest::of(format!("{name}\0").as_bytes()).as_bytes());
        stub = extend(&stub, section.digest(image)?.as_bytes());
        measured.push(name.to_owned());
    }
    let mut pcr11 = BTreeMap::from([("stub".to_owned(), Digest::from_bytes(stub))]);
    let mut value = stub;
    for phase in phases {
        value = extend(&value, Digest::of(phase.as_bytes()).as_bytes());
        pcr11.insert((*phase).to_owned(), Digest::from_bytes(value));
    }
    let authenticode = pe.authenticode(image)?;
    let kernel = kernel.content(image)?;
    let kernel_authenticode = Pe::parse(kernel).and_then(|pe| pe.authenticode(kernel)).ok();
    let events = [Digest::of(b"Calling EFI Application from Boot Option"), Digest::of(&[0; 4]), authenticode];
    let pcr4_secure_boot = events.iter().fold([0; 32], |value, event| extend(&value, event.as_bytes()));
    let pcr4 = kernel_authenticode.iter().fold(pcr4_secure_boot, |value, event| extend(&value, event.as_bytes()));
    Ok(ImageMeasurement {
        sha256: Digest::of(image),
        authenticode,
        kernel_authenticode,
        pcr4: Digest::from_bytes(pcr4),
        pcr4_secure_boot: Digest::from_bytes(pcr4_secure_boot),
        pcr11,
        stub_version,
        sections: measured,
    })
}

/// The number in `#### LoaderInfo: systemd-stub 252.39-1 ####`.
fn version_in(magic: &[u8]) -> Option<u32> {
    let (_, version) = std::str::from_utf8(magic).ok()?.split_once("systemd-stub ")?;
    let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

/// The few fields of a PE32+ file that matter here (Microsoft PE Format).
struct Pe {
    /// Offset of the optional header's checksum.
    checksum: usize,
    /// Offset of the directory entry of the certificate table, where there is one.
    certificates: Option<usize>,
    /// Offset and length of that table.
    table: (usize, usize),
    /// Length of all headers.
    headers: usize,
    sections: Vec<Section>,
}

struct Section {
    name: String,
    virtual_size: usize,
    raw_size: usize,
    raw_offset: usize,
}

impl Section {
    /// What the file has of it.
    fn content<'a>(&self, image: &'a [u8]) -> Result<&'a [u8], ImageError> {
        let length = self.raw_size.min(self.virtual_size);
        part(image, self.raw_offset, length).ok_or(ImageError::NotPe("a section lies outside of the file"))
    }

    /// Digest of it as it lies in memory, where zeros follow what the file has.
    fn digest(&self, image: &[u8]) -> Result<Digest, ImageError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let content = self.content(image)?;
        let mut missing = self.virtual_size - content.len();
        // Alignment at most; a section of zeros is no part of such an image.
        if missing > image.len() {
            return Err(ImageError::NotPe("a section is larger than the file"));
        }
        let mut hasher = Hasher::new();
        hasher.update(content);
        while missing > 0 {
            let length = missing.min(ZEROS.len());
            hasher.update(&ZEROS[..length]);
            missing -= length;
        }
        Ok(hasher.finish())
    }
}

impl Pe {
    fn parse(image: &[u8]) -> Result<Self, ImageError> {
        const CUT_OFF: ImageError = ImageError::NotPe("it is cut off");
        const PE32_PLUS: usize = 0x20b;
        const PE32: usize = 0x10b;
        if part(image, 0, 2) != Some(b"MZ") {
            return Err(ImageError::NotPe("it does not begin with MZ"));
        }
        let header = number(image, 0x3c, 4).ok_or(CUT_OFF)?;
        if part(image, header, 4) != Some(b"PE\0\0") {
            return Err(ImageError::NotPe("it has no PE header"));
        }
        let coff = header + 4;
        let count = number(image, coff + 2, 2).ok_or(CUT_OFF)?;
        if count > MAX_SECTIONS.into() {
            return Err(ImageError::NotPe("it has too many sections"));
        }
        let optional_size = number(image, coff + 16, 2).ok_or(CUT_OFF)?;
        let optional = coff + 20;
        let directories = match number(image, optional, 2).ok_or(CUT_OFF)? {
            PE32_PLUS => optional + 108,
            PE32 => optional + 92,
            _ => return Err(ImageError::NotPe("its optional header is of another kind")),
        };
        let headers = number(image, optional + 60, 4).filter(|length| *length <= image.len()).ok_or(CUT_OFF)?;
        // The fifth directory is that of certificates, which hold the signature.
        let has_certificates = number(image, directories, 4).ok_or(CUT_OFF)? > 4;
        let certificates = has_certificates.then_some(directories + 4 + 4 * 8);
        let table = match certificates {
            None => (0, 0),
            Some(at) => (number(image, at, 4).ok_or(CUT_OFF)?, number(image, at + 4, 4).ok_or(CUT_OFF)?),
        };
        let mut sections = Vec::new();
        for index in 0..count {
            let entry = part(image, optional + optional_size + index * 40, 40).ok_or(CUT_OFF)?;
            let end = entry[..8].iter().position(|byte| *byte == 0).unwrap_or(8);
            let field = |at| number(entry, at, 4).ok_or(CUT_OFF);
            sections.push(Section {
                name: String::from_utf8_lossy(&entry[..end]).into_owned(),
                virtual_size: field(8)?,
                raw_size: field(16)?,
                raw_offset: field(20)?,
            });
        }
        Ok(Self { checksum: optional + 64, certificates, table, headers, sections })
    }

    /// The digest that a signature of the file is over: everything but the checksum, the directory entry of the
    /// signature, and the signature itself.
    fn authenticode(&self, image: &[u8]) -> Result<Digest, ImageError> {
        const OUTSIDE: ImageError = ImageError::NotPe("its headers contradict each other");
        let mut hasher = Hasher::new();
        let mut add = |from: usize, to: usize| -> Result<(), ImageError> {
            hasher.update(image.get(from..to).ok_or(OUTSIDE)?);
            Ok(())
        };
        add(0, self.checksum)?;
        match self.certificates {
            None => add(self.checksum + 4, self.headers)?,
            Some(entry) => {
                add(self.checksum + 4, entry)?;
                add(entry + 8, self.headers)?;
            }
        }
        let mut sections: Vec<_> = self.sections.iter().filter(|section| section.raw_size > 0).collect();
        sections.sort_by_key(|section| section.raw_offset);
        let mut hashed = self.headers;
        for section in sections {
            let end = section.raw_offset.checked_add(section.raw_size).ok_or(OUTSIDE)?;
            add(section.raw_offset, end)?;
            hashed = hashed.checked_add(section.raw_size).ok_or(OUTSIDE)?;
        }
        // Whatever follows the sections, except for the signature at the very end.
        let end = image.len().checked_sub(self.table.1).ok_or(OUTSIDE)?;
        if end > hashed {
            add(hashed, end)?;
        }
        Ok(hasher.finish())
    }
}

fn part(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

/// A little-endian number.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    Some(part(bytes, at, length)?.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}
