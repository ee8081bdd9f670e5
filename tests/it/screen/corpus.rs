//! Real captures, held against what their manifest says of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use yanji::evidence::Reading;

use super::{assert_declared, evidence, gpus};
use crate::cli::Place;

fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/gpu"));
    if !folder.is_dir() {
        println!("skipped: no corpus gpu");
        return None;
    }
    Some(folder)
}

/// The key of the JSON that a manifest's fact is under, and the value that it should have.
fn expected(name: &str, value: &str) -> Option<(&'static str, Json)> {
    let number = |text: &str| text.split_whitespace().next().and_then(|it| it.parse::<f64>().ok());
    let whole = |text: &str| number(text).map_or(Json::Null, |it| json!(it as i64));
    let watts = |text: &str| number(text.trim_end_matches('W')).map_or(Json::Null, |it| json!(it));
    let text = |text: &str| if text == "N/A" { Json::Null } else { json!(text) };
    Some(match name {
        "name" | "first_name" => ("name", text(value)),
        "vbios" => ("vbios_version", text(&value.to_ascii_uppercase())),
        "memory_total" | "memory_total_mib" => ("memory_total_mib", whole(value)),
        "bar1" => ("bar1_total_mib", whole(value)),
        "board_part" => ("board_part_number", text(value)),
        "gpu_part" => ("gpu_part_number", text(value)),
        "inforom_image" => ("inforom_image", text(value)),
        "serial" => ("serial", text(value)),
        "uuid" => ("uuid", text(value)),
        "pdi" => ("pdi", text(value)),
        "default_power" => ("power_limit_default_watts", watts(value)),
        "min_power" => ("power_limit_min_watts", watts(value)),
        "max_power" => ("power_limit_max_watts", watts(value)),
        // Some rows of the manifest have none.
        "power_cap" if value.is_empty() => return None,
        "power_cap" => ("power_limit_enforced_watts", watts(value)),
        "ecc" => ("ecc_enabled", if value == "N/A" { Json::Null } else { json!(value == "Enabled") }),
        "pci_device_id" => ("pci_device_id", json!(format!("0x{}", value.trim_start_matches("0x")))),
        "subsystem_id" => ("pci_subsystem_id", json!(format!("0x{}", value.trim_start_matches("0x")))),
        "device" => ("pci_device", text(value)),
        "subsystem" => ("pci_subsystem", text(value)),
        "global_memory_mib" => ("cuda_memory_mib", whole(value)),
        "sm_count" => ("sm_count", whole(value)),
        "cuda_cores" => ("cuda_cores", whole(value)),
        "bus_width_bits" => ("bus_width_bits", whole(value)),
        "memory_clock_mhz" => ("memory_clock_mhz", whole(value)),
        "compute_capability" => ("compute_capability", text(value)),
        "bus" => ("pci_address", text(value)),
        "driver" => ("driver_version", text(value)),
        "BAR1 current" => ("bar1_total_mib", json!(value.trim_end_matches("GB").parse::<i64>().ok()? << 10)),
        "BAR1 supported maximum" => ("bar1_max_mib", json!(value.trim_end_matches("GB").parse::<i64>().ok()? << 10)),
        _ => return None,
    })
}

#[test]
fn every_manifest_fact_is_decoded() {
    let Some(folder) = corpus() else { return };
    let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let (mut files, mut compared) = (0, 0);
    let mut formats: BTreeMap<String, usize> = BTreeMap::new();
    for row in manifest.lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let [file, what, _, _, _, facts] = cells[..] else { panic!("{row}") };
        let read = ["nvidia-smi", "lspci", "deviceQuery", "/proc/", "grep of", "part of", "sectioned"];
        if !read.iter().any(|words| what.contains(words)) || what.contains("yaml") {
            continue;
        }
        let bytes = fs::read(folder.join(file)).unwrap();
        let evidence = evidence(&bytes);
        assert_declared(&evidence);
        // A printout that was understood has no value that is neither a value nor a known reason.
        for (path, fact) in evidence.parts.iter().flat_map(|part| &part.facts) {
            let odd = matches!(&fact.reading, Reading::Failed(why) if why.starts_with("printed as"));
            assert!(!odd, "{file}: {path} {:?}", fact.reading);
        }
        *formats.entry(yanji::import::import(&bytes).unwrap().format()).or_default() += 1;
        let found: Vec<Json> = gpus(&bytes).into_iter().map(|gpu| serde_json::to_value(gpu).unwrap()).collect();
        files += 1;
        for group in facts.split(" | ") {
            let group = group.strip_prefix("(idle and load sections each list the GPU) ").unwrap_or(group);
            for fact in group.split(['=']).collect::<Vec<_>>().windows(2) {
                // "a=1, b=2": the name is what follows the last comma or blank before the sign.
                let name = fact[0].rsplit([',', ';']).next().unwrap().trim();
                let name = if name.starts_with("BAR1") { name } else { name.rsplit(' ').next().unwrap() };
                let value = match fact[1].rfind(", ") {
                    Some(at) if fact[1].len() > at => &fact[1][..at],
                    _ => fact[1],
                };
                let value = value.split(" (printed").next().unwrap().split(';').next().unwrap();
                let value = if matches!(name, "device" | "subsystem" | "bus") {
                    value.split([' ', ',']).next().unwrap()
                } else if matches!(name, "vbios" | "BAR1 supported maximum" | "memory_total_mib") {
                    value.split(',').next().unwrap()
                } else {
                    value
                };
                if name == "count" || name == "gpus" {
                    let groups = facts.matches("count=").count().max(1);
                    let sections = if what.contains("sectioned") { 2 } else { 1 };
                    let count: usize = value.split(' ').next().unwrap().parse().unwrap();
                    assert!(groups > 1 || found.len() == count / sections, "{file}: {} GPUs", found.len());
                    compared += 1;
                    continue;
                }
                let Some((key, value)) = expected(name, value) else { continue };
                assert!(
                    found.iter().any(|gpu| gpu[key] == value),
                    "{file}: {name} should be {value}, and {key} is {}",
                    found.first().map_or(&Json::Null, |gpu| &gpu[key])
                );
                compared += 1;
            }
        }
    }
    println!("{compared} facts of {files} files compared: {formats:?}");
    assert!(compared > 1000 && files > 95, "{compared} facts of {files} files");
}

