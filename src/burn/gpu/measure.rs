//! What is measured on a GPU, in which unit, and how its values are kept.

use serde::{Deserialize, Serialize};

/// Unit of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// 10^6 bytes a second.
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    /// 10^9 operations a second; a multiply-add is two.
    #[serde(rename = "GFLOP/s")]
    GigaOperationsPerSecond,
    /// 10^9 operations with integers a second; a multiply-add is two.
    #[serde(rename = "GOP/s")]
    GigaIntegerOperationsPerSecond,
    /// Multiply-adds of one SM in 1000 of its clocks.
    #[serde(rename = "FMA/1000 clocks/SM")]
    PerThousandClocks,
    /// Thousandths.
    #[serde(rename = "permille")]
    Permille,
    /// Thousands of hertz.
    #[serde(rename = "kHz")]
    Kilohertz,
    /// Bytes.
    #[serde(rename = "B")]
    Bytes,
    /// A number of things.
    #[serde(rename = "1")]
    Count,
    /// Clocks of an SM.
    #[serde(rename = "clocks")]
    Clocks,
    /// 10^-6 seconds.
    #[serde(rename = "us")]
    Microseconds,
}

impl Unit {
    /// As in the records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MegabytesPerSecond => "MB/s",
            Self::GigaOperationsPerSecond => "GFLOP/s",
            Self::GigaIntegerOperationsPerSecond => "GOP/s",
            Self::PerThousandClocks => "FMA/1000 clocks/SM",
            Self::Permille => "permille",
            Self::Kilohertz => "kHz",
            Self::Bytes => "B",
            Self::Count => "1",
            Self::Clocks => "clocks",
            Self::Microseconds => "us",
        }
    }
}

macro_rules! quantities {
    ($($name:ident $word:literal $path:literal $unit:ident $about:literal,)*) => {
        /// What is measured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Quantity {
            $(#[doc = $about] #[serde(rename = $word)] $name,)*
        }

        impl Quantity {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word used in records and messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The fact that holds its median.
            pub const fn fact(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// Its unit.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }

            /// What it is, for the fact's declaration.
            pub(super) const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }
        }
    };
}

