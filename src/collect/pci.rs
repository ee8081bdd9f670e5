//! PCI functions.
//!
//! Reads the configuration space (`/sys/bus/pci/devices/*/config`; behind byte 64 for root only), the BAR sizes
//! (`resource`), the driver, and the kernel's own link files where the configuration space was not to be had. Names come
//! from the pci.ids database ([`crate::pci_names`]).

use std::collections::BTreeMap;

use super::{Collector, base_name, read_text, reason};
use crate::evidence::Kind::{Integer, List, Text};
use crate::evidence::{EvidenceBuilder, FactDef, PartBuilder, Reading};
use crate::host::Host;
use crate::parse::pci_config::{self, ConfigSpace, Link};
use crate::pci_names;

pub(super) const DEVICES: &str = "/sys/bus/pci/devices";
/// Functions that are looked at. The largest servers have about 2,000 with all virtual functions enabled.
const MAX_FUNCTIONS: usize = 8192;
const NVME_CLASS: u32 = 0x0001_0802;

/// The facts of a PCI function below any prefix, so that the parts made of one (`gpu.pci.…`) state the same.
macro_rules! function_facts {
    ($prefix:literal) => {
        [
            FactDef::new(concat!($prefix, "vendor_id"), Text, "vendor id: 0x10de (PCI Express Base 6.0, 7.5.1.1.1)"),
            FactDef::new(concat!($prefix, "device_id"), Text, "device id: 0x2330 (7.5.1.1.2)"),
            FactDef::new(concat!($prefix, "subsystem_vendor_id"), Text, "subsystem vendor id (7.5.1.2.3)"),
            FactDef::new(concat!($prefix, "subsystem_device_id"), Text, "subsystem id (7.5.1.2.3)"),
            FactDef::new(concat!($prefix, "class"), Text, "class code: 0x030200 (7.5.1.1.6)"),
            FactDef::new(concat!($prefix, "revision"), Text, "revision id: 0xa1 (7.5.1.1.5)"),
            FactDef::new(concat!($prefix, "vendor_name"), Text, "name of the vendor in the pci.ids database"),
            FactDef::new(concat!($prefix, "device_name"), Text, "name of the device in the pci.ids database"),
            FactDef::new(concat!($prefix, "class_name"), Text, "name of the class in the pci.ids database"),
            FactDef::new(concat!($prefix, "bar_bytes"), List, "sizes of the BARs in use, in bytes"),
            FactDef::new(
                concat!($prefix, "rebar_current_bytes"),
                Integer,
                "size of the largest resizable BAR, in bytes (7.8.6)",
            ),
            FactDef::new(
                concat!($prefix, "rebar_max_bytes"),
                Integer,
                "largest size of the largest resizable BAR, in bytes (7.8.6)",
            ),
            FactDef::new(concat!($prefix, "link.max_width"), Integer, "lanes that the link can have (7.5.3.6)"),
            FactDef::new(
                concat!($prefix, "link.max_speed_mts"),
                Integer,
                "speed that the link can have, MT/s a lane (7.5.3.6)",
            ),
            FactDef::new(concat!($prefix, "link.current_width"), Integer, "lanes that the link has now (7.5.3.8)"),
            FactDef::new(
                concat!($prefix, "link.current_speed_mts"),
                Integer,
                "speed that the link has now, MT/s a lane; lower when idle (7.5.3.8)",
            ),
            FactDef::new(concat!($prefix, "port.max_width"), Integer, "lanes that the port above can have (7.5.3.6)"),
            FactDef::new(
                concat!($prefix, "port.max_speed_mts"),
                Integer,
                "speed that the port above can have, MT/s a lane (7.5.3.6)",
            ),
            FactDef::new(concat!($prefix, "slot"), Text, "physical slot number (7.5.3.9)"),
            FactDef::new(concat!($prefix, "driver"), Text, "driver that is bound"),
            FactDef::new(
                concat!($prefix, "serial_number"),
                Text,
                "Device Serial Number; functions of a device share it (7.9.3)",
            ),
            FactDef::new(concat!($prefix, "numa_node"), Integer, "NUMA node"),
        ]
    };
}
pub(super) use function_facts;

const FACTS: &[FactDef] = &{
    const FUNCTION: [FactDef; 22] = function_facts!("pci.");
    const PLATFORM: [FactDef; 2] = [
        FactDef::new("platform.pci_functions", Integer, "PCI functions of the machine"),
        FactDef::new(
            "platform.nvme_unbound",
            List,
            "addresses of NVMe functions without a driver: drives that nothing could look at",
        ),
    ];
    FactDef::joined::<{ FUNCTION.len() + PLATFORM.len() }>(&FUNCTION, &PLATFORM)
};

