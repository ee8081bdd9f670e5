//! Images that were copied from a terminal.

use super::MAX_BYTES;

/// Text of the largest image, and as much prose around it.
const MAX_TEXT_BYTES: usize = 256 << 10;
/// Digits of the longest line and more.
const MAX_LINE_BYTES: usize = 256;

/// The bytes of a hexadecimal dump: `i2cdump`, `xxd`, `hexdump -C`, `od -tx1`. `None` where the text is none, has a gap, or
/// has more bytes than an image. A line that says that lines repeat (`*`) repeats them.
pub fn from_text(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    let mut repeat = false;
    for line in text.lines().filter(|line| line.len() <= MAX_LINE_BYTES) {
        let line = line.trim_end();
        if line == "*" {
            repeat = true;
            continue;
        }
        let line = line.trim_start();
        // Byte by byte: many texts that are no dump come here.
        let end = line.bytes().position(|byte| matches!(byte, b':' | b' '));
        let Some((offset, rest)) = end.map(|end| (&line[..end], &line[end + 1..])) else {
            // hexdump ends with the length.
            if let Some(end) = offset_of(line).filter(|_| repeat) {
                fill(&mut bytes, end)?;
                repeat = false;
            }
            continue;
        };
        let Some(offset) = offset_of(offset) else { continue };
        let row = row(rest);
        if row.is_empty() {
            continue;
        }
        if std::mem::take(&mut repeat) {
            fill(&mut bytes, offset)?;
        }
        // A line that does not go on where the last one ended is prose, or another dump.
        if offset != bytes.len() || bytes.len() + row.len() > MAX_BYTES {
            return None;
        }
        bytes.extend(row);
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn offset_of(word: &str) -> Option<usize> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    (digits.len() >= 2 && digits.len() <= 8).then(|| usize::from_str_radix(digits, 16).ok())?
}

/// Repeats the last sixteen bytes up to an offset.
fn fill(bytes: &mut Vec<u8>, end: usize) -> Option<()> {
    if end > MAX_BYTES || end < bytes.len() || bytes.len() < 16 {
        return None;
    }
    while bytes.len() < end {
        bytes.push(bytes[bytes.len() - 16]);
    }
    Some(())
}

/// Up to sixteen bytes in pairs or fours of digits. The text beside them is set off by two blanks, by four (i2cdump), by a
/// bar or, once sixteen bytes are there, by anything.
fn row(rest: &str) -> Vec<u8> {
    let mut row = Vec::new();
    let mut blanks = 0;
    for word in rest.split(' ') {
        if word.is_empty() {
            blanks += 1;
            continue;
        }
        // hexdump has two blanks between the eighth and the ninth byte.
        if blanks >= 1 && !row.is_empty() && row.len() != 8 {
            break;
        }
        blanks = 0;
        let hexadecimal = matches!(word.len(), 2 | 4) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hexadecimal || row.len() + word.len() / 2 > 16 {
            break;
        }
        row.extend((0..word.len()).step_by(2).filter_map(|at| u8::from_str_radix(&word[at..at + 2], 16).ok()));
    }
    row
}
