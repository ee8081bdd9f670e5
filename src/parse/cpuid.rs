//! CPUID answers of one logical CPU (Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E), as recorded by
//! [`Query::Cpuid`](crate::host::Query::Cpuid).
//!
//! ```text
//! record, 24 bytes, little-endian u32: 00h leaf  04h subleaf  08h EAX  0Ch EBX  10h ECX  14h EDX
//! ```

use std::collections::BTreeMap;
use std::fmt;

use raw_cpuid::{CpuId, CpuIdReader, CpuIdResult};

use super::plain_text;
use crate::evidence::Value;

const RECORD_BYTES: usize = 24;
/// Leaves and subleaves of one CPU. Real ones have about 100.
const MAX_RECORDS: usize = 4096;
/// How a line of AIDA64 begins.
const TEXT_LINE: &str = "CPUID ";
const HYPERVISOR_LEAF: u32 = 0x4000_0000;

/// Display family, display model and stepping: what `/proc/cpuinfo` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    /// Base family, plus the extended family where the base is 15.
    pub family: u32,
    /// Base model, with the extended model above it from family 6 on.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// EAX of leaf 1.
    pub eax: u32,
}

impl Signature {
    /// From EAX of leaf 1. The same sum as the Linux kernel's for every vendor: raw-cpuid adds the extended family of
    /// vendors that it does not know to any base family.
    pub fn from_eax(eax: u32) -> Self {
        let bits = |low: u32, mask: u32| eax >> low & mask;
        let family = match bits(8, 0xf) {
            0xf => 0xf + bits(20, 0xff),
            base => base,
        };
        let extended_model = if family >= 6 { bits(16, 0xf) << 4 } else { 0 };
        Self { family, model: extended_model | bits(4, 0xf), stepping: bits(0, 0xf), eax }
    }
}

impl fmt::Display for Signature {
    /// `family-model-stepping` in decimal: `6-143-8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.family, self.model, self.stepping)
    }
}

/// All answers of one logical CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    leaves: BTreeMap<(u32, u32), [u32; 4]>,
}

impl CpuIdReader for &Dump {
    fn cpuid2(&self, leaf: u32, subleaf: u32) -> CpuIdResult {
        let [eax, ebx, ecx, edx] = self.leaves.get(&(leaf, subleaf)).copied().unwrap_or_default();
        CpuIdResult { eax, ebx, ecx, edx }
    }
}

impl Dump {
    /// Reads the records; bytes behind the last whole record are ignored. `None` without leaf 0, which every CPU has.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut leaves = BTreeMap::new();
        for record in bytes.chunks_exact(RECORD_BYTES).take(MAX_RECORDS) {
            let word = |index: usize| {
                record.get(4 * index..4 * index + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes)
            };
            leaves.entry((word(0), word(1))).or_insert([word(2), word(3), word(4), word(5)]);
        }
        leaves.contains_key(&(0, 0)).then_some(Self { leaves })
    }

    /// EAX, EBX, ECX, EDX of a leaf, when it was recorded.
    pub fn leaf(&self, leaf: u32, subleaf: u32) -> Option<[u32; 4]> {
        self.leaves.get(&(leaf, subleaf)).copied()
    }

    /// Vendor text of leaf 0: `GenuineIntel`.
    pub fn vendor(&self) -> Option<String> {
        let [_, ebx, ecx, edx] = self.leaf(0, 0)?;
        text(&[ebx, edx, ecx])
    }

    /// Brand text of leaves 80000002h to 80000004h.
    pub fn brand(&self) -> Option<String> {
        let mut words = Vec::with_capacity(12);
        for leaf in 0x8000_0002..=0x8000_0004 {
            words.extend(self.leaf(leaf, 0)?);
        }
        text(&words)
    }

    /// Family, model and stepping of leaf 1.
    pub fn signature(&self) -> Option<Signature> {
        let [eax, ..] = self.leaf(1, 0)?;
        Some(Signature::from_eax(eax))
    }

    /// Whether a hypervisor says that it is there: leaf 1, ECX bit 31, which is zero on real hardware.
    pub fn hypervisor(&self) -> Option<bool> {
        Some(CpuId::with_cpuid_reader(self).get_feature_info()?.has_hypervisor())
    }

    /// Vendor text of the hypervisor, leaf 40000000h: `KVMKVMKVM`.
    pub fn hypervisor_vendor(&self) -> Option<String> {
        let [_, ebx, ecx, edx] = self.leaf(HYPERVISOR_LEAF, 0)?;
        text(&[ebx, ecx, edx])
    }
}

