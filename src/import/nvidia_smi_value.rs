//! How nvidia-smi prints values, and reasons for having none.

use crate::evidence::{Reading, Value};

/// How the value of a field reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// Text as it is.
    Text,
    /// Text that boards without it print as "N/A".
    Identity,
    /// Text in upper case: Windows prints some versions in lower case.
    Upper,
    /// A word in lower case with hyphens.
    Word,
    /// The same, "Success" being "ok".
    Success,
    /// A virtualisation mode.
    Virtualization,
    /// Yes or no, in any of the words for it.
    Flag,
    /// A number without unit, or with one that is no quantity: `2560 bank(s)`, `16x`.
    Count,
    /// MiB.
    Mebibytes,
    /// MHz.
    Megahertz,
    /// Watts with two decimals, as milliwatts.
    Milliwatts,
    /// Degrees Celsius.
    Celsius,
    /// One number of percent, as a list.
    PercentList,
}

/// The text of a value, or why there is none. `identity`: "N/A" means that the board has none.
pub(super) fn state(value: &str, identity: bool) -> Reading<&str> {
    let value = value.trim();
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value).trim();
    let is = |words: &[&str]| words.iter().any(|word| bare.eq_ignore_ascii_case(word));
    if bare.is_empty() {
        Reading::Absent
    } else if is(&["N/A", "Not Supported", "Not Available", "Function Not Found"]) {
        if identity && !is(&["Function Not Found"]) { Reading::Absent } else { Reading::Unsupported }
    } else if bare.starts_with("Requested functionality has been deprecated") {
        Reading::Unsupported
    } else if is(&["Insufficient Permissions", "Insufficient Privileges"]) {
        Reading::Denied
    } else if is(&["Unknown Error", "ERR!", "Unknown", "Error", "Timeout", "GPU requires reset", "Reset Required"])
        || bare.starts_with("GPU is lost")
    {
        Reading::Failed(bare.to_owned())
    } else {
        Reading::Known(value)
    }
}

/// The number that a value begins with, rounded.
pub(super) fn number(text: &str) -> Option<i64> {
    thousandths(text).map(|it| (it + if it < 0 { -500 } else { 500 }) / 1000)
}

/// The decimal number that a value begins with, times 1,000.
fn thousandths(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let end = digits.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(digits.len());
    let (whole, fraction) = digits[..end].split_once('.').unwrap_or((&digits[..end], ""));
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let amount = whole.checked_mul(1000)?.checked_add(fraction)?;
    Some(if negative { -amount } else { amount })
}

/// The reading of a printed value.
pub(super) fn convert(how: As, value: &str) -> Reading {
    let text = match state(value, how == As::Identity) {
        Reading::Known(text) => text,
        other => return other.map(str::to_owned).value(),
    };
    let kebab = || text.to_ascii_lowercase().replace([' ', '_'], "-");
    let known = match how {
        As::Text | As::Identity => Some(Value::from(text)),
        As::Upper => Some(Value::from(text.to_ascii_uppercase())),
        As::Word => Some(Value::from(kebab())),
        As::Success => Some(Value::from(if text == "Success" { "ok".to_owned() } else { kebab() })),
        As::Virtualization => Some(Value::from(match kebab().as_str() {
            "pass-through" => "passthrough".to_owned(),
            other => other.to_owned(),
        })),
        As::Flag => flag(text).map(Value::from),
        As::Count => within(number(text), 0..=1 << 40),
        As::Mebibytes => {
            let factor = if text.ends_with("GiB") { 1024 } else { 1 };
            within(number(text).and_then(|it| it.checked_mul(factor)), 0..=1 << 30)
        }
        As::Megahertz => within(number(text), 0..=100_000),
        As::Milliwatts => within(thousandths(text), 0..=100_000_000),
        As::Celsius => within(number(text), -100..=300),
        As::PercentList => within(number(text), 0..=1000).map(|it| Value::List(vec![it])),
    };
    // What is neither a value nor a known reason is kept as what it is.
    known.map_or_else(|| Reading::Failed(format!("printed as {:.60}", text.escape_debug().to_string())), Reading::Known)
}

/// A number that a device can have: all ones, and what else stands for no answer, is none.
fn within(number: Option<i64>, range: std::ops::RangeInclusive<i64>) -> Option<Value> {
    const NO_ANSWER: [i64; 3] = [u32::MAX as i64, u16::MAX as i64 * 65537, i32::MAX as i64];
    number.filter(|it| range.contains(it) && !NO_ANSWER.contains(it)).map(Value::from)
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "enabled" | "on" | "1" | "true" | "valid" => Some(true),
        "no" | "disabled" | "off" | "0" | "false" | "invalid" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_no_values() {
        for (value, identity, expected) in [
            ("N/A", false, Reading::Unsupported),
            ("[N/A]", false, Reading::Unsupported),
            ("N/A", true, Reading::Absent),
            ("[Not Supported]", true, Reading::Absent),
            ("[Requested functionality has been deprecated]", true, Reading::Unsupported),
            ("Insufficient Permissions", false, Reading::Denied),
            ("[Unknown Error]", false, Reading::Failed("Unknown Error".to_owned())),
            ("ERR!", true, Reading::Failed("ERR!".to_owned())),
            ("GPU is lost", true, Reading::Failed("GPU is lost".to_owned())),
            ("REDACTED", true, Reading::Known("REDACTED")),
            ("", true, Reading::Absent),
        ] {
            assert_eq!(state(value, identity), expected, "{value}");
        }
    }

    #[test]
    fn numbers_with_units() {
        for (how, value, expected) in [
            (As::Mebibytes, "81559 MiB", Some(81559)),
            (As::Mebibytes, "24 GiB", Some(24576)),
            (As::Mebibytes, "17592186044415 MiB", None),
            (As::Milliwatts, "52.50 W", Some(52_500)),
            (As::Milliwatts, "450 W", Some(450_000)),
            (As::Count, "16x", Some(16)),
            (As::Count, "4294967295", None),
            (As::Celsius, "-8 C", Some(-8)),
            (As::Megahertz, "MHz", None),
            (As::Count, "1.2.3", None),
        ] {
            let found = convert(how, value);
            assert_eq!(found.known().and_then(Value::as_integer), expected, "{value}: {found:?}");
            assert_eq!(matches!(found, Reading::Failed(_)), expected.is_none(), "{value}: {found:?}");
        }
    }
}
