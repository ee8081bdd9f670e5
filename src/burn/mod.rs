//! The burn-in: workloads under a supervisor, with telemetry, leaving a chain of records.

use crate::evidence::FactDef;

/// Facts of the burn-in.
pub const FACTS: &[FactDef] = &[];
