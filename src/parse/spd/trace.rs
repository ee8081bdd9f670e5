//! What makers of modules and of servers leave in the areas that no standard defines. Observed, not promised: a trace tells
//! something, its absence tells nothing.

use super::{DramType, Spd};
use crate::parse::jep106::MakerId;

/// A code in the maker's area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// As it stands there.
    pub code: String,
    /// The maker whose codes have that shape: `Samsung`, `SK hynix`, `Micron`.
    pub shape_of: Option<&'static str>,
}

/// A mark of who sells machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OemMark {
    /// `HPE`, `Cisco`.
    pub oem: &'static str,
    /// Its part number (HPE) or serial number (Cisco) beside the mark.
    pub part: Option<String>,
}

/// Length of an entry of DDR5's error log.
const LOG_ENTRY_BYTES: usize = 20;

impl Spd<'_> {
    /// The code in the maker's area. DDR4 and DDR5 only.
    pub fn lot(&self) -> Option<Lot> {
        if !matches!(self.dram, DramType::Ddr4 | DramType::Ddr5) || self.ddimm {
            return None;
        }
        let area = self.maker_area()?;
        if self.module_maker() == Some(MakerId::KINGSTON) {
            return order_number(area).map(|code| Lot { code, shape_of: None });
        }
        let run = area.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z')).count();
        let text = |length: usize| area[..length].iter().map(|byte| char::from(*byte)).collect::<String>();
        // A, 9 and X stand for a letter, a digit and either.
        let shaped = |shape: &str| {
            run >= shape.len()
                && shape.bytes().zip(area).all(|(kind, byte)| match kind {
                    b'A' => byte.is_ascii_uppercase(),
                    b'9' => byte.is_ascii_digit(),
                    _ => true,
                })
        };
        let lot = |length: usize, maker: &'static str| Some(Lot { code: text(length), shape_of: Some(maker) });
        if shaped("AAXXA9999A99") {
            lot(12, "SK hynix")
        } else if run == 10 && shaped("AAAXXXXX99") {
            lot(10, "Micron")
        } else if (7..10).contains(&run) && shaped("AXXXXXX") {
            // The byte behind the seven is no text, and may look like it.
            lot(7, "Samsung")
        } else {
            (run >= 4).then(|| Lot { code: text(run), shape_of: None })
        }
    }

    /// The long serial number that some firmware prints for Samsung's modules: the code of the maker's area, the last digit
    /// of the year, the week and the serial.
    pub fn samsung_long_serial(&self) -> Option<String> {
        if self.module_maker() != Some(MakerId::SAMSUNG) {
            return None;
        }
        let lot = self.lot().filter(|lot| lot.shape_of == Some("Samsung"))?;
        let [year, week] = self.date_bytes()?;
        let serial = self.serial().filter(|_| !self.serial_is_blank())?;
        Some(format!("{}{:X}{week:02X}{}", lot.code, year & 0xf, hex::encode_upper(serial)))
    }

    /// The mark of a server's maker.
    pub fn oem_mark(&self) -> Option<OemMark> {
        let area = self.user_area().filter(|area| !self.ddimm && is_written(area))?;
        if area.starts_with(b"HPT") {
            return Some(OemMark { oem: "HPE", part: area.windows(9).find_map(hpe_part) });
        }
        let cisco = area.windows(11).find(|text| {
            matches!(&text[..3], b"FLM" | b"FCH" | b"FOC")
                && text[3..7].iter().all(u8::is_ascii_digit)
                && text[7..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z'))
        })?;
        Some(OemMark { oem: "Cisco", part: Some(cisco.iter().map(|byte| char::from(*byte)).collect()) })
    }

    /// Overclocking profiles. `None` where the image ends before them.
    pub fn profiles(&self) -> Option<Vec<&'static str>> {
        let area = self.user_area()?;
        let mut found = Vec::new();
        if area.starts_with(&[0x0c, 0x4a]) {
            found.push("XMP");
        }
        if self.dram == DramType::Ddr5 && area.get(832 - 640..).is_some_and(|area| area.starts_with(b"EXPO")) {
            found.push("EXPO");
        }
        Some(found)
    }

    /// Entries of the error log in the user's area: what is behind its marker and not blank. DDR5 only. No published
    /// image has one, so that the count is unproved.
    pub fn error_log_entries(&self) -> Option<usize> {
        const MARK: &[u8; 4] = b"_FL_";
        let area = self.user_area().filter(|_| self.dram == DramType::Ddr5 && !self.ddimm)?;
        if !is_written(area) {
            return Some(0);
        }
        let Some(at) = area.windows(MARK.len()).position(|text| text == MARK) else { return Some(0) };
        let log = area.get(at + MARK.len()..)?;
        Some(log.chunks(LOG_ENTRY_BYTES).filter(|entry| entry.iter().any(|byte| !matches!(byte, 0 | 0xff))).count())
    }
}

/// Whether there is anything but zeros: most areas are empty, and need no search.
fn is_written(area: &[u8]) -> bool {
    area.iter().fold(0, |any, byte| any | byte) != 0
}

/// Kingston's order number: seven digits somewhere in the area.
fn order_number(area: &[u8]) -> Option<String> {
    let mut runs = area.split(|byte| !byte.is_ascii_digit());
    runs.find(|run| run.len() == 7).map(|run| run.iter().map(|byte| char::from(*byte)).collect())
}

/// `P030530A1` is HPE's part P03053-0A1.
fn hpe_part(text: &[u8]) -> Option<String> {
    let letter_or_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z');
    if text[0] != b'P' || !text[1..6].iter().all(u8::is_ascii_digit) || !text[6..].iter().all(letter_or_digit) {
        return None;
    }
    let text: String = text.iter().map(|byte| char::from(*byte)).collect();
    Some(format!("{}-{}", &text[..6], &text[6..]))
}
