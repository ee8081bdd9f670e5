//! PCI configuration space (PCI Express Base Specification 6.0, chapter 7).
//!
//! ```text
//! 00h vendor id, word         0Eh header type: bits 6:0 layout (0 device, 1 bridge), bit 7 several functions
//! 02h device id, word         2Ch subsystem vendor id, 2Eh subsystem id (layout 0)
//! 06h status: bit 4 = list    34h first capability: id, next, ... from 40h on
//! 08h revision                100h first extended capability: id 15:0, version 19:16, next 31:20
//! 09h class code, 3 bytes
//!
//! PCI Express capability (10h, 7.5.3)        Device Serial Number (0003h, 7.9.3)   Resizable BAR (0015h, 7.8.6)
//! +02h flags: 7:4 port type, 8 slot          +04h lower, +08h upper dword          +04h + 8n sizes: bits 31:4, from 1 MB
//! +0Ch link capabilities: 3:0 speed, 9:4 width                                     +08h + 8n control: 2:0 BAR, 7:5 count,
//! +12h link status: 3:0 speed, 9:4 width                                               13:8 size, 31:16 more sizes
//! +14h slot capabilities: 31:19 number
//! Subsystem ids of bridges (0Dh, PCI-to-PCI Bridge 1.2, 3.2.5.14): +04h vendor, +06h id
//! ```
//!
//! An unprivileged reader gets the first 64 bytes only, so what lies behind them is `Denied` then.

use crate::evidence::Reading;

/// Bytes that an unprivileged reader gets.
const HEADER_BYTES: usize = 64;
const LEGACY_BYTES: usize = 256;
const EXTENDED_BYTES: usize = 4096;
const EXPRESS: u8 = 0x10;
const BRIDGE_SUBSYSTEM: u8 = 0x0d;
const SERIAL_NUMBER: u16 = 0x0003;
const RESIZABLE_BAR: u16 = 0x0015;
const MIB: u64 = 1 << 20;

/// The configuration space of one function.
#[derive(Debug, Clone, Copy)]
pub struct ConfigSpace<'a> {
    bytes: &'a [u8],
}

/// Width and speed of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Lanes.
    pub width: Reading<u64>,
    /// Mega-transfers a second and lane: 32000 for generation 5.
    pub speed_mts: Reading<u64>,
}

/// Sizes of the largest resizable BAR, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResizableBar {
    /// Size that is set.
    pub current_bytes: u64,
    /// Largest size that the device supports.
    pub max_bytes: u64,
}

impl<'a> ConfigSpace<'a> {
    /// Takes what was read: 64, 256 or 4,096 bytes, or 260 where no extended capability follows. Fails when it is shorter than the header, or all ones: a device
    /// that is gone answers so.
    pub fn new(bytes: &'a [u8]) -> Reading<Self> {
        if bytes.len() < HEADER_BYTES {
            return Reading::Failed(format!("configuration space of {} bytes", bytes.len()));
        }
        // What comes back where nothing answers: all ones, or zeros behind some bridges.
        if bytes[..4] == [0xff; 4] || bytes[..4] == [0; 4] {
            return Reading::Failed("the function does not answer".to_owned());
        }
        Reading::Known(Self { bytes: &bytes[..bytes.len().min(EXTENDED_BYTES)] })
    }

