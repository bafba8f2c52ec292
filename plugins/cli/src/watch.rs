//! What the command knows of a download while it runs.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ganymede::{Action, Algorithm, Context, DownloadMonitor, Event, EventHandler};

use crate::item::Item;
use crate::progress::Progress;

/// A download of the run, as reports and progress bars name it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The URL, without credentials.
    pub(crate) url: String,
    /// Where the file goes; `None` is standard output.
    pub(crate) path: Option<PathBuf>,
    pub(crate) monitor: DownloadMonitor,
    start: OnceLock<Instant>,
    end: OnceLock<Instant>,
}

impl Watch {
    pub(crate) fn new(item: &Item, path: Option<PathBuf>) -> Self {
        Self {
            url: item.label.clone(),
            path,
            monitor: DownloadMonitor::new([Algorithm::Sha256]),
            start: OnceLock::new(),
            end: OnceLock::new(),
        }
    }

    /// Returns how long it ran, or has run until now.
    pub(crate) fn elapsed(&self) -> Duration {
        let end = || self.end.get().copied().unwrap_or_else(Instant::now);
        self.start.get().map_or(Duration::ZERO, |start| end().duration_since(*start))
    }
}

/// The handler that tells when a download starts and ends.
pub(crate) struct Clock {
    watch: Arc<Watch>,
    progress: Progress,
}

impl Clock {
    pub(crate) fn new(watch: &Arc<Watch>, progress: &Progress) -> Self {
        Self { watch: Arc::clone(watch), progress: progress.clone() }
    }
}

impl EventHandler for Clock {
    fn handle(&mut self, event: &mut Event<'_>, _: &Context) -> Action {
        match event {
            Event::Prepared { .. } => {
                let _ = self.watch.start.set(Instant::now());
                self.progress.started(&self.watch);
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
