//! What a seller sends: format detection and every parser behind it, by bytes and by text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::import;
use yanji::parse::{cpuid, decode_dimms, device_query, lshw, lspci, nvidia_smi, proc_information};

fuzz_target!(|input: &[u8]| {
    if let Ok(mut imported) = import::import(input) {
        imported.merge(imported.clone());
        let _ = (imported.format(), imported.into_evidence());
    }
    // Without the detection, which lets few inputs through.
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = (nvidia_smi::text::parse(text), nvidia_smi::xml::parse(text), nvidia_smi::csv::parse(text));
        let _ = (nvidia_smi::table::parse(text), nvidia_smi::nvlink::parse(text), lspci::parse(text));
        let _ = (device_query::parse(text), proc_information::parse(text));
        let _ = (decode_dimms::parse(text), lshw::parse(text), cpuid::parse_text(text));
    }
});
