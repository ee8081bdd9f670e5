//! Memory modules as the management controller (BMC) knows them: a source that the running system can't touch.
//!
//! Reads Redfish `/redfish/v1/Systems/*/Memory/*` where the user named a controller, and `ipmitool fru print` where the
//! machine has an IPMI interface and the program is installed. A module is the one of SMBIOS with the same serial number,
//! else with the same locator. What is told of modules that match none is listed and not counted.

use std::collections::BTreeMap;

use super::{Collector, reason};
use crate::evidence::Kind::{Integer, List};
use crate::evidence::{EvidenceBuilder, FactDef, Reading, Value};
use crate::host::{Host, Query};
use crate::parse::ipmi_fru;
use crate::parse::redfish::{self, Module};
use crate::rule::normalise_id;

const SYSTEMS: &str = "/redfish/v1/Systems";
/// Where the kernel shows IPMI interfaces.
const IPMI: &str = "/sys/class/ipmi";
/// Systems of one controller that are looked at: a chassis of nodes has eight at most.
const MAX_SYSTEMS: usize = 16;

const FACTS: &[FactDef] = &[
    FactDef::new("memory.bmc.modules", Integer, "modules that the management controller lists"),
    FactDef::new("memory.bmc.unmatched", List, "modules of the controller that are none of SMBIOS, by locator"),
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
        let (modules, source) = match redfish_modules(host) {
            Reading::Unsupported => (ipmi_modules(host), "ipmitool fru print"),
            modules => (modules, "redfish"),
        };
        match modules {
            // Nobody asked for it.
            Reading::Unsupported | Reading::Absent => {}
            Reading::Known(modules) => add(modules, source, out),
            other => {
                let why: Reading<Value> = reason(&other);
                out.part("memory", "memory").fact("memory.bmc.modules", why.clone(), source);
                let ids: Vec<String> = out.so_far().scope("dimm").map(|part| part.id.clone()).collect();
                for id in ids {
                    let mut part = out.part("dimm", &id);
                    for fact in OF_MODULE {
                        part.fact(fact, why.clone(), source);
                    }
                }
            }
        }
    }
}

fn redfish_modules(host: &dyn Host) -> Reading<Vec<Module>> {
    let ask = |path: &str| host.ask(&Query::Redfish { path: path.to_owned() });
    let list = |path: &str| {
        ask(path).and_then(|answer| match redfish::members(&answer) {
            Some((members, false)) => Reading::Known(members),
            Some((_, true)) => Reading::Failed(format!("{path} has more than {} members", redfish::MAX_MEMBERS)),
            None => Reading::Failed(format!("{path} is no collection")),
        })
    };
    list(SYSTEMS).and_then(|systems| {
        let mut modules = Vec::new();
        for system in systems.iter().take(MAX_SYSTEMS) {
            let members = match list(&format!("{}/Memory", system.trim_end_matches('/'))) {
                Reading::Known(members) => members,
                Reading::Absent => continue,
                other => return reason(&other),
            };
            for member in members {
                match ask(&member) {
                    Reading::Known(answer) => modules.extend(redfish::module(&answer)),
                    Reading::Absent => {}
                    other => return reason(&other),
                }
            }
        }
        Reading::Known(modules)
    })
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

fn add(modules: Vec<Module>, source: &str, out: &mut EvidenceBuilder) {
    let mut by_serial: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut by_locator: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in out.so_far().scope("dimm").filter(|part| !part.id.ends_with(":unread")) {
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
