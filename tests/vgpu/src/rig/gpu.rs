//! One GPU as its table says. A field that is absent is one that the GPU does not support.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use nvml_wrapper_sys::bindings as sys;
use serde::Deserialize;

use super::{Cuda, Process, Text};
use crate::attest::{Contents, Identity, Signer, vbios_field};

/// What a GPU says by every way that it can be asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Who knows of it.
    #[serde(default = "Source::all")]
    pub seen_by: Vec<Source>,
    /// Product name.
    pub name: Text,
    /// Brand.
    pub brand: Brand,
    /// Architecture.
    pub architecture: Architecture,
    /// CUDA compute capability, major and minor.
    pub compute_capability: [i32; 2],
    /// UUID: `GPU-` and 32 hexadecimal digits.
    pub uuid: Option<Text>,
    /// Board serial number.
    pub serial: Option<Text>,
    /// Per-device identifier, 16 hexadecimal digits.
    pub pdi: Option<String>,
    /// Board part number.
    pub board_part_number: Option<Text>,
    /// Board id; bus and device number without it.
    pub board_id: Option<u32>,
    /// Whether the board has several GPUs.
    #[serde(default)]
    pub multi_gpu_board: bool,
    /// VBIOS version.
    pub vbios_version: Option<Text>,
    /// CUDA cores.
    pub cores: Option<u32>,
    /// Width of the memory bus.
    pub bus_width_bits: Option<u32>,
    /// Number of `/dev/nvidiaN`; the position without it.
    pub minor: Option<u32>,
    /// Position of the module on its baseboard.
    pub module_id: Option<u32>,
    /// Version of the GPU system processor's firmware.
    pub gsp_firmware: Option<Text>,
    /// Performance state: 0 to 15.
    pub performance_state: Option<u32>,
    /// Whether persistence mode is on.
    #[serde(default)]
    pub persistence: bool,
    /// Compute mode: 0 default, 2 prohibited, 3 exclusive.
    #[serde(default)]
    pub compute_mode: u32,
    /// Virtualisation mode: 0 none, 1 passthrough, 2 vGPU guest, 3 vGPU host, 4 vSGA host.
    #[serde(default)]
    pub virtualization: u32,
    /// Interrupt.
    #[serde(default)]
    pub irq: u32,
    /// The PCI function as NVML tells it.
    pub pci: Pci,
    /// What the PCI bus itself says where that is something else, and what only it says.
    #[serde(default)]
    pub tree: PciTree,
    /// What the kernel module says where that is something else.
    #[serde(default)]
    pub procfs: Procfs,
    /// InfoROM.
    #[serde(default)]
    pub inforom: Inforom,
    /// Memory.
    pub memory: Memory,
    /// Clocks now.
    #[serde(default)]
    pub clocks: Clocks,
    /// Highest clocks.
    #[serde(default)]
    pub max_clocks: Clocks,
    /// Reasons why clocks are held down, as the bits of nvml.h.
    pub throttle_reasons: Option<u64>,
    /// Power.
    #[serde(default)]
    pub power: Power,
    /// Temperatures.
    #[serde(default)]
    pub temperature: Temperature,
    /// Fans.
    #[serde(default)]
    pub fans: Fans,
    /// ECC.
    pub ecc: Option<Ecc>,
    /// Errors of the on-chip memories.
    pub sram: Option<Sram>,
    /// Memory pages that are out of use.
    pub retired_pages: Option<RetiredPages>,
    /// Memory rows that were replaced.
    pub remapped_rows: Option<RemappedRows>,
    /// Repairs that wait.
    pub repair: Option<Repair>,
    /// PCI Express link.
    pub pcie: Pcie,
    /// NVLink.
    pub nvlink: Option<NvLink>,
    /// Peer-to-peer state with every other GPU.
    #[serde(default)]
    pub p2p: P2p,
    /// NVLink fabric.
    pub fabric: Option<Fabric>,
    /// Place in the rack.
    pub platform: Option<Platform>,
    /// Partitions.
    pub mig: Option<Mig>,
    /// Confidential computing.
    #[serde(default)]
    pub confidential_compute: ConfidentialCompute,
    /// Last flush of the InfoROM's black box.
    pub bbx: Option<Bbx>,
    /// Whether the chip-to-chip link is on.
    pub c2c: Option<bool>,
    /// Share of the time in which it works, percent.
    #[serde(default)]
    pub utilization_percent: u32,
    /// Other programs on it.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// What it is to CUDA.
    #[serde(default)]
    pub cuda: Cuda,
}

