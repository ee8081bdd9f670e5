//! Files that are written whole or not at all.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file through a temporary one in the same folder, which is synchronised and renamed at the end. On any error
/// the old file, or none, is there. A device or a pipe is written into: root would put a file in the place of `/dev/null`.
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let mut out = BufWriter::new(File::options().write(true).open(path)?);
        content(&mut out)?;
        return out.flush();
    }
    // Who may read the old file may read the new one.
    let found = path.symlink_metadata().ok().filter(Metadata::is_file);
    let bits = found.map_or(0o644, |found| found.permissions().mode() & 0o777);
    temporary(path, bits, content)?.persist(path).map_err(|error| error.error)?;
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
    PermissionsExt::from_mode(mode)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_file_that_is_there_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bits = || path.metadata().unwrap().permissions().mode() & 0o777;
        write(&path, |out| out.write_all(b"old")).unwrap();
        assert_eq!(bits(), 0o644);
        std::fs::set_permissions(&path, mode(0o600)).unwrap();
        write(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!((bits(), std::fs::read(&path).unwrap().as_slice()), (0o600, &b"new"[..]));
    }

    #[test]
    fn a_pipe_is_written_into_and_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe).unwrap()
        });
        write(&pipe, |out| out.write_all(b"content")).unwrap();
        assert_eq!(reader.join().unwrap(), "content");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());
    }
}
