//! The sources held against each other: no single one decides.

use std::collections::BTreeSet;

use super::baseline::{plain, same_words};
use super::{Facts, Gpu, VENDOR, first_reason, known, known_below, pair, text};
use crate::attest::device::Pdi;
use crate::evidence::{Evidence, Origin, Part, Reading};
use crate::rule::tables::{Record, Tables};

/// A program gets a little less memory than the GPU has, never more, and never much less.
const CUDA_SHARE_PERMILLE: std::ops::RangeInclusive<i64> = 850..=1010;
/// Images that only set up notebooks; their checksum is not kept.
const UNCHECKED_IMAGES: [&str; 3] = ["0x70", "70 ", "nbsi"];

/// What is said of one thing, by whom.
type Said = Vec<(&'static str, String)>;

pub(super) fn compare(gpu: &Gpu<'_>, evidence: &Evidence, tables: &Tables, facts: &mut Facts) {
    let part = gpu.part;
    let seen: Vec<&str> = [
        ("pci", "gpu.pci."),
        ("nvml", "gpu.nvml."),
        ("procfs", "gpu.procfs."),
        ("cuda", "gpu.cuda."),
        ("vbios", "gpu.vbios."),
    ]
    .into_iter()
    .filter(|(_, prefix)| known_below(part, &[prefix]))
    .map(|(source, _)| source)
    .collect();
    facts.insert("gpu.on_pci", on_pci(&seen, evidence));
    facts.insert("gpu.in_nvml", in_nvml(part, &seen, evidence));
    facts.insert("gpu.seen_by", known(seen));
    facts.insert("gpu.disagreements", disagreements(gpu, tables));
    facts.insert("gpu.image_disagreements", image_disagreements(gpu));
    facts.insert("gpu.name_fits_device", name_fits_device(gpu, tables));
    facts.insert("gpu.vbios_edit_signs", edit_signs(gpu));
    let bad = match part.reading("gpu.vbios.bad_checksums").and_then(Reading::known) {
        Some(crate::evidence::Value::List(images)) => {
            let checked = images.iter().filter(|image| {
                let image = image.to_string().to_lowercase();
                UNCHECKED_IMAGES.iter().all(|code| !image.starts_with(code))
            });
            Reading::Known(checked.cloned().collect::<Vec<_>>().into())
        }
        _ => first_reason(part, &["gpu.vbios.bad_checksums"]),
    };
    facts.insert("gpu.vbios_bad_images", bad);
}

fn on_pci(seen: &[&str], evidence: &Evidence) -> Reading {
    if seen.contains(&"pci") {
        return known(true);
    }
    if !["nvml", "procfs", "cuda"].iter().any(|source| seen.contains(source)) || evidence.origin == Origin::Imported {
        return Reading::Absent;
    }
    let Some(platform) = evidence.part("platform") else { return Reading::Failed("no list of the PCI bus".to_owned()) };
    // The Windows Subsystem for Linux gives its guests the driver without the bus.
    if platform.text("platform.kernel.release").is_some_and(|it| it.to_lowercase().contains("microsoft")) {
        return Reading::Unsupported;
    }
    match platform.integer("platform.pci_functions") {
        Some(_) => known(false),
        None => first_reason(platform, &["platform.pci_functions"]),
    }
}

fn in_nvml(part: &Part, seen: &[&str], evidence: &Evidence) -> Reading {
    if seen.contains(&"nvml") {
        return known(true);
    }
    if !seen.contains(&"pci") || evidence.origin == Origin::Imported {
        return Reading::Absent;
    }
    // The collector says "absent" where NVML lists other GPUs than this one.
    if part.reading("gpu.nvml.index") == Some(&Reading::Absent) {
        return known(false);
    }
    // NVML lists the GPU and could not say anything about it.
    if part.facts.keys().any(|path| path.as_str().starts_with("gpu.nvml.")) {
        return first_reason(part, &["gpu.nvml.index", "gpu.nvml.uuid", "gpu.nvml.name"]);
    }
    match evidence.scope("driver").find(|driver| driver.reading("driver.nvml.device_count").is_some()) {
        None => Reading::Failed("NVML was not asked".to_owned()),
        Some(driver) => match driver.integer("driver.nvml.device_count") {
            Some(_) => known(false),
            None => first_reason(driver, &["driver.nvml.device_count"]),
        },
    }
}

fn disagreements(gpu: &Gpu<'_>, tables: &Tables) -> Reading {
    let part = gpu.part;
    let usable = |path: &str| {
        let text = text(part, path).and_then(|text| super::usable(text, tables)).into_known()?;
        (text != "0x0000").then(|| text.to_ascii_lowercase())
    };
    let number = |path: &str| part.integer(path).map(|number| number.to_string());
    let name = |path: &str| {
        let name = plain(&text(part, path).into_known()?);
        // A driver that is older than the card knows no name.
        (name != "graphics device").then_some(name)
    };
    let whole = gpu.is_virtual != Reading::Known(true) && !gpu.mig();
    let nvidia = |path: &str| part.text(path).is_none_or(|vendor| vendor == VENDOR);
    let nvml_ids = nvidia("gpu.nvml.pci.vendor_id");
    let nvml_pci = |path: &str| if nvml_ids { usable(path) } else { None };
    let subsystem = |prefix: &str| {
        let id = pair(part, &format!("{prefix}subsystem_vendor_id"), &format!("{prefix}subsystem_device_id"));
        id.into_known().filter(|_| nvml_ids)
    };
    let mut fields: Vec<(&str, Said)> = Vec::new();
    let mut field = |what: &'static str, said: &[(&'static str, Option<String>)]| {
        let said: Said = said.iter().filter_map(|(by, value)| Some((*by, value.clone()?))).collect();
        fields.push((what, said));
    };
    field("device id", &[("PCI", usable("gpu.pci.device_id")), ("NVML", nvml_pci("gpu.nvml.pci.device_id"))]);
    field("subsystem", &[("PCI", subsystem("gpu.pci.")), ("NVML", subsystem("gpu.nvml.pci."))]);
    field("UUID", &[("NVML", usable("gpu.nvml.uuid")), ("kernel module", usable("gpu.procfs.uuid"))]);
    // Interfaces give the bytes in either order.
    let pdi = |path: &str| usable(path).and_then(|text| Pdi::parse(&text));
    let (by_nvml, by_chip) = (pdi("gpu.nvml.pdi"), pdi("gpu.bar0.pdi"));
    let by_chip = by_chip.map(|chip| by_nvml.filter(|nvml| nvml.is_same(chip)).unwrap_or(chip));
    field("PDI", &[("NVML", by_nvml.map(|it| it.to_string())), ("chip", by_chip.map(|it| it.to_string()))]);
    let vbios = [("NVML", usable("gpu.nvml.vbios_version")), ("kernel module", usable("gpu.procfs.vbios_version"))];
    field("VBIOS version", &vbios);
    let cuda = |value: Option<String>| value.filter(|_| whole);
    let names = [
        ("NVML", name("gpu.nvml.name")),
        ("kernel module", name("gpu.procfs.model")),
        ("CUDA", cuda(name("gpu.cuda.name"))),
    ];
    field("name", &names);
    field("minor number", &[("NVML", number("gpu.nvml.minor")), ("kernel module", number("gpu.procfs.minor"))]);
    for (what, nvml, by_cuda) in [
        ("bus width", "gpu.nvml.bus_width_bits", "gpu.cuda.bus_width_bits"),
        ("cores", "gpu.nvml.cores", "gpu.cuda.cores"),
    ] {
        field(what, &[("NVML", number(nvml)), ("CUDA", cuda(number(by_cuda)))]);
    }
    let capability = usable("gpu.nvml.compute_capability");
    field("compute capability", &[("NVML", capability), ("CUDA", cuda(usable("gpu.cuda.compute_capability")))]);

    let mut compared = fields.iter().any(|(_, said)| said.len() > 1);
    let mut found: Vec<String> = fields.iter().filter_map(|(what, said)| differing(what, said)).collect();
    if let (true, Some(nvml), Some(cuda)) =
        (whole, part.integer("gpu.nvml.memory.total_mib"), part.integer("gpu.cuda.memory_mib"))
    {
        compared = true;
        if !CUDA_SHARE_PERMILLE.contains(&(cuda * 1000 / nvml.max(1))) {
            found.push(format!("memory: NVML {nvml} MiB, CUDA {cuda} MiB"));
        }
    }
    if compared {
        known(found)
    } else if gpu.is_virtual == Reading::Known(true) {
        Reading::Absent
    } else {
        Reading::Failed("only one source was seen".to_owned())
    }
}

