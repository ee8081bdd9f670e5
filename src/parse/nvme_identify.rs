//! NVMe Identify data structures (NVM Express Base Specification 2.0, 5.17.2; NVM Command Set Specification 1.0, 4.1.5).
//!
//! ```text
//! controller (CNS 01h)                      namespace (CNS 00h)
//! 0   PCI vendor id, word                   0    size in logical blocks, qword
//! 2   PCI subsystem vendor id, word         104  NGUID, 16 bytes, big-endian
//! 4   serial number, 20 ASCII bytes         120  EUI-64, 8 bytes, big-endian
//! 24  model number, 40 ASCII bytes
//! 64  firmware revision, 8 ASCII bytes
//! 73  IEEE OUI of the maker, 3 bytes, little-endian
//! ```

use crate::evidence::Value;

/// Bytes of every Identify data structure.
pub const LENGTH: usize = 4096;

/// Identify Controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// PCI vendor id.
    pub vendor_id: u16,
    /// PCI subsystem vendor id.
    pub subsystem_vendor_id: u16,
    /// Serial number; `None` where it is blank.
    pub serial: Option<String>,
    /// Model number; `None` where it is blank.
    pub model: Option<String>,
    /// Firmware revision; `None` where it is blank.
    pub firmware: Option<String>,
    /// IEEE OUI of the maker, 24 bits.
    pub ieee_oui: u32,
}

/// Identify Namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Size in logical blocks.
    pub blocks: u64,
    /// Namespace globally unique id in hexadecimal; `None` where it is zero, which means none.
    pub nguid: Option<String>,
    /// IEEE extended unique id in hexadecimal; `None` where it is zero, which means none.
    pub eui64: Option<String>,
}

/// Reads an Identify Controller structure. `None` when it is shorter than [`LENGTH`].
pub fn controller(data: &[u8]) -> Option<Controller> {
    let data: &[u8; LENGTH] = data.try_into().ok()?;
    let text =
        |range: std::ops::Range<usize>| Value::text_from_bytes(&data[range]).ok().filter(|text| !text.is_empty());
    Some(Controller {
        vendor_id: u16::from_le_bytes([data[0], data[1]]),
        subsystem_vendor_id: u16::from_le_bytes([data[2], data[3]]),
        serial: text(4..24),
        model: text(24..64),
        firmware: text(64..72),
        ieee_oui: u32::from_le_bytes([data[73], data[74], data[75], 0]),
    })
}

/// Reads an Identify Namespace structure. `None` when it is shorter than [`LENGTH`].
pub fn namespace(data: &[u8]) -> Option<Namespace> {
    let data: &[u8; LENGTH] = data.try_into().ok()?;
    let id = |bytes: &[u8]| bytes.iter().any(|&byte| byte != 0).then(|| hex::encode(bytes));
    let mut blocks = [0; 8];
    blocks.copy_from_slice(&data[..8]);
    Some(Namespace { blocks: u64::from_le_bytes(blocks), nguid: id(&data[104..120]), eui64: id(&data[120..128]) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controller_fields() {
        let mut data = vec![0; LENGTH];
        data[..4].copy_from_slice(&[0x4d, 0x14, 0x4d, 0x14]);
        data[4..24].copy_from_slice(b"S64GNE0R100001      ");
        data[24..64].copy_from_slice(b"SAMSUNG MZQL23T8HCLS-00A07              ");
        data[64..72].copy_from_slice(b"GDC5902Q");
        let found = controller(&data).unwrap();
        assert_eq!((found.vendor_id, found.subsystem_vendor_id), (0x144d, 0x144d));
        assert_eq!(found.serial.as_deref(), Some("S64GNE0R100001"));
        assert_eq!(found.model.as_deref(), Some("SAMSUNG MZQL23T8HCLS-00A07"));
        assert_eq!(found.firmware.as_deref(), Some("GDC5902Q"));
        assert_eq!(controller(&data[1..]), None);
        assert_eq!(namespace(&vec![0; LENGTH]).unwrap().nguid, None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128), whole: bool) {
            let mut bytes = bytes;
            if whole {
                bytes.resize(LENGTH, 0xee);
            }
            controller(&bytes);
            namespace(&bytes);
        }
    }
}