/// A way to a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The NVML library.
    Nvml,
    /// The PCI bus.
    Pci,
    /// The kernel module.
    Procfs,
}

impl Source {
    fn all() -> Vec<Self> {
        vec![Self::Nvml, Self::Pci, Self::Procfs]
    }
}

/// `nvmlBrandType_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are those of nvml.h")]
pub enum Brand {
    Unknown = 0,
    Quadro = 1,
    Tesla = 2,
    Geforce = 5,
    Titan = 6,
    QuadroRtx = 12,
    NvidiaRtx = 13,
    Nvidia = 14,
    GeforceRtx = 15,
    TitanRtx = 16,
}

/// `nvmlDeviceArchitecture_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are those of nvml.h")]
pub enum Architecture {
    Pascal = 4,
    Volta = 5,
    Turing = 6,
    Ampere = 7,
    Ada = 8,
    Hopper = 9,
    Blackwell = 10,
}

/// `dddd:bb:dd.f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    /// Domain.
    pub domain: u16,
    /// Bus.
    pub bus: u8,
    /// Device.
    pub device: u8,
    /// Function.
    pub function: u8,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (rest, function) = text.split_once('.')?;
            let mut fields = rest.split(':');
            let address = Self {
                domain: u16::from_str_radix(fields.next()?, 16).ok()?,
                bus: u8::from_str_radix(fields.next()?, 16).ok()?,
                device: u8::from_str_radix(fields.next()?, 16).ok().filter(|&it| it < 32)?,
                function: function.parse().ok().filter(|&it| it < 8)?,
            };
            fields.next().is_none().then_some(address)
        };
        parse().ok_or_else(|| format!("not a PCI address: {text}"))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

/// Ids of a PCI function.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pci {
    /// Address.
    pub address: Address,
    /// Vendor id.
    #[serde(default = "nvidia")]
    pub vendor_id: u16,
    /// Device id.
    pub device_id: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor_id: u16,
    /// Subsystem id.
    pub subsystem_device_id: u16,
    /// Class code: 0x030200 without display, 0x030000 with.
    pub class: u32,
    /// Revision id.
    #[serde(default = "revision_a1")]
    pub revision: u8,
}

fn nvidia() -> u16 {
    0x10de
}

fn revision_a1() -> u8 {
    0xa1
}

/// The PCI function as its configuration space and sysfs have it. What is absent is as NVML tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PciTree {
    /// Vendor id.
    pub vendor_id: Option<u16>,
    /// Device id.
    pub device_id: Option<u16>,
    /// Subsystem vendor id.
    pub subsystem_vendor_id: Option<u16>,
    /// Subsystem id.
    pub subsystem_device_id: Option<u16>,
    /// Sizes of the BARs in MiB: registers, memory, instance memory. The second one is NVML's BAR 1 without it.
    pub bars_mib: Option<[u64; 3]>,
    /// Sizes in MiB that the memory BAR can have: smallest and largest. Without it there is no resizable BAR.
    pub rebar_mib: Option<[u64; 2]>,
    /// Bytes of the configuration space: 64, 256 or 4096.
    pub config_bytes: Option<usize>,
    /// Lanes and generation of the slot above.
    pub port: Option<[u8; 2]>,
    /// Driver that is bound: `nvidia`, `vfio-pci`, or nothing when empty.
    pub driver: Option<String>,
    /// NUMA node.
    pub numa_node: Option<i32>,
    /// Register PMC_BOOT_0, which names the chip: the first word of `resource0`.
    pub boot0: Option<u32>,
    /// Per-device identifier in the registers of `resource0`, where a GA100 has it; the GPU's own without it.
    pub pdi: Option<String>,
}

