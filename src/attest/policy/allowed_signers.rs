//! OpenSSH's `allowed_signers` (ssh-keygen(1), "ALLOWED SIGNERS"): a line is `PRINCIPALS [OPTIONS] KEYTYPE BASE64 [COMMENT]`.
//!
//! Only plain Ed25519 keys can sign reports. A line that is about something else is skipped with the reason, never taken for
//! less than it says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::attest::key::PublicKey;

/// Namespace in which a key must be allowed, when its line names any.
const NAMESPACE: &str = "yanji";
/// An Ed25519 key (RFC 8709, section 4): two strings, each after its length in four bytes.
const BLOB_PREFIX: [u8; 19] = *b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// A key of one line.
#[derive(Debug, Clone, PartialEq)]
pub struct AllowedSigner {
    /// The principals, as they stand there.
    pub name: String,
    /// The key.
    pub public: PublicKey,
    /// `valid-after`. A time without `Z` is taken as UTC.
    pub valid_from: Option<Timestamp>,
    /// `valid-before`.
    pub valid_until: Option<Timestamp>,
}

/// A line that gives no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Counted from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// The keys of a file, and the lines that give none.
pub fn parse(text: &str) -> (Vec<AllowedSigner>, Vec<Skipped>) {
    let (mut signers, mut skipped) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok(signer) => signers.push(signer),
            Err(why) => skipped.push(Skipped { line: index + 1, why: why.to_owned() }),
        }
    }
    (signers, skipped)
}

fn parse_line(line: &str) -> Result<AllowedSigner, &'static str> {
    if line.chars().any(|character| character.is_control() && character != '\t') {
        return Err("it holds a control character");
    }
    let words = words(line).ok_or("a quote is not closed")?;
    let mut words = words.iter().map(String::as_str);
    let name = words.next().unwrap_or_default().to_owned();
    let second = words.next().ok_or("a name without a key")?;
    let (mut valid_from, mut valid_until) = (None, None);
    let kind = if is_key_type(second) {
        second
    } else {
        for option in second.split(',') {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key.to_ascii_lowercase().as_str() {
                "namespaces" if value.split(QUOTED_COMMA).any(|namespace| namespace == NAMESPACE) => {}
                "namespaces" => return Err("it is allowed for other namespaces than \"yanji\" only"),
                "valid-after" => valid_from = Some(time(value)?),
                "valid-before" => valid_until = Some(time(value)?),
                "cert-authority" => return Err("certificates of an authority are not supported"),
                _ => return Err("an option that is not known here"),
            }
        }
        words.next().ok_or("a name without a key")?
    };
    if kind != "ssh-ed25519" {
        return Err("only ssh-ed25519 keys can sign reports");
    }
    let blob = STANDARD.decode(words.next().ok_or("no key after its type")?).map_err(|_| "the key is not base64")?;
    let key = blob.strip_prefix(&BLOB_PREFIX).and_then(|key| key.try_into().ok()).ok_or("not an Ed25519 key")?;
    if let (Some(from), Some(until)) = (valid_from, valid_until)
        && until <= from
    {
        return Err("valid-before is not after valid-after");
    }
    let public =
        PublicKey::checked(key).map_err(|_| "is no key: a point of small order, under which anybody can sign")?;
    Ok(AllowedSigner { name, public, valid_from, valid_until })
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
}

/// Splits at white space outside of double quotes, which are left out. A comma inside of quotes becomes a
/// [`QUOTED_COMMA`], which no line holds.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::<String>::new(), String::new(), false, false);
    for character in line.chars() {
        match character {
            '"' => (quoted, any) = (!quoted, true),
            ',' if quoted => word.push(QUOTED_COMMA),
            _ if character.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => word.push(character),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    if let Some(name) = words.first_mut() {
        *name = name.replace(QUOTED_COMMA, ",");
    }
    (!quoted).then_some(words)
}

/// Stands for a comma inside of quotes.
const QUOTED_COMMA: char = '\u{1}';

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with or without `Z`.
fn time(text: &str) -> Result<Timestamp, &'static str> {
    const WRONG: &str = "a time is YYYYMMDD[HHMM[SS]][Z]";
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    let number = |at: usize, length: usize| digits.get(at..at + length).map_or(Ok(0), |text| text.parse::<i16>());
    let small =
        |at: usize| -> Result<i8, &'static str> { i8::try_from(number(at, 2).map_err(|_| WRONG)?).map_err(|_| WRONG) };
    let year = number(0, 4).map_err(|_| WRONG)?;
    let civil = DateTime::new(year, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0).map_err(|_| WRONG)?;
    civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The key of RFC 8032, section 7.1, test 1, as RFC 8709 writes it.
    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
    const HEX: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn ed25519_lines_are_taken_and_all_others_are_named() {
        let text = format!(
            "# sellers\n\
             alice@example.com ssh-ed25519 {KEY} a comment\r\n\
             \"bob smith\",b valid-after=\"20260101Z\",valid-before=\"202702031530\",namespaces=\"git,yanji\" ssh-ed25519 {KEY}\n\
             carol namespaces=\"git\" ssh-ed25519 {KEY}\n\
             dave ssh-rsa AAAA\n\
             erin cert-authority ssh-ed25519 {KEY}\n\
             frank ssh-ed25519 {}\n\
             grace valid-before=\"2027\" ssh-ed25519 {KEY}\n\
             heidi verify-required ssh-ed25519 {KEY}\n\
             ivan\n\
             \"judy ssh-ed25519 {KEY}\n",
            &KEY[..40]
        );
        let (signers, skipped) = parse(&text);
        let public = PublicKey::from_hex(HEX).unwrap();
        let plain = AllowedSigner { name: "alice@example.com".to_owned(), public, valid_from: None, valid_until: None };
        let limited = AllowedSigner {
            name: "bob smith,b".to_owned(),
            valid_from: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            valid_until: Some("2027-02-03T15:30:00Z".parse().unwrap()),
            ..plain.clone()
        };
        assert_eq!(signers, [plain, limited]);
        assert_eq!(skipped.iter().map(|it| it.line).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn a_key_under_which_anybody_can_sign_is_none() {
        let blob = [&BLOB_PREFIX[..], &[1], &[0; 31]].concat();
        let (signers, skipped) = parse(&format!("mallory ssh-ed25519 {}\n", STANDARD.encode(blob)));
        assert!(signers.is_empty() && skipped[0].why.contains("under which anybody can sign"), "{skipped:?}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
