//! SMBIOS tables, dumps and printouts: the first byte splits the input into entry point and table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::parse::smbios::{Table, dmidecode, parse_file};

fuzz_target!(|input: &[u8]| {
    let (head, rest) = input.split_at(input.len().min(1));
    let at = usize::from(head.first().copied().unwrap_or(0)).min(rest.len());
    let (entry_point, table) = rest.split_at(at);
    for entry_point in [None, Some(entry_point)] {
        let table = Table::parse(table, entry_point);
        let _ = table.inventory();
    }
    let _ = parse_file(input);
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = dmidecode::parse(text);
    }
});
