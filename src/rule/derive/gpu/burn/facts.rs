//! The facts that are derived from a burn-in of a GPU.

use crate::evidence::FactDef;
use crate::evidence::Kind::{Bool, Integer, List, Text};

/// Facts under `gpu.burned.`.
pub(in super::super) const FACTS: &[FactDef] = &[
    FactDef::new("gpu.burned.tested", Bool, "whether a burn-in tested the GPU; failed where one was run without it"),
    FactDef::new("gpu.burned.behaves_like", Text, "products that what was measured fits, whatever the card says it is"),
    FactDef::new("gpu.burned.expected.name", Text, "product that the expectations are about"),
    FactDef::new("gpu.burned.expected.certainty", Text, "certainty of the expectations, A to E"),
    FactDef::new("gpu.burned.expected.sm_count", Integer, "SMs that the product has"),
    FactDef::new(
        "gpu.burned.aliased_vectors",
        Integer,
        "16-byte vectors of memory that is not there; 0 only where at least 97 % of the memory was tested",
    ),
    FactDef::new(
        "gpu.burned.memory_errors",
        Integer,
        "wrong 16-byte vectors; 0 only where at least 97 % of the memory was tested",
    ),
    FactDef::new(
        "gpu.burned.bandwidth_permille",
        Integer,
        "best memory bandwidth in thousandths of memory clock x bus width of the card itself",
    ),
    FactDef::new(
        "gpu.burned.bandwidth_of_part_permille",
        Integer,
        "the same in thousandths of the product's bandwidth",
    ),
    FactDef::new("gpu.burned.bandwidth_shortfalls", List, "memory bandwidths below the part's floor, with figures"),
    FactDef::new(
        "gpu.burned.rate_permille.fp32",
        Integer,
        "FP32 rate, thousandths of median clock x SMs x what the part does in a clock",
    ),
    FactDef::new("gpu.burned.rate_permille.fp64", Integer, "the same for FP64"),
    FactDef::new("gpu.burned.rate_permille.fp64_tensor", Integer, "the same for FP64 in tensor cores"),
    FactDef::new("gpu.burned.rate_permille.fp16", Integer, "the same for FP16 in tensor cores"),
    FactDef::new("gpu.burned.rate_permille.bf16", Integer, "the same for BF16 in tensor cores"),
    FactDef::new("gpu.burned.rate_permille.tf32", Integer, "the same for TF32 in tensor cores"),
    FactDef::new("gpu.burned.rate_permille.int8", Integer, "the same for INT8 in tensor cores"),
    FactDef::new("gpu.burned.rate_permille.fp8", Integer, "the same for FP8 in tensor cores"),
    FactDef::new("gpu.burned.rate_permille.fp4", Integer, "the same for FP4 in tensor cores"),
    FactDef::new("gpu.burned.slow_rates", List, "FP32 and FP64 rates below the part's floor, with figures"),
    FactDef::new("gpu.burned.slow_tensor_rates", List, "tensor core rates below the part's floor, with figures"),
    FactDef::new("gpu.burned.fp64_permille_of_fp32", Integer, "FP64 multiply-adds in a clock, thousandths of FP32's"),
    FactDef::new(
        "gpu.burned.tensor_permille_of_fp32",
        Integer,
        "FP16 multiply-adds of tensor cores in a clock, thousandths of FP32's",
    ),
    FactDef::new(
        "gpu.burned.fma_permille_of_split",
        Integer,
        "FP32 multiply-adds in thousandths of the same arithmetic in two instructions: 2000 on every chip, far below 1000 where a driver or fuse holds multiply-adds down",
    ),
    FactDef::new("gpu.burned.ratio_conflicts", List, "ratios of number formats that are not the chip's, with figures"),
    FactDef::new(
        "gpu.burned.memory_repairs",
        List,
        "uncorrected ECC errors and remapped rows of the burn-in; absent without ECC",
    ),
    FactDef::new(
        "gpu.burned.pcie_replays_per_minute",
        Integer,
        "PCIe packets that were sent again during the burn, for each minute under load, of which one at least is counted",
    ),
    FactDef::new("gpu.burned.link_shortfalls", List, "what the PCIe link lacked under load, with figures"),
    FactDef::new(
        "gpu.burned.peer_shortfalls",
        List,
        "copies to other GPUs that are slower than the NVLinks to them; absent where no active NVLink leads to another GPU",
    ),
    FactDef::new(
        "gpu.burned.lagging",
        List,
        "measurements far below the median of the machine's GPUs of this kind; absent for a single one",
    ),
    FactDef::new(
        "gpu.burned.claim_conflicts",
        List,
        "what was measured and is not the claimed product's; absent without a claim",
    ),
];
