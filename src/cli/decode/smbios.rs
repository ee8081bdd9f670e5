//! `yanji decode smbios`.

use std::path::Path;

use serde::Serialize;
use yanji::evidence::Reading;
use yanji::parse::smbios::{self, Board, Chassis, Inventory, MemoryArray, MemoryDevice, PowerSupply, Processor};
use yanji::report;

use crate::cli::args::Format;
use crate::cli::output;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Decodes and prints one table or printout.
pub(super) fn run(file: &Path, format: Format) -> anyhow::Result<()> {
    let bytes = super::read(file, smbios::MAX_FILE_BYTES, "no machine has that much SMBIOS data; is it another file?")?;
    let inventory = smbios::parse_file(&bytes).map_err(|error| {
        super::cannot_decode(file, error, "make one as root: dmidecode --dump-bin FILE, or dmidecode > FILE")
    })?;
    match format {
        Format::Plain | Format::Csv => output::print(&report::smbios_plain(&inventory, output::style())),
        Format::Json => output::print_json(&Decoded::from(&inventory)),
    }
}

/// The JSON document of SMBIOS data. `null` is not known, whatever the reason.
#[derive(Serialize)]
struct Decoded<'a> {
    /// `table`, or the program that printed it.
    format: &'a str,
    smbios_version: Option<String>,
    /// Why the table is not complete; `null` where no damage shows.
    damage: Option<&'a str>,
    bios: Option<DecodedBios<'a>>,
    system: Option<DecodedSystem<'a>>,
    boards: Vec<DecodedBoard<'a>>,
    chassis: Vec<DecodedChassis<'a>>,
    /// Empty sockets included.
    processors: Vec<DecodedProcessor<'a>>,
    memory_arrays: Vec<DecodedArray<'a>>,
    /// Slots, also those of other memory than the system's.
    memory_devices: usize,
    /// Slots of system memory with a module.
    populated: usize,
    /// Sum of the modules whose size is known.
    total_mib: u64,
    dimms: Vec<DecodedDimm<'a>>,
    power_supplies: Vec<DecodedPsu<'a>>,
    structures: Vec<DecodedStructure>,
}

#[derive(Serialize)]
struct DecodedBios<'a> {
    vendor: Option<&'a str>,
    version: Option<&'a str>,
    release_date: Option<&'a str>,
}

#[derive(Serialize)]
struct DecodedSystem<'a> {
    manufacturer: Option<&'a str>,
    product: Option<&'a str>,
    version: Option<&'a str>,
    serial: Option<&'a str>,
    uuid: Option<&'a str>,
    sku: Option<&'a str>,
}

#[derive(Serialize)]
struct DecodedBoard<'a> {
    manufacturer: Option<&'a str>,
    product: Option<&'a str>,
    version: Option<&'a str>,
    serial: Option<&'a str>,
    asset_tag: Option<&'a str>,
}

#[derive(Serialize)]
struct DecodedChassis<'a> {
    manufacturer: Option<&'a str>,
    kind: Option<&'a str>,
    serial: Option<&'a str>,
}

#[derive(Serialize)]
struct DecodedProcessor<'a> {
    socket: Option<&'a str>,
    populated: bool,
    manufacturer: Option<&'a str>,
    version: Option<&'a str>,
    family: Option<u32>,
    model: Option<u32>,
    stepping: Option<u32>,
    core_count: Option<u64>,
    thread_count: Option<u64>,
    max_speed_mhz: Option<u64>,
    serial: Option<&'a str>,
    part_number: Option<&'a str>,
}

#[derive(Serialize)]
struct DecodedArray<'a> {
    system_memory: bool,
    error_correction: Option<&'a str>,
    maximum_mib: Option<u64>,
    slots: Option<u64>,
}

#[derive(Serialize)]
struct DecodedDimm<'a> {
    handle: Option<String>,
    locator: Option<&'a str>,
    bank: Option<&'a str>,
    size_mib: Option<u64>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    form_factor: Option<&'a str>,
    speed_mts: Option<u64>,
    configured_mts: Option<u64>,
    manufacturer: Option<&'a str>,
    part_number: Option<&'a str>,
    serial: Option<&'a str>,
    asset_tag: Option<&'a str>,
    ranks: Option<u64>,
    total_width_bits: Option<u64>,
    data_width_bits: Option<u64>,
    technology: Option<&'a str>,
    operating_modes: Option<&'a [String]>,
    firmware: Option<&'a str>,
    /// The bank with its parity bit, then the code, as an SPD image has them: `80ce`.
    module_maker_id: Option<&'a str>,
    module_product_id: Option<&'a str>,
    controller_maker_id: Option<&'a str>,
    controller_product_id: Option<&'a str>,
    nonvolatile_mib: Option<u64>,
    volatile_mib: Option<u64>,
    cache_mib: Option<u64>,
    logical_mib: Option<u64>,
    pmic_id: Option<&'a str>,
    rcd_id: Option<&'a str>,
}

#[derive(Serialize)]
struct DecodedPsu<'a> {
    present: bool,
    name: Option<&'a str>,
    manufacturer: Option<&'a str>,
    model: Option<&'a str>,
    serial: Option<&'a str>,
    max_watts: Option<u64>,
}

#[derive(Serialize)]
struct DecodedStructure {
    #[serde(rename = "type")]
    kind: u8,
    handle: Option<String>,
    length: Option<u8>,
    name: &'static str,
}

fn text(reading: &Reading<String>) -> Option<&str> {
    reading.known().map(String::as_str)
}

fn number(reading: &Reading<u64>) -> Option<u64> {
    reading.known().copied()
}

