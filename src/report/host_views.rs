//! Memory modules, processors and drives for a program that does not know the names of facts, as
//! [`GpuView`](super::GpuView) is of GPUs. `null` is not known.

use schemars::JsonSchema;
use serde::Serialize;

use super::screening::{BlindRule, FiredRule};
use crate::evidence::{Part, Reading, Value};

/// What is known of one memory module: its own EEPROM first, then SMBIOS, then the management controller.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct DimmView {
    /// Id of the part in the evidence.
    pub part: String,
    /// Slot as printed on the board.
    pub locator: Option<String>,
    /// Bank as printed on the board.
    pub bank: Option<String>,
    /// Capacity without check bits.
    pub size_mib: Option<i64>,
    /// Memory type: `DDR5`.
    pub r#type: Option<String>,
    /// RDIMM, UDIMM and so on; where only SMBIOS is known, its form factor.
    pub module_type: Option<String>,
    /// Speed that the module is capable of.
    pub speed_mts: Option<i64>,
    /// Speed that is set.
    pub configured_mts: Option<i64>,
    /// Maker of the module.
    pub manufacturer: Option<String>,
    /// JEP106 id of the module's maker: `80CE`.
    pub module_maker_id: Option<String>,
    /// Maker of the DRAM.
    pub dram_maker: Option<String>,
    /// Part number.
    pub part_number: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Maker, place, date and serial number in the EEPROM, 18 hexadecimal digits.
    pub module_id: Option<String>,
    /// Date of manufacture: `2023-W31`.
    pub date: Option<String>,
    /// Place of manufacture.
    pub location: Option<String>,
    /// Asset tag.
    pub asset_tag: Option<String>,
    /// Ranks.
    pub ranks: Option<i64>,
    /// Width of one DRAM.
    pub device_width_bits: Option<i64>,
    /// Width with check bits.
    pub total_width_bits: Option<i64>,
    /// Width without check bits.
    pub data_width_bits: Option<i64>,
    /// Ranges whose checksum is wrong; empty where all are right.
    pub crc_bad: Option<Vec<String>>,
    /// PMIC.
    pub pmic_id: Option<String>,
    /// Register.
    pub rcd_id: Option<String>,
    /// Rules that fire on it.
    pub findings: Vec<FiredRule>,
    /// Rules that could not look at it.
    pub inconclusive: Vec<BlindRule>,
}

/// What is known of one processor: CPUID first, then `/proc/cpuinfo`, then SMBIOS.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct CpuView {
    /// Id of the part in the evidence.
    pub part: String,
    /// Socket as printed on the board.
    pub socket: Option<String>,
    /// Vendor text.
    pub vendor: Option<String>,
    /// Brand text.
    pub brand: Option<String>,
    /// Display family.
    pub family: Option<i64>,
    /// Display model.
    pub model: Option<i64>,
    /// Stepping.
    pub stepping: Option<i64>,
    /// Display family, model and stepping: `6-143-8`.
    pub signature: Option<String>,
    /// Microcode revision.
    pub microcode: Option<String>,
    /// Cores.
    pub cores: Option<i64>,
    /// Logical CPUs.
    pub threads: Option<i64>,
    /// Highest speed that the socket supports.
    pub max_speed_mhz: Option<i64>,
    /// Protected Processor Inventory Number.
    pub ppin: Option<String>,
    /// Serial number in SMBIOS.
    pub serial: Option<String>,
    /// Part number in SMBIOS.
    pub part_number: Option<String>,
    /// Whether a hypervisor is below.
    pub hypervisor: Option<bool>,
    /// Rules that fire on it.
    pub findings: Vec<FiredRule>,
    /// Rules that could not look at it.
    pub inconclusive: Vec<BlindRule>,
}

