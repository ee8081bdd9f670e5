//! The GPU against what it was sold as.

use super::{Facts, Gpu, integer, known};
use crate::evidence::{Part, Reading};
use crate::rule::tables::Tables;

const TEXT: &str = "gpu.claim.text";
/// What a claim can leave open.
const CLAIMS: [&str; 8] = [
    TEXT,
    "gpu.claim.product",
    "gpu.claim.memory_mib",
    "gpu.claim.cooler",
    "gpu.claim.form_factor",
    "gpu.claim.condition",
    "gpu.claim.modified",
    "gpu.claim.count",
];
const COMPARISONS: [&str; 5] = [
    "gpu.claimed.is_product",
    "gpu.claimed.memory_permille",
    "gpu.claimed.cooler_conflicts",
    "gpu.claimed.found",
    "gpu.claimed.discloses",
];
/// Memory that is as sold, in permille: a part may be kept for ECC.
const AS_SOLD: std::ops::RangeInclusive<i64> = 900..=1020;

pub(super) fn compare(gpu: &Gpu<'_>, all: &[Gpu<'_>], tables: &Tables, facts: &mut Facts) {
    let part = gpu.part;
    for path in CLAIMS.iter().filter(|path| part.reading(path).is_none()) {
        facts.insert(path, Reading::Absent);
    }
    if part.text(TEXT).is_none() {
        facts.extend(COMPARISONS.map(|path| (path, Reading::Absent)));
        return;
    }
    let product = is_product(gpu, tables);
    // A part that only the claim made is no GPU.
    let found = all.iter().filter(|gpu| gpu.device_id.known().is_some() || gpu.name.known().is_some()).count();
    facts.insert("gpu.claimed.found", known(found));
    let share = match claimed(part, "gpu.claim.memory_mib") {
        Reading::Known(claimed) => gpu.memory_mib.clone().map(|memory| memory * 1000 / claimed.max(1)),
        other => other,
    };
    facts.insert("gpu.claimed.memory_permille", share.clone().value());
    facts.insert("gpu.claimed.cooler_conflicts", cooler_conflicts(gpu));
    let above_nominal = facts.get("gpu.memory_permille").and_then(Reading::known).and_then(|it| it.as_integer());
    let mut discloses = Vec::new();
    if product != Reading::Known(false) {
        let record = part.text("gpu.claim.product").and_then(|name| claimed_record(name, tables));
        if share.known().is_some_and(|share| AS_SOLD.contains(share)) && above_nominal.is_some_and(|it| it > 1020) {
            discloses.push("memory");
        }
        if record.and_then(|record| record.text("class")) == Some("mining") && product == Reading::Known(true) {
            discloses.push("mining");
        }
        if part.text("gpu.claim.cooler") == Some("blower") {
            discloses.push("cooler");
        }
        if gpu.flag("gpu.claim.modified") == Some(true) {
            discloses.push("modified");
        }
    }
    facts.insert("gpu.claimed.discloses", known(discloses));
    facts.insert("gpu.claimed.is_product", product.value());
}

fn claimed(part: &Part, path: &str) -> Reading<i64> {
    if part.reading(path).is_none() { Reading::Absent } else { integer(part, path) }
}

/// The product that a claim names.
pub(super) fn claimed_record<'a>(name: &str, tables: &'a Tables) -> Option<&'a crate::rule::tables::Record> {
    tables.records("gpu/products").find(|(_, record)| record.text("name") == Some(name)).map(|(_, record)| record)
}

/// Whether the device id is one of the claimed product. The printed name can only speak against it: a name is no proof.
fn is_product(gpu: &Gpu<'_>, tables: &Tables) -> Reading<bool> {
    let Some(name) = gpu.part.text("gpu.claim.product") else { return Reading::Absent };
    let Some(record) = claimed_record(name, tables) else {
        return Reading::Failed(format!("{name:?} is not in parts/gpu/products"));
    };
    match &gpu.device_id {
        Reading::Known(id) if gpu.baseline.is_some() => {
            Reading::Known(record.texts("device_ids").any(|known| known == id))
        }
        Reading::Known(id) => Reading::Failed(format!("no record of {id} in parts/gpu/devices")),
        unread => match &gpu.baseline {
            Some(baseline) if !baseline.fits(record) => Reading::Known(false),
            _ => unread.clone().map(|_| false),
        },
    }
}

fn cooler_conflicts(gpu: &Gpu<'_>) -> Reading {
    let part = gpu.part;
    let Some(sold) = part.text("gpu.claim.cooler") else { return Reading::Absent };
    let fans = integer(part, "gpu.nvml.fan.count");
    let made_with = gpu.baseline.as_ref().and_then(|baseline| baseline.text("cooler"));
    let no_factory_blower = gpu.baseline.as_ref().is_some_and(|baseline| baseline.is_not("factory_blower"));
    let mut conflicts = Vec::new();
    match (&fans, sold) {
        (Reading::Known(0), "fan" | "blower") => conflicts.push("no fan".to_owned()),
        (Reading::Known(count @ 1..), "passive") => conflicts.push(format!("{count} fans")),
        (Reading::Known(1), "fan") if no_factory_blower => {
            conflicts.push("one fan, as on a blower".to_owned());
        }
        (Reading::Known(count @ 2..), "blower") => conflicts.push(format!("{count} fans")),
        _ => {}
    }
    match (made_with.as_deref(), sold) {
        (Some("passive"), "fan" | "blower") | (Some("open-air" | "blower"), "passive") => {
            conflicts.push(format!("made with: {}", made_with.as_deref().unwrap_or_default()));
        }
        _ => {}
    }
    if conflicts.is_empty() && fans.known().is_none() && made_with.is_none() {
        return fans.value();
    }
    known(conflicts)
}
