//! Strings as a device may give them.

use std::borrow::Cow;

use serde::Deserialize;

/// A string of the rig: plain, or bytes that no honest device sends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// As it should be: UTF-8, ended by a NUL.
    Plain(String),
    /// As it should not be.
    Hostile(Hostile),
}

/// Bytes for a string.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hostile {
    /// The bytes, two hexadecimal digits each.
    hex: Hex,
    /// How often they are repeated.
    #[serde(default = "once")]
    repeat: usize,
    /// Fill the caller's buffer to its last byte, without a NUL.
    #[serde(default)]
    no_nul: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

fn once() -> usize {
    1
}

impl Text {
    /// The bytes, without a NUL.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text.as_bytes()),
            Self::Hostile(hostile) => Cow::Owned(hostile.hex.0.repeat(hostile.repeat)),
        }
    }

    /// Whether the caller's buffer is filled without a NUL.
    pub fn fills_buffer(&self) -> bool {
        matches!(self, Self::Hostile(Hostile { no_nul: true, .. }))
    }

    /// The text where it is honest.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Hostile(_) => None,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match pairs.collect() {
            Some(bytes) if digits.len().is_multiple_of(2) => Ok(Self(bytes)),
            _ => Err(format!("not pairs of hexadecimal digits: {text}")),
        }
    }
}
