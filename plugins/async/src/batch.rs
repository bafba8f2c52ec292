//! Many downloads at once, as a stream.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use futures_core::Stream;
use ganymede::{CancelHandle, Context, Counters, Download, Plan, Pool};

/// Runs many downloads, a few at a time, and is a stream of a [`Plan`] for each in order of completion.
///
/// It is [`ganymede::Batch`] for event loops: at most as many downloads as the backlog allows are in memory, a list may
/// be longer than that, and a panic is one failed plan. The list is an iterator that does not block, or a stream; what
/// is finished is handed out also while the list has nothing to offer. While nobody polls the batch, no more is pulled.
///
/// Dropping it, at any point, cancels what runs, and returns at once: its threads end by themselves.
/// [`close`](Self::close) waits for them.
///
/// ```
/// use futures::StreamExt;
/// use ganymede::{BufferWriter, FileDownload};
/// use ganymede_async::Batch;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let downloads = (0..10).map(|n| FileDownload::get(&format!("file:///no/such/{n}")).unwrap());
/// let mut batch = Batch::new(downloads.map(|download| download.writer(BufferWriter::new(1024)))).backlog(3);
/// while let Some(plan) = batch.next().await {
///     assert!(plan.result().unwrap_err().is_not_found());
/// }
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batch<'a, D: Download>(TryBatch<'a, D, Infallible>);

/// A [`Batch`] over a list that may fail: see [`Batch::try_new`].
///
/// ```
/// use futures::{TryStreamExt, stream};
/// use ganymede::{BufferWriter, Failure, FileDownload};
/// use ganymede_async::Batch;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let urls = stream::iter(["file:///no/such/file", "not a URL", "file:///never/asked/for"]);
/// let downloads = urls.map(|url| Ok::<_, Failure>(FileDownload::get(url)?.writer(BufferWriter::new(10))));
/// # use futures::StreamExt;
/// let mut batch = Batch::try_from_stream(downloads);
/// assert!(batch.try_next().await?.unwrap().result().is_err());
/// assert!(batch.try_next().await.unwrap_err().to_string().contains("not a URL"));
/// assert!(batch.try_next().await?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TryBatch<'a, D: Download, E> {
    source: Option<Source<'a, D, E>>,
    /// How the source ended, other than just ending; told when all earlier downloads were handed out.
    outcome: Option<Outcome<E>>,
    backlog: usize,
    pool: Pool<D>,
}

type Source<'a, D, E> = Pin<Box<dyn Stream<Item = Result<D, E>> + Send + 'a>>;

enum Outcome<E> {
    Failed(E),
    Panicked(Box<dyn std::any::Any + Send>),
}

impl<'a, D: Download + 'static> Batch<'a, D> {
    /// Makes a batch of an iterator that does not block: 8 at a time, a backlog of 64, and a context of its own, unless
    /// set otherwise.
    pub fn new<I>(downloads: I) -> Self
    where
        I: IntoIterator<Item = D>,
        I::IntoIter: Send + 'a,
    {
        Self(Self::try_new(downloads.into_iter().map(Ok)))
    }

    /// Makes a batch of a stream.
    pub fn from_stream(downloads: impl Stream<Item = D> + Send + 'a) -> Self {
        Self(Self::try_from_stream(Certain(Box::pin(downloads))))
    }

    /// Makes a batch over an iterator of `Result`s.
    ///
    /// It yields `Ok` for each plan. An error of the iterator ends it: what was pulled before is run and yielded, then
    /// comes the error, as the last item.
    pub fn try_new<I, E>(downloads: I) -> TryBatch<'a, D, E>
    where
        I: IntoIterator<Item = Result<D, E>>,
        I::IntoIter: Send + 'a,
    {
        Self::try_from_stream(Ready(downloads.into_iter()))
    }

    /// Makes a batch over a stream of `Result`s, of which an error ends it as well.
    pub fn try_from_stream<E>(downloads: impl Stream<Item = Result<D, E>> + Send + 'a) -> TryBatch<'a, D, E> {
        TryBatch { source: Some(Box::pin(downloads)), outcome: None, backlog: 64, pool: Pool::new() }
    }
}