pub(super) struct Pci;

/// What is read of one function before any other is known.
struct Function {
    address: String,
    config: Reading<Vec<u8>>,
    driver: Reading<String>,
    port: Option<String>,
    class: Reading<u32>,
}

impl Collector for Pci {
    fn id(&self) -> &'static str {
        "pci"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        let names = host
            .list(DEVICES)
            .map(|names| names.into_iter().filter(|name| is_address(name)).take(MAX_FUNCTIONS).collect::<Vec<_>>());
        let functions: Vec<Function> =
            names.known().into_iter().flatten().map(|address| Function::read(host, address)).collect();
        let slots = slots(host);
        let by_address: BTreeMap<&str, &Function> = functions.iter().map(|it| (it.address.as_str(), it)).collect();

        let unbound = names.as_ref().and_then(|_| {
            let mut unbound = Vec::new();
            for function in &functions {
                match (&function.class, &function.driver) {
                    (Reading::Known(NVME_CLASS), Reading::Absent) => unbound.push(function.address.clone()),
                    (Reading::Known(NVME_CLASS), Reading::Known(_)) => {}
                    (Reading::Known(NVME_CLASS), unread) => return reason(unread),
                    (Reading::Known(_), _) => {}
                    (unread, _) => return reason(unread),
                }
            }
            Reading::Known(unbound)
        });
        out.part("platform", "platform")
            .fact("platform.pci_functions", names.as_ref().map(|names| names.len() as u64), DEVICES)
            .fact("platform.nvme_unbound", unbound, DEVICES);

        for function in &functions {
            let port = function.port.as_deref().and_then(|port| by_address.get(port).copied());
            let mut part = out.part("pci", &format!("pci:{}", function.address));
            function.add(host, port, &slots, &mut part);
        }
    }
}

