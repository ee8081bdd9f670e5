//! The machine as its management controller (BMC) knows it: a source that the running system can't touch.
//!
//! Reads Redfish where the user named a controller: `/redfish/v1/Systems/*` and `/redfish/v1/Chassis/*`, and of each system
//! `Memory/*` and `Processors/*`. Where none was named, `ipmitool fru print` tells of the modules, if the machine has an
//! IPMI interface and the program is installed. A module is the one of SMBIOS with the same serial number, else with the
//! same locator; processors are matched in order, where there are as many. What is told of modules that match none is
//! listed and not counted.

use std::collections::BTreeMap;

use super::{Collector, reason};
use crate::evidence::Kind::{Integer, List, Text};
use crate::evidence::{EvidenceBuilder, FactDef, Reading, Value};
use crate::host::{Host, Query};
use crate::parse::ipmi_fru;
use crate::parse::redfish::{self, Identity, Module, Processor};
use crate::rule::normalise_id;

const SYSTEMS: &str = "/redfish/v1/Systems";
const CHASSIS: &str = "/redfish/v1/Chassis";
/// Where the kernel shows IPMI interfaces.
const IPMI: &str = "/sys/class/ipmi";
/// Systems of one controller that are looked at: a chassis of nodes has eight at most.
const MAX_SYSTEMS: usize = 16;
/// Pages of one collection: controllers show 20 or 50 members on one.
const MAX_PAGES: usize = 64;

const FACTS: &[FactDef] = &[
    FactDef::new("memory.bmc.modules", Integer, "modules that the management controller lists"),
    FactDef::new("memory.bmc.unmatched", List, "modules of the controller that are none of SMBIOS, by locator"),
    FactDef::new(
        "platform.bmc.serials",
        List,
        "serial numbers of systems and chassis (Redfish ComputerSystem and Chassis, SerialNumber and SKU)",
    ),
    FactDef::new("platform.bmc.uuids", List, "UUIDs of the systems (Redfish ComputerSystem.UUID)"),
    FactDef::new("platform.bmc.processors", Integer, "processors that the management controller lists"),
    FactDef::new("cpu.bmc.socket", Text, "socket (Redfish Processor.Socket)"),
    FactDef::new("cpu.bmc.model", Text, "brand text (Redfish Processor.Model)"),
    FactDef::new("cpu.bmc.cores", Integer, "cores (Redfish Processor.TotalCores)"),
    FactDef::unit_id("cpu.bmc.ppin", "inventory number (Redfish Processor.ProcessorId.ProtectedIdentificationNumber)"),
];

/// What is told of each module; declared with the other facts of modules.
const OF_MODULE: [&str; 7] = [
    "dimm.bmc.size_mib",
    "dimm.bmc.type",
    "dimm.bmc.speed_mts",
    "dimm.bmc.manufacturer",
    "dimm.bmc.part_number",
    "dimm.bmc.serial",
    "dimm.bmc.ranks",
];

pub(super) struct Bmc;

impl Collector for Bmc {
    fn id(&self) -> &'static str {
        "bmc"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        let redfish = Redfish { host };
        match redfish.members(SYSTEMS) {
            // Nobody named a controller.
            Reading::Unsupported => add_modules(ipmi_modules(host), "ipmitool fru print", out),
            systems => {
                let systems = systems.map(|mut systems| {
                    systems.truncate(MAX_SYSTEMS);
                    systems
                });
                add_modules(redfish.below(&systems, "Memory", redfish::module), "redfish", out);
                add_processors(redfish.below(&systems, "Processors", redfish::processor), out);
                let chassis = systems.as_ref().and_then(|_| redfish.members(CHASSIS));
                let identity = |links| redfish.each(links, redfish::identity);
                add_identity(systems.and_then(identity), chassis.and_then(identity), out);
            }
        }
    }
}

/// The controller that the user named.
struct Redfish<'a> {
    host: &'a dyn Host,
}

