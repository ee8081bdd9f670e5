//! `yanji gpu-worker`, `yanji gpu-peers` and `yanji gpu-telemetry`: what `yanji burn` starts for GPUs. Not for people.

/// Burns the GPU of the assignment on standard input.
pub fn work() -> anyhow::Result<()> {
    Ok(yanji::burn::run_gpu_worker()?)
}

/// Copies between the GPUs of the assignment on standard input.
pub fn copy() -> anyhow::Result<()> {
    Ok(yanji::burn::run_gpu_peers()?)
}

/// Watches the GPUs of the assignment on standard input.
pub fn watch() -> anyhow::Result<()> {
    Ok(yanji::host::nvml::run_telemetry()?)
}
