//! What is stored, and stays within its size.

mod entry;
mod index;
mod known;
mod lately;
mod memory;
mod object;
mod room;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, MutexGuard};

pub(crate) use entry::{Entry, Record};
pub(crate) use object::{Incoming, Stored};

use entry::milliseconds;
use index::Index;
use known::Known;
use lately::{Change, Lately};
use object::Objects;
use writer::Writer;

use crate::rules::Rules;

/// How long who opens a folder waits for another one to leave it: its last contents may be on their way there.
const PARTING: Duration = Duration::from_secs(1);

/// How many changes are kept from the index, at most.
const UNWRITTEN: usize = 256;

/// How many contents are kept under a key: clients choose what they are told apart by.
const VARIANTS: usize = 32;

/// Contents in a folder, with an index in `SQLite`.
///
/// A content is stored only once it is whole and has passed all its validations. It is there after a restart, also after
/// one that was not foreseen: what a killed process had begun is gone, with what it had stored within the last few
/// milliseconds and not served since, and what the system may have lost when it ended is not trusted. When the contents need more than their size, those that were not used for the longest time make room,
/// but none that is being read. One process uses a folder at a time.
///
/// ```
/// use ganymede_streamer::Cache;
/// # let folder = ganymede_kit::Folder::new();
/// # let folder = folder.path();
///
/// let cache = Cache::open(folder.join("cache"), 10 << 30)?;
/// assert_eq!((cache.count(), cache.size(), cache.limit()), (0, 0, 10 << 30));
/// # Ok::<(), ganymede_streamer::CacheError>(())
/// ```
#[derive(Clone)]
pub struct Cache(Arc<Handle>);

/// What all who use the cache share; the thread that writes to the index ends with the last of them.
struct Handle {
    writer: Writer,
    inner: Arc<Inner>,
}

impl Deref for Handle {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

struct Inner {
    folder: PathBuf,
    limit: u64,
    objects: Objects,
    index: Mutex<Index>,
    lately: Lately,
    known: Known,
    /// The number of the next entry.
    next: AtomicI64,
    /// What there is of a key that is not known: always the same.
    nothing: Entries,
    /// When entries were used last, of which the index knows nothing yet, in milliseconds since 1970.
    used: Mutex<HashMap<i64, i64>>,
    size: AtomicU64,
    count: AtomicU64,
    evicted: AtomicU64,
    /// Something was stored that may not be on the disk.
    unsynced: AtomicBool,
    /// Kept locked while the folder is used.
    _lock: File,
}

/// All that is stored under a key.
pub(crate) type Entries = Arc<[Arc<Entry>]>;

/// Why a cache cannot be used.
///
/// ```
/// use ganymede_streamer::{Cache, CacheError};
/// # let folder = ganymede_kit::Folder::new();
/// # let folder = folder.path();
///
/// let cache = Cache::open(folder, 1 << 20)?;
/// assert!(matches!(Cache::open(folder, 1 << 20), Err(CacheError::InUse(_))));
/// # Ok::<(), CacheError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The folder or a file in it cannot be used.
    #[error("cannot use the cache in {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("the cache in {0} is used by another process")]
    InUse(PathBuf),
    /// The index cannot be used.
    #[error("cannot use the index of the cache: {0}")]
    Index(String),
}

impl From<rusqlite::Error> for CacheError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Index(error.to_string())
    }
}