quantities! {
    Read "read" "gpu.burn.bandwidth.read_mb_per_second" MegabytesPerSecond
        "memory bandwidth of the card when it only reads, 10^6 bytes a second",
    Write "write" "gpu.burn.bandwidth.write_mb_per_second" MegabytesPerSecond
        "memory bandwidth of the card when it only writes, 10^6 bytes a second",
    Copy "copy" "gpu.burn.bandwidth.copy_mb_per_second" MegabytesPerSecond
        "memory bandwidth of the card when it copies, bytes read and written added, 10^6 bytes a second",
    Triad "triad" "gpu.burn.bandwidth.triad_mb_per_second" MegabytesPerSecond
        "memory bandwidth of a = b + s x c, bytes read and written added, 10^6 bytes a second",
    SlowestRegion "slowest-region" "gpu.burn.bandwidth.slowest_region_permille" Permille
        "read bandwidth of the slowest region of the memory, in thousandths of the median region's",
    SlowSmallRegions "slow-small-regions" "gpu.burn.bandwidth.slow_small_regions_permille" Permille
        "regions of 32 KiB that took half as long again as the median one while all SMs read, in thousandths: a slow channel serves some of them; experimental, never judged",
    HostToDevice "host-to-device" "gpu.burn.bandwidth.host_to_device_mb_per_second" MegabytesPerSecond
        "copies from pinned host memory to the card, 10^6 bytes a second",
    DeviceToHost "device-to-host" "gpu.burn.bandwidth.device_to_host_mb_per_second" MegabytesPerSecond
        "copies from the card to pinned host memory, 10^6 bytes a second",
    BothWays "both-ways" "gpu.burn.bandwidth.both_ways_mb_per_second" MegabytesPerSecond
        "copies to and from the card at once, both directions added, 10^6 bytes a second",
    RateFp32 "rate-fp32" "gpu.burn.rate.fp32_gflops" GigaOperationsPerSecond
        "FP32 rate of all SMs, 10^9 operations a second, a multiply-add being two",
    RateFp64 "rate-fp64" "gpu.burn.rate.fp64_gflops" GigaOperationsPerSecond
        "FP64 rate of all SMs without tensor cores, 10^9 operations a second",
    RateFp64Tensor "rate-fp64-tensor" "gpu.burn.rate.fp64_tensor_gflops" GigaOperationsPerSecond
        "FP64 rate of the tensor cores, 10^9 operations a second",
    RateFp16 "rate-fp16" "gpu.burn.rate.fp16_gflops" GigaOperationsPerSecond
        "dense FP16 rate of the tensor cores with FP32 sums, 10^9 operations a second",
    RateBf16 "rate-bf16" "gpu.burn.rate.bf16_gflops" GigaOperationsPerSecond
        "dense BF16 rate of the tensor cores with FP32 sums, 10^9 operations a second",
    RateTf32 "rate-tf32" "gpu.burn.rate.tf32_gflops" GigaOperationsPerSecond
        "dense TF32 rate of the tensor cores, 10^9 operations a second",
    RateInt8 "rate-int8" "gpu.burn.rate.int8_gops" GigaIntegerOperationsPerSecond
        "dense INT8 rate of the tensor cores, 10^9 operations a second",
    RateFp8 "rate-fp8" "gpu.burn.rate.fp8_gflops" GigaOperationsPerSecond
        "dense FP8 (E4M3) rate of the tensor cores, 10^9 operations a second",
    RateFp4 "rate-fp4" "gpu.burn.rate.fp4_gflops" GigaOperationsPerSecond
        "dense FP4 (E2M1, block scaled) rate of the tensor cores, 10^9 operations a second",
    ClocksFp32 "ops-fp32" "gpu.burn.ops_per_1000_clocks_per_sm.fp32" PerThousandClocks
        "FP32 multiply-adds of an SM in 1000 of its clocks, whatever the clock rate",
    ClocksFp32Split "ops-fp32-split" "gpu.burn.ops_per_1000_clocks_per_sm.fp32_split" PerThousandClocks
        "the same arithmetic with each FP32 multiply-add split in two instructions: pairs of an SM in 1000 of its clocks",
    ClocksFp64 "ops-fp64" "gpu.burn.ops_per_1000_clocks_per_sm.fp64" PerThousandClocks
        "FP64 multiply-adds of an SM in 1000 of its clocks, without tensor cores",
    ClocksFp64Tensor "ops-fp64-tensor" "gpu.burn.ops_per_1000_clocks_per_sm.fp64_tensor" PerThousandClocks
        "FP64 multiply-adds of an SM's tensor cores in 1000 clocks",
    ClocksFp16 "ops-fp16" "gpu.burn.ops_per_1000_clocks_per_sm.fp16" PerThousandClocks
        "dense FP16 multiply-adds with FP32 sums of an SM in 1000 clocks: GH100 2048000, GA100 1024000, GeForce AD102 256000",
    ClocksBf16 "ops-bf16" "gpu.burn.ops_per_1000_clocks_per_sm.bf16" PerThousandClocks
        "dense BF16 multiply-adds of an SM in 1000 clocks",
    ClocksTf32 "ops-tf32" "gpu.burn.ops_per_1000_clocks_per_sm.tf32" PerThousandClocks
        "dense TF32 multiply-adds of an SM in 1000 clocks",
    ClocksInt8 "ops-int8" "gpu.burn.ops_per_1000_clocks_per_sm.int8" PerThousandClocks
        "dense INT8 multiply-adds of an SM in 1000 clocks",
    ClocksFp8 "ops-fp8" "gpu.burn.ops_per_1000_clocks_per_sm.fp8" PerThousandClocks
        "dense FP8 multiply-adds of an SM in 1000 clocks",
    ClocksFp4 "ops-fp4" "gpu.burn.ops_per_1000_clocks_per_sm.fp4" PerThousandClocks
        "dense FP4 multiply-adds of an SM in 1000 clocks",
    SmCount "sm-count" "gpu.burn.sm_count" Count
        "SMs on which blocks have run, counted by their numbers",
    SmClock "sm-clock" "gpu.burn.clock.sm_measured_khz" Kilohertz
        "SM clock while all SMs wait for the timer: clocks over nanoseconds on the card, in kHz",
    L2Bytes "l2-bytes" "gpu.burn.l2_bytes" Bytes
        "size of the second-level cache as latency shows it: the largest ring of pointers that still fits, in bytes",
    L2Latency "l2-latency" "gpu.burn.l2_latency_clocks" Clocks
        "clocks of one dependent load that hits the second-level cache",
    MemoryLatency "memory-latency" "gpu.burn.memory_latency_clocks" Clocks
        "clocks of one dependent load that hits the second-level cache, median over all SMs and regions of the memory; experimental, never judged",
    PulseBursts "pulse-bursts" "gpu.burn.pulse_bursts" Count
        "bursts of arithmetic of a block in a part of the square wave of power; 0 would mean that there was no wave",
    PulsePhase "pulse-phase" "gpu.burn.pulse_phase_microseconds" Microseconds
        "by how much the square wave of power may have been out of phase with the host's clock, which those of all GPUs follow",
}

