//! From what lspci prints to `gpu.pci.*`.

use super::machine::{Gpu, Machine};
use crate::evidence::Reading;
use crate::parse::lspci::{self, Function};
use crate::parse::pci_config::{ConfigSpace, Link};
use crate::pci_names;

const SOURCE: &str = "lspci";
const NVIDIA: u16 = 0x10de;
const NONE: Reading = Reading::Absent;
const REFUSED: Reading = Reading::Denied;
/// Class codes of display controllers by lspci's names.
const CLASSES: &[(&str, u16)] = &[
    ("VGA compatible controller", 0x0300),
    ("XGA compatible controller", 0x0301),
    ("3D controller", 0x0302),
    ("Display controller", 0x0380),
];

/// NVIDIA's display functions become GPUs; other functions are not looked at.
pub(super) fn read(text: &str, machine: &mut Machine) {
    let functions = lspci::parse(text);
    let gpus: Vec<Gpu> = functions.iter().filter_map(gpu).collect();
    if gpus.is_empty() {
        machine.note(format!("lspci shows {} functions, and none is an NVIDIA GPU", functions.len()));
    }
    machine.section(gpus, false);
}

fn gpu(function: &Function) -> Option<Gpu> {
    let config = ConfigSpace::new(&function.config).into_known();
    let mut gpu = Gpu::at(Some(function.address.clone()));
    if !function.extract {
        let vendor = match (&config, function.ids) {
            (Some(config), _) => Some(config.vendor_id()),
            (None, Some((vendor, _))) => Some(vendor),
            (None, None) => function.name.starts_with("NVIDIA Corporation").then_some(NVIDIA),
        };
        let class = class(function, config.as_ref());
        if vendor != Some(NVIDIA) || class.is_none_or(|class| class >> 16 != 0x03) {
            return None;
        }
        identity(&mut gpu, function, config.as_ref(), class.unwrap_or_default());
    }
    if let Some(config) = &config {
        of_config(&mut gpu, config);
    }
    details(&mut gpu, function);
    Some(gpu)
}

/// The class code with its programming interface, which is 0 where it is not printed: no display controller that
/// computes has another.
fn class(function: &Function, config: Option<&ConfigSpace<'_>>) -> Option<u32> {
    if let Some(config) = config {
        return Some(config.class());
    }
    let named = || {
        let name = function.class_name.as_deref()?;
        CLASSES.iter().find(|(class, _)| *class == name).map(|(_, code)| *code)
    };
    let class = function.class.or_else(named)?;
    Some(u32::from(class) << 8 | u32::from(function.prog_if.unwrap_or(0)))
}

fn identity(gpu: &mut Gpu, function: &Function, config: Option<&ConfigSpace<'_>>, class: u32) {
    let hex16 = |id: u16| format!("{id:#06x}");
    let printed = function.ids.map(|(_, device)| (device, SOURCE));
    let named = || device_of_name(&function.name).map(|id| (id, "lspci: name, looked up in pci.ids"));
    let device =
        config.map(|config| (config.device_id(), "lspci -xxx: configuration space")).or(printed).or_else(named);
    gpu.fact("gpu.pci.vendor_id", hex16(NVIDIA), SOURCE);
    if let Some((device, source)) = device {
        gpu.fact("gpu.pci.device_id", hex16(device), source);
        let name = pci_names::device(NVIDIA, device).map(str::to_owned);
        gpu.fact("gpu.pci.device_name", name, "pci.ids");
    }
    gpu.fact("gpu.pci.vendor_name", "NVIDIA Corporation", SOURCE);
    gpu.fact("gpu.pci.class", format!("{class:#08x}"), SOURCE);
    if let Some(name) = pci_names::class((class >> 16) as u8, (class >> 8) as u8) {
        gpu.fact("gpu.pci.class_name", name, "pci.ids");
    }
    let revision = config.map(ConfigSpace::revision).or(function.revision);
    if let Some(revision) = revision {
        gpu.fact("gpu.pci.revision", format!("{revision:#04x}"), SOURCE);
    }
    let subsystem = match config.map(ConfigSpace::subsystem) {
        Some(Reading::Known((vendor, device))) => (Some(vendor), Some(device)),
        _ => match (function.subsystem, &function.subsystem_name) {
            (Some((vendor, device)), _) => (Some(vendor), Some(device)),
            (None, Some(name)) => (vendor_of_name(name), device_number(name)),
            (None, None) => (None, None),
        },
    };
    if subsystem == (Some(0), Some(0)) {
        gpu.fact("gpu.pci.subsystem_vendor_id", NONE, SOURCE);
        gpu.fact("gpu.pci.subsystem_device_id", NONE, SOURCE);
    }
    if let Some(vendor) = subsystem.0 {
        gpu.fact("gpu.pci.subsystem_vendor_id", hex16(vendor), SOURCE);
    }
    if let Some(device) = subsystem.1 {
        gpu.fact("gpu.pci.subsystem_device_id", hex16(device), SOURCE);
    }
}

