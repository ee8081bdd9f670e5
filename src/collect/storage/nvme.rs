//! NVMe drives, asked by the kernel's admin commands: Identify, and the log pages of health and self-tests. All of them
//! need root and change nothing.

use super::{BLOCK, FACTS};
use crate::collect::{fill, read_text, reason};
use crate::evidence::{PartBuilder, Reading, Value};
use crate::host::{Host, Query};
use crate::parse::drive_report::DriveReport;
use crate::parse::{nvme_identify, nvme_smart_log};

/// The facts that the log page of health gives.
pub(super) const HEALTH: [&str; 15] = [
    "drive.smart.passed",
    "drive.smart.power_on_hours",
    "drive.smart.power_cycles",
    "drive.smart.percentage_used",
    "drive.smart.written_bytes",
    "drive.smart.written_gigabytes",
    "drive.smart.data_units_written",
    "drive.smart.data_units_read",
    "drive.smart.critical_warning",
    "drive.smart.available_spare_percent",
    "drive.smart.spare_threshold_percent",
    "drive.smart.media_errors",
    "drive.smart.unsafe_shutdowns",
    "drive.smart.error_log_entries",
    "drive.smart.controller_busy_minutes",
];
pub(super) const CLASS: &str = "/sys/class/nvme";

/// Whether a name is that of a controller, `nvme0`, and not of a namespace or a path.
pub(super) fn is_controller(name: &str) -> bool {
    name.strip_prefix("nvme").is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
}

/// Adds what the controller says of itself.
pub(super) fn add_controller(host: &dyn Host, controller: &str, part: &mut PartBuilder<'_>) {
    const CONTROLLER: u8 = 1;
    let source = format!("nvme identify controller {controller}");
    let query = Query::NvmeIdentify { controller: controller.to_owned(), cns: CONTROLLER, namespace: 0 };
    let found = host
        .ask(&query)
        .and_then(|data| nvme_identify::controller(&data).map_or_else(|| Reading::Failed(failed()), Reading::Known));
    let text = |get: fn(&nvme_identify::Controller) -> &Option<String>| {
        found.as_ref().and_then(|it| Reading::or_absent(get(it).clone()))
    };
    let hex16 = |id: u16| format!("{id:#06x}");
    part.fact("drive.nvme.model", text(|it| &it.model), &*source)
        .fact("drive.nvme.serial", text(|it| &it.serial), &*source)
        .fact("drive.nvme.firmware", text(|it| &it.firmware), &*source)
        .fact("drive.nvme.vendor_id", found.as_ref().map(|it| hex16(it.vendor_id)), &*source)
        .fact("drive.nvme.ieee_oui", found.as_ref().map(|it| format!("{:06x}", it.ieee_oui)), &*source)
        .fact("drive.nvme.subsystem_vendor_id", found.map(|it| hex16(it.subsystem_vendor_id)), &*source);
}

/// Adds the ids of a namespace.
pub(super) fn add_namespace(host: &dyn Host, controller: &str, disk: &str, part: &mut PartBuilder<'_>) {
    const NAMESPACE: u8 = 0;
    let folder = format!("{BLOCK}/{disk}");
    let namespace = host.read(&format!("{folder}/nsid")).number().and_then(|id| {
        u32::try_from(id).map_or_else(|_| Reading::Failed("not a namespace id".to_owned()), Reading::Known)
    });
    let found = namespace.and_then(|namespace| {
        let query = Query::NvmeIdentify { controller: controller.to_owned(), cns: NAMESPACE, namespace };
        host.ask(&query)
            .and_then(|data| nvme_identify::namespace(&data).map_or_else(|| Reading::Failed(failed()), Reading::Known))
    });
    let source = format!("nvme identify namespace {disk}");
    // The kernel has read both ids too, and shows them to everybody.
    for (fact, file, value) in [
        ("drive.nvme.eui64", "eui", found.as_ref().map(|it| it.eui64.clone())),
        ("drive.nvme.nguid", "nguid", found.as_ref().map(|it| it.nguid.clone())),
    ] {
        match value {
            Reading::Known(id) => part.fact(fact, Reading::or_absent(id), &*source),
            unread => match read_text(host, &format!("{folder}/{file}")) {
                Reading::Known(id) => {
                    let digits = id.chars().filter(|it| !matches!(it, ' ' | '-')).collect::<String>();
                    part.fact(fact, digits.to_lowercase(), format!("{folder}/{file}"))
                }
                _ => part.fact(fact, reason::<_, Value>(&unread), &*source),
            },
        };
    }
}

/// Gives the facts of NVMe to a drive that is none.
pub(super) fn absent(part: &mut PartBuilder<'_>) {
    fill(part, FACTS, "drive.nvme.", &Reading::Absent, BLOCK);
}

/// The log page of health: hours, cycles, wear.
pub(super) fn health(host: &dyn Host, controller: &str) -> (Reading<DriveReport>, String) {
    log(host, controller, nvme_smart_log::HEALTH, nvme_smart_log::HEALTH_BYTES, nvme_smart_log::health)
}

/// The log page of self-tests.
pub(super) fn self_tests(host: &dyn Host, controller: &str) -> (Reading<DriveReport>, String) {
    log(host, controller, nvme_smart_log::SELF_TESTS, nvme_smart_log::SELF_TESTS_BYTES, nvme_smart_log::self_tests)
}

fn log(
    host: &dyn Host,
    controller: &str,
    page: u8,
    length: usize,
    parse: fn(&[u8]) -> Option<DriveReport>,
) -> (Reading<DriveReport>, String) {
    let query = Query::NvmeLog { controller: controller.to_owned(), page, length: length as u32 };
    let reading = host.ask(&query).and_then(|data| {
        parse(&data)
            .map_or_else(|| Reading::Failed(format!("{} bytes are no such log page", data.len())), Reading::Known)
    });
    (reading, format!("nvme log page {page:02x}h controller {controller}"))
}

fn failed() -> String {
    "not an Identify data structure".to_owned()
}
