//! A file in the making, and what is kept of it when it is interrupted.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::record::Record;
use crate::writer::durable;
use crate::writer::note::Note;

/// From how many bytes on a note is made while the file grows; before that only when it is interrupted in good order.
const NOTEWORTHY: u64 = 256 << 10;

/// How long what is written may wait to be flushed, at least.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// How much longer than a flush the time between two of them is, so that a slow disk does not only flush.
const FLUSH_SHARE: u32 = 20;

/// The longest note that is read, in bytes.
const LONGEST_NOTE: u64 = 64 << 10;

/// From which length on a name leaves no room for a suffix, in bytes.
const LONG_NAME: usize = 200;

/// Where a partial file and the note about it are, beside the target.
#[derive(Debug, Clone)]
pub(super) struct Names {
    partial: PathBuf,
    note: PathBuf,
}

impl Names {
    /// Returns the names for a target, if that names a file at all.
    pub(super) fn of(target: &Path) -> Option<Self> {
        let name = target.file_name()?;
        let name = match name.len() {
            ..=LONG_NAME => name.to_owned(),
            // As good as any, and the same in the next run.
            _ => Digest::sha256(&name.to_string_lossy()).hex().into(),
        };
        let beside = |suffix: &str| {
            let mut hidden = OsString::with_capacity(1 + name.len() + suffix.len());
            hidden.push(".");
            hidden.push(&name);
            hidden.push(suffix);
            target.with_file_name(hidden)
        };
        Some(Self { partial: beside(".ganymede-part"), note: beside(".ganymede-state") })
    }

    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Returns where a new note is written before it takes the place of the old one.
    fn new_note(&self) -> PathBuf {
        let mut name = self.note.clone().into_os_string();
        name.push(".new");
        name.into()
    }

    /// Removes the note, so that nothing vouches for the partial file any more.
    fn forget(&self) -> io::Result<()> {
        missing_is_fine(fs::remove_file(self.new_note()))?;
        missing_is_fine(fs::remove_file(&self.note))
    }
}

/// A file in the making, which nobody else writes to. Dropped, it is removed, unless there is a record to keep.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    /// What the file was when it was locked: which one it is stays so.
    metadata: Metadata,
    names: Names,
    record: Option<Record>,
    /// Whether there is a note on disk.
    noted: bool,
    /// From how many bytes on notes are made.
    note_at: u64,
    written: u64,
    /// How many bytes are sure to survive a power cut.
    flushed: u64,
    /// Whether the note is from before the system went down, so that it does not vouch for what comes now.
    outdated: bool,
    next_flush: Instant,
    /// Whether it has become the target.
    persisted: bool,
}

impl Partial {
    /// Begins a new file.
    pub(super) fn create(names: &Names) -> io::Result<Self> {
        let file = loop {
            let (file, fresh) = match options().create_new(true).open(&names.partial) {
                Ok(file) => (file, true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match options().open(&names.partial) {
                        Ok(file) => (file, false),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        // It is one that could be opened, but not now.
                        Err(error) if is_passing(&error, &names.partial) => return Err(error),
                        // A link, a folder, or somebody else's: what is there is not to be written to.
                        Err(_) => {
                            fs::remove_file(&names.partial)?;
                            continue;
                        }
                    }
                }
                Err(error) => return Err(error),
            };
            let Some(metadata) = lock(&file, &names.partial)? else { continue };
            if !fresh && !is_ours(&metadata) {
                fs::remove_file(&names.partial)?;
                continue;
            }
            // First what vouches for the bytes, then the bytes; a note may have been left without any.
            if !fresh || fs::symlink_metadata(&names.note).is_ok() {
                names.forget()?;
            }
            if metadata.len() > 0 {
                file.set_len(0)?;
            }
            break (file, metadata);
        };
        Ok(Self::of(file, names, None, 0, 0))
    }

