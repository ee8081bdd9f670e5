//! What a drive says of itself in several places, compared: two counters of one life, a name and the ids that go with it.

use super::super::tables::Tables;
use super::{add, missing_like};
use crate::evidence::Kind::{Bool, Integer, List, Text};
use crate::evidence::{Evidence, FactDef, Part, Reading, Value};
use crate::parse::drive_report::MAX_HOURS;

/// The table of brands: how their models begin, and which ids are theirs.
const BRANDS: &str = "drive/brands";
const HOURS: &str = "drive.smart.power_on_hours";
/// Counters of one drive may differ so much: by hours that the drive has not saved yet, and by what one of them leaves out.
const TOLERATED_HOURS: i64 = 100;
const TOLERATED_PERCENT: i64 = 10;
/// A log entry is made within its hour.
const LOG_TOLERATED_HOURS: i64 = 24;
/// Logs keep hours in 16 bits; near the top, a counter may have begun again.
const WRAP_HOURS: i64 = 65_000;
/// Full writes of the drive that one percent of the endurance stands for: 10 writes a day for five years would be 183; memory
/// that endures more is told by its model.
const MAX_WRITES_A_PERCENT: f64 = 600.0;
/// The least: cells of four bits and small writes.
const MIN_WRITES_A_PERCENT: f64 = 0.05;
/// Bytes a second that no drive of four lanes takes for all its life.
const MAX_BYTES_A_SECOND: f64 = 8e9;

pub(super) const FACTS: &[FactDef] = &[
    FactDef::new("drive.reported_model", Text, "model in full: of smartctl, else of Identify, else of the kernel"),
    FactDef::new("drive.baseline.brand", Text, "brand that models of this kind belong to (parts/drive/brands)"),
    FactDef::new(
        "drive.baseline.certainty",
        Text,
        "how sure the table is: A and B from captures, C from general knowledge",
    ),
    FactDef::new("drive.baseline.wwn_ouis", List, "OUIs in world-wide names of the brand"),
    FactDef::new("drive.baseline.pci_vendors", List, "PCI vendor ids of the brand's NVMe drives"),
    FactDef::new("drive.wwn_oui", Text, "IEEE OUI in the world-wide name: 000c50"),
    FactDef::new(
        "drive.wwn_fits_brand",
        Bool,
        "whether that OUI is one of the brand's; no value where the table is not sure",
    ),
    FactDef::new(
        "drive.pci_vendor_fits_brand",
        Bool,
        "whether the PCI vendor id is one of the brand's; no value where the table is not sure",
    ),
    FactDef::new(
        "drive.farm_expected",
        Bool,
        "whether the drive is one that keeps a FARM log: a Seagate with platters",
    ),
    FactDef::new(
        "drive.farm_excess_hours",
        Integer,
        "hours that FARM counts beyond SMART; 0 within 100 hours and a tenth of them",
    ),
    FactDef::new("drive.farm_serial_differs", Bool, "whether the FARM log has another serial number than the drive"),
    FactDef::new("drive.heads_compared", Integer, "heads whose hours of writing are known"),
    FactDef::new(
        "drive.heads_beyond_hours",
        Integer,
        "heads that wrote for more hours than the drive says it had power",
    ),
    FactDef::new(
        "drive.head_excess_hours",
        Integer,
        "hours by which most heads are beyond SMART; 0 where most are not",
    ),
    FactDef::new(
        "drive.log_excess_hours",
        Integer,
        "hours by which the newest entry of a self-test or error log is beyond SMART; 0 within a day",
    ),
    FactDef::new("drive.reset_signs", List, "other counters that go beyond the power-on hours and cycles of SMART"),
    FactDef::new("drive.wear_signs", List, "how wear, bytes written and hours of an NVMe drive contradict each other"),
    FactDef::new("drive.written_share_percent", Integer, "bytes written in percent of the capacity"),
    FactDef::new("drive.used_hours", Integer, "the most hours with power that any counter of the drive has"),
    FactDef::new("drive.used_signs", List, "counters that go beyond what a new drive has"),
    FactDef::new("drive.sold_as_new", Bool, "whether the seller says that the drives are new"),
    FactDef::new("drive.sold_as_used", Bool, "whether the seller says that they are used, or recertified"),
];

