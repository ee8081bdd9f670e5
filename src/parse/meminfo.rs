//! `/proc/meminfo` (Linux `Documentation/filesystems/proc.rst`): `Name:   number kB` lines, where kB is 1,024 bytes.

/// `MemTotal` in bytes: what the kernel manages, without its own image and what firmware reserved.
pub fn total_bytes(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let mut words = value.split_ascii_whitespace();
    let kibibytes: u64 = words.next()?.parse().ok()?;
    if words.next() != Some("kB") {
        return None;
    }
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn total_in_bytes() {
        assert_eq!(total_bytes("MemTotal:       24589188 kB\nMemFree: 1 kB\n"), Some(24_589_188 * 1024));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
        assert_eq!(total_bytes("MemTotal: 1 MB\n"), None);
        assert_eq!(total_bytes("MemTotal: 18446744073709551615 kB\n"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(MemTotal:|kB|[0-9]| |\n|\\PC){0,60}") {
            total_bytes(&text);
        }
    }
}
