//! `/proc/cpuinfo` (Linux `arch/x86/kernel/cpu/proc.c`): one block of `name : value` lines a logical CPU, blocks
//! separated by an empty line.

use super::plain_text;

/// Blocks that are read. The kernel's own limit for x86 is 8,192 CPUs.
const MAX_BLOCKS: usize = 8192;

/// One logical CPU. A field that the kernel did not print is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processor<'a> {
    /// Logical CPU number, `processor`.
    pub number: Option<u32>,
    /// `physical id`.
    pub package: Option<u32>,
    /// `vendor_id`.
    pub vendor: Option<&'a str>,
    /// `model name`.
    pub brand: Option<&'a str>,
    /// `cpu family`: display family.
    pub family: Option<u32>,
    /// `model`: display model.
    pub model: Option<u32>,
    /// `stepping`.
    pub stepping: Option<u32>,
    /// `microcode`: `0x2b000603`.
    pub microcode: Option<&'a str>,
    /// Whether `flags` has `hypervisor`; `None` where there are no flags.
    pub hypervisor: Option<bool>,
}

/// Whether a text has the first line of a block and one that only processors have.
pub fn recognise(text: &str) -> bool {
    let has = |names: &[&str]| {
        text.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| names.contains(&name.trim_end()))
    };
    plain_text::has(text, "processor")
        && has(&["processor"])
        && has(&["vendor_id", "cpu family", "CPU implementer", "bogomips", "BogoMIPS"])
}

/// The text with an empty line before every block: a printout that somebody pasted may have lost them, and its lines may
/// end as on Windows.
pub fn separated(text: &str) -> String {
    let mut separated = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if line.split_once(':').is_some_and(|(name, _)| name.trim_end() == "processor") {
            separated.push('\n');
        }
        separated.push_str(line);
        separated.push('\n');
    }
    separated
}

/// Reads all blocks that name a logical CPU.
pub fn parse(text: &str) -> Vec<Processor<'_>> {
    parse_packages(text, |_| true)
}

/// Reads the first block of each package, and every block that states no package.
///
/// A machine of 512 CPUs prints a megabyte, of which two blocks are of use.
pub fn parse_first_of_each_package(text: &str) -> Vec<Processor<'_>> {
    let mut seen = Vec::new();
    parse_packages(text, |package| {
        let new = package.is_none_or(|package| !seen.contains(&package));
        seen.extend(package.filter(|_| new));
        new
    })
}

fn parse_packages(text: &str, mut wanted: impl FnMut(Option<u32>) -> bool) -> Vec<Processor<'_>> {
    let mut processors = Vec::new();
    for block in text.split("\n\n").take(MAX_BLOCKS) {
        let processor = parse_block(block);
        if processor.number.is_some() && wanted(processor.package) {
            processors.push(processor);
        }
    }
    processors
}

fn parse_block(block: &str) -> Processor<'_> {
    let mut processor = Processor::default();
    for line in block.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim_end(), value.trim());
        if value.is_empty() {
            continue;
        }
        match name {
            "processor" => processor.number = value.parse().ok(),
            "physical id" => processor.package = value.parse().ok(),
            "vendor_id" => processor.vendor = Some(value),
            "model name" => processor.brand = Some(value),
            "cpu family" => processor.family = value.parse().ok(),
            "model" => processor.model = value.parse().ok(),
            "stepping" => processor.stepping = value.parse().ok(),
            "microcode" => processor.microcode = Some(value),
            "flags" => {
                processor.hypervisor = Some(value.split_ascii_whitespace().any(|flag| flag == "hypervisor"));
                // Everything that is read stands before the flags.
                break;
            }
            _ => {}
        }
    }
    processor
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_block_a_package() {
        let text = "processor\t: 0\nphysical id\t: 0\nmodel name\t: A : B\n\nprocessor\t: 1\nphysical id\t: 1\nflags\t: fpu hypervisor\n\n\
                    processor\t: 2\nphysical id\t: 0\n\n";
        let first = parse_first_of_each_package(text);
        assert_eq!(first.iter().map(|it| it.number).collect::<Vec<_>>(), [Some(0), Some(1)]);
        assert_eq!(first[0].brand, Some("A : B"));
        assert_eq!((first[0].hypervisor, first[1].hypervisor), (None, Some(true)));
        assert_eq!(parse(text).len(), 3);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(processor|flags|model|physical id|\n|\t|:|[ -~]|\\PC){0,200}") {
            parse(&text);
            parse_first_of_each_package(&text);
        }
    }
}