/// What is known of one drive: the drive's own answers first, then the kernel's, then the factory's log (FARM).
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct DriveView {
    /// Id of the part in the evidence.
    pub part: String,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// World-wide id.
    pub wwid: Option<String>,
    /// Capacity.
    pub size_bytes: Option<i64>,
    /// Whether it has spinning platters.
    pub rotational: Option<bool>,
    /// nvme, sata, sas and so on.
    pub transport: Option<String>,
    /// Whether the drive says that it is healthy.
    pub passed: Option<bool>,
    /// Hours with power, by the drive's SMART data; where only the factory's log (FARM) is known, by that.
    pub power_on_hours: Option<i64>,
    /// Times switched on.
    pub power_cycles: Option<i64>,
    /// Part of the rated endurance that is used, in percent.
    pub percentage_used: Option<i64>,
    /// 10^9 bytes that the host has written.
    pub written_gigabytes: Option<i64>,
    /// Sectors that were replaced.
    pub reallocated: Option<i64>,
    /// Hours in the device statistics.
    pub statistics_power_on_hours: Option<i64>,
    /// Most hours that an entry of the self-test log has.
    pub selftest_max_hours: Option<i64>,
    /// Hours with power in the factory's log (FARM).
    pub farm_power_on_hours: Option<i64>,
    /// Hours of the spindle in the factory's log (FARM).
    pub farm_spindle_hours: Option<i64>,
    /// Date of assembly in the factory's log (FARM).
    pub farm_assembly_date: Option<String>,
    /// Rules that fire on it.
    pub findings: Vec<FiredRule>,
    /// Rules that could not look at it.
    pub inconclusive: Vec<BlindRule>,
}

/// The first source that knows.
struct Facts<'a>(&'a Part);

impl Facts<'_> {
    fn text(&self, paths: &[&str]) -> Option<String> {
        paths.iter().find_map(|path| self.0.text(path)).map(str::to_owned)
    }

    fn integer(&self, paths: &[&str]) -> Option<i64> {
        paths.iter().find_map(|path| self.0.integer(path))
    }

    fn flag(&self, path: &str) -> Option<bool> {
        self.0.reading(path).and_then(Reading::known).and_then(Value::as_bool)
    }

    fn list(&self, path: &str) -> Option<Vec<String>> {
        match self.0.reading(path).and_then(Reading::known) {
            Some(Value::List(values)) => Some(values.iter().map(Value::to_string).collect()),
            _ => None,
        }
    }
}

impl DimmView {
    pub(super) fn new(part: &Part) -> Self {
        let facts = Facts(part);
        let size = facts.integer(&["dimm.spd.capacity_mib"]);
        Self {
            part: part.id.clone(),
            locator: facts.text(&["dimm.smbios.locator"]),
            bank: facts.text(&["dimm.smbios.bank"]),
            size_mib: size
                .or_else(|| part.integer("dimm.smbios.size_bytes").map(|bytes| bytes >> 20))
                .or_else(|| part.integer("dimm.bmc.size_mib")),
            r#type: facts.text(&["dimm.spd.dram_type", "dimm.smbios.type", "dimm.bmc.type"]),
            module_type: facts.text(&["dimm.spd.module_type", "dimm.smbios.form_factor"]),
            speed_mts: facts.integer(&["dimm.spd.speed_mts", "dimm.smbios.speed_mts"]),
            configured_mts: facts.integer(&["dimm.smbios.configured_mts", "dimm.bmc.speed_mts"]),
            manufacturer: facts.text(&["dimm.spd.module_maker", "dimm.smbios.manufacturer", "dimm.bmc.manufacturer"]),
            module_maker_id: facts.text(&["dimm.spd.module_maker_id", "dimm.smbios.module_maker_id"]),
            dram_maker: facts.text(&["dimm.spd.dram_maker"]),
            part_number: facts.text(&["dimm.spd.part_number", "dimm.smbios.part_number", "dimm.bmc.part_number"]),
            serial: facts.text(&["dimm.spd.serial", "dimm.smbios.serial", "dimm.bmc.serial"]),
            module_id: facts.text(&["dimm.spd.module_id"]),
            date: facts.text(&["dimm.spd.date"]),
            location: facts.text(&["dimm.spd.location"]),
            asset_tag: facts.text(&["dimm.smbios.asset_tag"]),
            ranks: facts.integer(&["dimm.spd.ranks", "dimm.smbios.ranks", "dimm.bmc.ranks"]),
            device_width_bits: facts.integer(&["dimm.spd.device_width_bits"]),
            total_width_bits: facts.integer(&["dimm.smbios.total_width_bits"]),
            data_width_bits: facts.integer(&["dimm.spd.bus_width_bits", "dimm.smbios.data_width_bits"]),
            crc_bad: facts.list("dimm.spd.crc_bad"),
            pmic_id: facts.text(&["dimm.spd.pmic_id", "dimm.smbios.pmic_id"]),
            rcd_id: facts.text(&["dimm.spd.rcd_id", "dimm.smbios.rcd_id"]),
            findings: Vec::new(),
            inconclusive: Vec::new(),
        }
    }
}

