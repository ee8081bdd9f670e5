//! One collector per kind of part. Each reads through [`Host`] and never aborts: what goes wrong is a reading.

use crate::evidence::{Evidence, EvidenceBuilder, FactDef};
use crate::host::Host;

/// Learns the facts of one kind of part.
pub trait Collector: Sync {
    /// Short name, the module's: `cpu`, `memory`.
    fn id(&self) -> &'static str;

    /// Every fact that it can make. Rules may name no other.
    fn facts(&self) -> &'static [FactDef];

    /// Reads the machine and adds parts and facts.
    fn collect(&self, host: &dyn Host, out: &mut EvidenceBuilder);
}

/// All collectors, in the order in which they run.
pub const COLLECTORS: &[&dyn Collector] = &[];

/// Runs every collector.
pub fn collect(host: &dyn Host) -> Evidence {
    let mut out = EvidenceBuilder::new(host.origin());
    for collector in COLLECTORS {
        collector.collect(host, &mut out);
    }
    out.finish()
}
