//! DDR5 (JESD400-5C), and what is known of IBM's differential modules.
//!
//! ```text
//! 3    bits 3-0 module type
//! 4    bits 7-5 dies; bits 4-0 density of a die
//! 5    bits 7-5 columns - 10; bits 4-0 rows - 16
//! 6    bits 7-5 width 4 << n
//! 7    bits 7-5 bank group bits; bits 2-0 bank bits
//! 20-21 tCKmin   22-23 tCKmax   24-28 CAS latencies: 20, 22, 24 …
//! 30-31 tAA   32-33 tRCD   34-35 tRP   36-37 tRAS   38-39 tRC   40-41 tWR     in ps
//! 42-43 tRFC1   44-45 tRFC2   46-47 tRFCsb                                    in ns
//! 194-197 hub   198-209 three PMICs   240-243 register or clock driver   244-247 data buffer:
//!      maker (2), type with bit 7 fitted, revision
//! 234  bit 6 ranks of two kinds; bits 5-3 package ranks - 1
//! 235  bits 7-5 sub-channels - 1; bits 4-3 check bits in each (1 = 4, 2 = 8); bits 2-0 width of each 8 << n
//! 510-511 CRC of 0-509
//! 512-513 maker   514 place   515-516 date   517-520 serial   521-550 part number   551 revision
//! 552-553 DRAM maker   554 stepping   555-639 maker's area   640-1023 user's area
//! ```
//!
//! A differential module (4,096 bytes, module type Ah) has three sums: 126-127 of 0-125, 446-447 of 192-445 and, in DDR5 ones,
//! 638-639 of 512-637. Its maker, part number and DRAM maker are where DDR5 has them; place, date and serial are not.

use super::{Checksum, Chip, Chips, DramType, Geometry, Image, Layout, MakerId, Spd, Timing, address_bits, speed_mts};

pub(super) static LAYOUT: Layout = Layout {
    maker: 512,
    location: 514,
    date: 515,
    serial: 517,
    part: (521, 551),
    revision: (551, 552),
    dram_maker: Some(552),
    maker_area: (555, 640),
    user_area: (640, 1024),
};

const GRADES: [u32; 17] =
    [3200, 3600, 4000, 4400, 4800, 5200, 5600, 6000, 6400, 6800, 7200, 7600, 8000, 8400, 8800, 9200, 9600];

const HUBS: &[&str] = &["SPD5118", "ESPD5216"];
const PMICS: &[&str] = &["PMIC5000", "PMIC5010", "PMIC5100", "PMIC5020", "PMIC5120", "PMIC5200", "PMIC5030"];
const REGISTERS: &[&str] = &["DDR5RCD01", "DDR5RCD02", "DDR5RCD03", "DDR5RCD04", "DDR5RCD05"];

/// Of the DRAM on a module that multiplexes two ranks: 12,800 MT/s on the bus are planned. A faster clock is none of a DRAM.
const FASTEST_MULTIPLEXED_MTS: u32 = 7200;

pub(super) fn decode(spd: &mut Spd<'_>) {
    let image = spd.image;
    spd.layout = Some(&LAYOUT);
    spd.checksums[0] = Checksum::crc(image, 0, 509);
    spd.module_type = match image.bits(3, 3, 0) {
        Some(1) => Some("RDIMM"),
        Some(2) => Some("UDIMM"),
        Some(3) => Some("SO-DIMM"),
        Some(4) => Some("LRDIMM"),
        Some(5) => Some("CUDIMM"),
        Some(6) => Some("CSODIMM"),
        Some(7) => Some("MRDIMM"),
        Some(8) => Some("CAMM2"),
        Some(11) => Some("soldered"),
        _ => None,
    };
    spd.geometry = geometry(image);
    spd.timing = timing(image);
    let dram_mts = speed_mts(spd.timing.tck_min_ps, &GRADES);
    spd.speed_mts = match spd.module_type {
        // The image states the clock of the DRAM; the buffers put the data of two ranks on the bus in turn.
        Some("MRDIMM") => dram_mts.filter(|dram_mts| *dram_mts <= FASTEST_MULTIPLEXED_MTS).map(|dram_mts| dram_mts * 2),
        _ => dram_mts,
    };
    let registers: &[&str] = if spd.module_type == Some("RDIMM") { REGISTERS } else { &[] };
    let registered = matches!(spd.module_type, Some("RDIMM" | "LRDIMM" | "MRDIMM" | "CUDIMM" | "CSODIMM"));
    let buffered = matches!(spd.module_type, Some("LRDIMM" | "MRDIMM"));
    spd.chips = Chips {
        hub: chip(image, 194, HUBS),
        pmics: [198, 202, 206].map(|offset| chip(image, offset, PMICS)),
        register: registered.then(|| chip(image, 240, registers)).flatten(),
        buffer: buffered.then(|| chip(image, 244, &[])).flatten(),
    };
}

