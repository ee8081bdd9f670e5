//! Rates of arithmetic against what the part does in a clock.

use super::super::{Facts, integer};
use super::Shortfalls;
use super::expected::Expected;
use crate::evidence::{Part, Reading, Value};

/// Multiply-adds in a clock below this share of the part's are another chip's. Kinds of chips differ by a factor of 2.
const OPS_FLOOR_PERMILLE: i64 = 700;
/// The rate over time against the median clock under load. The clock of one measurement is often far from the median of
/// hours, so this is only about what cannot be explained by it.
const RATE_FLOOR_PERMILLE: i64 = 450;
/// Without a better figure for the product: thousandths of what it does at boost clock.
const NOMINAL_FLOOR_PERMILLE: i64 = 300;
/// A ratio of number formats between these shares of the chip's is the chip's. Real cuts are by 16 or 32.
const RATIO_PERMILLE: std::ops::RangeInclusive<i64> = 400..=2500;
const SMS: &str = "gpu.burn.sm_count";
const CLOCK: &str = "gpu.burn.clock.sm_median_mhz";

struct Number {
    /// Field of the tables.
    field: &'static str,
    tensor: bool,
    rate: &'static str,
    ops: &'static str,
    permille: &'static str,
}

const fn number(field: &'static str, tensor: bool, paths: [&'static str; 3]) -> Number {
    Number { field, tensor, rate: paths[0], ops: paths[1], permille: paths[2] }
}

macro_rules! paths {
    ($name:literal, $unit:literal) => {
        [
            concat!("gpu.burn.rate.", $name, "_", $unit),
            concat!("gpu.burn.ops_per_1000_clocks_per_sm.", $name),
            concat!("gpu.burned.rate_permille.", $name),
        ]
    };
}

const NUMBERS: [Number; 9] = [
    number("fp32", false, paths!("fp32", "gflops")),
    number("fp64", false, paths!("fp64", "gflops")),
    number("fp64_tensor", true, paths!("fp64_tensor", "gflops")),
    number("fp16", true, paths!("fp16", "gflops")),
    number("bf16", true, paths!("bf16", "gflops")),
    number("tf32", true, paths!("tf32", "gflops")),
    number("int8", true, paths!("int8", "gops")),
    number("fp8", true, paths!("fp8", "gflops")),
    number("fp4", true, paths!("fp4", "gflops")),
];

pub(super) fn compare(part: &Part, expected: &Reading<Expected<'_>>, facts: &mut Facts) {
    let (mut plain, mut tensor) = (Shortfalls::default(), Shortfalls::default());
    for number in &NUMBERS {
        let list = if number.tensor { &mut tensor } else { &mut plain };
        let permille = match expected {
            Reading::Known(expected) => one(part, number, expected, list),
            unread => {
                list.missing(unread.as_ref().and_then(|_| Reading::Absent));
                unread.as_ref().and_then(|_| Reading::Absent)
            }
        };
        facts.insert(number.permille, permille.value());
    }
    facts.insert("gpu.burned.slow_rates", plain.reading());
    facts.insert("gpu.burned.slow_tensor_rates", tensor.reading());
    ratios(part, expected, facts);
}