impl Redfish<'_> {
    fn get(&self, path: &str) -> Reading<Vec<u8>> {
        self.host.ask(&Query::Redfish { path: path.to_owned() })
    }

    /// The links of a collection, from all of its pages.
    fn members(&self, collection: &str) -> Reading<Vec<String>> {
        let mut links = Vec::new();
        let mut next = collection.to_owned();
        for number in 0..MAX_PAGES {
            let page = match self.get(&next) {
                Reading::Known(answer) => redfish::page(&answer),
                Reading::Absent if number > 0 => {
                    return Reading::Failed(format!("{next}, the next page, is not there"));
                }
                other => return reason(&other),
            };
            let Some(page) = page else { return Reading::Failed(format!("{next} is no collection")) };
            links.extend(page.links);
            if links.len() > redfish::MAX_MEMBERS {
                return Reading::Failed(format!("{collection} has more than {} members", redfish::MAX_MEMBERS));
            }
            match page.next {
                Some(link) => next = link,
                None => return Reading::Known(links),
            }
        }
        Reading::Failed(format!("{collection} has more than {MAX_PAGES} pages"))
    }

    /// What the links lead to. A link that leads to nothing is left out.
    fn each<T>(&self, links: Vec<String>, parse: fn(&[u8]) -> Option<T>) -> Reading<Vec<T>> {
        let mut found = Vec::new();
        for link in links {
            match self.get(&link) {
                Reading::Known(answer) => found.extend(parse(&answer)),
                Reading::Absent => {}
                other => return reason(&other),
            }
        }
        Reading::Known(found)
    }

    /// The members of a collection that each system has.
    fn below<T>(
        &self,
        systems: &Reading<Vec<String>>,
        collection: &str,
        parse: fn(&[u8]) -> Option<T>,
    ) -> Reading<Vec<T>> {
        systems.as_ref().and_then(|systems| {
            let mut links = Vec::new();
            for system in systems {
                match self.members(&format!("{}/{collection}", system.trim_end_matches('/'))) {
                    Reading::Known(members) => links.extend(members),
                    Reading::Absent => {}
                    other => return reason(&other),
                }
            }
            self.each(links, parse)
        })
    }
}

fn ipmi_modules(host: &dyn Host) -> Reading<Vec<Module>> {
    let interfaces = host.list(IPMI);
    if interfaces.known().is_none_or(Vec::is_empty) {
        return Reading::Unsupported;
    }
    let args = vec!["fru".to_owned(), "print".to_owned()];
    let answer = host.ask(&Query::Command { program: "ipmitool".to_owned(), args });
    answer.and_then(|answer| {
        let modules = ipmi_fru::modules(&String::from_utf8_lossy(&answer));
        // Most controllers have no FRU of modules; that says nothing about the modules.
        if modules.is_empty() { Reading::Unsupported } else { Reading::Known(modules) }
    })
}

fn add_modules(modules: Reading<Vec<Module>>, source: &str, out: &mut EvidenceBuilder) {
    match modules {
        Reading::Unsupported | Reading::Absent => {}
        Reading::Known(modules) => match_modules(modules, source, out),
        other => {
            let why: Reading<Value> = reason(&other);
            out.part("memory", "memory").fact("memory.bmc.modules", why.clone(), source);
            for id in ids(out, "dimm") {
                let mut part = out.part("dimm", &id);
                for fact in OF_MODULE {
                    part.fact(fact, why.clone(), source);
                }
            }
        }
    }
}

fn ids(out: &EvidenceBuilder, scope: &'static str) -> Vec<String> {
    out.so_far().scope(scope).filter(|part| !part.is_stand_in()).map(|part| part.id.clone()).collect()
}

