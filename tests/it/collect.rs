//! Tests of `collect`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use yanji::attest::drift::drift;
use yanji::attest::identity;
use yanji::collect::{COLLECTORS, collect};
use yanji::evidence::{Evidence, FactDef, Origin, Part, Reading};
use yanji::host::{
    ArchiveError, BrokenHost, Capture, Host, LiveHost, MAX_FILE_BYTES, Query, RecordedHost, RecordingHost,
};
use yanji::rule::Signatures;

use crate::support::{CpuidRecords, Dimm, Drive, Lanes, Nic, NvidiaDriver, PciFunction, RecordedMachine};

/// A corpus folder, or `None` with a visible note.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")).join(name);
    if !folder.is_dir() {
        println!("skipped: no corpus {name}");
        return None;
    }
    Some(folder)
}

/// The rows of a corpus manifest by column name.
pub fn manifest(folder: &std::path::Path) -> Vec<BTreeMap<String, String>> {
    let text = String::from_utf8_lossy(&fs::read(folder.join("MANIFEST.tsv")).unwrap()).into_owned();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| {
            names.iter().zip(line.split('\t')).map(|(name, cell)| (name.to_string(), cell.to_owned())).collect()
        })
        .collect()
}

/// Every fact is declared by its collector, with the kind and the scope that it has.
pub fn assert_declared(evidence: &Evidence) {
    let declared: BTreeMap<&str, &FactDef> =
        COLLECTORS.iter().flat_map(|collector| collector.facts()).map(|fact| (fact.path, fact)).collect();
    for part in &evidence.parts {
        for (path, fact) in &part.facts {
            let def = declared.get(path.as_str()).unwrap_or_else(|| panic!("{path} of {} is not declared", part.id));
            assert_eq!(path.as_str().split('.').next(), Some(part.scope.as_str()), "{path} of {}", part.id);
            assert!(!fact.source.is_empty(), "{path} has no source");
            if let Reading::Known(value) = &fact.reading {
                assert_eq!(value.kind(), def.kind, "{path} = {value}");
            }
        }
    }
}

/// The readings of a part's facts as text, to be compared in one go.
fn show(evidence: &Evidence, part: &str, paths: &[&str]) -> Vec<String> {
    let part = evidence.part(part).unwrap_or_else(|| panic!("no part {part}"));
    paths
        .iter()
        .map(|path| match part.reading(path) {
            Some(Reading::Known(value)) => value.to_string(),
            Some(other) => other.state().to_owned(),
            None => "no fact".to_owned(),
        })
        .collect()
}

fn ids(evidence: &Evidence, scope: &str) -> Vec<String> {
    evidence.scope(scope).map(|part| part.id.clone()).collect()
}

/// A machine of which only the SMBIOS table is there.
fn smbios_only(table: Vec<u8>, entry_point: Option<Vec<u8>>) -> Evidence {
    let mut capture = Capture::default();
    capture.insert("/sys/firmware/dmi/tables/DMI", table);
    if let Some(entry_point) = entry_point {
        capture.insert("/sys/firmware/dmi/tables/smbios_entry_point", entry_point);
    }
    let evidence = collect(&RecordedHost::from(capture));
    assert_declared(&evidence);
    evidence
}

#[test]
fn declarations_are_unique_and_explained() {
    let mut seen = std::collections::BTreeSet::new();
    for fact in COLLECTORS.iter().flat_map(|collector| collector.facts()) {
        assert!(seen.insert(fact.path), "{} is declared twice", fact.path);
        assert!(!fact.about.is_empty() && !fact.about.ends_with('.'), "{}", fact.path);
    }
}

