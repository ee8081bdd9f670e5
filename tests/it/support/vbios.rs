//! VBIOS images made from named fields.
//!
//! ```text
//! let image = VbiosImage { device_id: 0x2204, ..VbiosImage::rtx3080() }.build();
//! ```

/// A card's image. All fields are there to be changed.
#[derive(Debug, Clone)]
pub struct VbiosImage {
    /// Version of the init-from-ROM header; `None` for an image without one.
    pub ifr_version: Option<u8>,
    /// Subsystem ids in that header.
    pub subsystem: (u16, u16),
    pub vendor_id: u16,
    pub device_id: u16,
    pub version: [u8; 5],
    pub build_number: u32,
    /// 8 characters.
    pub build_date: String,
    pub build_guid: [u8; 16],
    pub board_id: u16,
    /// 4 characters.
    pub chip_sku: String,
    /// 4 characters.
    pub project: String,
    /// 4 characters.
    pub project_sku: String,
    pub sign_on: String,
    pub product_name: String,
    /// Length of the `i` table: the older the image, the shorter.
    pub internal_bytes: u8,
    /// Sum of the legacy image's bytes modulo 256.
    pub checksum: u8,
    pub efi: bool,
    pub fwsec: bool,
    /// Version of the InfoROM in an NBSI image at the end, with a wrong sum as a running card leaves it.
    pub inforom: Option<String>,
    /// Whether a second copy of the header follows.
    pub copy: bool,
}

/// One image of a chain.
#[derive(Debug, Clone)]
pub struct Part {
    pub signature: [u8; 2],
    pub code_type: u8,
    pub vendor_id: u16,
    pub device_id: u16,
    pub blocks: u16,
    /// The last bit that system firmware sees.
    pub pci_last: bool,
    /// Blocks and last bit of NVIDIA's extension.
    pub extension: Option<(u16, bool)>,
    pub checksum: u8,
    /// What is in it, at 200h.
    pub content: Vec<u8>,
}

const PCIR: usize = 0x170;
const CONTENT: usize = 0x200;

impl Part {
    pub fn new(code_type: u8, blocks: u16) -> Self {
        let own = !matches!(code_type, 0x00 | 0x03);
        Self {
            signature: if own { *b"VN" } else { [0x55, 0xaa] },
            code_type,
            vendor_id: 0x10de,
            device_id: if own { 0x2200 } else { 0x2206 },
            blocks,
            pci_last: false,
            extension: Some((blocks, false)),
            checksum: 0,
            content: Vec::new(),
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let blocks = self.extension.map_or(self.blocks, |(blocks, _)| blocks);
        let mut bytes = vec![0; (usize::from(blocks) * 512).max(1024)];
        put(&mut bytes, 0, &self.signature);
        put(&mut bytes, 0x18, &(PCIR as u16).to_le_bytes());
        put(&mut bytes, PCIR, if self.signature == [0x55, 0xaa] { b"PCIR" } else { b"NPDS" });
        put(&mut bytes, PCIR + 0x4, &self.vendor_id.to_le_bytes());
        put(&mut bytes, PCIR + 0x6, &self.device_id.to_le_bytes());
        put(&mut bytes, PCIR + 0xa, &0x18u16.to_le_bytes());
        put(&mut bytes, PCIR + 0xd, &[0, 0, 3]);
        put(&mut bytes, PCIR + 0x10, &self.blocks.to_le_bytes());
        put(&mut bytes, PCIR + 0x14, &[self.code_type, u8::from(self.pci_last) << 7]);
        if let Some((blocks, last)) = self.extension {
            put(&mut bytes, PCIR + 0x20, b"NPDE\x01\x01\x14\x00");
            put(&mut bytes, PCIR + 0x28, &blocks.to_le_bytes());
            put(&mut bytes, PCIR + 0x2a, &[u8::from(last) << 7]);
        }
        put(&mut bytes, CONTENT, &self.content);
        let sum = bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte));
        let end = bytes.len() - 1;
        bytes[end] = self.checksum.wrapping_sub(sum);
        bytes
    }
}

