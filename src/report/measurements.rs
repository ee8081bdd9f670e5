//! What a burn-in measured of each GPU, with everything that says how.

use std::collections::BTreeMap;

use super::for_terminal;
use super::style::{Style, Tone};
use super::table::Table;
use crate::burn::gpu::{GpuSummary, Measurement, Quantity};

/// Digits of a digest that tell files apart; JSON has all of them.
const DIGEST_DIGITS: usize = 12;

/// A table for each GPU: results with unit, distribution, kernel, seed and method, what is missing, and which kernels gave
/// their known answers. Empty without a GPU.
pub(super) fn measurements_plain(gpus: &BTreeMap<String, GpuSummary>, style: Style) -> String {
    gpus.iter().map(|(address, gpu)| one(address, gpu, style)).collect()
}

fn one(address: &str, gpu: &GpuSummary, style: Style) -> String {
    let mut table = Table::new(&["measured", "median", "unit", "from", "to", "runs", "kernel", "seed", "how"]);
    for &quantity in Quantity::ALL {
        match (gpu.measurements.get(&quantity), gpu.missing.get(&quantity)) {
            (Some(result), _) => table.row(cells(result, style)),
            (None, Some(Some(why))) => {
                let mut row = vec![quantity.as_str().to_owned(), "-".to_owned()];
                row.resize(8, String::new());
                row.push(format!("not measured: {}", for_terminal(why, style)));
                table.row(row);
            }
            // What the chip does not have, or what the test never came to: that is told with its end.
            (None, _) => {}
        }
    }
    let mut text =
        format!("\n{}\n", style.paint(Tone::Heading, &format!("Measurements of {}", for_terminal(address, style))));
    if !table.is_empty() {
        text += &table.render();
    }
    text + &latencies(gpu) + &self_tests(gpu, style)
}

fn cells(result: &Measurement, style: Style) -> [String; 9] {
    let values = &result.distribution;
    [
        result.quantity.as_str().to_owned(),
        values.median.to_string(),
        result.unit.as_str().to_owned(),
        values.min.to_string(),
        values.max.to_string(),
        values.samples.to_string(),
        result.kernel.as_ref().map_or(String::new(), |kernel| for_terminal(kernel, style)),
        result.seed.map_or(String::new(), |seed| seed.to_string()),
        for_terminal(&result.method, style),
    ]
}

/// The whole matrix is in the JSON.
fn latencies(gpu: &GpuSummary) -> String {
    let all = || gpu.latencies.iter().flat_map(|row| row.clocks.iter().copied());
    let (Some(least), Some(most)) = (all().min(), all().max()) else { return String::new() };
    let regions = gpu.latencies.iter().map(|row| row.clocks.len()).max().unwrap_or(0);
    format!(
        "  {least} to {most} clocks between {} SMs and {regions} regions of the memory (experimental)\n",
        gpu.latencies.len()
    )
}

/// Kernels by the file that they come from.
fn self_tests(gpu: &GpuSummary, style: Style) -> String {
    let mut files: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for test in gpu.kernels.values() {
        let (good, bad) = files.entry((&test.file, &test.sha256)).or_default();
        *if test.failure.is_none() { good } else { bad } += 1;
    }
    let mut text = String::new();
    for ((file, sha256), (good, bad)) in files {
        let digest = for_terminal(sha256.get(..DIGEST_DIGITS).unwrap_or(sha256), style);
        text += &format!(
            "  {} (SHA-256 {digest}): {good} of {} kernels gave their known answers\n",
            for_terminal(file, style),
            good + bad
        );
    }
    for failure in gpu.not_validated() {
        text += &format!("  not validated on this driver: {}\n", for_terminal(&failure, style));
    }
    text
}
