//! PCI addresses in the forms in which tools print them.

/// A PCI address as drivers and tools print it, in the form `0000:17:00.0`: the domain may have eight digits or be
/// missing, and the function may be missing. `None` where it is none.
pub fn parse(text: &str) -> Option<String> {
    let hexadecimal = |digits: &str, most: usize| {
        let fits = !digits.is_empty() && digits.len() <= most && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let mut fields = text.trim().rsplit(':');
    let (last, bus, domain) = (fields.next()?, fields.next()?, fields.next().unwrap_or("0"));
    if fields.next().is_some() {
        return None;
    }
    let (device, function) = last.split_once('.').unwrap_or((last, "0"));
    let (domain, bus) = (hexadecimal(domain, 8)?, hexadecimal(bus, 2)?);
    let (device, function) = (hexadecimal(device, 2)?, hexadecimal(function, 1)?);
    (device < 32 && function < 8).then(|| format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form() {
        for (text, expected) in [
            ("00000000:17:00.0", Some("0000:17:00.0")),
            ("00000009:06:00.0", Some("0009:06:00.0")),
            ("0000:AF:1F.7", Some("0000:af:1f.7")),
            ("17:00.0", Some("0000:17:00.0")),
            ("10000:01:00.0", Some("10000:01:00.0")),
            ("1:2:3:4", None),
            ("0000:17:20.0", None),
            ("", None),
            (":::", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
    }
}
