//! `yanji nvml-reader`: what an inspection starts to ask NVML. Not for people.

/// Makes the calls of the assignment on standard input.
pub fn run() -> anyhow::Result<()> {
    Ok(yanji::host::nvml::run_reader()?)
}