/// `NVIDIA Corporation Device 2330` says its id; another name is looked up, and counts when one device has it.
fn device_of_name(name: &str) -> Option<u16> {
    if let Some(id) = device_number(name) {
        return Some(id);
    }
    pci_names::device_named(NVIDIA, name.strip_prefix("NVIDIA Corporation ")?)
}

/// `… Device 510b`
fn device_number(name: &str) -> Option<u16> {
    let digits = name.rsplit_once("Device ")?.1;
    (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// The vendor whose name the text begins with.
fn vendor_of_name(name: &str) -> Option<u16> {
    pci_names::vendor_named(name.split(" Device ").next().unwrap_or(name))
}

/// What the hexadecimal dump says, which no locale and no version of lspci changes.
fn of_config(gpu: &mut Gpu, config: &ConfigSpace<'_>) {
    const DUMP: &str = "lspci -xxx: configuration space";
    let bars = config.resizable_bar();
    // The text may have what a short dump has not.
    let mut known = |path: &str, reading: Reading| {
        if reading.known().is_some() {
            gpu.fact(path, reading, DUMP);
        }
    };
    known("gpu.pci.rebar_current_bytes", bars.as_ref().map(|it| it.current_bytes).value());
    known("gpu.pci.rebar_max_bytes", bars.map(|it| it.max_bytes).value());
    let (Link { width, speed_mts }, status) = (config.link_capability(), config.link_status());
    known("gpu.pci.link.max_width", width.value());
    known("gpu.pci.link.max_speed_mts", speed_mts.value());
    known("gpu.pci.link.current_width", status.width.value());
    known("gpu.pci.link.current_speed_mts", status.speed_mts.value());
    known("gpu.pci.serial_number", config.serial_number().value());
}

fn details(gpu: &mut Gpu, function: &Function) {
    if !function.bar_bytes.is_empty() {
        gpu.fact("gpu.pci.bar_bytes", function.bar_bytes.clone(), "lspci: sizes of the regions");
    }
    let largest = function.resizable_bars.iter().max_by_key(|(_, max)| *max);
    if let Some((current, max)) = largest {
        gpu.fact("gpu.pci.rebar_current_bytes", *current, "lspci: Physical Resizable BAR");
        gpu.fact("gpu.pci.rebar_max_bytes", *max, "lspci: Physical Resizable BAR");
    }
    for (link, paths, source) in [
        (function.link_capability, ["gpu.pci.link.max_speed_mts", "gpu.pci.link.max_width"], "lspci: LnkCap"),
        (function.link_status, ["gpu.pci.link.current_speed_mts", "gpu.pci.link.current_width"], "lspci: LnkSta"),
    ] {
        match link {
            Some((speed, width)) => {
                gpu.fact(paths[0], speed, source);
                gpu.fact(paths[1], width, source);
            }
            None if function.capabilities_denied => paths.iter().for_each(|path| gpu.fact(path, REFUSED, source)),
            None => {}
        }
    }
    if function.capabilities_denied {
        for path in ["gpu.pci.rebar_current_bytes", "gpu.pci.rebar_max_bytes", "gpu.pci.serial_number"] {
            gpu.fact(path, REFUSED, "lspci: Capabilities");
        }
    }
    for (path, text) in [
        ("gpu.pci.slot", &function.slot),
        ("gpu.pci.serial_number", &function.serial_number),
        ("gpu.pci.driver", &function.driver),
    ] {
        if let Some(text) = text {
            gpu.fact(path, text.clone(), SOURCE);
        }
    }
    if function.drivers_listed {
        gpu.fact("gpu.pci.driver", NONE, "lspci: no kernel driver in use");
    }
    if let Some(node) = function.numa_node {
        gpu.fact("gpu.pci.numa_node", node, SOURCE);
    }
}
