//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file through a temporary one in the same folder, which is synchronised and renamed at the end. On any error
/// the old file, or none, is there.
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    temporary(path, 0o644, content)?.persist(path).map_err(|error| error.error)?;
    // The name itself lives in the folder.
    File::open(folder_of(path))?.sync_all()
}

/// The same for a file that must not be there yet, with those permission bits.
pub fn write_new(path: &Path, bits: u32, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path, bits, |file| file.write_all(content))?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder_of(path))?.sync_all()
}

fn temporary(
    path: &Path,
    bits: u32,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    let mut temporary = builder.prefix(".yanji-").permissions(mode(bits)).tempfile_in(folder_of(path))?;
    {
        let mut buffered = BufWriter::new(temporary.as_file_mut());
        content(&mut buffered)?;
        buffered.flush()?;
    }
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn mode(mode: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}