/// Adds the derived facts to each drive.
pub(super) fn derive(evidence: &mut Evidence, tables: &Tables) {
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "drive") {
        baseline(part, tables);
        farm(part);
        heads(part);
        logs(part);
        resets(part);
        wear(part);
        used(part);
        let condition = part.text("drive.claim.condition").map(str::to_ascii_lowercase);
        let new = condition.as_deref() == Some("new");
        add(part, "drive.sold_as_new", Reading::Known(new.into()));
        add(part, "drive.sold_as_used", Reading::Known((condition.is_some() && !new).into()));
    }
}

fn baseline(part: &mut Part, tables: &Tables) {
    const MODELS: [&str; 3] = ["drive.smart.model", "drive.nvme.model", "drive.model"];
    let model = MODELS.iter().find_map(|path| part.text(path)).map(str::to_owned);
    let found = model.as_deref().and_then(|model| {
        let length = |prefix: &str| begins_with(model, prefix).then_some(prefix.len());
        tables
            .records(BRANDS)
            .filter_map(|(brand, record)| Some((record.texts("prefixes").filter_map(length).max()?, brand, record)))
            .max_by_key(|(length, _, _)| *length)
    });
    let ids = |field: &str| -> Option<Vec<String>> {
        let ids: Vec<String> = found?.2.texts(field).map(str::to_owned).collect();
        (!ids.is_empty()).then_some(ids)
    };
    let (ouis, vendors) = (ids("wwn_ouis"), ids("pci_vendors"));
    let without = if model.is_some() { Reading::Absent } else { missing_like(part, MODELS[0]) };
    let text = |text: Option<&str>| text.map_or_else(|| without.clone(), |text| Reading::Known(text.into()));
    let brand = text(found.map(|it| it.1));
    let certainty = text(found.and_then(|it| it.2.text("certainty")));
    let seagate = found.map(|it| it.1 == "Seagate");
    add(part, "drive.reported_model", text(model.as_deref()));
    add(part, "drive.baseline.brand", brand);
    add(part, "drive.baseline.certainty", certainty);

    let oui = wwn_oui(part);
    // A row below certainty C accuses nobody.
    let sure =
        found.and_then(|it| it.2.text("certainty")).is_some_and(|certainty| matches!(certainty, "A" | "B" | "C"));
    let fits = |ids: &Option<Vec<String>>, id: Option<&str>, missing: Reading| match (ids, id) {
        (Some(ids), Some(id)) => match ids.iter().any(|known| known.eq_ignore_ascii_case(id)) {
            false if !sure => Reading::Failed("the table of brands is not sure of this one".to_owned()),
            fits => Reading::Known(fits.into()),
        },
        (_, None) => missing,
        (None, _) => Reading::Failed("the table of brands does not say".to_owned()),
    };
    let no_oui =
        missing_like(part, if part.reading("drive.wwid").is_some() { "drive.wwid" } else { "drive.smart.wwn" });
    let vendor = part.text("drive.nvme.vendor_id").map(str::to_owned);
    let wwn_fits = fits(&ouis, oui.as_deref(), no_oui.clone());
    let vendor_fits = fits(&vendors, vendor.as_deref(), missing_like(part, "drive.nvme.vendor_id"));
    add(part, "drive.wwn_oui", oui.map_or(no_oui, |oui| Reading::Known(oui.into())));
    add(part, "drive.wwn_fits_brand", wwn_fits);
    add(part, "drive.pci_vendor_fits_brand", vendor_fits);
    add(part, "drive.baseline.wwn_ouis", ouis.map_or_else(|| without.clone(), |ids| Reading::Known(ids.into())));
    add(part, "drive.baseline.pci_vendors", vendors.map_or(without, |ids| Reading::Known(ids.into())));

    let rotates = part.reading("drive.rotational").and_then(Reading::known).and_then(Value::as_bool);
    let has_log = part.integer("drive.farm.power_on_hours").is_some();
    let expected = match (seagate, rotates) {
        _ if has_log => Reading::Known(true.into()),
        (Some(false), _) | (_, Some(false)) => Reading::Known(false.into()),
        (Some(true), Some(true)) => Reading::Known(true.into()),
        (None, _) => Reading::Failed("the maker is not known".to_owned()),
        (Some(true), None) => missing_like(part, "drive.rotational"),
    };
    add(part, "drive.farm_expected", expected);
}

