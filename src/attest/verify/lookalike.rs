//! Ids that look like others.

use serde_json::Value as Json;

use super::{Failure, FailureClass, MAX_LISTED, Report};
use crate::attest::statement::Statement;

/// Facts of the identity that hold an id which a maker gave to one unit.
const IDS: [&str; 6] = ["serial", "uuid", "ppin", "wwid", "permanent_mac", "serial_number"];

/// Warns of ids with characters beyond ASCII. SMBIOS, SPD, NVMe, SCSI and PCI all write serial numbers in ASCII; a Cyrillic
/// letter or one without width makes another id that a person cannot tell from the real one.
pub(super) fn check(statement: &Statement, report: &mut Report) {
    let Some(kinds) = statement.predicate.identity.as_object() else { return };
    for part in kinds.values().filter_map(Json::as_array).flatten().filter_map(Json::as_object) {
        let name = part.get("id").and_then(Json::as_str).unwrap_or_default();
        for (fact, value) in part {
            let is_id = IDS.iter().any(|id| fact.rsplit('.').next().is_some_and(|last| last.ends_with(id)));
            if report.warnings.len() < MAX_LISTED
                && is_id
                && let Some(text) = value.as_str().filter(|text| !text.is_ascii())
            {
                let what = format!("{fact} of {name}");
                let shown = text.chars().map(visible).collect::<String>();
                let expected = "letters and digits of ASCII, as serial numbers have";
                report.warnings.push(Failure::new(FailureClass::Lookalike, &what, expected, &shown));
            }
        }
    }
}

/// Everything beyond ASCII as an escape.
fn visible(character: char) -> String {
    if character.is_ascii() { character.to_string() } else { character.escape_unicode().to_string() }
}
