//! Guests whose hardware is made up: the image's kernel is started directly, and a script runs the binary in it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, ensure};
use serde_json::Value as Json;

use crate::fixtures;
use crate::guest::{Bench, Guest};
use crate::spd::SpdImage;

/// Module addresses of one SMBus.
const ADDRESSES: [&str; 8] = ["0x50", "0x51", "0x52", "0x53", "0x54", "0x55", "0x56", "0x57"];

/// Parts on which a rule fires, in order.
fn parts_of(inspection: &Json, rule: &str) -> Vec<String> {
    findings(inspection).filter(|(name, _)| *name == rule).map(|(_, part)| part.to_owned()).collect()
}

/// Every rule that fires, and on what.
fn findings(inspection: &Json) -> impl Iterator<Item = (&str, &str)> {
    let findings = inspection["findings"].as_array().map_or(&[][..], Vec::as_slice);
    findings.iter().filter_map(|finding| Some((finding["rule"].as_str()?, finding["part"].as_str()?)))
}

/// Parts on which a rule could not be checked for want of a fact, in order.
fn parts_without(inspection: &Json, fact: &str) -> Vec<String> {
    let open = inspection["inconclusive"].as_array().map_or(&[][..], Vec::as_slice);
    let lacks = |it: &&Json| it["missing"].as_array().is_some_and(|missing| missing.iter().any(|it| it == fact));
    let parts: BTreeSet<&str> = open.iter().filter(lacks).filter_map(|it| it["part"].as_str()).collect();
    parts.into_iter().map(str::to_owned).collect()
}

/// Runs `yanji inspect` after a script, and gives its JSON. Files `*.bin` of the guest's folder are firmware there.
fn inspect(guest: &mut Guest<'_>, script: &str) -> anyhow::Result<Json> {
    inspect_then(guest, script, "")
}

/// The same, with a script that runs afterwards.
fn inspect_then(guest: &mut Guest<'_>, before: &str, after: &str) -> anyhow::Result<Json> {
    let outcome = guest.run_script(&format!(
        "mkdir -p /lib/firmware; cp /host/*.bin /lib/firmware/ 2>/dev/null\n\
         {before}\n\
         yanji inspect --format json >/host/inspect.json 2>/host/inspect.log\n\
         {after}"
    ))?;
    guest
        .host_json("inspect.json")
        .with_context(|| format!("exit code {:?}, console: {}", outcome.code, outcome.tail()))
}

pub fn smbios_twins(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    for (index, structure) in fixtures::memory_structures(16, &[3, 7]).iter().enumerate() {
        let path = guest.file(&format!("smbios-{index}.bin"), structure)?;
        guest.arguments(&format!("-smbios file={}", path.display()));
    }
    let inspection = inspect(&mut guest, "")?;
    let modules = inspection["dimms"].as_array().map_or(0, Vec::len);
    let twins = parts_of(&inspection, "dimm.serial-duplicate");
    ensure!(modules == 16 && twins.len() == 2, "{modules} modules, dimm.serial-duplicate on {twins:?}");
    Ok(format!("dimm.serial-duplicate on {}", twins.join(", ")))
}

/// Writes the images as firmware files `spd-N.bin`.
fn write_modules(guest: &Guest<'_>, images: &[SpdImage]) -> anyhow::Result<()> {
    for (index, image) in images.iter().enumerate() {
        guest.host_file(&format!("spd-{index}.bin"), image.build())?;
    }
    Ok(())
}

/// Puts a file of the test bench into the guest's folder.
fn bring(guest: &Guest<'_>, name: &str) -> anyhow::Result<()> {
    fs::copy(guest.bench.modules.join(name), guest.path("host").join(name)).with_context(|| name.to_owned())?;
    Ok(())
}

/// Script that finds the bus of that name.
fn find_bus(name: &str) -> String {
    format!("bus=$(grep -l '{name}' /sys/bus/i2c/devices/i2c-*/name | sed 's/.*i2c-\\([0-9]*\\).*/\\1/')")
}

/// Script that announces modules on the bus of that name, as firmware or the bus's own driver does, and loads what answers to
/// the name; `fill` is run for each before, with `$bus` and `$n`.
fn announce(bus: &str, driver: &str, count: usize, fill: &str) -> String {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let find_bus = find_bus(bus);
    format!(
        "{find_bus}\n\
         for n in {}; do {fill}\n echo {driver} 0x5$n >/sys/bus/i2c/devices/i2c-$bus/new_device; done\n\
         modprobe -b $(cat /sys/bus/i2c/devices/$bus-0050/modalias)",
        numbers.join(" ")
    )
}

