//! JSON that means one thing to every reader.
//!
//! [`check`] refuses what readers disagree on: duplicate keys (serde_json keeps the last one, others the first), text
//! that is not UTF-8, anything after the value, and values that are nested deeper, or have more parts, than any report. It builds
//! nothing.
//! [`from_slice`] refuses the same while it reads a type, in one pass.

mod typed;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use memchr::{memchr_iter, memchr2_iter};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use typed::Strict;

/// Objects and lists inside each other. A statement nests 8 deep.
pub const MAX_DEPTH: usize = 64;
/// Objects and lists in one value. In memory each can have a hundred times the bytes of its text; a report about a large machine
/// has some ten thousand.
pub const MAX_CONTAINERS: usize = 1 << 18;
/// Commas in one value. What stands between them has ten times the bytes of its text, where that is short.
pub const MAX_COMMAS: usize = 1 << 21;

/// Up to this many keys, comparing each with each is faster than hashing.
const FEW_KEYS: usize = 16;
/// How much of a duplicate key is repeated in the error.
const SHOWN_CHARS: usize = 64;

/// Why bytes are not acceptable JSON. The wrapped error says line and column (in bytes).
#[derive(Debug, thiserror::Error)]
pub enum StrictJsonError {
    /// Over the size cap; nothing was read.
    #[error("has {bytes} bytes, more than the {max_bytes} that are accepted")]
    TooLarge {
        /// Size of the input.
        bytes: usize,
        /// The cap.
        max_bytes: usize,
    },
    /// Has more than [`MAX_CONTAINERS`] opening brackets or [`MAX_COMMAS`], those in texts included; nothing was read.
    #[error("has more than {MAX_CONTAINERS} objects and lists, or {MAX_COMMAS} commas")]
    TooMany,
    /// Not JSON, not UTF-8, a key twice in one object, or nested too deeply.
    #[error("is not acceptable JSON: {0}")]
    Malformed(serde_json::Error),
    /// JSON, but not of the type that was asked for.
    #[error("does not have the expected fields: {0}")]
    Shape(serde_json::Error),
}

/// Checks bytes without building anything: one JSON value (RFC 8259) of at most `max_bytes`, no key twice in an object
/// (keys are compared after their escapes are resolved), at most [`MAX_DEPTH`] levels, [`MAX_CONTAINERS`] objects and lists, and [`MAX_COMMAS`].
pub fn check(bytes: &[u8], max_bytes: usize) -> Result<(), StrictJsonError> {
    within(bytes, max_bytes)?;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Level(MAX_DEPTH).deserialize(&mut deserializer).map_err(StrictJsonError::Malformed)?;
    deserializer.end().map_err(StrictJsonError::Malformed)
}

/// Reads a type from bytes that [`check`] accepts. What `check` refuses is told before what the type lacks.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8], max_bytes: usize) -> Result<T, StrictJsonError> {
    within(bytes, max_bytes)?;
    // Checked once and not for each string.
    let Ok(text) = std::str::from_utf8(bytes) else {
        check(bytes, max_bytes)?;
        return Err(StrictJsonError::Malformed(de::Error::custom("not UTF-8")));
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Strict::new(&mut deserializer));
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| match check(bytes, max_bytes) {
        Ok(()) => StrictJsonError::Shape(error),
        Err(refused) => refused,
    })
}

fn within(bytes: &[u8], max_bytes: usize) -> Result<(), StrictJsonError> {
    if bytes.len() > max_bytes {
        return Err(StrictJsonError::TooLarge { bytes: bytes.len(), max_bytes });
    }
    // Most reports have fewer bytes than that.
    if bytes.len() <= MAX_CONTAINERS {
        return Ok(());
    }
    let containers = memchr2_iter(b'{', b'[', bytes).take(MAX_CONTAINERS + 1).count();
    let commas = memchr_iter(b',', bytes).take(MAX_COMMAS + 1).count();
    if containers > MAX_CONTAINERS || commas > MAX_COMMAS { Err(StrictJsonError::TooMany) } else { Ok(()) }
}