/// Whether a model begins with a prefix, in which `#` stands for any digit.
fn begins_with(model: &str, prefix: &str) -> bool {
    let model = model.trim_start().as_bytes();
    model.len() >= prefix.len()
        && prefix.bytes().zip(model).all(|(wanted, byte)| match wanted {
            b'#' => byte.is_ascii_digit(),
            letter => letter.eq_ignore_ascii_case(byte),
        })
}

/// The OUI of an NAA identifier: of format 5 and 6 the 24 bits behind the format, of format 2 those behind the vendor's 12.
fn wwn_oui(part: &Part) -> Option<String> {
    let from_id = ["drive.wwid", "drive.smart.wwn"].iter().find_map(|path| {
        let digits = part.text(path)?.trim().strip_prefix("naa.")?;
        let range = match digits.as_bytes().first()? {
            b'5' | b'6' => 1..7,
            b'2' => 4..10,
            _ => return None,
        };
        digits.get(range).filter(|oui| oui.bytes().all(|it| it.is_ascii_hexdigit())).map(str::to_ascii_lowercase)
    });
    from_id.or_else(|| part.text("drive.smart.wwn_oui").map(str::to_owned))
}

/// How far a counter goes beyond another one of the same thing; 0 where it does not by more than is tolerated.
fn excess(counted: i64, hours: i64) -> i64 {
    let beyond = counted.saturating_sub(hours);
    if beyond > TOLERATED_HOURS && beyond.saturating_mul(100) > hours.saturating_mul(TOLERATED_PERCENT) {
        beyond
    } else {
        0
    }
}

/// The first of the facts that has no value, as the reason for another.
fn first_missing(part: &Part, paths: &[&str]) -> Reading {
    let path = paths.iter().find(|path| part.integer(path).is_none()).unwrap_or(&HOURS);
    missing_like(part, path)
}

fn farm(part: &mut Part) {
    const FARM: &str = "drive.farm.power_on_hours";
    let beyond = match (part.integer(FARM), part.integer(HOURS)) {
        (Some(farm), Some(hours)) => Reading::Known(excess(farm, hours).into()),
        _ => first_missing(part, &[FARM, HOURS]),
    };
    add(part, "drive.farm_excess_hours", beyond);
    // SAS drives print more characters behind the eight that the log has.
    let serial = ["drive.smart.serial", "drive.serial"].iter().find_map(|path| part.text(path));
    let hidden = |serial: &&str| !crate::parse::drive_report::is_hidden(serial);
    let differs = match (part.text("drive.farm.serial"), serial.filter(hidden)) {
        (Some(farm), Some(serial)) => Reading::Known((!serial.trim().starts_with(farm.trim())).into()),
        (None, _) => missing_like(part, "drive.farm.serial"),
        (_, None) => missing_like(part, "drive.serial"),
    };
    add(part, "drive.farm_serial_differs", differs);
}