fn mib(bytes: &Reading<u64>) -> Option<u64> {
    number(bytes).map(|bytes| bytes / MIB)
}

fn handle(handle: Option<u16>) -> Option<String> {
    handle.map(|handle| format!("{handle:#06x}"))
}

impl<'a> From<&'a Inventory> for Decoded<'a> {
    fn from(inventory: &'a Inventory) -> Self {
        let dimms: Vec<DecodedDimm<'a>> = inventory.modules().map(DecodedDimm::from).collect();
        let kib = inventory.modules().filter_map(|module| number(&module.size_bytes)).map(|bytes| bytes / KIB);
        Self {
            format: inventory.printed_by.unwrap_or("table"),
            smbios_version: inventory.version.map(|version| version.to_string()),
            damage: inventory.damage,
            bios: inventory.bios.as_ref().map(|bios| DecodedBios {
                vendor: text(&bios.vendor),
                version: text(&bios.version),
                release_date: text(&bios.release_date),
            }),
            system: inventory.system.as_ref().map(|system| DecodedSystem {
                manufacturer: text(&system.manufacturer),
                product: text(&system.product),
                version: text(&system.version),
                serial: text(&system.serial),
                uuid: text(&system.uuid),
                sku: text(&system.sku),
            }),
            boards: inventory.boards.iter().map(DecodedBoard::from).collect(),
            chassis: inventory.chassis.iter().map(DecodedChassis::from).collect(),
            processors: inventory.processors.iter().map(DecodedProcessor::from).collect(),
            memory_arrays: inventory.memory_arrays.iter().map(DecodedArray::from).collect(),
            memory_devices: inventory.memory_devices.len(),
            populated: dimms.len(),
            total_mib: kib.fold(0, u64::saturating_add) / KIB,
            dimms,
            power_supplies: inventory.power_supplies.iter().map(DecodedPsu::from).collect(),
            structures: inventory
                .structures
                .iter()
                .map(|it| DecodedStructure {
                    kind: it.kind,
                    handle: handle(it.handle),
                    length: it.length_bytes,
                    name: it.name(),
                })
                .collect(),
        }
    }
}

impl<'a> From<&'a Board> for DecodedBoard<'a> {
    fn from(board: &'a Board) -> Self {
        Self {
            manufacturer: text(&board.manufacturer),
            product: text(&board.product),
            version: text(&board.version),
            serial: text(&board.serial),
            asset_tag: text(&board.asset_tag),
        }
    }
}

impl<'a> From<&'a Chassis> for DecodedChassis<'a> {
    fn from(chassis: &'a Chassis) -> Self {
        Self { manufacturer: text(&chassis.manufacturer), kind: text(&chassis.kind), serial: text(&chassis.serial) }
    }
}

impl<'a> From<&'a Processor> for DecodedProcessor<'a> {
    fn from(processor: &'a Processor) -> Self {
        let signature = processor.signature.known();
        Self {
            socket: text(&processor.socket),
            populated: processor.populated,
            manufacturer: text(&processor.manufacturer),
            version: text(&processor.version),
            family: signature.map(|it| it.family),
            model: signature.map(|it| it.model),
            stepping: signature.map(|it| it.stepping),
            core_count: number(&processor.core_count),
            thread_count: number(&processor.thread_count),
            max_speed_mhz: number(&processor.max_speed_mhz),
            serial: text(&processor.serial),
            part_number: text(&processor.part_number),
        }
    }
}

impl<'a> From<&'a MemoryArray> for DecodedArray<'a> {
    fn from(array: &'a MemoryArray) -> Self {
        Self {
            system_memory: array.system_memory,
            error_correction: text(&array.error_correction),
            maximum_mib: mib(&array.maximum_bytes),
            slots: number(&array.slots),
        }
    }
}

impl<'a> From<&'a MemoryDevice> for DecodedDimm<'a> {
    fn from(module: &'a MemoryDevice) -> Self {
        Self {
            handle: handle(module.handle),
            locator: text(&module.locator),
            bank: text(&module.bank),
            size_mib: mib(&module.size_bytes),
            kind: text(&module.kind),
            form_factor: text(&module.form_factor),
            speed_mts: number(&module.speed_mts),
            configured_mts: number(&module.configured_mts),
            manufacturer: text(&module.manufacturer),
            part_number: text(&module.part_number),
            serial: text(&module.serial),
            asset_tag: text(&module.asset_tag),
            ranks: number(&module.ranks),
            total_width_bits: number(&module.total_width_bits),
            data_width_bits: number(&module.data_width_bits),
            technology: text(&module.technology),
            operating_modes: module.operating_modes.known().map(Vec::as_slice),
            firmware: text(&module.firmware),
            module_maker_id: text(&module.module_maker_id),
            module_product_id: text(&module.module_product_id),
            controller_maker_id: text(&module.controller_maker_id),
            controller_product_id: text(&module.controller_product_id),
            nonvolatile_mib: mib(&module.nonvolatile_bytes),
            volatile_mib: mib(&module.volatile_bytes),
            cache_mib: mib(&module.cache_bytes),
            logical_mib: mib(&module.logical_bytes),
            pmic_id: text(&module.pmic_id),
            rcd_id: text(&module.rcd_id),
        }
    }
}

impl<'a> From<&'a PowerSupply> for DecodedPsu<'a> {
    fn from(psu: &'a PowerSupply) -> Self {
        Self {
            present: psu.present,
            name: text(&psu.name),
            manufacturer: text(&psu.manufacturer),
            model: text(&psu.model),
            serial: text(&psu.serial),
            max_watts: number(&psu.max_watts),
        }
    }
}
