//! The system as firmware and the management controller tell it.

use super::{BLANK_IDENTITIES, add, missing_like, normalise_id};
use crate::evidence::{Evidence, Reading, Value};
use crate::rule::tables::Tables;

/// What the management controller tells otherwise than firmware. Serial numbers of a system stand in the system, in the
/// chassis or in the SKU: it is enough that one of them is the same.
pub(super) fn bmc_differ(evidence: &mut Evidence, tables: &Tables) {
    let chassis: Vec<String> =
        evidence.scope("chassis").filter_map(|part| part.text("chassis.serial")).map(str::to_owned).collect();
    let board: Vec<String> =
        evidence.scope("board").filter_map(|part| part.text("board.serial")).map(str::to_owned).collect();
    let blank = tables.get(BLANK_IDENTITIES);
    let legible = |text: &&str| blank.is_some_and(|table| !table.has(text)) && !normalise_id(text).is_empty();
    for part in evidence.parts.iter_mut().filter(|part| part.scope == "platform") {
        let told = |path: &str| match part.reading(path).and_then(Reading::known) {
            Some(Value::List(values)) => values.iter().filter_map(Value::as_text).filter(legible).collect(),
            _ => Vec::new(),
        };
        let serials = part.text("platform.smbios.system_serial").into_iter();
        let serials: Vec<&str> =
            serials.chain(chassis.iter().chain(&board).map(String::as_str)).filter(legible).collect();
        let uuid: Vec<&str> = part.text("platform.smbios.system_uuid").filter(legible).into_iter().collect();
        let mut compared = false;
        let mut found = Vec::new();
        for (name, own, told) in
            [("serial number", serials, told("platform.bmc.serials")), ("UUID", uuid, told("platform.bmc.uuids"))]
        {
            if own.is_empty() || told.is_empty() {
                continue;
            }
            compared = true;
            // Some controllers write the first three fields of a UUID in the other byte order.
            let told_plain: Vec<String> =
                told.iter().map(|text| normalise_id(text)).flat_map(|id| [swapped(&id), id]).collect();
            if own.iter().all(|text| !told_plain.contains(&normalise_id(text))) {
                found.push(format!("{name}: SMBIOS {}, controller {}", own.join(" or "), told.join(" or ")));
            }
        }
        let reading = match part.reading("platform.bmc.serials") {
            _ if compared => Reading::Known(found.into()),
            // Nobody asked a controller.
            None => Reading::Unsupported,
            Some(_) => missing_like(part, "platform.bmc.serials"),
        };
        add(part, "platform.bmc_differ", reading);
    }
}

/// The 32 digits of a UUID with its first three fields in the other byte order; what is none stays as it is.
fn swapped(id: &str) -> String {
    match hex::decode(id) {
        Ok(mut bytes) if bytes.len() == 16 => {
            bytes[..4].reverse();
            bytes[4..6].reverse();
            bytes[6..8].reverse();
            hex::encode_upper(bytes)
        }
        _ => id.to_owned(),
    }
}
