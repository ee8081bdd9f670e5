//! Drives.
//!
//! Reads `/sys/block/`, the SCSI vital product data and NVMe attributes there, NVMe Identify (root only) and
//! `smartctl -j -a` where it is installed (root only). A virtual machine's disk is marked by its transport; loop, RAM and
//! device-mapper disks are no drives and left out.
//!
//! The kernel shows one disk a namespace and, without NVMe multipath, a path; of a SAS drive one a path. Those that are one
//! drive are taken together: `drive.paths` lists them, and the size is that of the first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::pci::address_in;
use super::{Collector, base_name, fill, read_text, reason, stand_in};
use crate::evidence::Kind::{Bool, Integer, List, Text};
use crate::evidence::{EvidenceBuilder, FactDef, PartBuilder, Reading, Value};
use crate::host::{Host, Query};
use crate::parse::nvme_identify;
use crate::parse::smartctl::{self, Smart};

const BLOCK: &str = "/sys/block";
/// Disks that are looked at; a full enclosure has about 100.
const MAX_DISKS: usize = 4096;
/// Programs that run at a time: a drive that spins up takes seconds, and they must not add up.
const PROGRAMS_AT_A_TIME: usize = 8;
const SECTOR_BYTES: u64 = 512;
const GIGABYTE: u64 = 1_000_000_000;

const FACTS: &[FactDef] = &[
    FactDef::new("platform.drives", Integer, "drives that the kernel shows"),
    FactDef::new("drive.model", Text, "model as the kernel has it; the SCSI layer cuts it to 16 characters"),
    FactDef::unit_id("drive.serial", "serial number (SPC-5 7.7.18 VPD page 80h, or NVMe Identify)"),
    FactDef::new("drive.firmware", Text, "firmware revision as the kernel has it"),
    FactDef::unit_id("drive.wwid", "world-wide id as the kernel prints it: naa., eui. or t10. and the id"),
    FactDef::new("drive.size_bytes", Integer, "capacity in bytes"),
    FactDef::new("drive.rotational", Bool, "whether it has spinning platters"),
    FactDef::new("drive.transport", Text, "nvme, sata, sas, usb, fc, virtio or another word of the kernel's"),
    FactDef::new("drive.pci_address", Text, "address of the PCI function that it hangs on"),
    FactDef::new("drive.paths", List, "names of all disks that are this drive"),
    FactDef::new("drive.nvme.model", Text, "model number (NVM Express Base 2.0, 5.17.2.1)"),
    FactDef::new("drive.nvme.serial", Text, "serial number (NVM Express Base 2.0, 5.17.2.1)"),
    FactDef::new("drive.nvme.firmware", Text, "firmware revision (NVM Express Base 2.0, 5.17.2.1)"),
    FactDef::new("drive.nvme.vendor_id", Text, "PCI vendor id (NVM Express Base 2.0, 5.17.2.1): 0x144d"),
    FactDef::new("drive.nvme.subsystem_vendor_id", Text, "PCI subsystem vendor id (NVM Express Base 2.0, 5.17.2.1)"),
    FactDef::new("drive.nvme.eui64", Text, "IEEE extended unique id of the namespace, hexadecimal"),
    FactDef::new("drive.nvme.nguid", Text, "globally unique id of the namespace, hexadecimal"),
    FactDef::new("drive.smart.tool_version", Text, "version of smartctl"),
    FactDef::new("drive.smart.passed", Bool, "whether the drive says that it is healthy"),
    FactDef::new("drive.smart.model", Text, "model as smartctl reads it"),
    FactDef::new("drive.smart.serial", Text, "serial number as smartctl reads it"),
    FactDef::new("drive.smart.firmware", Text, "firmware revision as smartctl reads it"),
    FactDef::new("drive.smart.power_on_hours", Integer, "hours with power"),
    FactDef::new("drive.smart.power_cycles", Integer, "times switched on"),
    FactDef::new(
        "drive.smart.percentage_used",
        Integer,
        "part of the rated endurance that is used, in percent; may exceed 100",
    ),
    FactDef::new("drive.smart.written_bytes", Integer, "bytes that the host has written; failed above 2^53"),
    FactDef::new("drive.smart.written_gigabytes", Integer, "10^9 bytes that the host has written, rounded down"),
];

