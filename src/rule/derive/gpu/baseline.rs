//! What the tables say that the GPU should be.

use std::collections::BTreeSet;

use super::{Facts, Gpu, first_reason, integer, known, text};
use crate::evidence::{Reading, Value};
use crate::rule::tables::{Record, Tables};

/// Streaming multiprocessors of these chips have 64 cores for FP32, all others 128.
const CHIPS_WITH_64: [&str; 4] = ["GP100", "GV100", "TU1", "GA100"];

/// The records that the GPU may be. By device id there is one; a printed name can stand for several.
pub(super) struct Baseline<'a> {
    by: &'static str,
    name: String,
    certainty: String,
    /// Their device ids, in the same order.
    ids: Vec<String>,
    records: Vec<&'a Record>,
}

impl<'a> Baseline<'a> {
    pub(super) fn by_device(id: &str, subsystem: Option<&String>, tables: &'a Tables) -> Option<Self> {
        let record = tables.record("gpu/devices", id)?;
        let by_board = subsystem.and_then(|it| tables.record("gpu/subsystem-names", &format!("{id} {it}")));
        let name = by_board.and_then(|board| board.text("name")).or(record.text("name"))?.to_owned();
        let certainty = record.text("certainty").unwrap_or("E").to_owned();
        Some(Self { by: "device-id", name, certainty, ids: vec![id.to_owned()], records: vec![record] })
    }

    /// A name that nvidia-smi's table cut short counts where everything that it can be has the same memory.
    pub(super) fn by_name(name: &str, tables: &'a Tables) -> Option<Self> {
        let printed = plain(name);
        let start = printed.strip_suffix("...").map(str::trim_end);
        let fits = |candidate: &str| match start {
            Some(start) => plain(candidate).starts_with(start),
            None => same_words(candidate, name),
        };
        let mut ids: BTreeSet<&str> = tables
            .records("gpu/devices")
            .filter(|(_, record)| record.text("name").is_some_and(fits))
            .map(|(id, _)| id)
            .collect();
        let boards = tables.records("gpu/subsystem-names");
        ids.extend(
            boards
                .filter(|(_, record)| record.text("name").is_some_and(fits))
                .filter_map(|(key, _)| key.split(' ').next()),
        );
        let records: Vec<&Record> = ids.iter().filter_map(|id| tables.record("gpu/devices", id)).collect();
        if start.is_some() {
            let sizes: BTreeSet<&[Value]> = records.iter().map(|record| record.list("memory_nominal_mib")).collect();
            if sizes.len() != 1 || sizes.iter().any(|sizes| sizes.is_empty()) {
                return None;
            }
        }
        // The least certain record decides: it may be the one.
        let certainty = records.iter().filter_map(|record| record.text("certainty")).max()?.to_owned();
        let name = records.first()?.text("name")?.to_owned();
        let ids = ids.into_iter().filter(|id| tables.record("gpu/devices", id).is_some()).map(str::to_owned).collect();
        Some(Self { by: "name", name, certainty, ids, records })
    }

    /// A field in which all records agree.
    fn get(&self, field: &str) -> Option<&'a Value> {
        let mut values = self.records.iter().map(|record| record.get(field));
        let first = values.next()??;
        values.all(|value| value == Some(first)).then_some(first)
    }

    pub(super) fn text(&self, field: &str) -> Option<String> {
        Some(self.get(field)?.as_text()?.to_owned())
    }

    pub(super) fn integer(&self, field: &str) -> Option<i64> {
        self.get(field)?.as_integer()
    }

    /// How sure the least certain of the records is.
    pub(super) fn certainty(&self) -> &str {
        &self.certainty
    }

    /// The product.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Device ids of the records.
    pub(super) fn ids(&self) -> &[String] {
        &self.ids
    }

    pub(super) fn is(&self, field: &str) -> bool {
        self.get(field).and_then(Value::as_bool) == Some(true)
    }

    pub(super) fn is_not(&self, field: &str) -> bool {
        self.get(field).and_then(Value::as_bool) == Some(false)
    }

    /// Whether any of the records may be that product.
    pub(super) fn fits(&self, product: &Record) -> bool {
        self.records.iter().any(|record| {
            let name = record.text("name").unwrap_or_default();
            product.texts("names").any(|known| plain(known) == plain(name))
        })
    }

    /// The smallest size that the product has and that holds this much, else the largest.
    pub(super) fn nominal_mib(&self, memory: i64) -> Option<i64> {
        let sizes: BTreeSet<i64> = self.records.iter().flat_map(|it| it.integers("memory_nominal_mib")).collect();
        sizes.iter().copied().find(|size| memory * 1000 <= size * 1020).or(sizes.last().copied())
    }
}

