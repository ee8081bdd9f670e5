//! Serial presence detect (SPD): what the EEPROM of a memory module says of it.
//!
//! Layouts: JESD21-C 4.1.2.4 (DDR), 4.1.2.10 (DDR2), 4.1.2.11 (DDR3), 4.1.2.L (DDR4), JESD400-5C (DDR5). Each generation's
//! byte table heads its own file. LPDDR images are told by type; of them only what needs no knowledge of the generation
//! is read. IBM's differential modules (OMI DDIMM, 4,096 bytes) have a layout of their own, of which the checksums, the
//! makers and the part number are read.
//!
//! Decoding borrows the image and allocates nothing: texts are made when they are asked for.

mod crc;
mod ddr3;
mod ddr4;
mod ddr5;
mod dump;
mod image;
mod legacy;
mod page;
mod trace;

use std::fmt;

use thiserror::Error;

use super::jep106::MakerId;
use crate::evidence::Value;
pub use crc::Checksum;
pub use dump::from_text;
use image::Image;
pub use trace::{Lot, OemMark};

/// The smallest image: what DDR to DDR3 need of their 256 bytes; some firmware keeps no more.
pub const MIN_BYTES: usize = 128;
/// The largest image: IBM's differential modules.
pub const MAX_BYTES: usize = 4096;
/// Size of the image of a differential module.
const DDIMM_BYTES: usize = 4096;

/// Generation of the DRAM: byte 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say all")]
pub enum DramType {
    Ddr,
    Ddr2,
    Ddr3,
    Ddr4,
    Ddr5,
    Lpddr3,
    Lpddr4,
    Lpddr4X,
    Lpddr5,
    Lpddr5X,
}

impl DramType {
    /// By the code in byte 2.
    pub fn of(code: u8) -> Option<Self> {
        Some(match code {
            0x07 => Self::Ddr,
            0x08 => Self::Ddr2,
            0x0b => Self::Ddr3,
            // 0Eh is DDR4E, whose layout is DDR4's.
            0x0c | 0x0e => Self::Ddr4,
            // F1h is what coreboot wrote before JEDEC had a code.
            0x0f | 0xf1 => Self::Lpddr3,
            0x10 => Self::Lpddr4,
            0x11 => Self::Lpddr4X,
            0x12 | 0x14 => Self::Ddr5,
            0x13 => Self::Lpddr5,
            0x15 => Self::Lpddr5X,
            _ => return None,
        })
    }

    /// `DDR5`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddr => "DDR",
            Self::Ddr2 => "DDR2",
            Self::Ddr3 => "DDR3",
            Self::Ddr4 => "DDR4",
            Self::Ddr5 => "DDR5",
            Self::Lpddr3 => "LPDDR3",
            Self::Lpddr4 => "LPDDR4",
            Self::Lpddr4X => "LPDDR4X",
            Self::Lpddr5 => "LPDDR5",
            Self::Lpddr5X => "LPDDR5X",
        }
    }

    /// Whether geometry and timings of this generation are decoded.
    pub fn is_decoded(self) -> bool {
        matches!(self, Self::Ddr | Self::Ddr2 | Self::Ddr3 | Self::Ddr4 | Self::Ddr5)
    }
}

/// How a module is built up. `None`: the image does not say, says it in a code that no standard has, or was not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Capacity without check bits, in MiB.
    pub capacity_mib: Option<u64>,
    /// Package ranks, in each sub-channel.
    pub ranks: Option<u8>,
    /// Ranks that the controller can address: package ranks times dies in a 3D stack.
    pub logical_ranks: Option<u16>,
    /// Capacity of one die, in Mbit.
    pub die_density_mbit: Option<u32>,
    /// Dies in a package.
    pub dies: Option<u8>,
    /// Width of one DRAM.
    pub device_width_bits: Option<u8>,
    /// Width without check bits, over all sub-channels.
    pub bus_width_bits: Option<u16>,
    /// Check bits, over all sub-channels.
    pub ecc_bits: Option<u16>,
    /// Whether row, column, bank and width bits give the density of a die. DDR4 and DDR5 only.
    pub addressing_fits: Option<bool>,
}

