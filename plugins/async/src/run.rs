//! A download as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use ganymede::{Context, Download, Plan, Pool};

/// Runs a download on a thread of its own, and gives it back with how it ended.
///
/// It begins when it is first polled. Dropping it cancels the download, and returns at once: the thread ends by itself.
/// A download that panics is a failed plan.
///
/// Each that is under way has a thread: where there may be many, bound them by a semaphore, or run a
/// [`Batch`](crate::Batch).
///
/// ```
/// use ganymede::{Attached, BufferWriter, Context, FileDownload};
/// use ganymede_async::run;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let download = FileDownload::get("file:///no/such/file")?.writer(BufferWriter::new(1024)).attach("mine");
/// let plan = run(download, &Context::new()).await;
/// assert!(plan.result().unwrap_err().is_not_found());
/// assert_eq!(plan.into_attachment(), "mine");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run<D: Download + 'static>(download: D, context: &Context) -> Run<D> {
    Run { pool: Pool::new().concurrency(1).context(context), download: Some(download) }
}

/// The future of a [`run`].
#[must_use = "nothing happens before it is polled"]
pub struct Run<D: Download> {
    pool: Pool<D>,
    download: Option<D>,
}

impl<D: Download> Unpin for Run<D> {}

impl<D: Download + 'static> Future for Run<D> {
    type Output = Plan<D>;

    fn poll(mut self: Pin<&mut Self>, wake: &mut task::Context<'_>) -> Poll<Plan<D>> {
        if let Some(download) = self.download.take() {
            self.pool.push(download);
        }
        // Without a plan, it has been handed out: nothing more will come.
        ready!(self.pool.poll(wake)).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<D: Download> fmt::Debug for Run<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("begun", &self.download.is_none()).finish_non_exhaustive()
    }
}