/// `/proc/driver/nvidia/gpus/*/information`. What is absent is as NVML tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Procfs {
    /// Product name.
    pub model: Option<String>,
    /// UUID.
    pub uuid: Option<String>,
    /// VBIOS version.
    pub vbios_version: Option<String>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Whether the driver leaves the GPU alone.
    pub excluded: bool,
}

/// InfoROM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inforom {
    /// Version of the image.
    pub image: Option<Text>,
    /// Version of the OEM object.
    pub oem: Option<Text>,
    /// Version of the ECC object.
    pub ecc: Option<Text>,
    /// Version of the power object.
    pub power: Option<Text>,
    /// Checksum over the configuration.
    pub checksum: Option<u32>,
    /// Whether it passes validation.
    pub valid: Option<bool>,
}

/// Memory in MiB.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// All, reserved part included.
    pub total_mib: u64,
    /// Kept by driver and firmware.
    pub reserved_mib: u64,
    /// In use.
    #[serde(default)]
    pub used_mib: u64,
    /// Size of BAR 1.
    pub bar1_mib: Option<u64>,
}

/// Clocks in MHz.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Clocks {
    pub graphics_mhz: Option<u32>,
    pub sm_mhz: Option<u32>,
    pub memory_mhz: Option<u32>,
    pub video_mhz: Option<u32>,
}

/// Power in milliwatts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Power {
    pub draw_milliwatts: Option<u32>,
    pub min_limit_milliwatts: Option<u32>,
    pub max_limit_milliwatts: Option<u32>,
    pub default_limit_milliwatts: Option<u32>,
    /// The one that was asked for; the default without it.
    pub current_limit_milliwatts: Option<u32>,
    /// The lowest in force; the one that was asked for without it.
    pub enforced_limit_milliwatts: Option<u32>,
    pub energy_millijoules: Option<u64>,
}

/// Temperatures in degrees Celsius.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Temperature {
    pub gpu_celsius: Option<u32>,
    pub memory_celsius: Option<u32>,
    pub shutdown_celsius: Option<u32>,
    pub slowdown_celsius: Option<u32>,
    pub gpu_max_celsius: Option<u32>,
    pub memory_max_celsius: Option<u32>,
    /// Degrees to the first limit.
    pub margin_celsius: Option<i32>,
    /// Limits as degrees to the one of normal operation: shutdown, slowdown, memory, GPU. Newer chips have only these.
    pub limits_celsius: Option<[i32; 4]>,
}

/// Fans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fans {
    /// Intended speed of each, percent.
    pub percent: Vec<u32>,
    /// Speed of each, revolutions a minute.
    pub rpm: Vec<u32>,
    /// Lowest and highest speed that can be set, percent.
    pub limits_percent: Option<[u32; 2]>,
}

/// ECC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ecc {
    /// On now.
    pub enabled: bool,
    /// On after a reboot; as now without it.
    pub pending: Option<bool>,
    /// Locations that are counted.
    pub locations: Vec<Location>,
    /// Corrected errors since the driver was loaded, by location.
    #[serde(default)]
    pub volatile_corrected: BTreeMap<Location, u64>,
    /// Uncorrected ones.
    #[serde(default)]
    pub volatile_uncorrected: BTreeMap<Location, u64>,
    /// Corrected errors over the board's life.
    #[serde(default)]
    pub aggregate_corrected: BTreeMap<Location, u64>,
    /// Uncorrected ones.
    #[serde(default)]
    pub aggregate_uncorrected: BTreeMap<Location, u64>,
}

