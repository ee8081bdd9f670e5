//! What the guests are made of: SMBIOS structures, SPD images, PCI config spaces.

use crate::smbios::Structure;
use crate::spd::SpdImage;

/// The structures for an array of `count` 64 GiB DDR4 modules (SMBIOS 3.7, 7.17 and 7.18), one file's content each; the
/// modules in `twins` share a serial number.
pub fn memory_structures(count: usize, twins: &[usize]) -> Vec<Vec<u8>> {
    let array = Structure::new(16, 0x1000, 23)
        .put(4, &[3, 3, 6])
        .put(7, &0x8000_0000u32.to_le_bytes())
        .put(11, &0xfffeu16.to_le_bytes())
        .put(13, &u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes())
        .put(15, &((count as u64 * 64) << 30).to_le_bytes());
    let mut structures = vec![array.bytes()];
    for index in 0..count {
        let channel = char::from(b'A' + u8::try_from(index / 2).unwrap_or(0));
        let serial =
            if twins.contains(&index) { "3C91E5D2".to_owned() } else { format!("8A41{:04X}", 0x17b3 + index * 977) };
        let handle = 0x1100 + u16::try_from(index).unwrap_or(0);
        let module = Structure::new(17, handle, 0x5c)
            .put(4, &0x1000u16.to_le_bytes())
            .put(6, &0xfffeu16.to_le_bytes())
            .put(8, &72u16.to_le_bytes())
            .put(10, &64u16.to_le_bytes())
            .put(12, &0x7fffu16.to_le_bytes())
            .put(14, &[9])
            .text(16, &format!("DIMM_{channel}{}", index % 2))
            .text(17, &format!("P0 CHANNEL {channel}"))
            .put(18, &[0x1a])
            .put(19, &0x2080u16.to_le_bytes())
            .put(21, &3200u16.to_le_bytes())
            .text(23, "Samsung")
            .text(24, &serial)
            .text(26, "M393A8G40CB4-CWE")
            .put(27, &[2])
            .put(28, &(64u32 * 1024).to_le_bytes())
            .put(32, &3200u16.to_le_bytes())
            .put(34, &1200u16.to_le_bytes())
            .put(36, &1200u16.to_le_bytes())
            .put(38, &1200u16.to_le_bytes())
            .put(40, &[3])
            .put(41, &8u16.to_le_bytes())
            .put(44, &0xce80u16.to_le_bytes())
            .put(60, &(64u64 << 30).to_le_bytes());
        structures.push(module.bytes());
    }
    structures
}

/// SPD images of `count` modules with serial numbers of their own, except for the `twins`.
pub fn modules(like: &SpdImage, count: u8, twins: &[u8]) -> Vec<SpdImage> {
    let serial =
        |index: u8| if twins.contains(&index) { [0x3c, 0x91, 0xe5, 0xd2] } else { [0x9b, 0x17 + index, 0xc4, index] };
    (0..count).map(|index| SpdImage { serial: serial(index), ..like.clone() }).collect()
}

/// Config space of an H100 SXM (PCI Express Base Specification 6.0, 7.5): a link that can do 32 GT/s on 16 lanes, and the link
/// that was trained.
pub fn h100_config(speed: u8, width: u8) -> Vec<u8> {
    let mut config = express_config(0x2330, 0x00, speed, width);
    put(&mut config, 0x08, &[0xa1, 0x00, 0x02, 0x03]);
    put(&mut config, 0x2c, &0x10deu16.to_le_bytes());
    put(&mut config, 0x2e, &0x16c1u16.to_le_bytes());
    config
}

/// Config space of the root port above it, on whose other side bus `bus` lies (7.5.1.3). Its windows are shut: base above limit.
pub fn root_port_config(bus: u8, speed: u8, width: u8) -> Vec<u8> {
    let mut config = express_config(0x352a, 0x40, speed, width);
    put(&mut config, 0x00, &0x8086u16.to_le_bytes());
    put(&mut config, 0x08, &[0x04, 0x00, 0x04, 0x06]);
    put(&mut config, 0x0e, &[0x01]);
    put(&mut config, 0x18, &[0, bus, bus]);
    put(&mut config, 0x1c, &[0xf0, 0x00]);
    put(&mut config, 0x20, &[0xf0, 0xff, 0x00, 0x00, 0xf0, 0xff, 0x00, 0x00]);
    config
}

/// What port and device have in common: identity, power management, and a PCI Express capability of version 2 whose device and
/// port type is in the upper half of `kind` (7.5.3.2).
fn express_config(device: u16, kind: u8, speed: u8, width: u8) -> Vec<u8> {
    let mut config = vec![0; 4096];
    put(&mut config, 0x00, &0x10deu16.to_le_bytes());
    put(&mut config, 0x02, &device.to_le_bytes());
    put(&mut config, 0x06, &0x0010u16.to_le_bytes());
    put(&mut config, 0x34, &[0x60]);
    put(&mut config, 0x60, &[0x01, 0x68, 0x03, 0x00]);
    put(&mut config, 0x68, &[0x10, 0x00, kind | 2, 0x00]);
    put(&mut config, 0x6c, &0x0000_8fe1u32.to_le_bytes());
    put(&mut config, 0x74, &((16u32 << 4) | 5).to_le_bytes());
    put(&mut config, 0x7a, &((u16::from(width) << 4) | u16::from(speed)).to_le_bytes());
    put(&mut config, 0x94, &0x3eu32.to_le_bytes());
    config
}

fn put(config: &mut [u8], offset: usize, bytes: &[u8]) {
    config[offset..offset + bytes.len()].copy_from_slice(bytes);
}