impl Cache {
    /// Opens the cache in a folder, or makes one, for so many bytes of contents, of which each counts for 256 bytes more.
    ///
    /// # Errors
    /// The folder cannot be used, or is still used by another process after a second.
    pub fn open(folder: impl Into<PathBuf>, limit: u64) -> Result<Self, CacheError> {
        let folder = folder.into();
        let failed = |source| CacheError::Folder { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < PARTING => sleep(PARTING / 100),
                Err(TryLockError::WouldBlock) => return Err(CacheError::InUse(folder)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let objects = Objects::open(&folder).map_err(failed)?;
        let mut index = open_index(&folder)?;
        let mut there = objects.list().map_err(failed)?;
        let mut size = 0;
        index.retain(|id, expected| {
            let whole = there.get(&id) == Some(&expected);
            if whole {
                there.remove(&id);
                size += expected;
            }
            whole
        })?;
        there.keys().for_each(|id| objects.remove(*id));
        let count = index.count()?;
        let known = Known::default();
        known.replace(&mut index.keys()?.iter().map(String::as_str));
        let inner = Inner {
            limit,
            objects,
            next: AtomicI64::new(index.last()? + 1),
            index: Mutex::new(index),
            lately: Lately::default(),
            known,
            nothing: Arc::from([]),
            used: Mutex::default(),
            size: AtomicU64::new(size),
            count: AtomicU64::new(count),
            evicted: AtomicU64::new(0),
            unsynced: AtomicBool::new(true),
            folder: folder.clone(),
            _lock: lock,
        };
        inner.make_room();
        let inner = Arc::new(inner);
        let writer = Writer::start(&inner).map_err(failed)?;
        Ok(Self(Arc::new(Handle { writer, inner })))
    }

    /// Returns how many bytes of contents there may be.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Returns how many bytes of contents there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size.load(Ordering::Relaxed)
    }

    /// Returns how many contents there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Returns how many contents have made room for others since it was opened.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.0.evicted.load(Ordering::Relaxed)
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Returns what is stored under a key, if that is known without asking the index.
    pub(crate) fn peek(&self, key: &str) -> Option<Entries> {
        self.0.lately.find(key).or_else(|| self.0.none(key))
    }

    /// Returns what is stored under a key. It may block.
    pub(crate) fn find(&self, key: &str, rules: &Rules) -> Entries {
        self.0.find(key, rules).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the index of the cache");
            Arc::clone(&self.0.nothing)
        })
    }

    /// Finds the content of an entry, or opens it, and then it stays while it is read.
    ///
    /// One that is not there, or not whole, is forgotten. What was found once is there after a restart, too.
    pub(crate) fn read(&self, entry: &Entry) -> io::Result<Stored> {
        if self.0.lately.is_unwritten(entry.id) {
            drop(self.0.settled());
        }
        let stored = self.0.objects.read(entry.id, entry.size).inspect_err(|error| {
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) {
                self.remove(entry);
            }
        })?;
        self.0.used.lock().insert(entry.id, milliseconds(SystemTime::now()));
        Ok(stored)
    }

    /// Begins a content. It may block.
    pub(crate) fn incoming(&self) -> io::Result<Incoming> {
        self.0.objects.incoming()
    }

    /// Stores a content that is whole and has passed its validations. It may block.
    pub(crate) fn store(
        &self,
        mut incoming: Incoming,
        key: &str,
        selection: &str,
        size: u64,
        record: Record,
        rules: &Rules,
    ) -> Result<Arc<Entry>, CacheError> {
        let inner = &self.0;
        let id = inner.next.fetch_add(1, Ordering::Relaxed);
        let mut placed = inner.objects.place(&mut incoming, id);
        if is_full(&placed) && self.give_way(0) {
            placed = inner.objects.place(&mut incoming, id);
        }
        placed.map_err(|source| CacheError::Folder { path: inner.folder.clone(), source })?;
        let entry = Arc::new(Entry::new(id, key.to_owned(), selection.to_owned(), size, record, rules));
        let now = milliseconds(SystemTime::now());
        let (gone, unwritten) = inner.change(key, rules, |entries, changes| {
            let gone = superseded(entries, selection);
            changes.extend(gone.iter().map(|old| Change::Remove(old.id)));
            changes.push(Change::Add(Arc::clone(&entry), now));
            entries.push(Arc::clone(&entry));
            inner.known.add(key);
            gone
        })?;
        incoming.keep();
        inner.size.fetch_add(size, Ordering::Relaxed);
        inner.count.fetch_add(1, Ordering::Relaxed);
        inner.unsynced.store(true, Ordering::Relaxed);
        gone.iter().for_each(|entry| inner.gone(entry.id, entry.size));
        inner.tell(unwritten);
        inner.make_room();
        Ok(entry)
    }

    /// Replaces what is known of an entry, whose content stays as it is. It may block.
    pub(crate) fn refresh(
        &self,
        entry: &Entry,
        record: Record,
        sent: &http::HeaderMap,
        rules: &Rules,
    ) -> Arc<Entry> {
        let selection = crate::vary::selection(&record.headers, sent);
        let new = Entry::new(entry.id, entry.key.clone(), selection, entry.size, record, rules);
        let new = Arc::new(new);
        let refreshed = self.0.change(&new.key, rules, |entries, changes| {
            // One that has come since, and is told apart by the same, is newer.
            let surpassed =
                entries.iter().any(|other| other.id != new.id && other.selection == new.selection);
            let place = entries.iter_mut().find(|other| other.id == new.id).filter(|_| !surpassed);
            if let Some(place) = place {
                *place = Arc::clone(&new);
                changes.push(Change::Refresh(Arc::clone(&new)));
            }
        });
        match refreshed {
            Ok(((), unwritten)) => self.0.tell(unwritten),
            Err(error) => tracing::warn!(%error, "cannot read the index of the cache"),
        }
        new
    }

    /// Forgets an entry, and removes its content. It may block.
    pub(crate) fn remove(&self, entry: &Entry) {
        let inner = &self.0;
        let index = inner.settled();
        if !inner.lately.give_up(&entry.key, entry.id) {
            return;
        }
        match index.remove(entry.id) {
            Ok(removed) => {
                drop(index);
                if removed {
                    inner.gone(entry.id, entry.size);
                }
            }
            Err(error) => tracing::warn!(%error, "cannot write the index of the cache"),
        }
    }
}