/// Times, in ps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Shortest clock period.
    pub tck_min_ps: Option<u32>,
    /// Longest clock period.
    pub tck_max_ps: Option<u32>,
    /// CAS latency time.
    pub taa_ps: Option<u32>,
    /// RAS to CAS.
    pub trcd_ps: Option<u32>,
    /// Row precharge.
    pub trp_ps: Option<u32>,
    /// Active to precharge.
    pub tras_ps: Option<u32>,
    /// Active to active, same bank.
    pub trc_ps: Option<u32>,
    /// Four activate window.
    pub tfaw_ps: Option<u32>,
    /// Active to active, other bank group.
    pub trrd_s_ps: Option<u32>,
    /// Active to active, same bank group.
    pub trrd_l_ps: Option<u32>,
    /// CAS to CAS, same bank group.
    pub tccd_l_ps: Option<u32>,
    /// Write recovery.
    pub twr_ps: Option<u32>,
    /// Refresh; DDR3's only one.
    pub trfc1_ps: Option<u32>,
    /// Refresh, 2x mode.
    pub trfc2_ps: Option<u32>,
    /// Refresh, 4x mode.
    pub trfc4_ps: Option<u32>,
    /// Refresh of the same bank.
    pub trfc_sb_ps: Option<u32>,
    /// CAS latencies: bit n for `first_cas + n * cas_step`.
    cas: Option<(u64, u8, u8)>,
}

impl Timing {
    /// CAS latencies that the DRAM knows, in clocks.
    pub fn cas_latencies(&self) -> Vec<u32> {
        let Some((mask, first, step)) = self.cas else { return Vec::new() };
        (0..64).filter(|bit| mask >> bit & 1 == 1).map(|bit| u32::from(first) + bit * u32::from(step)).collect()
    }
}

/// A chip on the module beside the DRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// Its maker.
    pub maker: MakerId,
    /// What it is: `PMIC5000`. `None` where the image does not say, or in a code that is not known here.
    pub kind: Option<&'static str>,
    /// Its revision as stored.
    pub revision: u8,
}

/// `80B3 SPD5118 1.2`; without a type, `8632 0x21`.
impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{} {kind} {}.{}", self.maker, self.revision >> 4, self.revision & 0xf),
            None => write!(f, "{} {:#04x}", self.maker, self.revision),
        }
    }
}

/// The chips on a module beside the DRAM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chips {
    /// SPD hub.
    pub hub: Option<Chip>,
    /// Voltage regulators.
    pub pmics: [Option<Chip>; 3],
    /// Register, or clock driver of a module without one.
    pub register: Option<Chip>,
    /// Data buffers.
    pub buffer: Option<Chip>,
}

/// Week of manufacture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// 0000 or FFFF.
    NotProgrammed,
    /// Year and week.
    Week(u16, u8),
    /// Two bytes that are no year and week in BCD.
    Invalid([u8; 2]),
}

/// `2023-W31`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotProgrammed => f.write_str("not programmed"),
            Self::Week(year, week) => write!(f, "{year}-W{week:02}"),
            Self::Invalid([year, week]) => write!(f, "no year and week: {year:02X}{week:02X}"),
        }
    }
}

/// Where each generation keeps what the module's maker wrote.
#[derive(Debug)]
struct Layout {
    maker: usize,
    location: usize,
    date: usize,
    serial: usize,
    part: (usize, usize),
    revision: (usize, usize),
    dram_maker: Option<usize>,
    maker_area: (usize, usize),
    user_area: (usize, usize),
}

/// A decoded image.
#[derive(Debug, Clone, Copy)]
pub struct Spd<'a> {
    image: Image<'a>,
    layout: Option<&'static Layout>,
    /// Bytes of the image.
    pub size_bytes: usize,
    /// Upper pages repeat lower ones: the page was not switched, and only the first page was read.
    pub page_alias: bool,
    /// A differential module, of which only makers, part number and checksums are read.
    pub ddimm: bool,
    /// Generation.
    pub dram: DramType,
    /// Module type: `RDIMM`.
    pub module_type: Option<&'static str>,
    /// Revision of the layout: `0x12` for 1.2.
    pub spd_revision: Option<u8>,
    /// Structure.
    pub geometry: Geometry,
    /// Highest standard data rate, in MT/s.
    pub speed_mts: Option<u32>,
    /// Times.
    pub timing: Timing,
    /// Other chips.
    pub chips: Chips,
    checksums: [Option<Checksum>; 3],
    module_maker: Option<MakerId>,
}

