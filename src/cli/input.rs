//! Input files that are small.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

use super::error::CliError;

/// The bytes of a file that has at most that many.
pub fn small_file(path: &Path, max_bytes: usize) -> anyhow::Result<Vec<u8>> {
    let unreadable = || CliError::usage(format!("cannot read {}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(unreadable)?;
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes).with_context(unreadable)?;
    if bytes.len() > max_bytes {
        bail!(CliError::usage(format!("{} has more than {max_bytes} bytes", path.display())));
    }
    Ok(bytes)
}