/// Without maker and with single spaces, since drivers up to 460 leave `NVIDIA` out.
pub(super) fn plain(name: &str) -> String {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    name.strip_prefix("nvidia ").map_or(name.clone(), str::to_owned)
}

/// `Tesla P100-PCIE-16GB` and `Tesla P100 PCIe 16GB` are one name. Each name is compared with all of the tables: nothing is
/// copied, and the last word comes first, which is where names differ.
pub(super) fn same_words(first: &str, second: &str) -> bool {
    let (mut first, mut second) = (words(first), words(second));
    loop {
        match (first.next_back(), second.next_back()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}

fn words(name: &str) -> impl DoubleEndedIterator<Item = &[u8]> {
    const MAKER: &str = "NVIDIA";
    let name = name.trim_start();
    let by_maker = name.get(..MAKER.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAKER));
    let behind = by_maker.then(|| &name[MAKER.len()..]).filter(|rest| rest.starts_with(char::is_whitespace));
    let brand = |word: &[u8]| word.eq_ignore_ascii_case(b"tesla") || word.eq_ignore_ascii_case(b"geforce");
    let words = behind.unwrap_or(name).as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
    words.filter(move |word| !word.is_empty() && !brand(word))
}

impl Gpu<'_> {
    pub(super) fn baseline(&self, tables: &Tables, facts: &mut Facts) {
        let none: Reading = match &self.device_id {
            Reading::Known(id) => Reading::Failed(format!("no record of {id} in parts/gpu/devices")),
            _ => match &self.name {
                Reading::Known(name) => Reading::Failed(format!("no record of the name {name:?} in parts/gpu/devices")),
                _ => self.device_id.clone().value().and_then(|_| Reading::Absent),
            },
        };
        let field = |field: &str| match &self.baseline {
            None => none.clone(),
            Some(baseline) => baseline.get(field).map_or_else(
                || Reading::Failed(format!("{} has no {field} in parts/gpu/devices", baseline.name)),
                |value| Reading::Known(value.clone()),
            ),
        };
        // What is special about some products; the others don't have it.
        let special = |field: &str| match &self.baseline {
            None => none.clone(),
            Some(baseline) => Reading::or_absent(baseline.get(field).cloned()),
        };
        let own = |read: fn(&super::Baseline<'_>) -> String| {
            self.baseline.as_ref().map_or_else(|| none.clone(), |baseline| known(read(baseline)))
        };
        let identified = self.device_id.known().is_some() || self.name.known().is_some();
        let has_baseline = match &self.baseline {
            _ if self.is_virtual == Reading::Known(true) => Reading::Failed("a virtual GPU is no product".to_owned()),
            Some(_) => known(true),
            None if identified => known(false),
            None => none.clone(),
        };
        facts.insert("gpu.has_baseline", has_baseline);
        facts.insert("gpu.baseline.by", own(|baseline| baseline.by.to_owned()));
        facts.insert("gpu.baseline.name", own(|baseline| baseline.name.clone()));
        facts.insert("gpu.baseline.certainty", own(|baseline| baseline.certainty.clone()));
        facts.insert("gpu.baseline.chip", field("chip"));
        facts.insert("gpu.baseline.class", field("class"));
        facts.insert("gpu.baseline.sm_count", field("sm_count"));
        facts.insert("gpu.baseline.bus_width_bits", field("bus_width_bits"));
        facts.insert("gpu.baseline.tbp_watts", field("tbp_watts"));
        facts.insert("gpu.baseline.cooler", special("cooler"));
        facts.insert("gpu.baseline.factory_blower", special("factory_blower"));
        facts.insert("gpu.baseline.nvlinks", special("nvlinks"));
        facts.insert("gpu.baseline.region", special("region"));
        let form = self.form_factor.clone();
        facts.insert("gpu.form_factor", form.map_or_else(|| field("form_factor"), known));
        self.memory(&none, facts);
        self.chip(tables, facts);
        self.board(tables, facts);
        let sms = match self.part.integer("gpu.cuda.sm_count") {
            Some(count) => Reading::Known(count),
            None => integer(self.part, "gpu.nvml.cores").and_then(|cores| {
                let Some(chip) = self.baseline.as_ref().and_then(|it| it.text("chip")) else {
                    return Reading::Failed("the chip is not known".to_owned());
                };
                let per_sm = if CHIPS_WITH_64.iter().any(|it| chip.starts_with(it)) { 64 } else { 128 };
                Reading::Known(cores / per_sm)
            }),
        };
        facts.insert("gpu.sm_count", if self.mig() { Reading::Unsupported } else { sms.value() });
        let bus = match integer(self.part, "gpu.nvml.bus_width_bits") {
            Reading::Known(bits) => Reading::Known(bits),
            other => self.part.integer("gpu.cuda.bus_width_bits").map_or(other, Reading::Known),
        };
        facts.insert("gpu.bus_width_bits", if self.mig() { Reading::Unsupported } else { bus.value() });
    }

    fn memory(&self, none: &Reading, facts: &mut Facts) {
        let nominal = self.memory_mib.as_ref().and_then(|memory| match &self.baseline {
            None => none.clone().and_then(|_| Reading::Absent),
            Some(baseline) => baseline.nominal_mib(*memory).map_or_else(
                || Reading::Failed(format!("{} has no memory size in parts/gpu/devices", baseline.name)),
                Reading::Known,
            ),
        });
        let share = nominal.as_ref().and_then(|nominal| self.memory_mib.as_ref().map(|memory| memory * 1000 / nominal));
        facts.insert("gpu.baseline.memory_mib", nominal.value());
        facts.insert("gpu.memory_permille", share.value());
        let rebar = integer(self.part, "gpu.pci.rebar_max_bytes").and_then(|bytes| {
            let mib = bytes >> 20;
            // VBIOS images from before resizable BARs offer 256 MiB whatever the memory.
            if mib < 1024 { Reading::Absent } else { Reading::Known(mib) }
        });
        let share = rebar.and_then(|rebar| self.memory_mib.as_ref().map(|memory| rebar * 1000 / (*memory).max(1)));
        facts.insert("gpu.rebar_permille", share.value());
    }

    fn chip(&self, tables: &Tables, facts: &mut Facts) {
        let record = self.vbios_version.as_ref().and_then(|version| {
            if version == "00.00.00.00.00" {
                return Reading::Absent;
            }
            let prefix = version.get(..5).unwrap_or_default();
            let record = tables.record("gpu/vbios-chips", prefix);
            record.map_or_else(|| Reading::Failed(format!("no chip is known for VBIOS {version}")), Reading::Known)
        });
        let chip = record.as_ref().and_then(|record| Reading::or_absent(record.text("chip").map(str::to_owned)));
        facts.insert("gpu.chip_by_vbios", chip.value());
        let certainty = record.and_then(|record| Reading::or_absent(record.text("certainty").map(str::to_owned)));
        facts.insert("gpu.chip_by_vbios_certainty", certainty.value());
    }

    fn board(&self, tables: &Tables, facts: &mut Facts) {
        let record = match (&self.device_id, &self.subsystem) {
            (Reading::Known(device), Reading::Known(subsystem)) => {
                tables.record("gpu/boards", &format!("{device} {subsystem}"))
            }
            _ => None,
        };
        let maker = self.subsystem.as_ref().and_then(|subsystem| {
            let vendor = subsystem.split(':').next().unwrap_or_default();
            let maker = tables.record("gpu/board-makers", &format!("0x{vendor}"));
            Reading::or_absent(maker.and_then(|maker| maker.text("name")).map(str::to_owned))
        });
        facts.insert("gpu.board.maker", maker.value());
        let model = self
            .subsystem
            .as_ref()
            .and_then(|_| Reading::or_absent(record.and_then(|record| record.text("model")).map(str::to_owned)));
        facts.insert("gpu.board.model", model.value());
        let sign_on = text(self.part, "gpu.vbios.sign_on");
        let in_words = |table: &str| {
            let table = tables.get(table);
            sign_on.known().is_some_and(|text| table.is_some_and(|table| table.has(text)))
        };
        let by_record = record.and_then(|record| record.text("cooler")).filter(|cooler| *cooler != "unknown");
        let cooler = match by_record {
            Some(cooler) => known(cooler),
            None if in_words("gpu/blower-names") => known("blower"),
            None if in_words("gpu/open-air-names") => known("open-air"),
            None if sign_on.known().is_some() || self.subsystem.known().is_some() => {
                Reading::Failed("neither the subsystem id nor the sign-on text names a known cooler".to_owned())
            }
            None => first_reason(self.part, &["gpu.vbios.sign_on", "gpu.pci.subsystem_device_id"]),
        };
        facts.insert("gpu.board.cooler", cooler);
    }
}
