//! The files that the kernel shows of a rig's GPUs: the PCI bus in sysfs, the kernel module in sysfs and procfs.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use anyhow::Context;

use crate::rig::{Address, DriverFacts, Gpu, Rig, Source};

const MIB: u64 = 1 << 20;
const CONFIG_BYTES: usize = 4096;
/// Architecture and implementation in `PMC_BOOT_0`.
const GA100: u32 = 0x170;
/// Where it has the two registers of its PDI (`hw_fuse_ga100.h` of NVIDIA's driver nvgpu).
const PDI_REGISTERS: u64 = 0x0082_0344;
/// Class of boards with display outputs. Their memory is BAR 1; that of the others is BAR 2.
const DISPLAY: u32 = 0x030000;
/// An Intel root port.
const PORT_VENDOR: u16 = 0x8086;
const PORT_DEVICE: u16 = 0x352a;
const PORT_CLASS: u32 = 0x060400;

/// Writes all of it below a folder.
pub fn write(rig: &Rig, root: &Path) -> anyhow::Result<()> {
    for (ordinal, virtual_gpu) in rig.gpus.iter().enumerate() {
        let gpu = virtual_gpu.says();
        if gpu.seen_by.contains(&Source::Pci) {
            write_functions(gpu, ordinal, root)?;
        }
        if rig.driver.loaded && gpu.seen_by.contains(&Source::Procfs) {
            let folder = root.join(format!("proc/driver/nvidia/gpus/{}", gpu.pci.address));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("information"), information(gpu, ordinal))?;
        }
    }
    if rig.driver.loaded {
        write_module(&rig.driver, root)?;
    }
    Ok(())
}

/// Width and generation of a link.
#[derive(Clone, Copy)]
struct Lanes {
    width: u8,
    generation: u8,
}

impl Lanes {
    fn register(self) -> u16 {
        u16::from(self.width) << 4 | u16::from(self.generation)
    }

    /// `32.0 GT/s PCIe`.
    fn speed(self) -> String {
        let gigatransfers = match self.generation {
            1 => 2.5,
            2 => 5.0,
            generation => f64::from(1u32 << generation.min(7)),
        };
        format!("{gigatransfers:.1} GT/s PCIe")
    }
}

/// A PCI function to be written.
struct Function {
    address: Address,
    ids: [u16; 4],
    class: u32,
    revision: u8,
    max: Lanes,
    now: Lanes,
    /// Slot number, which makes it a root port.
    slot: Option<u32>,
    /// Regions 0 to 5: bytes, and whether it is a 64-bit one.
    regions: [(u64, bool); 6],
    /// Number of the resizable region, its smallest, set and largest size in MiB.
    resizable: Option<(u32, [u64; 3])>,
    config_bytes: usize,
    driver: String,
    numa_node: i32,
}

fn write_functions(gpu: &Gpu, ordinal: usize, root: &Path) -> anyhow::Result<()> {
    let tree = &gpu.tree;
    let max = Lanes { width: gpu.pcie.max_width, generation: gpu.pcie.max_generation };
    let now = Lanes { width: gpu.pcie.current_width, generation: gpu.pcie.current_generation };
    let above = tree.port.map_or(max, |[width, generation]| Lanes { width, generation });
    let at = gpu.pci.address;
    let port = Function {
        address: Address { bus: at.bus.saturating_sub(1), device: 1, function: 0, ..at },
        ids: [PORT_VENDOR, PORT_DEVICE, PORT_VENDOR, 0],
        class: PORT_CLASS,
        revision: 4,
        max: above,
        now: Lanes { width: now.width.min(above.width), generation: now.generation.min(above.generation) },
        slot: Some(ordinal as u32 + 1),
        regions: [(0, false); 6],
        resizable: None,
        config_bytes: CONFIG_BYTES,
        driver: "pcieport".to_owned(),
        numa_node: tree.numa_node.unwrap_or(0),
    };
    let memory_region = if gpu.pci.class == DISPLAY { 1 } else { 2 };
    let [registers, memory, instance] = tree.bars_mib.unwrap_or([16, gpu.memory.bar1_mib.unwrap_or(256), 32]);
    let mut regions = [(0, false); 6];
    regions[0] = (registers * MIB, memory_region == 2);
    regions[memory_region] = (memory * MIB, true);
    regions[memory_region + 2] = (instance * MIB, true);
    let function = Function {
        address: at,
        ids: [
            tree.vendor_id.unwrap_or(gpu.pci.vendor_id),
            tree.device_id.unwrap_or(gpu.pci.device_id),
            tree.subsystem_vendor_id.unwrap_or(gpu.pci.subsystem_vendor_id),
            tree.subsystem_device_id.unwrap_or(gpu.pci.subsystem_device_id),
        ],
        class: gpu.pci.class,
        revision: gpu.pci.revision,
        max,
        now,
        slot: None,
        regions,
        resizable: tree.rebar_mib.map(|[least, most]| (memory_region as u32, [least, memory, most])),
        config_bytes: tree.config_bytes.unwrap_or(CONFIG_BYTES),
        driver: tree.driver.clone().unwrap_or_else(|| "nvidia".to_owned()),
        numa_node: tree.numa_node.unwrap_or(0),
    };
    let bus = format!("sys/devices/pci{:04x}:{:02x}", at.domain, port.address.bus);
    let port_path = format!("{bus}/{}", port.address);
    let path = format!("{port_path}/{at}");
    port.write(root, &port_path)?;
    function.write(root, &path)?;
    if let Some(boot0) = tree.boot0 {
        let mut page = vec![0; 4096];
        page[..4].copy_from_slice(&boot0.to_le_bytes());
        let file = fs::File::create(root.join(path).join("resource0"))?;
        file.write_all_at(&page, 0)?;
        // The file is 8 MB long with them.
        if let Some(pdi) = tree.pdi.as_ref().or(gpu.pdi.as_ref()).filter(|_| boot0 >> 20 == GA100) {
            // The low half is in the first of the two registers.
            let pdi = u64::from_str_radix(pdi, 16).context("a PDI is 16 hexadecimal digits")?;
            file.write_all_at(&pdi.to_le_bytes(), PDI_REGISTERS)?;
            file.set_len(PDI_REGISTERS / 4096 * 4096 + 4096)?;
        }
    }
    Ok(())
}

