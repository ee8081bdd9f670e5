//! Renders any stage: for a person, and as JSON. Device strings are escaped here and nowhere else.

mod blind;
mod csv;
mod custody;
mod device;
mod escape;
mod host_views;
mod inspection;
mod json;
mod ledger;
mod measurements;
mod rules;
mod screening;
mod smbios;
mod spd;
mod style;
mod table;
mod vbios;
mod verification;

pub use csv::csv_row;
pub use custody::{changes_plain, document_plain, history_plain, open_points_plain};
pub use device::{DeviceRow, devices_plain};
pub use escape::{escape_controls, for_terminal};
pub use host_views::{CpuView, DimmView, DriveView};
pub use inspection::{burn_plain, counts_line, gpus_burned_plain, inspection_plain, screening_plain};
pub use json::{json_line, json_lines};
pub use ledger::shared_plain;
pub use rules::{explain_plain, list_plain};
pub use screening::{BlindRule, Document, Fan, FiredRule, GpuView};
pub use smbios::smbios_plain;
pub use spd::spd_plain;
pub use style::Style;
pub use table::Table;
pub use vbios::vbios_plain;
pub use verification::{failures_plain, verification_plain};

use crate::evidence::Value;

/// A number of things: `1 device`, `2 devices`.
pub fn plural(count: usize, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}

/// Bytes for a person: `16 GiB`, `3.84 TB` would be decimal and is not used, since firmware counts in powers of two.
pub fn binary_bytes(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if amount.fract().abs() < 0.05 {
        format!("{amount:.0} {}", UNITS[unit])
    } else {
        format!("{amount:.1} {}", UNITS[unit])
    }
}

/// A value for a person: bytes with a unit where the fact's name says that it counts bytes.
pub fn value_plain(path: &str, value: &Value, style: Style) -> String {
    match value {
        Value::Integer(bytes) if path.ends_with("_bytes") => binary_bytes(*bytes),
        Value::Integer(mib) if path.ends_with("_mib") => format!("{mib} MiB"),
        other => for_terminal(&other.to_string(), style),
    }
}
