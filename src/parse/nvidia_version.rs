//! `/proc/driver/nvidia/version`: the loaded kernel module.
//!
//! ```text
//! NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023
//! NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (dvs-builder@U16)
//! GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
//! ```

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelModule {
    /// Version of the driver: `535.104.05`.
    pub version: String,
    /// Whether it is the open kernel module.
    pub open: bool,
}

/// Reads the file. `None` where it has no such line.
pub fn parse(text: &str) -> Option<KernelModule> {
    let line = text.lines().find_map(|line| line.strip_prefix("NVRM version:"))?;
    let version = line.split_ascii_whitespace().find(|word| {
        let mut numbers = word.split('.');
        (2..=4).contains(&word.split('.').count())
            && numbers.all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    })?;
    Some(KernelModule { version: version.to_owned(), open: line.contains("Open Kernel Module") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_flavours() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n\
                      GCC version:  gcc version 12.3.0 (Ubuntu)\n";
        assert_eq!(parse(closed), Some(KernelModule { version: "535.104.05".to_owned(), open: false }));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (x@y)\n";
        assert_eq!(parse(open), Some(KernelModule { version: "560.35.03".to_owned(), open: true }));
        assert_eq!(parse("GCC version:  gcc version 12.3.0\n"), None);
        assert_eq!(parse("NVRM version: none\n"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(NVRM version:|[0-9]|\\.| |\n|\\PC){0,40}") {
            parse(&text);
        }
    }
}
