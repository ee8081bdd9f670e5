//! What an SPD says against itself, and against what makers do.

use super::super::super::tables::Tables;
use super::part_number::SPEED_TOLERANCE_MTS;
use super::{Facts, Module};
use crate::evidence::{Reading, Value};

/// Time is told in steps of 125 ps with a correction of single picoseconds; printouts round to a tenth of a nanosecond.
const TIME_TOLERANCE_PS: i64 = 50;

/// Adds every fact that one SPD gives alone.
pub(super) fn check(module: &Module<'_>, tables: &Tables, facts: &mut Facts) {
    for (path, from) in [
        ("dimm.crc_bad", "dimm.spd.crc_bad"),
        ("dimm.parity_bad", "dimm.spd.parity_bad"),
        ("dimm.unknown_makers", "dimm.spd.unknown_makers"),
    ] {
        facts.add(path, module.spd_list(from).value(), module.part, &[from]);
    }
    let mut add = |path, reading: Reading<Vec<String>>, inputs: &[&str]| {
        facts.add(path, reading.value(), module.part, inputs);
    };
    add("dimm.foreign_dram", foreign_dram(module), &["dimm.spd.module_maker_id", "dimm.spd.dram_maker_id"]);
    add("dimm.addressing_off", addressing_off(module), &["dimm.spd.addressing_fits"]);
    add("dimm.timing_off", timing_off(module, tables), &["dimm.spd.tfaw_ps"]);
    add(
        "dimm.density_too_fast",
        density_too_fast(module, tables),
        &["dimm.spd.die_density_mbit", "dimm.spd.speed_mts"],
    );
    add("dimm.date_off", date_off(module, tables), &["dimm.spd.date_bytes", "dimm.spd.date"]);
    add("dimm.trace_of_other_maker", trace_of_other_maker(module), &["dimm.spd.lot", "dimm.spd.module_maker_id"]);
}

fn one_if(holds: bool, text: impl FnOnce() -> String) -> Reading<Vec<String>> {
    Reading::Known(if holds { vec![text()] } else { Vec::new() })
}

/// Absent for makers that buy their DRAM from anybody.
fn foreign_dram(module: &Module<'_>) -> Reading<Vec<String>> {
    module.spd_maker.as_ref().and_then(|maker| {
        if !maker.own_dram {
            return Reading::Absent;
        }
        // A blank id says nothing of the chips.
        module.dram_maker.as_ref().and_then(|dram| {
            one_if(dram.family != maker.family, || format!("module of {}, DRAM of {}", maker.name, dram.name))
        })
    })
}

fn addressing_off(module: &Module<'_>) -> Reading<Vec<String>> {
    let fits = module.spd(super::reading(module.part, "dimm.spd.addressing_fits"));
    fits.and_then(|fits| match fits {
        Value::Bool(fits) => one_if(!fits, || {
            let density = module.spd_integer("dimm.spd.die_density_mbit").into_known();
            let density = density.map_or_else(|| "a die".to_owned(), |mbit| format!("a die of {mbit} Mbit"));
            format!("row, column and bank bits do not give {density}")
        }),
        _ => Reading::Failed("not yes or no".to_owned()),
    })
}

/// Absent for modules that the table is not about: other generations than DDR4, and modules for players, which makers
/// tune by hand.
fn timing_off(module: &Module<'_>, tables: &Tables) -> Reading<Vec<String>> {
    let server = is_server_part(module);
    let speed =
        server.and_then(|server| if server { module.spd_integer("dimm.spd.speed_mts") } else { Reading::Absent });
    let width = speed.as_ref().and_then(|_| module.spd_integer("dimm.spd.device_width_bits"));
    speed.and_then(|speed| {
        width.and_then(|width| {
            let row = tables.records("dimm/timings").find(|(key, _)| {
                let Some((mts, bits)) = key.split_once(" x") else { return false };
                let near = mts.parse().is_ok_and(|mts: i64| (mts - speed).abs() <= SPEED_TOLERANCE_MTS);
                near && bits.parse() == Ok(width)
            });
            let Some((key, row)) = row else {
                return Reading::Failed(format!("no timings are known of {speed} MT/s and x{width}"));
            };
            let mut off = Vec::new();
            for field in ["tfaw_ps", "trrd_s_ps", "trrd_l_ps"] {
                match module.spd_integer(&format!("dimm.spd.{field}")) {
                    Reading::Known(ps) => off.extend(
                        row.integer(field)
                            .filter(|usual| (usual - ps).abs() > TIME_TOLERANCE_PS)
                            .map(|usual| format!("{field} {ps}, {key} has {usual}")),
                    ),
                    // One time that is wrong is enough; without all three, none of them is right.
                    missing if off.is_empty() => return missing.and_then(|_| Reading::Absent),
                    _ => {}
                }
            }
            Reading::Known(off)
        })
    })
}

