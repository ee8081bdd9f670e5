//! `nvidia-smi --query-gpu=… --format=csv`, with its header.
//!
//! ```text
//! name, memory.total [MiB], pci.device_id, vbios_version
//! NVIDIA Graphics Device, 10240 MiB, 0x208210DE, 92.00.66.00.02        with `nounits` the unit is in the header only
//! ```

use super::{Gpu, Log};

/// Columns of which a header has at least one.
const KNOWN: &[&str] = &[
    "name",
    "gpu_name",
    "uuid",
    "gpu_uuid",
    "serial",
    "gpu_serial",
    "pci.bus_id",
    "gpu_bus_id",
    "pci.device_id",
    "memory.total",
    "vbios_version",
    "driver_version",
    "power.limit",
    "fan.speed",
];
/// Columns of the queries for processes, pages and clocks, whose rows are not GPUs.
const OTHER_QUERIES: &[&str] = &["pid", "retired_pages.address", "remapped_rows.address", "graphics"];
const MAX_COLUMNS: usize = 600;

/// Whether the text has a header of such a table.
pub fn recognise(text: &str) -> bool {
    text.lines().enumerate().any(|(row, line)| header(line, row).is_some())
}

/// Reads every such table of the text. A row with another number of cells ends its table.
pub fn parse(text: &str) -> Log {
    let mut log = Log::default();
    let mut columns: Option<Vec<Column<'_>>> = None;
    for (row, line) in text.lines().enumerate() {
        if let Some(found) = header(line, row) {
            columns = Some(found);
            continue;
        }
        let Some(named) = &columns else { continue };
        let cells: Vec<&str> = cells(line).take(MAX_COLUMNS + 1).collect();
        if cells.len() != named.len() || line.trim().is_empty() {
            columns = None;
            continue;
        }
        let Some(gpu) = log.gpu(Gpu::default()) else { break };
        for (column, cell) in named.iter().zip(cells) {
            match column.name {
                "index" => gpu.index = cell.parse().ok(),
                "pci.bus_id" | "gpu_bus_id" => gpu.address = Some(cell.to_owned()),
                _ => {}
            }
            match column.unit {
                Some(unit) if cell.parse::<f64>().is_ok() => gpu.add(column.name, &format!("{cell} {unit}")),
                _ => gpu.add(column.name, cell),
            }
        }
        let first = |name: &str| gpu.value(name).map(str::to_owned);
        let (driver, count) = (first("driver_version"), first("count"));
        log.driver_version = log.driver_version.take().or(driver);
        log.attached = log.attached.or_else(|| count?.parse().ok());
    }
    log
}

struct Column<'a> {
    name: &'a str,
    unit: Option<&'a str>,
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|cell| cell.trim().trim_matches('"').trim())
}

fn header(line: &str, row: usize) -> Option<Vec<Column<'_>>> {
    let first = line.trim_start().chars().next()?;
    if !(first.is_ascii_lowercase() || first == '"') {
        return None;
    }
    let mut columns = Vec::new();
    for cell in cells(line) {
        let (name, unit) = match cell.split_once(" [") {
            Some((name, unit)) => (name, Some(unit.strip_suffix(']')?)),
            None => (cell, None),
        };
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
        if !fits || columns.len() >= MAX_COLUMNS {
            return None;
        }
        columns.push(Column { name, unit });
    }
    let has = |names: &[&str]| columns.iter().any(|column| names.contains(&column.name));
    // One name alone may be a line of any text, such as a list of the columns; not so at the top of a file.
    let enough = columns.len() > 1 || row == 0 && columns[0].name.contains(['.', '_']);
    (enough && has(KNOWN) && !has(OTHER_QUERIES)).then_some(columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_of_the_header_and_other_queries() {
        let text = "$ nvidia-smi --query-gpu=x --format=csv,nounits\n\
            index, name, memory.total [MiB], pci.bus_id, driver_version\n\
            0, NVIDIA L40S, 46068, 00000000:01:00.0, 595.71.05\n\
            1, NVIDIA L40S, [N/A], 00000000:91:00.0, 595.71.05\n\
            \n\
            timestamp, gpu_name, gpu_uuid, pid\n\
            1, 2, 3, 4\n";
        let log = parse(text);
        assert_eq!(log.driver_version.as_deref(), Some("595.71.05"));
        assert_eq!(log.gpus.len(), 2);
        assert_eq!(log.gpus[0].value("memory.total"), Some("46068 MiB"));
        assert_eq!(log.gpus[1].value("memory.total"), Some("[N/A]"));
        assert_eq!((log.gpus[1].index, log.gpus[1].address.as_deref()), (Some(1), Some("00000000:91:00.0")));
        assert!(!recognise("name, of a person\nhello, world\n") && !recognise("uuid\n1\n"));
        assert!(recognise("vbios_version\n92.00\n") && !recognise("\nname\nvbios_version\nmemory.total\n"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(name|memory\\.total \\[MiB\\]|, |,|\n|\\[|\\]|\"|uuid|\\PC){0,60}") {
            parse(&text);
        }
    }
}