#[test]
fn healthy_server() {
    let evidence = collect(&RecordedMachine::server().host());
    assert_declared(&evidence);
    for part in &evidence.parts {
        for (path, fact) in &part.facts {
            assert!(!matches!(fact.reading, Reading::Failed(_) | Reading::Denied), "{} {path} {fact:?}", part.id);
        }
    }
    assert_eq!(
        show(
            &evidence,
            "platform",
            &[
                "platform.smbios.version",
                "platform.smbios.damaged",
                "platform.smbios.system_product",
                "platform.smbios.system_serial",
                "platform.smbios.system_uuid",
                "platform.dmi.system_uuid",
                "platform.hypervisor.present",
                "platform.hypervisor.vendor",
                "platform.cpu.packages",
                "platform.cpu.smbios_sockets",
                "platform.pci_functions",
                "platform.drives",
                "platform.nics",
                "platform.nvme_unbound",
            ]
        ),
        [
            "3.5.0",
            "false",
            "SYS-421GE-TNRT",
            "S483921X3A01234",
            "002e1c80-a531-11ee-8000-3cecef010203",
            "002e1c80-a531-11ee-8000-3cecef010203",
            "false",
            "absent",
            "2",
            "2",
            "7",
            "1",
            "1",
            "",
        ]
    );
    assert_eq!(show(&evidence, "chassis:0", &["chassis.kind"]), ["Rack Mount Chassis"]);
    assert_eq!(show(&evidence, "psu:1", &["psu.serial", "psu.max_watts"]), ["P2K8ACM30CT1208", "2000"]);
    assert_eq!(ids(&evidence, "cpu"), ["cpu:0", "cpu:1"]);
    assert_eq!(
        show(
            &evidence,
            "cpu:1",
            &[
                "cpu.cpuid.brand",
                "cpu.cpuid.signature",
                "cpu.cpuid.signature_eax",
                "cpu.procfs.signature",
                "cpu.procfs.microcode",
                "cpu.sysfs.cores",
                "cpu.sysfs.threads",
                "cpu.sysfs.ppin",
                "cpu.smbios.socket",
                "cpu.smbios.signature",
                "cpu.smbios.core_count",
                "cpu.smbios.thread_count",
            ]
        ),
        [
            "Intel(R) Xeon(R) Platinum 8480+",
            "6-143-8",
            "0x000806f8",
            "6-143-8",
            "0x2b000603",
            "56",
            "112",
            "0x8b1d66c204a37716",
            "CPU2",
            "6-143-8",
            "56",
            "112",
        ]
    );
    assert_eq!(
        show(
            &evidence,
            "memory",
            &[
                "memory.smbios.installed_bytes",
                "memory.smbios.mapped_bytes",
                "memory.smbios.slots",
                "memory.smbios.populated",
                "memory.smbios.error_correction",
                "memory.edac.total_bytes",
                "memory.edac.corrected_errors",
                "memory.blocks.total_bytes",
            ]
        ),
        ["1099511627776", "1099511627776", "32", "16", "multi-bit ECC", "1099511627776", "0", "1099511627776"]
    );
    assert_eq!(ids(&evidence, "dimm").len(), 16);
    assert_eq!(
        show(
            &evidence,
            "dimm:P2-DIMMA1",
            &[
                "dimm.smbios.size_bytes",
                "dimm.smbios.type",
                "dimm.smbios.form_factor",
                "dimm.smbios.speed_mts",
                "dimm.smbios.ranks"
            ]
        ),
        ["68719476736", "DDR5", "DIMM", "4800", "2"]
    );
    assert_eq!(ids(&evidence, "gpu"), ["gpu:0000:16:00.0"]);
    assert_eq!(
        show(
            &evidence,
            "gpu:0000:16:00.0",
            &[
                "gpu.pci.vendor_id",
                "gpu.pci.device_id",
                "gpu.pci.subsystem_device_id",
                "gpu.pci.class",
                "gpu.pci.revision",
                "gpu.pci.vendor_name",
                "gpu.pci.bar_bytes",
                "gpu.pci.rebar_current_bytes",
                "gpu.pci.link.max_width",
                "gpu.pci.link.current_speed_mts",
                "gpu.pci.port.max_speed_mts",
                "gpu.pci.slot",
                "gpu.pci.driver",
                "gpu.pci.serial_number",
                "gpu.pci.numa_node",
            ]
        ),
        [
            "0x10de",
            "0x2331",
            "0x1626",
            "0x030200",
            "0xa1",
            "NVIDIA Corporation",
            "16777216, 137438953472, 33554432",
            "137438953472",
            "16",
            "32000",
            "32000",
            "3",
            "nvidia",
            "48-b0-2d-12-34-56-00-01",
            "0",
        ]
    );
    assert_eq!(
        show(
            &evidence,
            "drive:nvme0n1",
            &[
                "drive.model",
                "drive.serial",
                "drive.wwid",
                "drive.size_bytes",
                "drive.transport",
                "drive.pci_address",
                "drive.nvme.serial",
                "drive.nvme.vendor_id",
                "drive.nvme.nguid",
                "drive.nvme.eui64",
                "drive.smart.tool_version",
                "drive.smart.passed",
                "drive.smart.power_on_hours",
                "drive.smart.written_bytes",
            ]
        ),
        [
            "SAMSUNG MZQL23T8HCLS-00A07",
            "S64HNT0W301234",
            "eui.36344830573012340025384100000001",
            "3840755982336",
            "nvme",
            "0000:26:00.0",
            "S64HNT0W301234",
            "0x144d",
            "36344830573012340025384100000001",
            "absent",
            "7.4",
            "true",
            "6",
            "614400000",
        ]
    );
    assert_eq!(
        show(
            &evidence,
            "nic:ens9f0np0",
            &[
                "nic.permanent_mac",
                "nic.pci_address",
                "nic.driver",
                "nic.firmware",
                "nic.vendor_id",
                "nic.link.speed_mbps",
                "nic.model_name"
            ]
        ),
        [
            "b8:3f:d2:11:22:33",
            "0000:36:00.0",
            "mlx5_core",
            "22.39.1002 (MT_0000000359)",
            "0x15b3",
            "100000",
            "MT2892 Family [ConnectX-6 Dx]",
        ]
    );
}

#[test]
fn without_root_the_facts_are_denied_and_still_there() {
    let evidence = collect(&RecordedMachine::server().unprivileged().host());
    assert_declared(&evidence);
    let denied: Vec<String> = evidence.denied().map(|(part, path)| format!("{} {path}", part.id)).collect();
    for expected in [
        "platform platform.smbios.system_serial",
        "platform platform.dmi.system_serial",
        "board:0 board.serial",
        "chassis:0 chassis.serial",
        "cpu:0 cpu.sysfs.ppin",
        "cpu:1 cpu.smbios.signature",
        "memory memory.smbios.installed_bytes",
        "dimm:unread dimm.smbios.serial",
        "pci:0000:16:00.0 pci.serial_number",
        "gpu:0000:16:00.0 gpu.pci.rebar_max_bytes",
        "drive:nvme0n1 drive.nvme.serial",
        "drive:nvme0n1 drive.smart.power_on_hours",
    ] {
        assert!(denied.iter().any(|it| it == expected), "{expected} is not among {denied:#?}");
    }
    // What everybody may read is there: ids, and the link from the kernel's files.
    assert_eq!(
        show(
            &evidence,
            "gpu:0000:16:00.0",
            &[
                "gpu.pci.device_id",
                "gpu.pci.subsystem_device_id",
                "gpu.pci.link.max_width",
                "gpu.pci.link.current_speed_mts",
                "gpu.pci.port.max_width"
            ]
        ),
        ["0x2331", "0x1626", "16", "32000", "16"]
    );
    let fact = evidence
        .part("gpu:0000:16:00.0")
        .unwrap()
        .facts
        .iter()
        .find(|(path, _)| path.as_str() == "gpu.pci.link.max_width");
    assert!(fact.unwrap().1.source.contains("max_link_width"));
    assert_eq!(show(&evidence, "drive:nvme0n1", &["drive.serial"]), ["S64HNT0W301234"]);
}