#[test]
fn faults_and_links_of_real_captures() {
    let Some(folder) = corpus() else { return };
    let gpus = |file: &str| gpus(&fs::read(folder.join(file)).unwrap());
    let nvlink = gpus("nvlink-bad__azhpc-diagnostics__nvlink-s.txt");
    assert_eq!((nvlink.len(), nvlink[3].nvlinks, nvlink[3].nvlinks_active), (7, Some(6), Some(4)));
    assert_eq!(gpus("h800-sxm5__markdown-note__nvlink-status.txt")[1].nvlinks_active, Some(8));
    assert_eq!(
        gpus("rtx4090-48g-mod__duanyll-node32__nvidia-smi.txt")[0].fans.as_ref().unwrap()[0].speed_percent,
        Some(64)
    );
    let mixed = gpus("rtx2080ti-22g-mod__2080ti-toolbox-2__nvidia-smi.txt");
    assert_eq!(mixed.iter().map(|gpu| gpu.memory_total_mib).collect::<Vec<_>>(), [Some(22528), Some(24576)]);
    let lspci = gpus("h100-sxm__gpud__lspci-vvv-nvidia.txt");
    assert_eq!((lspci[1].part.as_str(), lspci[1].bar1_total_mib), ("gpu:0000:3b:00.0", Some(128 << 10)));
    assert_eq!(
        (lspci[0].pci_device.as_deref(), lspci[0].pci_subsystem.as_deref()),
        (Some("10de:2330"), Some("10de:16c1"))
    );
    let msi = &gpus("rtx4090-msi__tinygrad-28__lspci-v.txt")[0];
    assert_eq!((msi.pci_device.as_deref(), msi.pci_subsystem.as_deref()), (Some("10de:2684"), Some("1462:510b")));
}

#[test]
fn two_files_of_one_machine() {
    let Some(folder) = corpus() else { return };
    let file = |name: &str| folder.join(name).into_os_string();
    let place = Place::new();
    let json = place
        .run([
            "screen".into(),
            "--same-machine".into(),
            "--format".into(),
            "json".into(),
            file("rtx4090-48g-mod__duanyll-node32__lspci-bar.log"),
            file("rtx4090-48g-mod__duanyll-node32__nvidia-smi.txt"),
        ])
        .exits(1)
        .json();
    assert_eq!(json["gpus"].as_array().unwrap().len(), 8);
    let gpu = &json["gpus"][0];
    assert_eq!((&gpu["part"], &gpu["memory_total_mib"]), (&json!("gpu:0000:17:00.0"), &json!(49140)));
    assert_eq!((&gpu["bar1_max_mib"], &gpu["pcie_max_width"]), (&json!(32768), &json!(16)));
    assert_eq!(json["gpus"][1]["bar1_max_mib"], Json::Null);
}

/// Nobody is accused who is honest, and no known modification gets through.
#[test]
fn genuine_captures_are_not_accused_and_modified_ones_are_found() {
    /// Files that show nothing of their modification.
    const NOTHING_TO_SEE: &[(&str, &str)] = &[(
        "rtx4090-48g-mod__duanyll-node32__lspci-bar.log",
        "the BARs of a 24 GB card with the same VBIOS, and no word about the memory; beside the table it is found",
    )];
    const MODIFIED: [&str; 6] =
        ["MODDED", "MODIFIED", "GPU 0 MODDED", "mining card", "CROSS-FLASHED", "PRE-PRODUCTION"];
    let Some(folder) = corpus() else { return };
    let place = Place::new();
    let ran = place.run(["screen".into(), "--format".into(), "json".into(), folder.clone().into_os_string()]);
    let bad: BTreeMap<String, Vec<String>> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap())
        .filter(|document| document["findings"].is_array())
        .map(|document| {
            let severe = |finding: &&Json| finding["severity"] == "high" || finding["severity"] == "critical";
            let rules = document["findings"].as_array().unwrap().iter().filter(severe);
            let file = PathBuf::from(document["file"].as_str().unwrap());
            let file = file.file_name().unwrap().to_string_lossy().into_owned();
            (file, rules.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect())
        })
        .collect();
    let (mut genuine, mut modified, mut wrong) = (0, 0, Vec::new());
    for row in crate::collect::manifest(&folder) {
        let Some(rules) = bad.get(&row["file"]) else { continue };
        if row["label"].starts_with("genuine") {
            genuine += 1;
            if !rules.is_empty() {
                wrong.push(format!("{} is genuine, and accused: {rules:?}", row["file"]));
            }
        } else if MODIFIED.iter().any(|word| row["label"].starts_with(word)) {
            modified += 1;
            let excused = NOTHING_TO_SEE.iter().any(|(file, _)| *file == row["file"]);
            if rules.is_empty() != excused {
                wrong.push(format!("{} ({}): {rules:?}", row["file"], row["label"]));
            }
        }
    }
    println!("{genuine} genuine and {modified} modified captures screened");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(genuine >= 90 && modified >= 10, "{genuine} genuine, {modified} modified");
}
