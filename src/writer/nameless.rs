//! A little file in the making, which has no name before it is whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A file that nobody finds before it is whole: it costs one change of the folder, and a killed process leaves nothing.
#[derive(Debug)]
pub(super) struct Nameless {
    file: File,
    written: u64,
}

impl Nameless {
    /// Returns how many bytes are there.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let length = self.file.write(block)?;
        self.written += length as u64;
        Ok(length)
    }

    /// Forgets all that was written.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.written = 0;
        Ok(())
    }

    /// Returns all that was written.
    pub(super) fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Returns the file itself.
    pub(super) fn into_file(self) -> File {
        self.file
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{AtFlags, CWD, OFlags, linkat};
    use rustix::io::Errno;

    use super::{File, Nameless, Path, io};

    /// Whether a file system has refused such files: then all are taken not to have them.
    static REFUSED: AtomicBool = AtomicBool::new(false);

    /// Whether the system lets a descriptor be named without a detour.
    static DETOUR: AtomicBool = AtomicBool::new(false);

    impl Nameless {
        /// Begins a file in a folder; `None` where there are no such files.
        pub(in super::super) fn create(folder: &Path) -> io::Result<Option<Self>> {
            if REFUSED.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let flags = OFlags::TMPFILE.bits().cast_signed();
            let made = File::options().read(true).write(true).custom_flags(flags).open(folder);
            match made {
                Ok(file) => Ok(Some(Self { file, written: 0 })),
                // What the system and those before it say where they do not know such files (open(2)).
                Err(error)
                    if [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL]
                        .iter()
                        .any(|refusal| error.raw_os_error() == Some(refusal.raw_os_error())) =>
                {
                    REFUSED.store(true, Ordering::Relaxed);
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        }

        /// Gives it a name; false if that is taken.
        pub(in super::super) fn name(&self, path: &Path) -> io::Result<bool> {
            let mut named = Err(Errno::NOENT);
            if !DETOUR.load(Ordering::Relaxed) {
                named = linkat(&self.file, "", CWD, path, AtFlags::EMPTY_PATH);
                // Who may not do that is told that there is nothing.
                DETOUR.store(named == Err(Errno::NOENT), Ordering::Relaxed);
            }
            if named == Err(Errno::NOENT) {
                let detour = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                named = linkat(CWD, detour, CWD, path, AtFlags::SYMLINK_FOLLOW);
            }
            match named {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Nameless {
    /// There are no such files.
    pub(super) fn create(_: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// Has none to name.
    pub(super) fn name(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }
}