/// Writes each setting once, for both kinds of batches.
macro_rules! settings {
    ($([$($head:tt)*] |$batch:ident| $inner:expr;)*) => {$(
        $($head)* {
            /// Sets how many downloads run at a time; at least 1.
            #[must_use]
            pub fn concurrency(mut self, downloads: usize) -> Self {
                let $batch = &mut self;
                $inner.change(|pool| pool.concurrency(downloads));
                self
            }

            /// Sets how many downloads are in memory at most; at least 1.
            #[must_use]
            pub fn backlog(mut self, downloads: usize) -> Self {
                let $batch = &mut self;
                $inner.backlog = downloads.max(1);
                self
            }

            /// Runs the downloads in a child of this context.
            #[must_use]
            pub fn context(mut self, context: &Context) -> Self {
                let $batch = &mut self;
                $inner.change(|pool| pool.context(context));
                self
            }

            /// Returns a handle that cancels this batch; the context must be set before.
            ///
            /// It then yields what was pulled, and ends.
            #[must_use]
            pub fn cancel_handle(&self) -> CancelHandle {
                let $batch = self;
                $inner.pool.cancel_handle()
            }

            /// Returns the counters of this batch.
            #[must_use]
            pub fn counters(&self) -> Arc<Counters> {
                let $batch = self;
                $inner.pool.counters()
            }

            /// Cancels what runs, and waits until the threads are gone: before a program ends, say.
            pub async fn close(mut self) {
                let $batch = &mut self;
                let inner = &mut $inner;
                inner.source = None;
                poll_fn(|wake| inner.pool.poll_end(wake)).await;
            }
        }
    )*};
}

settings! {
    [impl<D: Download + 'static> Batch<'_, D>] |batch| batch.0;
    [impl<D: Download + 'static, E> TryBatch<'_, D, E>] |batch| *batch;
}

impl<D: Download + 'static, E> TryBatch<'_, D, E> {
    fn change(&mut self, change: impl FnOnce(Pool<D>) -> Pool<D>) {
        self.pool = change(std::mem::take(&mut self.pool));
    }

    /// Pulls one more, if the list has one ready.
    fn poll_source(&mut self, wake: &mut task::Context<'_>) -> Poll<Option<D>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        // A panic of the caller's own list must not take along the results that came before it.
        let pulled = catch_unwind(AssertUnwindSafe(|| source.as_mut().poll_next(wake)));
        self.outcome = match pulled.map(|pulled| pulled.map(Option::transpose)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(Some(download)))) => return Poll::Ready(Some(download)),
            Ok(Poll::Ready(Ok(None))) => None,
            Ok(Poll::Ready(Err(error))) => Some(Outcome::Failed(error)),
            Err(panic) => Some(Outcome::Panicked(panic)),
        };
        self.source = None;
        Poll::Ready(None)
    }
}

impl<D: Download, E> Unpin for TryBatch<'_, D, E> {}

impl<D: Download + 'static, E> Stream for TryBatch<'_, D, E> {
    type Item = Result<Plan<D>, E>;

    fn poll_next(mut self: Pin<&mut Self>, wake: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        if self.pool.poll_cancelled(wake).is_ready() {
            self.source = None;
        }
        loop {
            if let Poll::Ready(Some(plan)) = self.pool.poll(wake) {
                return Poll::Ready(Some(Ok(plan)));
            }
            if self.pool.len() >= self.backlog {
                return Poll::Pending;
            }
            if let Some(download) = ready!(self.poll_source(wake)) {
                self.pool.push(download);
            } else if !self.pool.is_empty() {
                return Poll::Pending;
            } else {
                return Poll::Ready(self.outcome.take().map(|outcome| match outcome {
                    Outcome::Failed(error) => Err(error),
                    Outcome::Panicked(panic) => resume_unwind(panic),
                }));
            }
        }
    }
}

impl<D: Download + 'static> Stream for Batch<'_, D> {
    type Item = Plan<D>;

    fn poll_next(mut self: Pin<&mut Self>, wake: &mut task::Context<'_>) -> Poll<Option<Plan<D>>> {
        Pin::new(&mut self.0).poll_next(wake).map(|next| next.map(|Ok(plan)| plan))
    }
}

impl<D: Download> fmt::Debug for Batch<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<D: Download, E> fmt::Debug for TryBatch<'_, D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("pool", &self.pool)
            .field("backlog", &self.backlog)
            .finish_non_exhaustive()
    }
}

/// An iterator as a stream.
struct Ready<I>(I);

impl<I> Unpin for Ready<I> {}

impl<I: Iterator> Stream for Ready<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

/// A stream whose items are all good.
struct Certain<S>(Pin<Box<S>>);

impl<S: Stream> Stream for Certain<S> {
    type Item = Result<S::Item, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, wake: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(wake).map(|next| next.map(Ok))
    }
}