pub(super) fn decode_ddimm(spd: &mut Spd<'_>) {
    let image = spd.image;
    spd.layout = Some(&LAYOUT);
    spd.module_type = Some("DDIMM");
    let third = Checksum::crc(image, 512, 637).filter(|sum| spd.dram == DramType::Ddr5 && sum.stored != 0);
    spd.checksums = [Checksum::crc(image, 0, 125), Checksum::crc(image, 192, 445), third];
}

/// A chip that is fitted.
fn chip(image: Image<'_>, offset: usize, kinds: &[&'static str]) -> Option<Chip> {
    let [first, second, kind, revision] = image.array(offset)?;
    let maker = MakerId([first, second]);
    (kind & 0x80 != 0 && maker.is_programmed()).then(|| Chip {
        maker,
        kind: kinds.get(usize::from(kind & 0xf)).copied(),
        revision,
    })
}

fn geometry(image: Image<'_>) -> Geometry {
    const DENSITY_MBIT: [u32; 9] = [0, 4 << 10, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 32 << 10, 48 << 10, 64 << 10];
    let density = image.bits(4, 4, 0).and_then(|code| DENSITY_MBIT.get(usize::from(code)).copied());
    let density = density.filter(|mbit| *mbit > 0);
    let dies_code = image.bits(4, 7, 5);
    let dies = dies_code.and_then(|code| [1u8, 2, 2, 4, 8, 16].get(usize::from(code)).copied());
    let width = image.bits(6, 7, 5).filter(|code| *code <= 3).map(|code| 4u8 << code);
    let ranks = image.bits(234, 5, 3).map(|code| code + 1);
    let channels = image.bits(235, 7, 5).filter(|code| *code <= 3).map(|code| 1u16 << code);
    let channel_bits = image.bits(235, 2, 0).filter(|code| *code <= 3).map(|code| 8u16 << code);
    let ecc = image.bits(235, 4, 3).filter(|code| *code <= 2).map(|code| u16::from(code) * 4);
    let bus = channels.zip(channel_bits).map(|(channels, bits)| channels * bits);
    let alike = image.bits(234, 6, 6) == Some(0);
    let stacked = dies_code.zip(dies).map(|(code, dies)| if code >= 2 { u16::from(dies) } else { 1 });
    let addressing = || {
        let bits = [
            image.bits(5, 4, 0).filter(|rows| *rows <= 4)? + 16,
            image.bits(5, 7, 5).filter(|columns| *columns <= 3)? + 10,
            image.bits(7, 7, 5)?,
            image.bits(7, 2, 0)?,
            width?.ilog2() as u8,
        ];
        Some(bits.into_iter().map(u32::from).sum::<u32>() == address_bits(density?))
    };
    // Density is that of a die here, so that the dies of every package count.
    let capacity =
        || Some(u64::from(bus? / u16::from(width?)) * u64::from(dies?) * u64::from(density?) / 8 * u64::from(ranks?));
    Geometry {
        capacity_mib: capacity().filter(|_| alike),
        ranks,
        logical_ranks: ranks.zip(stacked).map(|(ranks, dies)| u16::from(ranks) * dies),
        die_density_mbit: density,
        dies,
        device_width_bits: width,
        bus_width_bits: bus,
        ecc_bits: ecc.zip(channels).map(|(bits, channels)| bits * channels),
        addressing_fits: addressing(),
    }
}

fn timing(image: Image<'_>) -> Timing {
    let word =
        |offset: usize, unit_ps: u32| image.word(offset).map(|units| u32::from(units) * unit_ps).filter(|ps| *ps > 0);
    let [ps, ns] = [1, 1000];
    Timing {
        tck_min_ps: word(20, ps),
        tck_max_ps: word(22, ps),
        taa_ps: word(30, ps),
        trcd_ps: word(32, ps),
        trp_ps: word(34, ps),
        tras_ps: word(36, ps),
        trc_ps: word(38, ps),
        twr_ps: word(40, ps),
        trfc1_ps: word(42, ns),
        trfc2_ps: word(44, ns),
        trfc_sb_ps: word(46, ns),
        cas: image.array(24).map(|[a, b, c, d, e]| (u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]), 20, 2)),
        ..Timing::default()
    }
}