impl Function {
    fn write(&self, root: &Path, path: &str) -> anyhow::Result<()> {
        let folder = root.join(path);
        fs::create_dir_all(&folder)?;
        let file = |name: &str, content: String| fs::write(folder.join(name), content);
        let [vendor, device, subsystem_vendor, subsystem_device] = self.ids;
        file("vendor", format!("{vendor:#06x}\n"))?;
        file("device", format!("{device:#06x}\n"))?;
        file("subsystem_vendor", format!("{subsystem_vendor:#06x}\n"))?;
        file("subsystem_device", format!("{subsystem_device:#06x}\n"))?;
        file("class", format!("{:#08x}\n", self.class))?;
        file("revision", format!("{:#04x}\n", self.revision))?;
        file("numa_node", format!("{}\n", self.numa_node))?;
        file("max_link_width", format!("{}\n", self.max.width))?;
        file("max_link_speed", format!("{}\n", self.max.speed()))?;
        file("current_link_width", format!("{}\n", self.now.width))?;
        file("current_link_speed", format!("{}\n", self.now.speed()))?;
        file("resource", self.resource())?;
        fs::write(folder.join("config"), self.config())?;

        let devices = root.join("sys/bus/pci/devices");
        fs::create_dir_all(&devices)?;
        let below_sys = path.strip_prefix("sys/").unwrap_or(path);
        symlink(format!("../../../{below_sys}"), devices.join(self.address.to_string()))?;
        if !self.driver.is_empty() {
            fs::create_dir_all(root.join("sys/bus/pci/drivers").join(&self.driver))?;
            let up = "../".repeat(below_sys.split('/').count());
            symlink(format!("{up}bus/pci/drivers/{}", self.driver), folder.join("driver"))?;
        }
        Ok(())
    }

