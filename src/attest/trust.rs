//! Whose signatures count.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Digest;
use super::key::{self, KeyError, Locations, PublicKey, SmallOrder};

/// Name under which this machine's own key is trusted.
pub const OWN_KEY_NAME: &str = "own key";
/// The largest file of trusted keys that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why the trusted keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file could not be opened, or others may change it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file could not be read.
    #[error("cannot read {path:?}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is not `NAME HEXKEY`.
    #[error("{path:?}, line {line}, column {column}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What is wrong there.
        why: String,
    },
}

/// A key and the name that its user gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// Name in reports.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// Whose signatures count. A key that is there under two names counts once, under the first.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    keys: HashMap<Digest, TrustedKey>,
}

impl TrustedKeys {
    /// Trusts exactly those keys.
    pub fn from_public_keys(keys: impl IntoIterator<Item = (String, PublicKey)>) -> Self {
        let mut trusted = Self::default();
        for (name, key) in keys {
            trusted.add(name, key);
        }
        trusted
    }

    /// The keys of the user's `trusted_keys` file, and this machine's own key (from its public half,
    /// [`Locations::own_public_key`]) as [`OWN_KEY_NAME`]. A file that is not there adds none; one that others can write is
    /// refused.
    pub fn load(locations: &Locations) -> Result<Self, TrustError> {
        let mut trusted = match Self::load_file(&locations.trusted_keys()) {
            Err(TrustError::Key(error)) if is_missing(&error) => Self::default(),
            other => other?,
        };
        if let Some(key) = own_key(locations)? {
            trusted.add(OWN_KEY_NAME.to_owned(), key);
        }
        Ok(trusted)
    }

    /// The keys of one file: `NAME HEXKEY` a line, `#` starts a comment.
    pub fn load_file(path: &Path) -> Result<Self, TrustError> {
        let file = open_unwritable(path)?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| TrustError::Io { path: path.to_owned(), source })?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let why = format!("the file has more than {MAX_FILE_BYTES} bytes");
            return Err(TrustError::Line { path: path.to_owned(), line: 1, column: 1, why });
        }
        Self::parse(&bytes).map_err(|(line, column, why)| TrustError::Line { path: path.to_owned(), line, column, why })
    }

    /// Adds a key; one that is already trusted keeps its name.
    pub fn add(&mut self, name: String, key: PublicKey) {
        self.keys.entry(key.keyid()).or_insert(TrustedKey { name, key });
    }

    /// The trusted key with that id.
    pub fn get(&self, keyid: &Digest) -> Option<&TrustedKey> {
        self.keys.get(keyid)
    }

    /// All keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &TrustedKey> {
        self.keys.values()
    }

    /// How many keys are trusted.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is trusted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn parse(bytes: &[u8]) -> Result<Self, (usize, usize, String)> {
        let mut trusted = Self::default();
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let number = index + 1;
            let text = std::str::from_utf8(line).map_err(|error| {
                let before = String::from_utf8_lossy(&line[..error.valid_up_to()]);
                (number, before.chars().count() + 1, "not UTF-8".to_owned())
            })?;
            let content = text.split('#').next().unwrap_or_default();
            let mut words = Words { text: content, column: 1 };
            let Some((_, name)) = words.next() else { continue };
            let Some((column, digits)) = words.next() else {
                let why = "a name without a key; a line is `NAME HEXKEY`".to_owned();
                return Err((number, words.column, why));
            };
            let key = PublicKey::from_hex(digits).ok_or_else(|| {
                let bad = digits.chars().position(|letter| !letter.is_ascii_hexdigit());
                match bad {
                    Some(offset) => (number, column + offset, "not a hexadecimal digit".to_owned()),
                    None if digits.len() == 64 => (number, column, format!("is no key: {SmallOrder}")),
                    None => (number, column, format!("{} hexadecimal digits, and a key has 64", digits.len())),
                }
            })?;
            if let Some((column, _)) = words.next() {
                return Err((number, column, "more than a name and a key; a name is one word".to_owned()));
            }
            trusted.add(name.to_owned(), key);
        }
        Ok(trusted)
    }
}

/// This machine's own key, from its public half; `None` where there is none. One that others can write is refused.
pub fn own_key(locations: &Locations) -> Result<Option<PublicKey>, TrustError> {
    let own = locations.own_public_key();
    match open_unwritable(&own).and_then(|_| PublicKey::load(&own)) {
        Ok(key) => Ok(Some(key)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_missing(error: &KeyError) -> bool {
    matches!(error, KeyError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn open_unwritable(path: &Path) -> Result<std::fs::File, KeyError> {
    let file = key::open_regular(path)?;
    let mode = key::mode_of(&file, path)?;
    if mode & 0o022 != 0 { Err(KeyError::Writable { path: path.to_owned(), mode }) } else { Ok(file) }
}

/// Words with the column (in characters, from 1) at which each starts.
struct Words<'a> {
    text: &'a str,
    column: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let trimmed = self.text.trim_start();
        self.column += self.text.chars().count() - trimmed.chars().count();
        let (word, rest) = trimmed.split_at(trimmed.find(char::is_whitespace).unwrap_or(trimmed.len()));
        self.text = rest;
        if word.is_empty() {
            return None;
        }
        let start = self.column;
        self.column += word.chars().count();
        Some((start, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_keys_and_errors_say_where() {
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let text = format!("# sellers\n\nseller {key}  # since March\r\nagain {key}\n");
        let trusted = TrustedKeys::parse(text.as_bytes()).unwrap();
        assert_eq!(trusted.len(), 1);
        assert_eq!(trusted.iter().next().unwrap().name, "seller");
        let position = |text: &str| TrustedKeys::parse(text.as_bytes()).map_err(|(l, c, _)| (l, c)).unwrap_err();
        assert_eq!(position("seller"), (1, 7));
        assert_eq!(position("\n  é abcX"), (2, 8));
        assert_eq!(position("seller abcd"), (1, 8));
        assert_eq!(position(&format!("a {key} b")), (1, 68));
        assert_eq!(TrustedKeys::parse(b"ab\xff").map_err(|(l, c, _)| (l, c)).unwrap_err(), (1, 3));
    }
}
