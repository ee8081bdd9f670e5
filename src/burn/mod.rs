//! The burn-in: workloads under a supervisor, with telemetry, leaving a chain of records.
