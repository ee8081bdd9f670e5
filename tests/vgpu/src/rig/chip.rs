//! What a chip is from what NVML tells of it: multiprocessors, rates, bandwidth.
//!
//! Rates are those of NVIDIA's architecture papers: lanes and products for a multiprocessor and clock.

use super::{Brand, Gpu};
use crate::cuda::exec::Chip;

impl Gpu {
    /// Memory that CUDA tells.
    pub fn cuda_mib(&self) -> u64 {
        let told = self.memory.total_mib - self.memory.reserved_mib.min(self.memory.total_mib / 2);
        self.cuda.memory_mib.unwrap_or(told)
    }

    /// Clock of the multiprocessors under load.
    pub fn boost_mhz(&self) -> f64 {
        self.cuda.boost_mhz.unwrap_or_else(|| f64::from(self.max_clocks.sm_mhz.or(self.clocks.sm_mhz).unwrap_or(1500)))
    }

    /// Generation and width of the PCIe link under load.
    pub fn link(&self) -> [u8; 2] {
        self.cuda.link.unwrap_or([self.pcie.max_generation, self.pcie.max_width])
    }

    /// Bytes a second over the PCIe link: what is left of the raw rate after encoding and headers.
    pub fn link_bytes_a_second(&self) -> f64 {
        let [generation, width] = self.link();
        let lane = [0.25e9, 0.25e9, 0.5e9, 0.985e9, 1.969e9, 3.938e9, 7.563e9];
        let lane = lane.get(usize::from(generation)).copied().unwrap_or(lane[6]);
        lane * f64::from(width) * 0.85
    }

    /// Bytes a second of the memory.
    pub fn bandwidth_bytes_a_second(&self) -> f64 {
        if let Some(gigabytes) = self.cuda.bandwidth_gbs {
            return gigabytes * 1e9;
        }
        let clock = f64::from(self.max_clocks.memory_mhz.unwrap_or(5000)) * 1e6;
        // Two transfers a clock as NVML counts it; nine tenths of them carry data.
        clock * 2.0 * f64::from(self.bus_width_bits.unwrap_or(256)) / 8.0 * 0.93
    }

    /// Multiprocessors.
    pub fn multiprocessors(&self) -> u32 {
        let each = match self.compute_capability {
            [7, _] | [8, 0] => 64,
            _ => 128,
        };
        self.cuda.multiprocessors.unwrap_or_else(|| (self.cores.unwrap_or(each * 16) / each).max(1))
    }

    /// The chip for the executor.
    pub fn chip(&self, clock_mhz: f64) -> Chip {
        let game = matches!(self.brand, Brand::Geforce | Brand::GeforceRtx | Brand::Titan | Brand::TitanRtx);
        // Single, double, threads, FP16 products, 8-bit products, FP64 products, and both caches.
        let (single, double, threads, tensor, integer, matrix, l1_kib, l2_kib) = match self.compute_capability {
            [7, 0] => (64.0, 32.0, 2048, 512.0, 256.0, 32.0, 128, 6144),
            [7, _] => (64.0, 2.0, 1024, if game { 256.0 } else { 512.0 }, 1024.0, 2.0, 64, 5632),
            [8, 0] => (64.0, 32.0, 2048, 1024.0, 2048.0, 64.0, 192, 40960),
            [8, 6] => (128.0, 2.0, 1536, if game { 256.0 } else { 512.0 }, 1024.0, 2.0, 128, 6144),
            [8, _] => (128.0, 2.0, 1536, if game { 256.0 } else { 512.0 }, 1024.0, 2.0, 128, 73728),
            [9, _] => (128.0, 64.0, 2048, 2048.0, 4096.0, 128.0, 256, 51200),
            [10, 0] => (128.0, 64.0, 2048, 4096.0, 8192.0, 64.0, 256, 129_024),
            [10, _] => (128.0, 2.0, 2048, 4096.0, 256.0, 2.0, 256, 129_024),
            _ => (128.0, 2.0, 1536, if game { 256.0 } else { 512.0 }, 1024.0, 2.0, 128, 98304),
        };
        // What a regional card is cut in, it is cut in by every way.
        let double_share = self.cuda.double_lanes.map_or(1.0, |lanes| lanes / double);
        let tensor_share = self.cuda.tensor_products.map_or(1.0, |products| products / tensor);
        Chip {
            multiprocessors: self.multiprocessors(),
            threads,
            clock_mhz,
            lanes: [
                64.0,
                single,
                double * double_share,
                single,
                16.0,
                32.0,
                64.0,
                self.cuda.fused_lanes.unwrap_or(single),
            ],
            tensor: tensor * tensor_share,
            tensor_double: matrix * double_share,
            tensor_integer: integer * tensor_share,
            l1_bytes: l1_kib * 1024,
            l2_bytes: self.cuda.l2_kib.unwrap_or(l2_kib) * 1024,
        }
    }
}