    /// Opens what an interrupted run has kept, if there is anything of use.
    pub(super) fn reopen(names: &Names) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(&names.note) {
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
        let file = loop {
            match options().open(&names.partial) {
                Ok(file) => {
                    if let Some(metadata) = lock(&file, &names.partial)? {
                        break (file, metadata);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    names.forget()?;
                    return Ok(None);
                }
                Err(error) if is_passing(&error, &names.partial) => return Err(error),
                // It is replaced when there is something to write.
                Err(_) => return Ok(None),
            }
        };
        if !is_ours(&file.1) {
            return Ok(None);
        }
        let note = read(&names.note).ok().and_then(|text| Note::parse(&text));
        let length = file.1.len();
        let Some(note) = note else {
            // Dropped without a record, it is removed with its note.
            Self::of(file, names, None, length, 0).noted = true;
            return Ok(None);
        };
        // While the system has not gone down, all that was written is there.
        let sure = if note.is_of_now() { length } else { length.min(note.flushed) };
        // At least a byte is left to ask for, so that the source is asked at all whether it still has this content.
        let end = note.record.length().unwrap_or(u64::MAX);
        let written = sure.min(end).saturating_sub(u64::from(sure >= end || end == u64::MAX));
        let (flushed, outdated) = (note.flushed.min(written), !note.is_of_now());
        let mut partial = Self::of(file, names, Some(note.record), written, flushed);
        (partial.noted, partial.outdated) = (true, outdated);
        Ok((partial.written > 0).then_some(partial))
    }

    /// Keeps a file that had no name until now, for a later run to go on with.
    pub(super) fn keep_named(file: File, names: &Names, record: Record, written: u64) -> io::Result<()> {
        // Dropped with a record, it is kept with its note.
        if let Some(metadata) = lock(&file, &names.partial)? {
            drop(Self::of((file, metadata), names, Some(record), written, 0));
        }
        Ok(())
    }

    fn of(
        (file, metadata): (File, Metadata),
        names: &Names,
        record: Option<Record>,
        written: u64,
        flushed: u64,
    ) -> Self {
        Self {
            file,
            metadata,
            names: names.clone(),
            record,
            noted: false,
            note_at: NOTEWORTHY,
            written,
            flushed,
            outdated: false,
            next_flush: Instant::now() + FLUSH_INTERVAL,
            persisted: false,
        }
    }

    /// Returns how many bytes are there.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Reads the bytes that are there, from the first on.
    pub(super) fn replay(&mut self) -> io::Result<impl Read + Send + '_> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok((&self.file).take(self.written))
    }

