//! Which products what was measured fits. Names and device ids say what a card claims; this looks at neither.

use super::super::{Gpu, integer, text};
use super::SMS;
use super::expected::{by_level, chip_rates};
use crate::evidence::{Part, Reading};
use crate::rule::tables::{Record, Tables};

/// Products that are named; of the others there is a number.
const NAMED: usize = 6;
/// Memory that fits a product's: some is kept for ECC and for the driver.
const MEMORY_PERMILLE: std::ops::RangeInclusive<i64> = 860..=1020;
/// A rate in a clock that fits a product's. Kinds of chips differ by a factor of 2.
const OPS_PERMILLE: std::ops::RangeInclusive<i64> = 700..=1400;
const FP64_PERMILLE: std::ops::RangeInclusive<i64> = 400..=2500;
/// No card moves more than its memory can.
const BANDWIDTH_PERMILLE: std::ops::RangeInclusive<i64> = 400..=1050;

struct Print {
    sms: i64,
    /// Multiply-adds of an SM in 1000 clocks.
    fp16: Option<i64>,
    fp64: Option<i64>,
    fma_throttled: bool,
    bus_bits: Option<i64>,
    memory_mib: Option<i64>,
    read_mb_per_second: Option<i64>,
}

pub(super) fn behaves_like(gpu: &Gpu<'_>, tables: &Tables) -> Reading {
    let part = gpu.part;
    let level = text(part, "gpu.burn.cuda.compute_capability");
    let sms = integer(part, SMS);
    level.and_then(|level| sms.map(|sms| describe(part, &level, sms, tables))).value()
}

fn describe(part: &Part, level: &str, sms: i64, tables: &Tables) -> String {
    let ops = |name: &str| part.integer(&format!("gpu.burn.ops_per_1000_clocks_per_sm.{name}"));
    let (fp32, split) = (ops("fp32"), ops("fp32_split"));
    let print = Print {
        sms,
        fp16: ops("fp16"),
        fp64: ops("fp64"),
        fma_throttled: fp32.zip(split).is_some_and(|(fp32, split)| fp32 < split),
        bus_bits: part.integer("gpu.burn.cuda.bus_width_bits"),
        memory_mib: part.integer("gpu.burn.total_bytes").map(|bytes| bytes >> 20),
        read_mb_per_second: part.integer("gpu.burn.bandwidth.read_mb_per_second"),
    };
    let kinds = by_level(level, tables);
    let chips: Vec<&str> = kinds.iter().flat_map(|kind| kind.texts("chips")).collect();
    let mut fitting: Vec<(&str, &Record)> = tables
        .records("gpu/devices")
        .filter(|(_, device)| device.text("chip").is_some_and(|chip| chips.contains(&chip)))
        .filter(|(id, device)| fits(&print, id, device, tables))
        .collect();
    let with_memory = |device: &Record| {
        print.memory_mib.is_none_or(|mib| {
            device.integers("memory_nominal_mib").any(|size| MEMORY_PERMILLE.contains(&(mib * 1000 / size.max(1))))
        })
    };
    let other_memory = !fitting.is_empty() && !fitting.iter().any(|(_, device)| with_memory(device));
    if !other_memory {
        fitting.retain(|(_, device)| with_memory(device));
    }
    // Records of certainty A are products that somebody has seen.
    fitting.sort_by_key(|(id, device)| (device.text("certainty").unwrap_or("E").to_owned(), (*id).to_owned()));
    let mut names: Vec<&str> = Vec::new();
    for (_, device) in fitting {
        let name = device.text("name").unwrap_or_default();
        let name = name.strip_prefix("NVIDIA ").unwrap_or(name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let memory = print.memory_mib.map_or(String::new(), |mib| format!("{mib} MiB of memory"));
    if names.is_empty() {
        let throttled = if print.fma_throttled { ", FP32 multiply-adds held down" } else { "" };
        return format!("no product in the tables: compute capability {level}, {sms} SMs, {memory}{throttled}");
    }
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let mut words = names.join(", ");
    if more > 0 {
        words += &format!(" and {more} more");
    }
    if other_memory {
        words += &format!(", but with {memory}");
    }
    words
}

fn fits(print: &Print, id: &str, device: &Record, tables: &Tables) -> bool {
    let class = device.text("class").unwrap_or("other");
    if device.integer("sm_count") != Some(print.sms) || class == "other" || device.is("preproduction") {
        return false;
    }
    let product = tables.record("gpu/performance", id);
    let cut = device.text("region").is_some() || class == "mining";
    let kind = device.text("chip").and_then(|chip| chip_rates(chip, class, tables)).filter(|_| !cut);
    let rate = |field: &str| product.and_then(|it| it.integer(field)).or_else(|| kind?.integer(field));
    let near = |measured: Option<i64>, expected: Option<i64>, range: &std::ops::RangeInclusive<i64>| {
        measured.zip(expected).is_none_or(|(measured, expected)| range.contains(&(measured / expected.max(1))))
    };
    // A slower kernel can only make the rate of tensor cores look smaller.
    let native = kind.is_some_and(|kind| kind.text("native").is_some());
    let tensor = if native { 0..=*OPS_PERMILLE.end() } else { OPS_PERMILLE };
    let bus = device.integer("bus_width_bits");
    let bandwidth = product.and_then(|it| it.integer("bandwidth_mb_per_second"));
    let read = print.read_mb_per_second.map(|rate| rate * 1000);
    print.fma_throttled == (class == "mining")
        && near(print.fp16, rate("fp16"), &tensor)
        && near(print.fp64, rate("fp64"), &FP64_PERMILLE)
        && print.bus_bits.zip(bus).is_none_or(|(measured, expected)| measured == expected)
        && near(read, bandwidth, &BANDWIDTH_PERMILLE)
}
