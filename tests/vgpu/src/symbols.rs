//! An older driver: a library that lacks functions.

use std::collections::HashSet;

use anyhow::bail;

/// Renames functions in a shared library, so that `dlsym` finds them no more. The names keep their length: only the first
/// letter changes, in every string table of the file.
pub fn remove_symbols(library: &mut [u8], names: &[String]) -> anyhow::Result<()> {
    let mut left: HashSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let wanted = left.clone();
    for entry in library.split_mut(|&byte| byte == 0) {
        if let Some(&name) = wanted.get(&*entry) {
            entry[0] = b'_';
            left.remove(name);
        }
    }
    if let Some(name) = left.into_iter().next() {
        bail!("the library has no symbol {}", String::from_utf8_lossy(name));
    }
    Ok(())
}
