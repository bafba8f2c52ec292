//! What the command knows of a download while it runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ganymede::{Action, Algorithm, Context, DownloadMonitor, Event, EventHandler, FileWriter, Writer};
use parking_lot::Mutex;

use crate::item::Item;
use crate::progress::Progress;

/// A download of the run, as reports and progress bars name it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The URL, without credentials.
    pub(crate) url: String,
    path: Mutex<Option<PathBuf>>,
    /// Beside which path something is kept when it is interrupted, if anything is.
    kept_beside: Option<PathBuf>,
    pub(crate) monitor: DownloadMonitor,
    /// How many of its bytes an earlier run has received.
    resumed: AtomicU64,
    start: OnceLock<Instant>,
    end: OnceLock<Instant>,
}

impl Watch {
    pub(crate) fn new(item: &Item, path: Option<PathBuf>) -> Self {
        Self {
            url: item.label.clone(),
            path: Mutex::new(path),
            kept_beside: None,
            monitor: DownloadMonitor::new([Algorithm::Sha256]),
            resumed: AtomicU64::new(0),
            start: OnceLock::new(),
            end: OnceLock::new(),
        }
    }

    /// Says beside which path something is kept when it is interrupted.
    pub(crate) fn kept_beside(self, path: &Path) -> Self {
        Self { kept_beside: Some(path.to_owned()), ..self }
    }

    /// Returns where the file goes; `None` is standard output, or what the server has not said yet.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.path.lock().clone()
    }

    pub(crate) fn set_path(&self, path: PathBuf) {
        *self.path.lock() = Some(path);
    }

    /// Returns how long it ran, or has run until now.
    pub(crate) fn elapsed(&self) -> Duration {
        let end = || self.end.get().copied().unwrap_or_else(Instant::now);
        self.start.get().map_or(Duration::ZERO, |start| end().duration_since(*start))
    }

    /// Returns how many of its bytes an earlier run has received.
    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Returns how many bytes are kept for a later run, now that it has ended without success.
    pub(crate) fn kept(&self) -> u64 {
        let Some(path) = &self.kept_beside else { return 0 };
        FileWriter::new(path).open().map_or(0, |output| output.offset())
    }
}

/// The handler that tells when a download starts and ends, and where it goes on.
pub(crate) struct Clock {
    watch: Arc<Watch>,
    progress: Progress,
    /// Whether a reply has come.
    replied: bool,
}

impl Clock {
    pub(crate) fn new(watch: &Arc<Watch>, progress: &Progress) -> Self {
        Self { watch: Arc::clone(watch), progress: progress.clone(), replied: false }
    }
}

impl EventHandler for Clock {
    fn handle(&mut self, event: &mut Event<'_>, _: &Context) -> Action {
        match event {
            Event::Prepared { .. } => {
                let _ = self.watch.start.set(Instant::now());
                self.progress.started(&self.watch);
            }
            Event::Replied { head } => {
                // Where a later attempt goes on, this run has been before, unless it has started again.
                if !self.replied || head.offset() == 0 {
                    self.watch.resumed.store(head.offset(), Ordering::Relaxed);
                }
                self.replied = true;
            }
            Event::Succeeded { .. } | Event::Failed { .. } => {
                let _ = self.watch.end.set(Instant::now());
                self.progress.ended(&self.watch);
            }
            _ => {}
        }
        Action::Continue
    }
}