    /// Gets ready to go on behind the bytes that are there, which may be fewer than the file has.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.file.set_len(self.written)?;
        self.file.seek(SeekFrom::Start(self.written))?;
        // Only now that nothing is behind the bytes that are sure.
        if std::mem::take(&mut self.outdated)
            && let Err(error) = self.note()
        {
            tracing::debug!(note = %self.names.note.display(), %error, "cannot note what is there");
        }
        Ok(())
    }

    /// Forgets all that was written.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.keep(None)?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.written, self.flushed) = (0, 0);
        Ok(())
    }

    /// Sets what is to be kept if this is interrupted; with nothing, nothing is.
    pub(super) fn keep(&mut self, record: Option<&Record>) -> io::Result<()> {
        if self.record.as_ref() == record {
            return Ok(());
        }
        self.record = record.cloned();
        match record {
            None if self.noted => {
                self.noted = false;
                self.names.forget()?;
                // It must not come back after a power cut beside other bytes than those it was about.
                if self.flushed > 0 { durable::sync_folder(&self.names.note) } else { Ok(()) }
            }
            Some(_) if self.noted => self.note(),
            _ => Ok(()),
        }
    }

    pub(super) fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let length = self.file.write(block)?;
        self.written += length as u64;
        if self.record.is_some() && self.written >= self.note_at {
            self.vouch()?;
        }
        Ok(length)
    }

    /// Notes what is there, now and then after making sure that it is.
    ///
    /// A note that cannot be made costs bytes after a crash and nothing else, so the download goes on.
    fn vouch(&mut self) -> io::Result<()> {
        let start = Instant::now();
        let due = start >= self.next_flush;
        if self.noted && !due {
            return Ok(());
        }
        let first = due && self.flushed == 0;
        if due {
            self.flush()?;
        }
        let noted = self.note();
        let synced = |()| if first { durable::sync_folder(&self.names.note) } else { Ok(()) };
        if let Err(error) = noted.and_then(synced) {
            tracing::debug!(note = %self.names.note.display(), %error, "cannot note what is there");
            self.note_at = u64::MAX;
        }
        if due {
            let cost = start.elapsed();
            self.next_flush = start + cost + FLUSH_INTERVAL.max(cost.saturating_mul(FLUSH_SHARE));
        }
        Ok(())
    }

    /// Makes sure that what is there survives a power cut, before that is claimed.
    fn flush(&mut self) -> io::Result<()> {
        if let Err(error) = self.file.sync_data() {
            // The system tells this once, and nobody knows which bytes it is about: none of them counts any more.
            let _ = self.keep(None);
            return Err(error);
        }
        self.flushed = self.written;
        Ok(())
    }

    /// Replaces the note in one step.
    fn note(&mut self) -> io::Result<()> {
        let Some(record) = &self.record else { return Ok(()) };
        self.check()?;
        let note = Note::new(self.flushed, record.clone());
        let new = self.names.new_note();
        missing_is_fine(fs::remove_file(&new))?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
        let written = file.write_all(note.to_string().as_bytes());
        let flushed = written.and_then(|()| if self.flushed > 0 { file.sync_all() } else { Ok(()) });
        if let Err(error) = flushed.and_then(|()| fs::rename(&new, &self.names.note)) {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        self.noted = true;
        Ok(())
    }

    /// Fails if another file has its name by now, be it that of another download.
    fn check(&self) -> io::Result<()> {
        match is_same(&self.metadata, &self.names.partial) {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::NotFound, "what was written there is gone")),
        }
    }

    /// Makes it the target.
    pub(super) fn persist(mut self, target: &Path) -> io::Result<()> {
        let renamed = self.check().and_then(|()| fs::rename(&self.names.partial, target));
        if let Err(error) = renamed {
            // What would be tried again with the same end is not kept.
            let passing = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            self.record = self.record.take().filter(|_| passing);
            return Err(error);
        }
        self.persisted = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.persisted && !self.noted {
            return;
        }
        let there = !self.persisted && self.check().is_ok();
        // Once its name is another's, so is the note.
        if !there && fs::symlink_metadata(&self.names.partial).is_ok() {
            return;
        }
        let kept = there && self.record.is_some() && self.written > 0;
        if kept && ((self.noted && self.names.note.exists()) || self.note().is_ok()) {
            return;
        }
        // First the note: with its bytes goes what keeps others from making one.
        if self.noted {
            let _ = self.names.forget();
        }
        if there {
            let _ = fs::remove_file(&self.names.partial);
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A link could lead anywhere, and a pipe would be waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    options
}

/// Keeps others from a file, and returns what it is; nothing if it is not the one of that name any more.
fn lock(file: &File, path: &Path) -> io::Result<Option<Metadata>> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another download is writing it"));
        }
        // Some network file systems have no locks.
        Err(TryLockError::Error(error)) => tracing::debug!(path = %path.display(), %error, "cannot lock"),
    }
    let metadata = file.metadata()?;
    Ok(is_same(&metadata, path).then_some(metadata))
}

/// Tells whether a file is the one of that name.
fn is_same(file: &Metadata, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        there.is_ok_and(|there| (there.dev(), there.ino()) == (file.dev(), file.ino()))
    }
    #[cfg(not(unix))]
    there.is_ok_and(|there| there.file_type() == file.file_type())
}

/// Tells whether nobody else can have a hand in a file that was there before.
fn is_ours(file: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mine = file.uid() == rustix::process::geteuid().as_raw() && file.nlink() == 1;
        file.is_file() && mine
    }
    #[cfg(not(unix))]
    file.is_file()
}

/// Tells whether a file of ours is there that could not be opened: for want of descriptors, say.
fn is_passing(error: &io::Error, path: &Path) -> bool {
    let there = fs::symlink_metadata(path).is_ok_and(|there| there.is_file());
    there && error.kind() != io::ErrorKind::PermissionDenied
}

fn read(note: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = options().write(false).open(note)?;
    if !is_ours(&file.metadata()?) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    file.take(LONGEST_NOTE).read_to_string(&mut text)?;
    Ok(text)
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
