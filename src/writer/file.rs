//! Writing to a file that appears only when it is complete.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::record::Record;
use crate::reply::Head;
use crate::writer::durable::{self, folder, make_folder};
use crate::writer::nameless::Nameless;
use crate::writer::partial::{Names, Partial};
use crate::writer::{Output, Writer};

/// Writes to a file that appears, whole, when the content is committed.
///
/// Until then the bytes are in a hidden file beside it, `.NAME.ganymede-part`, in a folder that is made if it is
/// missing; up to 256 KiB that are announced are in a file without a name, where the file system has such. The file gets the mode that the umask leaves of `rw-rw-rw-`, the time of the content's `Last-Modified`, and
/// replaces what was there under its name in one step; a symbolic link is replaced, too, and not followed.
///
/// What an interrupted download has received is kept there, with a note beside it, if the source or an expected digest
/// can prove that the rest belongs to it; the next download to the same file goes on with it, in this run or a later
/// one, also when the process was killed or the power was cut. A download that ends in any other way leaves nothing.
/// While one writes a hidden file, a second one to the same file fails.
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
            place: partial.map_or(Place::None, |partial| Place::Partial(Box::new(partial))),
            begun: false,
            modified: None,
            record: None,
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
    place: Place,
    /// Whether a reply has begun, in this run.
    begun: bool,
    modified: Option<SystemTime>,
    /// What is to be kept of a file without a name.
    record: Option<Record>,
}

/// Where the bytes are until they are whole.
#[derive(Default)]
enum Place {
    #[default]
    None,
    Nameless(Nameless),
    Partial(Box<Partial>),
}

/// How many bytes are few enough for a file without a name: nobody goes on with them in another process.
const LITTLE: u64 = 256 << 10;

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

    /// Makes the place for what a head announces.
    fn make(&self, head: &Head) -> io::Result<Place> {
        // What is flushed with others is known by its name.
        if head.length().is_some_and(|length| length <= LITTLE) && !self.writer.durable {
            let there = folder(self.names.partial());
            let made = match Nameless::create(there) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make_folder(there, false)?;
                    Nameless::create(there)?
                }
                made => made?,
            };
            if let Some(nameless) = made {
                return Ok(Place::Nameless(nameless));
            }
        }
        self.find_target()?;
        Ok(Place::Partial(Box::new(self.create()?)))
    }

    /// Fails if nothing can be renamed to the target: that is better known before much is received.
    fn find_target(&self) -> io::Result<()> {
        match self.target.symlink_metadata() {
            Ok(there) if there.is_dir() => {
                Err(io::Error::new(io::ErrorKind::IsADirectory, "a folder of that name is there"))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Err(error),
            _ => Ok(()),
        }
    }

    fn prepare(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if let Some(choose) = &self.writer.name {
            self.target = choose(head)?;
            make_folder(folder(&self.target), self.writer.durable)?;
        }
        self.modified = head.modified();
        match &mut self.place {
            Place::Partial(partial) if offset == 0 => {
                partial.restart()?;
                self.find_target()
            }
            Place::Partial(partial) if !self.begun => {
                partial.resume()?;
                self.find_target()
            }
            Place::Nameless(nameless)
                if offset == 0 && head.length().is_some_and(|length| length <= LITTLE) =>
            {
                nameless.restart()
            }
            Place::Nameless(_) if offset > 0 => Ok(()),
            Place::Partial(_) => Ok(()),
            Place::None | Place::Nameless(_) => {
                self.place = self.make(head)?;
                Ok(())
            }
        }
    }
}

impl Write for FileOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let written = match &mut self.place {
            Place::Nameless(nameless) => nameless.write(block),
            Place::Partial(partial) => partial.write(block),
            Place::None => Err(io::Error::other("written to before it was begun")),
        };
        written.map_err(|error| named(&error, &self.target))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for FileOutput {
    fn offset(&self) -> u64 {
        match &self.place {
            Place::Nameless(nameless) => nameless.written(),
            Place::Partial(partial) => partial.written(),
            Place::None => 0,
        }
    }

    fn kept(&self) -> Option<Record> {
        match &self.place {
            Place::Partial(partial) => partial.record().cloned(),
            _ => None,
        }
    }

    fn replay(&mut self) -> io::Result<Box<dyn Read + Send + '_>> {
        match &mut self.place {
            Place::Partial(partial) => Ok(Box::new(partial.replay()?)),
            _ => Err(io::Error::other("nothing is kept")),
        }
    }

    fn keep(&mut self, record: Option<&Record>) -> io::Result<()> {
        let record = record.filter(|_| self.writer.resume);
        match &mut self.place {
            Place::Partial(partial) => partial.keep(record),
            Place::Nameless(_) | Place::None => {
                self.record = record.cloned();
                Ok(())
            }
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

    fn commit(mut self: Box<Self>) -> io::Result<()> {
        let persisted = match std::mem::take(&mut self.place) {
            Place::None => Err(io::Error::other("committed before it was begun")),
            Place::Nameless(nameless) => self.name(nameless),
            Place::Partial(partial) => self.persist(*partial),
        };
        persisted.map_err(|error| named(&error, &self.target))
    }
}

impl FileOutput {
    fn stamp(&self, file: &File) {
        if let Some(modified) = self.modified {
            // Some file systems keep no such times; the content is none the worse for it.
            let _ = file.set_modified(modified);
        }
    }

    fn persist(&self, partial: Partial) -> io::Result<()> {
        self.stamp(partial.file());
        match self.writer.durable {
            true => durable::persist(partial, self.target.clone()),
            false => partial.persist(&self.target),
        }
    }

    fn name(&self, mut nameless: Nameless) -> io::Result<()> {
        self.stamp(nameless.file());
        if nameless.name(&self.target)? {
            return Ok(());
        }
        self.find_target()?;
        // Only a rename replaces what is there in one step.
        let mut partial = self.create()?;
        let content = nameless.content()?;
        let mut written = 0;
        while let Some(rest @ [_, ..]) = content.get(written..) {
            written += partial.write(rest)?;
        }
        self.persist(partial)
    }
}

impl Drop for FileOutput {
    fn drop(&mut self) {
        let (place, record) = (std::mem::take(&mut self.place), self.record.take());
        if let (Place::Nameless(nameless), Some(record)) = (place, record)
            && nameless.written() > 0
        {
            let written = nameless.written();
            let named = nameless.name(self.names.partial());
            let kept = match named {
                Ok(true) => Partial::keep_named(nameless.into_file(), &self.names, record, written),
                // What another download has there is its own.
                named => named.map(drop),
            };
            if let Err(error) = kept {
                tracing::debug!(path = %self.names.partial().display(), %error, "cannot be kept");
            }
        }
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
