//! What a burn-in measured of a GPU, held against what its product can do, scaled by what the card itself allows.
//!
//! Every fact here has a value only where its inputs have; the reason of a missing one is passed on. A list of shortfalls
//! is empty only where all of its inputs were looked at.

mod expected;
mod facts;
mod like;
mod link;
mod memory;
mod peers;
mod rates;
mod siblings;

use super::{Facts, Gpu, claim, integer, known, known_below};
use crate::evidence::{Evidence, Part, Reading};
use crate::rule::tables::Tables;

pub(super) use facts::FACTS;

use expected::Expected;

const TESTED: &str = "gpu.burned.tested";
const SMS: &str = "gpu.burn.sm_count";

/// Adds the facts of a tested GPU, and of every other one that it was not tested.
pub(super) fn compare(gpu: &Gpu<'_>, all: &[Gpu<'_>], evidence: &Evidence, tables: &Tables, facts: &mut Facts) {
    if !was_tested(gpu.part) {
        let burned = evidence.scope("burn").next().is_some();
        let none = if burned { Reading::Failed("the burn-in did not test this GPU".to_owned()) } else { known(false) };
        facts.insert(TESTED, none);
        return;
    }
    facts.insert(TESTED, known(true));
    let expected = Expected::of(gpu, tables);
    let own = |read: &dyn Fn(&Expected<'_>) -> Reading| match &expected {
        Reading::Known(expected) => read(expected),
        unread => unread.as_ref().and_then(|_| Reading::Absent),
    };
    facts.insert("gpu.burned.expected.name", own(&|it| Reading::or_absent(it.name().map(Into::into))));
    facts.insert("gpu.burned.expected.certainty", own(&|it| known(it.certainty())));
    let sms = own(&|it| match it.sm_count() {
        Some(count) => known(count),
        None => Reading::Failed("the tables don't say how many SMs this part has".to_owned()),
    });
    facts.insert("gpu.burned.expected.sm_count", sms);
    rates::compare(gpu.part, &expected, facts);
    memory::compare(gpu, &expected, facts);
    link::compare(gpu.part, facts);
    facts.insert("gpu.burned.peer_shortfalls", peers::compare(gpu.part, all));
    facts.insert("gpu.burned.claim_conflicts", claim_conflicts(gpu, tables));
    facts.insert("gpu.burned.lagging", siblings::lagging(gpu, all));
    facts.insert("gpu.burned.behaves_like", like::behaves_like(gpu, tables));
}

fn was_tested(part: &Part) -> bool {
    known_below(part, &["gpu.burn."])
}

/// What is wrong of several things, of which each may have been impossible to look at.
#[derive(Default)]
struct Shortfalls {
    found: Vec<String>,
    missing: Option<Reading>,
    looked: bool,
}

impl Shortfalls {
    fn found(&mut self, what: String) {
        self.found.push(what);
        self.looked = true;
    }

    fn looked(&mut self) {
        self.looked = true;
    }

    /// The first reason stays.
    fn missing(&mut self, why: Reading) {
        self.missing.get_or_insert(why);
    }

    /// What was found counts whatever else could not be looked at; that nothing was found only counts for all of it.
    fn reading(self) -> Reading {
        match (self.found.is_empty(), self.missing, self.looked) {
            (false, ..) | (true, None, true) => known(self.found),
            (true, Some(why), _) => why,
            (true, None, false) => Reading::Absent,
        }
    }
}

/// The SMs that ran against those of every variant of the product that was sold.
fn claim_conflicts(gpu: &Gpu<'_>, tables: &Tables) -> Reading {
    let Some(product) = gpu.part.text("gpu.claim.product") else { return Reading::Absent };
    let Some(record) = claim::claimed_record(product, tables) else {
        return Reading::Failed(format!("{product:?} is not in parts/gpu/products"));
    };
    let mut sold: Vec<i64> = Vec::new();
    let mut uncounted = false;
    for id in record.texts("device_ids") {
        let of = |table: &str| tables.record(table, id)?.integer("sm_count");
        match of("gpu/performance").or_else(|| of("gpu/devices")) {
            Some(count) => sold.push(count),
            // It only matters where the card may be that variant.
            None => uncounted |= gpu.device_id.known().is_none_or(|own| own == id),
        }
    }
    let Some(fewest) = sold.iter().min().copied().filter(|_| !uncounted) else {
        return Reading::Failed(format!("the tables don't say how many SMs {product} has"));
    };
    integer(gpu.part, SMS)
        .map(|ran| {
            let words = format!("{ran} SMs ran, and {product} has at least {fewest}");
            if sold.contains(&ran) { Vec::new() } else { vec![words] }
        })
        .value()
}
