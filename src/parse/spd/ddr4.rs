//! DDR4 (JESD21-C 4.1.2.L).
//!
//! ```text
//! 3    bits 3-0 module type
//! 4    bits 7-6 bank group bits; bits 5-4 bank bits - 2; bits 3-0 density
//! 5    bits 5-3 rows - 12; bits 2-0 columns - 9
//! 6    bits 6-4 dies - 1; bits 1-0: 1 several ranks in a package, 2 a 3D stack behind one load
//! 12   bit 6 ranks of two kinds; bits 5-3 package ranks - 1; bits 2-0 width 4 << n
//! 13   bits 4-3 check bits (1 = 8); bits 2-0 width 8 << n
//! 17   time bases: 0 is 125 ps and 1 ps
//! 18 (125 fine) tCKmin   19 (124) tCKmax   20-23 CAS latencies, from 7 or, with bit 7 of byte 23, from 23
//! 24 (123) tAA   25 (122) tRCD   26 (121) tRP   27-29 (120) tRAS, tRC   30-35 tRFC1, 2, 4   36-37 tFAW
//! 38 (119) tRRD_S   39 (118) tRRD_L   40 (117) tCCD_L   41-42 tWR
//! 126-127 CRC of 0-125
//! 131-135 register: maker 133-134, revision 135 (RDIMM, LRDIMM)
//! 254-255 CRC of 128-253
//! 320-321 maker   322 place   323-324 date   325-328 serial   329-348 part number   349 revision
//! 350-351 DRAM maker   352 stepping   353-381 maker's area   384-511 user's area
//! ```

use super::{Checksum, Chip, Chips, Geometry, Image, Layout, MakerId, Spd, Timing, address_bits, speed_mts};

pub(super) static LAYOUT: Layout = Layout {
    maker: 320,
    location: 322,
    date: 323,
    serial: 325,
    part: (329, 349),
    revision: (349, 350),
    dram_maker: Some(350),
    maker_area: (353, 382),
    user_area: (384, 512),
};

pub(super) fn decode(spd: &mut Spd<'_>) {
    let image = spd.image;
    spd.layout = Some(&LAYOUT);
    spd.checksums = [Checksum::crc(image, 0, 125), Checksum::crc(image, 128, 253), None];
    spd.module_type = match image.bits(3, 3, 0) {
        Some(1) => Some("RDIMM"),
        Some(2) => Some("UDIMM"),
        Some(3) => Some("SO-DIMM"),
        Some(4) => Some("LRDIMM"),
        Some(5) => Some("Mini-RDIMM"),
        Some(6) => Some("Mini-UDIMM"),
        Some(8) => Some("72b-SO-RDIMM"),
        Some(9) => Some("72b-SO-UDIMM"),
        Some(12) => Some("16b-SO-DIMM"),
        Some(13) => Some("32b-SO-DIMM"),
        _ => None,
    };
    spd.geometry = geometry(image);
    if image.bits(17, 3, 0) == Some(0) {
        spd.timing = timing(image);
    }
    spd.speed_mts = speed_mts(spd.timing.tck_min_ps, &[1600, 1866, 2133, 2400, 2666, 2933, 3200]);
    if matches!(spd.module_type, Some("RDIMM" | "LRDIMM" | "Mini-RDIMM" | "72b-SO-RDIMM")) {
        spd.chips = Chips { register: register(image), ..Chips::default() };
    }
}

fn register(image: Image<'_>) -> Option<Chip> {
    let maker = MakerId(image.array(133)?);
    maker.is_programmed().then_some(Chip { maker, kind: None, revision: image.byte(135)? })
}

fn geometry(image: Image<'_>) -> Geometry {
    const DENSITY_MBIT: [u32; 10] =
        [256, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 12 << 10, 24 << 10];
    let density = image.bits(4, 3, 0).and_then(|code| DENSITY_MBIT.get(usize::from(code)).copied());
    let width = image.bits(12, 2, 0).filter(|code| *code <= 3).map(|code| 4u8 << code);
    let bus = image.bits(13, 2, 0).filter(|code| *code <= 3).map(|code| 8u16 << code);
    let ranks = image.bits(12, 5, 3).map(|code| code + 1);
    let dies = image.bits(6, 6, 4).map(|code| code + 1);
    // In packages with several loads, the dies are counted as ranks already.
    let stacked = image.bits(6, 1, 0).and_then(|signal| match signal {
        0 | 1 => Some(1),
        2 => dies,
        _ => None,
    });
    let logical_ranks = ranks.zip(stacked).map(|(ranks, dies)| u16::from(ranks) * u16::from(dies));
    let alike = image.bits(12, 6, 6) == Some(0);
    let addressing = || {
        let bits = [
            image.bits(5, 5, 3).filter(|rows| *rows <= 6)? + 12,
            image.bits(5, 2, 0).filter(|columns| *columns <= 3)? + 9,
            image.bits(4, 5, 4)? + 2,
            image.bits(4, 7, 6)?,
            width?.ilog2() as u8,
        ];
        Some(bits.into_iter().map(u32::from).sum::<u32>() == address_bits(density?))
    };
    let capacity = || Some(u64::from(density?) / 8 * u64::from(bus?) / u64::from(width?) * u64::from(logical_ranks?));
    Geometry {
        capacity_mib: capacity().filter(|_| alike),
        ranks,
        logical_ranks,
        die_density_mbit: density,
        dies,
        device_width_bits: width,
        bus_width_bits: bus,
        ecc_bits: image.bits(13, 4, 3).filter(|code| *code <= 1).map(|code| u16::from(code) * 8),
        addressing_fits: addressing(),
    }
}

fn timing(image: Image<'_>) -> Timing {
    const MEDIUM_PS: i32 = 125;
    let time = |units: u16, fine: Option<usize>| {
        let fine = fine.and_then(|offset| image.byte(offset)).unwrap_or(0) as i8;
        u32::try_from(i32::from(units) * MEDIUM_PS + i32::from(fine)).ok().filter(|ps| *ps > 0)
    };
    let short = |offset: usize, fine: usize| time(image.byte(offset)?.into(), Some(fine));
    let long = |low: usize, high: Option<u8>, fine: Option<usize>| {
        time(u16::from(high?) << 8 | u16::from(image.byte(low)?), fine)
    };
    let word = |offset: usize| image.word(offset).and_then(|units| time(units, None));
    Timing {
        tck_min_ps: short(18, 125),
        tck_max_ps: short(19, 124),
        taa_ps: short(24, 123),
        trcd_ps: short(25, 122),
        trp_ps: short(26, 121),
        tras_ps: long(28, image.bits(27, 3, 0), None),
        trc_ps: long(29, image.bits(27, 7, 4), Some(120)),
        trfc1_ps: word(30),
        trfc2_ps: word(32),
        trfc4_ps: word(34),
        tfaw_ps: long(37, image.bits(36, 3, 0), None),
        trrd_s_ps: short(38, 119),
        trrd_l_ps: short(39, 118),
        tccd_l_ps: short(40, 117),
        twr_ps: long(42, image.bits(41, 3, 0), None),
        cas: image
            .array(20)
            .map(u32::from_le_bytes)
            .map(|mask| (u64::from(mask & 0x3fff_ffff), if mask >> 31 == 1 { 23 } else { 7 }, 1)),
        ..Timing::default()
    }
}
