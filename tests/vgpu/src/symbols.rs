//! An older driver: a library that lacks functions.

use anyhow::ensure;

/// Renames functions in a shared library, so that `dlsym` finds them no more. The names keep their length: only the first
/// letter changes, in every string table of the file.
pub fn remove_symbols(library: &mut [u8], names: &[String]) -> anyhow::Result<()> {
    for name in names {
        let entry = [b"\0", name.as_bytes(), b"\0"].concat();
        let found: Vec<usize> =
            library.windows(entry.len()).enumerate().filter(|(_, it)| *it == entry).map(|(at, _)| at).collect();
        ensure!(!found.is_empty(), "the library has no symbol {name}");
        for at in found {
            library[at + 1] = b'_';
        }
    }
    Ok(())
}