pub(super) struct Storage;

struct Disk {
    name: String,
    transport: Reading<String>,
    pci_address: Reading<String>,
    model: Reading<String>,
    serial: (Reading<String>, String),
    firmware: (Reading<String>, String),
    wwid: (Reading<String>, String),
    /// Character device of an NVMe drive: `nvme0`.
    controller: Option<String>,
    /// Qualified name of the NVM subsystem that the controller belongs to.
    subsystem: Reading<String>,
    paths: Vec<String>,
}

impl Collector for Storage {
    fn id(&self) -> &'static str {
        "storage"
    }

    fn facts(&self) -> &'static [FactDef] {
        FACTS
    }

    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder) {
        let names = host.list(BLOCK);
        let mut disks: Vec<Disk> = Vec::new();
        for name in names.known().into_iter().flatten().filter(|name| may_be_drive(name)).take(MAX_DISKS) {
            let Some(disk) = Disk::read(host, name) else { continue };
            match disks.iter_mut().find(|known| known.same_drive(&disk)) {
                Some(known) => known.paths.push(disk.name),
                None => disks.push(disk),
            }
        }
        stand_in(out, "drive", FACTS, &names, BLOCK);
        let count = names.map(|_| disks.len() as u64);
        out.part("platform", "platform").fact("platform.drives", count, BLOCK);
        for (disk, smart) in disks.iter().zip(ask_smartctl(host, &disks)) {
            let mut part = out.part("drive", &format!("drive:{}", disk.name));
            disk.add(host, &mut part);
            disk.add_nvme(host, &mut part);
            disk.add_smart(smart, &mut part);
        }
    }
}

/// Leaves out what is no drive by its name, and the hidden per-controller disks of an NVMe namespace (`nvme0c0n1`).
fn may_be_drive(name: &str) -> bool {
    let virtual_disk = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "rbd", "drbd", "zd"]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_digit())));
    let hidden_path = name.strip_prefix("nvme").is_some_and(|rest| rest.contains('c'));
    !virtual_disk && !hidden_path
}

impl Disk {
    /// `None` for a disk without a device.
    fn read(host: &dyn Host, name: &str) -> Option<Self> {
        let folder = format!("{BLOCK}/{name}");
        let device = format!("{folder}/device");
        // A folder that was copied without its links has the files below `device` still.
        let device_link = host.link(&device);
        if device_link == Reading::Absent && host.list(&device) == Reading::Absent {
            return None;
        }
        let mut path = host.link(&folder).into_known().unwrap_or_default();
        let nvme = name.starts_with("nvme");
        let controller = if nvme { nvme_controller(host, &device, device_link.known()) } else { None };
        if let Some(controller) = &controller
            && address_in(&path).is_none()
        {
            path = host.link(&format!("/sys/class/nvme/{controller}")).into_known().unwrap_or_default();
        }
        // The SCSI layer gives every ATA drive this vendor, also behind a SAS adapter.
        let ata = !nvme && read_text(host, &format!("{device}/vendor")).known().is_some_and(|vendor| vendor == "ATA");
        let transport = match transport(name, &path) {
            _ if nvme => Reading::Known("nvme".to_owned()),
            Reading::Known(word) if word == "sas" && ata => Reading::Known("sata".to_owned()),
            found => found,
        };
        let (serial, firmware, wwid) = if nvme {
            ("device/serial", "device/firmware_rev", "wwid")
        } else if name.starts_with("vd") {
            ("serial", "device/rev", "device/wwid")
        } else {
            ("device/vpd_pg80", "device/rev", "device/wwid")
        };
        let file = |file: &str| (read_text(host, &format!("{folder}/{file}")), format!("{folder}/{file}"));
        let serial = match serial {
            "device/vpd_pg80" => {
                let path = format!("{folder}/{serial}");
                (host.read(&path).and_then(|page| vpd_serial(&page)), path)
            }
            other => file(other),
        };
        Some(Self {
            transport,
            pci_address: Reading::or_absent(address_in(&path).map(str::to_owned)),
            model: file("device/model").0,
            serial,
            firmware: file(firmware),
            wwid: file(wwid),
            subsystem: match &controller {
                Some(controller) => read_text(host, &format!("/sys/class/nvme/{controller}/subsysnqn")),
                None => Reading::Absent,
            },
            controller,
            paths: vec![name.to_owned()],
            name: name.to_owned(),
        })
    }