fn heads(part: &mut Part) {
    const HEADS: &str = "drive.farm.head_hours";
    let heads: Option<Vec<i64>> = match part.reading(HEADS).and_then(Reading::known) {
        Some(Value::List(hours)) => Some(hours.iter().filter_map(Value::as_integer).collect()),
        _ => None,
    };
    let (compared, beyond, by) = match (heads, part.integer(HOURS)) {
        (Some(heads), Some(hours)) if !heads.is_empty() => {
            let mut by: Vec<i64> = heads.iter().map(|head| excess(*head, hours)).filter(|it| *it > 0).collect();
            by.sort_unstable();
            let most = by.len() * 2 > heads.len();
            let median = if most { by[by.len() / 2] } else { 0 };
            (Reading::Known(heads.len().into()), Reading::Known(by.len().into()), Reading::Known(median.into()))
        }
        (None, _) => (missing_like(part, HEADS), missing_like(part, HEADS), missing_like(part, HEADS)),
        _ => (missing_like(part, HOURS), missing_like(part, HOURS), missing_like(part, HOURS)),
    };
    add(part, "drive.heads_compared", compared);
    add(part, "drive.heads_beyond_hours", beyond);
    add(part, "drive.head_excess_hours", by);
}

fn logs(part: &mut Part) {
    const LOGS: [&str; 2] = ["drive.selftest.max_hours", "drive.error_log.max_hours"];
    let newest = LOGS.iter().filter_map(|path| part.integer(path)).max();
    let reading = match (newest, part.integer(HOURS)) {
        (Some(newest), Some(hours)) if newest - hours <= LOG_TOLERATED_HOURS => Reading::Known(0_i64.into()),
        (Some(newest), Some(_)) if (WRAP_HOURS..=0xffff).contains(&newest) => {
            Reading::Failed("near 65,536 hours: a counter of 16 bits may have begun again".to_owned())
        }
        (Some(newest), Some(_)) if newest > MAX_HOURS as i64 => {
            Reading::Failed(format!("{newest} is more hours than a drive can have"))
        }
        (Some(newest), Some(hours)) => Reading::Known((newest - hours).into()),
        (None, _) => missing_like(part, LOGS[0]),
        (_, None) => missing_like(part, HOURS),
    };
    add(part, "drive.log_excess_hours", reading);
}

fn resets(part: &mut Part) {
    const COUNTERS: [(&str, &str); 5] = [
        ("drive.statistics.power_on_hours", "power-on hours of the device statistics"),
        ("drive.statistics.spindle_hours", "spindle hours of the device statistics"),
        ("drive.statistics.head_flying_hours", "head-flying hours of the device statistics"),
        ("drive.smart.head_flying_hours", "head-flying hours of attribute 240"),
        ("drive.farm.spindle_hours", "spindle hours of FARM"),
    ];
    let known: Vec<(i64, &str)> =
        COUNTERS.iter().filter_map(|(path, name)| Some((part.integer(path)?, *name))).collect();
    let reading = match part.integer(HOURS) {
        Some(hours) if !known.is_empty() => {
            let beyond = known.iter().filter(|(counted, _)| excess(*counted, hours) > 0);
            Reading::Known(beyond.map(|(counted, name)| format!("{name}: {counted}")).collect::<Vec<_>>().into())
        }
        Some(_) => missing_like(part, COUNTERS[0].0),
        None => missing_like(part, HOURS),
    };
    add(part, "drive.reset_signs", reading);
}