/// Why bytes are no SPD image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SpdError {
    /// No bytes.
    #[error("the image is empty")]
    Empty,
    /// Less than any EEPROM holds.
    #[error("{0} bytes are less than the {MIN_BYTES} of the smallest image")]
    TooShort(usize),
    /// More than any EEPROM of a module holds.
    #[error("{0} bytes are more than the {MAX_BYTES} of the largest image")]
    TooLarge(usize),
    /// The same byte all over: blank memory, or a read that nothing answered.
    #[error("every byte is {0:#04x}, so nothing was read or the EEPROM is blank")]
    Blank(u8),
    /// Byte 2 is no memory type that is known here.
    #[error("not an SPD image: byte 2 is {0:#04x}, which is no memory type that is known")]
    UnknownType(u8),
}

/// Decodes an image. A short one gives what is there.
pub fn parse(bytes: &[u8]) -> Result<Spd<'_>, SpdError> {
    let &first = bytes.first().ok_or(SpdError::Empty)?;
    if bytes.len() > MAX_BYTES {
        return Err(SpdError::TooLarge(bytes.len()));
    }
    if bytes.len() < MIN_BYTES {
        return Err(SpdError::TooShort(bytes.len()));
    }
    if bytes.iter().all(|&byte| byte == first) {
        return Err(SpdError::Blank(first));
    }
    let dram = DramType::of(bytes[2]).ok_or(SpdError::UnknownType(bytes[2]))?;
    let page_alias = page::repeats(bytes);
    // After a page that was not switched, only the first one is what it says.
    let image = Image(if page_alias { &bytes[..page::first_bytes(dram).min(bytes.len())] } else { bytes });
    let mut spd = Spd {
        image,
        layout: None,
        size_bytes: bytes.len(),
        page_alias,
        ddimm: false,
        dram,
        module_type: None,
        spd_revision: image.byte(1),
        geometry: Geometry::default(),
        speed_mts: None,
        timing: Timing::default(),
        chips: Chips::default(),
        checksums: [None; 3],
        module_maker: None,
    };
    let differential = image.bits(3, 3, 0) == Some(10);
    match dram {
        DramType::Ddr | DramType::Ddr2 => legacy::decode(&mut spd),
        DramType::Ddr3 => ddr3::decode(&mut spd),
        DramType::Ddr4 | DramType::Ddr5 if differential || bytes.len() == DDIMM_BYTES => {
            spd.ddimm = true;
            ddr5::decode_ddimm(&mut spd);
        }
        DramType::Ddr4 => ddr4::decode(&mut spd),
        DramType::Ddr5 => ddr5::decode(&mut spd),
        DramType::Lpddr3 | DramType::Lpddr4 | DramType::Lpddr4X | DramType::Lpddr5 | DramType::Lpddr5X => {
            low_power(&mut spd);
        }
    }
    if spd.module_maker.is_none() {
        spd.module_maker = spd.layout.and_then(|layout| image.array(layout.maker)).map(MakerId);
    }
    Ok(spd)
}

/// SHA-256 of an image, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

