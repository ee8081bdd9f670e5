//! Processors, one part a package.
//!
//! Reads CPUID on the first CPU of each package, the topology in `/sys/devices/system/cpu/`, `/proc/cpuinfo`, and SMBIOS
//! type 4 (root only). The PPIN needs root and a kernel that exports it (`topology/ppin`, Linux 5.18), or else the kernel's
//! msr module.
//!
//! SMBIOS numbers sockets in its own way: the populated ones are matched to the packages in order.

use std::collections::BTreeMap;

use super::{Collector, SMBIOS_TABLE, cpu_list, fill, read_text, reason, smbios_source, smbios_table, smbios_whole};
use crate::evidence::Kind::{Bool, Integer, Text};
use crate::evidence::{EvidenceBuilder, FactDef, PartBuilder, Reading};
use crate::host::{Host, Query};
use crate::parse::cpuid::Dump;
use crate::parse::cpuinfo;
use crate::parse::smbios::Inventory;

const ONLINE: &str = "/sys/devices/system/cpu/online";
const CPUINFO: &str = "/proc/cpuinfo";
const SOCKETS: &str = "platform.cpu.smbios_sockets";
/// Packages that are looked at. The largest machines have 16 or 32.
const MAX_PACKAGES: usize = 256;

const FACTS: &[FactDef] = &[
    FactDef::new(
        "platform.hypervisor.present",
        Bool,
        "whether CPUID says that a hypervisor is there (leaf 1, ECX bit 31)",
    ),
    FactDef::new("platform.hypervisor.vendor", Text, "vendor text of the hypervisor (CPUID leaf 40000000h)"),
    FactDef::new("platform.cpu.packages", Integer, "processor packages that the kernel runs on"),
    FactDef::new("platform.cpu.smbios_sockets", Integer, "sockets that SMBIOS calls populated (DSP0134, 7.5)"),
    FactDef::new("cpu.cpuid.vendor", Text, "vendor text (CPUID leaf 0)"),
    FactDef::new("cpu.cpuid.brand", Text, "brand text (CPUID leaves 80000002h to 80000004h)"),
    FactDef::new("cpu.cpuid.family", Integer, "display family (CPUID leaf 1)"),
    FactDef::new("cpu.cpuid.model", Integer, "display model (CPUID leaf 1)"),
    FactDef::new("cpu.cpuid.stepping", Integer, "stepping (CPUID leaf 1)"),
    FactDef::new("cpu.cpuid.signature", Text, "display family, model and stepping in decimal: 6-143-8"),
    FactDef::new("cpu.cpuid.signature_eax", Text, "EAX of CPUID leaf 1: 0x000806f8"),
    FactDef::new("cpu.cpuid.hypervisor", Bool, "whether this package's CPUID says that a hypervisor is there"),
    FactDef::new("cpu.procfs.vendor", Text, "vendor text in /proc/cpuinfo"),
    FactDef::new("cpu.procfs.brand", Text, "brand text in /proc/cpuinfo"),
    FactDef::new("cpu.procfs.family", Integer, "display family in /proc/cpuinfo"),
    FactDef::new("cpu.procfs.model", Integer, "display model in /proc/cpuinfo"),
    FactDef::new("cpu.procfs.stepping", Integer, "stepping in /proc/cpuinfo"),
    FactDef::new("cpu.procfs.signature", Text, "display family, model and stepping in /proc/cpuinfo: 6-143-8"),
    FactDef::new("cpu.procfs.microcode", Text, "microcode revision in /proc/cpuinfo: 0x2b000603"),
    FactDef::new("cpu.procfs.hypervisor", Bool, "whether the flags in /proc/cpuinfo say that a hypervisor is there"),
    FactDef::new("cpu.sysfs.cores", Integer, "cores of the package with a CPU online"),
    FactDef::new("cpu.sysfs.threads", Integer, "logical CPUs of the package online"),
    FactDef::unit_id("cpu.sysfs.ppin", "Protected Processor Inventory Number (Intel MSR 4Fh, AMD MSR C00102F1h)"),
    FactDef::unit_id(
        "cpu.msr.ppin",
        "Protected Processor Inventory Number, read from the register where sysfs has none",
    ),
    FactDef::new("cpu.smbios.socket", Text, "socket designation (DSP0134, 7.5)"),
    FactDef::new("cpu.smbios.manufacturer", Text, "maker (DSP0134, 7.5)"),
    FactDef::new("cpu.smbios.version", Text, "version: the brand text, sometimes shortened (DSP0134, 7.5)"),
    FactDef::new(
        "cpu.smbios.signature",
        Text,
        "display family, model and stepping of the Processor ID (DSP0134, 7.5.3): 6-143-8",
    ),
    FactDef::new("cpu.smbios.core_count", Integer, "cores (DSP0134, 7.5.6)"),
    FactDef::new("cpu.smbios.thread_count", Integer, "threads (DSP0134, 7.5.8)"),
    FactDef::unit_id("cpu.smbios.serial", "serial number (DSP0134, 7.5)"),
    FactDef::new("cpu.smbios.part_number", Text, "part number (DSP0134, 7.5)"),
    FactDef::new("cpu.smbios.max_speed_mhz", Integer, "highest speed that the socket supports, in MHz (DSP0134, 7.5)"),
];