fn is_server_part(module: &Module<'_>) -> Reading<bool> {
    let kind = module.spd_text("dimm.spd.dram_type");
    kind.and_then(|kind| {
        if kind != "DDR4" {
            return Reading::Known(false);
        }
        let tuned = match module.spd_list("dimm.spd.profiles") {
            // The page with the profiles was not read.
            Reading::Failed(why) => return Reading::Failed(why),
            profiles => profiles.into_known().is_some_and(|profiles| !profiles.is_empty()),
        };
        let ecc = module.spd_integer("dimm.spd.ecc_bits").into_known().is_some_and(|bits| bits > 0);
        module.spd_text("dimm.spd.module_type").map(|kind| !tuned && (ecc || matches!(&*kind, "RDIMM" | "LRDIMM")))
    })
}

/// Absent for generations of which no such combination is known.
fn density_too_fast(module: &Module<'_>, tables: &Tables) -> Reading<Vec<String>> {
    let limits = module.spd_text("dimm.spd.dram_type").and_then(|kind| {
        let record = tables.record("dimm/generations", &kind);
        let limits = record.and_then(|it| Some((it.integer("slow_density_mbit")?, it.integer("slow_below_mts")?)));
        Reading::or_absent(limits)
    });
    limits.and_then(|(slow_density, slow_below)| {
        let density = module.spd_integer("dimm.spd.die_density_mbit");
        density.and_then(|density| {
            if density > slow_density {
                return Reading::Known(Vec::new());
            }
            // Wide dies of that density are sold for boards without modules.
            let wide = module.spd_integer("dimm.spd.device_width_bits").into_known().is_some_and(|bits| bits >= 16);
            module.spd_integer("dimm.spd.speed_mts").and_then(|speed| {
                one_if(!wide && speed >= slow_below - SPEED_TOLERANCE_MTS, || {
                    format!("dies of {density} Mbit at {speed} MT/s")
                })
            })
        })
    })
}

/// Absent where no date was programmed.
fn date_off(module: &Module<'_>, tables: &Tables) -> Reading<Vec<String>> {
    const BASE: i64 = 2000;
    let dates = match module.spd_text("dimm.spd.date_bytes") {
        Reading::Known(bytes) => match hex::decode(&bytes).as_deref() {
            Ok([0, 0] | [0xff, 0xff]) => return Reading::Absent,
            Ok([year, week]) => {
                let bcd = |byte: u8| {
                    let (tens, ones) = (byte >> 4, byte & 0x0f);
                    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
                };
                match (bcd(*year), bcd(*week)) {
                    (Some(year), Some(week)) => Reading::Known((BASE + year, week)),
                    _ => return Reading::Known(vec![format!("{bytes} is not in decimal digits")]),
                }
            }
            _ => Reading::Failed(format!("{bytes:.16} is not two bytes")),
        },
        missing => match module.spd_text("dimm.spd.date") {
            Reading::Known(date) => {
                let parts =
                    date.split_once("-W").and_then(|(year, week)| Some((year.parse().ok()?, week.parse().ok()?)));
                parts.map_or_else(|| Reading::Failed(format!("{date:.32} is no week")), Reading::Known)
            }
            Reading::Unsupported => missing.and_then(|_| Reading::Absent),
            other => other.and_then(|_| Reading::Absent),
        },
    };
    dates.map(|(year, week)| {
        let mut off = Vec::new();
        if !(1..=53).contains(&week) {
            off.push(format!("a year has no week {week}"));
        }
        let kind = module.spd_text("dimm.spd.dram_type").into_known().unwrap_or_default();
        if let Some(record) = tables.record("dimm/generations", &kind) {
            if record.integer("first_year").is_some_and(|first| year < first) {
                off.push(format!("no {kind} was made in {year}"));
            }
            if record.integer("last_year").is_some_and(|last| year > last) {
                off.push(format!("{year} is to come"));
            }
        }
        off
    })
}

/// Absent where there is no lot code that can be told, and for makers that buy their DRAM from anybody.
fn trace_of_other_maker(module: &Module<'_>) -> Reading<Vec<String>> {
    module.spd_maker.as_ref().and_then(|maker| {
        if !maker.own_dram {
            return Reading::Absent;
        }
        module.spd_text("dimm.spd.lot_maker").and_then(|shape| {
            let lot = module.spd_text("dimm.spd.lot").into_known().unwrap_or_default();
            one_if(shape != maker.name, || format!("lot {lot} has the shape of {shape}, maker {}", maker.name))
        })
    })
}
