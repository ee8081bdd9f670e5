//! Answers of a management controller: Redfish (DMTF DSP0266 1.20, DSP0268 2024.1, schemas `*Collection`, `Memory`,
//! `Processor`, `ComputerSystem` and `Chassis`).

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

/// A processor as `Processor` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processor {
    /// `Socket`, else `Name`.
    pub socket: Option<String>,
    /// `Model`: the brand text.
    pub model: Option<String>,
    /// `TotalCores`.
    pub cores: Option<u64>,
    /// `ProcessorId.ProtectedIdentificationNumber`.
    pub ppin: Option<String>,
}

/// Who a system or chassis says that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `SerialNumber`, and `SKU`, in which Dell has the service tag.
    pub serials: Vec<String>,
    /// `UUID`.
    pub uuid: Option<String>,
}

/// One page of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Links to members. Those that lead elsewhere are left out.
    pub links: Vec<String>,
    /// `Members@odata.nextLink`: where the collection goes on.
    pub next: Option<String>,
}

/// Whether a link stays below `/redfish/` on the same host. It may have a query, as the links between pages do.
pub fn is_path(link: &str) -> bool {
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    link.len() <= MAX_PATH
        && path.starts_with("/redfish/")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-~:$=".contains(&byte))
        && path.split('/').all(|segment| segment != ".." && segment != ".")
        && query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-~$=&".contains(&byte))
}

/// A page of a collection; `None` where it is none.
pub fn page(answer: &[u8]) -> Option<Page> {
    let json: Json = serde_json::from_slice(answer).ok()?;
    let links = json.get("Members")?.as_array()?.iter().filter_map(|member| member.get("@odata.id")?.as_str());
    let next = json.get("Members@odata.nextLink").and_then(Json::as_str).map(str::to_owned);
    Some(Page { links: links.filter(|link| is_path(link)).map(str::to_owned).collect(), next })
}

/// A module; `None` where the answer is no object or the slot is empty.
pub fn module(answer: &[u8]) -> Option<Module> {
    let resource = Resource::present(answer)?;
    let module = Module {
        locator: resource.text("DeviceLocator").or_else(|| resource.text("Name")),
        size_mib: resource.number("CapacityMiB"),
        kind: resource.text("MemoryDeviceType"),
        speed_mts: resource.number("OperatingSpeedMhz"),
        manufacturer: resource.text("Manufacturer"),
        part_number: resource.text("PartNumber"),
        serial: resource.text("SerialNumber"),
        ranks: resource.number("RankCount"),
    };
    // Old firmware lists empty slots as modules without a size and a serial number.
    (module.size_mib.is_some() || module.serial.is_some()).then_some(module)
}

/// A CPU; `None` where the answer is no object, the socket is empty, or it is a GPU or another accelerator.
pub fn processor(answer: &[u8]) -> Option<Processor> {
    let resource = Resource::present(answer)?;
    let processor = Processor {
        socket: resource.text("Socket").or_else(|| resource.text("Name")),
        model: resource.text("Model"),
        cores: resource.number("TotalCores"),
        ppin: resource.below("ProcessorId").and_then(|id| id.text("ProtectedIdentificationNumber")),
    };
    let is_cpu = resource.text("ProcessorType").is_none_or(|kind| kind == "CPU");
    (is_cpu && (processor.model.is_some() || processor.cores.is_some())).then_some(processor)
}

/// A system or chassis; `None` where the answer is no object.
pub fn identity(answer: &[u8]) -> Option<Identity> {
    let resource = Resource::present(answer)?;
    let serials = ["SerialNumber", "SKU"].iter().filter_map(|name| resource.text(name));
    Some(Identity { serials: serials.collect(), uuid: resource.text("UUID") })
}

/// The object in an answer.
struct Resource(Json);

impl Resource {
    /// `None` where it says itself that nothing is there.
    fn present(answer: &[u8]) -> Option<Self> {
        let json: Json = serde_json::from_slice(answer).ok()?;
        json.as_object()?;
        let absent = json.get("Status").and_then(|status| status.get("State")).and_then(Json::as_str) == Some("Absent");
        (!absent).then_some(Self(json))
    }

    fn below(&self, name: &str) -> Option<Self> {
        self.0.get(name).cloned().map(Self)
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?.trim();
        (!text.is_empty() && text.len() <= 256).then(|| text.to_owned())
    }

    /// No part has more than a few terabytes or thousands of anything; a larger number is damaged.
    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64().filter(|number| (1..1 << 40).contains(number))
    }
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
            ("/redfish/v1/Systems/1/Memory?$skip=50&$top=2", true),
            ("/redfish/v1?x=/../y", false),
            ("/redfish/v1?a?b", false),
            ("/redfish/v1\r\nHost: x", false),
            ("/api", false),
        ] {
            assert_eq!(is_path(path), good, "{path}");
        }
        let answer = br#"{"Members":[{"@odata.id":"/redfish/v1/Systems/1"},{"@odata.id":"http://x/redfish/v1"},{},7],
            "Members@odata.nextLink":"/redfish/v1/Systems?$skip=4"}"#;
        let next = Some("/redfish/v1/Systems?$skip=4".to_owned());
        assert_eq!(page(answer), Some(Page { links: vec!["/redfish/v1/Systems/1".to_owned()], next }));
        assert_eq!(page(b"{}"), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            _ = (page(&bytes), module(&bytes), processor(&bytes), identity(&bytes));
        }
    }
}