pub(super) struct Cpu;

/// A package as the kernel's topology shows it.
struct Package {
    number: u32,
    first_cpu: u32,
    threads: Reading<u64>,
    cores: Reading<u64>,
}

impl Collector for Cpu {
    fn id(&self) -> &'static str {
        "cpu"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        let cpuinfo = read_cpuinfo(host);
        let topology = packages(host);
        out.part("platform", "platform").fact(
            "platform.cpu.packages",
            topology.as_ref().map(|packages| packages.len() as u64),
            ONLINE,
        );
        let packages = match topology {
            Reading::Known(packages) => packages,
            // Every machine has a processor, and this one's may be told by the other sources.
            other => packages_of_cpuinfo(&cpuinfo, &reason(&other)),
        };
        for (index, package) in packages.iter().enumerate() {
            let dump = host.ask(&Query::Cpuid { cpu: package.first_cpu }).and_then(|bytes| match Dump::parse(&bytes) {
                Some(dump) => Reading::Known(dump),
                None => Reading::Failed("not CPUID records".to_owned()),
            });
            if index == 0 {
                hypervisor(&dump, &cpuinfo, &mut out.part("platform", "platform"));
            }
            let mut part = out.part("cpu", &format!("cpu:{}", package.number));
            from_cpuid(&dump, package.first_cpu, &mut part);
            from_procfs(&cpuinfo, package.number, &mut part);
            let vendor = dump.known().and_then(Dump::vendor);
            from_sysfs(host, package, vendor.as_deref(), &mut part);
        }
        let packages: Vec<u32> = packages.iter().map(|package| package.number).collect();
        match smbios_table(host) {
            Reading::Known(inventory) => from_smbios(&inventory, &packages, out),
            other => {
                let why = reason(&other);
                fill(&mut out.part("platform", "platform"), FACTS, SOCKETS, &why, SMBIOS_TABLE);
                for package in packages {
                    fill(&mut out.part("cpu", &format!("cpu:{package}")), FACTS, "cpu.smbios.", &why, SMBIOS_TABLE);
                }
            }
        }
    }
}

/// The block of the first CPU of each package, as text so that it outlives the file.
fn read_cpuinfo(host: &dyn Host) -> Reading<BTreeMap<u32, Procfs>> {
    host.read(CPUINFO).and_then(|bytes| cpuinfo_packages(&String::from_utf8_lossy(&bytes)))
}

fn cpuinfo_packages(text: &str) -> Reading<BTreeMap<u32, Procfs>> {
    let mut packages = BTreeMap::new();
    for block in cpuinfo::parse_first_of_each_package(text) {
        packages.entry(block.package.unwrap_or(0)).or_insert_with(|| Procfs::from(&block));
    }
    if packages.is_empty() { Reading::Failed("no processor in it".to_owned()) } else { Reading::Known(packages) }
}

struct Procfs {
    first_cpu: u32,
    vendor: Option<String>,
    brand: Option<String>,
    family: Option<u32>,
    model: Option<u32>,
    stepping: Option<u32>,
    microcode: Option<String>,
    hypervisor: Option<bool>,
}

