//! Writing to a file that appears only when it is complete.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::record::Record;
use crate::reply::Head;
use crate::writer::durable::{self, folder, make_folder};
use crate::writer::partial::{Names, Partial};
use crate::writer::{Output, Writer};

/// Writes to a file that appears, whole, when the content is committed.
///
/// Until then the bytes are in a hidden file beside it, `.NAME.ganymede-part`, in a folder that is made if it is
/// missing. The file gets the mode that the umask leaves of `rw-rw-rw-`, the time of the content's `Last-Modified`, and
/// replaces what was there under its name in one step; a symbolic link is replaced, too, and not followed.
///
/// What an interrupted download has received is kept there, with a note beside it, if the source or an expected digest
/// can prove that the rest belongs to it; the next download to the same file goes on with it, in this run or a later
/// one, also when the process was killed or the power was cut. A download that ends in any other way leaves nothing.
/// While one writes, a second one to the same file fails.
///
/// ```
/// use ganymede::FileWriter;
///
/// let writer = FileWriter::new("downloads/image.iso").durable();
/// # let _ = writer;
/// ```
#[derive(Clone)]
pub struct FileWriter {
    path: PathBuf,
    resume: bool,
    durable: bool,
    name: Option<Arc<ChooseName>>,
}

type ChooseName = dyn Fn(&Head) -> io::Result<PathBuf> + Send + Sync;

impl FileWriter {
    /// Writes to the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), resume: true, durable: false, name: None }
    }

    /// Sets whether what was received is kept when the download is interrupted, and gone on with; it is, unless set.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Returns from the commit only when data and name are sure to survive a power cut.
    ///
    /// What several downloads commit at the same time is flushed together, not file by file.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Lets the head of the reply decide the path of the file: [`FileName::of_head`](crate::FileName::of_head), say.
    ///
    /// What is kept of an interrupted download is under the path that the writer was made with, as is the lock.
    #[must_use]
    pub fn named(mut self, choose: impl Fn(&Head) -> io::Result<PathBuf> + Send + Sync + 'static) -> Self {
        self.name = Some(Arc::new(choose));
        self
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Writer for FileWriter {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        let names = Names::of(&self.path).ok_or_else(|| {
            named(&io::Error::new(io::ErrorKind::InvalidInput, "it names no file"), &self.path)
        })?;
        let kept = if self.resume { Partial::reopen(&names) } else { Ok(None) };
        let partial = kept.map_err(|error| named(&error, &self.path))?;
        Ok(Box::new(FileOutput {
            writer: self.clone(),
            target: self.path.clone(),
            names,
            partial,
            begun: false,
            modified: None,
        }))
    }
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter")
            .field("path", &self.path)
            .field("resume", &self.resume)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// A file in the making, from the first reply on or from an earlier run.
struct FileOutput {
    writer: FileWriter,
    target: PathBuf,
    names: Names,
    partial: Option<Partial>,
    /// Whether a reply has begun, in this run.
    begun: bool,
    modified: Option<SystemTime>,
}

impl FileOutput {
    fn create(&self) -> io::Result<Partial> {
        match Partial::create(&self.names) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(folder(&self.writer.path), self.writer.durable)?;
                Partial::create(&self.names)
            }
            made => made,
        }
    }

    fn partial(&mut self) -> io::Result<&mut Partial> {
        self.partial.as_mut().ok_or_else(|| io::Error::other("written to before it was begun"))
    }

    fn prepare(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if let Some(choose) = &self.writer.name {
            self.target = choose(head)?;
            make_folder(folder(&self.target), self.writer.durable)?;
        }
        // What the rename in the end would fail for is better known now.
        match self.target.symlink_metadata() {
            Ok(there) if there.is_dir() => {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "a folder of that name is there"));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Err(error),
            _ => {}
        }
        self.modified = head.modified();
        match &mut self.partial {
            Some(partial) if offset == 0 => partial.restart(),
            Some(partial) if !self.begun => partial.resume(),
            Some(_) => Ok(()),
            None => {
                self.partial = Some(self.create()?);
                Ok(())
            }
        }
    }
}

impl Write for FileOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.partial()?.write(block).map_err(|error| named(&error, &self.target))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for FileOutput {
    fn offset(&self) -> u64 {
        self.partial.as_ref().map_or(0, Partial::written)
    }

    fn kept(&self) -> Option<Record> {
        self.partial.as_ref()?.record().cloned()
    }

    fn replay(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.partial()?.replay()?))
    }

    fn keep(&mut self, record: Option<&Record>) -> io::Result<()> {
        let record = record.filter(|_| self.writer.resume);
        match &mut self.partial {
            Some(partial) => partial.keep(record),
            None => Ok(()),
        }
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if head.is_alone() {
            return Ok(());
        }
        self.prepare(head, offset).map_err(|error| named(&error, &self.target))?;
        self.begun = true;
        Ok(())
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        let Self { writer, target, partial, modified, .. } = *self;
        let partial = partial.ok_or_else(|| io::Error::other("committed before it was begun"))?;
        if let Some(modified) = modified {
            // Some file systems keep no such times; the content is none the worse for it.
            let _ = partial.file().set_modified(modified);
        }
        let persisted = match writer.durable {
            true => durable::persist(partial, target.clone()),
            false => partial.persist(&target),
        };
        persisted.map_err(|error| named(&error, &target))
    }
}

/// Adds the path to what the system said, in plain words.
fn named(error: &io::Error, path: &Path) -> io::Error {
    let text = error.to_string();
    let reason = match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full",
        io::ErrorKind::QuotaExceeded => "your disk quota is used up",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::InvalidFilename => "the name is too long, or none that a file may have here",
        io::ErrorKind::FileTooLarge => "the file system takes no files of that size",
        // The system's own words, without its number for them.
        _ => text.split(" (os error").next().unwrap_or(&text),
    };
    io::Error::new(error.kind(), format!("{}: {reason}", path.display()))
}