    /// Namespaces of one NVMe controller are one drive, and so are the paths to a drive with two ports: SAS, and NVMe
    /// where both controllers belong to one NVM subsystem. Two SATA disks with one serial number are two drives, one
    /// of them copied.
    fn same_drive(&self, other: &Self) -> bool {
        if self.controller.is_some() && self.controller == other.controller {
            return true;
        }
        let two_ports = match self.transport.known().map(String::as_str) {
            Some("sas") => self.transport == other.transport,
            Some("nvme") => self.subsystem.known().is_some() && self.subsystem == other.subsystem,
            _ => false,
        };
        let known = self.wwid.0.known().is_some() && self.serial.0.known().is_some();
        known && two_ports && self.wwid.0 == other.wwid.0 && self.serial.0 == other.serial.0
    }

    fn add(&self, host: &dyn Host, part: &mut PartBuilder<'_>) {
        let folder = format!("{BLOCK}/{}", self.name);
        let size = host.read(&format!("{folder}/size")).number().and_then(|sectors| {
            sectors
                .checked_mul(SECTOR_BYTES)
                .map_or_else(|| Reading::Failed("more bytes than a number holds".to_owned()), Reading::Known)
        });
        let rotational = host.read(&format!("{folder}/queue/rotational")).number().map(|it| it != 0);
        part.fact("drive.model", self.model.clone(), format!("{folder}/device/model"))
            .fact("drive.serial", self.serial.0.clone(), &*self.serial.1)
            .fact("drive.firmware", self.firmware.0.clone(), &*self.firmware.1)
            .fact("drive.wwid", self.wwid.0.clone(), &*self.wwid.1)
            .fact("drive.size_bytes", size, format!("{folder}/size"))
            .fact("drive.rotational", rotational, format!("{folder}/queue/rotational"))
            .fact("drive.transport", self.transport.clone(), &*folder)
            .fact("drive.pci_address", self.pci_address.clone(), &*folder)
            .fact("drive.paths", self.paths.clone(), BLOCK);
    }

