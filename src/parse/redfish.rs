//! Answers of a management controller: Redfish (DMTF DSP0266 1.20, DSP0268 2024.1, schemas `*Collection` and `Memory`).

use serde_json::Value as Json;

/// Members of one collection that are looked at.
pub const MAX_MEMBERS: usize = 512;
const MAX_PATH: usize = 512;

/// A memory module as `Memory` describes it. What is not there, `null` or of another type is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// `DeviceLocator`, else `Name`.
    pub locator: Option<String>,
    /// `CapacityMiB`.
    pub size_mib: Option<u64>,
    /// `MemoryDeviceType`: DDR5.
    pub kind: Option<String>,
    /// `OperatingSpeedMhz`, which is MT/s.
    pub speed_mts: Option<u64>,
    /// `Manufacturer`.
    pub manufacturer: Option<String>,
    /// `PartNumber`.
    pub part_number: Option<String>,
    /// `SerialNumber`.
    pub serial: Option<String>,
    /// `RankCount`.
    pub ranks: Option<u64>,
}

/// Whether a link stays below `/redfish/` on the same host.
pub fn is_path(path: &str) -> bool {
    path.len() <= MAX_PATH
        && path.starts_with("/redfish/")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-~:$=".contains(&byte))
        && path.split('/').all(|segment| segment != ".." && segment != ".")
}

/// The links of a collection, and whether there are more than are looked at; `None` where it is no collection. Links that
/// lead elsewhere are left out.
pub fn members(answer: &[u8]) -> Option<(Vec<String>, bool)> {
    let json: Json = serde_json::from_slice(answer).ok()?;
    let members = json.get("Members")?.as_array()?;
    let more = members.len() > MAX_MEMBERS || json.get("Members@odata.nextLink").is_some();
    let links = members.iter().take(MAX_MEMBERS).filter_map(|member| member.get("@odata.id")?.as_str());
    Some((links.filter(|link| is_path(link)).map(str::to_owned).collect(), more))
}

/// A module; `None` where the answer is no object or the slot is empty.
pub fn module(answer: &[u8]) -> Option<Module> {
    let json: Json = serde_json::from_slice(answer).ok()?;
    json.as_object()?;
    if json.get("Status").and_then(|status| status.get("State")).and_then(Json::as_str) == Some("Absent") {
        return None;
    }
    let text = |name: &str| {
        let text = json.get(name)?.as_str()?.trim();
        (!text.is_empty() && text.len() <= 256).then(|| text.to_owned())
    };
    // No module has more than a few terabytes; a larger number is damaged.
    let number = |name: &str| json.get(name)?.as_u64().filter(|number| (1..1 << 40).contains(number));
    let module = Module {
        locator: text("DeviceLocator").or_else(|| text("Name")),
        size_mib: number("CapacityMiB"),
        kind: text("MemoryDeviceType"),
        speed_mts: number("OperatingSpeedMhz"),
        manufacturer: text("Manufacturer"),
        part_number: text("PartNumber"),
        serial: text("SerialNumber"),
        ranks: number("RankCount"),
    };
    // Old firmware lists empty slots as modules without a size and a serial number.
    (module.size_mib.is_some() || module.serial.is_some()).then_some(module)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_never_leave_the_controller() {
        for (path, good) in [
            ("/redfish/v1/Systems/1/Memory", true),
            ("/redfish/v1/Systems/System.Embedded.1/Memory/iDRAC.Embedded.1%23DIMM", false),
            ("/redfish/../etc", false),
            ("//evil.example/redfish/", false),
            ("https://evil.example/redfish/v1", false),
            ("/redfish/v1?x=1", false),
            ("/redfish/v1\r\nHost: x", false),
            ("/api", false),
        ] {
            assert_eq!(is_path(path), good, "{path}");
        }
        let answer = br#"{"Members":[{"@odata.id":"/redfish/v1/Systems/1"},{"@odata.id":"http://x/redfish/v1"},{},7]}"#;
        assert_eq!(members(answer), Some((vec!["/redfish/v1/Systems/1".to_owned()], false)));
        assert_eq!(members(b"{}"), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            _ = members(&bytes);
            _ = module(&bytes);
        }
    }
}