/// Whether bytes are an SPD image with more certainty than one type byte gives: the first checksum fits, or, for an image
/// that was damaged or edited, everything else of the first bytes is as JEDEC has it.
pub fn recognise(bytes: &[u8]) -> bool {
    const SIZES: [usize; 5] = [128, 256, 512, 1024, DDIMM_BYTES];
    if !SIZES.contains(&bytes.len()) {
        return false;
    }
    let Ok(spd) = parse(bytes) else { return false };
    let [used, revision] = [bytes[0], bytes[1]];
    let sizes_fit = match spd.dram {
        DramType::Ddr | DramType::Ddr2 => (0x80, 0x08) == (used, revision),
        DramType::Ddr3 => matches!(used & 0x0f, 1..=3) && matches!(used >> 4 & 7, 1 | 2),
        DramType::Ddr5 | DramType::Lpddr5X | DramType::Lpddr5 if bytes.len() >= 1024 => used >> 4 & 7 == 3 || spd.ddimm,
        _ => matches!(used & 0x0f, 1..=7) && used >> 4 & 7 <= 4,
    };
    let checked = spd.checksums().next().is_some_and(|sum| sum.fits() && sum.stored != 0);
    let plausible = revision >> 4 <= 1 || matches!(spd.dram, DramType::Ddr | DramType::Ddr2 | DramType::Lpddr3);
    let built = spd.geometry.capacity_mib.is_some() || !spd.dram.is_decoded() || spd.ddimm || spd.page_alias;
    checked || (sizes_fit && plausible && built && spd.module_type.is_some())
}

impl<'a> Spd<'a> {
    /// Checksums whose range and sum are in the image.
    pub fn checksums(&self) -> impl Iterator<Item = &Checksum> {
        self.checksums.iter().flatten()
    }

    /// Revision of the layout: `1.2`.
    pub fn spd_revision_text(&self) -> Option<String> {
        self.spd_revision.map(|revision| format!("{}.{}", revision >> 4, revision & 0xf))
    }

    /// Bytes that can be believed: all of them, or the first page.
    pub fn readable_bytes(&self) -> usize {
        self.image.0.len()
    }

    /// The module's maker. `None` where its bytes are not in the image.
    pub fn module_maker(&self) -> Option<MakerId> {
        self.module_maker
    }

    /// The DRAM's maker.
    pub fn dram_maker(&self) -> Option<MakerId> {
        self.image.array(self.layout?.dram_maker?).map(MakerId)
    }

    /// Place of manufacture, the maker's own code.
    pub fn location(&self) -> Option<u8> {
        self.layout.filter(|_| !self.ddimm).and_then(|layout| self.image.byte(layout.location))
    }

    /// Year and week as they are stored.
    pub fn date_bytes(&self) -> Option<[u8; 2]> {
        self.layout.filter(|_| !self.ddimm).and_then(|layout| self.image.array(layout.date))
    }

    /// Week of manufacture.
    pub fn date(&self) -> Option<Date> {
        let bytes = self.date_bytes()?;
        let decimal = |byte: u8| (byte >> 4 <= 9 && byte & 0xf <= 9).then_some((byte >> 4) * 10 + (byte & 0xf));
        Some(match (bytes, bytes.map(decimal)) {
            ([0, 0] | [0xff, 0xff], _) => Date::NotProgrammed,
            (_, [Some(year), Some(week @ 1..=53)]) => {
                Date::Week(if year >= 96 { 1900 } else { 2000 } + u16::from(year), week)
            }
            _ => Date::Invalid(bytes),
        })
    }

    /// Serial number, in the order of the bytes.
    pub fn serial(&self) -> Option<[u8; 4]> {
        self.layout.filter(|_| !self.ddimm).and_then(|layout| self.image.array(layout.serial))
    }

    /// Whether the serial number was never written: 00000000 or FFFFFFFF.
    pub fn serial_is_blank(&self) -> bool {
        matches!(self.serial(), Some([0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff]))
    }

    /// Maker, place, date and serial: the nine bytes that no two modules share.
    pub fn module_id(&self) -> Option<[u8; 9]> {
        let (maker, place, date) = (self.module_maker()?.0, self.location()?, self.date_bytes()?);
        let serial = self.serial()?;
        let mut id = [0; 9];
        id[..2].copy_from_slice(&maker);
        id[2] = place;
        id[3..5].copy_from_slice(&date);
        id[5..].copy_from_slice(&serial);
        Some(id)
    }

