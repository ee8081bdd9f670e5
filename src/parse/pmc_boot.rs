//! Registers in BAR 0 of an NVIDIA chip that say which chip it is: `PMC_BOOT_0` and `PMC_BOOT_1`, and the fuses with its
//! per-device identifier (PDI).
//!
//! ```text
//! 0  28:24 architecture (its sixth bit is bit 8)  23:20 implementation  7:4 and 3:0 revision
//! 4  17:16 0 the real chip, 1 para-virtual, 2 a virtual function
//! ```
//!
//! Fields: `nv_ref.h` of NVIDIA's open kernel modules. Chips: `nvkm/engine/device/base.c` of the Linux driver nouveau and
//! `drivers/gpu/nova-core/gpu.rs`. PDI: `hal/fuse/fuse_ga100.c` and `include/nvgpu/hw/ga100/hw_fuse_ga100.h` of NVIDIA's
//! driver nvgpu. Of other chips for servers and desktops no published header names the registers.

use crate::evidence::Reading;

/// Architecture, prefix of the chip names, and implementation numbers with the rest of the name.
type Family = (u32, &'static str, &'static [(u32, &'static str)]);

const FAMILIES: &[Family] = &[
    (0x0e, "GK", &[(4, "104"), (6, "106"), (7, "107"), (10, "20A")]),
    (0x0f, "GK", &[(0, "110"), (1, "110B")]),
    (0x10, "GK", &[(6, "208B"), (8, "208")]),
    (0x11, "GM", &[(7, "107"), (8, "108")]),
    (0x12, "GM", &[(0, "200"), (4, "204"), (6, "206"), (11, "20B")]),
    (0x13, "GP", &[(0, "100"), (2, "102"), (4, "104"), (6, "106"), (7, "107"), (8, "108"), (11, "10B")]),
    (0x14, "GV", &[(0, "100")]),
    (0x16, "TU", &[(2, "102"), (4, "104"), (6, "106"), (7, "117"), (8, "116")]),
    (0x17, "GA", &[(0, "100"), (2, "102"), (3, "103"), (4, "104"), (6, "106"), (7, "107")]),
    (0x18, "GH", &[(0, "100")]),
    (0x19, "AD", &[(2, "102"), (3, "103"), (4, "104"), (6, "106"), (7, "107")]),
    (0x1a, "GB", &[(0, "100"), (2, "102")]),
    (0x1b, "GB", &[(2, "202"), (3, "203"), (5, "205"), (6, "206"), (7, "207")]),
];

/// Whether the value came from a chip. A bus where nothing answers reads as all ones, and a chip never says zero.
pub fn answered(boot0: u32) -> Reading<u32> {
    match boot0 {
        u32::MAX => Reading::Failed("the chip does not answer: all bits are set".to_owned()),
        0 => Reading::Failed("the chip does not answer: all bits are clear".to_owned()),
        // The kernel and the chip's own bus answer so for a register that cannot be reached.
        _ if boot0 >> 16 == 0xbadf => Reading::Failed(format!("the chip answers with an error: {boot0:#010x}")),
        _ => Reading::Known(boot0),
    }
}

/// Name of the chip: `AD102`.
pub fn chip(boot0: u32) -> Reading<String> {
    answered(boot0).and_then(|boot0| {
        let architecture = (boot0 >> 24 & 0x1f) | (boot0 >> 8 & 1) << 5;
        let implementation = boot0 >> 20 & 0xf;
        let Some((_, prefix, chips)) = FAMILIES.iter().find(|family| family.0 == architecture) else {
            return Reading::Failed(format!("architecture {architecture:#04x} has no name here"));
        };
        match chips.iter().find(|chip| chip.0 == implementation) {
            Some((_, rest)) => Reading::Known(format!("{prefix}{rest}")),
            None => {
                // Names of one family differ in their last digit.
                let family = chips.first().map_or("", |chip| &chip.1[..2]);
                Reading::Failed(format!("{prefix}{family}? (implementation {implementation} has no name here)"))
            }
        }
    })
}

/// Whether the register is that of a real chip, and not of one that a hypervisor shows.
pub fn real(boot1: u32) -> Reading<()> {
    match boot1 >> 16 & 0b11 {
        0 => Reading::Known(()),
        1 => Reading::Failed("a para-virtual GPU has no register of its own".to_owned()),
        _ if boot1 == u32::MAX => Reading::Failed("the chip does not answer: all bits are set".to_owned()),
        _ => Reading::Failed("a virtual function has no register of its own".to_owned()),
    }
}

/// Offsets of `FUSE_OPT_PDI_0` and `FUSE_OPT_PDI_1`, for the chips where they are published. Read elsewhere, another fuse's
/// value would accuse a genuine card.
pub fn pdi_registers(chip: &str) -> Option<[u32; 2]> {
    (chip == "GA100").then_some([0x0082_0344, 0x0082_0348])
}

/// The PDI of its two registers. Zero is that of a chip without one.
pub fn pdi(low: u32, high: u32) -> Reading<u64> {
    if low == 0 && high == 0 {
        return Reading::Absent;
    }
    for half in [low, high] {
        // A half may be zero where the other is not.
        if let Reading::Failed(why) = answered(half.max(1)) {
            return Reading::Failed(why);
        }
    }
    Reading::Known(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chips() {
        for (value, name) in [
            (0x1920_00a1, "AD102"),
            (0x1800_00a1, "GH100"),
            (0x1720_00a1, "GA102"),
            (0x1680_00a1, "TU116"),
            (0x1400_00a1, "GV100"),
            (0x1320_00a1, "GP102"),
            (0x1b20_00a1, "GB202"),
            (0x1a00_00a1, "GB100"),
            (0x0f10_00a1, "GK110B"),
        ] {
            assert_eq!(chip(value), Reading::Known(name.to_owned()), "{value:#x}");
        }
    }

    #[test]
    fn what_is_no_chip() {
        assert!(matches!(chip(0x1990_00a1), Reading::Failed(why) if why.starts_with("AD10?")));
        // The sixth bit of the architecture makes another one of it.
        assert!(matches!(chip(0x1920_01a1), Reading::Failed(why) if why.contains("0x39")));
        for value in [0, u32::MAX, 0xbadf_5040] {
            assert!(matches!(chip(value), Reading::Failed(why) if why.contains("the chip")), "{value:#x}");
        }
        assert_eq!(real(0), Reading::Known(()));
        assert!(matches!(real(1 << 16), Reading::Failed(why) if why.contains("para-virtual")));
        assert!(matches!(real(2 << 16), Reading::Failed(why) if why.contains("virtual function")));
    }

    #[test]
    fn identifiers() {
        assert_eq!(pdi(0xbae9_74c7, 0x4917_e5a9), Reading::Known(0x4917_e5a9_bae9_74c7));
        assert_eq!(pdi(0, 0x4917_e5a9), Reading::Known(0x4917_e5a9_0000_0000));
        assert_eq!(pdi(0, 0), Reading::Absent);
        for (low, high) in [(0xbadf_5040, 0x4917_e5a9), (0xbae9_74c7, 0xbadf_1100), (u32::MAX, u32::MAX), (0, u32::MAX)]
        {
            assert!(matches!(pdi(low, high), Reading::Failed(_)), "{low:#x} {high:#x}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(value: u32) {
            let _ = (chip(value), real(value), pdi(value, value));
        }
    }
}
