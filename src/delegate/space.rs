//! Waiting for space on a disk.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::error::DownloadError;
use crate::event::{Action, Event, EventHandler};
use crate::failure::Failure;
use crate::request::Request;

/// How often it is looked whether there is space.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long nothing is tried when the space that is left cannot be known, as with a quota.
const BLIND_INTERVAL: Duration = Duration::from_secs(10);

/// How much space is waited for when the length of the content is not known, in bytes.
const SOME: u64 = 1 << 20;

/// Waits for space when a disk is full, or a quota is used up, and then goes on where the download stopped.
///
/// ```
/// use ganymede::{FileWriter, HttpDownload, SpaceDelegate};
///
/// let download = HttpDownload::get("https://example.com/image.iso")?
///     .writer(FileWriter::new("downloads/image.iso"))
///     .handler(SpaceDelegate::new("downloads").on_wait(|text| eprintln!("{text}")));
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Clone)]
pub struct SpaceDelegate {
    folder: PathBuf,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
}

impl SpaceDelegate {
    /// Waits for space in the file system that `folder` is on.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        Self { folder, tell: Arc::new(|_| {}) }
    }

    /// Sets who is told, in a line of text, when the waiting begins and ends.
    #[must_use]
    pub fn on_wait(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    fn wait(&self, request: &Request, error: &DownloadError, context: &Context) -> Result<(), Failure> {
        let wanted = error.expected().map_or(SOME, |expected| expected.saturating_sub(error.received()));
        let quota = error.failure().system() == Some(io::ErrorKind::QuotaExceeded);
        loop {
            let space = if quota { None } else { space(&self.folder) };
            let interval = if space.is_some() { INTERVAL } else { BLIND_INTERVAL };
            context.sleep(interval)?;
            request.check_deadline()?;
            if space.is_none_or(|space| space >= wanted) {
                return Ok(());
            }
        }
    }
}

impl EventHandler for SpaceDelegate {
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        let Event::Error { error, request } = event else { return Action::Continue };
        let full = matches!(
            error.failure().system(),
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        );
        if !full {
            return Action::Continue;
        }
        let folder = self.folder.display();
        (self.tell)(&format!("no space is left in {folder}: waiting for some"));
        match self.wait(request, error, context) {
            Ok(()) => {
                (self.tell)(&format!("there is space in {folder} again: going on"));
                Action::Retry(Duration::ZERO)
            }
            Err(failure) => Action::Fail(failure),
        }
    }
}

impl fmt::Debug for SpaceDelegate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpaceDelegate").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Returns how many bytes there is space for, if the system says.
fn space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        let free = rustix::fs::statvfs(there).ok()?;
        free.f_bavail.checked_mul(free.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}