/// Judges one number format; gives its rate in thousandths of what the card's clock and SMs allow.
fn one(part: &Part, number: &Number, expected: &Expected<'_>, list: &mut Shortfalls) -> Reading<i64> {
    let field = number.field;
    let (rate, ops) = (integer(part, number.rate), integer(part, number.ops));
    // What the chip does not have.
    if rate == Reading::Unsupported && ops == Reading::Unsupported {
        return Reading::Unsupported;
    }
    let Some(each) = expected.rate(field).filter(|each| *each > 0) else {
        let why: Reading = Reading::Failed(format!("the tables don't say what this part does in {field}"));
        // The other number formats follow from these.
        if matches!(field, "fp32" | "fp64" | "fp16") {
            list.missing(why.clone());
        }
        return why.and_then(|_| Reading::Absent);
    };
    let share = |sms: i64, mhz: i64, rate: i64| {
        let whole = 2 * i128::from(each) * i128::from(sms) * i128::from(mhz);
        Reading::Known((i128::from(rate) * 1_000_000 / whole.max(1)) as i64)
    };
    let permille = integer(part, SMS)
        .and_then(|sms| integer(part, CLOCK).and_then(|mhz| rate.clone().and_then(|rate| share(sms, mhz, rate))));
    let nominal = expected.sm_count().zip(expected.integer("boost_mhz")).zip(rate.known().copied());
    let nominal = nominal.and_then(|((sms, mhz), rate)| share(sms, mhz, rate).into_known());
    let floor = expected.integer("rate_floor_permille").unwrap_or(NOMINAL_FLOOR_PERMILLE);

    let mut low = None;
    if let Reading::Known(ops) = &ops
        && ops / each < OPS_FLOOR_PERMILLE
    {
        low = Some(format!("{field}: {} multiply-adds of an SM in a clock, where this part does {each}", ops / 1000));
    } else if let Reading::Known(permille) = &permille
        && *permille < RATE_FLOOR_PERMILLE
    {
        low = Some(format!("{field}: {permille} permille of what clock and SMs of the card allow"));
    } else if let Some(permille) = nominal.filter(|permille| *permille < floor)
        && matches!(field, "fp32" | "fp16")
    {
        low = Some(format!("{field}: {permille} permille of the product's rate, where {floor} are the least"));
    }
    match low {
        // A slower kernel says nothing about the cores.
        Some(low) if number.tensor && !native_ran(part, number, expected) => {
            let why = format!("{low}; but the kernel for this chip's own tensor instructions did not run");
            list.missing(Reading::Failed(why));
        }
        Some(low) => list.found(low),
        None => match ops {
            Reading::Known(_) => list.looked(),
            unread => list.missing(unread.and_then(|_| Reading::Absent)),
        },
    }
    permille
}

/// Whether the kernel ran that uses the tensor cores as only this chip can.
fn native_ran(part: &Part, number: &Number, expected: &Expected<'_>) -> bool {
    let Some(native) = expected.native() else { return true };
    let file = if number.field == "fp64_tensor" { "compute.fatbin" } else { native };
    let has = |path: &str, start: &str| match part.reading(path).and_then(Reading::known) {
        Some(Value::List(items)) => items.iter().filter_map(Value::as_text).any(|item| item.starts_with(start)),
        _ => false,
    };
    has("gpu.burn.kernel_files", file) && !has("gpu.burn.kernels_not_validated", native)
}

/// Ratios don't depend on clocks, and are cut by fuses or firmware.
fn ratios(part: &Part, expected: &Reading<Expected<'_>>, facts: &mut Facts) {
    let ops = |name: &str| integer(part, &format!("gpu.burn.ops_per_1000_clocks_per_sm.{name}"));
    let ratio = |above: &str, below: &str| {
        ops(above).and_then(|above| ops(below).map(|below| above.saturating_mul(1000) / below.max(1)))
    };
    let (fp64, fma) = (ratio("fp64", "fp32"), ratio("fp32", "fp32_split"));
    let mut conflicts = Shortfalls::default();
    match expected {
        Reading::Known(expected) => match expected.rate("fp64").zip(expected.rate("fp32")) {
            // Where multiply-adds of FP32 are held down, that is what is wrong, not FP64.
            Some(_) if fma.known().is_some_and(|share| *share < 1000) => conflicts.looked(),
            Some((double, single)) => match &fp64 {
                Reading::Known(measured) => {
                    let chip = double * 1000 / single.max(1);
                    if RATIO_PERMILLE.contains(&(measured * 1000 / chip.max(1))) {
                        conflicts.looked();
                    } else {
                        conflicts.found(format!("FP64 is {measured} permille of FP32, and {chip} in this part"));
                    }
                }
                unread => conflicts.missing(unread.clone().and_then(|_| Reading::Absent)),
            },
            None => conflicts.missing(Reading::Failed("the tables don't say how fast this part's FP64 is".to_owned())),
        },
        unread => conflicts.missing(unread.as_ref().and_then(|_| Reading::Absent)),
    }
    facts.insert("gpu.burned.ratio_conflicts", conflicts.reading());
    facts.insert("gpu.burned.fp64_permille_of_fp32", fp64.value());
    facts.insert("gpu.burned.tensor_permille_of_fp32", ratio("fp16", "fp32").value());
    facts.insert("gpu.burned.fma_permille_of_split", fma.value());
}
