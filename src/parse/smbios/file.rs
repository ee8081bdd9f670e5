//! Files that hold SMBIOS data: `dmidecode --dump-bin`, a bare structure table, `dmidecode`'s text.
//!
//! ```text
//! dump: entry point at 0, table where it points to; dmidecode puts 20h there
//!       _SM_: address, dword at 18h (DSP0134, 5.2.1)      _SM3_: address, qword at 10h (5.2.2)
//!       _DMI_: address, dword at 08h, version 0Eh (the intermediate entry point alone)
//! ```

use super::{Inventory, Structure, Table, dmidecode};
use crate::parse::plain_text;

/// Bytes that a file may have. The largest servers have tables of 100 KB; a table of the 64-bit entry point has no limit.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Why a file cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("neither an SMBIOS table nor what dmidecode prints")]
pub struct NotSmbios;

/// What a file says, whichever of the forms it has. A damaged table gives what came before the damage.
///
/// Errors: none of the forms fits.
pub fn parse_file(bytes: &[u8]) -> Result<Inventory, NotSmbios> {
    if let Some(text) = plain_text::decode(bytes) {
        return if dmidecode::recognise(&text) { Ok(dmidecode::parse(&text)) } else { Err(NotSmbios) };
    }
    let inventory = table_of(bytes).ok_or(NotSmbios)?.inventory();
    let known = entry_point(bytes).is_some() || is_plausible(&inventory.structures);
    if known { Ok(inventory) } else { Err(NotSmbios) }
}

/// The table of a dump, or the bytes as a table.
fn table_of(bytes: &[u8]) -> Option<Table> {
    let table = match entry_point(bytes) {
        Some((entry_bytes, address)) => {
            // A copy that kept the address in memory has the table behind the entry point all the same.
            let at = usize::try_from(address).ok().filter(|&at| at >= entry_bytes && at < bytes.len()).unwrap_or(0x20);
            Table::parse(bytes.get(at..)?, Some(bytes))
        }
        None => Table::parse(bytes, None),
    };
    (!table.is_empty()).then_some(table)
}

/// Bytes of the entry point at the start, and the address of the table in it.
fn entry_point(bytes: &[u8]) -> Option<(usize, u64)> {
    let number = |offset: usize, length: usize| {
        let field = bytes.get(offset..offset + length)?;
        Some(field.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte)))
    };
    if bytes.starts_with(b"_SM3_") {
        Some((0x18, number(0x10, 8)?))
    } else if bytes.starts_with(b"_SM_") {
        Some((0x1f, number(0x18, 4)?))
    } else if bytes.starts_with(b"_DMI_") {
        Some((0x0f, number(8, 4)?))
    } else {
        None
    }
}

/// Whether bytes that can be cut into structures are a table by chance only: real tables tell of the system, of
/// processors or of memory, and each handle once.
fn is_plausible(structures: &[Structure]) -> bool {
    const SHORTEST: [(u8, u8); 5] = [(0, 0x12), (1, 0x08), (2, 0x08), (4, 0x1a), (17, 0x15)];
    let telling = structures
        .iter()
        .any(|it| SHORTEST.iter().any(|(kind, length)| it.kind == *kind && it.length_bytes >= Some(*length)));
    let strange = structures.iter().filter(|it| matches!(it.kind, 47..=125)).count();
    telling && (structures.len() > 1 || structures.iter().any(|it| it.kind == 17)) && strange * 4 <= structures.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> Vec<u8> {
        let system = [&[1, 8, 0, 1, 1, 2, 0, 0][..], b"Maker\0Product\0\0"].concat();
        [&system[..], &[127, 4, 0, 2, 0, 0]].concat()
    }

    #[test]
    fn dumps_of_every_entry_point_and_none() {
        let mut short = b"_SM_\0\x1f\x02\x08".to_vec();
        short.resize(0x20, 0);
        let mut pointed = short.clone();
        pointed[0x18] = 0x20;
        short[0x18..0x1c].copy_from_slice(&0x000e_9690u32.to_le_bytes());
        let mut long = b"_SM3_\0\x18\x03\x02\x01".to_vec();
        long.resize(0x20, 0);
        long[0x10] = 0x20;
        for (head, version) in [(Vec::new(), None), (short, Some("2.8")), (pointed, Some("2.8")), (long, Some("3.2.1"))]
        {
            let inventory = parse_file(&[head, table()].concat()).unwrap();
            assert_eq!(inventory.version.map(|it| it.to_string()).as_deref(), version);
            assert_eq!(inventory.system.unwrap().product.into_known().as_deref(), Some("Product"));
            assert_eq!(inventory.damage, None);
        }
        for other in [&b"_SM_"[..], b"_SM3_\0\0\0", b"", &[0; 512], &[0xff; 512], b"\x7fELF\x02\x01\x01\0"] {
            assert!(parse_file(other).is_err(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            head in prop::sample::select(vec![&b""[..], b"_SM_", b"_SM3_", b"_DMI_"]),
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = parse_file(&[head, &bytes].concat());
        }
    }
}