    fn word(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes.get(offset..offset.checked_add(2)?)?.try_into().ok()?))
    }

    fn dword(&self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
    }

    /// A register inside a capability: behind the end of what was read it is damaged.
    fn register<T>(value: Option<T>) -> Reading<T> {
        value.map_or_else(|| Reading::Failed("a capability reaches over the end".to_owned()), Reading::Known)
    }

    /// Vendor id.
    pub fn vendor_id(&self) -> u16 {
        self.word(0).unwrap_or(u16::MAX)
    }

    /// Device id.
    pub fn device_id(&self) -> u16 {
        self.word(2).unwrap_or(u16::MAX)
    }

    /// Revision id.
    pub fn revision(&self) -> u8 {
        self.bytes[0x08]
    }

    /// Class code: base class, subclass, programming interface. `0x030200` is a 3D controller.
    pub fn class(&self) -> u32 {
        self.dword(0x08).unwrap_or(0) >> 8
    }

    fn layout(&self) -> u8 {
        self.bytes[0x0e] & 0x7f
    }

    /// Subsystem vendor id and subsystem id. A bridge has them in a capability.
    pub fn subsystem(&self) -> Reading<(u16, u16)> {
        let offset = match self.layout() {
            0 => Reading::Known(0x2c),
            1 => self.capability(BRIDGE_SUBSYSTEM).map(|offset| offset + 4),
            _ => Reading::Absent,
        };
        offset
            .and_then(|offset| Self::register(self.word(offset).zip(self.word(offset + 2))))
            .and_then(|ids| if ids == (0, 0) { Reading::Absent } else { Reading::Known(ids) })
    }

    /// Offset of a capability.
    fn capability(&self, id: u8) -> Reading<usize> {
        const STATUS_LIST: u16 = 1 << 4;
        if self.word(0x06).is_none_or(|status| status & STATUS_LIST == 0) {
            return Reading::Absent;
        }
        if self.bytes.len() <= HEADER_BYTES {
            return Reading::Denied;
        }
        let mut offset = usize::from(self.bytes[0x34] & 0xfc);
        // A list of distinct offsets cannot be longer.
        for _ in 0..(LEGACY_BYTES - HEADER_BYTES) / 4 {
            if offset < HEADER_BYTES {
                return Reading::Absent;
            }
            match self.word(offset).map(u16::to_le_bytes) {
                None => return Reading::Failed("the capability list leads over the end".to_owned()),
                Some([0xff, _]) => return Reading::Failed("the capability list is damaged".to_owned()),
                Some([found, _]) if found == id => return Reading::Known(offset),
                Some([_, next]) => offset = usize::from(next & 0xfc),
            }
        }
        Reading::Failed("the capability list is circular".to_owned())
    }

    /// Offset of an extended capability.
    fn extended(&self, id: u16) -> Reading<usize> {
        match self.capability(EXPRESS) {
            Reading::Known(_) => {}
            other => return other,
        }
        if self.bytes.len() <= LEGACY_BYTES {
            return Reading::Unsupported;
        }
        let mut offset = LEGACY_BYTES;
        for _ in 0..(EXTENDED_BYTES - LEGACY_BYTES) / 4 {
            let Some(header) = self.dword(offset) else {
                return Reading::Failed("the extended capability list leads over the end".to_owned());
            };
            if header == 0 || header == u32::MAX {
                return Reading::Absent;
            }
            if header & 0xffff == u32::from(id) {
                return Reading::Known(offset);
            }
            offset = (header >> 20 & 0xffc) as usize;
            if offset == 0 {
                return Reading::Absent;
            }
            if offset < LEGACY_BYTES {
                return Reading::Failed("the extended capability list is damaged".to_owned());
            }
        }
        Reading::Failed("the extended capability list is circular".to_owned())
    }

    /// The PCI Express capability of a function that has a link. `Absent` for an endpoint inside the root complex.
    fn express_with_link(&self) -> Reading<usize> {
        const INTEGRATED: std::ops::RangeInclusive<u16> = 9..=10;
        self.capability(EXPRESS).and_then(|offset| {
            Self::register(self.word(offset + 2)).and_then(|flags| {
                if INTEGRATED.contains(&(flags >> 4 & 0xf)) { Reading::Absent } else { Reading::Known(offset) }
            })
        })
    }

    /// What the link can do.
    pub fn link_capability(&self) -> Link {
        let register =
            self.express_with_link().and_then(|offset| Self::register(self.dword(offset + 0x0c).map(|it| it as u16)));
        link(register)
    }

    /// What the link does now.
    pub fn link_status(&self) -> Link {
        link(self.express_with_link().and_then(|offset| Self::register(self.word(offset + 0x12))))
    }

    /// Physical slot number below a port. `Absent` where the port has no slot.
    pub fn slot_number(&self) -> Reading<u64> {
        const SLOT_IMPLEMENTED: u16 = 1 << 8;
        self.capability(EXPRESS).and_then(|offset| {
            Self::register(self.word(offset + 2).zip(self.dword(offset + 0x14))).and_then(|(flags, slot)| {
                match slot >> 19 {
                    number if flags & SLOT_IMPLEMENTED != 0 && number != 0 => Reading::Known(number.into()),
                    _ => Reading::Absent,
                }
            })
        })
    }

    /// Device Serial Number, highest byte first: `48-b0-2d-00-00-00-00-01`.
    pub fn serial_number(&self) -> Reading<String> {
        self.extended(SERIAL_NUMBER).and_then(|offset| {
            Self::register(self.dword(offset + 4).zip(self.dword(offset + 8))).map(|(lower, upper)| {
                let number = u64::from(upper) << 32 | u64::from(lower);
                number.to_be_bytes().map(|byte| format!("{byte:02x}")).join("-")
            })
        })
    }

    /// The largest resizable BAR.
    pub fn resizable_bar(&self) -> Reading<ResizableBar> {
        const MAX_BARS: u32 = 6;
        self.extended(RESIZABLE_BAR).and_then(|offset| {
            Self::register(self.dword(offset + 8)).and_then(|control| {
                let bars = (control >> 5 & 0x7).min(MAX_BARS);
                let mut largest: Option<ResizableBar> = None;
                for bar in 0..bars as usize {
                    let registers = self.dword(offset + 4 + 8 * bar).zip(self.dword(offset + 8 + 8 * bar));
                    let Some((sizes, control)) = registers else {
                        return Reading::Failed("a capability reaches over the end".to_owned());
                    };
                    // Bit n is 2^n MB: 0 to 27 in the first register, 28 to 43 in the second.
                    let supported = u64::from(sizes >> 4) | u64::from(control >> 16) << 28;
                    let Some(highest) = supported.checked_ilog2() else { continue };
                    let current = control >> 8 & 0x3f;
                    if current > 43 {
                        return Reading::Failed(format!("resizable BAR of size code {current}"));
                    }
                    let found = ResizableBar { current_bytes: MIB << current, max_bytes: MIB << highest };
                    largest = largest.filter(|it| it.max_bytes >= found.max_bytes).or(Some(found));
                }
                Reading::or_absent(largest)
            })
        })
    }
}

