//! What a GPU is to CUDA, and what goes wrong there.

use serde::Deserialize;

/// `[gpu.cuda]`. What is absent follows from what NVML tells.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cuda {
    /// Memory that CUDA tells and gives; NVML's without it. A card of 64 MiB is one that the interpreter can fill.
    pub memory_mib: Option<u64>,
    /// Memory that there really is: addresses beyond it lead to its beginning again.
    pub real_mib: Option<u64>,
    /// Multiprocessors.
    pub multiprocessors: Option<u32>,
    /// Memory bandwidth in GB/s.
    pub bandwidth_gbs: Option<f64>,
    /// Second-level cache.
    pub l2_kib: Option<u64>,
    /// Clock of the multiprocessors under load, as long as nothing throttles.
    pub boost_mhz: Option<f64>,
    /// FP16 products with sums in single precision, for a multiprocessor and clock.
    pub tensor_products: Option<f64>,
    /// FP64 lanes of a multiprocessor.
    pub double_lanes: Option<f64>,
    /// Lanes of a multiprocessor for multiply-adds in single precision, where they are held down.
    pub fused_lanes: Option<f64>,
    /// Generation and width of the PCIe link under load; the card's highest without it.
    pub link: Option<[u8; 2]>,
    /// Power that a full load wants; 95 % of the limit without it. Above the limit the clock falls.
    pub demand_milliwatts: Option<u32>,
    /// Degrees above idle at the power limit.
    pub rise_celsius: Option<f64>,
    /// The power supply holds the card down under load: half the clock, and the bit of the throttle reasons.
    pub power_brake: bool,
    /// Time constant of the temperature, in seconds of the real clock.
    pub thermal_seconds: Option<f64>,
}

/// Another program on the GPU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Memory that it holds.
    pub used_mib: u64,
}

/// `[[cuda_fault]]`: something that goes wrong while a GPU works.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CudaFault {
    /// Position of the GPU in the rig; every one when absent.
    pub gpu: Option<usize>,
    /// A word of the command line of the processes that it happens in; all of them when absent.
    pub process: Option<String>,
    /// Launches that go before, where it is about launches.
    #[serde(default)]
    pub after_launches: u64,
    /// The kernel in whose launches it happens, where it is about launches; in every one's when absent.
    pub kernel: Option<String>,
    /// What it is.
    pub effect: CudaEffect,
}

impl CudaFault {
    /// Whether it happens in this process.
    pub fn is_here(&self) -> bool {
        let has = |word: &String| std::env::args_os().any(|it| it == word.as_str());
        self.process.as_ref().is_none_or(has)
    }
}

/// What is wrong. Addresses count from the beginning of the GPU's memory.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CudaEffect {
    /// A bit always has one value.
    StuckBit {
        /// Byte.
        address: u64,
        /// Bit in it.
        bit: u8,
        /// The value.
        value: bool,
    },
    /// A bit turns over in one of so many loads.
    FlippingBit {
        /// Byte.
        address: u64,
        /// Bit in it.
        bit: u8,
        /// Loads for each error.
        one_in: u64,
    },
    /// One in so many loads, anywhere, comes with a wrong bit.
    WrongLoads {
        /// Loads of a thread for each error.
        one_in: u64,
    },
    /// A multiprocessor gets one in so many floating-point and matrix instructions wrong.
    BadMultiprocessor {
        /// Its number.
        multiprocessor: u32,
        /// Instructions of a warp for each error.
        one_in: u64,
    },
    /// Every multiprocessor gets everything wrong, as where a driver compiled a kernel wrongly.
    WrongKernel,
    /// A region of the memory is slower by a factor.
    SlowRegion {
        /// First byte.
        from: u64,
        /// The byte after the last.
        to: u64,
        /// How often its time a transfer takes.
        factor: f64,
    },
    /// ECC errors that every launch adds.
    EccErrors {
        /// Corrected ones.
        #[serde(default)]
        corrected: u64,
        /// Uncorrected ones.
        #[serde(default)]
        uncorrected: u64,
    },
    /// Repairs that every launch adds: memory rows that are replaced, or pages that are retired where the chip has no spare
    /// rows.
    MemoryRepairs {
        /// After corrected errors.
        #[serde(default)]
        corrected: u64,
        /// After uncorrected ones.
        #[serde(default)]
        uncorrected: u64,
    },
    /// Packets that the PCIe link has to send again, with every launch.
    PcieReplays {
        /// How many.
        count: u64,
    },
    /// Errors of the NVLink that `nvlink.errors` is about, which every launch adds: replay, recovery, CRC flit, CRC data,
    /// ECC data.
    NvlinkErrors {
        /// How many.
        counts: [u64; 5],
    },
    /// The launch fails with an XID, and the context with it.
    Xid {
        /// The XID that NVML's events tell.
        xid: u32,
        /// The CUDA error, which every later call gives too.
        error: u32,
    },
    /// The GPU falls off the bus in the middle of the launch.
    Lost,
    /// The launch never ends.
    Hang,
    /// No allocation may be larger than that.
    FragmentedMemory {
        /// The largest.
        largest_mib: u64,
    },
    /// What the GPU sends to another one arrives with a wrong bit.
    WrongPeerCopies {
        /// Bytes from the beginning of each copy.
        byte: u64,
    },
    /// What it sends to another GPU never arrives.
    HangingPeerCopies,
    /// The launch takes so much longer by the host's clock, and no longer by its own: this machine interprets slowly.
    Slow {
        /// By how much.
        milliseconds: u64,
    },
    /// No memory for that allocation, the first being 1, and later ones.
    OutOfMemory {
        /// Its number.
        allocation: u64,
    },
    /// The same of page-locked memory of the host.
    OutOfHostMemory {
        /// Its number.
        allocation: u64,
    },
    /// The same of what loading a module takes.
    OutOfModuleMemory {
        /// Number of the module.
        allocation: u64,
    },
}
