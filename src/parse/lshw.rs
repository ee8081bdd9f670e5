//! What `lshw -json` prints: a tree of nodes. What it says of memory modules, sockets, boards and the system comes from
//! SMBIOS, with the handle of the structure in `handle`; model and stepping of processors from `/proc/cpuinfo`.

use serde_json::Value as Json;

use super::plain_text;
use crate::evidence::{Reading, Value};
use crate::parse::smbios::{
    Bios, Board, Chassis, Inventory, MemoryDevice, Processor, Structure, System, dmidecode::is_taken_out,
};

/// Nodes that are read. A large server has about 1,000.
const MAX_NODES: usize = 65_536;
const MEGA: u64 = 1_000_000;

/// A processor as `/proc/cpuinfo` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// `model name`.
    pub brand: Option<String>,
    /// Display family, model and stepping.
    pub signature: Option<[u64; 3]>,
    /// Microcode revision.
    pub microcode: Option<u64>,
}

/// A drive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drive {
    /// Name of the disk: `sda`.
    pub name: String,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// Capacity in bytes.
    pub size_bytes: Option<u64>,
}

/// What is read of a printout.
#[derive(Debug, Clone, Default)]
pub struct Lshw {
    /// What comes from SMBIOS.
    pub inventory: Inventory,
    /// The processors in their order.
    pub cpus: Vec<Cpu>,
    /// The drives.
    pub drives: Vec<Drive>,
}

/// Whether it is JSON with the keys of lshw's nodes.
pub fn recognise(text: &str) -> bool {
    ["\"id\"", "\"class\"", "\"claimed\""].iter().all(|key| plain_text::has(text, key)) && json_start(text).is_some()
}

/// Where the JSON begins: lshw warns first where it is not root.
fn json_start(text: &str) -> Option<&str> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(['{', '[']) {
            return text.get(at..);
        }
        at += line.len();
    }
    None
}

/// Reads every node. Old versions print several nodes with commas, but no brackets around them.
pub fn parse(text: &str) -> Lshw {
    let mut lshw =
        Lshw { inventory: Inventory { printed_by: Some("lshw"), ..Inventory::default() }, ..Lshw::default() };
    let mut rest = json_start(text).unwrap_or_default();
    let mut nodes = 0;
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Json>();
        let Some(Ok(tree)) = stream.next() else { break };
        walk(&tree, None, &mut nodes, &mut lshw);
        let read = stream.byte_offset();
        rest = rest.get(read..).unwrap_or_default().trim_start_matches([',', ' ', '\n', '\r', '\t']);
    }
    lshw
}

/// serde_json nests 128 deep at most, so that this ends.
fn walk(node: &Json, parent: Option<Node<'_>>, nodes: &mut usize, lshw: &mut Lshw) {
    if let Json::Array(several) = node {
        return several.iter().for_each(|node| walk(node, parent, nodes, lshw));
    }
    *nodes += 1;
    if *nodes > MAX_NODES || !node.is_object() {
        return;
    }
    let own = Node(node);
    own.read(parent, lshw);
    for child in node.get("children").and_then(Json::as_array).into_iter().flatten() {
        walk(child, Some(own), nodes, lshw);
    }
}

#[derive(Clone, Copy)]
struct Node<'a>(&'a Json);

impl<'a> Node<'a> {
    fn str(&self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str()
    }

    fn text(&self, key: &str) -> Reading<String> {
        match self.str(key) {
            None => Reading::Unsupported,
            Some(text) if is_taken_out(text) => Reading::Unsupported,
            Some(text) => match Value::text_from_bytes(text.as_bytes()) {
                Ok(text) if text.is_empty() => Reading::Absent,
                Ok(text) => Reading::Known(text),
                Err(length) => Reading::Failed(format!("text of {length} bytes")),
            },
        }
    }

    fn number(&self, key: &str) -> Reading<u64> {
        self.0.get(key).and_then(Json::as_u64).map_or(Reading::Unsupported, Reading::Known)
    }