/// `nvmlMemoryLocation_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are those of nvml.h")]
pub enum Location {
    L1Cache = 0,
    L2Cache = 1,
    Dram = 2,
    RegisterFile = 3,
    TextureMemory = 4,
    TextureShm = 5,
    Cbu = 6,
    Sram = 7,
}

impl Ecc {
    /// Counters of one kind. `None` for a kind that nvml.h does not know.
    pub fn counters(&self, error: u32, counter: u32) -> Option<&BTreeMap<Location, u64>> {
        Some(match (counter, error) {
            (sys::nvmlEccCounterType_enum_NVML_VOLATILE_ECC, 0) => &self.volatile_corrected,
            (sys::nvmlEccCounterType_enum_NVML_VOLATILE_ECC, 1) => &self.volatile_uncorrected,
            (sys::nvmlEccCounterType_enum_NVML_AGGREGATE_ECC, 0) => &self.aggregate_corrected,
            (sys::nvmlEccCounterType_enum_NVML_AGGREGATE_ECC, 1) => &self.aggregate_uncorrected,
            _ => return None,
        })
    }
}

/// SRAM errors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are those of nvml.h")]
pub struct Sram {
    pub threshold_exceeded: bool,
    pub aggregate_parity: u64,
    pub aggregate_sec_ded: u64,
    pub aggregate_corrected: u64,
    pub volatile_parity: u64,
    pub volatile_sec_ded: u64,
    pub volatile_corrected: u64,
    /// Aggregate uncorrectable errors of L2, SM, PCIe, microcontroller and other.
    pub sources: [u64; 5],
}

/// Addresses of retired pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RetiredPages {
    pub single_bit: Vec<u64>,
    pub double_bit: Vec<u64>,
    pub pending: bool,
}

/// Remapped rows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RemappedRows {
    #[serde(default)]
    pub corrected: u32,
    #[serde(default)]
    pub uncorrected: u32,
    #[serde(default)]
    pub pending: bool,
    #[serde(default)]
    pub failed: bool,
    /// Banks with all, most, some, few and no spare rows.
    pub histogram: Option<[u32; 5]>,
}

/// Repairs that wait for a reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Repair {
    pub channel_pending: bool,
    pub tpc_pending: bool,
}

/// PCI Express link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Pcie {
    pub current_generation: u8,
    pub current_width: u8,
    pub max_generation: u8,
    pub max_width: u8,
    #[serde(default)]
    pub replays: u32,
}

/// NVLink.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NvLink {
    /// Links of the GPU.
    pub links: u32,
    /// Version of the protocol.
    pub version: u32,
    /// Links that are down.
    #[serde(default)]
    pub inactive: Vec<u32>,
    /// What is at the other ends.
    pub remote: Remote,
    /// PCI addresses at the other ends, used in turn.
    #[serde(default)]
    pub remotes: Vec<Address>,
    /// Error counters of one link: replay, recovery, CRC flit, CRC data, ECC data.
    #[serde(default)]
    pub errors: [u64; 5],
    /// The link that they are of; the others have none.
    #[serde(default)]
    pub erring: u32,
}

/// `nvmlIntNvLinkDeviceType_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are those of nvml.h")]
pub enum Remote {
    Gpu = 0,
    Switch = 2,
}

/// `nvmlGpuP2PStatus_t`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are those of nvml.h")]
pub enum P2p {
    Ok = 0,
    #[default]
    ChipsetNotSupported = 1,
    GpuNotSupported = 2,
    IohTopologyNotSupported = 3,
    DisabledByRegkey = 4,
    NotSupported = 5,
    Unknown = 6,
}

/// NVLink fabric.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fabric {
    /// 0 not supported, 1 not started, 2 in progress, 3 completed.
    pub state: u8,
    /// NVML error of the registration.
    #[serde(default)]
    pub status: u32,
    /// UUID of the cluster.
    #[serde(default)]
    pub cluster_uuid: [u8; 16],
    /// Clique in the cluster.
    #[serde(default)]
    pub clique_id: u32,
}

