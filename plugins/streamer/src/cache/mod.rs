//! What is stored, and stays within its size.

mod entry;
mod index;
mod known;
mod memory;
mod object;
mod room;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;

pub(crate) use entry::{Entry, Record};
pub(crate) use object::{Incoming, Stored};

use entry::milliseconds;
use index::Index;
use known::Known;
use object::Objects;
use writer::Writer;

use crate::rules::Rules;

/// How many paths are remembered without asking the index.
const HOT: usize = 16_384;

/// How many contents are kept under a key: clients choose what they are told apart by.
const VARIANTS: usize = 32;

/// Contents in a folder, with an index in `SQLite`.
///
/// A content is stored only once it is whole and has passed all its validations. It is there after a restart, also after
/// one that was not foreseen: what a killed process had begun is gone, and what the system may have lost when it ended
/// is not trusted. When the contents need more than their size, those that were not used for the longest time make room,
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
pub struct Cache(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    limit: u64,
    objects: Objects,
    index: Mutex<Index>,
    /// What was found lately, by key. It is changed only while the index is held, so that it never disagrees.
    hot: Mutex<HashMap<String, Entries>>,
    writer: Writer,
    known: Known,
    /// What there is of a key that is not known: always the same.
    nothing: Entries,
    /// When entries were used last, of which the index knows nothing yet, in milliseconds since 1970.
    used: Mutex<HashMap<i64, i64>>,
    size: AtomicU64,
    count: AtomicU64,
    evicted: AtomicU64,
    maintained: Mutex<Instant>,
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
    /// The folder cannot be used, or is used by another process.
    pub fn open(folder: impl Into<PathBuf>, limit: u64) -> Result<Self, CacheError> {
        let folder = folder.into();
        let failed = |source| CacheError::Folder { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::InUse(folder)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
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
        known.replace(&mut index.keys()?.into_iter());
        let inner = Inner {
            limit,
            objects,
            index: Mutex::new(index),
            writer: Writer::start().map_err(failed)?,
            known,
            nothing: Arc::from([]),
            hot: Mutex::default(),
            used: Mutex::default(),
            size: AtomicU64::new(size),
            count: AtomicU64::new(count),
            evicted: AtomicU64::new(0),
            maintained: Mutex::new(Instant::now()),
            unsynced: AtomicBool::new(true),
            folder,
            _lock: lock,
        };
        inner.make_room();
        Ok(Self(Arc::new(inner)))
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
        let found = self.0.hot.lock().get(key).cloned();
        found.or_else(|| (!self.0.known.may_have(key)).then(|| Arc::clone(&self.0.nothing)))
    }

    /// Returns what is stored under a key. It may block.
    pub(crate) fn find(&self, key: &str, rules: &Rules) -> Entries {
        if let Some(entries) = self.peek(key) {
            return entries;
        }
        let index = self.0.index.lock();
        match index.find(key, rules) {
            Ok(entries) => {
                let entries: Entries = entries.into_iter().map(Arc::new).collect();
                self.0.remember(key, Arc::clone(&entries));
                entries
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the index of the cache");
                Arc::from([])
            }
        }
    }

    /// Finds the content of an entry, or opens it, and then it stays while it is read.
    ///
    /// One that is not there, or not whole, is forgotten.
    pub(crate) fn read(&self, entry: &Entry) -> io::Result<Stored> {
        let stored = self.0.objects.read(entry.id, entry.size).inspect_err(|error| {
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) {
                self.remove(entry);
            }
        })?;
        self.0.used.lock().insert(entry.id, milliseconds(SystemTime::now()));
        Ok(stored)
    }

    /// Does something that [stores](Self::store), after all that came before; `None` if that panics.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.0.writer.run(work).await
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
        let mut insert = |index: &mut Index| -> Result<_, Unwritten> {
            let place = |id| inner.objects.place(&mut incoming, id).map_err(Unwritten::Object);
            index.insert(key, selection, size, &record, place)
        };
        let mut index = inner.index.lock();
        if inner.known.add(key, self.count())
            && let Ok(keys) = index.keys()
        {
            inner.known.replace(&mut keys.into_iter().chain([key.to_owned()]));
        }
        let mut inserted = insert(&mut index);
        if inserted.as_ref().is_err_and(Unwritten::is_full) {
            drop(index);
            self.give_way(0);
            index = inner.index.lock();
            inserted = insert(&mut index);
        }
        let (id, old) = inserted.map_err(|error| match error {
            Unwritten::Object(source) => CacheError::Folder { path: inner.folder.clone(), source },
            Unwritten::Row(error) => error.into(),
        })?;
        incoming.keep();
        let entry = Entry::new(id, key.to_owned(), selection.to_owned(), size, record, rules);
        let entry = Arc::new(entry);
        inner.size.fetch_add(size, Ordering::Relaxed);
        inner.count.fetch_add(1, Ordering::Relaxed);
        inner.unsynced.store(true, Ordering::Relaxed);
        let others = inner.hot.lock().remove(key);
        let others = match others {
            Some(others) => others.iter().cloned().collect(),
            None => index.find(key, rules).unwrap_or_default().into_iter().map(Arc::new).collect(),
        };
        let others: Vec<_> =
            Vec::into_iter(others).filter(|other: &Arc<Entry>| other.selection != selection).collect();
        let (surplus, others) = inner.bounded(&index, others);
        inner.remember(key, others.into_iter().chain([Arc::clone(&entry)]).collect());
        drop(index);
        if let Some(old) = old {
            inner.gone(old.id, old.size);
        }
        surplus.iter().for_each(|entry| inner.gone(entry.id, entry.size));
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
        let inner = &self.0;
        let selection = crate::vary::selection(&record.headers, sent);
        let new = Entry::new(entry.id, entry.key.clone(), selection, entry.size, record, rules);
        let new = Arc::new(new);
        let index = inner.index.lock();
        match index.refresh(new.id, &new.selection, &new.record) {
            Ok(true) => {
                let old = inner.hot.lock().remove(&new.key);
                if let Some(old) = old {
                    let others = old.iter().filter(|other| other.id != new.id).cloned();
                    inner.remember(&new.key, others.chain([Arc::clone(&new)]).collect());
                }
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot write the index of the cache"),
        }
        new
    }

    /// Forgets an entry, and removes its content. It may block.
    pub(crate) fn remove(&self, entry: &Entry) {
        let inner = &self.0;
        let index = inner.index.lock();
        match index.remove(entry.id) {
            Ok(removed) => {
                inner.hot.lock().remove(&entry.key);
                drop(index);
                if removed {
                    inner.gone(entry.id, entry.size);
                }
            }
            Err(error) => tracing::warn!(%error, "cannot write the index of the cache"),
        }
    }
}

