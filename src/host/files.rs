//! Files of the machine, or of a folder that stands for one.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};

use super::MAX_FILE_BYTES;
use crate::evidence::Reading;

/// Where absolute paths begin: at the root, or at a folder that no path, link or `..` below it leads out of.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    root: Option<Arc<OwnedFd>>,
}

impl Files {
    /// Begins at a folder.
    pub(super) fn below(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty())?;
        // The kernel can keep paths inside since Linux 5.6; without that there is no such folder.
        let files = Self { root: Some(Arc::new(root)) };
        files.open("/", flags)?;
        Ok(files)
    }

    /// Whether it is the machine's own root.
    pub(super) fn are_the_machines(&self) -> bool {
        self.root.is_none()
    }

    /// Opens an absolute path.
    pub(super) fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        // A path that is not opened for reading takes no other flags.
        let terminal = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NOCTTY };
        let flags = flags | OFlags::CLOEXEC | terminal;
        Ok(match &self.root {
            None => rustix::fs::open(path, flags, Mode::empty())?,
            Some(root) => rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?,
        })
    }

    /// Reads one file without ever waiting for a writer (a FIFO opens, and reads as empty or fails).
    pub(super) fn read(&self, path: &str) -> Reading<Vec<u8>> {
        self.read_while(path, 0, |_| true)
    }

    /// Reads that many bytes of a file, and the rest if they say that there is something.
    pub(super) fn read_while(&self, path: &str, bytes: usize, goes_on: impl Fn(&[u8]) -> bool) -> Reading<Vec<u8>> {
        match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => read_file(File::from(file), bytes, goes_on),
            Err(error) => reading_of(&error),
        }
    }

    /// The names in a folder, sorted.
    pub(super) fn list(&self, path: &str) -> Reading<Vec<String>> {
        let names = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY).and_then(|folder| {
            Dir::new(folder)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .filter(|name| !matches!(name.as_deref(), Ok("." | "..")))
                .collect::<io::Result<Vec<String>>>()
        });
        match names {
            Ok(mut names) => {
                names.sort();
                Reading::Known(names)
            }
            Err(error) => reading_of(&error),
        }
    }

    /// The target of a symbolic link.
    pub(super) fn link(&self, path: &str) -> Reading<String> {
        let target = self
            .open(path, OFlags::PATH | OFlags::NOFOLLOW)
            .and_then(|link| Ok(rustix::fs::readlinkat(&link, "", Vec::new())?));
        match target {
            Ok(target) => Reading::Known(target.to_string_lossy().into_owned()),
            // An empty path below a descriptor that is no link has this error instead of EINVAL.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOENT.raw_os_error()) => {
                match self.open(path, OFlags::PATH | OFlags::NOFOLLOW) {
                    Ok(_) => Reading::Unsupported,
                    Err(_) => Reading::Absent,
                }
            }
            Err(error) => reading_of(&error),
        }
    }
}

fn read_file(mut file: File, bytes: usize, goes_on: impl Fn(&[u8]) -> bool) -> Reading<Vec<u8>> {
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Reading::Failed("not a regular file".to_owned()),
        Err(error) => return reading_of(&error),
    }
    let mut content = Vec::new();
    let read = (&mut file).take(bytes as u64).read_to_end(&mut content).and_then(|_| {
        if goes_on(&content) {
            file.take((MAX_FILE_BYTES + 1).saturating_sub(content.len()) as u64).read_to_end(&mut content)?;
        }
        Ok(())
    });
    match read {
        Ok(()) if content.len() > MAX_FILE_BYTES => Reading::Failed(format!("larger than {MAX_FILE_BYTES} bytes")),
        Ok(()) => Reading::Known(content),
        Err(error) => reading_of(&error),
    }
}

/// What an I/O error means for a fact.
pub(super) fn reading_of<T>(error: &io::Error) -> Reading<T> {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::NXIO) => Reading::Absent,
        Some(Errno::ACCESS | Errno::PERM) => Reading::Denied,
        Some(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY | Errno::INVAL | Errno::NODATA) => Reading::Unsupported,
        _ => Reading::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn fifo_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap();
        assert!(status.success());
        let path = folder.path().join("fifo");
        assert_eq!(Files::default().read(path.to_str().unwrap()), Reading::Failed("not a regular file".to_owned()));
    }

    #[test]
    fn oversized_and_missing_files_are_readings() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        File::create(path("large")).unwrap().set_len(MAX_FILE_BYTES as u64 + 1).unwrap();
        let files = Files::default();
        assert!(matches!(files.read(&path("large")), Reading::Failed(why) if why.contains("larger than")));
        assert_eq!(files.read(&path("missing")), Reading::Absent);
        assert_eq!(files.read(&path("large/below-a-file")), Reading::Absent);
        assert_eq!(files.link(&path("missing")), Reading::Absent);
        assert_eq!(files.link(&path("large")), Reading::Unsupported);
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("secret"), "outside").unwrap();
        let root = outer.path().join("root");
        fs::create_dir_all(root.join("sys/inner")).unwrap();
        fs::write(root.join("sys/file"), "inside").unwrap();
        fs::write(root.join("secret"), "the folder's own").unwrap();
        symlink("../../../../secret", root.join("sys/climbs")).unwrap();
        symlink("/sys/file", root.join("sys/absolute")).unwrap();
        symlink(outer.path().join("secret"), root.join("sys/host")).unwrap();
        symlink("/", root.join("sys/top")).unwrap();
        let files = Files::below(&root).unwrap();
        let read = |path: &str| files.read(path).map(|bytes| String::from_utf8(bytes).unwrap());
        let known = |text: &str| Reading::Known(text.to_owned());
        assert_eq!(read("/sys/file"), known("inside"));
        assert_eq!(read("/sys/climbs"), known("the folder's own"));
        assert_eq!(read("/../secret"), known("the folder's own"));
        assert_eq!(read("/sys/absolute"), known("inside"));
        assert_eq!(read("/sys/host"), Reading::Absent);
        assert_eq!(files.list("/sys/top"), Reading::Known(vec!["secret".to_owned(), "sys".to_owned()]));
        assert_eq!(files.link("/sys/absolute"), known("/sys/file"));
        assert_eq!(files.link("/sys/file"), Reading::Unsupported);
        assert_eq!(read("/proc/self/cmdline"), Reading::Absent);
        assert!(Files::below(&root.join("missing")).is_err());
    }
}