fn wear(part: &mut Part) {
    // Memory that endures a hundred times more than NAND flash.
    const ENDURING: [&str; 4] = ["SSDPE21", "SSDPEK1", "SSDPF21", "SSDPED1"];
    let capacity = ["drive.smart.capacity_bytes", "drive.size_bytes"].iter().find_map(|path| part.integer(path));
    let capacity = capacity.filter(|bytes| *bytes > 0).map(|bytes| bytes as f64);
    let written = part.integer("drive.smart.written_gigabytes").map(|gigabytes| gigabytes as f64 * 1e9);
    let share = match (written, capacity) {
        (Some(written), Some(capacity)) => Reading::Known(((written * 100.0 / capacity) as i64).into()),
        (None, _) => missing_like(part, "drive.smart.written_gigabytes"),
        (_, None) => missing_like(part, "drive.size_bytes"),
    };
    add(part, "drive.written_share_percent", share);

    let (used, hours) = (part.integer("drive.smart.percentage_used"), part.integer(HOURS));
    let model = ["drive.smart.model", "drive.nvme.model", "drive.model"].iter().find_map(|path| part.text(path));
    let enduring =
        model.is_some_and(|model| ENDURING.iter().any(|word| model.contains(word)) || model.contains("Optane"));
    let reading = match (part.integer("drive.smart.data_units_written"), used) {
        (None, _) => missing_like(part, "drive.smart.data_units_written"),
        (_, None) => missing_like(part, "drive.smart.percentage_used"),
        (Some(_), Some(used)) => {
            let mut signs = Vec::new();
            if let (Some(written), Some(capacity)) = (written, capacity) {
                let writes = written / capacity;
                // Percent are rounded down.
                if !enduring && writes / (used as f64 + 1.0) > MAX_WRITES_A_PERCENT {
                    signs.push(format!("written {writes:.0} times its capacity, {used} percent used"));
                }
                if used >= 5 && writes / (used as f64) < MIN_WRITES_A_PERCENT {
                    signs.push(format!("{used} percent used, written {writes:.2} times its capacity"));
                }
            }
            match (written, hours) {
                (Some(written), Some(hours)) if hours > 0 && written / (hours as f64 * 3600.0) > MAX_BYTES_A_SECOND => {
                    signs.push(format!("{:.0} GB written in {hours} hours", written / 1e9));
                }
                _ => {}
            }
            if used >= 10 && hours.is_some_and(|hours| hours < 24) {
                signs.push(format!("{used} percent used in {} hours", hours.unwrap_or_default()));
            }
            Reading::Known(signs.into())
        }
    };
    add(part, "drive.wear_signs", reading);
}

/// What a new drive does not have. The hours have to be known; the other counters are looked at where they are.
fn used(part: &mut Part) {
    const HOURS_OF: [&str; 3] = [HOURS, "drive.farm.power_on_hours", "drive.statistics.power_on_hours"];
    // Tests of the maker and of the integrator: some days, one or two times its capacity.
    const LIMITS: [(&str, &str, i64); 4] = [
        ("drive.used_hours", "hours", 100),
        ("drive.smart.power_cycles", "power cycles", 60),
        ("drive.smart.percentage_used", "percent used", 1),
        ("drive.written_share_percent", "percent of the capacity written", 200),
    ];
    let Some(hours) = HOURS_OF.iter().filter_map(|path| part.integer(path)).max() else {
        for path in ["drive.used_hours", "drive.used_signs"] {
            let missing = missing_like(part, HOURS);
            add(part, path, missing);
        }
        return;
    };
    add(part, "drive.used_hours", Reading::Known(hours.into()));
    let beyond = LIMITS.iter().filter_map(|(path, name, limit)| {
        let counted = part.integer(path).filter(|counted| counted > limit)?;
        Some(format!("{counted} {name}"))
    });
    let signs: Vec<String> = beyond.collect();
    add(part, "drive.used_signs", Reading::Known(signs.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_models() {
        for (model, prefix) in [("ST16000NM001G-2KK103", "ST#"), ("seagate x", "SEAGATE"), (" WDC WD10", "WDC ")] {
            assert!(begins_with(model, prefix), "{model}");
        }
        for (model, prefix) in [("STEC ZeusRAM", "ST#"), ("ST", "ST#"), ("MB0500EBNCR", "M#")] {
            assert!(!begins_with(model, prefix), "{model}");
        }
    }

    #[test]
    fn counters_that_lag_are_no_reset() {
        assert_eq!(excess(1100, 1000), 0);
        assert_eq!(excess(50_000, 49_000), 0);
        assert_eq!(excess(25_000, 12), 24_988);
        assert_eq!(excess(i64::MAX, -1), i64::MAX);
    }
}