fn read_modules(inspection: &Json) -> usize {
    let modules = inspection["dimms"].as_array().map_or(&[][..], Vec::as_slice);
    modules.iter().filter(|module| module["module_id"].is_string()).count()
}

pub fn ddr5(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    write_modules(&guest, &fixtures::modules(&SpdImage::ddr5_rdimm(), 8, &[]))?;
    bring(&guest, "spdfill")?;
    let each = |value: &str| [value; 8].join(",");
    // functionality: SMBus quick, byte, byte data, word data, block. Pages of 128 bytes behind the register MR11.
    let script = format!(
        "modprobe i2c-stub functionality=0x7f0000 chip_addr={} bank_reg={} bank_mask={} bank_start={} bank_end={}\n{}",
        ADDRESSES.join(","),
        each("0x0b"),
        each("7"),
        each("0x80"),
        each("0xff"),
        announce("SMBus stub", "spd5118", 8, "/host/spdfill /dev/i2c-$bus 0x5$n /host/spd-$n.bin")
    );
    let inspection = inspect(&mut guest, &script)?;
    let read = read_modules(&inspection);
    let accused: Vec<_> = findings(&inspection).filter(|(_, part)| part.starts_with("dimm:")).collect();
    ensure!(read == 8 && accused.is_empty(), "{read} modules read, accused: {accused:?}");
    Ok("8 modules read, none accused".to_owned())
}

pub fn ddr4_clones(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    write_modules(&guest, &fixtures::modules(&SpdImage::ddr4_rdimm(), 8, &[2, 5]))?;
    bring(&guest, "spdsim.ko")?;
    let names: Vec<String> = (0..8).map(|index| format!("spd-{index}.bin")).collect();
    let script =
        format!("insmod /host/spdsim.ko spd={}\n{}", names.join(","), announce("SPD simulator", "ee1004", 8, ""));
    let inspection = inspect(&mut guest, &script)?;
    let (read, twins) = (read_modules(&inspection), parts_of(&inspection, "dimm.id-duplicate"));
    let are_the_twins = matches!(&twins[..], [a, b] if a.ends_with("-0052") && b.ends_with("-0055"));
    ensure!(read == 8 && are_the_twins, "{read} modules read, dimm.id-duplicate on {twins:?}");
    Ok(format!("dimm.id-duplicate on {}", twins.join(", ")))
}

pub fn page_alias(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    write_modules(&guest, &fixtures::modules(&SpdImage::ddr4_rdimm(), 1, &[]))?;
    bring(&guest, "spdfill")?;
    let fill = "/host/spdfill /dev/i2c-$bus 0x50 /host/spd-0.bin";
    let script = format!("modprobe i2c-stub chip_addr=0x36,0x37,0x50\n{}", announce("SMBus stub", "ee1004", 1, fill));
    let inspection = inspect(&mut guest, &script)?;
    let aliased = parts_of(&inspection, "dimm.page-alias");
    ensure!(aliased.len() == 1, "dimm.page-alias on {aliased:?}, {} modules read", read_modules(&inspection));
    Ok(format!("dimm.page-alias on {}", aliased.join(", ")))
}