impl From<&cpuinfo::Processor<'_>> for Procfs {
    fn from(block: &cpuinfo::Processor<'_>) -> Self {
        let text =
            |text: Option<&str>| text.filter(|text| text.len() <= crate::evidence::MAX_TEXT_BYTES).map(str::to_owned);
        Self {
            first_cpu: block.number.unwrap_or(0),
            vendor: text(block.vendor),
            brand: text(block.brand),
            family: block.family,
            model: block.model,
            stepping: block.stepping,
            microcode: text(block.microcode),
            hypervisor: block.hypervisor,
        }
    }
}

/// Packages in the order of their numbers, from one topology file a package and one a core.
fn packages(host: &dyn Host) -> Reading<Vec<Package>> {
    let online = read_text(host, ONLINE).and_then(|text| match cpu_list(&text) {
        Some(cpus) if !cpus.is_empty() => Reading::Known(cpus),
        _ => Reading::Failed("not a list of CPUs".to_owned()),
    });
    online.and_then(|online| {
        let mut packages: Vec<Package> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for &cpu in &online {
            if seen.contains(&cpu) {
                continue;
            }
            if packages.len() == MAX_PACKAGES {
                return Reading::Failed(format!("more than {MAX_PACKAGES} packages"));
            }
            let number = topology_file(host, cpu, &["physical_package_id"]).and_then(|text| {
                // A kernel without this knowledge prints -1.
                text.parse().map_or_else(|_| Reading::Unsupported, Reading::Known)
            });
            let number: u32 = match number {
                Reading::Known(number) => number,
                other => return reason(&other),
            };
            let siblings = siblings(host, cpu, &["package_cpus_list", "core_siblings_list"]);
            seen.insert(cpu);
            seen.extend(siblings.known().into_iter().flatten());
            if packages.iter().any(|package| package.number == number) {
                continue;
            }
            let threads = siblings.as_ref().map(|siblings| siblings.len() as u64);
            let cores = siblings.and_then(|siblings| cores(host, &siblings));
            packages.push(Package { number, first_cpu: cpu, threads, cores });
        }
        packages.sort_by_key(|package| package.number);
        Reading::Known(packages)
    })
}

fn topology_file(host: &dyn Host, cpu: u32, names: &[&str]) -> Reading<String> {
    let mut last = Reading::Absent;
    for name in names {
        last = read_text(host, &format!("/sys/devices/system/cpu/cpu{cpu}/topology/{name}"));
        if last != Reading::Absent {
            break;
        }
    }
    last
}

fn siblings(host: &dyn Host, cpu: u32, names: &[&str]) -> Reading<Vec<u32>> {
    topology_file(host, cpu, names).and_then(|text| match cpu_list(&text) {
        Some(cpus) => Reading::Known(cpus),
        None => Reading::Failed("not a list of CPUs".to_owned()),
    })
}

/// Counts the cores among the CPUs of a package. Cores may have unequal numbers of threads.
fn cores(host: &dyn Host, cpus: &[u32]) -> Reading<u64> {
    let mut seen = std::collections::BTreeSet::new();
    let mut cores = 0;
    for &cpu in cpus {
        if seen.contains(&cpu) {
            continue;
        }
        match siblings(host, cpu, &["core_cpus_list", "thread_siblings_list"]) {
            Reading::Known(threads) => seen.extend(threads),
            other => return reason(&other),
        }
        cores += 1;
    }
    Reading::Known(cores)
}

fn packages_of_cpuinfo(cpuinfo: &Reading<BTreeMap<u32, Procfs>>, why: &Reading<u64>) -> Vec<Package> {
    let package = |number, first_cpu| Package { number, first_cpu, threads: why.clone(), cores: why.clone() };
    match cpuinfo {
        Reading::Known(packages) => {
            packages.iter().take(MAX_PACKAGES).map(|(&number, block)| package(number, block.first_cpu)).collect()
        }
        _ => vec![package(0, 0)],
    }
}

