//! Running a fill: from the source, to the file and to those who read.

use std::io;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use ganymede::{Digest, Download, DownloadError, ErrorKind, Head, Receipt, Sink, Url, forward};
use http::StatusCode;
use http::header::CONTENT_RANGE;

use super::{Fill, Opening, Start};
use crate::cache::{Cache, Entry, Incoming, Record};
use crate::freshness::{Freshness, is_storable};
use crate::headers::kept;
use crate::metrics::Metrics;
use crate::positioned;
use crate::respond::is_whole;
use crate::rules::Rules;
use crate::vary::selection;

/// How much is written to the file in one go, in bytes, about.
const WRITE: u64 = 512 << 10;

/// What there is to do for a fill.
pub(crate) struct Job {
    pub(crate) download: Box<dyn Download>,
    /// Where it is kept, and under which key.
    pub(crate) storage: Option<(Cache, String)>,
    /// What is stored already, of which the source is asked whether it still holds.
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Runs a fill to its end, on the thread of its download. What is there is stored before `leave` is called, and the readers
/// learn of the end after that.
pub(crate) fn run(
    fill: Arc<Fill>,
    job: Job,
    leave: impl FnOnce(Result<(), Arc<DownloadError>>) + Send + 'static,
) {
    let Job { download, storage, entry, rules, metrics } = job;
    metrics.fetches.inc();
    let context = fill.context.clone();
    let filling = Filling {
        fill,
        url: download.request().url().clone(),
        digests: download.digests(),
        storage,
        entry,
        rules,
        metrics,
        requested: SystemTime::now(),
        content: None,
        leave: Some(leave),
    };
    if let Err(error) = forward(download, &context, filling) {
        tracing::error!(%error, "cannot fetch");
    }
}

/// A fill that is run.
struct Filling<L: FnOnce(Result<(), Arc<DownloadError>>)> {
    fill: Arc<Fill>,
    url: Url,
    /// Those that it is checked for.
    digests: Vec<Digest>,
    storage: Option<(Cache, String)>,
    entry: Option<Arc<Entry>>,
    rules: Arc<Rules>,
    metrics: Arc<Metrics>,
    requested: SystemTime,
    content: Option<Content>,
    /// It is there until the end.
    leave: Option<L>,
}

/// A content that is on its way.
struct Content {
    opening: Arc<Opening>,
    received: SystemTime,
    store: Option<Store>,
}

impl<L: FnOnce(Result<(), Arc<DownloadError>>) + Send> Sink for Filling<L> {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        let (fill, received) = (&self.fill, SystemTime::now());
        let storage = self.storage.take();
        if head.status() == StatusCode::NOT_MODIFIED
            && let Some((entry, (cache, _))) = self.entry.take().zip(storage.clone())
        {
            let record = entry.refreshed(&kept(head, received), self.requested, received);
            let entry = cache.refresh(&entry, record, &fill.sent, &self.rules);
            fill.begin(Start::Holds(entry));
            return Ok(());
        }
        let storage = storage.filter(|(cache, _)| may_store(fill, head, cache, &self.rules));
        let times = (self.requested, received);
        let opening = Arc::new(opening(fill, head, times, &self.rules, storage.is_some()));
        if head.is_alone() {
            fill.begin(Start::Unchanged(opening));
            return Ok(());
        }
        let store = storage.map(|(cache, key)| Store::new(cache, key));
        self.content = Some(Content { opening: Arc::clone(&opening), received, store });
        fill.begin(Start::Content(opening));
        Ok(())
    }

    fn block(&mut self, block: Vec<u8>) -> io::Result<()> {
        let block = Bytes::from(block);
        self.metrics.fetched_bytes.inc_by(block.len() as u64);
        self.fill.push(block.clone());
        let Some(Content { store, .. }) = &mut self.content else { return Ok(()) };
        if let Some(kept) = store
            && !kept.add(&self.fill, block)
        {
            *store = None;
            self.fill.keep_no_more();
        }
        if store.is_none() {
            self.fill.room()?;
        }
        Ok(())
    }

    fn end(mut self: Box<Self>, result: Result<Receipt, DownloadError>) {
        if result.is_ok() {
            // Where that panics, it is not stored, and was passed on all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| self.store()));
        }
        self.leave(result.map(drop));
    }
}