/// Whether a text is the CPUID dump of AIDA64 (and of InstLatX64, which uses it).
pub fn recognise_text(text: &str) -> bool {
    plain_text::has(text, TEXT_LINE) && text.lines().filter_map(text_line).any(|(leaf, ..)| leaf == 0)
}

/// The answers of the first logical CPU of each package, as AIDA64 prints them. A text that states no package is of one.
///
/// ```text
/// allcpu: Package 0 / Core 0 / Thread 0: Valid
/// CPUID 00000004: 3C004121-01C0003F-0000003F-00000000 [SL 00] [L1D: 32 KB]
/// ```
pub fn parse_text(text: &str) -> Vec<Dump> {
    const MAX_PACKAGES: u32 = 256;
    let mut packages: BTreeMap<u32, Dump> = BTreeMap::new();
    let (mut package, mut seen): (u32, BTreeMap<u32, u32>) = (0, BTreeMap::new());
    for line in text.lines() {
        if line.starts_with("------[") {
            (package, seen) = (0, BTreeMap::new());
        } else if let Some(rest) = line.trim().strip_prefix("allcpu: Package ") {
            package = rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0).min(MAX_PACKAGES);
        } else if let Some((leaf, subleaf, registers)) = text_line(line) {
            // Old versions number no subleaves; they stand in order.
            let next = seen.entry(leaf).or_insert(0);
            let leaves = &mut packages.entry(package).or_default().leaves;
            if leaves.len() < MAX_RECORDS {
                leaves.entry((leaf, subleaf.unwrap_or(*next))).or_insert(registers);
            }
            *next += 1;
        }
    }
    packages.into_values().filter(|dump| dump.leaves.contains_key(&(0, 0))).collect()
}

fn text_line(line: &str) -> Option<(u32, Option<u32>, [u32; 4])> {
    let number = |digits: &str| u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 8);
    let (leaf, rest) = line.trim().strip_prefix(TEXT_LINE)?.split_once(':')?;
    let mut registers = rest.split_whitespace().next()?.split('-').map(number);
    let mut next = || registers.next().flatten();
    let values = [next()?, next()?, next()?, next()?];
    let subleaf = rest.split_once("[SL ").and_then(|(_, rest)| u32::from_str_radix(rest.split_once(']')?.0, 16).ok());
    Some((number(leaf)?, subleaf, values))
}

/// Text in registers, up to its first NUL.
fn text(words: &[u32]) -> Option<String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    Value::text_from_bytes(&bytes[..end]).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signatures_follow_the_kernel() {
        let signature = |eax| Signature::from_eax(eax).to_string();
        assert_eq!(signature(0x000806f8), "6-143-8");
        assert_eq!(signature(0x00a10f11), "25-17-1");
        assert_eq!(signature(0x00000f62), "15-6-2");
        assert_eq!(signature(0xffffffff), "270-255-15");
        assert_eq!(signature(0x000006a4), "6-10-4");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512), leaf in 0u32..8) {
            parse_text(&String::from_utf8_lossy(&bytes));
            let records = [&leaf.to_le_bytes()[..], &[0; 4], &bytes].concat();
            for bytes in [&bytes, &records, &[&[0; 24][..], &records].concat()] {
                if let Some(dump) = Dump::parse(bytes) {
                    let _ = (dump.vendor(), dump.brand(), dump.signature(), dump.hypervisor(), dump.hypervisor_vendor());
                }
            }
        }
    }
}
