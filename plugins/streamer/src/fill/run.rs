//! Running a fill: from the source, to the file and to those who read.

use std::future::Future;
use std::io;
use std::mem::take;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use ganymede::{Download, DownloadError, ErrorKind, Failure, Head};
use ganymede_async::{Body, stream};
use http::StatusCode;
use http::header::CONTENT_RANGE;
use tokio::task::spawn_blocking;

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

/// Runs a fill to its end. What is there is stored before `leave` is called, and the readers learn of the end after that.
pub(crate) async fn run<L: Future<Output = ()>>(
    fill: Arc<Fill>,
    job: Job,
    leave: impl FnOnce(Result<(), Arc<DownloadError>>) -> L,
) {
    let url = job.download.request().url().clone();
    // Nobody may wait for the end of a fill that has none.
    let ended = AssertUnwindSafe(fetch(&fill, job)).catch_unwind().await;
    let outcome = ended.unwrap_or_else(|_| Err(DownloadError::new(&url, ErrorKind::Panicked.into())));
    let outcome = outcome.map_err(Arc::new);
    leave(outcome.clone()).await;
    fill.end(outcome);
}

async fn fetch(fill: &Arc<Fill>, job: Job) -> Result<(), DownloadError> {
    let Job { download, storage, entry, rules, metrics } = job;
    let (url, digests) = (download.request().url().clone(), download.digests());
    let requested = SystemTime::now();
    metrics.fetches.inc();
    let (head, mut body) = stream(download, &fill.context).await?;
    let received = SystemTime::now();
    if head.status() == StatusCode::NOT_MODIFIED
        && let Some((entry, (cache, _))) = entry.zip(storage.clone())
    {
        let record = entry.refreshed(&kept(&head, received), requested, received);
        let sent = fill.sent.clone();
        let refresh = move || cache.refresh(&entry, record, &sent, &rules);
        let entry = spawn_blocking(refresh).await.map_err(|_| panicked(&url))?;
        fill.begin(Start::Holds(entry));
        return Ok(());
    }
    let storage = storage.filter(|(cache, _)| may_store(fill, &head, cache, &rules));
    let opening = Arc::new(opening(fill, &head, (requested, received), &rules, storage.is_some()));
    if head.is_alone() {
        fill.begin(Start::Unchanged(opening));
        return Ok(());
    }
    fill.begin(Start::Content(Arc::clone(&opening)));
    let mut store = storage.map(|(cache, key)| Store::new(cache, key));
    pass_on(fill, &mut body, &mut store, &metrics).await?;
    if let Some(store) = store {
        let (status, headers) = (opening.status, opening.headers.clone());
        let record = Record { status, headers, requested, received, digests };
        let selection = selection(&opening.headers, &fill.sent);
        store.finish(fill, record, selection, rules).await;
    }
    Ok(())
}

/// Passes the body on to the readers, and to the file.
async fn pass_on(
    fill: &Arc<Fill>,
    body: &mut Body,
    store: &mut Option<Store>,
    metrics: &Metrics,
) -> Result<(), DownloadError> {
    while let Some(block) = body.next().await {
        let block = block?;
        metrics.fetched_bytes.inc_by(block.len() as u64);
        fill.push(block.clone());
        if let Some(kept) = store
            && !kept.add(fill, block).await
        {
            *store = None;
            fill.keep_no_more();
        }
        if store.is_none() {
            fill.room().await;
        }
    }
    Ok(())
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

fn panicked(url: &ganymede::Url) -> DownloadError {
    DownloadError::new(url, Failure::new(ErrorKind::Panicked, "the cache panicked"))
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
    async fn add(&mut self, fill: &Fill, block: Bytes) -> bool {
        self.waiting += block.len() as u64;
        self.pending.push(block);
        let total = self.written + self.waiting;
        total <= self.cache.limit() && (self.waiting < WRITE || self.write(fill).await)
    }

    /// Writes what waits; false if that fails.
    async fn write(&mut self, fill: &Fill) -> bool {
        let unwritten = Unwritten {
            cache: self.cache.clone(),
            incoming: self.incoming.take(),
            blocks: take(&mut self.pending),
            bytes: take(&mut self.waiting),
            position: self.written,
        };
        match spawn_blocking(move || unwritten.write()).await {
            Ok(Ok((incoming, written))) => {
                self.written = written;
                fill.wrote(&incoming.file, written);
                self.incoming = Some(incoming);
                true
            }
            Ok(Err(error)) => {
                not_kept(&error);
                false
            }
            Err(_) => false,
        }
    }

    /// Stores what is complete, in one go with what waits to be written.
    async fn finish(self, fill: &Arc<Fill>, record: Record, selection: String, rules: Arc<Rules>) {
        let Self { cache, key, incoming, pending, waiting, written } = self;
        let unwritten =
            Unwritten { cache: cache.clone(), incoming, blocks: pending, bytes: waiting, position: written };
        let (fill, writer) = (Arc::clone(fill), cache.clone());
        let store = move || {
            let (incoming, size) = match unwritten.write() {
                Ok(written) => written,
                Err(error) => return not_kept(&error),
            };
            fill.wrote(&incoming.file, size);
            if let Err(error) = cache.store(incoming, &key, &selection, size, record, &rules) {
                tracing::warn!(%error, "cannot store a content");
            }
        };
        // Where that panics, it is not stored, and was passed on all the same.
        let _ = writer.write(store).await;
        writer.maintain();
    }
}

/// Blocks on their way to the file of a content, which is made for the first ones.
struct Unwritten {
    cache: Cache,
    incoming: Option<Incoming>,
    blocks: Vec<Bytes>,
    bytes: u64,
    position: u64,
}

impl Unwritten {
    /// Writes them, and returns how much is in the file then. It may block.
    fn write(self) -> io::Result<(Incoming, u64)> {
        let Self { cache, incoming, blocks, bytes, position } = self;
        let incoming = match incoming {
            Some(incoming) => incoming,
            None => with_room(&cache, bytes, || cache.incoming())?,
        };
        let written = with_room(&cache, bytes, || positioned::write(&incoming.file, &blocks, position))?;
        Ok((incoming, written))
    }
}

fn not_kept(error: &io::Error) {
    tracing::warn!(%error, "cannot keep a content: it is passed on only");
}