/// Whether it is `dddd:bb:dd.f`. The domain may have more than four digits.
pub(super) fn is_address(name: &str) -> bool {
    let mut fields = name.split([':', '.']);
    let mut hexadecimal = |digits: std::ops::RangeInclusive<usize>| {
        fields.next().is_some_and(|it| digits.contains(&it.len()) && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    hexadecimal(4..=8) && hexadecimal(2..=2) && hexadecimal(2..=2) && hexadecimal(1..=1) && fields.next().is_none()
}

/// The last PCI function in a sysfs device path.
pub(super) fn address_in(path: &str) -> Option<&str> {
    path.rsplit('/').find(|name| is_address(name))
}

/// Physical slots by `dddd:bb:dd`, where a hot-plug driver knows them.
fn slots(host: &dyn Host) -> BTreeMap<String, String> {
    const SLOTS: &str = "/sys/bus/pci/slots";
    let names = host.list(SLOTS).into_known().unwrap_or_default();
    names
        .into_iter()
        .take(MAX_FUNCTIONS)
        .filter_map(|name| Some((read_text(host, &format!("{SLOTS}/{name}/address")).into_known()?, name)))
        .collect()
}

impl Function {
    fn read(host: &dyn Host, address: &str) -> Self {
        let folder = format!("{DEVICES}/{address}");
        let config = match host.read(&format!("{folder}/config")) {
            // Every function has a configuration space; where the file is missing there is no way to look at it.
            Reading::Absent => Reading::Unsupported,
            other => other,
        };
        let config = config.and_then(|bytes| {
            // The kernel read the ids when it found the function; other ones now are those of something else.
            let known = [id_file(host, &folder, "vendor"), id_file(host, &folder, "device")];
            let answered = ConfigSpace::new(&bytes).and_then(|config| {
                let now = [config.vendor_id(), config.device_id()];
                match known.iter().zip(now).find(|(known, now)| known.known().is_some_and(|id| id != now)) {
                    Some((_, now)) => Reading::Failed(format!("the function answers with another id: {now:#06x}")),
                    None => Reading::Known(()),
                }
            });
            answered.and_then(|()| Reading::Known(bytes))
        });
        let class = match config.as_ref().and_then(|bytes| ConfigSpace::new(bytes)) {
            Reading::Known(config) => Reading::Known(config.class()),
            _ => host.read(&format!("{folder}/class")).number().map(|class| class as u32),
        };
        // The parent in the device tree is the port above, or the host bridge's root.
        let path = host.link(&folder).into_known();
        let port = path.and_then(|path| address_in(path.rsplit_once('/')?.0).map(str::to_owned));
        let driver = host.link(&format!("{folder}/driver")).map(|target| base_name(&target).to_owned());
        Self { address: address.to_owned(), config, driver, port, class }
    }

    fn config(&self) -> Reading<ConfigSpace<'_>> {
        self.config.as_ref().and_then(|bytes| ConfigSpace::new(bytes))
    }

    fn add(
        &self,
        host: &dyn Host,
        port: Option<&Function>,
        slots: &BTreeMap<String, String>,
        part: &mut PartBuilder<'_>,
    ) {
        let folder = format!("{DEVICES}/{}", self.address);
        let config_source = format!("{folder}/config");
        let ids = match self.config() {
            Reading::Known(config) => Ids::of_config(&config),
            _ => Ids::of_files(host, &folder),
        };
        // The header of a bridge leaves its subsystem to a capability, which only root can read; the kernel has it.
        let subsystem = match ids.subsystem {
            Reading::Known(_) | Reading::Absent => (ids.subsystem.clone(), ids.source.to_owned()),
            _ => (subsystem_of_files(host, &folder), "{subsystem_vendor,subsystem_device}".to_owned()),
        };
        let source = format!("{folder}/{}", ids.source);
        let hex16 = |id: u16| format!("{id:#06x}");
        part.fact("pci.vendor_id", ids.vendor.clone().map(hex16), &*source)
            .fact("pci.device_id", ids.device.clone().map(hex16), &*source)
            .fact("pci.class", self.class.clone().map(|class| format!("{class:#08x}")), &*source)
            .fact("pci.revision", ids.revision.map(|revision| format!("{revision:#04x}")), &*source);
        let source = format!("{folder}/{}", subsystem.1);
        part.fact("pci.subsystem_vendor_id", subsystem.0.as_ref().map(|ids| hex16(ids.0)), &*source).fact(
            "pci.subsystem_device_id",
            subsystem.0.map(|ids| hex16(ids.1)),
            &*source,
        );

        let vendor = ids.vendor.as_ref().and_then(|&id| Reading::or_absent(pci_names::vendor(id)));
        let device = vendor.as_ref().and_then(|_| {
            let ids = ids.vendor.known().zip(ids.device.known());
            Reading::or_absent(ids.and_then(|(&vendor, &device)| pci_names::device(vendor, device)))
        });
        let class =
            self.class.as_ref().and_then(|&it| Reading::or_absent(pci_names::class((it >> 16) as u8, (it >> 8) as u8)));
        part.fact("pci.vendor_name", vendor.map(str::to_owned), "pci.ids")
            .fact("pci.device_name", device.map(str::to_owned), "pci.ids")
            .fact("pci.class_name", class.map(str::to_owned), "pci.ids");

        let resource = format!("{folder}/resource");
        let bars = host.read(&resource).text().and_then(|text| {
            pci_config::bar_bytes(&text)
                .map_or_else(|| Reading::Failed("not a resource list".to_owned()), Reading::Known)
        });
        part.fact("pci.bar_bytes", bars, &*resource);
        let rebar = self.config().and_then(|config| config.resizable_bar());
        part.fact("pci.rebar_current_bytes", rebar.as_ref().map(|it| it.current_bytes), &*config_source).fact(
            "pci.rebar_max_bytes",
            rebar.map(|it| it.max_bytes),
            &*config_source,
        );

        let (capability, max_source) = link_capability(host, self);
        let (status, current_source) = or_files(host, self, self.link(|config| config.link_status()), "current");
        part.fact("pci.link.max_width", capability.width, &*max_source)
            .fact("pci.link.max_speed_mts", capability.speed_mts, &*max_source)
            .fact("pci.link.current_width", status.width, &*current_source)
            .fact("pci.link.current_speed_mts", status.speed_mts, &*current_source);
        let (above, source) = match port {
            Some(port) => link_capability(host, port),
            None => (Link { width: Reading::Absent, speed_mts: Reading::Absent }, folder.clone()),
        };
        part.fact("pci.port.max_width", above.width, &*source).fact(
            "pci.port.max_speed_mts",
            above.speed_mts,
            &*source,
        );

        let device_address = self.address.rsplit_once('.').map_or(self.address.as_str(), |(device, _)| device);
        let (slot, source) = match slots.get(device_address) {
            Some(slot) => (Reading::Known(slot.clone()), "/sys/bus/pci/slots".to_owned()),
            None => match port {
                Some(port) => (
                    port.config().and_then(|config| config.slot_number()).map(|slot| slot.to_string()),
                    format!("{DEVICES}/{}/config", port.address),
                ),
                None => (Reading::Absent, "/sys/bus/pci/slots".to_owned()),
            },
        };
        part.fact("pci.slot", slot, source).fact("pci.driver", self.driver.clone(), format!("{folder}/driver")).fact(
            "pci.serial_number",
            self.config().and_then(|config| config.serial_number()),
            config_source,
        );
        let node = format!("{folder}/numa_node");
        let number = read_text(host, &node).and_then(|text| match text.parse::<i64>() {
            // The kernel's word for none.
            Ok(-1) => Reading::Absent,
            Ok(number) => Reading::Known(number),
            Err(_) => Reading::Failed("not a number".to_owned()),
        });
        part.fact("pci.numa_node", number, node);
    }

    fn link(&self, which: impl Fn(&ConfigSpace<'_>) -> Link) -> Link {
        match self.config() {
            Reading::Known(config) => which(&config),
            other => Link { width: reason(&other), speed_mts: reason(&other) },
        }
    }
}

struct Ids {
    vendor: Reading<u16>,
    device: Reading<u16>,
    revision: Reading<u8>,
    subsystem: Reading<(u16, u16)>,
    source: &'static str,
}

impl Ids {
    fn of_config(config: &ConfigSpace<'_>) -> Self {
        Self {
            vendor: Reading::Known(config.vendor_id()),
            device: Reading::Known(config.device_id()),
            revision: Reading::Known(config.revision()),
            subsystem: config.subsystem(),
            source: "config",
        }
    }

    /// The kernel read them when it found the device.
    fn of_files(host: &dyn Host, folder: &str) -> Self {
        Self {
            vendor: id_file(host, folder, "vendor"),
            device: id_file(host, folder, "device"),
            revision: id_file(host, folder, "revision").map(|it| it as u8),
            subsystem: subsystem_of_files(host, folder),
            source: "{vendor,device,class,revision}",
        }
    }
}

fn id_file(host: &dyn Host, folder: &str, name: &str) -> Reading<u16> {
    host.read(&format!("{folder}/{name}")).number().and_then(|number| {
        u16::try_from(number).map_or_else(|_| Reading::Failed("not a 16-bit id".to_owned()), Reading::Known)
    })
}

fn subsystem_of_files(host: &dyn Host, folder: &str) -> Reading<(u16, u16)> {
    let device = id_file(host, folder, "subsystem_device");
    id_file(host, folder, "subsystem_vendor")
        .and_then(|vendor| device.map(|device| (vendor, device)))
        .and_then(|ids| if ids == (0, 0) { Reading::Absent } else { Reading::Known(ids) })
}

/// What the link of a function can do, and who said so.
fn link_capability(host: &dyn Host, function: &Function) -> (Link, String) {
    or_files(host, function, function.link(|config| config.link_capability()), "max")
}

/// The link as the configuration space has it, or else from the kernel's files, which everybody may read.
fn or_files(host: &dyn Host, function: &Function, own: Link, which: &str) -> (Link, String) {
    let folder = format!("{DEVICES}/{}", function.address);
    let unread = |reading: &Reading<u64>| !matches!(reading, Reading::Known(_) | Reading::Absent);
    let config = format!("{folder}/config");
    if !unread(&own.width) && !unread(&own.speed_mts) {
        return (own, config);
    }
    let width = read_text(host, &format!("{folder}/{which}_link_width")).and_then(|text| match text.parse::<u64>() {
        Ok(0 | 255) => Reading::Absent,
        Ok(width) => Reading::Known(width),
        Err(_) => Reading::Failed("not a number".to_owned()),
    });
    let speed_mts = read_text(host, &format!("{folder}/{which}_link_speed")).and_then(|text| link_speed(&text));
    // Without an answer here either, the reason why the configuration space gave none stands.
    match (width, speed_mts) {
        (width @ Reading::Known(_), speed_mts @ Reading::Known(_)) => {
            (Link { width, speed_mts }, format!("{folder}/{{{which}_link_width,{which}_link_speed}}"))
        }
        _ => (own, config),
    }
}

/// `32.0 GT/s PCIe` in MT/s.
fn link_speed(text: &str) -> Reading<u64> {
    if text.starts_with("Unknown") {
        return Reading::Absent;
    }
    let number = text.split_once(" GT/s").and_then(|(number, _)| number.parse::<f64>().ok());
    match number {
        Some(speed) if (0.0..1000.0).contains(&speed) => Reading::Known((speed * 1000.0).round() as u64),
        _ => Reading::Failed("not a link speed".to_owned()),
    }
}