fn differing(what: &str, said: &Said) -> Option<String> {
    let values: BTreeSet<&str> = said.iter().map(|(_, value)| value.as_str()).collect();
    (values.len() > 1).then(|| {
        let said: Vec<String> = said.iter().map(|(by, value)| format!("{by} {value}")).collect();
        format!("{what}: {}", said.join(", "))
    })
}

/// The VBIOS image against the card that it came from, or is said to.
fn image_disagreements(gpu: &Gpu<'_>) -> Reading {
    let part = gpu.part;
    let running = known_below(part, &["gpu.pci.", "gpu.nvml.", "gpu.procfs."]);
    if !known_below(part, &["gpu.vbios."]) {
        return first_reason(part, &["gpu.vbios.pci.device_id", "gpu.vbios.version"]);
    }
    if !running {
        return Reading::Absent;
    }
    let card = |reading: &Reading<String>| reading.known().cloned();
    let version = super::first(part, &["gpu.nvml.vbios_version", "gpu.procfs.vbios_version"]);
    let ifr = pair(part, "gpu.vbios.ifr.subsystem_vendor_id", "gpu.vbios.ifr.subsystem_device_id");
    let ifr = ifr.into_known().filter(|id| id != "0000:0000");
    let image_version = text(part, "gpu.vbios.version").into_known();
    let fields: [(&str, Said); 3] = [
        ("device id", both(card(&gpu.device_id), text(part, "gpu.vbios.pci.device_id").into_known())),
        ("subsystem", both(card(&gpu.subsystem), ifr)),
        ("version", both(version.into_known().map(|it| it.to_uppercase()), image_version.map(|it| it.to_uppercase()))),
    ];
    if fields.iter().all(|(_, said)| said.len() < 2) {
        return Reading::Failed("nothing in the image can be compared".to_owned());
    }
    known(fields.iter().filter_map(|(what, said)| differing(what, said)).collect::<Vec<_>>())
}

