//! `yanji worker`: what `yanji burn` starts. Not for people.

/// Runs the assignment on standard input.
pub fn run() -> anyhow::Result<()> {
    Ok(yanji::burn::run_worker()?)
}
