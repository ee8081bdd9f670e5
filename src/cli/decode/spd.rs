//! `yanji decode spd`.

use std::path::Path;

use serde::Serialize;
use yanji::parse::jep106::MakerId;
use yanji::parse::spd::{self, Checksum, Chip, Date, Spd};
use yanji::report;

use crate::cli::args::Format;
use crate::cli::output;

/// Bytes of a file that can hold an image: as text it is longer.
const MAX_FILE_BYTES: usize = 256 << 10;

/// Decodes and prints one image.
pub(super) fn run(file: &Path, format: Format) -> anyhow::Result<()> {
    let mut bytes =
        super::read(file, MAX_FILE_BYTES, "no EEPROM of a memory module holds that much; is it another file?")?;
    if let Some(image) = str::from_utf8(&bytes).ok().and_then(spd::from_text) {
        bytes = image;
    }
    let spd = spd::parse(&bytes).map_err(|error| {
        super::cannot_decode(
            file,
            error,
            "read it again: as root, cat /sys/bus/i2c/devices/*-0050/eeprom > FILE; 0051 and so on for the other slots",
        )
    })?;
    match format {
        Format::Plain | Format::Csv => output::print(&report::spd_plain(&spd, output::style())),
        Format::Json => output::print_json(&Decoded::new(&bytes, &spd)),
    }
}

/// The JSON document of an SPD image. Ids and sums are hexadecimal text; `null` is what the image does not say, or what was
/// not read.
#[derive(Serialize)]
struct Decoded {
    size_bytes: usize,
    sha256: String,
    /// Upper pages repeat lower ones: the reading is void, and only the first page is decoded.
    page_alias: bool,
    dram_type: &'static str,
    module_type: Option<&'static str>,
    spd_revision: Option<String>,
    capacity_mib: Option<u64>,
    /// Package ranks.
    ranks: Option<u8>,
    /// With the dies of a 3D stack.
    logical_ranks: Option<u16>,
    die_density_mbit: Option<u32>,
    dies: Option<u8>,
    device_width_bits: Option<u8>,
    bus_width_bits: Option<u16>,
    ecc_bits: Option<u16>,
    addressing_fits: Option<bool>,
    speed_mts: Option<u32>,
    timing: DecodedTiming,
    module_maker: Option<&'static str>,
    module_maker_id: Option<String>,
    dram_maker: Option<&'static str>,
    dram_maker_id: Option<String>,
    dram_stepping: Option<String>,
    /// `module maker 14F7`.
    parity_bad: Vec<String>,
    unknown_makers: Vec<String>,
    part_number: Option<String>,
    serial: Option<String>,
    /// `2023-W31`.
    date: Option<String>,
    date_bytes: Option<String>,
    location: Option<String>,
    revision: Option<String>,
    /// Maker, place, date and serial as stored.
    module_id: Option<String>,
    crc: Vec<DecodedCrc>,
    hub: Option<DecodedChip>,
    pmics: Vec<DecodedChip>,
    register: Option<DecodedChip>,
    buffer: Option<DecodedChip>,
    lot: Option<String>,
    lot_maker: Option<&'static str>,
    long_serial: Option<String>,
    oem_mark: Option<&'static str>,
    oem_part: Option<String>,
    profiles: Option<Vec<&'static str>>,
    error_log_entries: Option<usize>,
}

#[derive(Serialize)]
struct DecodedTiming {
    tck_min_ps: Option<u32>,
    tck_max_ps: Option<u32>,
    cas_latencies: Vec<u32>,
    taa_ps: Option<u32>,
    trcd_ps: Option<u32>,
    trp_ps: Option<u32>,
    tras_ps: Option<u32>,
    trc_ps: Option<u32>,
    tfaw_ps: Option<u32>,
    trrd_s_ps: Option<u32>,
    trrd_l_ps: Option<u32>,
    tccd_l_ps: Option<u32>,
    twr_ps: Option<u32>,
    trfc1_ps: Option<u32>,
    trfc2_ps: Option<u32>,
    trfc4_ps: Option<u32>,
    trfc_sb_ps: Option<u32>,
}

#[derive(Serialize)]
struct DecodedCrc {
    /// First and last byte.
    range: String,
    stored: String,
    computed: String,
    ok: bool,
}

#[derive(Serialize)]
struct DecodedChip {
    maker: Option<&'static str>,
    maker_id: String,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    revision: String,
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode_upper(bytes))
}

