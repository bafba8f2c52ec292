//! A download as its head, and a stream of its bytes.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{self, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use ganymede::{Context, Download, DownloadError, Head, Receipt};

/// Runs a download on a thread of its own, and gives the head and a stream of its bytes as they arrive.
///
/// It is [`ganymede::stream`] for event loops, with all that is said there: whatever writer it had is replaced, the last
/// block is held back until every validation has passed, and before the first one everything can still fail over. While
/// nobody polls the stream, the source is not read either. Dropping the future or the stream cancels the download, and
/// returns at once.
///
/// ```
/// use futures::TryStreamExt;
/// use ganymede::{Context, FileDownload};
/// use ganymede_async::stream;
/// # let folder = ganymede_kit::Folder::new();
/// # let url = format!("file://{}", folder.write("file", "hello").display());
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (head, mut body) = stream(FileDownload::get(&url)?, &Context::new()).await?;
/// assert_eq!(head.end_to_end()["content-length"], "5");
/// let mut text = Vec::new();
/// while let Some(block) = body.try_next().await? {
///     text.extend(block);
/// }
/// assert_eq!(text, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Why there is no content, when that is known before the first byte.
pub fn stream<D: Download + 'static>(
    download: D,
    context: &Context,
) -> impl Future<Output = Result<(Head, Body), DownloadError>> + Send + use<D> {
    let context = context.child();
    async move {
        let mut body = Body { body: Some(ganymede::Body::begin(download, &context)?), failed: false };
        let head = poll_fn(|wake| body.poll_head(wake)).await?;
        Ok((head, body))
    }
}

/// The bytes of a [`stream`].
///
/// Its end means that all was there and passed. After an error, which comes once, there is nothing more.
///
/// ```
/// use futures::StreamExt;
/// use ganymede_async::Body;
///
/// async fn count(mut body: Body) -> u64 {
///     while let Some(Ok(block)) = body.next().await {
///         println!("{} bytes", block.len());
///     }
///     body.receipt().map_or(0, |receipt| receipt.facts().size())
/// }
/// # let _ = count;
/// ```
pub struct Body {
    /// It is there until this is dropped.
    body: Option<ganymede::Body>,
    failed: bool,
}

impl Body {
    /// Returns the receipt, when the end was reached.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.body.as_ref()?.receipt()
    }

    fn poll_head(&mut self, wake: &mut task::Context<'_>) -> Poll<Result<Head, DownloadError>> {
        self.body.as_mut().map_or(Poll::Pending, |body| body.poll_head(wake))
    }
}

impl Stream for Body {
    type Item = Result<Bytes, DownloadError>;

    fn poll_next(mut self: Pin<&mut Self>, wake: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let failed = self.failed;
        let Some(body) = self.body.as_mut().filter(|_| !failed) else { return Poll::Ready(None) };
        let block = ready!(body.poll_block(wake));
        self.failed = block.is_err();
        Poll::Ready(match block {
            Ok(block) if block.is_empty() => None,
            block => Some(block.map(Bytes::from)),
        })
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            body.leave();
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.body.fmt(f)
    }
}