/// Place in the rack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are those of nvml.h")]
pub struct Platform {
    pub chassis_serial: String,
    pub slot_number: u8,
    pub tray_index: u8,
    pub host_id: u8,
    pub peer_type: u8,
    pub module_id: u8,
}

/// Partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mig {
    /// On now.
    pub enabled: bool,
    /// On after a reset.
    pub pending: bool,
    /// Partitions that exist.
    pub devices: u32,
    /// The most that there can be.
    pub max_devices: u32,
}

/// What attestation gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfidentialCompute {
    /// Device certificate chain.
    pub certificate: Option<Text>,
    /// Attestation report.
    pub report: Option<Text>,
    /// It signs whatever nonce it is given, with certificates under the tests' root. The two above are not used then.
    pub attest: bool,
    /// PDI in the certificates; the GPU's own without it.
    pub pdi: Option<String>,
    /// Project in the report; the one in the board part number without it.
    pub project: Option<String>,
    /// VBIOS version in the report; the GPU's own without it.
    pub vbios_version: Option<String>,
    /// Nonce that it signs whatever it is asked, as a GPU elsewhere does: 64 hexadecimal digits.
    pub stale_nonce: Option<String>,
    /// PDIs of the switches at its links.
    pub switches: Vec<String>,
    /// Certificates and key, which the launcher makes.
    #[serde(skip)]
    pub signer: Option<Signer>,
}

impl ConfidentialCompute {
    /// Who the certificates say it is.
    pub fn identity(&self, gpu: &Gpu) -> Option<Identity> {
        let pdi = self.pdi.as_ref().or(gpu.pdi.as_ref()).filter(|_| self.attest)?.clone();
        let chip = if gpu.architecture as u32 > Architecture::Hopper as u32 { "GB100" } else { "GH100" };
        Some(Identity { chip: chip.to_owned(), kind: 0x41, pdi, until_year: 9999 })
    }
}

impl Gpu {
    /// The report that it signs over that nonce.
    pub fn attestation_report(&self, nonce: [u8; 32]) -> Option<Vec<u8>> {
        let own = &self.confidential_compute;
        let stale = own.stale_nonce.as_deref().and_then(bytes).and_then(|bytes| bytes.try_into().ok());
        let version = own.vbios_version.as_deref().or(self.vbios_version.as_ref().and_then(Text::plain));
        // 692-2G520-0200-000 is project G520, SKU 0200.
        let number: Vec<&str> = self.board_part_number.as_ref().and_then(Text::plain)?.split('-').collect();
        let project = own.project.as_deref().or(number.get(1).and_then(|project| project.get(1..)))?;
        let text = |text: &str| [text.as_bytes(), &[0]].concat();
        let mut fields = vec![
            (VBIOS_FIELD, vbios_field(version?)?),
            (14, vec![0x37, 4, 0, 0]),
            (15, b"885\0\0\0\0\0\0".to_vec()),
            (17, text(project)),
            (18, text(number.get(2)?)),
        ];
        if !own.switches.is_empty() {
            let reversed = own.switches.iter().map(|pdi| Some(bytes(pdi)?.into_iter().rev().collect::<Vec<u8>>()));
            fields.push((22, reversed.collect::<Option<Vec<_>>>()?.concat()));
        }
        own.signer.as_ref()?.report(&stale.unwrap_or(nonce), &Contents { measurements: 64, fields }).ok()
    }
}

/// Type of the field with the VBIOS version in a report.
pub(super) const VBIOS_FIELD: u16 = 6;

/// The bytes that hexadecimal digits stand for.
pub(super) fn bytes(digits: &str) -> Option<Vec<u8>> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// Last flush of the black box.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bbx {
    /// As NVML gives it: microseconds since 1970.
    pub timestamp: u64,
    /// Duration.
    pub duration_us: u64,
}
