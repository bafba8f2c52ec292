//! Writing to a file that appears only when it is complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::NamedTempFile;

use crate::reply::Head;
use crate::writer::{Output, Writer};

/// Writes to a file that appears, whole, when the content is committed.
///
/// Until then the bytes are in a temporary file in the same folder, which is made if it is missing. The file gets
/// the mode that the umask leaves of `rw-rw-rw-`, the time of the content's `Last-Modified`, and replaces what was
/// there under its name in one step.
///
/// ```
/// use ganymede::FileWriter;
///
/// let writer = FileWriter::new("downloads/image.iso");
/// # let _ = writer;
/// ```
#[derive(Debug, Clone)]
pub struct FileWriter {
    path: PathBuf,
}

impl FileWriter {
    /// Writes to the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Writer for FileWriter {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        if self.path.file_name().is_none() {
            return Err(named(&io::Error::new(io::ErrorKind::InvalidInput, "it names no file"), &self.path));
        }
        Ok(Box::new(FileOutput { path: self.path.clone(), file: None, written: 0, modified: None }))
    }
}

/// A temporary file, from the first reply on.
struct FileOutput {
    path: PathBuf,
    file: Option<NamedTempFile>,
    written: u64,
    modified: Option<SystemTime>,
}

impl FileOutput {
    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Makes the temporary file. It has a fixed prefix: one with the target's name could get too long.
    fn create(&self) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ganymede-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        match builder.tempfile_in(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(self.folder())?;
                builder.tempfile_in(self.folder())
            }
            made => made,
        }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file.as_file_mut()),
            None => Err(io::Error::other("written to before it was begun")),
        }
    }
}

impl Write for FileOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let length = self.file()?.write(block).map_err(|error| named(&error, &self.path))?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl Output for FileOutput {
    fn offset(&self) -> u64 {
        self.written
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if head.is_alone() {
            return Ok(());
        }
        if self.path.is_dir() {
            let error = io::Error::new(io::ErrorKind::IsADirectory, "a folder of that name is there");
            return Err(named(&error, &self.path));
        }
        // A part need not repeat it (RFC 9110 §15.3.7).
        self.modified = head.modified().or(self.modified.filter(|_| offset > 0));
        if offset == 0 {
            self.written = 0;
            // The old one goes first, so that no two copies take space.
            self.file = None;
            self.file = Some(self.create().map_err(|error| named(&error, &self.path))?);
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> io::Result<()> {
        if let Some(modified) = self.modified {
            // Some file systems keep no such times; the content is none the worse for it.
            let _ = self.file()?.set_modified(modified);
        }
        let Self { path, file, .. } = *self;
        let file = file.ok_or_else(|| io::Error::other("committed before it was begun"))?;
        file.persist(&path).map_err(|failed| named(&failed.error, &path))?;
        Ok(())
    }
}

/// Adds the path to what the system said.
fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