impl CpuView {
    pub(super) fn new(part: &Part) -> Self {
        let facts = Facts(part);
        let signature = facts.text(&["cpu.cpuid.signature", "cpu.procfs.signature", "cpu.smbios.signature"]);
        let number = |index: usize| signature.as_ref().and_then(|text| text.split('-').nth(index)?.parse().ok());
        Self {
            part: part.id.clone(),
            socket: facts.text(&["cpu.smbios.socket"]),
            vendor: facts.text(&["cpu.cpuid.vendor", "cpu.procfs.vendor", "cpu.smbios.manufacturer"]),
            brand: facts.text(&["cpu.cpuid.brand", "cpu.procfs.brand", "cpu.smbios.version"]),
            family: facts.integer(&["cpu.cpuid.family", "cpu.procfs.family"]).or_else(|| number(0)),
            model: facts.integer(&["cpu.cpuid.model", "cpu.procfs.model"]).or_else(|| number(1)),
            stepping: facts.integer(&["cpu.cpuid.stepping", "cpu.procfs.stepping"]).or_else(|| number(2)),
            microcode: facts.text(&["cpu.procfs.microcode"]),
            cores: facts.integer(&["cpu.sysfs.cores", "cpu.smbios.core_count"]),
            threads: facts.integer(&["cpu.sysfs.threads", "cpu.smbios.thread_count"]),
            max_speed_mhz: facts.integer(&["cpu.smbios.max_speed_mhz"]),
            ppin: facts.text(&["cpu.sysfs.ppin"]),
            serial: facts.text(&["cpu.smbios.serial"]),
            part_number: facts.text(&["cpu.smbios.part_number"]),
            hypervisor: facts.flag("cpu.cpuid.hypervisor"),
            signature,
            findings: Vec::new(),
            inconclusive: Vec::new(),
        }
    }
}

impl DriveView {
    pub(super) fn new(part: &Part) -> Self {
        let facts = Facts(part);
        Self {
            part: part.id.clone(),
            model: facts.text(&["drive.nvme.model", "drive.smart.model", "drive.model", "drive.farm.model"]),
            serial: facts.text(&["drive.nvme.serial", "drive.smart.serial", "drive.serial", "drive.farm.serial"]),
            firmware: facts.text(&[
                "drive.nvme.firmware",
                "drive.smart.firmware",
                "drive.firmware",
                "drive.farm.firmware",
            ]),
            wwid: facts.text(&["drive.wwid", "drive.smart.wwn", "drive.farm.wwn"]),
            size_bytes: facts.integer(&["drive.size_bytes", "drive.smart.capacity_bytes"]),
            rotational: facts.flag("drive.rotational"),
            transport: facts.text(&["drive.transport"]),
            passed: facts.flag("drive.smart.passed"),
            power_on_hours: facts.integer(&["drive.smart.power_on_hours", "drive.farm.power_on_hours"]),
            power_cycles: facts.integer(&["drive.smart.power_cycles", "drive.farm.power_cycles"]),
            percentage_used: facts.integer(&["drive.smart.percentage_used"]),
            written_gigabytes: facts.integer(&["drive.smart.written_gigabytes"]),
            reallocated: facts.integer(&["drive.smart.reallocated", "drive.farm.reallocated"]),
            statistics_power_on_hours: facts.integer(&["drive.statistics.power_on_hours"]),
            selftest_max_hours: facts.integer(&["drive.selftest.max_hours"]),
            farm_power_on_hours: facts.integer(&["drive.farm.power_on_hours"]),
            farm_spindle_hours: facts.integer(&["drive.farm.spindle_hours"]),
            farm_assembly_date: facts.text(&["drive.farm.assembly_date"]),
            findings: Vec::new(),
            inconclusive: Vec::new(),
        }
    }
}