    fn setting(&self, key: &str) -> Option<&'a str> {
        self.0.get("configuration")?.get(key)?.as_str()
    }

    fn count(&self, key: &str) -> Reading<u64> {
        self.setting(key).and_then(|text| text.parse().ok()).map_or(Reading::Unsupported, Reading::Known)
    }

    /// `DMI:1100`
    fn handle(&self) -> Option<u16> {
        u16::from_str_radix(self.str("handle")?.strip_prefix("DMI:")?, 16).ok()
    }

    /// `bank` of `bank:0`.
    fn name(&self) -> &'a str {
        self.str("id").and_then(|id| id.split(':').next()).unwrap_or_default()
    }

    /// `sda` of `/dev/sda`, also where there are several names.
    fn disk(&self) -> Option<String> {
        let names = self.0.get("logicalname")?;
        let name = names.as_str().or_else(|| names.as_array()?.iter().find_map(Json::as_str))?;
        name.strip_prefix("/dev/").filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned)
    }

    fn read(&self, parent: Option<Node<'_>>, lshw: &mut Lshw) {
        let mut structure = |kind| {
            lshw.inventory.structures.push(Structure { kind, handle: self.handle(), length_bytes: None });
        };
        match (self.str("class").unwrap_or_default(), self.name()) {
            ("system", _) if parent.is_none() => {
                structure(1);
                let uuid = self.setting("uuid").map(str::to_ascii_lowercase);
                lshw.inventory.system = Some(System {
                    handle: self.handle(),
                    manufacturer: self.text("vendor"),
                    product: self.text("product"),
                    version: self.text("version"),
                    serial: self.text("serial"),
                    uuid: uuid.filter(|uuid| uuid.len() == 36).map_or(Reading::Unsupported, Reading::Known),
                    sku: self.setting("sku").map_or(Reading::Unsupported, |sku| Reading::Known(sku.to_owned())),
                });
                if let Some(kind) = self.setting("chassis") {
                    lshw.inventory.chassis.push(Chassis {
                        handle: None,
                        manufacturer: Reading::Unsupported,
                        kind: Reading::Known(kind.to_owned()),
                        serial: Reading::Unsupported,
                    });
                }
            }
            ("bus", "core") => {
                structure(2);
                lshw.inventory.boards.push(Board {
                    handle: self.handle(),
                    manufacturer: self.text("vendor"),
                    product: self.text("product"),
                    version: self.text("version"),
                    serial: self.text("serial"),
                    asset_tag: Reading::Unsupported,
                });
            }
            ("memory", "firmware") => {
                structure(0);
                lshw.inventory.bios = Some(Bios {
                    handle: self.handle(),
                    vendor: self.text("vendor"),
                    version: self.text("version"),
                    release_date: self.text("date"),
                });
            }
            ("memory", "bank") if parent.is_none_or(|parent| matches!(parent.name(), "memory" | "core")) => {
                structure(17);
                lshw.inventory.memory_devices.push(self.memory_device());
            }
            ("processor", _) => self.processor(lshw),
            ("disk", "disk" | "namespace") => self.drive(parent, lshw),
            _ => {}
        }
    }

    fn memory_device(&self) -> MemoryDevice {
        let description = self.str("description").unwrap_or_default();
        let word = |wanted: fn(&str) -> bool| {
            let found = description.split_ascii_whitespace().find(|word| wanted(word));
            found.map_or(Reading::Unsupported, |word| Reading::Known(word.to_owned()))
        };
        MemoryDevice {
            handle: self.handle(),
            array: None,
            populated: self.number("size").known().is_some_and(|&size| size > 0),
            size_bytes: self.number("size"),
            locator: self.text("slot"),
            bank: Reading::Unsupported,
            kind: word(|word| word.contains("DDR") || word == "HBM" || word == "HBM2" || word == "HBM3"),
            form_factor: word(|word| word.ends_with("DIMM") || word.ends_with("SIMM")),
            speed_mts: self.number("clock").map(|hertz| hertz / MEGA),
            configured_mts: Reading::Unsupported,
            manufacturer: self.text("vendor"),
            part_number: self.text("product"),
            serial: self.text("serial"),
            asset_tag: Reading::Unsupported,
            ranks: Reading::Unsupported,
            total_width_bits: Reading::Unsupported,
            data_width_bits: self.number("width"),
            technology: Reading::Unsupported,
            operating_modes: Reading::Unsupported,
            firmware: Reading::Unsupported,
            module_maker_id: Reading::Unsupported,
            module_product_id: Reading::Unsupported,
            controller_maker_id: Reading::Unsupported,
            controller_product_id: Reading::Unsupported,
            nonvolatile_bytes: Reading::Unsupported,
            volatile_bytes: Reading::Unsupported,
            cache_bytes: Reading::Unsupported,
            logical_bytes: Reading::Unsupported,
            pmic_id: Reading::Unsupported,
            rcd_id: Reading::Unsupported,
        }
    }

    /// An empty socket has no product. Version is family, model and stepping; before B.02.19 it was SMBIOS's version.
    fn processor(&self, lshw: &mut Lshw) {
        let Some(product) = self.text("product").into_known() else { return };
        let version = self.text("version");
        let signature = version.known().and_then(|version| {
            let numbers: Vec<u64> = version.split('.').filter_map(|number| number.parse().ok()).collect();
            <[u64; 3]>::try_from(numbers).ok()
        });
        lshw.cpus.push(Cpu {
            brand: Some(product),
            signature,
            microcode: self.setting("microcode").and_then(|text| text.parse().ok()),
        });
        let Some(handle) = self.handle() else { return };
        lshw.inventory.structures.push(Structure { kind: 4, handle: Some(handle), length_bytes: None });
        lshw.inventory.processors.push(Processor {
            handle: Some(handle),
            populated: true,
            socket: self.text("slot"),
            manufacturer: self.text("vendor"),
            version: if signature.is_some() { Reading::Unsupported } else { version },
            signature: Reading::Unsupported,
            core_count: self.count("cores"),
            thread_count: self.count("threads"),
            serial: self.text("serial"),
            part_number: Reading::Unsupported,
            max_speed_mhz: self.number("capacity").map(|hertz| hertz / MEGA),
        });
    }

    /// The controller of an NVMe drive is the node above its disk, and has the names.
    fn drive(&self, parent: Option<Node<'_>>, lshw: &mut Lshw) {
        let Some(name) = self.disk() else { return };
        let controller = parent.filter(|parent| parent.name() == "nvme");
        let own = |key: &str| self.text(key).into_known().or_else(|| controller?.text(key).into_known());
        if own("product").is_some() || own("serial").is_some() {
            lshw.drives.push(Drive {
                name,
                model: own("product"),
                serial: own("serial"),
                firmware: own("version"),
                size_bytes: self.number("size").into_known(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_panics(text in "(\\{|\\}|\\[|\\]|,|\"(id|class|children|size|handle)\"|:|\"(bank|memory|disk|DMI:1)\"|[0-9]|\n|\\PC){0,80}") {
            recognise(&text);
            parse(&text);
        }
    }

    #[test]
    fn a_deep_tree_ends() {
        let deep = "{\"claimed\":1,\"class\":\"a\",\"id\":\"b\",\"children\":[".repeat(10_000);
        assert!(parse(&deep).inventory.structures.is_empty());
    }
}