fn hypervisor(dump: &Reading<Dump>, cpuinfo: &Reading<BTreeMap<u32, Procfs>>, part: &mut PartBuilder<'_>) {
    let from_cpuid = dump.as_ref().and_then(|dump| Reading::or_absent(dump.hypervisor()));
    let from_flags =
        cpuinfo.as_ref().and_then(|packages| Reading::or_absent(packages.values().find_map(|block| block.hypervisor)));
    let (present, source) = match (from_cpuid, from_flags) {
        (Reading::Known(present), _) => (Reading::Known(present), "cpuid 0x00000001 ecx"),
        (_, Reading::Known(present)) => (Reading::Known(present), CPUINFO),
        (unread, _) => (unread, "cpuid 0x00000001 ecx"),
    };
    let vendor = match (&present, dump) {
        (Reading::Known(false), _) => Reading::Absent,
        (_, Reading::Known(dump)) => Reading::or_absent(dump.hypervisor_vendor()),
        (_, unread) => reason(unread),
    };
    part.fact("platform.hypervisor.present", present, source);
    part.fact("platform.hypervisor.vendor", vendor, "cpuid 0x40000000");
}

fn from_cpuid(dump: &Reading<Dump>, cpu: u32, part: &mut PartBuilder<'_>) {
    let source = |leaf: &str| format!("cpuid {leaf} cpu {cpu}");
    let signature = dump.as_ref().and_then(|dump| Reading::or_absent(dump.signature()));
    part.fact("cpu.cpuid.vendor", dump.as_ref().and_then(|it| Reading::or_absent(it.vendor())), source("0x00000000"))
        .fact("cpu.cpuid.brand", dump.as_ref().and_then(|it| Reading::or_absent(it.brand())), source("0x80000002"))
        .fact("cpu.cpuid.family", signature.as_ref().map(|it| u64::from(it.family)), source("0x00000001"))
        .fact("cpu.cpuid.model", signature.as_ref().map(|it| u64::from(it.model)), source("0x00000001"))
        .fact("cpu.cpuid.stepping", signature.as_ref().map(|it| u64::from(it.stepping)), source("0x00000001"))
        .fact("cpu.cpuid.signature", signature.as_ref().map(|it| it.to_string()), source("0x00000001"))
        .fact("cpu.cpuid.signature_eax", signature.map(|it| format!("{:#010x}", it.eax)), source("0x00000001"))
        .fact(
            "cpu.cpuid.hypervisor",
            dump.as_ref().and_then(|it| Reading::or_absent(it.hypervisor())),
            source("0x00000001"),
        );
}

fn from_procfs(cpuinfo: &Reading<BTreeMap<u32, Procfs>>, package: u32, part: &mut PartBuilder<'_>) {
    let block = match cpuinfo {
        Reading::Known(packages) => match packages.get(&package) {
            Some(block) => block,
            None => return fill(part, FACTS, "cpu.procfs.", &Reading::Absent, CPUINFO),
        },
        other => return fill(part, FACTS, "cpu.procfs.", &reason(other), CPUINFO),
    };
    let signature = match (block.family, block.model, block.stepping) {
        (Some(family), Some(model), Some(stepping)) => Some(format!("{family}-{model}-{stepping}")),
        _ => None,
    };
    part.fact("cpu.procfs.vendor", block.vendor.clone(), CPUINFO)
        .fact("cpu.procfs.brand", block.brand.clone(), CPUINFO)
        .fact("cpu.procfs.family", block.family.map(u64::from), CPUINFO)
        .fact("cpu.procfs.model", block.model.map(u64::from), CPUINFO)
        .fact("cpu.procfs.stepping", block.stepping.map(u64::from), CPUINFO)
        .fact("cpu.procfs.signature", signature, CPUINFO)
        .fact("cpu.procfs.microcode", block.microcode.clone(), CPUINFO)
        .fact("cpu.procfs.hypervisor", block.hypervisor, CPUINFO);
}