fn both(card: Option<String>, image: Option<String>) -> Said {
    [("card", card), ("image", image)].into_iter().filter_map(|(by, value)| Some((by, value?))).collect()
}

/// Whether the name is one that the driver's own table has for this device id. Only for ids that this table lists, and
/// for names of other products that it lists: names change their form over driver versions.
fn name_fits_device(gpu: &Gpu<'_>, tables: &Tables) -> Reading {
    let (Reading::Known(id), Reading::Known(name)) = (&gpu.device_id, &gpu.name) else {
        return if gpu.device_id.known().is_some() { gpu.name.clone().value() } else { gpu.device_id.clone().value() };
    };
    if !gpu.baseline.as_ref().is_some_and(|it| it.is("driver_name")) {
        return Reading::Failed(format!("the driver's name for {id} is not known"));
    }
    let has_id = |record: &Record| record.texts("device_ids").any(|known| known == id);
    let has_name = |record: &Record| record.texts("names").any(|known| same_words(known, name));
    let products = || tables.records("gpu/products").map(|(_, record)| record);
    if products().any(|record| has_id(record) && has_name(record)) {
        known(true)
    } else if products().any(has_name) {
        known(false)
    } else {
        Reading::Failed(format!("{name:?} is no name that the tables know"))
    }
}

/// Traces of somebody's editor in the VBIOS.
fn edit_signs(gpu: &Gpu<'_>) -> Reading {
    const JOKES: [&str; 5] = ["DE.AD.", "BE.EF", "CA.FE.", "BA.BE.", "C0.DE."];
    let part = gpu.part;
    let versions = ["gpu.nvml.vbios_version", "gpu.procfs.vbios_version", "gpu.vbios.version"];
    let mut signs: Vec<String> = Vec::new();
    for version in versions.iter().filter_map(|path| part.text(path)) {
        let upper = version.to_ascii_uppercase();
        if JOKES.iter().any(|joke| upper.contains(joke)) && !signs.contains(&format!("version {upper}")) {
            signs.push(format!("version {upper}"));
        }
    }
    if let Some(date) = part.text("gpu.vbios.build_date")
        && !is_date(date)
    {
        signs.push(format!("build date {date}"));
    }
    if let Some(text) = part.text("gpu.vbios.sign_on") {
        let lower = text.to_lowercase();
        if ["modded", "modified", "imac", "hack", "cracked"].iter().any(|word| lower.contains(word)) {
            signs.push(format!("sign-on text {text:?}"));
        }
    }
    if versions.iter().any(|path| part.text(path).is_some()) { known(signs) } else { first_reason(part, &versions) }
}

/// `03/30/21`: month, day, year.
fn is_date(text: &str) -> bool {
    let fields: Vec<Option<u32>> = text.split('/').map(|field| field.trim().parse().ok()).collect();
    matches!(fields[..], [Some(1..=12), Some(1..=31), Some(year)] if year < 100 || (1999..2100).contains(&year))
}
