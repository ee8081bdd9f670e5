//! One deliberate fault at a time: the rule meant for it fires, it alone, and both outputs name the parts.

use yanji::rule::{Outcome, Signatures};

use super::{Place, inspect_as_live};
use crate::support::{Cpu, Lanes, PciFunction, RecordedMachine};

struct Fault {
    name: &'static str,
    machine: RecordedMachine,
    /// Every rule that fires, with the parts that it fires on.
    fires: &'static [(&'static str, &'static [&'static str])],
    /// Exit code of `inspect`; that of a recording is never 0.
    exit: i32,
    verdict_if_live: &'static str,
}

fn fault(
    name: &'static str,
    fires: &'static [(&'static str, &'static [&'static str])],
    verdict_if_live: &'static str,
    change: impl FnOnce(&mut RecordedMachine),
) -> Fault {
    let exit = if verdict_if_live == "rejected" { 1 } else { 3 };
    Fault { name, machine: RecordedMachine::server().with(change), fires, exit, verdict_if_live }
}

fn with_file(machine: &mut RecordedMachine, path: &str, content: impl Into<Vec<u8>>) {
    *machine = machine.clone().file(path, content);
}

fn each_cpu(machine: &mut RecordedMachine, change: impl Fn(&mut Cpu)) {
    machine.cpus.iter_mut().for_each(change);
}

fn faults() -> Vec<Fault> {
    vec![
        fault(
            "two modules with one serial number",
            &[("dimm.serial-duplicate", &["dimm:P1-DIMMC1", "dimm:P1-DIMMD1"])],
            "undecided",
            |machine| machine.dimms[3].serial = machine.dimms[2].serial.clone(),
        ),
        fault(
            "a module and a drive with one serial number",
            &[("dimm.serial-duplicate", &["dimm:P1-DIMMC1"]), ("drive.serial-duplicate", &["drive:nvme0n1"])],
            "rejected",
            |machine| machine.drives[0].serial = machine.dimms[2].serial.clone(),
        ),
        fault(
            "two drives with one serial number",
            &[("drive.serial-duplicate", &["drive:nvme0n1", "drive:nvme1n1"])],
            "rejected",
            |machine| {
                let mut drive = machine.drives[0].clone();
                drive.name = "nvme1n1".to_owned();
                drive.address = "0000:27:00.0".to_owned();
                drive.wwid = "eui.36434830525003220025384500000099".to_owned();
                machine.drives.push(drive);
                machine.functions.push(PciFunction::root_port("0000:25:02.0", 8, Lanes { width: 4, generation: 4 }));
                machine.functions.push(PciFunction::pm9a3("0000:27:00.0", "0000:25:02.0"));
            },
        ),
        fault(
            "two network ports with one permanent address",
            &[("nic.mac-duplicate", &["nic:ens9f0np0", "nic:ens9f1np1"])],
            "undecided",
            |machine| {
                let mut nic = machine.nics[0].clone();
                nic.name = "ens9f1np1".to_owned();
                nic.address = "0000:36:00.1".to_owned();
                machine.nics.push(nic);
                machine.functions.push(PciFunction::connectx6("0000:36:00.1", "0000:35:01.0"));
            },
        ),
        fault(
            "a module without serial number",
            &[("dimm.serial-blank", &["dimm:P1-DIMMD1"])],
            "undecided",
            |machine| machine.dimms[3].serial = "00000000".to_owned(),
        ),
        fault(
            "a filler as serial number of the system",
            &[("platform.identity-blank", &["platform"])],
            "accepted",
            |machine| {
                machine.serial = "To be filled by O.E.M.".to_owned();
            },
        ),
        fault("Intel engineering samples", &[("cpu.engineering-sample", &["cpu:0", "cpu:1"])], "rejected", |machine| {
            each_cpu(machine, |cpu| {
                cpu.brand = "Genuine Intel(R) CPU 0000%@".to_owned();
                cpu.smbios_version = cpu.brand.clone();
            });
        }),
        fault("AMD engineering samples", &[("cpu.engineering-sample", &["cpu:0", "cpu:1"])], "rejected", |machine| {
            each_cpu(machine, |cpu| {
                cpu.vendor = "AuthenticAMD".to_owned();
                cpu.brand = "AMD Eng Sample: 100-000000897-03".to_owned();
                cpu.smbios_version = cpu.brand.clone();
                cpu.eax = 0x00a1_0f11;
                cpu.smbios_eax = cpu.eax;
            });
        }),
        fault(
            "a brand of another family than the processor",
            &[("cpu.brand-signature", &["cpu:0", "cpu:1"]), ("cpu.stepping-unusual", &["cpu:0", "cpu:1"])],
            "undecided",
            |machine| {
                each_cpu(machine, |cpu| {
                    cpu.brand = "Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz".to_owned();
                    cpu.smbios_version = cpu.brand.clone();
                });
            },
        ),
        fault("two steppings", &[("cpu.mixed", &["cpu:0", "cpu:1"])], "accepted", |machine| {
            machine.cpus[1].eax = 0x0008_06f7;
            machine.cpus[1].smbios_eax = 0x0008_06f7;
        }),
        fault(
            "a kernel that shows another brand",
            &[("cpu.procfs-differs", &["cpu:0", "cpu:1"])],
            "undecided",
            |machine| {
                let cpuinfo = yanji::host::Host::read(&machine.host(), "/proc/cpuinfo").into_known().unwrap();
                let text = String::from_utf8(cpuinfo).unwrap().replace("Platinum 8480+", "Platinum 8490H");
                with_file(machine, "/proc/cpuinfo", text);
            },
        ),
        fault(
            "firmware that describes another processor",
            &[("cpu.smbios-differs", &["cpu:1"])],
            "undecided",
            |machine| machine.cpus[1].smbios_eax = 0x0006_06a6,
        ),
        fault("half of the memory missing", &[("memory.capacity-sum", &["memory"])], "undecided", |machine| {
            machine.meminfo_bytes = Some(8 << 36);
            for block in 256..512 {
                *machine = machine.clone().remove(&format!("/sys/devices/system/memory/memory{block}"));
            }
        }),
        fault("a hypervisor", &[("platform.virtual-machine", &["platform"])], "undecided", |machine| {
            machine.hypervisor = Some("KVMKVMKVM".to_owned());
        }),
        fault("a GPU on 4 of 16 lanes", &[("gpu.link-width-reduced", &["gpu:0000:16:00.0"])], "accepted", |machine| {
            let lanes = Lanes { width: 16, generation: 5 };
            machine.functions[1].link = Some((lanes, Lanes { width: 4, ..lanes }));
        }),
        fault(
            "a kernel that shows another serial number",
            &[("platform.dmi-differs", &["platform"])],
            "undecided",
            |machine| {
                with_file(machine, "/sys/class/dmi/id/product_serial", "S999999X9A99999\n");
            },
        ),
        fault(
            "an NVMe controller without driver",
            &[("platform.nvme-unbound", &["platform"])],
            "undecided",
            |machine| {
                machine.functions.push(PciFunction::root_port("0000:25:02.0", 8, Lanes { width: 4, generation: 4 }));
                let unbound = PciFunction { driver: None, ..PciFunction::pm9a3("0000:27:00.0", "0000:25:02.0") };
                machine.functions.push(unbound);
            },
        ),
        fault("an SMBIOS table cut off", &[("platform.smbios-damaged", &["platform"])], "undecided", |machine| {
            let table = machine.smbios_table();
            with_file(machine, "/sys/firmware/dmi/tables/DMI", &table[..table.len() / 2]);
        }),
        fault(
            "a drive that fails its own health check",
            &[("drive.smart-failed", &["drive:nvme0n1"])],
            "rejected",
            |machine| {
                machine.drives[0].passed = false;
            },
        ),
    ]
}