fn add_processors(processors: Reading<Vec<Processor>>, out: &mut EvidenceBuilder) {
    const SOURCE: &str = "redfish";
    let count = processors.as_ref().map(|found| found.len() as u64);
    out.part("platform", "platform").fact("platform.bmc.processors", count, SOURCE);
    let packages = ids(out, "cpu");
    let matched = processors.and_then(|found| match found.len() == packages.len() {
        true => Reading::Known(found),
        false => Reading::Failed(format!("{} processors, and {} packages are there", found.len(), packages.len())),
    });
    for (index, id) in packages.iter().enumerate() {
        let told = matched.as_ref().map(|found| &found[index]);
        out.part("cpu", id)
            .fact("cpu.bmc.socket", told.clone().and_then(|it| Reading::or_absent(it.socket.clone())), SOURCE)
            .fact("cpu.bmc.model", told.clone().and_then(|it| Reading::or_absent(it.model.clone())), SOURCE)
            .fact("cpu.bmc.cores", told.clone().and_then(|it| Reading::or_absent(it.cores)), SOURCE)
            .fact("cpu.bmc.ppin", told.and_then(|it| Reading::or_absent(it.ppin.clone())), SOURCE);
    }
}

fn add_identity(systems: Reading<Vec<Identity>>, chassis: Reading<Vec<Identity>>, out: &mut EvidenceBuilder) {
    let uuids = systems.as_ref().map(|systems| systems.iter().filter_map(|it| it.uuid.clone()).collect::<Vec<_>>());
    let serials = systems.and_then(|mut systems| {
        // Many controllers have the chassis' serial number in the system only.
        systems.extend(chassis.into_known().unwrap_or_default());
        Reading::Known(systems.into_iter().flat_map(|it| it.serials).collect::<Vec<_>>())
    });
    out.part("platform", "platform").fact("platform.bmc.serials", serials, "redfish").fact(
        "platform.bmc.uuids",
        uuids,
        "redfish",
    );
}

fn match_modules(modules: Vec<Module>, source: &str, out: &mut EvidenceBuilder) {
    let mut by_serial: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut by_locator: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in out.so_far().scope("dimm").filter(|part| !part.is_stand_in()) {
        for (index, path) in [(&mut by_serial, "dimm.smbios.serial"), (&mut by_locator, "dimm.smbios.locator")] {
            if let Some(text) = part.text(path).map(normalise_id).filter(|text| !text.is_empty()) {
                index.entry(text).or_default().push(part.id.clone());
            }
        }
    }
    let alone = by_serial.is_empty() && by_locator.is_empty();
    let count = modules.len();
    let mut unmatched = Vec::new();
    for (index, module) in modules.into_iter().enumerate() {
        let only = |index: &BTreeMap<String, Vec<String>>, text: &Option<String>| match index
            .get(&normalise_id(text.as_deref()?))?
            .as_slice()
        {
            [id] => Some(id.clone()),
            _ => None,
        };
        let name = module.locator.clone().unwrap_or_else(|| format!("number {index}"));
        let id = only(&by_serial, &module.serial).or_else(|| only(&by_locator, &module.locator));
        let Some(id) = id.or_else(|| alone.then(|| format!("dimm:{name}"))) else {
            unmatched.push(name);
            continue;
        };
        out.part("dimm", &id)
            .fact("dimm.bmc.size_mib", Reading::or_absent(module.size_mib), source)
            .fact("dimm.bmc.type", Reading::or_absent(module.kind), source)
            .fact("dimm.bmc.speed_mts", Reading::or_absent(module.speed_mts), source)
            .fact("dimm.bmc.manufacturer", Reading::or_absent(module.manufacturer), source)
            .fact("dimm.bmc.part_number", Reading::or_absent(module.part_number), source)
            .fact("dimm.bmc.serial", Reading::or_absent(module.serial), source)
            .fact("dimm.bmc.ranks", Reading::or_absent(module.ranks), source);
    }
    out.part("memory", "memory").fact("memory.bmc.modules", count, source).fact(
        "memory.bmc.unmatched",
        unmatched,
        source,
    );
}
