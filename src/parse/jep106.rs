//! Makers by their JEP106 id, as SPD and SMBIOS store it.
//!
//! ```text
//! first byte   bits 6-0 continuation codes (bank - 1), bit 7 odd parity
//! second byte  bits 6-0 id in that bank, bit 7 odd parity
//! ```

use std::fmt;

use jep106::JEP106Code;

/// Entries that the `jep106` crate 0.3.0 lacks, most of them beside a page break of the PDF that it is made from:
/// continuation codes, id, maker. Names as in i2c-tools 4.3.
const PATCH: &[(u8, u8, &str)] = &[
    (0, 0x37, "Zarlink (former Plessey)"),
    (0, 0x70, "QUALCOMM"),
    (1, 0x37, "AMIC Technology"),
    (1, 0x46, "American Computer & Digital Components Inc"),
    (1, 0x6f, "Advantage Memory"),
    (2, 0x36, "Hi/fn"),
    (2, 0x6f, "MultiLink Technology"),
    (3, 0x35, "API NetWorks"),
    (3, 0x6e, "Litchfield Communication"),
    (4, 0x34, "Quake Technologies"),
    (4, 0x6d, "Supreme Top Technology Ltd."),
    (5, 0x33, "Telecis Wireless, Inc."),
    (5, 0x6c, "Tego"),
    (6, 0x32, "Montage Technology Group"),
    (6, 0x53, "Silicon Power Computer & Communications"),
    (6, 0x6a, "Contour Semiconductor Inc."),
    (7, 0x69, "High Bridge Solutions Industria Eletronica"),
    (8, 0x4e, "Cal-Comp Industria de Semicondutores"),
    (8, 0x6d, "Guangzhou Si Nuo Electronic Technology"),
    (9, 0x1f, "Shenzhen City Futian District Qing Xuan Tong Computer Trading Firm"),
    (10, 0x12, "Guangzhou Xinyi Heng Computer Trading Firm"),
    (10, 0x25, "Shenzhen Qianhai Weishengda Electronic Commerce Company Ltd"),
];

/// The two bytes of a maker's id as they are stored, with parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MakerId(pub [u8; 2]);

impl MakerId {
    /// Samsung.
    pub const SAMSUNG: Self = Self([0x80, 0xce]);
    /// SK hynix.
    pub const SK_HYNIX: Self = Self([0x80, 0xad]);
    /// Micron.
    pub const MICRON: Self = Self([0x80, 0x2c]);
    /// Kingston.
    pub const KINGSTON: Self = Self([0x01, 0x98]);

    /// Whether somebody wrote an id at all: 0000 and FFFF are blank memory.
    pub fn is_programmed(self) -> bool {
        !matches!(self.0, [0, 0] | [0xff, 0xff])
    }

    /// Whether both bytes have odd parity.
    pub fn parity_fits(self) -> bool {
        self.0.iter().all(|byte| byte.count_ones() % 2 == 1)
    }

    /// The maker, whatever the parity bits are. `None` where JEP106 as it is known here does not list it.
    pub fn name(self) -> Option<&'static str> {
        let [continuation, id] = self.0.map(|byte| byte & 0x7f);
        if !self.is_programmed() {
            return None;
        }
        let patched = PATCH.iter().find(|(cc, code, _)| (*cc, *code) == (continuation, id));
        JEP106Code::get_raw(continuation, id).or(patched.map(|(_, _, name)| *name))
    }
}

/// `80CE`.
impl fmt::Display for MakerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}{:02X}", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parity() {
        for (bytes, name) in [
            ([0x80, 0xce], "Samsung"),
            ([0x80, 0xad], "SK Hynix"),
            ([0x80, 0x2c], "Micron Technology"),
            ([0x01, 0x98], "Kingston"),
            ([0x86, 0x32], "Montage Technology Group"),
        ] {
            let id = MakerId(bytes);
            assert_eq!((id.name(), id.parity_fits(), id.is_programmed()), (Some(name), true, true), "{id}");
        }
        assert_eq!(MakerId([0x14, 0xf7]).to_string(), "14F7");
        assert!(!MakerId([0x14, 0xf7]).parity_fits());
        assert!(!MakerId([0x0a, 0xc8]).parity_fits());
        for blank in [[0, 0], [0xff, 0xff]] {
            assert_eq!((MakerId(blank).is_programmed(), MakerId(blank).name()), (false, None));
        }
        assert_eq!(MakerId([0x7f, 0x7f]).name(), None);
    }

    /// A patch that the crate has caught up with would hide its correction.
    #[test]
    fn no_patch_is_superfluous() {
        for (continuation, id, name) in PATCH {
            assert_eq!(JEP106Code::get_raw(*continuation, *id), None, "{name}");
        }
    }
}
