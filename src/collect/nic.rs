//! Network cards: interfaces with a device behind them, virtual functions left out.
//!
//! Reads `/sys/class/net/`, the PCI facts collected before, and `ethtool -i` and `-P` where it is installed. No
//! privilege is needed.

use super::pci::address_in;
use super::{Collector, base_name, read_text, reason, stand_in};
use crate::evidence::Kind::{Integer, Text};
use crate::evidence::{EvidenceBuilder, FactDef, Reading, Value};
use crate::host::{Host, Query};

const NET: &str = "/sys/class/net";
/// Interfaces that are looked at.
const MAX_INTERFACES: usize = 4096;

const FACTS: &[FactDef] = &[
    FactDef::new("platform.nics", Integer, "network interfaces with a device behind them"),
    FactDef::new("nic.mac", Text, "address that is in use"),
    FactDef::unit_id("nic.permanent_mac", "address that the card has from its maker"),
    FactDef::new("nic.pci_address", Text, "address of the PCI function"),
    FactDef::new("nic.driver", Text, "driver that is bound"),
    FactDef::new("nic.firmware", Text, "firmware version"),
    FactDef::new("nic.vendor_id", Text, "PCI vendor id: 0x15b3"),
    FactDef::new("nic.device_id", Text, "PCI device id"),
    FactDef::new("nic.subsystem_vendor_id", Text, "PCI subsystem vendor id"),
    FactDef::new("nic.subsystem_device_id", Text, "PCI subsystem id"),
    FactDef::new("nic.link.state", Text, "state of the link: up, down"),
    FactDef::new("nic.link.speed_mbps", Integer, "speed of the link in Mbit/s"),
    FactDef::new("nic.model_name", Text, "name of the device in the pci.ids database"),
];

/// Facts that the PCI function has told already.
const FROM_PCI: &[(&str, &str)] = &[
    ("nic.vendor_id", "pci.vendor_id"),
    ("nic.device_id", "pci.device_id"),
    ("nic.subsystem_vendor_id", "pci.subsystem_vendor_id"),
    ("nic.subsystem_device_id", "pci.subsystem_device_id"),
    ("nic.model_name", "pci.device_name"),
];

pub(super) struct Nics;

impl Collector for Nics {
    fn id(&self) -> &'static str {
        "nic"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        let names = host.list(NET);
        let mut count = 0u64;
        for name in names.known().into_iter().flatten().take(MAX_INTERFACES) {
            let device = format!("{NET}/{name}/device");
            let target = host.link(&device);
            if target == Reading::Absent || host.link(&format!("{device}/physfn")) != Reading::Absent {
                continue;
            }
            count += 1;
            interface(host, name, &target, out);
        }
        stand_in(out, "nic", FACTS, &names, NET);
        out.part("platform", "platform").fact("platform.nics", names.map(|_| count), NET);
    }
}

fn interface(host: &dyn Host, name: &str, device: &Reading<String>, out: &mut EvidenceBuilder) {
    let folder = format!("{NET}/{name}");
    // The interface's own path names every device above it; a copied folder may have the device link only.
    let path = host.link(&folder).into_known().unwrap_or_default();
    let address = address_in(&path).or_else(|| address_in(device.known()?)).map(str::to_owned);
    let function = address.as_ref().and_then(|address| out.so_far().part(&format!("pci:{address}")).cloned());

    let mac = read_text(host, &format!("{folder}/address"));
    let (permanent, permanent_source) = permanent_mac(host, name, &mac);
    let (firmware, firmware_source) = firmware(host, name);
    let driver = host.link(&format!("{folder}/device/driver")).map(|target| base_name(&target).to_owned());
    let speed = read_text(host, &format!("{folder}/speed")).and_then(|text| match text.parse::<i64>() {
        // The kernel's word for an unknown speed.
        Ok(-1) => Reading::Absent,
        Ok(speed) => Reading::Known(speed),
        Err(_) => Reading::Failed("not a number".to_owned()),
    });

    let mut part = out.part("nic", &format!("nic:{name}"));
    part.fact("nic.mac", mac, format!("{folder}/address"))
        .fact("nic.permanent_mac", permanent, permanent_source)
        .fact("nic.pci_address", address, &*folder)
        .fact("nic.driver", driver, format!("{folder}/device/driver"))
        .fact("nic.firmware", firmware, firmware_source)
        .fact("nic.link.state", read_text(host, &format!("{folder}/operstate")), format!("{folder}/operstate"))
        .fact("nic.link.speed_mbps", speed, format!("{folder}/speed"));
    for (fact, of_function) in FROM_PCI {
        let known = function.as_ref().and_then(|part| {
            part.facts.iter().find(|(path, _)| path.as_str() == *of_function).map(|(_, fact)| fact.clone())
        });
        match known {
            Some(known) => part.fact(fact, known.reading, known.source),
            None => part.fact(fact, Reading::<Value>::Absent, &*folder),
        };
    }
}

/// The address in use is the permanent one unless somebody set another (`addr_assign_type`, Linux
/// `Documentation/ABI/testing/sysfs-class-net`).
fn permanent_mac(host: &dyn Host, name: &str, mac: &Reading<String>) -> (Reading<String>, String) {
    const PERMANENT: u64 = 0;
    let folder = format!("{NET}/{name}");
    if host.read(&format!("{folder}/addr_assign_type")).number() == Reading::Known(PERMANENT) {
        return (mac.clone(), format!("{folder}/address, addr_assign_type 0"));
    }
    // A bond gives its members its own address and keeps theirs.
    let kept = format!("{folder}/bonding_slave/perm_hwaddr");
    if let Reading::Known(address) = read_text(host, &kept) {
        return (Reading::Known(address), kept);
    }
    let address = ethtool(host, "-P", name).and_then(|text| {
        let address = text.trim().strip_prefix("Permanent address:").map(str::trim).unwrap_or_default();
        match address {
            "" | "not set" | "00:00:00:00:00:00" => Reading::Absent,
            address => Reading::Known(address.to_lowercase()),
        }
    });
    (address, format!("ethtool -P {name}"))
}

fn firmware(host: &dyn Host, name: &str) -> (Reading<String>, String) {
    let folder = format!("{NET}/{name}/device/infiniband");
    let device = host.list(&folder).into_known().and_then(|names| names.into_iter().next());
    if let Some(device) = device {
        let path = format!("{folder}/{device}/fw_ver");
        if let Reading::Known(version) = read_text(host, &path) {
            return (Reading::Known(version), path);
        }
    }
    let version = ethtool(host, "-i", name).and_then(|text| {
        let version = text.lines().find_map(|line| line.strip_prefix("firmware-version:")).map(str::trim);
        match version {
            None | Some("" | "N/A") => Reading::Absent,
            Some(version) => Reading::Known(version.to_owned()),
        }
    });
    (version, format!("ethtool -i {name}"))
}

fn ethtool(host: &dyn Host, option: &str, name: &str) -> Reading<String> {
    let args = vec![option.to_owned(), name.to_owned()];
    let answer = host.ask(&Query::Command { program: "ethtool".to_owned(), args });
    match answer {
        Reading::Known(output) => Reading::Known(output).text(),
        other => reason(&other),
    }
}
