//! What `/proc/cpuinfo` and a CPUID dump say of processors.

use super::machine::Machine;
use super::take_over;
use crate::collect::cpu;
use crate::parse::{cpuid, cpuinfo};

/// `cpu.procfs.*`
pub(super) fn cpuinfo(text: &str, machine: &mut Machine) {
    let text = cpuinfo::separated(text);
    if cpuinfo::parse_first_of_each_package(&text).iter().all(|it| it.vendor.is_none()) {
        machine.note("the /proc/cpuinfo is of a processor that is not x86: nothing of it is compared");
    }
    take_over(machine, |out| cpu::add_cpuinfo(&text, out));
}

/// `cpu.cpuid.*`
pub(super) fn cpuid(text: &str, machine: &mut Machine) {
    for (package, dump) in cpuid::parse_text(text).into_iter().enumerate() {
        take_over(machine, |out| cpu::add_cpuid(package, dump, out));
    }
}
