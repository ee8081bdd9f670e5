//! DDR3 (JESD21-C 4.1.2.11).
//!
//! ```text
//! 0    bit 7: CRC covers 0-116, else 0-125
//! 3    bits 3-0 module type
//! 4    bits 3-0 density 256 Mb << n
//! 7    bits 5-3 ranks - 1; bits 2-0 width 4 << n
//! 8    bits 4-3 check bits (1 = 8); bits 2-0 width 8 << n
//! 9    fine time base in ps: dividend, divisor    10-11 medium time base in ns: dividend, divisor
//! 12 tCKmin (34 fine)   14-15 CAS latencies from 4   16 tAA (35)   17 tWR   18 tRCD (36)   19 tRRD   20 tRP (37)
//! 21-23 tRAS, tRC (38)  24-25 tRFC   28-29 tFAW
//! 33   bit 7 stack; bits 6-4 dies: 0 not stated, else 1 << (n - 1)
//! 65-66 register maker, 67 its revision (RDIMM)
//! 117-118 maker   119 place   120-121 date   122-125 serial   126-127 CRC   128-145 part number   146-147 revision
//! 148-149 DRAM maker   150-175 maker's area   176-255 user's area
//! ```

use super::{Checksum, Chip, Chips, Geometry, Image, Layout, MakerId, Spd, Timing, speed_mts};

static LAYOUT: Layout = Layout {
    maker: 117,
    location: 119,
    date: 120,
    serial: 122,
    part: (128, 146),
    revision: (146, 148),
    dram_maker: Some(148),
    maker_area: (150, 176),
    user_area: (176, 256),
};

pub(super) fn decode(spd: &mut Spd<'_>) {
    let image = spd.image;
    spd.layout = Some(&LAYOUT);
    let last = if image.bits(0, 7, 7) == Some(1) { 116 } else { 125 };
    spd.checksums[0] = Checksum::crc_at(image, 0, last, 126);
    spd.module_type = match image.bits(3, 3, 0) {
        Some(1) => Some("RDIMM"),
        Some(2) => Some("UDIMM"),
        Some(3) => Some("SO-DIMM"),
        Some(4) => Some("Micro-DIMM"),
        Some(5) => Some("Mini-RDIMM"),
        Some(6) => Some("Mini-UDIMM"),
        Some(7) => Some("Mini-CDIMM"),
        Some(8) => Some("72b-SO-UDIMM"),
        Some(9) => Some("72b-SO-RDIMM"),
        Some(10) => Some("72b-SO-CDIMM"),
        Some(11) => Some("LRDIMM"),
        Some(12) => Some("16b-SO-DIMM"),
        Some(13) => Some("32b-SO-DIMM"),
        _ => None,
    };
    spd.geometry = geometry(image);
    spd.timing = timing(image).unwrap_or_default();
    spd.speed_mts = speed_mts(spd.timing.tck_min_ps, &[800, 1066, 1333, 1600, 1866, 2133]);
    if matches!(spd.module_type, Some("RDIMM" | "LRDIMM")) {
        spd.chips = Chips { register: register(image), ..Chips::default() };
    }
}

fn register(image: Image<'_>) -> Option<Chip> {
    let maker = MakerId(image.array(65)?);
    maker.is_programmed().then_some(Chip { maker, kind: None, revision: image.byte(67)? })
}

fn geometry(image: Image<'_>) -> Geometry {
    let density = image.bits(4, 3, 0).filter(|code| *code <= 6).map(|code| 256u32 << code);
    let width = image.bits(7, 2, 0).filter(|code| *code <= 3).map(|code| 4u8 << code);
    let bus = image.bits(8, 2, 0).filter(|code| *code <= 3).map(|code| 8u16 << code);
    let ranks = image.bits(7, 5, 3).and_then(|code| match code {
        0..=3 => Some(code + 1),
        4 => Some(8),
        _ => None,
    });
    let capacity = || Some(u64::from(density?) / 8 * u64::from(bus?) / u64::from(width?) * u64::from(ranks?));
    Geometry {
        capacity_mib: capacity(),
        ranks,
        logical_ranks: ranks.map(u16::from),
        die_density_mbit: density,
        dies: image.bits(33, 6, 4).and_then(|code| match code {
            1..=4 => Some(1 << (code - 1)),
            _ => None,
        }),
        device_width_bits: width,
        bus_width_bits: bus,
        ecc_bits: image.bits(8, 4, 3).filter(|code| *code <= 1).map(|code| u16::from(code) * 8),
        // Tables that firmware keeps for soldered DDR3 break the rule, with nothing wrong.
        addressing_fits: None,
    }
}

fn timing(image: Image<'_>) -> Option<Timing> {
    let ratio =
        |dividend: u8, divisor: u8, unit: u32| (divisor > 0).then(|| u32::from(dividend) * unit / u32::from(divisor));
    let medium = ratio(image.byte(10)?, image.byte(11)?, 1000).filter(|ps| *ps > 0)?;
    // In thousandths of a ps; 0 where no fine base is stated.
    let fine = ratio(image.bits(9, 7, 4)?, image.bits(9, 3, 0)?, 1000).unwrap_or(0);
    let time = |units: u16, correction: Option<u8>| {
        let fine = i64::from(correction.unwrap_or(0) as i8) * i64::from(fine) / 1000;
        u32::try_from(i64::from(units) * i64::from(medium) + fine).ok().filter(|ps| *ps > 0)
    };
    let short = |offset: usize, fine: Option<usize>| {
        time(image.byte(offset)?.into(), fine.and_then(|offset| image.byte(offset)))
    };
    let long = |low: usize, high: Option<u8>, fine: Option<usize>| {
        let units = u16::from(high?) << 8 | u16::from(image.byte(low)?);
        time(units, fine.and_then(|offset| image.byte(offset)))
    };
    Some(Timing {
        tck_min_ps: short(12, Some(34)),
        taa_ps: short(16, Some(35)),
        twr_ps: short(17, None),
        trcd_ps: short(18, Some(36)),
        trrd_s_ps: None,
        trp_ps: short(20, Some(37)),
        tras_ps: long(22, image.bits(21, 3, 0), None),
        trc_ps: long(23, image.bits(21, 7, 4), Some(38)),
        trfc1_ps: image.word(24).and_then(|units| time(units, None)),
        tfaw_ps: long(29, image.bits(28, 3, 0), None),
        cas: image.word(14).map(|mask| (u64::from(mask & 0x7fff), 4, 1)),
        ..Timing::default()
    })
}