impl VbiosImage {
    /// An RTX 3080 as nvflash saves it.
    pub fn rtx3080() -> Self {
        Self {
            ifr_version: Some(3),
            subsystem: (0x1043, 0x87b0),
            vendor_id: 0x10de,
            device_id: 0x2206,
            version: [0x94, 0x02, 0x42, 0x40, 0x66],
            build_number: 29_236_791,
            build_date: "10/23/20".to_owned(),
            build_guid: *b"\x36\x76\x2e\x5d\x66\x90\x4b\x30\xa0\x99\xc5\x8d\x53\x96\x6b\xf5",
            board_id: 0x023f,
            chip_sku: "2000".to_owned(),
            project: "G132".to_owned(),
            project_sku: "0030".to_owned(),
            sign_on: "RTX3080 VB Ver 94.02.42.40.AS07\r\n".to_owned(),
            product_name: "GPU Board".to_owned(),
            internal_bytes: 0x6e,
            checksum: 0,
            efi: true,
            fwsec: true,
            inforom: Some("G001.0000.03.03".to_owned()),
            copy: false,
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let mut file = self.header();
        for part in self.parts() {
            file.extend(part.build());
        }
        if self.copy {
            file.resize(file.len() + 4096, 0xff);
            file.extend(Self { ifr_version: self.ifr_version.or(Some(3)), ..self.clone() }.header());
        }
        file
    }

    /// The images of the chain.
    pub fn parts(&self) -> Vec<Part> {
        let ids = |part: Part| Part { vendor_id: self.vendor_id, device_id: self.device_id, ..part };
        let legacy = Part { checksum: self.checksum, content: self.tables(), ..ids(Part::new(0x00, 8)) };
        let mut parts = vec![legacy];
        if self.efi {
            parts.push(ids(Part::new(0x03, 4)));
        }
        if let Some(part) = parts.last_mut() {
            part.pci_last = true;
        }
        if self.fwsec {
            parts.extend([Part::new(0xe0, 3), Part::new(0xe0, 6)]);
        }
        if let Some(version) = &self.inforom {
            let mut content = vec![0; 0x128];
            put(&mut content, 0, b"JFFS");
            put(&mut content, 0x110, b"IMG");
            put(&mut content, 0x118, version.as_bytes());
            parts.push(Part { checksum: 0x80, content, ..Part::new(0x70, 4) });
        }
        if let Some(Part { extension: Some((_, last)), .. }) = parts.last_mut() {
            *last = true;
        }
        parts
    }

    fn header(&self) -> Vec<u8> {
        let Some(version) = self.ifr_version else { return Vec::new() };
        const FIXED: usize = 0x24;
        const TOTAL: usize = 0x100;
        const STATUS: usize = 0x400;
        // Before version 3 there is no directory.
        let images: usize = if version < 3 { 0x400 } else { STATUS + 4096 + 512 };
        let mut bytes = vec![0; images];
        put(&mut bytes, 0, b"NVGI");
        put(&mut bytes, 4, &(0x8e | u32::from(version) << 8 | (FIXED as u32) << 16 | 1 << 31).to_le_bytes());
        put(&mut bytes, 8, &(TOTAL as u32 | 0x8010_0000).to_le_bytes());
        put(&mut bytes, 12, &self.subsystem.0.to_le_bytes());
        put(&mut bytes, 14, &self.subsystem.1.to_le_bytes());
        if version < 3 {
            put(&mut bytes, FIXED + 4, &(images as u32).to_le_bytes());
        } else {
            put(&mut bytes, TOTAL, &(STATUS as u32).to_le_bytes());
            put(&mut bytes, STATUS + 4096, b"RFRD\x03\x00\x28\x00");
            put(&mut bytes, STATUS + 4096 + 8, &(images as u32).to_le_bytes());
        }
        bytes
    }

    /// The information table and what it points to.
    fn tables(&self) -> Vec<u8> {
        const BIOS: u16 = 0x280;
        const INTERNAL: u16 = 0x2c0;
        const STRINGS: u16 = 0x340;
        const SIGN_ON: u16 = 0x380;
        const PRODUCT: u16 = 0x600;
        let at = |offset: u16| usize::from(offset) - CONTENT;
        let [major, chip, minor, micro, maker] = self.version;
        let mut bytes = vec![0; 0x600];
        put(&mut bytes, 0, b"\xff\xb8BIT\x00\x00\x01\x0c\x06\x04\x00");
        let entries = [
            (b'N', 0, 0, 0),
            (b'B', 2, 0x25, BIOS),
            (b'S', 2, 0x18, STRINGS),
            (b'i', 2, u16::from(self.internal_bytes), INTERNAL),
        ];
        for (index, (token, version, size, offset)) in entries.into_iter().enumerate() {
            let entry = 12 + index * 6;
            put(&mut bytes, entry, &[token, version]);
            put(&mut bytes, entry + 2, &u16::to_le_bytes(size));
            put(&mut bytes, entry + 4, &u16::to_le_bytes(offset));
        }
        put(&mut bytes, at(BIOS), &[micro, minor, chip, major, maker]);
        let internal = at(INTERNAL);
        put(&mut bytes, internal, &[micro, minor, chip, major, 0]);
        put(&mut bytes, internal + 0x7, &self.build_number.to_le_bytes());
        put(&mut bytes, internal + 0xb, &self.board_id.to_le_bytes());
        put(&mut bytes, internal + 0xf, self.build_date.as_bytes());
        put(&mut bytes, internal + 0x30, self.chip_sku.as_bytes());
        put(&mut bytes, internal + 0x34, self.project.as_bytes());
        put(&mut bytes, internal + 0x38, self.project_sku.as_bytes());
        put(&mut bytes, internal + 0x48, &self.build_guid);
        for (index, offset, text) in [(0, SIGN_ON, &self.sign_on), (5, PRODUCT, &self.product_name)] {
            put(&mut bytes, at(STRINGS) + index * 3, &offset.to_le_bytes());
            bytes[at(STRINGS) + index * 3 + 2] = u8::try_from(text.len()).unwrap();
            put(&mut bytes, at(offset), text.as_bytes());
        }
        bytes
    }
}

/// Writes bytes over those at the offset.
pub fn put(bytes: &mut [u8], offset: usize, new: &[u8]) {
    bytes[offset..offset + new.len()].copy_from_slice(new);
}
