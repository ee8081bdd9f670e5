//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::{NamedTempFile, PersistError};

/// Writes a file through a temporary one in the same folder, which is synchronised and renamed at the end. On any error
/// the old file, or none, is there.
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    write_through(path, content, |temporary| temporary.persist(path))
}

/// [`write()`], but a file that is there already is an error and stays.
pub fn write_new(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    write_through(path, content, |temporary| temporary.persist_noclobber(path))
}

fn write_through(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    persist: impl FnOnce(NamedTempFile) -> Result<File, PersistError>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new().prefix(".yanji-").permissions(mode(0o644)).tempfile_in(folder)?;
    {
        let mut buffered = BufWriter::new(temporary.as_file_mut());
        content(&mut buffered)?;
        buffered.flush()?;
    }
    temporary.as_file().sync_all()?;
    persist(temporary).map_err(|error| error.error)?;
    // The name itself lives in the folder.
    File::open(folder)?.sync_all()
}

fn mode(mode: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}
