//! What the load may use: memory and CPUs.

use std::collections::BTreeMap;

use super::worker::CpuPlace;
use crate::evidence::Reading;
use crate::host::Host;

/// Total memory as the kernel counts it: `MemTotal` of `/proc/meminfo`, in bytes.
pub(super) fn total_memory_bytes(host: &dyn Host) -> Reading<u64> {
    meminfo(host, "MemTotal")
}

/// Memory that can be had without swapping, in bytes: `MemAvailable` of `/proc/meminfo`, or what the limits of the
/// process's control groups (version 1 and 2, all levels that are visible) leave, where that is less. Reclaimable page
/// cache does not count as used.
pub fn available_memory_bytes(host: &dyn Host) -> Reading<u64> {
    let available = meminfo(host, "MemAvailable");
    available.map(|bytes| cgroup_headrooms(host).into_iter().fold(bytes, u64::min))
}

fn text(host: &dyn Host, path: &str) -> Reading<String> {
    host.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn meminfo(host: &dyn Host, field: &str) -> Reading<u64> {
    text(host, "/proc/meminfo").and_then(|text| {
        let kibibytes = text.lines().find_map(|line| {
            let value = line.strip_prefix(field)?.strip_prefix(':')?.trim().strip_suffix(" kB")?;
            value.trim().parse::<u64>().ok()
        });
        match kibibytes.and_then(|kibibytes| kibibytes.checked_mul(1024)) {
            Some(bytes) => Reading::Known(bytes),
            None => Reading::Failed(format!("/proc/meminfo has no {field}")),
        }
    })
}

/// What each memory limit that holds for this process leaves.
fn cgroup_headrooms(host: &dyn Host) -> Vec<u64> {
    let Reading::Known(groups) = text(host, "/proc/self/cgroup") else { return Vec::new() };
    let Reading::Known(mounts) = text(host, "/proc/self/mountinfo") else { return Vec::new() };
    let mut headrooms = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let unified = controllers.is_empty();
        if !unified && !controllers.split(',').any(|controller| controller == "memory") {
            continue;
        }
        let files = if unified { &V2 } else { &V1 };
        for (root, mount) in mounts.lines().filter_map(|line| cgroup_mount(line, unified)) {
            let below = path.strip_prefix(root.trim_end_matches('/')).unwrap_or("").trim_matches('/');
            let mut folder = mount.to_owned();
            headrooms.extend(headroom(host, &folder, files));
            for name in below.split('/').filter(|name| !name.is_empty() && *name != "..") {
                folder = format!("{folder}/{name}");
                headrooms.extend(headroom(host, &folder, files));
            }
        }
    }
    headrooms
}

/// File names of one version of the memory controller (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).
struct Files {
    limit: &'static str,
    usage: &'static str,
    reclaimable: &'static str,
}

const V1: Files =
    Files { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", reclaimable: "total_inactive_file" };
const V2: Files = Files { limit: "memory.max", usage: "memory.current", reclaimable: "inactive_file" };

fn headroom(host: &dyn Host, folder: &str, files: &Files) -> Option<u64> {
    // "max" of version 2 is no number; version 1 says "none" by a number that no machine reaches.
    let limit = host.read(&format!("{folder}/{}", files.limit)).number().into_known()?;
    let usage = host.read(&format!("{folder}/{}", files.usage)).number().into_known().unwrap_or(0);
    let reclaimable = text(host, &format!("{folder}/memory.stat"))
        .into_known()
        .and_then(|stat| {
            stat.lines().find_map(|line| line.strip_prefix(files.reclaimable)?.strip_prefix(' ')?.parse::<u64>().ok())
        })
        .unwrap_or(0);
    Some(limit.saturating_sub(usage.saturating_sub(reclaimable)))
}

/// Root and mount point of a control-group file system in a line of `/proc/self/mountinfo`
/// (Documentation/filesystems/proc.rst, 3.5).
fn cgroup_mount(line: &str, unified: bool) -> Option<(&str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, mount) = (fields.next()?, fields.next()?);
    let mut fields = after.split(' ');
    let (kind, _, options) = (fields.next()?, fields.next()?, fields.next()?);
    let fits = if unified {
        kind == "cgroup2"
    } else {
        kind == "cgroup" && options.split(',').any(|option| option == "memory")
    };
    fits.then_some((root, mount))
}

/// The CPUs that this process may run on, each with its NUMA node.
pub(super) fn cpus(host: &dyn Host) -> Vec<CpuPlace> {
    let allowed = rustix::thread::sched_getaffinity(None).ok();
    let mut nodes = BTreeMap::new();
    for name in host.list("/sys/devices/system/node").into_known().unwrap_or_default() {
        let Some(node) = name.strip_prefix("node").and_then(|number| number.parse::<u32>().ok()) else { continue };
        let list = text(host, &format!("/sys/devices/system/node/{name}/cpulist")).into_known().unwrap_or_default();
        for cpu in cpu_list(&list) {
            nodes.insert(cpu, node);
        }
    }
    let cpus: Vec<CpuPlace> = (0..rustix::thread::CpuSet::MAX_CPU as u32)
        .filter(|&cpu| allowed.as_ref().is_some_and(|set| set.is_set(cpu as usize)))
        .map(|cpu| CpuPlace { cpu, node: nodes.get(&cpu).copied().unwrap_or(0) })
        .collect();
    if cpus.is_empty() { vec![CpuPlace { cpu: 0, node: 0 }] } else { cpus }
}

/// Numbers of a list such as `0-3,8`; anything else in it is left out.
fn cpu_list(list: &str) -> Vec<u32> {
    list.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            (last < rustix::thread::CpuSet::MAX_CPU as u32).then_some(first..=last)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::RecordedHost;

    fn machine(files: &[(&str, &str)]) -> RecordedHost {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        RecordedHost::open(folder.path()).unwrap()
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:    800 kB\n");

    #[test]
    fn available_memory_respects_the_limits_of_both_versions_on_all_levels() {
        assert_eq!(available_memory_bytes(&machine(&[MEMINFO])), Reading::Known(800 * 1024));
        let version_2 = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/a/memory.max", "300000\n"),
            ("sys/fs/cgroup/a/memory.current", "200000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ]);
        assert_eq!(available_memory_bytes(&version_2), Reading::Known(150_000));
        let version_1 = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,memory:/docker/x\n1:name=systemd:/\n"),
            ("proc/self/mountinfo", "35 31 0:32 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "150000\n"),
        ]);
        assert_eq!(available_memory_bytes(&version_1), Reading::Known(0));
    }

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(cpu_list("0-2,8\n"), [0, 1, 2, 8]);
        assert_eq!(cpu_list("x,3-,4000000000-4000000001"), [0; 0]);
    }
}
