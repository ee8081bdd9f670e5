//! Signed reports of devices, and the files that hold them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yanji::attest::device;
use yanji::parse::spdm;

fuzz_target!(|data: &[u8]| {
    _ = device::read(data);
    let Ok(report) = spdm::parse(data) else { return };
    // What is read is no more than what was there, and every byte of it is signed.
    assert_eq!(report.signed_bytes + spdm::SIGNATURE_BYTES, data.len());
    let fields: usize = report.opaque.iter().map(|field| field.value.len()).sum();
    let measurements: usize = report.measurements.iter().map(|it| it.value.len()).sum();
    assert!(fields + measurements < data.len());
    _ = (report.vbios_version(), report.board_id(), report.text(spdm::PROJECT));
    _ = report.opaque.iter().map(|field| field.name()).count();
});
