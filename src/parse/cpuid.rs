//! CPUID answers of one logical CPU (Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E), as recorded by
//! [`Query::Cpuid`](crate::host::Query::Cpuid).
//!
//! ```text
//! record, 24 bytes, little-endian u32: 00h leaf  04h subleaf  08h EAX  0Ch EBX  10h ECX  14h EDX
//! ```

use std::collections::BTreeMap;
use std::fmt;

use raw_cpuid::{CpuId, CpuIdReader, CpuIdResult};

use crate::evidence::Value;

const RECORD_BYTES: usize = 24;
/// Leaves and subleaves of one CPU. Real ones have about 100.
const MAX_RECORDS: usize = 4096;
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
            let records = [&leaf.to_le_bytes()[..], &[0; 4], &bytes].concat();
            for bytes in [&bytes, &records, &[&[0; 24][..], &records].concat()] {
                if let Some(dump) = Dump::parse(bytes) {
                    let _ = (dump.vendor(), dump.brand(), dump.signature(), dump.hypervisor(), dump.hypervisor_vendor());
                }
            }
        }
    }
}
