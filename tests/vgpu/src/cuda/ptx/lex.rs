//! PTX text to tokens (PTX ISA 8.8, section 4).

use super::Bad;

/// A token of PTX.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name with everything that belongs to it: `ld.global.u32`, `%tid.x`, `$L__BB0_1`, `.reg`.
    Word(String),
    /// An integer.
    Integer(u64),
    /// `0f…`: the bits of a number of single precision.
    Single(u32),
    /// `0d…` or a decimal fraction: the bits of a number of double precision.
    Double(u64),
    /// A string.
    Text,
    /// Everything else.
    Mark(char),
}

/// Cuts a module into tokens. Each has the number of its line.
pub fn tokens(source: &str) -> Result<Vec<(Token, u32)>, Bad> {
    let mut tokens = Vec::new();
    let bytes = source.as_bytes();
    let (mut at, mut line) = (0, 1);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' => {
                line += 1;
                at += 1;
            }
            b' ' | b'\t' | b'\r' => at += 1,
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = end_of_line(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = source.get(at..).and_then(|rest| rest.find("*/"));
                let end = at + end.ok_or_else(|| Bad::at(line, "a comment without end"))? + 2;
                line += bytes[at..end].iter().filter(|&&it| it == b'\n').count() as u32;
                at = end;
            }
            b'"' => {
                let end = bytes[at + 1..].iter().position(|&it| it == b'"');
                at += end.ok_or_else(|| Bad::at(line, "a string without end"))? + 2;
                tokens.push((Token::Text, line));
            }
            b'0'..=b'9' => {
                let end = at + bytes[at..].iter().take_while(|it| it.is_ascii_alphanumeric() || **it == b'.').count();
                let text = &source[at..end];
                let number = number(text).ok_or_else(|| Bad::at(line, format!("{text} is no number")))?;
                tokens.push((number, line));
                at = end;
            }
            b'.' | b'_' | b'$' | b'%' | b'a'..=b'z' | b'A'..=b'Z' => {
                let end = end_of_word(bytes, at);
                let word = &source[at..end];
                // Debugging information, whose statements end with their line.
                if matches!(word, ".loc" | ".file") {
                    at = end_of_line(bytes, at);
                    continue;
                }
                // A lonely sign is the discarded value.
                tokens.push((Token::Word(word.to_owned()), line));
                at = end;
            }
            _ if byte.is_ascii_graphic() => {
                tokens.push((Token::Mark(char::from(byte)), line));
                at += 1;
            }
            // NVRTC ends its text with a null byte.
            0 => break,
            _ => return Err(Bad::at(line, format!("byte {byte:#x}"))),
        }
    }
    Ok(tokens)
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|&&it| it != b'\n').count()
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        let qualifier = byte == b':' && bytes.get(at + 1) == Some(&b':');
        if qualifier {
            at += 2;
        } else if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.') {
            at += 1;
        } else {
            break;
        }
    }
    at
}

fn number(text: &str) -> Option<Token> {
    if let Some(bits) = text.strip_prefix("0f").or(text.strip_prefix("0F")) {
        return Some(Token::Single(u32::from_str_radix(bits, 16).ok().filter(|_| bits.len() == 8)?));
    }
    if let Some(bits) = text.strip_prefix("0d").or(text.strip_prefix("0D")) {
        return Some(Token::Double(u64::from_str_radix(bits, 16).ok().filter(|_| bits.len() == 16)?));
    }
    if text.contains('.') {
        return Some(Token::Double(text.parse::<f64>().ok()?.to_bits()));
    }
    let digits = text.strip_suffix('U').unwrap_or(text);
    let integer = if let Some(digits) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        u64::from_str_radix(digits, 16)
    } else if let Some(digits) = digits.strip_prefix("0b") {
        u64::from_str_radix(digits, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    integer.ok().map(Token::Integer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_marks() {
        let words: Vec<Token> = tokens("@!%p1 ld.global.L2::128B.u32 %r1, [%rd1+-4]; // x\n L: 0f3F800000 010 0x1FU")
            .unwrap()
            .into_iter()
            .map(|(token, _)| token)
            .collect();
        let word = |it: &str| Token::Word(it.into());
        assert_eq!(
            words[..5],
            [Token::Mark('@'), Token::Mark('!'), word("%p1"), word("ld.global.L2::128B.u32"), word("%r1")]
        );
        assert_eq!(
            words[7..12],
            [word("%rd1"), Token::Mark('+'), Token::Mark('-'), Token::Integer(4), Token::Mark(']')]
        );
        assert_eq!(
            words[13..],
            [word("L"), Token::Mark(':'), Token::Single(0x3f80_0000), Token::Integer(8), Token::Integer(31)]
        );
        assert!(tokens("0f3F8").is_err() && tokens("\"x").is_err());
    }
}
