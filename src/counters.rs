//! How far a batch is.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::error::DownloadError;
use crate::transfer::Receipt;

/// How far a batch is; read from any thread without locking anything.
///
/// ```
/// use ganymede::{Batch, BufferWriter, FileDownload};
///
/// let downloads = (0..10).map(|_| FileDownload::get("file:///no/such/file").unwrap().writer(BufferWriter::new(1)));
/// let batch = Batch::new(downloads);
/// let counters = batch.counters();
/// assert_eq!(batch.count(), 10);
/// assert_eq!((counters.pulled(), counters.failed(), counters.running()), (10, 10, 0));
/// ```
#[derive(Debug, Default)]
pub struct Counters {
    concurrency: AtomicUsize,
    pulled: AtomicU64,
    running: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    received: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    pub(crate) fn set_concurrency(&self, downloads: usize) {
        self.concurrency.store(downloads, Ordering::Relaxed);
    }

    /// Some bytes have come.
    pub(crate) fn receive(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One more was pulled from the caller's iterator.
    pub(crate) fn pull(&self) {
        self.pulled.fetch_add(1, Ordering::Relaxed);
    }

    /// One could not be started.
    pub(crate) fn refuse(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn start(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, result: &Result<Receipt, DownloadError>) {
        match result {
            Ok(receipt) => {
                self.bytes.fetch_add(receipt.facts().size(), Ordering::Relaxed);
                self.succeeded.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns how many downloads may run at a time now, not counting those that wait for something else than their
    /// source; it changes while an [adaptive](crate::Batch::adaptive) batch runs.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency.load(Ordering::Relaxed)
    }

    /// Returns how many downloads were pulled from the caller's iterator.
    #[must_use]
    pub fn pulled(&self) -> u64 {
        self.pulled.load(Ordering::Relaxed)
    }

    /// Returns how many run now.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Returns how many have succeeded.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Returns how many have failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns how many bytes all downloads have received, those that run or have failed included, and not those that
    /// an earlier run has kept.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns how many bytes those that have succeeded have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