impl Decoded {
    fn new(bytes: &[u8], spd: &Spd<'_>) -> Self {
        let geometry = &spd.geometry;
        let [module_maker, dram_maker] =
            [spd.module_maker(), spd.dram_maker()].map(|id| id.filter(|id| id.is_programmed()));
        let lot = spd.lot();
        let (lot, lot_maker) = lot.map_or((None, None), |lot| (Some(lot.code), lot.shape_of));
        let oem = spd.oem_mark();
        let (oem_mark, oem_part) = oem.map_or((None, None), |mark| (Some(mark.oem), mark.part));
        Self {
            size_bytes: spd.size_bytes,
            sha256: spd::sha256(bytes),
            page_alias: spd.page_alias,
            dram_type: spd.dram.name(),
            module_type: spd.module_type,
            spd_revision: spd.spd_revision_text(),
            capacity_mib: geometry.capacity_mib,
            ranks: geometry.ranks,
            logical_ranks: geometry.logical_ranks,
            die_density_mbit: geometry.die_density_mbit,
            dies: geometry.dies,
            device_width_bits: geometry.device_width_bits,
            bus_width_bits: geometry.bus_width_bits,
            ecc_bits: geometry.ecc_bits,
            addressing_fits: geometry.addressing_fits,
            speed_mts: spd.speed_mts,
            timing: DecodedTiming::from(&spd.timing),
            module_maker: module_maker.and_then(MakerId::name),
            module_maker_id: module_maker.map(|id| id.to_string()),
            dram_maker: dram_maker.and_then(MakerId::name),
            dram_maker_id: dram_maker.map(|id| id.to_string()),
            dram_stepping: spd.dram_stepping().filter(|stepping| *stepping != 0xff).map(|it| hexadecimal(&[it])),
            parity_bad: spd.parity_bad(),
            unknown_makers: spd.unknown_makers(),
            part_number: spd.part_number().filter(|text| !text.is_empty()),
            serial: spd.serial().map(hex::encode_upper),
            date: spd.date().filter(|date| matches!(date, Date::Week(..))).map(|date| date.to_string()),
            date_bytes: spd.date_bytes().map(hex::encode_upper),
            location: spd.location().map(|place| hexadecimal(&[place])),
            revision: spd.revision().map(hexadecimal),
            module_id: spd.module_id().map(hex::encode_upper),
            crc: spd.checksums().map(DecodedCrc::from).collect(),
            hub: spd.chips.hub.as_ref().map(DecodedChip::from),
            pmics: spd.chips.pmics.iter().flatten().map(DecodedChip::from).collect(),
            register: spd.chips.register.as_ref().map(DecodedChip::from),
            buffer: spd.chips.buffer.as_ref().map(DecodedChip::from),
            lot,
            lot_maker,
            long_serial: spd.samsung_long_serial(),
            oem_mark,
            oem_part,
            profiles: spd.profiles(),
            error_log_entries: spd.error_log_entries(),
        }
    }
}

impl From<&spd::Timing> for DecodedTiming {
    fn from(timing: &spd::Timing) -> Self {
        Self {
            tck_min_ps: timing.tck_min_ps,
            tck_max_ps: timing.tck_max_ps,
            cas_latencies: timing.cas_latencies(),
            taa_ps: timing.taa_ps,
            trcd_ps: timing.trcd_ps,
            trp_ps: timing.trp_ps,
            tras_ps: timing.tras_ps,
            trc_ps: timing.trc_ps,
            tfaw_ps: timing.tfaw_ps,
            trrd_s_ps: timing.trrd_s_ps,
            trrd_l_ps: timing.trrd_l_ps,
            tccd_l_ps: timing.tccd_l_ps,
            twr_ps: timing.twr_ps,
            trfc1_ps: timing.trfc1_ps,
            trfc2_ps: timing.trfc2_ps,
            trfc4_ps: timing.trfc4_ps,
            trfc_sb_ps: timing.trfc_sb_ps,
        }
    }
}

impl From<&Checksum> for DecodedCrc {
    fn from(sum: &Checksum) -> Self {
        Self { range: sum.range(), stored: sum.show(sum.stored), computed: sum.show(sum.computed), ok: sum.fits() }
    }
}

impl From<&Chip> for DecodedChip {
    fn from(chip: &Chip) -> Self {
        Self {
            maker: chip.maker.name(),
            maker_id: chip.maker.to_string(),
            kind: chip.kind,
            revision: hexadecimal(&[chip.revision]),
        }
    }
}
