//! NVMe log pages (NVM Express Base Specification 2.0): SMART / Health Information (02h, 5.16.1.3) and Device Self-test
//! (06h, 5.16.1.7), little-endian.
//!
//! ```text
//! 02h, 512 bytes                                     06h, 564 bytes
//! 0    critical warning, bits                        0    self-test that runs now
//! 3    available spare, percent                      4    20 results of 28 bytes, newest first:
//! 4    spare threshold, percent                             0  result in bits 3:0 (Fh: no entry), kind in 7:4
//! 5    percentage used                                      4  power-on hours, qword
//! 32   data units read, 16 bytes
//! 48   data units written, 16 bytes
//! 96   controller busy time in minutes, 16 bytes
//! 112  power cycles, 16 bytes
//! 128  power-on hours, 16 bytes
//! 144  unsafe shutdowns, 16 bytes
//! 160  media errors, 16 bytes
//! 176  error log entries, 16 bytes
//! ```

use super::drive_report::DriveReport;
use super::smartctl::NVME_DATA_UNIT_BYTES;
use crate::evidence::Reading;

/// Number of the SMART / Health Information log page.
pub const HEALTH: u8 = 0x02;
/// Bytes of the SMART / Health Information log page.
pub const HEALTH_BYTES: usize = 512;
/// Number of the Device Self-test log page.
pub const SELF_TESTS: u8 = 0x06;
/// Bytes of the Device Self-test log page.
pub const SELF_TESTS_BYTES: usize = 564;

/// Reads log page 02h. `None` when it is shorter than [`HEALTH_BYTES`].
pub fn health(page: &[u8]) -> Option<DriveReport> {
    let page: &[u8; HEALTH_BYTES] = page.try_into().ok()?;
    let mut report = DriveReport::default();
    for (path, value) in [
        ("drive.smart.critical_warning", page[0]),
        ("drive.smart.available_spare_percent", page[3]),
        ("drive.smart.spare_threshold_percent", page[4]),
        ("drive.smart.percentage_used", page[5]),
    ] {
        report.number(path, Reading::Known(value.into()));
    }
    report.set("drive.smart.passed", Reading::Known((page[0] == 0).into()));
    for (path, offset) in [
        ("drive.smart.data_units_read", 32),
        ("drive.smart.data_units_written", 48),
        ("drive.smart.controller_busy_minutes", 96),
        ("drive.smart.power_cycles", 112),
        ("drive.smart.power_on_hours", 128),
        ("drive.smart.unsafe_shutdowns", 144),
        ("drive.smart.media_errors", 160),
        ("drive.smart.error_log_entries", 176),
    ] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(page.get(offset..offset + 16)?);
        let number = u64::try_from(u128::from_le_bytes(bytes));
        report.number(path, number.map_or_else(|_| Reading::Failed("more than 64 bits".to_owned()), Reading::Known));
    }
    if let Some(units) = report.integer("drive.smart.data_units_written") {
        report.written(units, NVME_DATA_UNIT_BYTES);
    }
    Some(report)
}

/// Reads log page 06h. `None` when it is shorter than [`SELF_TESTS_BYTES`].
pub fn self_tests(page: &[u8]) -> Option<DriveReport> {
    const NO_ENTRY: u8 = 0xf;
    let page: &[u8; SELF_TESTS_BYTES] = page.try_into().ok()?;
    let hours: Vec<u64> = page[4..]
        .as_chunks::<28>()
        .0
        .iter()
        .filter(|entry| entry[0] & 0xf != NO_ENTRY && entry[0] != 0)
        .filter_map(|entry| entry[4..12].try_into().ok().map(u64::from_le_bytes))
        .collect();
    let mut report = DriveReport::default();
    report.self_tests(&hours);
    Some(report)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn health_fields() {
        let mut page = [0; HEALTH_BYTES];
        (page[3], page[4], page[5]) = (99, 10, 7);
        page[48..56].copy_from_slice(&1_000_000u64.to_le_bytes());
        page[112] = 12;
        page[128..130].copy_from_slice(&4369u16.to_le_bytes());
        page[144] = 3;
        page[175] = 1;
        let report = health(&page).unwrap();
        assert_eq!(report.integer("drive.smart.power_on_hours"), Some(4369));
        assert_eq!(report.integer("drive.smart.power_cycles"), Some(12));
        assert_eq!(report.integer("drive.smart.percentage_used"), Some(7));
        assert_eq!(report.integer("drive.smart.written_gigabytes"), Some(512));
        assert_eq!(report.get("drive.smart.passed"), Some(&Reading::Known(true.into())));
        assert!(matches!(report.get("drive.smart.media_errors"), Some(Reading::Failed(_))));
        assert_eq!(health(&page[1..]), None);
    }

    #[test]
    fn self_test_results() {
        let mut page = [0; SELF_TESTS_BYTES];
        page[4..].as_chunks_mut::<28>().0.iter_mut().for_each(|entry| entry[0] = 0xf);
        page[4] = 0x10;
        page[8..16].copy_from_slice(&48_000u64.to_le_bytes());
        let report = self_tests(&page).unwrap();
        assert_eq!(report.integer("drive.selftest.max_hours"), Some(48_000));
        assert_eq!(report.integer("drive.selftest.count"), Some(1));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (health(&bytes), self_tests(&bytes));
            let mut page = bytes;
            page.resize(HEALTH_BYTES, 0xff);
            health(&page);
            page.resize(SELF_TESTS_BYTES, 0xff);
            self_tests(&page);
        }
    }
}
