//! DDR and DDR2.
//!
//! ```text
//! 3    rows                      4  columns
//! 5    DDR: ranks; DDR2 bits 2-0: ranks - 1
//! 6    data width with check bits
//! 9    tCKmin: high nibble ns, low nibble tenths; A, B, C, D are .25, .33, .66, .75
//! 11   configuration: DDR 2 ECC; DDR2 bit 1 ECC
//! 13   DRAM width                17 banks
//! 20   DDR2 module type
//! 62   revision                  63 sum of 0-62
//! 64   maker: continuation codes 7Fh, then the id
//! 72   place   73-90 part number   91-92 revision   93-94 year, week   95-98 serial
//! ```

use super::{Checksum, DramType, Geometry, Image, Layout, MakerId, Spd, Timing, speed_mts};

static LAYOUT: Layout = Layout {
    maker: 64,
    location: 72,
    date: 93,
    serial: 95,
    part: (73, 91),
    revision: (91, 93),
    dram_maker: None,
    maker_area: (99, 128),
    user_area: (128, 256),
};

pub(super) fn decode(spd: &mut Spd<'_>) {
    let (image, dram) = (spd.image, spd.dram);
    spd.layout = Some(&LAYOUT);
    spd.spd_revision = image.byte(62);
    spd.checksums[0] = Checksum::sum(image, 62);
    spd.module_maker = maker(image);
    spd.timing = Timing { tck_min_ps: tck_ps(image), ..Timing::default() };
    let grades: &[u32] = if dram == DramType::Ddr { &[200, 266, 333, 400] } else { &[400, 533, 667, 800, 1066] };
    spd.speed_mts = speed_mts(spd.timing.tck_min_ps, grades);
    if dram == DramType::Ddr2 {
        spd.module_type = match image.byte(20) {
            Some(0x01) => Some("RDIMM"),
            Some(0x02) => Some("UDIMM"),
            Some(0x04) => Some("SO-DIMM"),
            Some(0x05) => Some("72b-SO-CDIMM"),
            Some(0x06) => Some("72b-SO-RDIMM"),
            Some(0x07) => Some("72b-SO-UDIMM"),
            Some(0x08) => Some("Micro-DIMM"),
            Some(0x10) => Some("Mini-RDIMM"),
            Some(0x20) => Some("Mini-UDIMM"),
            _ => None,
        };
    }
    spd.geometry = geometry(image, dram).unwrap_or_default();
}

fn geometry(image: Image<'_>, dram: DramType) -> Option<Geometry> {
    let ranks = match dram {
        DramType::Ddr => image.byte(5)?,
        _ => image.bits(5, 2, 0)? + 1,
    };
    let width = image.byte(6)?;
    let (bus, ecc) = match width {
        64 => (64, 0),
        72 => (64, 8),
        _ => return None,
    };
    let (rows, columns, banks) = (image.bits(3, 4, 0)?, image.bits(4, 3, 0)?, image.byte(17)?);
    let plausible = (1..=8).contains(&ranks) && (8..=16).contains(&rows) && (7..=14).contains(&columns);
    if !plausible || !matches!(banks, 2 | 4 | 8) {
        return None;
    }
    let bytes = (1u64 << (rows + columns)) * u64::from(banks) * 8 * u64::from(ranks);
    Some(Geometry {
        capacity_mib: Some(bytes >> 20),
        ranks: Some(ranks),
        logical_ranks: Some(ranks.into()),
        device_width_bits: image.bits(13, 6, 0).filter(|width| matches!(width, 4 | 8 | 16 | 32)),
        bus_width_bits: Some(bus),
        ecc_bits: Some(ecc),
        ..Geometry::default()
    })
}

fn tck_ps(image: Image<'_>) -> Option<u32> {
    let nanoseconds = u32::from(image.bits(9, 7, 4)?) * 1000;
    Some(
        nanoseconds
            + [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 250, 333, 667, 750]
                .get(usize::from(image.bits(9, 3, 0)?))?,
    )
}

/// Eight bytes: as many 7Fh as there are continuation codes, then the id. Made into the two bytes of later generations.
fn maker(image: Image<'_>) -> Option<MakerId> {
    let bytes: [u8; 8] = image.array(64)?;
    let continuation = bytes.iter().take_while(|byte| **byte == 0x7f).count();
    let &id = bytes.get(continuation)?;
    if matches!(id, 0 | 0xff) {
        return Some(MakerId([0, 0]));
    }
    let parity = if continuation.count_ones() % 2 == 0 { 0x80 } else { 0 };
    Some(MakerId([continuation as u8 | parity, id]))
}