impl Inner {
    /// Remembers what is stored under a key; the index is held by who calls.
    fn remember(&self, key: &str, entries: Entries) {
        let mut hot = self.hot.lock();
        if hot.len() >= HOT {
            hot.clear();
        }
        hot.insert(key.to_owned(), entries);
    }

    /// Takes the oldest of the entries of a key from the index that are too many beside another one, and returns them, and
    /// the others.
    fn bounded(&self, index: &Index, mut entries: Vec<Arc<Entry>>) -> (Vec<Arc<Entry>>, Vec<Arc<Entry>>) {
        let surplus = (entries.len() + 1).saturating_sub(VARIANTS);
        entries.sort_by_key(|entry| entry.record.received);
        let others = entries.split_off(surplus);
        entries.retain(|entry| index.remove(entry.id).unwrap_or(false));
        (entries, others)
    }

    /// Removes the object of an entry that is gone from the index.
    fn gone(&self, id: i64, size: u64) {
        self.objects.remove(id);
        self.used.lock().remove(&id);
        self.size.fetch_sub(size, Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a content is not stored.
enum Unwritten {
    Object(io::Error),
    Row(rusqlite::Error),
}

impl Unwritten {
    fn is_full(&self) -> bool {
        match self {
            Self::Object(error) => error.kind() == io::ErrorKind::StorageFull,
            Self::Row(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
        }
    }
}

impl From<rusqlite::Error> for Unwritten {
    fn from(error: rusqlite::Error) -> Self {
        Self::Row(error)
    }
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
