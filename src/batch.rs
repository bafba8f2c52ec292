//! Many downloads at once, as an iterator.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::cancel::CancelToken;
use crate::context::Context;
use crate::counters::Counters;
use crate::download::Download;
use crate::plan::Plan;
use crate::workers::Workers;

/// Runs many downloads, a few at a time, and yields a [`Plan`] for each in order of completion.
///
/// The caller's iterator is pulled on the caller's thread and only as far as the backlog allows: at most that many
/// downloads are in memory, be they queued, running, or finished and not yet taken. So a list may be longer than
/// memory. What is finished is handed out before the iterator is pulled again.
///
/// Downloads run on threads of the batch's own. One that waits for something else than its source, a host that wants
/// to be left alone or the next attempt, gives its place to another: there may be as many threads as the backlog has
/// downloads, and never more at work than at a time are to be. One that fails or panics is one failed plan. Dropping
/// the batch, at any point, cancels what runs, waits for its threads and leaves nothing behind but what a
/// [`FileWriter`](crate::FileWriter) keeps for the next run.
///
/// ```
/// use ganymede::{Batch, BufferWriter, FileDownload};
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("0"), "hello")?;
/// # let base = format!("file://{}", folder.path().display());
///
/// let downloads = (0..10).map(|n| {
///     FileDownload::get(&format!("{base}/{n}")).unwrap().writer(BufferWriter::new(1024))
/// });
/// let mut found = 0;
/// for plan in Batch::new(downloads).backlog(3) {
///     match plan.result() {
///         Ok(receipt) => found += receipt.facts().size(),
///         Err(error) => assert!(error.is_not_found()),
///     }
/// }
/// assert_eq!(found, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Batch<'a, D: Download>(TryBatch<'a, D, Infallible>);

/// A [`Batch`] over an iterator that may fail: see [`Batch::try_new`].
///
/// ```
/// use ganymede::{Batch, BufferWriter, FileDownload};
///
/// let urls = ["file:///no/such/file", "not a URL", "file:///never/asked/for"];
/// let downloads = urls.map(|url| Ok(FileDownload::get(url)?.writer(BufferWriter::new(10))));
/// let mut batch = Batch::try_new(downloads);
/// assert!(batch.next().unwrap().unwrap().result().is_err());
/// let failure: ganymede::Failure = batch.next().unwrap().unwrap_err();
/// assert!(failure.to_string().contains("not a URL"));
/// assert!(batch.next().is_none());
/// ```
pub struct TryBatch<'a, D: Download, E> {
    source: Option<Box<dyn Iterator<Item = Result<D, E>> + 'a>>,
    /// How the source ended, other than just ending; told when all earlier downloads were handed out.
    outcome: Option<Outcome<E>>,
    /// What is finished and was not handed out.
    ready: VecDeque<Plan<D>>,
    /// How many are in memory.
    alive: usize,
    backlog: usize,
    context: Context,
    workers: Arc<Workers<D>>,
}

enum Outcome<E> {
    Failed(E),
    Panicked(Box<dyn std::any::Any + Send>),
}

/// Cancels a batch from any thread. It keeps nothing of the batch or its context alive.
///
/// ```
/// use ganymede::{Batch, BufferWriter, FileDownload};
///
/// let endless = std::iter::repeat_with(|| FileDownload::get("file:///x").unwrap().writer(BufferWriter::new(1)));
/// let batch = Batch::new(endless);
/// let handle = batch.cancel_handle();
/// for plan in batch {
///     assert!(plan.result().is_err());
///     let handle = handle.clone();
///     std::thread::spawn(move || handle.cancel());
/// }
/// ```
#[derive(Debug, Clone)]
pub struct CancelHandle(CancelToken);

impl CancelHandle {
    pub(crate) fn new(context: &Context) -> Self {
        Self(context.token().clone())
    }

    /// Cancels what runs and pulls no more; the batch then yields what was pulled, and ends.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl<'a, D: Download + 'static> Batch<'a, D> {
    /// Makes a batch: 8 at a time, a backlog of 64, and a context of its own, unless set otherwise.
    pub fn new<I>(downloads: I) -> Self
    where
        I: IntoIterator<Item = D>,
        I::IntoIter: 'a,
    {
        Self(Self::try_new(downloads.into_iter().map(Ok)))
    }

