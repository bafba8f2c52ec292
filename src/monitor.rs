//! Watching a download from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::digest::Algorithm;
use crate::facts::Facts;

/// Watches a download: its progress while it runs, its size and digests when it is committed.
///
/// A clone watches the same. It names the digests it wants; each is computed once, in the pass that fetches the
/// bytes. One monitor belongs to one download at a time.
///
/// ```
/// use ganymede::{Algorithm, BufferWriter, Context, Download, DownloadMonitor, FileDownload};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// # std::fs::write(&path, "hello")?;
/// # let url = format!("file://{}", path.display());
///
/// let monitor = DownloadMonitor::new([Algorithm::Md5]);
/// let mut download = FileDownload::get(&url)?.writer(BufferWriter::new(1024)).monitor(&monitor);
/// assert!(monitor.facts().is_none());
/// download.run(&Context::new())?;
/// let facts = monitor.facts().unwrap();
/// assert_eq!(facts.size(), 5);
/// assert_eq!(facts.digest(Algorithm::Md5).unwrap().hex(), "5d41402abc4b2a76b9719d911017c592");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct DownloadMonitor(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    algorithms: Vec<Algorithm>,
    phase: AtomicU8,
    attempt: AtomicU32,
    received: AtomicU64,
    /// One more than the total, so that 0 is an unknown one.
    total: AtomicU64,
    facts: Mutex<Option<Facts>>,
}

/// Where a download is.
///
/// ```
/// use ganymede::{DownloadMonitor, Phase};
///
/// assert_eq!(DownloadMonitor::new([]).progress().phase, Phase::Waiting);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It has not begun.
    Waiting,
    /// It waits for the head of a reply.
    Sending,
    /// It receives the body.
    Receiving,
    /// An attempt failed; it repairs, or waits before the next one.
    Repairing,
    /// It is committed.
    Succeeded,
    /// It has failed.
    Failed,
}

/// How far a download is; read without locking anything.
///
/// ```
/// use ganymede::{DownloadMonitor, Progress};
///
/// let Progress { received, total, .. } = DownloadMonitor::new([]).progress();
/// assert_eq!((received, total), (0, None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// The number of the attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// How many bytes of the content are there.
    pub received: u64,
    /// How many it was announced to have.
    pub total: Option<u64>,
}

impl DownloadMonitor {
    /// Makes a monitor that wants these digests: none, some or [all](Algorithm::ALL).
    #[must_use]
    pub fn new(digests: impl IntoIterator<Item = Algorithm>) -> Self {
        Self(Arc::new(Watched {
            algorithms: digests.into_iter().collect(),
            phase: AtomicU8::new(0),
            attempt: AtomicU32::new(0),
            received: AtomicU64::new(0),
            total: AtomicU64::new(0),
            facts: Mutex::new(None),
        }))
    }

    /// Returns the facts of the committed content; `None` before that, and when the download failed.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        self.0.facts.lock().clone()
    }

    /// Returns how far the download is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let phase = match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Waiting,
            1 => Phase::Sending,
            2 => Phase::Receiving,
            3 => Phase::Repairing,
            4 => Phase::Succeeded,
            _ => Phase::Failed,
        };
        let attempt = self.0.attempt.load(Ordering::Relaxed);
        let received = self.0.received.load(Ordering::Relaxed);
        let total = self.0.total.load(Ordering::Relaxed).checked_sub(1);
        Progress { phase, attempt, received, total }
    }

    pub(crate) fn algorithms(&self) -> &[Algorithm] {
        &self.0.algorithms
    }

    /// Forgets an earlier run.
    pub(crate) fn start(&self) {
        *self.0.facts.lock() = None;
        self.0.attempt.store(0, Ordering::Relaxed);
        self.receiving(0, None);
        self.enter(Phase::Waiting);
    }

    pub(crate) fn sending(&self, attempt: u32) {
        self.0.attempt.store(attempt, Ordering::Relaxed);
        self.enter(Phase::Sending);
    }

    pub(crate) fn receiving(&self, received: u64, total: Option<u64>) {
        self.0.received.store(received, Ordering::Relaxed);
        self.0.total.store(total.map_or(0, |total| total.saturating_add(1)), Ordering::Relaxed);
        self.enter(Phase::Receiving);
    }

    pub(crate) fn received(&self, received: u64) {
        self.0.received.store(received, Ordering::Relaxed);
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Release);
    }

    pub(crate) fn succeeded(&self, facts: &Facts) {
        *self.0.facts.lock() = Some(facts.clone());
        self.enter(Phase::Succeeded);
    }
}