fn from_sysfs(host: &dyn Host, package: &Package, vendor: Option<&str>, part: &mut PartBuilder<'_>) {
    let folder = format!("/sys/devices/system/cpu/cpu{}/topology", package.first_cpu);
    // The kernel shows the file to everybody and its content to root.
    let ppin = read_text(host, &format!("{folder}/ppin"));
    let register = match vendor {
        _ if ppin.known().is_some() => None,
        Some("GenuineIntel") => Some(0x4f),
        Some("AuthenticAMD" | "HygonGenuine") => Some(0xc001_02f1),
        _ => None,
    };
    let from_register = match register {
        Some(register) => host.ask(&Query::Msr { cpu: package.first_cpu, register }).and_then(|bytes| {
            match <[u8; 8]>::try_from(&*bytes).map(u64::from_le_bytes) {
                Ok(0) => Reading::Absent,
                Ok(number) => Reading::Known(format!("{number:#x}")),
                Err(_) => Reading::Failed("not 8 bytes".to_owned()),
            }
        }),
        None => Reading::Absent,
    };
    part.fact("cpu.msr.ppin", from_register, format!("msr {:#x} cpu {}", register.unwrap_or(0), package.first_cpu));
    part.fact("cpu.sysfs.threads", package.threads.clone(), format!("{folder}/package_cpus_list"))
        .fact("cpu.sysfs.cores", package.cores.clone(), format!("{folder}/core_cpus_list"))
        .fact("cpu.sysfs.ppin", ppin, format!("{folder}/ppin"));
}

/// What SMBIOS type 4 says, where nothing else tells of the packages: each populated socket is one, in order.
pub(super) fn from_inventory(inventory: &Inventory, out: &mut EvidenceBuilder) {
    let packages: Vec<u32> = (0u32..).zip(inventory.populated_sockets()).map(|(number, _)| number).collect();
    from_smbios(inventory, &packages, out);
}

fn from_smbios(inventory: &Inventory, packages: &[u32], out: &mut EvidenceBuilder) {
    let count = match inventory.populated_sockets().count() as u64 {
        0 if inventory.processors.is_empty() && inventory.printed_by.is_some() => Reading::Absent,
        count => Reading::Known(count),
    };
    let whole = smbios_whole(inventory);
    out.part("platform", "platform").fact(SOCKETS, inventory.whole(count), whole);
    let mut sockets = inventory.populated_sockets();
    for package in packages {
        let mut part = out.part("cpu", &format!("cpu:{package}"));
        if let Some(socket) = sockets.next() {
            let source = smbios_source(inventory, 4, socket.handle);
            let signature = socket.signature.as_ref().map(|it| it.to_string());
            part.fact("cpu.smbios.socket", socket.socket.clone(), &*source)
                .fact("cpu.smbios.manufacturer", socket.manufacturer.clone(), &*source)
                .fact("cpu.smbios.version", socket.version.clone(), &*source)
                .fact("cpu.smbios.signature", signature, &*source)
                .fact("cpu.smbios.core_count", socket.core_count.clone(), &*source)
                .fact("cpu.smbios.thread_count", socket.thread_count.clone(), &*source)
                .fact("cpu.smbios.serial", socket.serial.clone(), &*source)
                .fact("cpu.smbios.part_number", socket.part_number.clone(), &*source)
                .fact("cpu.smbios.max_speed_mhz", socket.max_speed_mhz.clone(), &*source);
        }
        fill(&mut part, FACTS, "cpu.smbios.", &inventory.missing(), whole);
    }
}

/// `cpu.procfs.*` of a `/proc/cpuinfo` that somebody sent: each package in order. Whether there is a hypervisor comes along.
pub(crate) fn add_cpuinfo(text: &str, out: &mut EvidenceBuilder) {
    let cpuinfo = cpuinfo_packages(text);
    let Some(packages) = cpuinfo.known() else { return };
    let unseen = Reading::Unsupported;
    hypervisor(&unseen, &cpuinfo, &mut out.part("platform", "platform"));
    for (index, &package) in packages.keys().enumerate() {
        from_procfs(&cpuinfo, package, &mut out.part("cpu", &format!("cpu:{index}")));
    }
}

/// `cpu.cpuid.*` of one package, from the records of its first CPU; see [`Dump`].
pub(crate) fn add_cpuid(package: usize, dump: Dump, out: &mut EvidenceBuilder) {
    let dump = Reading::Known(dump);
    if package == 0 {
        hypervisor(&dump, &Reading::Unsupported, &mut out.part("platform", "platform"));
    }
    from_cpuid(&dump, 0, &mut out.part("cpu", &format!("cpu:{package}")));
}