/// Walks a value that may nest that many more levels.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn down<E: de::Error>(self) -> Result<Self, E> {
        match self.0.checked_sub(1) {
            Some(left) => Ok(Self(left)),
            None => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.down()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.down()?;
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key_seed(Key)? {
            keys.insert(key)?;
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// Keeps an unescaped key without copying it.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    fn insert<E: de::Error>(&mut self, key: Cow<'de, str>) -> Result<(), E> {
        if self.few.is_empty() {
            self.few.reserve(FEW_KEYS / 2);
        }
        if self.few.contains(&key) || self.many.contains(&key) {
            let shown: String = key.chars().take(SHOWN_CHARS).collect();
            return Err(E::custom(format_args!("the key {shown:?} is there twice")));
        }
        if self.few.len() < FEW_KEYS {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &[u8]) -> String {
        check(json, 1 << 20).unwrap_err().to_string()
    }

    #[test]
    fn duplicate_keys_are_refused_anywhere_and_however_spelled() {
        assert!(check(br#"{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}"#, 1 << 20).is_ok());
        for json in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"b":2,"a":3}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(refused(json.as_bytes()).contains("\"a\" is there twice at line 1 column"), "{json}");
        }
        let many = (0..100).map(|number| format!("\"k{number}\":0")).collect::<Vec<_>>().join(",");
        assert!(check(format!("{{{many}}}").as_bytes(), 1 << 20).is_ok());
        assert!(refused(format!("{{{many},\"k99\":0}}").as_bytes()).contains("\"k99\" is there twice"));
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wide {
        name: Option<String>,
        #[serde(default)]
        kinds: Vec<Kind>,
        #[serde(default)]
        any: serde_json::Value,
        #[serde(default)]
        by_number: std::collections::BTreeMap<u32, String>,
        #[serde(default)]
        by_kind: std::collections::BTreeMap<Named, Word>,
        #[serde(flatten)]
        others: std::collections::BTreeMap<String, serde_json::Value>,
    }

    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
    struct Named(Word);

    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        One,
        Two,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Plain,
        Object { size: Size },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Size {
        Number(u64),
        Parts { low: i64 },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Narrow {
        name: String,
    }

    #[test]
    fn a_type_is_read_as_without_the_checks_and_refused_as_with_them() {
        let wide = br#"{"name":"a\u00e9","kinds":["plain",{"object":{"size":{"low":-1}}},{"object":{"size":7}}],"any":[{"x":1.5},null],"y":{"z":true},"by_number":{"0":"a","23":"b"},"by_kind":{"one":"two"}}"#;
        assert_eq!(from_slice::<Wide>(wide, 1 << 20).unwrap(), serde_json::from_slice::<Wide>(wide).unwrap());
        for json in [
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a","other":1,"other":2}"#,
            r#"{"name":"a","other":[{"x":{"y":1,"y":2}}]}"#,
            r#"{"name":"a","any":{"x":1,"\u0078":2}}"#,
            r#"{"name":"a","kinds":[{"object":{"size":1,"size":1}}]}"#,
            r#"{"name":"a","kinds":[{"object":{"size":{"low":1,"low":1}}}]}"#,
            r#"{"name":1,"other":{"x":1,"x":2}}"#,
            r#"{"name":"a","by_number":{"1":"a","1":"b"}}"#,
        ] {
            for refused in [
                from_slice::<Wide>(json.as_bytes(), 1 << 20).err(),
                from_slice::<Narrow>(json.as_bytes(), 1 << 20).err(),
            ] {
                let refused = refused.unwrap();
                assert!(matches!(refused, StrictJsonError::Malformed(_)), "{json}: {refused}");
                assert_eq!(refused.to_string(), check(json.as_bytes(), 1 << 20).unwrap_err().to_string());
            }
        }
        for json in [r#"{"name":"a","by_number":{"01":"a"}}"#, r#"{"name":"a","by_number":{"+1":"a"}}"#] {
            assert!(matches!(from_slice::<Wide>(json.as_bytes(), 99), Err(StrictJsonError::Shape(_))), "{json}");
        }
        let deep = |depth: usize| format!(r#"{{"name":"a","any":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        for depth in [MAX_DEPTH - 1, MAX_DEPTH] {
            let deep = deep(depth);
            let accepted = check(deep.as_bytes(), 1 << 20).is_ok();
            assert_eq!(accepted, depth < MAX_DEPTH);
            assert_eq!(from_slice::<Wide>(deep.as_bytes(), 1 << 20).is_ok(), accepted);
            assert_eq!(from_slice::<Narrow>(deep.as_bytes(), 1 << 20).is_ok(), accepted);
        }
        assert!(matches!(from_slice::<Narrow>(b"{\"name\":\"\xff\"}", 99), Err(StrictJsonError::Malformed(_))));
        assert!(matches!(from_slice::<Narrow>(br#"{"name":"a"} 1"#, 99), Err(StrictJsonError::Malformed(_))));
        assert!(matches!(from_slice::<Narrow>(br#"{"name":1}"#, 99), Err(StrictJsonError::Shape(_))));
        assert!(matches!(from_slice::<Narrow>(br#"{"name":"a"}"#, 9), Err(StrictJsonError::TooLarge { .. })));
    }

    #[test]
    fn depth_size_encoding_and_trailing_bytes() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(check(&nested(MAX_DEPTH), 1 << 20).is_ok());
        assert!(refused(&nested(MAX_DEPTH + 1)).contains("nested deeper"));
        // The most that the count of containers lets through must end by its depth, not by the stack.
        assert!(refused(&vec![b'['; MAX_CONTAINERS]).contains("nested deeper"));
        assert!(refused(b"\"\xff\"").contains("column"));
        assert!(refused(b"\xef\xbb\xbf{}").contains("column 1"));
        assert!(refused(b"{} {}").contains("trailing"));
        assert!(refused(b"").contains("EOF"));
        assert!(matches!(check(b"[1]", 2), Err(StrictJsonError::TooLarge { bytes: 3, max_bytes: 2 })));
        let lists = |count: usize| format!("[{}[]]", "[],".repeat(count - 2));
        assert!(check(lists(MAX_CONTAINERS).as_bytes(), 1 << 23).is_ok());
        assert!(matches!(check(lists(MAX_CONTAINERS + 1).as_bytes(), 1 << 23), Err(StrictJsonError::TooMany)));
        let texts = |count: usize| format!("[{}0]", "\"\",".repeat(count));
        assert!(check(texts(MAX_COMMAS).as_bytes(), 1 << 23).is_ok());
        assert!(matches!(check(texts(MAX_COMMAS + 1).as_bytes(), 1 << 23), Err(StrictJsonError::TooMany)));
    }
}