impl Handle {
    /// Has changes written that the index does not know yet, soon or at once: they are kept in memory.
    fn tell(&self, unwritten: usize) {
        if unwritten < UNWRITTEN {
            self.writer.wake();
        } else {
            drop(self.settled());
        }
    }
}

impl Inner {
    /// Returns what is stored under a key that nothing is stored under, if that is known.
    fn none(&self, key: &str) -> Option<Entries> {
        (!self.known.may_have(key)).then(|| Arc::clone(&self.nothing))
    }

    /// Returns what is stored under a key. It may block.
    fn find(&self, key: &str, rules: &Rules) -> rusqlite::Result<Entries> {
        loop {
            if let Some(entries) = self.lately.find(key).or_else(|| self.none(key)) {
                return Ok(entries);
            }
            let index = self.settled();
            let entries = index.find(key, rules)?.into_iter().map(Arc::new).collect();
            if let Some(entries) = self.lately.remember(key, entries) {
                return Ok(entries);
            }
        }
    }

    /// Changes what there is of a key: `change` is given its entries, and what the index is to be told. Returns what it
    /// does, and how much the index is to be told. It may block.
    fn change<T>(
        &self,
        key: &str,
        rules: &Rules,
        mut change: impl FnMut(&mut Vec<Arc<Entry>>, &mut Vec<Change>) -> T,
    ) -> rusqlite::Result<(T, usize)> {
        loop {
            if let Some(changed) = self.lately.change(key, || self.none(key), &mut change) {
                return Ok(changed);
            }
            drop(self.find(key, rules)?);
        }
    }

    /// Holds the index once it knows all that was stored. It may block.
    fn settled(&self) -> MutexGuard<'_, Index> {
        let mut index = self.index.lock();
        let changes = self.lately.take_unwritten();
        if !changes.is_empty() {
            self.write(&mut index, changes);
        }
        index
    }

    /// Writes changes to the index; what it cannot be told of is not stored.
    fn write(&self, index: &mut Index, mut changes: Vec<Change>) {
        let mut written = index.write(&changes);
        let full = |error: &rusqlite::Error| error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        if written.as_ref().is_err_and(full) {
            // What is to be removed is not removed once more to make room.
            self.lately.put_back(changes.into_iter());
            let relieved = self.relieve(index, 0);
            changes = self.lately.take_unwritten();
            if relieved {
                written = index.write(&changes);
            }
        }
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write the index of the cache: contents are not stored");
            let removed = |change: &&Change| matches!(change, Change::Remove(_));
            self.lately.put_back(changes.iter().filter(removed).cloned());
            for change in &changes {
                if let Change::Add(entry, _) = change
                    && self.lately.give_up(&entry.key, entry.id)
                {
                    self.gone(entry.id, entry.size);
                }
            }
        }
        if self.known.is_outgrown(self.count.load(Ordering::Relaxed))
            && let Ok(keys) = index.keys()
        {
            self.lately.with_unwritten_keys(|more| {
                self.known.replace(&mut keys.iter().map(String::as_str).chain(more));
            });
        }
    }

    /// Removes the object of an entry that is gone from the index.
    fn gone(&self, id: i64, size: u64) {
        self.objects.remove(id);
        self.used.lock().remove(&id);
        self.size.fetch_sub(size, Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes from the entries of a key what makes way for a new one: that of the same selection, and the oldest of those that
/// are too many beside it.
fn superseded(others: &mut Vec<Arc<Entry>>, selection: &str) -> Vec<Arc<Entry>> {
    let mut gone: Vec<_> = others.extract_if(.., |other| other.selection == selection).collect();
    let surplus = (others.len() + 1).saturating_sub(VARIANTS);
    others.sort_by_key(|entry| entry.record.received);
    gone.extend(others.drain(..surplus));
    gone
}

fn is_full<T>(done: &io::Result<T>) -> bool {
    done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull)
}

/// Opens the index; one that is damaged is begun anew.
fn open_index(folder: &Path) -> Result<Index, CacheError> {
    let path = folder.join("index.sqlite");
    let error = match Index::open(&path) {
        Ok(index) => return Ok(index),
        Err(error) => error,
    };
    let damaged = [rusqlite::ErrorCode::DatabaseCorrupt, rusqlite::ErrorCode::NotADatabase];
    if !error.sqlite_error_code().is_some_and(|code| damaged.contains(&code)) {
        return Err(error.into());
    }
    tracing::warn!(%error, "the index of the cache is damaged: it is begun anew");
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(folder.join(format!("index.sqlite{end}")));
    }
    Ok(Index::open(&path)?)
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("folder", &self.0.folder)
            .field("limit", &self.limit())
            .field("size", &self.size())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