    fn add_nvme(&self, host: &dyn Host, part: &mut PartBuilder<'_>) {
        const CONTROLLER: u8 = 1;
        const NAMESPACE: u8 = 0;
        let Some(controller) = &self.controller else {
            return fill(part, FACTS, "drive.nvme.", &Reading::Absent, BLOCK);
        };
        let identify =
            |cns, namespace| host.ask(&Query::NvmeIdentify { controller: controller.clone(), cns, namespace });
        let failed = || "not an Identify data structure".to_owned();
        let source = format!("nvme identify controller {controller}");
        let found = identify(CONTROLLER, 0).and_then(|data| {
            nvme_identify::controller(&data).map_or_else(|| Reading::Failed(failed()), Reading::Known)
        });
        let hex16 = |id: u16| format!("{id:#06x}");
        part.fact("drive.nvme.model", found.as_ref().and_then(|it| Reading::or_absent(it.model.clone())), &*source)
            .fact("drive.nvme.serial", found.as_ref().and_then(|it| Reading::or_absent(it.serial.clone())), &*source)
            .fact(
                "drive.nvme.firmware",
                found.as_ref().and_then(|it| Reading::or_absent(it.firmware.clone())),
                &*source,
            )
            .fact("drive.nvme.vendor_id", found.as_ref().map(|it| hex16(it.vendor_id)), &*source)
            .fact("drive.nvme.subsystem_vendor_id", found.map(|it| hex16(it.subsystem_vendor_id)), &*source);

        let folder = format!("{BLOCK}/{}", self.name);
        let namespace = host.read(&format!("{folder}/nsid")).number().and_then(|id| {
            u32::try_from(id).map_or_else(|_| Reading::Failed("not a namespace id".to_owned()), Reading::Known)
        });
        let found = namespace.and_then(|id| {
            identify(NAMESPACE, id).and_then(|data| {
                nvme_identify::namespace(&data).map_or_else(|| Reading::Failed(failed()), Reading::Known)
            })
        });
        let source = format!("nvme identify namespace {}", self.name);
        // The kernel has read both ids too, and shows them to everybody.
        for (fact, file, value) in [
            ("drive.nvme.eui64", "eui", found.as_ref().map(|it| it.eui64.clone())),
            ("drive.nvme.nguid", "nguid", found.as_ref().map(|it| it.nguid.clone())),
        ] {
            match value {
                Reading::Known(id) => part.fact(fact, Reading::or_absent(id), &*source),
                unread => match read_text(host, &format!("{folder}/{file}")) {
                    Reading::Known(id) => {
                        let digits = id.chars().filter(|it| !matches!(it, ' ' | '-')).collect::<String>();
                        part.fact(fact, digits.to_lowercase(), format!("{folder}/{file}"))
                    }
                    _ => part.fact(fact, reason::<_, Value>(&unread), &*source),
                },
            };
        }
    }

    fn add_smart(&self, smart: Reading<Smart>, part: &mut PartBuilder<'_>) {
        let source = format!("smartctl -j -a /dev/{}", self.name);
        let smart = match smart {
            Reading::Known(smart) => smart,
            other => return fill(part, FACTS, "drive.smart.", &reason(&other), &source),
        };
        part.fact("drive.smart.tool_version", smart.tool_version, &*source)
            .fact("drive.smart.passed", smart.passed, &*source)
            .fact("drive.smart.model", smart.model, &*source)
            .fact("drive.smart.serial", smart.serial, &*source)
            .fact("drive.smart.firmware", smart.firmware, &*source)
            .fact("drive.smart.power_on_hours", smart.power_on_hours, &*source)
            .fact("drive.smart.power_cycles", smart.power_cycles, &*source)
            .fact("drive.smart.percentage_used", smart.percentage_used, &*source)
            .fact("drive.smart.written_gigabytes", smart.written_bytes.as_ref().map(|bytes| bytes / GIGABYTE), &*source)
            .fact("drive.smart.written_bytes", smart.written_bytes, &*source);
    }
}

/// The controller of a namespace: `device` is the controller itself, or the subsystem with its controllers inside.
fn nvme_controller(host: &dyn Host, device: &str, link: Option<&String>) -> Option<String> {
    let is_controller = |name: &str| {
        name.strip_prefix("nvme").is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
    };
    match link.map(|target| base_name(target)).filter(|name| is_controller(name)) {
        Some(name) => Some(name.to_owned()),
        None => host.list(device).into_known()?.into_iter().find(|name| is_controller(name)),
    }
}