/// A DDR3 module, the first page of a DDR4 one and of a DDR5 hub, on a bus without EEPROM drivers. The kernel's own trace of
/// the bus says whether anything was written.
pub fn no_driver(bench: &Bench) -> anyhow::Result<String> {
    const TRACE: &str = "/sys/kernel/tracing";
    let mut guest = Guest::new(bench)?;
    write_modules(&guest, &[SpdImage::ddr3_rdimm(), SpdImage::ddr4_rdimm(), SpdImage::ddr5_rdimm()])?;
    bring(&guest, "spdfill")?;
    // What answers at 36h is the page of the DDR4 module.
    let script = format!(
        "modprobe i2c-stub functionality=0x7f0000 chip_addr=0x50,0x51,0x52,0x36 bank_reg=0,0,0x0b,0 bank_mask=0,0,7,0 \
         bank_start=0,0,0x80,0 bank_end=0,0,0xff,0\n\
         {}\n\
         for n in 0 1 2; do /host/spdfill /dev/i2c-$bus 0x5$n /host/spd-$n.bin; done\n\
         mount -t tracefs tracefs {TRACE}\n\
         echo 1 >{TRACE}/events/smbus/enable; echo 1 >{TRACE}/events/i2c/enable",
        find_bus("SMBus stub")
    );
    let inspection = inspect_then(&mut guest, &script, &format!("cat {TRACE}/trace >/host/trace"))?;
    let modules = inspection["dimms"].as_array().map_or(&[][..], Vec::as_slice);
    // QEMU has a slot of its own, of type RAM.
    let kinds = modules.iter().filter_map(|module| module["type"].as_str()).filter(|kind| kind.starts_with("DDR"));
    let kinds: Vec<&str> = kinds.collect();
    let trace = guest.host_text("trace")?;
    let events = |name: &str| trace.lines().filter(|line| line.contains(name)).count();
    let (reads, writes) = (events("smbus_read:"), events("smbus_write:") + events("i2c_write:"));
    let read = read_modules(&inspection);
    ensure!(
        kinds == ["DDR3", "DDR4", "DDR5"] && read == 1 && reads > 1000 && writes == 0,
        "{kinds:?}, {read} identities, {reads} reads, {writes} writes"
    );
    // Three generations are no kit, and nothing else is to be said of them.
    let accuses = |rule: &str| rule.starts_with("dimm.") && rule != "dimm.kit-mixed";
    let accused: Vec<_> = findings(&inspection).filter(|(rule, _)| accuses(rule)).collect();
    ensure!(accused.is_empty(), "accused: {accused:?}");
    Ok(format!("{} in {reads} reads, 0 writes", kinds.join(", ")))
}

pub fn pci_h100(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    for (index, (speed, width)) in [(0, (5, 16)), (1, (3, 8))] {
        guest.host_file(&format!("gpu-{index}.bin"), fixtures::h100_config(speed, width))?;
        guest.host_file(&format!("port-{index}.bin"), fixtures::root_port_config(index + 1, speed, width))?;
    }
    bring(&guest, "fakepci.ko")?;
    let inspection =
        inspect(&mut guest, "insmod /host/fakepci.ko config=gpu-0.bin,gpu-1.bin port=port-0.bin,port-1.bin")?;
    let gpus = inspection["gpus"].as_array().map_or(&[][..], Vec::as_slice);
    let named = gpus.iter().filter(|gpu| gpu["name"].as_str().is_some_and(|name| name.contains("H100"))).count();
    let width = parts_of(&inspection, "gpu.link-width-reduced");
    let speed = parts_of(&inspection, "gpu.link-speed-reduced");
    let degraded = ["gpu:9999:02:00.0"];
    ensure!(named == 2 && width == degraded && speed == degraded, "{named} H100, width {width:?}, speed {speed:?}");
    // What only a driver tells is open, and not fine.
    let open = parts_without(&inspection, "gpu.memory_permille");
    ensure!(open == ["gpu:9999:01:00.0", "gpu:9999:02:00.0"], "the memory is open on {open:?}");
    Ok(format!("2 H100; link width and speed reduced on {}; memory open on both", degraded[0]))
}

/// Adds the images of two empty drives, for the backends `a` and `b`.
fn two_drives(guest: &mut Guest<'_>, device: impl Fn(usize, &str) -> String) -> anyhow::Result<()> {
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let path = guest.file(&format!("{name}.img"), vec![0; 16 << 20])?;
        guest.arguments(&format!(
            "-drive if=none,id={name},format=raw,file={} -device {}",
            path.display(),
            device(index, name)
        ));
    }
    Ok(())
}

pub fn nvme_twins(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    two_drives(&mut guest, |_, name| format!("nvme,drive={name},serial=S64FNE0R602879"))?;
    let inspection = inspect(&mut guest, "")?;
    let unbound = parts_of(&inspection, "platform.nvme-unbound");
    let drives = inspection["drives"].as_array().map_or(0, Vec::len);
    ensure!(!unbound.is_empty(), "platform.nvme-unbound nowhere, {drives} drives");
    Ok(format!("platform.nvme-unbound, {drives} drive"))
}

pub fn sata_twins(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    guest.arguments("-device ahci,id=ahci");
    two_drives(&mut guest, |index, name| {
        format!("ide-hd,drive={name},bus=ahci.{index},serial=ZL2AB7KQ,model=ST16000NM001G")
    })?;
    let inspection = inspect(&mut guest, "")?;
    let twins = parts_of(&inspection, "drive.serial-duplicate");
    ensure!(twins.len() == 2, "drive.serial-duplicate on {twins:?}");
    Ok(format!("drive.serial-duplicate on {}", twins.join(", ")))
}
