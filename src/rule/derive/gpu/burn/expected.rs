//! What the product that a GPU says it is can do.

use super::super::baseline::Baseline;
use super::super::{Gpu, text};
use crate::evidence::Reading;
use crate::rule::tables::{Record, Tables};

/// What is expected of a GPU. A field that the tables don't have is not judged.
pub(super) struct Expected<'a> {
    baseline: Option<&'a Baseline<'a>>,
    /// Records of the product, one for each device id that it may have; none where one of them has no record.
    products: Vec<&'a Record>,
    /// Kinds of chip that it may have.
    chips: Vec<&'a Record>,
}

impl<'a> Expected<'a> {
    /// By device id or name; where neither is known, by the compute capability that CUDA tells.
    pub(super) fn of(gpu: &'a Gpu<'a>, tables: &'a Tables) -> Reading<Self> {
        if gpu.is_virtual == Reading::Known(true) || gpu.mig() {
            return Reading::Failed("a part of a GPU is no product".to_owned());
        }
        let baseline = gpu.baseline.as_ref();
        let ids = baseline.map(Baseline::ids).unwrap_or_default();
        let products: Option<Vec<&Record>> = ids.iter().map(|id| tables.record("gpu/performance", id)).collect();
        let chips = match baseline.and_then(|it| Some((it.text("chip")?, it.text("class")?))) {
            Some((chip, class)) => chip_rates(&chip, &class, tables).into_iter().collect(),
            None => match text(gpu.part, "gpu.burn.cuda.compute_capability") {
                Reading::Known(level) => by_level(&level, tables),
                unread => return unread.and_then(|_| Reading::Absent),
            },
        };
        Reading::Known(Self { baseline, products: products.unwrap_or_default(), chips })
    }

    /// A number in which all records of the product agree.
    pub(super) fn integer(&self, field: &str) -> Option<i64> {
        let first = self.products.first()?.integer(field)?;
        self.products.iter().all(|record| record.integer(field) == Some(first)).then_some(first)
    }

    /// Multiply-adds of an SM in a clock. Cards that were cut down for a market or for mining differ from their chip, so
    /// for them only what is known of the product counts.
    pub(super) fn rate(&self, field: &str) -> Option<i64> {
        let cut = self.baseline.is_some_and(|it| {
            it.text("region").is_some() || it.text("class").is_some_and(|class| class == "mining" || class == "other")
        });
        if cut || self.products.iter().any(|record| record.get(field).is_some()) {
            return self.integer(field);
        }
        self.chips.iter().map(|chip| chip.integer(field)).min().flatten()
    }

    /// The file of kernels without which tensor cores don't reach their rate.
    pub(super) fn native(&self) -> Option<&'a str> {
        self.chips.first()?.text("native")
    }

    pub(super) fn sm_count(&self) -> Option<i64> {
        self.integer("sm_count").or_else(|| self.baseline?.integer("sm_count"))
    }

    pub(super) fn name(&self) -> Option<String> {
        Some(self.baseline?.name().to_owned())
    }

    /// The least certain record counts.
    pub(super) fn certainty(&self) -> String {
        let of_products = self.products.iter().filter_map(|record| record.text("certainty")).max();
        of_products.or(self.baseline.map(Baseline::certainty)).unwrap_or("E").to_owned()
    }
}

/// GeForce cards have other tensor cores than workstation cards of the same chip.
pub(super) fn chip_rates<'a>(chip: &str, class: &str, tables: &'a Tables) -> Option<&'a Record> {
    let mut fitting: Vec<(&str, &Record)> = tables
        .records("gpu/chip-rates")
        .filter(|(_, record)| record.texts("chips").any(|known| known == chip))
        .collect();
    let game = matches!(class, "geforce" | "laptop");
    fitting.sort_by_key(|(key, _)| key.ends_with("geforce") != game);
    fitting.first().map(|(_, record)| *record)
}

/// Every kind of chip of a compute capability.
pub(super) fn by_level<'a>(level: &str, tables: &'a Tables) -> Vec<&'a Record> {
    let of_level = tables.records("gpu/chip-rates").filter(|(key, _)| key.split(' ').next() == Some(level));
    of_level.map(|(_, record)| record).collect()
}