#[test]
fn switches_are_those_of_nscq_and_one_part_stands_for_the_rest() {
    let uuid = "SWX-00000000-0000-0000-0000-0000000000A1";
    let switches = |count: usize, lines: &[String]| {
        let functions = (0..count).map(|at| PciFunction::new(&format!("0000:{at:02x}:00.0"), 0x10de, 0x22a3, 0x068000));
        let driver = NvidiaDriver { more_lines: lines.to_vec(), ..NvidiaDriver::new(Vec::new()) };
        let mut machine = RecordedMachine::empty();
        (machine.functions, machine.nvidia) = (functions.collect(), Some(driver));
        let evidence = collect(&machine.host());
        let parts: Vec<Part> = evidence.scope("nvswitch").cloned().collect();
        parts
    };
    let line = |call: &str, end: &str| format!(r#"{{"device":null,"call":"{call}",{end}}}"#);
    let mut lines = vec![line("dlopen libnvidia-nscq.so.2", r#""missing":"no such file""#)];
    assert_eq!(switches(0, &lines), []);
    let [unread] = switches(4, &lines).try_into().unwrap();
    assert_eq!(
        (unread.id.as_str(), unread.reading("nvswitch.nscq.uuid")),
        ("nvswitch:unread", Some(&Reading::Unsupported))
    );
    lines = vec![line("dlopen libnvidia-nscq.so.2", r#""value":true"#), line("nscq_session_create", r#""value":true"#)];
    let one = format!(r#""value":["{uuid}"]"#);
    lines.push(line("/drv/nvswitch/{device}/uuid", &one));
    lines.push(r#"{"device":null,"call":"/id/arch","args":[0],"value":1}"#.to_owned());
    lines.push(
        r#"{"device":null,"call":"/config/certificate","args":[0],"missing":"NSCQ_RC_ERROR_NOT_IMPLEMENTED"}"#
            .to_owned(),
    );
    let [listed] = switches(1, &lines).try_into().unwrap();
    assert_eq!(
        (listed.id.strip_prefix("nvswitch:"), listed.text("nvswitch.nscq.architecture")),
        (Some(uuid), Some("LR10"))
    );
    assert_eq!(listed.reading("nvswitch.attestation.chain"), Some(&Reading::Absent), "it was never able to sign");
    let [_, unread] = switches(2, &lines).try_into().unwrap();
    let why = Reading::Failed("2 on the PCI bus, and NSCQ lists 1".to_owned());
    assert_eq!(unread.reading("nvswitch.attestation.chain"), Some(&why));
    // A path or a part of that name would be whatever the library likes.
    lines[2] = line("/drv/nvswitch/{device}/uuid", r#""value":["../../gpu:0000:17:00.0"]"#);
    let [unread] = switches(1, &lines).try_into().unwrap();
    assert_eq!(unread.reading("nvswitch.nscq.uuid"), Some(&Reading::Failed("NSCQ lists what is no UUID".to_owned())));
}

#[test]
fn a_machine_that_gives_nothing_away_has_no_known_fact() {
    for host in [&BrokenHost::new(Origin::Live) as &dyn Host, &RecordedHost::from(Capture::default())] {
        let evidence = collect(host);
        assert_declared(&evidence);
        for part in &evidence.parts {
            for (path, fact) in &part.facts {
                assert!(!matches!(fact.reading, Reading::Known(_)), "{} {path} {fact:?}", part.id);
            }
        }
        for id in ["platform", "board:0", "chassis:0", "cpu:0", "memory", "dimm:unread"] {
            assert!(evidence.part(id).is_some(), "no part {id}");
        }
    }
}

#[test]
fn variations_of_a_server() {
    let unbound = RecordedMachine::server().with(|it| {
        it.functions[3].driver = None;
        it.drives.clear();
    });
    let evidence = collect(&unbound.host());
    assert_eq!(show(&evidence, "platform", &["platform.nvme_unbound", "platform.drives"])[0], "0000:26:00.0");
    assert_eq!(show(&evidence, "pci:0000:26:00.0", &["pci.driver"]), ["absent"]);

    let virtual_machine = RecordedMachine::server().under_hypervisor("KVMKVMKVM");
    let evidence = collect(&virtual_machine.host());
    assert_eq!(
        show(&evidence, "platform", &["platform.hypervisor.present", "platform.hypervisor.vendor"]),
        ["true", "KVMKVMKVM"]
    );
    // Without CPUID the kernel's flag tells it, and who is not known.
    let no_cpuid = virtual_machine.deny(&Query::Cpuid { cpu: 0 }.path());
    let evidence = collect(&no_cpuid.host());
    assert_eq!(
        show(&evidence, "platform", &["platform.hypervisor.present", "platform.hypervisor.vendor"]),
        ["true", "denied"]
    );

    let narrow = RecordedMachine::server().with(|it| {
        it.functions[1].link = Some((Lanes { width: 16, generation: 5 }, Lanes { width: 8, generation: 3 }))
    });
    let evidence = collect(&narrow.host());
    assert_eq!(
        show(&evidence, "gpu:0000:16:00.0", &["gpu.pci.link.current_width", "gpu.pci.link.current_speed_mts"]),
        ["8", "8000"]
    );

    // A device that fell off the bus answers all ones; the kernel remembers what it was.
    let config = "/sys/bus/pci/devices/0000:16:00.0/config";
    let mut gone = RecordedMachine::server().file(config, vec![0xff; 4096]).capture();
    let link = ["pci.device_id", "pci.link.current_width", "pci.serial_number", "pci.class"];
    let evidence = collect(&RecordedHost::from(gone.clone()));
    assert_eq!(show(&evidence, "pci:0000:16:00.0", &link), ["0x2331", "16", "failed", "0x030200"]);
    gone.remove("/sys/bus/pci/devices/0000:16:00.0/current_link_width");
    let evidence = collect(&RecordedHost::from(gone));
    assert_eq!(show(&evidence, "pci:0000:16:00.0", &link), ["0x2331", "failed", "failed", "0x030200"]);

    let same_locator = RecordedMachine::server().with(|it| {
        it.dimms = (0..4).map(|index| Dimm { locator: "DIMM 0".to_owned(), ..Dimm::ddr5(index) }).collect();
        it.dimms[3].bank = it.dimms[2].bank.clone();
    });
    let evidence = collect(&same_locator.host());
    assert_eq!(
        ids(&evidence, "dimm"),
        [
            "dimm:DIMM 0/P0_Node0_Channel0_Dimm0",
            "dimm:DIMM 0/P0_Node0_Channel1_Dimm0",
            "dimm:DIMM 0/P0_Node0_Channel2_Dimm0",
            "dimm:DIMM 0/P0_Node0_Channel2_Dimm0#2",
        ]
    );

    let cards = RecordedMachine::server().with(|it| {
        it.functions.push(PciFunction::new("0000:46:00.0", 0x1da3, 0x1060, 0x120000));
        it.functions.push(PciFunction::new("0000:00:02.0", 0x8086, 0x4680, 0x030000));
        it.functions.push(PciFunction::new("0000:47:00.0", 0x1002, 0x740f, 0x038000));
        it.nics.push(Nic {
            name: "bond-member".to_owned(),
            permanent_mac: Some("aa:bb:cc:00:00:01".to_owned()),
            ..it.nics[0].clone()
        });
        it.drives.push(Drive::exos("sda", "0000:04:00.0"));
    });
    let evidence = collect(&cards.host());
    assert_declared(&evidence);
    assert_eq!(ids(&evidence, "accelerator"), ["accelerator:0000:46:00.0"]);
    assert_eq!(ids(&evidence, "gpu"), ["gpu:0000:16:00.0", "gpu:0000:47:00.0"]);
    assert_eq!(show(&evidence, "nic:bond-member", &["nic.permanent_mac"]), ["aa:bb:cc:00:00:01"]);
    assert_eq!(
        show(
            &evidence,
            "drive:sda",
            &["drive.serial", "drive.wwid", "drive.transport", "drive.rotational", "drive.nvme.serial"]
        ),
        ["ZL2A1B2C", "naa.5000c500c1a2b3c4", "sata", "true", "absent"]
    );
}

#[test]
fn two_paths_to_a_sas_drive_are_one_drive_and_a_copied_sata_drive_is_two() {
    let sas = |name: &str, path: &str, machine: RecordedMachine| {
        let link = format!(
            "../devices/pci0000:00/0000:05:00.0/host0/port-0:0/end_device-0:{path}/target0:0:{path}/0:0:{path}:0/block/{name}"
        );
        let capture = machine.capture();
        (capture, link)
    };
    let drives = |it: &mut RecordedMachine| {
        it.drives = vec![Drive::exos("sda", "0000:05:00.0"), Drive::exos("sdb", "0000:05:00.0")];
    };
    let machine = RecordedMachine::server().with(drives);
    assert_eq!(ids(&collect(&machine.host()), "drive"), ["drive:sda", "drive:sdb"]);
    let (mut capture, link) = sas("sda", "0", machine.clone());
    capture.insert_link("/sys/block/sda", link);
    capture.insert_link("/sys/block/sdb", sas("sdb", "1", machine).1);
    // Behind a SAS adapter, but ATA drives with one port each.
    let mut ata = capture.clone();
    for name in ["sda", "sdb"] {
        ata.insert(format!("/sys/block/{name}/device/vendor"), "ATA     \n");
    }
    let evidence = collect(&RecordedHost::from(ata));
    assert_eq!(ids(&evidence, "drive"), ["drive:sda", "drive:sdb"]);
    assert_eq!(show(&evidence, "drive:sdb", &["drive.transport"]), ["sata"]);
    let evidence = collect(&RecordedHost::from(capture));
    assert_eq!(ids(&evidence, "drive"), ["drive:sda"]);
    assert_eq!(show(&evidence, "drive:sda", &["drive.paths", "drive.transport"]), ["sda, sdb", "sas"]);
}

#[test]
fn an_nvme_namespace_with_several_controllers_is_one_drive() {
    let machine = RecordedMachine::server();
    let mut capture = machine.capture();
    // The kernel shows the namespace under its subsystem, and hides one disk a controller.
    capture.insert_link("/sys/block/nvme0n1", "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
    let subsystem = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0";
    capture.insert_link("/sys/block/nvme0n1/device", "../../nvme-subsys0");
    capture.insert_link(format!("{subsystem}/nvme0n1/device"), "../../nvme-subsys0");
    for controller in ["nvme0", "nvme1"] {
        capture.insert_link(format!("{subsystem}/{controller}"), "../../../pci0000:25/0000:26:00.0/nvme/nvme0");
    }
    capture.insert_link("/sys/class/nvme/nvme0", "../../devices/pci0000:25/0000:25:01.0/0000:26:00.0/nvme/nvme0");
    for path in ["nvme0c0n1", "nvme0c1n1"] {
        capture.insert(format!("/sys/block/{path}/size"), "8\n");
        capture.insert_link(format!("/sys/block/{path}/device"), "../../nvme0");
    }
    let evidence = collect(&RecordedHost::from(capture));
    assert_eq!(ids(&evidence, "drive"), ["drive:nvme0n1"]);
    assert_eq!(
        show(&evidence, "drive:nvme0n1", &["drive.pci_address", "drive.nvme.serial", "drive.serial"]),
        ["0000:26:00.0", "S64HNT0W301234", "S64HNT0W301234"]
    );
}

#[test]
fn two_nvme_disks_are_one_drive_only_when_the_controllers_say_so() {
    let server = RecordedMachine::server().with(|it| {
        it.drives = ["nvme0n1", "nvme1n1"].map(|name| Drive::pm9a3(name, "0000:26:00.0")).into();
    });
    let subsystem = |capture: &mut Capture, controller: &str, name: &str| {
        capture.insert(format!("/sys/class/nvme/{controller}/subsysnqn"), format!("nqn.1994-11.com.samsung:{name}\n"));
    };
    let drives = |capture| ids(&collect(&RecordedHost::from(capture)), "drive");
    let mut two_ports = server.capture();
    subsystem(&mut two_ports, "nvme0", "one");
    subsystem(&mut two_ports, "nvme1", "one");
    assert_eq!(drives(two_ports), ["drive:nvme0n1"]);
    let mut copied = server.capture();
    subsystem(&mut copied, "nvme0", "one");
    subsystem(&mut copied, "nvme1", "other");
    assert_eq!(drives(copied), ["drive:nvme0n1", "drive:nvme1n1"]);
    assert_eq!(drives(server.capture()), ["drive:nvme0n1", "drive:nvme1n1"]);

    let mut second_namespace = RecordedMachine::server().capture();
    second_namespace.insert_link("/sys/block/nvme0n2", "../devices/pci0000:00/0000:26:00.0/nvme/nvme0/nvme0n2");
    second_namespace.insert_link("/sys/block/nvme0n2/device", "../../nvme0");
    second_namespace.insert("/sys/block/nvme0n2/device/serial", "S64HNT0W301234\n");
    assert_eq!(drives(second_namespace), ["drive:nvme0n1"]);
}

#[test]
fn large_server() {
    let machine = RecordedMachine::server().with(|it| {
        for cpu in &mut it.cpus {
            cpu.cores = 128;
        }
        it.dimms = (0..48).map(|index| Dimm { locator: format!("DIMM{index}"), ..Dimm::ddr5(index) }).collect();
        for bus in 0x40..0x70 {
            for device in 0..8 {
                let address = format!("0001:{bus:02x}:{device:02x}.0");
                it.functions.push(PciFunction::h100(&address, "0000:15:01.0", 1));
            }
        }
        it.drives = (0..24).map(|index| Drive::pm9a3(&format!("nvme{index}n1"), "0000:26:00.0")).collect();
    });
    let host = machine.host();
    let started = std::time::Instant::now();
    let evidence = collect(&host);
    println!("512 CPUs, 391 PCI functions, 24 drives: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    assert_declared(&evidence);
    assert_eq!(show(&evidence, "cpu:1", &["cpu.sysfs.cores", "cpu.sysfs.threads"]), ["128", "256"]);
    let counts = ["dimm", "pci", "gpu", "drive"].map(|scope| evidence.scope(scope).count());
    assert_eq!(counts, [48, 391, 385, 24]);
}

#[test]
fn damaged_tables_give_readings() {
    let machine = RecordedMachine::server();
    let table = machine.smbios_table();
    let whole = smbios_only(table.clone(), None);
    assert_eq!(show(&whole, "platform", &["platform.smbios.damaged", "platform.smbios.version"]), ["false", "absent"]);
    assert_eq!(ids(&whole, "dimm").len(), 16);
    let tables = Signatures::embedded().unwrap().tables;
    for length in (0..table.len() - 6).step_by(97) {
        let cut = smbios_only(table[..length].to_vec(), None);
        assert_eq!(show(&cut, "platform", &["platform.smbios.damaged"]), ["true"], "{length} bytes");
        // A sum over a part of the modules would accuse an honest seller.
        let sums = show(&cut, "memory", &["memory.smbios.installed_bytes", "memory.smbios.populated"]);
        assert_eq!(sums, ["failed", "failed"], "{length} bytes");
        assert!(cut.scope("dimm").count() > 0);
        // Nor is a part missing that was lost with the end of the table.
        let changes = drift(&identity(&whole), &identity(&cut), &tables);
        assert!(changes.iter().all(|it| !it.change.is_drift()), "{length} bytes: {changes:?}");
    }
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..100 {
        let mut flipped = table.clone();
        for _ in 0..1 + random() % 8 {
            let offset = random() as usize % flipped.len();
            flipped[offset] = random() as u8;
        }
        smbios_only(flipped, Some(b"_SM3_\0\x18\x03".to_vec()));
        let length = random() as usize % 4096;
        smbios_only((0..length).map(|_| random() as u8).collect(), Some((0..31).map(|_| random() as u8).collect()));
    }
    // Structures without end, and one of nothing but zeros.
    smbios_only([200, 4, 0, 0, 0, 0].repeat(MAX_FILE_BYTES / 6), None);
    smbios_only(vec![0; 65_536], None);
    let oversized = RecordedMachine::server().file("/sys/firmware/dmi/tables/DMI", vec![1; MAX_FILE_BYTES]);
    assert_eq!(show(&collect(&oversized.host()), "platform", &["platform.smbios.damaged"]), ["true"]);

    let hostile = RecordedMachine::server().with(|it| {
        it.dimms[0].serial = "\u{1b}[31m\u{202e}<b>=1+1\n".to_owned();
        it.dimms[1].serial = "x".repeat(5000);
        it.product = "caf\u{e9}".to_owned();
    });
    let mut capture = hostile.capture();
    let latin1: Vec<u8> = hostile.smbios_table();
    let at = latin1.windows(5).position(|window| window == "caf\u{e9}".as_bytes()).unwrap();
    let mut latin1 = latin1;
    latin1.splice(at..at + 5, *b"caf\xe9");
    capture.insert("/sys/firmware/dmi/tables/DMI", latin1);
    let evidence = collect(&RecordedHost::from(capture));
    assert_eq!(show(&evidence, "platform", &["platform.smbios.system_product"]), ["caf\\xe9"]);
    assert_eq!(show(&evidence, "dimm:P1-DIMMB1", &["dimm.smbios.serial"]), ["failed"]);
}

#[test]
fn entry_points_of_both_widths() {
    let table = RecordedMachine::server().smbios_table();
    let mut narrow = b"_SM_\0\x1f\x02\x07\0\0\0\0\0\0\0\0_DMI_\0".to_vec();
    narrow.extend_from_slice(&(table.len() as u16).to_le_bytes());
    narrow.extend_from_slice(&[0, 0, 0x0f, 0, 0, 0, 0x27]);
    let evidence = smbios_only(table.clone(), Some(narrow.clone()));
    assert_eq!(show(&evidence, "platform", &["platform.smbios.version", "platform.smbios.damaged"]), ["2.7", "false"]);
    // The table ends properly, but the entry point knows of more.
    narrow[0x1c..0x1e].copy_from_slice(&5000u16.to_le_bytes());
    let evidence = smbios_only(table.clone(), Some(narrow));
    assert_eq!(show(&evidence, "platform", &["platform.smbios.damaged"]), ["true"]);
    let unreadable = RecordedMachine::server().deny("/sys/firmware/dmi/tables/smbios_entry_point");
    let evidence = collect(&unreadable.host());
    assert_eq!(
        show(&evidence, "platform", &["platform.smbios.version", "platform.smbios.system_product"]),
        ["absent", "SYS-421GE-TNRT"]
    );
}

#[test]
fn smbios_corpus_agrees_with_dmidecode() {
    let Some(folder) = corpus("smbios") else { return };
    // dmidecode writes these for a field without a value.
    const NONE: &[&str] = &["", "Unknown", "Not Specified", "None", "<OUT OF SPEC>", "Unspecified"];
    let (mut tables, mut modules) = (0, 0);
    for row in manifest(&folder).iter().filter(|row| row["file"].ends_with(".dmi")) {
        let file = &row["file"];
        let evidence =
            smbios_only(fs::read(folder.join(file)).unwrap(), fs::read(folder.join(file.replace(".dmi", ".ep"))).ok());
        let expected = fs::read(folder.join(file.replace(".dmi", ".expected.json"))).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        let platform = |path: &str| show(&evidence, "platform", &[path]).remove(0);
        let damaged = platform("platform.smbios.damaged") == "true";
        tables += 1;

        let populated = expected["populated"].as_array().unwrap();
        let dimms: Vec<_> = evidence.scope("dimm").filter(|part| part.id != "dimm:unread").collect();
        assert_eq!(dimms.len(), populated.len(), "{file}");
        for (dimm, expected) in dimms.iter().zip(populated) {
            modules += 1;
            let same = |path: &str, field: &str| {
                let expected = expected[field].as_str().unwrap_or_default().trim();
                let found = match dimm.reading(path) {
                    Some(Reading::Known(value)) => value.to_string(),
                    Some(Reading::Absent | Reading::Unsupported) => String::new(),
                    other => panic!("{file} {} {path} {other:?}", dimm.id),
                };
                let found_none = NONE.contains(&found.as_str());
                let expected_none = NONE.contains(&expected);
                assert!(
                    found == expected || found_none && expected_none,
                    "{file} {} {path}: {found:?}, dmidecode {expected:?}",
                    dimm.id
                );
            };
            same("dimm.smbios.locator", "locator");
            same("dimm.smbios.bank", "bank");
            same("dimm.smbios.manufacturer", "manufacturer");
            same("dimm.smbios.serial", "serial");
            same("dimm.smbios.part_number", "part");
            same("dimm.smbios.type", "type");
            same("dimm.smbios.ranks", "rank");
            let bytes = expected["size_mib"].as_i64().map(|it| it << 20);
            assert_eq!(dimm.integer("dimm.smbios.size_bytes"), bytes, "{file} {}", dimm.id);
        }
        if !damaged {
            assert_eq!(show(&evidence, "memory", &["memory.smbios.populated"])[0], row["populated"], "{file}");
            if row["total_mib"] != "0" {
                let total: i64 = row["total_mib"].parse().unwrap();
                let found = evidence.part("memory").unwrap().integer("memory.smbios.installed_bytes");
                assert_eq!(found, Some(total << 20), "{file}");
            }
        }
        let system = expected["system"].as_str().unwrap_or_default();
        if !system.is_empty() {
            let found = ["platform.smbios.system_manufacturer", "platform.smbios.system_product"]
                .map(|path| evidence.part("platform").unwrap().text(path).unwrap_or_default().to_owned())
                .join(" / ");
            assert_eq!(found, system.trim(), "{file}");
        }
        let sockets = expected["cpus"].as_array().unwrap();
        if !damaged {
            assert_eq!(platform("platform.cpu.smbios_sockets"), sockets.len().to_string(), "{file}");
        }
        if let Some(brand) = sockets.first().and_then(|it| it.as_str()).filter(|brand| !NONE.contains(brand)) {
            assert_eq!(show(&evidence, "cpu:0", &["cpu.smbios.version"]), [brand.trim()], "{file}");
        }
    }
    println!("{tables} tables, {modules} modules");
    assert!(tables > 30 && modules > 150);
}

#[test]
fn cpu_corpus() {
    let Some(folder) = corpus("cpu") else { return };
    let (mut dumps, mut texts) = (0, 0);
    for row in manifest(&folder) {
        let file = &row["file"];
        let content = fs::read(folder.join(file)).unwrap();
        let number = |name: &str| row[name].parse::<u32>().ok();
        let mut capture = Capture::default();
        let source = if file.ends_with("CPUID.txt") || row["what"].starts_with("CPUID") {
            let records = CpuidRecords::from_instlatx64(&String::from_utf8_lossy(&content));
            capture.insert(Query::Cpuid { cpu: 0 }.path(), records.bytes);
            dumps += 1;
            "cpuid"
        } else {
            capture.insert("/proc/cpuinfo", content);
            texts += 1;
            "procfs"
        };
        let evidence = collect(&RecordedHost::from(capture));
        assert_declared(&evidence);
        let cpu = evidence.scope("cpu").next().unwrap();
        let integer = |name: &str| cpu.integer(&format!("cpu.{source}.{name}")).map(|it| it as u32);
        let text = |name: &str| cpu.text(&format!("cpu.{source}.{name}")).unwrap_or_default().to_owned();
        assert_eq!(integer("family"), number("family"), "{file}");
        // The manifest's decoder adds the extended model for families 6 and 15 only, as Intel's manual says; the
        // kernel does so from 6 on, and Zhaoxin's family 7 needs it.
        let model =
            if row["vendor"] == "CentaurHauls" { integer("model").map(|it| it & 0xf) } else { integer("model") };
        assert_eq!(model, number("model"), "{file}");
        assert_eq!(
            integer("stepping"),
            number("stepping").filter(|_| integer("family").is_some()).or(integer("stepping")),
            "{file}"
        );
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !row["vendor"].is_empty() {
            assert_eq!(text("vendor"), row["vendor"], "{file}");
        }
        if !row["brand"].is_empty() && !row["brand"].contains("ARM") {
            assert_eq!(squeeze(&text("brand")), squeeze(&row["brand"]), "{file}");
        }
        if !row["microcode"].is_empty() {
            assert_eq!(text("microcode"), row["microcode"], "{file}");
        }
        if let (Some(sockets), "procfs") = (number("sockets"), source) {
            assert_eq!(evidence.scope("cpu").count(), sockets as usize, "{file}");
        }
    }
    println!("{dumps} CPUID dumps, {texts} cpuinfo files");
    assert!(dumps > 30 && texts > 20);
}

#[test]
fn drive_corpus() {
    let Some(folder) = corpus("drives") else { return };
    let mut files = 0;
    for row in manifest(&folder).iter().filter(|row| row["what"].starts_with("smartctl --json")) {
        let file = &row["file"];
        let machine = RecordedMachine::empty()
            .with(|it| it.drives = vec![Drive { smartctl: false, ..Drive::exos("sda", "0000:05:00.0") }]);
        let args = ["-j", "-x", "/dev/sda"].map(str::to_owned).to_vec();
        let query = Query::Command { program: "smartctl".to_owned(), args };
        let evidence = collect(&machine.file(&query.path(), fs::read(folder.join(file)).unwrap()).host());
        assert_declared(&evidence);
        let drive = evidence.part("drive:sda").unwrap();
        let same = |path: &str, column: &str| {
            if !row[column].is_empty() {
                let found = drive.reading(path).and_then(Reading::known).map(ToString::to_string).unwrap_or_default();
                assert_eq!(found.to_lowercase(), row[column].to_lowercase(), "{file} {path} {:?}", drive.reading(path));
            }
        };
        same("drive.smart.model", "model");
        same("drive.smart.serial", "serial");
        same("drive.smart.firmware", "firmware");
        same("drive.smart.power_on_hours", "power_on_hours");
        same("drive.smart.power_cycles", "power_cycles");
        same("drive.smart.percentage_used", "percentage_used");
        same("drive.smart.passed", "passed");
        if let Ok(units) = row["data_units_written"].parse::<i64>() {
            let bytes = units * 512_000;
            assert_eq!(drive.integer("drive.smart.written_gigabytes"), Some(bytes / 1_000_000_000), "{file}");
            // More than 9 PB is more than a fact's integer holds.
            let expected = (bytes <= 1 << 53).then_some(bytes);
            assert_eq!(drive.integer("drive.smart.written_bytes"), expected, "{file}");
        }
        files += 1;
    }
    println!("{files} smartctl outputs");
    assert!(files > 100);
}

#[test]
fn what_was_recorded_is_collected_again() {
    let live = LiveHost::new();
    let server = RecordedMachine::gpu_server();
    let folder = tempfile::tempdir().unwrap();
    server.write(&folder.path().join("root"));
    server.archive(&folder.path().join("machine.tar.zst"));
    let memory = server.host();
    let from_folder = RecordedHost::open(&folder.path().join("root")).unwrap();
    let from_archive = RecordedHost::open(&folder.path().join("machine.tar.zst")).unwrap();
    let expected = collect(&memory);
    assert_eq!(collect(&from_folder), expected);
    assert_eq!(collect(&from_archive), expected);
    for host in [&live as &dyn Host, &memory] {
        let recorder = RecordingHost::new(host);
        let seen = collect(&recorder);
        assert_eq!(seen.origin, host.origin());
        let mut archive = Vec::new();
        recorder.into_capture().write(&mut archive).unwrap();
        let replayed = collect(&RecordedHost::from_archive(&archive[..]).unwrap());
        assert_eq!(replayed.origin, Origin::Recorded);
        assert_eq!(replayed.parts, seen.parts);
    }
}

#[test]
fn a_folder_copied_from_a_machine_is_collected_through_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, content: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let link = |path: &str, target: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    };
    let port = PciFunction::root_port("0000:25:01.0", 7, Lanes { width: 4, generation: 4 });
    let device = PciFunction::pm9a3("0000:26:00.0", "0000:25:01.0");
    put("sys/devices/pci0000:25/0000:25:01.0/config", &port.config());
    let device_folder = "sys/devices/pci0000:25/0000:25:01.0/0000:26:00.0";
    put(&format!("{device_folder}/config"), &device.config());
    link(&format!("{device_folder}/driver"), "../../../../bus/pci/drivers/nvme");
    link("sys/bus/pci/devices/0000:25:01.0", "../../../devices/pci0000:25/0000:25:01.0");
    link("sys/bus/pci/devices/0000:26:00.0", "../../../devices/pci0000:25/0000:25:01.0/0000:26:00.0");
    put(&format!("{device_folder}/nvme/nvme0/serial"), b"S64HNT0W301234      \n");
    put(&format!("{device_folder}/nvme/nvme0/nvme0n1/size"), b"7501476528\n");
    link(&format!("{device_folder}/nvme/nvme0/nvme0n1/device"), "../../nvme0");
    link("sys/block/nvme0n1", "../devices/pci0000:25/0000:25:01.0/0000:26:00.0/nvme/nvme0/nvme0n1");
    let evidence = collect(&RecordedHost::open(folder.path()).unwrap());
    assert_declared(&evidence);
    assert_eq!(
        show(&evidence, "pci:0000:26:00.0", &["pci.device_id", "pci.driver", "pci.port.max_width", "pci.slot"]),
        ["0xa80a", "nvme", "4", "7"]
    );
    assert_eq!(
        show(
            &evidence,
            "drive:nvme0n1",
            &["drive.serial", "drive.size_bytes", "drive.pci_address", "drive.nvme.serial"]
        ),
        ["S64HNT0W301234", "3840755982336", "0000:26:00.0", "unsupported"]
    );
}

/// What holds for every host; `present` is a folder with the files `a` and `b`, `b` holding `text`, and the link `c`.
fn conformance(name: &str, host: &dyn Host, present: Option<&str>) {
    let broken = present.is_none();
    let missing = host.read("/no/such/file");
    assert_eq!(missing, if broken { Reading::Denied } else { Reading::Absent }, "{name}");
    assert_eq!(host.list("/no/such/folder").state(), if broken { "denied" } else { "absent" }, "{name}");
    assert_eq!(host.link("/no/such/link").state(), if broken { "denied" } else { "absent" }, "{name}");
    for query in [
        Query::Command { program: "no-such-program-7f3a".to_owned(), args: vec!["../../etc/passwd".to_owned()] },
        Query::NvmeIdentify { controller: "no-such-nvme".to_owned(), cns: 1, namespace: 0 },
        Query::Cpuid { cpu: 100_000 },
        Query::PciRegister { address: "0000:00:00.9".to_owned(), bar: 0, offset: 0 },
        Query::PciRegister { address: "../../../../etc/passwd".to_owned(), bar: 0, offset: 0 },
        Query::OptionRom { address: "0000:00:00.9".to_owned() },
        Query::OptionRom { address: "..".to_owned() },
        // Nobody was told which program to start for it.
        Query::Nvml,
    ] {
        let answer = host.ask(&query);
        assert!(!matches!(answer, Reading::Known(_)), "{name} {query:?} {answer:?}");
    }
    let Some(folder) = present else { return };
    assert_eq!(host.read(&format!("{folder}/b")), Reading::Known(b"text".to_vec()), "{name}");
    assert_eq!(host.link(&format!("{folder}/c")), Reading::Known("b".to_owned()), "{name}");
    assert_eq!(host.read(&format!("{folder}/c")), Reading::Known(b"text".to_vec()), "{name}");
    assert_eq!(host.read(&format!("{folder}/b/below")), Reading::Absent, "{name}");
    let names = host.list(folder).into_known().unwrap();
    assert!(
        names.is_sorted() && names.starts_with(&["a".to_owned(), "b".to_owned(), "c".to_owned()]),
        "{name} {names:?}"
    );
    assert_eq!(host.link(&format!("{folder}/b")).into_known(), None, "{name}");
    // Everything is where it was.
    assert_eq!(host.read(&format!("{folder}/b")), Reading::Known(b"text".to_vec()), "{name}");
}

#[test]
fn every_host_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("top")).unwrap();
    fs::write(root.join("top/b"), "text").unwrap();
    fs::write(root.join("top/a"), "").unwrap();
    std::os::unix::fs::symlink("b", root.join("top/c")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../etc/passwd", root.join("top/escape")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("top/root")).unwrap();
    std::os::unix::fs::symlink("loop", root.join("top/loop")).unwrap();
    fs::File::create(root.join("top/large")).unwrap().set_len(MAX_FILE_BYTES as u64 + 1).unwrap();

    let live = LiveHost::new();
    let on_disk = root.join("top").to_str().unwrap().to_owned();
    conformance("live", &live, Some(&on_disk));
    assert!(matches!(live.read(&format!("{on_disk}/large")), Reading::Failed(_)));
    assert!(matches!(live.read(&on_disk), Reading::Failed(_)));
    let recorder = RecordingHost::new(&live);
    conformance("recording", &recorder, Some(&on_disk));
    assert!(matches!(recorder.read(&format!("{on_disk}/large")), Reading::Failed(_)));
    let mut archive = Vec::new();
    recorder.into_capture().write(&mut archive).unwrap();
    let replayed = RecordedHost::from_archive(&archive[..]).unwrap();
    conformance("recorded from an archive", &replayed, Some(&on_disk));
    assert!(matches!(replayed.read(&format!("{on_disk}/large")), Reading::Failed(_)));

    let below = LiveHost::new().with_root(&root).unwrap();
    assert_eq!(below.origin(), Origin::Simulated);
    conformance("live below a folder", &below, Some("/top"));
    assert!(matches!(below.read("/top/large"), Reading::Failed(_)));
    let stays_inside = |host: &dyn Host| {
        for path in
            ["/top/escape", "/top/root", "/../etc/passwd", "/top/../../etc/passwd", "/../../../../../../etc/passwd"]
        {
            assert_eq!(host.read(path), Reading::Absent, "{path}");
        }
        assert!(matches!(host.read("/top/loop"), Reading::Failed(_)));
    };
    stays_inside(&below);
    // Programs would look at the machine itself.
    let program = Query::Command { program: "true".to_owned(), args: Vec::new() };
    assert_eq!((live.ask(&program), below.ask(&program)), (Reading::Known(Vec::new()), Reading::Unsupported));

    fs::remove_file(root.join("top/large")).unwrap();
    let from_folder = RecordedHost::open(&root).unwrap();
    conformance("recorded from a folder", &from_folder, Some("/top"));
    stays_inside(&from_folder);
    fs::File::create(root.join("top/large")).unwrap().set_len(MAX_FILE_BYTES as u64 + 1).unwrap();
    assert!(matches!(RecordedHost::open(&root), Err(ArchiveError::FileTooLarge { .. })));

    conformance("broken", &BrokenHost::new(Origin::Live), None);
}

/// A plain tar archive of hand-made entries: path, type flag, content, link target.
fn tar_of(entries: &[(&str, u8, &[u8], &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, flag, content, target) in entries {
        let mut header = tar::Header::new_gnu();
        let bytes = header.as_mut_bytes();
        // Written by hand, since the library refuses to make most of these.
        bytes[..path.len()].copy_from_slice(path.as_bytes());
        bytes[157..157 + target.len()].copy_from_slice(target.as_bytes());
        bytes[156] = *flag;
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[test]
fn hostile_archives_are_refused() {
    let open = |archive: &[u8]| RecordedHost::from_archive(archive).map(|_| ());
    let one = |path: &str, flag: u8, target: &str| open(&tar_of(&[(path, flag, b"", target)]));
    assert!(one("sys/file", b'0', "").is_ok());
    assert!(matches!(one("../etc/passwd", b'0', ""), Err(ArchiveError::Escapes(_))));
    assert!(matches!(one("sys/../../etc/passwd", b'0', ""), Err(ArchiveError::Escapes(_))));
    assert!(matches!(one("/etc/passwd", b'0', ""), Err(ArchiveError::Escapes(_))));
    for (flag, kind) in
        [(b'2', "symbolic link"), (b'1', "hard link"), (b'3', "device"), (b'4', "device"), (b'6', "FIFO")]
    {
        match one("sys/file", flag, "/etc/passwd") {
            Err(ArchiveError::NotAFile { kind: found, .. }) => assert_eq!(found, kind),
            other => panic!("{kind}: {other:?}"),
        }
    }
    let twice = tar_of(&[("sys/file", b'0', b"one", ""), ("sys/file", b'0', b"two", "")]);
    assert!(matches!(open(&twice), Err(ArchiveError::Duplicate(_))));
    let twice = tar_of(&[("sys/file", b'0', b"one", ""), ("./sys//file", b'0', b"two", "")]);
    assert!(matches!(open(&twice), Err(ArchiveError::Duplicate(_))));

    let index = |json: &str| open(&tar_of(&[("yanji/index.json", b'0', json.as_bytes(), "")]));
    assert!(matches!(index("{"), Err(ArchiveError::Index(_))));
    assert!(matches!(index("[]"), Err(ArchiveError::Index(_))));
    assert!(matches!(index(r#"{"format":1}"#), Err(ArchiveError::Index(_))));
    assert!(matches!(
        index(r#"{"format":2,"tool_version":"","readings":{},"lists":{},"links":{}}"#),
        Err(ArchiveError::Format(2))
    ));

    // A header that announces more than it may, over little or endless content.
    let mut header = tar::Header::new_gnu();
    header.set_path("sys/file").unwrap();
    header.set_size(MAX_FILE_BYTES as u64 + 1);
    header.set_cksum();
    assert!(matches!(open(header.as_bytes()), Err(ArchiveError::FileTooLarge { .. })));

    let zeros = zstd::stream::encode_all(std::io::Read::take(std::io::repeat(0), 64 << 20), 1);
    let entry = tar_of(&[("sys/file", b'0', &vec![0; 4 << 20], "")]);
    let entry = &entry[..entry.len() - 1024];
    let mut many = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for index in 0..140 {
        let mut entry = entry.to_vec();
        let name = format!("sys/file{index:04}");
        let mut header = tar::Header::new_gnu();
        header.set_path(&name).unwrap();
        header.set_size(4 << 20);
        header.set_cksum();
        entry[..512].copy_from_slice(header.as_bytes());
        std::io::Write::write_all(&mut many, &entry).unwrap();
    }
    let many = many.finish().unwrap();
    assert!(many.len() < 1 << 20, "{} bytes", many.len());
    assert!(matches!(open(&many), Err(ArchiveError::TooLarge)));
    // Zeros are the end of a tar archive: an empty machine.
    assert!(open(&zeros.unwrap()).is_ok());

    let mut entries = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for index in 0..200_001 {
        let mut header = tar::Header::new_gnu();
        header.set_path(format!("f{index}")).unwrap();
        header.set_size(0);
        header.set_cksum();
        std::io::Write::write_all(&mut entries, header.as_bytes()).unwrap();
    }
    assert!(matches!(open(&entries.finish().unwrap()), Err(ArchiveError::TooMany)));

    let mut whole = Vec::new();
    RecordedMachine::server().capture().write(&mut whole).unwrap();
    assert!(open(&whole).is_ok());
    for length in [5, 100, whole.len() / 2, whole.len() - 1] {
        let error = open(&whole[..length]).unwrap_err();
        assert!(matches!(error, ArchiveError::Io(_)), "{length} bytes: {error:?}");
        assert!(!error.to_string().is_empty());
    }
    assert!(matches!(
        open(b"this is no archive, and it is not compressed either. ".repeat(40).as_slice()),
        Err(ArchiveError::Io(_))
    ));
    let mut flipped = whole.clone();
    for byte in &mut flipped[200..260] {
        *byte ^= 0x5a;
    }
    let _ = open(&flipped);
}

/// Prints what this machine gives, for a look: `PRINT=1 cargo test --test it this_machine -- --nocapture`.
#[test]
fn this_machine() {
    let started = std::time::Instant::now();
    let evidence = collect(&LiveHost::new());
    println!("collected in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    assert_declared(&evidence);
    assert_eq!(evidence.origin, Origin::Live);
    if std::env::var_os("PRINT").is_some() {
        for part in &evidence.parts {
            println!("{}", part.id);
            for (path, fact) in &part.facts {
                println!("  {path} = {:?} [{}]", fact.reading, fact.source);
            }
        }
    }
}