/// How a SCSI or virtio disk is attached, from the devices on its path.
fn transport(name: &str, path: &str) -> Reading<String> {
    let has = |test: &dyn Fn(&str) -> bool| path.split('/').any(test);
    let word = if name.starts_with("vd") || has(&|it| it.starts_with("virtio")) {
        "virtio"
    } else if has(&|it| it.starts_with("usb")) {
        "usb"
    } else if has(&|it| it.starts_with("end_device-")) {
        "sas"
    } else if has(&|it| it.starts_with("rport-")) {
        "fc"
    } else if has(&|it| it.starts_with("ata")) {
        "sata"
    } else if has(&|it| it.starts_with("session")) {
        "iscsi"
    } else if name.starts_with("mmcblk") {
        "mmc"
    } else if name.starts_with("pmem") {
        "pmem"
    } else if name.starts_with("sd") && path.contains("/host") {
        "scsi"
    } else {
        return Reading::Absent;
    };
    Reading::Known(word.to_owned())
}

/// Unit Serial Number VPD page (SPC-5, 7.7.18): page code 80h at 1, length at 2 (big-endian word), ASCII from 4 on.
fn vpd_serial(page: &[u8]) -> Reading<String> {
    const UNIT_SERIAL_NUMBER: u8 = 0x80;
    match page {
        [_, UNIT_SERIAL_NUMBER, high, low, text @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low])).min(text.len());
            Reading::Known(text[..length].to_vec()).text()
        }
        _ => Reading::Failed("not a unit serial number page".to_owned()),
    }
}

/// Asks smartctl about each drive, a few at a time. The answers are in the order of the drives.
fn ask_smartctl(host: &dyn Host, disks: &[Disk]) -> Vec<Reading<Smart>> {
    let next = AtomicUsize::new(0);
    let mut answers: Vec<(usize, Reading<Smart>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..PROGRAMS_AT_A_TIME.min(disks.len()))
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while let Some((index, disk)) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|it| Some((it, disks.get(it)?)))
                    {
                        answers.push((index, smart(host, disk)));
                    }
                    answers
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    answers.sort_by_key(|(index, _)| *index);
    (0..disks.len())
        .map(|index| match answers.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(found) => std::mem::replace(&mut answers[found].1, Reading::Absent),
            Err(_) => Reading::Failed("the reading thread ended".to_owned()),
        })
        .collect()
}

fn smart(host: &dyn Host, disk: &Disk) -> Reading<Smart> {
    if disk.transport.known().is_some_and(|it| it == "virtio" || it == "pmem" || it == "mmc") {
        return Reading::Unsupported;
    }
    let run = |options: &[&str]| {
        let device = format!("/dev/{}", disk.name);
        let args = ["-j", "-a"].iter().chain(options).map(|it| (*it).to_owned()).chain([device]).collect();
        host.ask(&Query::Command { program: "smartctl".to_owned(), args }).and_then(|output| smartctl::parse(&output))
    };
    match run(&[]) {
        // A bridge that smartctl does not know mostly speaks SCSI/ATA translation.
        Reading::Failed(why) if disk.transport.known().is_some_and(|it| it == "usb") => match run(&["-d", "sat"]) {
            Reading::Known(smart) => Reading::Known(smart),
            _ => Reading::Failed(why),
        },
        reading => reading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_drives() {
        for name in ["loop0", "ram1", "zram0", "dm-3", "md127", "sr0", "nvme0c1n1"] {
            assert!(!may_be_drive(name), "{name}");
        }
        for name in ["sda", "nvme0n1", "vda", "mmcblk0", "pmem0"] {
            assert!(may_be_drive(name), "{name}");
        }
    }

    #[test]
    fn unit_serial_number_page() {
        assert_eq!(vpd_serial(b"\0\x80\0\x0a  ZA1234AB"), Reading::Known("ZA1234AB".to_owned()));
        assert_eq!(vpd_serial(b"\0\x80\xff\xffZA"), Reading::Known("ZA".to_owned()));
        assert!(matches!(vpd_serial(b"\0\x83\0\0"), Reading::Failed(_)));
        assert!(matches!(vpd_serial(b""), Reading::Failed(_)));
    }
}