    /// Makes a batch over an iterator of `Result`s.
    ///
    /// It yields `Ok` for each plan. An error of the iterator ends it: what was pulled before is run and yielded, then
    /// comes the error, as the last item.
    pub fn try_new<I, E>(downloads: I) -> TryBatch<'a, D, E>
    where
        I: IntoIterator<Item = Result<D, E>>,
        I::IntoIter: 'a,
    {
        TryBatch {
            source: Some(Box::new(downloads.into_iter())),
            outcome: None,
            ready: VecDeque::new(),
            alive: 0,
            backlog: 64,
            context: Context::new(),
            workers: Arc::default(),
        }
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
                $inner.workers.set_concurrency(downloads.max(1));
                self
            }

            /// Lets the batch find out how many downloads at a time are best, up to `most`.
            ///
            /// It begins with 4, runs more while that makes everything faster, and now and then tries a few more or
            /// fewer. Each download counts that ends, and each byte that arrives. When a host which has answered
            /// before pushes back, by 429, 503, refused connections or time-outs, fewer run for a while, unless it
            /// is one of many that are asked. What runs is never interrupted for that, and [`Limits::per_host`]
            /// holds in any case.
            ///
            /// Not more run than the [backlog](Self::backlog) has: twice as many should fit into it. How many run at
            /// a time at present, [`Counters::concurrency`] says.
            ///
            /// ```
            /// use ganymede::{Batch, BufferWriter, FileDownload};
            ///
            /// let get = |n| FileDownload::get(&format!("file:///no/such/{n}")).unwrap().writer(BufferWriter::new(1));
            /// let mut batch = Batch::new((0..100).map(get)).adaptive(32);
            /// let counters = batch.counters();
            /// assert_eq!(counters.concurrency(), 4);
            /// assert!(batch.all(|plan| plan.result().is_err()));
            /// assert!((1..=32).contains(&counters.concurrency()));
            /// ```
            ///
            /// [`Limits::per_host`]: crate::Limits::per_host
            #[must_use]
            pub fn adaptive(mut self, most: usize) -> Self {
                let $batch = &mut self;
                $inner.workers.adapt(most.max(1));
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
                $inner.context = context.child();
                self
            }

            /// Returns a handle that cancels this batch; the context must be set before.
            #[must_use]
            pub fn cancel_handle(&self) -> CancelHandle {
                let $batch = self;
                CancelHandle::new(&$inner.context)
            }

            /// Returns the counters of this batch.
            #[must_use]
            pub fn counters(&self) -> Arc<Counters> {
                let $batch = self;
                Arc::clone($inner.workers.counters())
            }
        }
    )*};
}

settings! {
    [impl<D: Download + 'static> Batch<'_, D>] |batch| batch.0;
    [impl<D: Download + 'static, E> TryBatch<'_, D, E>] |batch| batch;
}

impl<D: Download + 'static> Iterator for Batch<'_, D> {
    type Item = Plan<D>;

    fn next(&mut self) -> Option<Plan<D>> {
        self.0.next().map(|Ok(plan)| plan)
    }
}

impl<D: Download + 'static, E> Iterator for TryBatch<'_, D, E> {
    type Item = Result<Plan<D>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ready.is_empty() {
                self.ready = self.workers.finished();
            }
            if let Some(plan) = self.ready.pop_front() {
                self.alive -= 1;
                return Some(Ok(plan));
            }
            if self.alive < self.backlog
                && let Some(download) = self.pull()
            {
                self.alive += 1;
                Workers::enqueue(&self.workers, download, &self.context);
                continue;
            }
            if self.alive == 0 {
                return match self.outcome.take()? {
                    Outcome::Failed(error) => Some(Err(error)),
                    Outcome::Panicked(panic) => resume_unwind(panic),
                };
            }
            self.ready = Workers::wait(&self.workers, &self.context);
        }
    }
}

impl<D: Download + 'static, E> TryBatch<'_, D, E> {
    fn pull(&mut self) -> Option<D> {
        if self.context.is_cancelled() {
            self.source = None;
        }
        let source = self.source.as_mut()?;
        // A panic of the caller's iterator must not take along the results that came before it.
        let outcome = match catch_unwind(AssertUnwindSafe(|| source.next())) {
            Ok(Some(Ok(download))) => {
                self.workers.counters().pull();
                return Some(download);
            }
            Ok(Some(Err(error))) => Some(Outcome::Failed(error)),
            Ok(None) => None,
            Err(panic) => Some(Outcome::Panicked(panic)),
        };
        self.outcome = outcome;
        self.source = None;
        None
    }
}

impl<D: Download, E> Drop for TryBatch<'_, D, E> {
    fn drop(&mut self) {
        self.context.cancel();
        self.workers.end();
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
            .field("concurrency", &self.workers.counters().concurrency())
            .field("backlog", &self.backlog)
            .field("alive", &self.alive)
            .finish_non_exhaustive()
    }
}
