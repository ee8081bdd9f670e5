//! A value, or the reason why there is none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Value;

/// What the host answered, or why there is no answer. Never a sentinel: no -1, no 0, no "N/A".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reading<T = Value> {
    /// The host gave this value.
    Known(T),
    /// The host said that there is no such thing.
    Absent,
    /// The host refused for lack of privilege.
    Denied,
    /// This platform, kernel or device has no way to answer.
    Unsupported,
    /// The attempt went wrong: timed out, garbled, too large, vanished in between.
    Failed(String),
}

impl<T> Reading<T> {
    /// The value, when there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// The value, when there is one, by value.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// Converts the value and keeps the reason otherwise.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Reading<U> {
        self.and_then(|value| Reading::Known(convert(value)))
    }

    /// Converts the value by a step that may itself have no answer.
    pub fn and_then<U>(self, convert: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Known(value) => convert(value),
            Self::Absent => Reading::Absent,
            Self::Denied => Reading::Denied,
            Self::Unsupported => Reading::Unsupported,
            Self::Failed(why) => Reading::Failed(why),
        }
    }

    /// The same reading with the value borrowed.
    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Known(value) => Reading::Known(value),
            Self::Absent => Reading::Absent,
            Self::Denied => Reading::Denied,
            Self::Unsupported => Reading::Unsupported,
            Self::Failed(why) => Reading::Failed(why.clone()),
        }
    }

    /// One word for tables: `known`, `absent`, `denied`, `unsupported`, `failed`.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Known(_) => "known",
            Self::Absent => "absent",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::Failed(_) => "failed",
        }
    }

    /// `Known`, or `Absent` for `None`.
    pub fn or_absent(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Known)
    }
}

impl Reading<Vec<u8>> {
    /// Text as the device gave it; see [`Value::text_from_bytes`]. Empty text is [`Reading::Absent`].
    pub fn text(self) -> Reading<String> {
        self.and_then(|bytes| match Value::text_from_bytes(&bytes) {
            Ok(text) if text.is_empty() => Reading::Absent,
            Ok(text) => Reading::Known(text),
            Err(length) => Reading::Failed(format!("text of {length} bytes is longer than any field")),
        })
    }

    /// A decimal number, or a hexadecimal one with `0x`.
    pub fn number(self) -> Reading<u64> {
        self.text().and_then(|text| {
            let parsed = match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => text.parse(),
            };
            parsed.map_or_else(
                |_| Reading::Failed(format!("not a number: {:.40}", text.escape_debug().to_string())),
                Reading::Known,
            )
        })
    }
}

impl<T: Into<Value>> Reading<T> {
    /// The reading of a fact from a typed one.
    pub fn value(self) -> Reading<Value> {
        self.map(Into::into)
    }
}

macro_rules! reading_from {
    ($($kind:ty),*) => {$(
        impl From<Reading<$kind>> for Reading<Value> {
            fn from(reading: Reading<$kind>) -> Self {
                reading.value()
            }
        }
        impl From<$kind> for Reading<Value> {
            fn from(value: $kind) -> Self {
                Reading::Known(value.into())
            }
        }
        impl From<Option<$kind>> for Reading<Value> {
            fn from(value: Option<$kind>) -> Self {
                Reading::or_absent(value).value()
            }
        }
    )*};
}

reading_from!(bool, String, &str, u64, i64, u32, usize, Vec<String>, Vec<u64>);
