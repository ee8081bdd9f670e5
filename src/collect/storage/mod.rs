//! Drives.
//!
//! Reads `/sys/block/`, the SCSI vital product data and NVMe attributes there, NVMe Identify and log pages (root only), and
//! `smartctl -j -x` where it is installed (root only); with smartctl 7.4 or newer the FARM log of Seagate drives, and the
//! drives that a RAID controller hides. A virtual machine's disk is marked by its transport; loop, RAM and device-mapper
//! disks are no drives and left out.
//!
//! The kernel shows one disk a namespace and, without NVMe multipath, a path; of a SAS drive one a path. Those that are one
//! drive are taken together: `drive.paths` lists them, and the size is that of the first. An NVMe controller without a
//! namespace shows no disk, and is a drive all the same.

mod facts;
mod nvme;
mod smart;

use super::pci::address_in;
use super::{Collector, base_name, fill, read_text, reason, stand_in};
use crate::evidence::{EvidenceBuilder, FactDef, PartBuilder, Reading, Value};
use crate::host::Host;
use crate::parse::drive_report::DriveReport;
use facts::FACTS;
use smart::{Answer, Target};

const BLOCK: &str = "/sys/block";
/// Disks that are looked at; a full enclosure has about 100.
const MAX_DISKS: usize = 4096;
const SECTOR_BYTES: u64 = 512;
/// Facts that the drive counts itself.
const COUNTED: [&str; 5] = ["drive.smart.", "drive.statistics.", "drive.selftest.", "drive.error_log.", "drive.farm."];

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
        let controllers = lone_controllers(host, &disks);
        let hidden = if disks.is_empty() && controllers.is_empty() { Vec::new() } else { smart::hidden(host) };
        let targets: Vec<Target> = disks
            .iter()
            .map(|disk| disk.target())
            .chain(controllers.iter().map(|name| nvme_target(name)))
            .chain(hidden.iter().cloned())
            .collect();
        let mut answers = smart::ask(host, &targets).into_iter();
        for (disk, answer) in disks.iter().zip(&mut answers) {
            let mut part = out.part("drive", &format!("drive:{}", disk.name));
            disk.add(host, &mut part);
            match &disk.controller {
                Some(controller) => {
                    nvme::add_controller(host, controller, &mut part);
                    nvme::add_namespace(host, controller, &disk.name, &mut part);
                }
                None => nvme::absent(&mut part),
            }
            add_counted(host, disk.controller.as_deref(), answer, &mut part);
        }
        for (controller, answer) in controllers.iter().zip(&mut answers) {
            let mut part = out.part("drive", &format!("drive:{controller}"));
            add_lone_controller(host, controller, &mut part);
            add_counted(host, Some(controller), answer, &mut part);
        }
        for (target, answer) in hidden.iter().zip(&mut answers) {
            add_hidden(target, answer, out);
        }
    }
}

/// Adds what the drive counts: an NVMe drive's own log pages first, then what smartctl says.
fn add_counted(host: &dyn Host, controller: Option<&str>, answer: Answer, part: &mut PartBuilder<'_>) {
    let mut unread = Vec::new();
    if let Some(controller) = controller {
        const SELF_TESTS: [&str; 3] = ["drive.selftest.count", "drive.selftest.max_hours", "drive.selftest.hours"];
        for (facts, (report, source)) in
            [(&nvme::HEALTH[..], nvme::health(host, controller)), (&SELF_TESTS[..], nvme::self_tests(host, controller))]
        {
            match report {
                Reading::Known(report) => add_report(report, &source, part),
                other => unread.push((facts, reason::<_, Value>(&other), source)),
            }
        }
    }
    let Answer { report, source, farm } = answer;
    match report {
        Reading::Known(report) => {
            add_report(report, &source, part);
            fill(part, FACTS, "drive.farm.", &farm.0, &farm.1);
            // What it did not print, the drive does not count.
            COUNTED.iter().for_each(|prefix| fill(part, FACTS, prefix, &Reading::Absent, &source));
        }
        other => {
            // smartctl that is not installed says nothing about a drive whose own answer was refused.
            if matches!(other, Reading::Absent | Reading::Unsupported) {
                for (facts, why, source) in unread {
                    for fact in facts {
                        part.fact(fact, why.clone(), &*source);
                    }
                }
            }
            COUNTED.iter().for_each(|prefix| fill(part, FACTS, prefix, &reason(&other), &source));
        }
    }
}