    /// Part number as it is stored, padding and all.
    pub fn part_number_bytes(&self) -> Option<&'a [u8]> {
        let (start, end) = self.layout?.part;
        self.image.slice(start, end)
    }

    /// Part number without padding, hostile until it is escaped. Empty where none was written.
    pub fn part_number(&self) -> Option<String> {
        let bytes = self.part_number_bytes()?;
        let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ' | 0xff)).map_or(0, |last| last + 1);
        Value::text_from_bytes(&bytes[..end]).ok()
    }

    /// Revision of the module as it is stored, one or two bytes.
    pub fn revision(&self) -> Option<&'a [u8]> {
        let (start, end) = self.layout?.revision;
        self.image.slice(start, end)
    }

    /// Stepping of the DRAM; FFh is not stated. `None` before DDR4.
    pub fn dram_stepping(&self) -> Option<u8> {
        let stepping = self.layout?.dram_maker? + 2;
        matches!(self.dram, DramType::Ddr4 | DramType::Ddr5).then(|| self.image.byte(stepping))?
    }

    /// Every maker's id that was written, and whose it is.
    pub fn maker_ids(&self) -> impl Iterator<Item = (&'static str, MakerId)> {
        let chip = |chip: Option<Chip>| chip.map(|chip| chip.maker);
        let [first, second, third] = self.chips.pmics;
        [
            ("module maker", self.module_maker()),
            ("DRAM maker", self.dram_maker()),
            ("hub maker", chip(self.chips.hub)),
            ("PMIC maker", chip(first)),
            ("PMIC 1 maker", chip(second)),
            ("PMIC 2 maker", chip(third)),
            ("register maker", chip(self.chips.register)),
            ("buffer maker", chip(self.chips.buffer)),
        ]
        .into_iter()
        .filter_map(|(whose, id)| id.filter(|id| id.is_programmed()).map(|id| (whose, id)))
    }

    /// Ids with a wrong parity bit: `module maker 14F7`.
    pub fn parity_bad(&self) -> Vec<String> {
        self.maker_ids().filter(|(_, id)| !id.parity_fits()).map(|(whose, id)| format!("{whose} {id}")).collect()
    }

    /// Ids that JEP106 does not list: `module maker 14F7`.
    pub fn unknown_makers(&self) -> Vec<String> {
        self.maker_ids().filter(|(_, id)| id.name().is_none()).map(|(whose, id)| format!("{whose} {id}")).collect()
    }

    /// Bytes that the module's maker uses as it likes.
    fn maker_area(&self) -> Option<&'a [u8]> {
        let (start, end) = self.layout?.maker_area;
        self.image.slice(start, end)
    }

    /// Bytes that are left to who builds machines. Empty where the image ends before them.
    fn user_area(&self) -> Option<&'a [u8]> {
        let (start, end) = self.layout?.user_area;
        self.image.slice(start, end)
    }
}

/// LPDDR: what the module's maker wrote has the place that it has in a DDR4 or DDR5 image of that size.
fn low_power(spd: &mut Spd<'_>) {
    let image = spd.image;
    let sum = if spd.size_bytes >= 1024 {
        spd.layout = Some(&ddr5::LAYOUT);
        Checksum::crc(image, 0, 509)
    } else {
        spd.layout = (spd.size_bytes == 512).then_some(&ddr4::LAYOUT);
        Checksum::crc(image, 0, 125)
    };
    // Firmware that keeps such an image for soldered memory leaves the sum out.
    spd.checksums[0] = sum.filter(|sum| sum.stored != 0);
    spd.module_type = match image.bits(3, 3, 0) {
        Some(2) => Some("LPDIMM"),
        Some(3) => Some("SO-DIMM"),
        Some(7) => Some("LPCAMM2"),
        Some(8) => Some("CAMM2"),
        Some(9) => Some("SOCAMM2"),
        Some(11 | 14) => Some("soldered"),
        _ => None,
    };
}

/// The standard data rate, in MT/s, whose clock has that period; the rate itself where none is within 1 %.
fn speed_mts(tck_ps: Option<u32>, standard: &[u32]) -> Option<u32> {
    let tck_ps = tck_ps.filter(|&ps| ps > 0)?;
    let rate = 2_000_000 / tck_ps;
    Some(standard.iter().copied().find(|&grade| grade.abs_diff(rate) * 100 <= grade).unwrap_or(rate))
}

/// log2 of a density in Mbit, in bits; what is no power of two rounds up.
fn address_bits(density_mbit: u32) -> u32 {
    20 + density_mbit.next_power_of_two().ilog2()
}
