//! An image with an NVIDIA pack, as far as a machine without an NVIDIA GPU goes; its menu is used on the serial console.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::Value as Json;

use super::image::CHALLENGE;
use super::report::{answers, copy_out, reports_in, verify_by_its_key};
use super::stick::add_stick;
use crate::guest::{Bench, Guest};
use crate::project;

/// GPUs that the test driver's library serves where it is asked to.
const RIG: &str = "h100-sxm-x8.toml";
const RIG_GPUS: usize = 8;

/// Takes an inspection from the menu, and a report that answers what is typed in; asks in its shell what the driver did, and
/// powers off. The report is on the stick that was plugged in beside the medium.
pub fn nvidia_pack(bench: &Bench) -> anyhow::Result<String> {
    let real = bench.images.real_pack.as_deref();
    let pack = real.map_or_else(|| bench.images.test_pack(), Ok)?;
    let rig = project().join("tests/vgpu/rigs").join(RIG);
    let options = ["--nvidia-pack", &pack.display().to_string(), "--add", &rig.display().to_string()];
    let image = bench.images.build("packed", &options)?;
    let json: Json = serde_json::from_slice(&fs::read(image.join("image.json"))?)?;
    let measured = json["cmdline"].as_str().and_then(|words| words.split_once("yanji.nvidia="));
    let digest = measured.context("the pack's digest is not on the command line")?.1;

    let mut guest = Guest::new(bench)?;
    // The pack is copied into memory.
    guest.replace("-m", "1024");
    // From the CD, whatever is on the stick.
    guest.arguments(&format!("-boot order=d -cdrom {}", image.join("yanji.iso").display()));
    let ask = format!(
        "dmesg | grep NVRM: ; echo below: $(cat /run/nvidia/modules/below) ; VGPU_RIG=/run/medium/{RIG} yanji inspect | grep ' gpu:.* MiB' ; exit"
    );
    guest.arguments("-device qemu-xhci");
    let stick = add_stick(&mut guest, "own", "")?;
    guest.types("6  power off", "2").types("Enter leads back", "");
    guest.types("6  power off", "1").types("[quick]: ", "short.toml").types("[none]: ", CHALLENGE);
    guest.types("Enter leads back", "");
    guest.types("6  power off", "5").types("exit leads back", &ask).types("Enter leads back", "");
    guest.types("6  power off", "6");
    let outcome = guest.run()?;
    outcome.says("reboot: Power down")?;
    let reports = reports_in(&copy_out(&guest, &stick, 0)?)?;
    ensure!(reports.len() == 1, "{} reports on the stick: {}", reports.len(), outcome.tail());
    verify_by_its_key(&guest, &reports[0])?.is_valid()?;
    answers(&reports[0], CHALLENGE)?;
    // The library was opened, and said that no driver is loaded: by itself the test driver has no GPU either.
    outcome.says("driver.nvml.driver_version failed")?;
    if real.is_some() {
        let refused = format!("the driver of NVIDIA pack {digest} could not be loaded (NVRM: No NVIDIA GPU found.)");
        outcome.says(&format!("{refused}: GPUs are inspected at PCI level"))?;
        return Ok("verified; nvidia.ko finds no GPU and the library no driver, said; report by the menu".to_owned());
    }
    outcome.says(&format!("NVIDIA pack {digest}: driver 550.1.2 is loaded"))?;
    // A number that a module of the kernel calculated which only the pack has.
    outcome.says("below: crc7.ko")?;
    outcome.says("NVRM: the test driver is loaded (f0)")?;
    let gpus = outcome.console.matches("NVIDIA H100 80GB HBM3 81559 MiB").count();
    ensure!(gpus == RIG_GPUS, "{gpus} GPUs by the pack's library: {}", outcome.tail());
    Ok(format!("verified, 3 modules loaded, {gpus} virtual GPUs by its library; report by the menu"))
}