    /// `start end flags` a region: six BARs and the option ROM.
    fn resource(&self) -> String {
        let mut text = String::new();
        let mut start = 0x2000_0000_0000u64 + (u64::from(self.address.bus) << 40);
        for (bytes, wide) in self.regions {
            if bytes == 0 {
                text.push_str("0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
                continue;
            }
            let flags: u64 = if wide { 0x14220c } else { 0x040200 };
            text.push_str(&format!("{start:#018x} {:#018x} {flags:#018x}\n", start + bytes - 1));
            start += bytes.next_power_of_two();
        }
        text.push_str("0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
        text
    }

    /// Configuration space (PCI Express Base Specification 6.0, chapter 7).
    fn config(&self) -> Vec<u8> {
        let mut config = vec![0; CONFIG_BYTES];
        let mut put = |offset: usize, bytes: &[u8]| config[offset..offset + bytes.len()].copy_from_slice(bytes);
        let bridge = self.slot.is_some();
        put(0x00, &self.ids[0].to_le_bytes());
        put(0x02, &self.ids[1].to_le_bytes());
        put(0x04, &0x0406u16.to_le_bytes());
        put(0x06, &0x0010u16.to_le_bytes());
        put(0x08, &(self.class << 8 | u32::from(self.revision)).to_le_bytes());
        put(0x0e, &[bridge.into()]);
        put(0x34, &[0x60]);
        put(0x60, &[0x10, if bridge { 0x80 } else { 0x00 }]);
        put(0x62, &(2u16 | if bridge { 4 << 4 | 1 << 8 } else { 0 }).to_le_bytes());
        put(0x6c, &u32::from(self.max.register()).to_le_bytes());
        put(0x72, &self.now.register().to_le_bytes());
        match self.slot {
            Some(slot) => {
                put(0x18, &[self.address.bus, self.address.bus + 1, self.address.bus + 1]);
                put(0x74, &(slot << 19).to_le_bytes());
                put(0x80, &[0x0d, 0x00, 0, 0]);
                put(0x84, &self.ids[2].to_le_bytes());
                put(0x86, &self.ids[3].to_le_bytes());
            }
            None => {
                put(0x2c, &self.ids[2].to_le_bytes());
                put(0x2e, &self.ids[3].to_le_bytes());
                for (index, (bytes, wide)) in self.regions.into_iter().enumerate() {
                    if bytes > 0 {
                        put(0x10 + 4 * index, &[if wide { 0x0c } else { 0x00 }]);
                    }
                }
            }
        }
        if let Some((region, [least, now, most])) = self.resizable {
            let log2 = |mib: u64| mib.max(1).ilog2();
            // Bit n is 2^n MiB: the first 28 in the capability register, the others in the control register.
            let sizes = (log2(least)..=log2(most)).fold(0u64, |sizes, bit| sizes | 1 << bit);
            put(0x100, &(0x0015u32 | 1 << 16).to_le_bytes());
            put(0x104, &((sizes << 4) as u32).to_le_bytes());
            let control = region | 1 << 5 | log2(now) << 8 | ((sizes >> 28) as u32) << 16;
            put(0x108, &control.to_le_bytes());
        }
        config.truncate(self.config_bytes);
        config
    }
}

/// `/proc/driver/nvidia/gpus/*/information` as the kernel module prints it.
fn information(gpu: &Gpu, ordinal: usize) -> Vec<u8> {
    let procfs = &gpu.procfs;
    let text = |own: &Option<String>, nvml: Option<&crate::rig::Text>| {
        own.as_ref().map_or_else(|| nvml.map_or(b"N/A".to_vec(), |it| it.bytes().into_owned()), |it| it.clone().into())
    };
    let mut out = Vec::new();
    let mut line = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" \t ");
        out.extend_from_slice(value);
        out.push(b'\n');
    };
    line("Model:", &text(&procfs.model, Some(&gpu.name)));
    line("IRQ:  ", gpu.irq.to_string().as_bytes());
    line("GPU UUID:", &text(&procfs.uuid, gpu.uuid.as_ref()));
    line("Video BIOS:", &text(&procfs.vbios_version, gpu.vbios_version.as_ref()).to_ascii_lowercase());
    line("Bus Type:", b"PCIe");
    line("DMA Size:", b"52 bits");
    line("DMA Mask:", b"0xfffffffffffff");
    line("Bus Location:", gpu.pci.address.to_string().as_bytes());
    line("Device Minor:", gpu.minor.unwrap_or(ordinal as u32).to_string().as_bytes());
    line("GPU Firmware:", &text(&procfs.firmware, gpu.gsp_firmware.as_ref()));
    line("GPU Excluded:", if procfs.excluded { b"Yes" } else { b"No" });
    out
}

fn write_module(driver: &DriverFacts, root: &Path) -> anyhow::Result<()> {
    let libraries = String::from_utf8_lossy(&driver.version.bytes()).into_owned();
    let version = driver.kernel_version.as_ref().unwrap_or(&libraries);
    let proc = root.join("proc/driver/nvidia");
    fs::create_dir_all(&proc)?;
    let flavour = if driver.open { "Open Kernel Module for x86_64" } else { "x86_64 Kernel Module" };
    let release = if driver.open { "Release Build  (dvs-builder@U22-I3-AE18-23-3)  " } else { "" };
    let text = format!(
        "NVRM version: NVIDIA UNIX {flavour}  {version}  {release}Wed Feb 26 01:15:44 UTC 2025\n\
         GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
    );
    fs::write(proc.join("version"), text)?;
    let module = root.join("sys/module/nvidia");
    fs::create_dir_all(&module)?;
    fs::write(module.join("version"), format!("{version}\n"))?;
    fs::write(module.join("srcversion"), format!("{}\n", driver.srcversion))?;
    Ok(())
}
