//! Text files as people send them: UTF-8 or UTF-16 with or without a byte order mark, some other eight-bit encoding, with
//! a terminal's escape sequences in between.

use std::borrow::Cow;

/// The text of a file, without byte order mark and escape sequences. Bytes that are not UTF-8 become U+FFFD: what the
/// parsers look for is ASCII. `None` for a binary file, which has NUL bytes outside of UTF-16.
pub fn decode(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)),
        // ASCII as UTF-16 without the mark.
        [first, 0, second, 0, ..] if is_text(*first) && is_text(*second) => {
            Cow::Owned(utf16(bytes, u16::from_le_bytes))
        }
        [0, first, 0, second, ..] if is_text(*first) && is_text(*second) => {
            Cow::Owned(utf16(bytes, u16::from_be_bytes))
        }
        _ if bytes.contains(&0) => return None,
        _ => String::from_utf8_lossy(bytes),
    };
    Some(if text.contains('\x1b') { Cow::Owned(without_escapes(&text)) } else { text })
}

/// Whether the text has those words anywhere. Every text is asked for the marks of every format: this is many times as fast
/// as [`str::contains`], and spares the walk over the lines.
pub(crate) fn has(text: &str, words: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), words.as_bytes()).is_some()
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, _) = bytes.as_chunks::<2>();
    char::decode_utf16(units.iter().map(|pair| unit(*pair)))
        .map(|it| it.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Drops control sequences (ECMA-48, 5.4: `ESC [`, parameters, one final byte) and other escapes of two characters.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            plain.push(character);
        } else if characters.next() == Some('[') {
            let _final_byte = characters.find(|it| ('\u{40}'..='\u{7e}').contains(it));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_in_many_encodings() {
        let text = "Product Name : Müller\r\n";
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe", &*little].concat(),
            [b"\xfe\xff", &*big].concat(),
            little,
            big,
            text.replace("Name", "\x1b[1;31mName\x1b[0m").into_bytes(),
        ] {
            assert_eq!(decode(&bytes).as_deref(), Some(text));
        }
        assert_eq!(decode(b"Name : M\xfcller").as_deref(), Some("Name : M\u{fffd}ller"));
        assert_eq!(decode(b"\x55\xaa\x00\x01\x00"), None);
        assert_eq!(decode(b"cut \x1b[1").as_deref(), Some("cut "));
    }
}