impl<L: FnOnce(Result<(), Arc<DownloadError>>)> Filling<L> {
    /// Stores what is complete.
    fn store(&mut self) {
        let Some(Content { opening, received, store: Some(store) }) = self.content.take() else { return };
        let (status, headers, requested) = (opening.status, opening.headers.clone(), self.requested);
        let record = Record { status, headers, requested, received, digests: take(&mut self.digests) };
        let selection = selection(&opening.headers, &self.fill.sent);
        store.finish(&self.fill, record, &selection, &self.rules);
    }

    fn leave(&mut self, result: Result<(), DownloadError>) {
        if let Some(leave) = self.leave.take() {
            let outcome = result.map_err(Arc::new);
            leave(outcome.clone());
            self.fill.end(outcome);
        }
    }
}

impl<L: FnOnce(Result<(), Arc<DownloadError>>)> Drop for Filling<L> {
    /// Nobody may wait for the end of a fill that has none.
    fn drop(&mut self) {
        self.leave(Err(DownloadError::new(&self.url, ErrorKind::Panicked.into())));
    }
}

fn may_store(fill: &Fill, head: &Head, cache: &Cache, rules: &Rules) -> bool {
    is_whole(head.status())
        && head.length().is_none_or(|length| length <= cache.limit())
        && is_storable(&fill.sent, head.status(), head.headers(), rules)
}

fn opening(
    fill: &Fill,
    head: &Head,
    (requested, received): (SystemTime, SystemTime),
    rules: &Rules,
    stored: bool,
) -> Opening {
    let headers = kept(head, received);
    Opening {
        status: head.status(),
        freshness: Freshness::of(&headers, requested, received, rules),
        headers,
        length: head.length(),
        range: head.headers().get(CONTENT_RANGE).filter(|_| !is_whole(head.status())).cloned(),
        shareable: is_storable(&fill.sent, head.status(), head.headers(), rules),
        stored,
    }
}

/// Does something on the disk of the cache; where that is full, once more when there is room. It may block.
fn with_room<T>(cache: &Cache, bytes: u64, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match write() {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && cache.give_way(bytes) => write(),
        done => done,
    }
}

/// A content on its way to the cache.
struct Store {
    cache: Cache,
    key: String,
    incoming: Option<Incoming>,
    pending: Vec<Bytes>,
    waiting: u64,
    written: u64,
}

impl Store {
    fn new(cache: Cache, key: String) -> Self {
        Self { cache, key, incoming: None, pending: Vec::new(), waiting: 0, written: 0 }
    }

    /// Adds a block; false if it cannot be kept.
    fn add(&mut self, fill: &Fill, block: Bytes) -> bool {
        self.waiting += block.len() as u64;
        self.pending.push(block);
        let total = self.written + self.waiting;
        total <= self.cache.limit() && (self.waiting < WRITE || self.write(fill).is_some())
    }

    /// Writes what waits, to a file that is made for the first bytes.
    fn write(&mut self, fill: &Fill) -> Option<()> {
        let (blocks, bytes) = (take(&mut self.pending), take(&mut self.waiting));
        let cache = &self.cache;
        let written = (|| {
            let incoming = match self.incoming.take() {
                Some(incoming) => incoming,
                None => with_room(cache, bytes, || cache.incoming())?,
            };
            let write = || positioned::write(&incoming.file, &blocks, self.written);
            Ok((with_room(cache, bytes, write)?, incoming))
        })();
        let (written, incoming) = written.inspect_err(not_kept).ok()?;
        self.written = written;
        fill.wrote(&incoming.file, written);
        self.incoming = Some(incoming);
        Some(())
    }

    /// Stores what is complete, with what waits to be written.
    fn finish(mut self, fill: &Fill, record: Record, selection: &str, rules: &Rules) {
        if self.write(fill).is_none() {
            return;
        }
        let Some(incoming) = self.incoming else { return };
        if let Err(error) = self.cache.store(incoming, &self.key, selection, self.written, record, rules) {
            tracing::warn!(%error, "cannot store a content");
        }
    }
}

fn not_kept(error: &io::Error) {
    tracing::warn!(%error, "cannot keep a content: it is passed on only");
}
