//! SMBIOS tables: the first two bytes split the input into entry point and table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::parse::smbios::Table;

fuzz_target!(|input: &[u8]| {
    let (head, rest) = input.split_at(input.len().min(1));
    let at = usize::from(head.first().copied().unwrap_or(0)).min(rest.len());
    let (entry_point, table) = rest.split_at(at);
    for entry_point in [None, Some(entry_point)] {
        let table = Table::parse(table, entry_point);
        let _ = (table.bios(), table.system(), table.boards(), table.chassis(), table.processors());
        let _ = (table.memory_arrays(), table.memory_devices(), table.mapped_bytes(), table.mapped_devices(), table.power_supplies());
    }
});