#[test]
fn every_fault_fires_the_rule_meant_for_it_and_names_the_parts() {
    let signatures = Signatures::embedded().unwrap();
    let mut wrong = Vec::new();
    for Fault { name, machine, fires, exit, verdict_if_live } in faults() {
        let expected: Vec<String> =
            fires.iter().flat_map(|(rule, parts)| parts.iter().map(move |part| format!("{rule} {part}"))).collect();
        let mut note = |what: &str, expected: &dyn std::fmt::Debug, observed: &dyn std::fmt::Debug| {
            wrong.push(format!("{name}: {what}: expected {expected:?}, observed {observed:?}"));
        };
        let live = inspect_as_live(&machine.host(), &signatures);
        let firing: Vec<String> = live
            .checks
            .iter()
            .filter(|check| matches!(check.outcome, Outcome::Fires(_)))
            .map(|check| format!("{} {}", check.id, check.part))
            .collect();
        if firing != expected {
            note("live", &expected, &firing);
        }
        if live.judgement.verdict.to_string() != verdict_if_live {
            note("verdict if live", &verdict_if_live, &live.judgement);
        }

        let place = Place::new();
        let ran = place.run(["inspect", "--format", "json", "--host", place.archive(&machine)]);
        if ran.code != exit {
            note("exit code", &exit, &ran.code);
        }
        let json = ran.json();
        let checks = json["checks"].as_array().unwrap();
        let firing: Vec<String> = checks
            .iter()
            .filter(|check| check["status"] == "fires")
            .map(|check| format!("{} {}", check["id"].as_str().unwrap(), check["part"].as_str().unwrap()))
            .collect();
        if firing != expected {
            note("JSON", &expected, &firing);
        }
        let ran = place.run(["inspect", "--host", "host.tar.zst"]).exits(exit);
        let findings = ran.stdout.split("\nFindings\n").nth(1).unwrap_or_default();
        let findings = findings.split("\n\n").next().unwrap();
        for (rule, parts) in fires {
            let story = findings.split(&format!(" {rule}: ")).nth(1).unwrap_or_default();
            let named: Vec<&str> = story.lines().flat_map(|line| line.trim().split(", ")).collect();
            let missing: Vec<_> = parts.iter().filter(|part| !named.contains(part)).collect();
            if !missing.is_empty() || !story.contains("expected") || !story.contains("next: ") {
                note("plain output", parts, &findings);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