/// A number format that SMs compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberType {
    /// IEEE 754 binary32.
    Fp32,
    /// IEEE 754 binary64.
    Fp64,
    /// IEEE 754 binary64 in tensor cores.
    Fp64Tensor,
    /// IEEE 754 binary16 in tensor cores, FP32 sums.
    Fp16,
    /// bfloat16 in tensor cores, FP32 sums.
    Bf16,
    /// TensorFloat-32.
    Tf32,
    /// 8-bit integers in tensor cores.
    Int8,
    /// E4M3 in tensor cores.
    Fp8,
    /// E2M1 in tensor cores, block scaled.
    Fp4,
}

impl NumberType {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Fp32,
        Self::Fp64,
        Self::Fp64Tensor,
        Self::Fp16,
        Self::Bf16,
        Self::Tf32,
        Self::Int8,
        Self::Fp8,
        Self::Fp4,
    ];

    /// The quantities of its rate and of its operations for a clock.
    pub fn quantities(self) -> (Quantity, Quantity) {
        match self {
            Self::Fp32 => (Quantity::RateFp32, Quantity::ClocksFp32),
            Self::Fp64 => (Quantity::RateFp64, Quantity::ClocksFp64),
            Self::Fp64Tensor => (Quantity::RateFp64Tensor, Quantity::ClocksFp64Tensor),
            Self::Fp16 => (Quantity::RateFp16, Quantity::ClocksFp16),
            Self::Bf16 => (Quantity::RateBf16, Quantity::ClocksBf16),
            Self::Tf32 => (Quantity::RateTf32, Quantity::ClocksTf32),
            Self::Int8 => (Quantity::RateInt8, Quantity::ClocksInt8),
            Self::Fp8 => (Quantity::RateFp8, Quantity::ClocksFp8),
            Self::Fp4 => (Quantity::RateFp4, Quantity::ClocksFp4),
        }
    }
}

/// The values of several runs of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// How many values.
    pub samples: u64,
    /// Smallest.
    pub min: u64,
    /// The lower one of the two in the middle, where there are two.
    pub median: u64,
    /// Largest.
    pub max: u64,
}

impl Distribution {
    /// Of some values; `None` of none.
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else { return None };
        Some(Self { samples: values.len() as u64, min, median: values[(values.len() - 1) / 2], max })
    }

    /// Whether its numbers can belong together, and are none that no reader could keep.
    pub(super) fn is_sound(&self) -> bool {
        self.samples > 0 && self.min <= self.median && self.median <= self.max && self.max < 1 << 53
    }
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// Of what.
    pub quantity: Quantity,
    /// In which unit.
    pub unit: Unit,
    /// Its values.
    pub distribution: Distribution,
    /// How they were found, in a few words.
    pub method: String,
    /// The kernel that ran.
    pub kernel: Option<String>,
    /// The seed of its operands.
    pub seed: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_does_not_move_the_median() {
        let distribution = Distribution::of(vec![100, 101, 9_000_000, 99, 100]).unwrap();
        assert_eq!(distribution, Distribution { samples: 5, min: 99, median: 100, max: 9_000_000 });
        assert!(distribution.is_sound());
        assert_eq!(Distribution::of(Vec::new()), None);
    }
}