/// Adds all facts of a report that the part does not have yet.
fn add_report(report: DriveReport, source: &str, part: &mut PartBuilder<'_>) {
    for (path, reading) in report.into_facts() {
        part.fact(path, reading, source);
    }
}

/// NVMe controllers that no disk belongs to: they have no namespace. Further controllers of a subsystem that has a disk are
/// paths to it.
fn lone_controllers(host: &dyn Host, disks: &[Disk]) -> Vec<String> {
    let names = host.list(nvme::CLASS).into_known().unwrap_or_default();
    let lone = |name: &String| {
        let subsystem = read_text(host, &format!("{}/{name}/subsysnqn", nvme::CLASS));
        nvme::is_controller(name)
            && disks.iter().all(|disk| disk.controller.as_ref() != Some(name))
            && (subsystem.known().is_none() || disks.iter().all(|disk| disk.subsystem != subsystem))
    };
    names.into_iter().take(MAX_DISKS).filter(lone).collect()
}

fn nvme_target(name: &str) -> Target {
    Target { path: format!("/dev/{name}"), kind: None, transport: Some("nvme".to_owned()) }
}

fn add_lone_controller(host: &dyn Host, controller: &str, part: &mut PartBuilder<'_>) {
    let folder = format!("{}/{controller}", nvme::CLASS);
    let path = host.link(&folder).into_known().unwrap_or_default();
    for (fact, file) in [("drive.model", "model"), ("drive.serial", "serial"), ("drive.firmware", "firmware_rev")] {
        part.fact(fact, read_text(host, &format!("{folder}/{file}")), format!("{folder}/{file}"));
    }
    part.fact("drive.transport", "nvme", &*folder)
        .fact("drive.pci_address", address_in(&path).map(str::to_owned), &*folder)
        .fact("drive.paths", Vec::<String>::new(), BLOCK);
    nvme::add_controller(host, controller, part);
    fill(part, FACTS, "drive.nvme.", &Reading::Absent, &folder);
    for fact in ["drive.wwid", "drive.size_bytes", "drive.rotational"] {
        part.fact(fact, Reading::<Value>::Absent, &*folder);
    }
}

/// A drive behind a RAID controller, of which only smartctl knows. One that it cannot open is left out: the list of what to
/// ask has entries for empty bays.
fn add_hidden(target: &Target, answer: Answer, out: &mut EvidenceBuilder) {
    let (Some(kind), Reading::Known(mut report)) = (&target.kind, answer.report) else { return };
    report.add_identity();
    let name = kind.split('+').find(|it| it.contains(',')).unwrap_or(kind);
    let mut part = out.part("drive", &format!("drive:{name}"));
    add_report(report, &answer.source, &mut part);
    fill(&mut part, FACTS, "drive.farm.", &answer.farm.0, &answer.farm.1);
    for fact in FACTS.iter().filter(|it| it.path.starts_with("drive.") && !it.path.starts_with("drive.claim.")) {
        part.fact(fact.path, Reading::<Value>::Absent, &*answer.source);
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

    fn target(&self) -> Target {
        let transport = self.transport.known().cloned();
        Target { path: format!("/dev/{}", self.name), kind: None, transport }
    }
}

/// The controller of a namespace: `device` is the controller itself, or the subsystem with its controllers inside.
fn nvme_controller(host: &dyn Host, device: &str, link: Option<&String>) -> Option<String> {
    match link.map(|target| base_name(target)).filter(|name| nvme::is_controller(name)) {
        Some(name) => Some(name.to_owned()),
        None => host.list(device).into_known()?.into_iter().find(|name| nvme::is_controller(name)),
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