fn link(register: Reading<u16>) -> Link {
    Link {
        width: register.as_ref().and_then(|register| match register >> 4 & 0x3f {
            0 => Reading::Absent,
            width => Reading::Known(width.into()),
        }),
        speed_mts: register.and_then(|register| match register & 0xf {
            0 => Reading::Absent,
            1 => Reading::Known(2_500),
            2 => Reading::Known(5_000),
            code @ 3..=6 => Reading::Known(1_000 << code),
            code => Reading::Failed(format!("link speed code {code}")),
        }),
    }
}

/// Sizes in bytes of the BARs in use, from sysfs `resource`: a line `start end flags` a region, the BARs are the first
/// six. `None` when a line is not of that form.
pub fn bar_bytes(resource: &str) -> Option<Vec<u64>> {
    let mut sizes = Vec::new();
    for line in resource.lines().take(6) {
        let mut fields =
            line.split_ascii_whitespace().map(|field| u64::from_str_radix(field.strip_prefix("0x")?, 16).ok());
        let (start, end, flags) = (fields.next()??, fields.next()??, fields.next()??);
        if flags != 0 && end > start {
            sizes.push((end - start).checked_add(1)?);
        }
    }
    Some(sizes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gpu() -> Vec<u8> {
        let mut config = vec![0; EXTENDED_BYTES];
        config[..16].copy_from_slice(&[0xde, 0x10, 0x30, 0x23, 0, 0, 0x10, 0, 0xa1, 0, 2, 3, 0, 0, 0, 0]);
        config[0x2c..0x30].copy_from_slice(&[0xde, 0x10, 0xc1, 0x16]);
        config[0x34] = 0x60;
        config[0x60..0x62].copy_from_slice(&[0x01, 0x68]);
        config[0x68..0x6c].copy_from_slice(&[0x10, 0x00, 0x02, 0x00]);
        config[0x74..0x78].copy_from_slice(&0x105u32.to_le_bytes());
        config[0x7a..0x7c].copy_from_slice(&0x83u16.to_le_bytes());
        config[0x100..0x104].copy_from_slice(&(0x0003u32 | 1 << 16 | 0x200 << 20).to_le_bytes());
        config[0x104..0x10c].copy_from_slice(&0x48b0_2d00_0000_0001u64.to_le_bytes());
        config[0x200..0x204].copy_from_slice(&(0x0015u32 | 1 << 16).to_le_bytes());
        config[0x204..0x208].copy_from_slice(&(0b11_1111_1111_1111_1111u32 << 4).to_le_bytes());
        config[0x208..0x20c].copy_from_slice(&(1 | 1 << 5 | 17u32 << 8).to_le_bytes());
        config
    }

    #[test]
    fn fields_of_a_gpu() {
        let bytes = gpu();
        let config = ConfigSpace::new(&bytes).into_known().unwrap();
        assert_eq!((config.vendor_id(), config.device_id(), config.class()), (0x10de, 0x2330, 0x030200));
        assert_eq!(config.subsystem(), Reading::Known((0x10de, 0x16c1)));
        assert_eq!(config.link_capability(), Link { width: Reading::Known(16), speed_mts: Reading::Known(32_000) });
        assert_eq!(config.link_status(), Link { width: Reading::Known(8), speed_mts: Reading::Known(8_000) });
        assert_eq!(config.serial_number(), Reading::Known("48-b0-2d-00-00-00-00-01".to_owned()));
        let sizes = ResizableBar { current_bytes: 128 << 30, max_bytes: 128 << 30 };
        assert_eq!(config.resizable_bar(), Reading::Known(sizes));
        assert_eq!(config.slot_number(), Reading::Absent);
    }

    #[test]
    fn what_was_not_read_is_not_absent() {
        let bytes = gpu();
        let header = ConfigSpace::new(&bytes[..64]).into_known().unwrap();
        assert_eq!(header.link_status().width, Reading::Denied);
        assert_eq!(header.serial_number(), Reading::Denied);
        let legacy = ConfigSpace::new(&bytes[..256]).into_known().unwrap();
        assert_eq!(legacy.link_status().width, Reading::Known(8));
        assert_eq!(legacy.serial_number(), Reading::Unsupported);
        assert!(matches!(ConfigSpace::new(&[0xff; 256]), Reading::Failed(_)));
        assert!(matches!(ConfigSpace::new(&bytes[..63]), Reading::Failed(_)));
    }

    #[test]
    fn loops_end() {
        let mut bytes = gpu();
        bytes[0x61] = 0x60;
        let config = ConfigSpace::new(&bytes).into_known().unwrap();
        assert!(matches!(config.link_status().width, Reading::Failed(why) if why.contains("circular")));
        let mut bytes = gpu();
        bytes[0x100..0x104].copy_from_slice(&(0x0001u32 | 0x100 << 20).to_le_bytes());
        let config = ConfigSpace::new(&bytes).into_known().unwrap();
        assert!(matches!(config.serial_number(), Reading::Failed(why) if why.contains("circular")));
    }

    proptest! {
        #[test]
        fn never_panics(
            changes in proptest::collection::vec((0usize..EXTENDED_BYTES, any::<u8>()), 0..60),
            header in proptest::collection::vec((0usize..0x100, any::<u8>()), 0..60),
            length in prop::sample::select(vec![0usize, 63, 64, 100, 128, 256, 257, 1000, 4095, 4096, 5000]),
        ) {
            let mut bytes = gpu();
            for (offset, byte) in changes.into_iter().chain(header) {
                bytes[offset] = byte;
            }
            bytes.resize(length, 0x10);
            if let Reading::Known(config) = ConfigSpace::new(&bytes) {
                let _ = (config.vendor_id(), config.class(), config.revision(), config.subsystem());
                let _ = (config.link_capability(), config.link_status(), config.slot_number());
                let _ = (config.serial_number(), config.resizable_bar());
            }
        }

        #[test]
        fn resource_never_panics(text in "((0x[0-9a-f]{0,17}) ?|\n|\\PC){0,40}") {
            bar_bytes(&text);
        }
    }
}
