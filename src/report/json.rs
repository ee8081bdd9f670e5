//! JSON for a person's terminal as well as for programs.

use std::io::{self, Write};

use memchr::memchr;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::escape_controls;

/// A line's end, and the blanks of the next one.
const BREAK: &[u8; 129] = &{
    let mut bytes = [b' '; 129];
    bytes[0] = b'\n';
    bytes
};
const INDENT_BYTES: usize = 2;
const DELETE: u8 = 0x7f;

/// JSON of many lines in which every character is an escape that a terminal may act upon ([`escape_controls`]).
///
/// # Errors
///
/// Those of the value's own serialisation.
pub fn json_lines(value: &impl Serialize) -> serde_json::Result<String> {
    text(value, Lines::default())
}

/// [`json_lines`] on one line.
///
/// # Errors
///
/// Those of the value's own serialisation.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    text(value, Line)
}

fn text(value: &impl Serialize, formatter: impl Formatter) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(1 << 12);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    String::from_utf8(bytes).map_err(|error| serde_json::Error::io(io::Error::other(error)))
}

/// What of a string needs no escape in JSON.
fn fragment<W: Write + ?Sized>(writer: &mut W, text: &str) -> io::Result<()> {
    if text.is_ascii() && memchr(DELETE, text.as_bytes()).is_none() {
        writer.write_all(text.as_bytes())
    } else {
        writer.write_all(escape_controls(text).as_bytes())
    }
}

/// As `serde_json::ser::CompactFormatter`, which is what a formatter is by itself.
struct Line;

impl Formatter for Line {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        fragment(writer, text)
    }
}

/// As `serde_json::ser::PrettyFormatter`, with each indentation in one piece.
#[derive(Default)]
struct Lines {
    depth: usize,
    /// Whether the value that ends has anything in it.
    filled: bool,
}

impl Lines {
    fn begin<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn end<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(writer)?;
        }
        writer.write_all(bracket)
    }

    fn item<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }

    fn line<W: Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        let mut blanks = self.depth * INDENT_BYTES;
        let first = blanks.min(BREAK.len() - 1);
        writer.write_all(&BREAK[..=first])?;
        blanks -= first;
        while blanks > 0 {
            let more = blanks.min(BREAK.len() - 1);
            writer.write_all(&BREAK[1..=more])?;
            blanks -= more;
        }
        Ok(())
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        fragment(writer, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_laid_out_as_always_and_nothing_in_it_reaches_a_terminal() {
        let mut deep = serde_json::json!({"a": [], "b": {}, "c": [1, "\u{9b}\u{202e}\n\u{7f}验", {"\u{200b}": null}]});
        for _ in 0..80 {
            deep = serde_json::json!([deep, {"x": 1.5}]);
        }
        let lines = json_lines(&deep).unwrap_or_default();
        assert_eq!(lines, escape_controls(&serde_json::to_string_pretty(&deep).unwrap_or_default()));
        assert!(lines.contains(r"\u009b\u202e\n\u007f验"));
        let line = json_line(&deep).unwrap_or_default();
        assert_eq!(line, escape_controls(&deep.to_string()));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).ok(), Some(deep));
    }
}
