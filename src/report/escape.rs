//! The one place where a device's text is made harmless for a terminal.

use super::style::Style;

/// Most characters of one text that a table shows.
const MAX_SHOWN: usize = 200;
/// The same of a sentence of the tool, which repeats texts that are cut already.
const MAX_SENTENCE: usize = 1000;

/// Text for a terminal: control characters (escape sequences, newlines, tabs), characters that change the direction of
/// writing or have no width, and, for consoles without Unicode, everything beyond ASCII become visible escapes. Text
/// longer than 200 characters is cut, with the number of characters that are missing.
pub fn for_terminal(text: &str, style: Style) -> String {
    up_to(MAX_SHOWN, text, style)
}

/// The same for a sentence in which the tool repeats such texts, which may be longer.
pub(super) fn sentence(text: &str, style: Style) -> String {
    up_to(MAX_SENTENCE, text, style)
}

/// The same for a value that is held against another one: a letter beyond ASCII may look like one of ASCII, and becomes an
/// escape. Ideographs stay, which a person tells apart, and so does what marks a cut.
pub(super) fn told_apart(text: &str, style: Style) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in sentence(text, style).chars() {
        if character.is_ascii() || matches!(character, '\u{3400}'..='\u{9fff}' | '…') {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    shown
}

fn up_to(most: usize, text: &str, style: Style) -> String {
    let mut shown = String::with_capacity(text.len().min(most + 24));
    for character in text.chars().take(most) {
        if character.is_control() || invisible(character) || (!style.unicode && !character.is_ascii()) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    let cut = text.chars().count().saturating_sub(most);
    if cut > 0 {
        shown.push_str(&format!("[{cut} more]"));
    }
    shown
}

/// Text of many lines with every character as an escape that a terminal may act upon: control characters but the line
/// feed, and those that change the direction of writing or have no width. JSON, whose strings may hold some of them as
/// they are, keeps its value.
pub fn escape_controls(text: &str) -> String {
    // Nearly all of it is printable ASCII, which goes over in one piece.
    let plain = |byte: u8| matches!(byte, b'\n' | b' '..=b'~');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.bytes().position(|byte| !plain(byte)).unwrap_or(rest.len());
        shown.push_str(&rest[..end]);
        let mut characters = rest[end..].chars();
        if let Some(character) = characters.next() {
            if character.is_control() || invisible(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    shown.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                shown.push(character);
            }
        }
        rest = characters.as_str();
    }
    shown
}

/// Direction marks, joiners, tags and other characters that change how their neighbours look.
fn invisible(character: char) -> bool {
    matches!(character,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNICODE: Style = Style { colour: false, unicode: true };

    #[test]
    fn escapes_what_could_fool_a_terminal_and_keeps_the_rest() {
        assert_eq!(for_terminal("\x1b[2J\x1b]0;x\x07", UNICODE), "\\u{1b}[2J\\u{1b}]0;x\\u{7}");
        assert_eq!(for_terminal("a\nb\tc\r", UNICODE), "a\\nb\\tc\\r");
        assert_eq!(for_terminal("gpj\u{202e}exe", UNICODE), "gpj\\u{202e}exe");
        assert_eq!(for_terminal("验机 <b>=cmd()</b>", UNICODE), "验机 <b>=cmd()</b>");
        assert_eq!(for_terminal("验机", Style::default()), "\\u{9a8c}\\u{673a}");
        let tag = "a\u{9b}\u{202e}\u{e0041}\u{7f}验";
        let json = serde_json::to_string_pretty(&[tag]).unwrap_or_default();
        assert_eq!(escape_controls(&json), "[\n  \"a\\u009b\\u202e\\udb40\\udc41\\u007f验\"\n]");
        assert_eq!(serde_json::from_str::<[String; 1]>(&escape_controls(&json)).ok(), Some([tag.to_owned()]));
        assert!(for_terminal(&"x".repeat(5000), UNICODE).ends_with("x[4800 more]"));
    }
}
