//! A download as a stream that is pushed, for who is called instead of reading.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::output::{Forwarding, StreamWriter};
use super::threads::Threads;
use crate::context::Context;
use crate::download::Download;
use crate::error::DownloadError;
use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::transfer::Receipt;

/// Where a download is [forwarded](forward) to.
///
/// It is called by the thread of the download, in this order: with the head, with the blocks, with the end. Where there
/// is no content, it is called with the end alone. It may wait, and then the source is not read either; it is to stop
/// waiting when the [`Context`] of the download is cancelled.
///
/// ```
/// use std::io;
/// use ganymede::{DownloadError, Head, Receipt, Sink};
///
/// /// Counts what passes.
/// struct Counter(u64);
///
/// impl Sink for Counter {
///     fn head(&mut self, _: &Head) -> io::Result<()> {
///         Ok(())
///     }
///
///     fn block(&mut self, block: Vec<u8>) -> io::Result<()> {
///         self.0 += block.len() as u64;
///         Ok(())
///     }
///
///     fn end(self: Box<Self>, result: Result<Receipt, DownloadError>) {
///         println!("{} bytes, complete and right: {}", self.0, result.is_ok());
///     }
/// }
/// ```
pub trait Sink: Send {
    /// Takes the head. The first block follows at once, or the end, where there is none.
    ///
    /// # Errors
    /// Whatever ends the download.
    fn head(&mut self, head: &Head) -> io::Result<()>;

    /// Takes the next bytes, of which there is at least one.
    ///
    /// # Errors
    /// Whatever ends the download.
    fn block(&mut self, block: Vec<u8>) -> io::Result<()>;

    /// Takes the last bytes: every validation has passed, and the end follows at once. Unless told otherwise, they are a
    /// block like any other.
    ///
    /// # Errors
    /// Whatever ends the download.
    fn last(&mut self, block: Vec<u8>) -> io::Result<()> {
        self.block(block)
    }

    /// Takes the end: a receipt means that all was there and passed.
    fn end(self: Box<Self>, result: Result<Receipt, DownloadError>);
}

/// Runs a download on a thread of its own, and hands its head and its bytes on as they arrive.
///
/// It is [`stream`](crate::stream()) for who is called instead of reading, with all that is said there: whatever writer it
/// had is replaced, the last block is held back until every validation has passed, and before the first one everything
/// can still fail over. There is no thread between the source and the sink. It returns at once; cancelling the context
/// ends the download.
///
/// ```
/// use std::io;
/// use std::sync::mpsc::{Sender, channel};
/// use ganymede::{Context, DownloadError, FileDownload, Head, Receipt, Sink, forward};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// # std::fs::write(&path, "hello")?;
/// # let url = format!("file://{}", path.display());
///
/// struct Collector(Vec<u8>, Sender<Vec<u8>>);
///
/// impl Sink for Collector {
///     fn head(&mut self, head: &Head) -> io::Result<()> {
///         self.0.reserve(head.length().unwrap_or(0) as usize);
///         Ok(())
///     }
///
///     fn block(&mut self, block: Vec<u8>) -> io::Result<()> {
///         self.0.extend(block);
///         Ok(())
///     }
///
///     fn end(self: Box<Self>, result: Result<Receipt, DownloadError>) {
///         if result.is_ok() {
///             let _ = self.1.send(self.0);
///         }
///     }
/// }
///
/// let (sender, receiver) = channel();
/// forward(FileDownload::get(&url)?, &Context::new(), Collector(Vec::new(), sender))?;
/// assert_eq!(receiver.recv()?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// No thread can be started; the sink is dropped then. All else is told to the sink.
pub fn forward<D: Download + 'static>(
    download: D,
    context: &Context,
    sink: impl Sink + 'static,
) -> Result<(), DownloadError> {
    start(download, context, Box::new(sink), ())
}

/// Runs a download on a thread; `over` is dropped when nothing of it is left there.
pub(super) fn start<D: Download + 'static>(
    download: D,
    context: &Context,
    sink: Box<dyn Sink>,
    over: impl Send + 'static,
) -> Result<(), DownloadError> {
    let mut download = download;
    let url = download.request().url().clone();
    let forwarding = Arc::new(Forwarding::new(sink, download.identifies()));
    download.set_writer(Arc::new(StreamWriter(Arc::clone(&forwarding))));
    let within = context.clone();
    let started = Threads::of(context).run(move || {
        // The last to be dropped.
        let _over = over;
        let (mut download, forwarding, within) = (download, forwarding, within);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = download.run(&within);
            if let Ok(receipt) = &result {
                // A reply without a body is never committed, so its head is still here.
                let _ = forwarding.put_head(receipt.head());
            }
            result
        }));
        let result = result.unwrap_or_else(|panic| {
            Err(DownloadError::new(download.request().url(), Failure::panicked(&*panic)))
        });
        // Whoever is told the end is not told another one when that panics.
        let _ = catch_unwind(AssertUnwindSafe(|| forwarding.end(result)));
    });
    started.map_err(|error| {
        let message = format!("cannot start a thread: {error}");
        DownloadError::new(&url, Failure::new(ErrorKind::Other, message))
    })
}
