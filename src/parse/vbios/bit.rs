//! The BIOS information table (BIT) of a legacy image. All offsets in it count from the start of the image.
//!
//! ```text
//! 00h FF B8 "BIT" 00     08h size of the header, byte     09h size of an entry, byte     0Ah entries, byte
//! entry: 00h token, byte     01h version, byte     02h size of the data, word     04h offset of the data, word
//!
//! token "B"                       token "i"                              token "S", 3 bytes each
//! 00h version, dword              00h version, dword                     0 sign-on text
//! 04h board maker's version       04h board maker's version              5 product name
//!                                 07h build number, dword                00h offset, word
//!                                 0Bh board id, word                     02h length, byte
//!                                 0Fh build date, 8 characters
//!                                 17h PCI device id, word
//!                                 30h chip SKU, 4 characters
//!                                 34h project, 4 characters
//!                                 38h SKU of the project, 4 characters
//!                                 48h build GUID, 16 bytes
//! ```
//!
//! Sources: the `bit` and `i` tables of nouveau and envytools; the fields from 30h on, and the board id, by comparing
//! images with what nvflash prints for them. Older images have a shorter `i` table.

use super::{dword, word};

/// What a legacy image says of itself. A field that its tables are too short for, or that is blank, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// Version: `94.04.55.00.92`.
    pub version: Option<String>,
    /// Build number.
    pub build_number: Option<u32>,
    /// Build date as printed: `03/30/21`, month first.
    pub build_date: Option<String>,
    /// Build GUID, 32 hexadecimal digits; all zeros in images that were built without one.
    pub build_guid: Option<String>,
    /// PCI device id in the `i` table; blank in most images.
    pub device_id: Option<u16>,
    /// Chip SKU: `300A`, the last character is a modifier.
    pub chip_sku: Option<String>,
    /// Project and its SKU: `G150-0032`.
    pub project: Option<String>,
    /// Board id.
    pub board_id: Option<u16>,
    /// Text that the card shows when it starts.
    pub sign_on: Option<String>,
    /// Product name.
    pub product_name: Option<String>,
}

const SIGN_ON: usize = 0;
const PRODUCT_NAME: usize = 5;

impl Info {
    /// Reads the tables of an image.
    pub(super) fn of_image(image: &[u8]) -> Self {
        let Some(table) = Table::find(image) else { return Self::default() };
        let (bios, internal) = (table.token(b'B'), table.token(b'i'));
        let strings = table.token(b'S');
        let text = |offset: usize, length: usize| internal.get(offset..offset + length).and_then(printable);
        Self {
            version: version(bios).or_else(|| version(internal)),
            build_number: dword(internal, 0x7).filter(|&number| number != 0),
            build_date: text(0xf, 8),
            build_guid: internal.get(0x48..0x58).map(hex::encode_upper),
            device_id: word(internal, 0x17).filter(|&id| id != 0),
            chip_sku: text(0x30, 4),
            project: text(0x34, 4).zip(text(0x38, 4)).map(|(project, sku)| format!("{project}-{sku}")),
            board_id: word(internal, 0xb).filter(|&id| id != 0),
            sign_on: table.string(strings, SIGN_ON),
            product_name: table.string(strings, PRODUCT_NAME),
        }
    }
}

/// Most significant byte first, then the board maker's.
fn version(table: &[u8]) -> Option<String> {
    let [micro, minor, chip, major, maker] = *table.first_chunk()?;
    let blank = [major, chip, minor, micro].iter().all(|&byte| byte == 0);
    (!blank).then(|| format!("{major:02X}.{chip:02X}.{minor:02X}.{micro:02X}.{maker:02X}"))
}

/// Text with a space for each run of what is not printable ASCII: board makers put lines and their own binary data
/// into one string. `None` where nothing is left.
pub(super) fn printable(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len());
    let mut gap = false;
    for &byte in bytes {
        if matches!(byte, b' '..=b'~') {
            if gap {
                text.push(' ');
            }
            text.push(char::from(byte));
        }
        gap = !matches!(byte, b' '..=b'~');
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

struct Table<'a> {
    image: &'a [u8],
    entries: &'a [u8],
    entry_bytes: usize,
}

impl<'a> Table<'a> {
    fn find(image: &'a [u8]) -> Option<Self> {
        const MAGIC: &[u8] = b"\xff\xb8BIT\0";
        image.windows(MAGIC.len()).enumerate().filter(|(_, bytes)| *bytes == MAGIC).find_map(|(at, _)| {
            let table = image.get(at..)?;
            let [header_bytes, entry_bytes, entries] = *table.get(8..)?.first_chunk()?;
            let (header_bytes, entry_bytes) = (usize::from(header_bytes), usize::from(entry_bytes));
            if header_bytes < 11 || entry_bytes < 6 {
                return None;
            }
            // A cut image has the first entries only.
            let end = (header_bytes + entry_bytes * usize::from(entries)).min(table.len());
            Some(Self { image, entries: table.get(header_bytes..end)?, entry_bytes })
        })
    }

    /// The data of the first entry with that token; none where it has no data or lies outside of the image.
    fn token(&self, token: u8) -> &'a [u8] {
        let entry = self.entries.chunks_exact(self.entry_bytes).find(|entry| entry.first() == Some(&token));
        let data = entry.and_then(|entry| {
            let (size, offset) = (usize::from(word(entry, 2)?), usize::from(word(entry, 4)?));
            self.image.get(offset..offset + size).filter(|_| offset != 0)
        });
        data.unwrap_or_default()
    }

    fn string(&self, strings: &[u8], index: usize) -> Option<String> {
        let [low, high, length] = *strings.get(index * 3..)?.first_chunk()?;
        let offset = usize::from(u16::from_le_bytes([low, high]));
        self.image.get(offset..offset + usize::from(length)).filter(|_| offset != 0).and_then(printable)
    }
}
