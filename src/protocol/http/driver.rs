//! The thread that the clients of a context run on.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{timeout, timeout_at};
use url::Url;

use super::answer::has_content;
use super::connecting::Connecting;
use super::failure::{Remedy, unanswered};
use super::failure::{failure_of, no_byte};
use super::origins::{Current, Origin};
use super::pipe::{Answer, CAPACITY, Pipe, SLOW_CAPACITY};
use super::streams;
use super::traffic::{Share, Traffic};
use super::{DRAIN_BYTES, DRAIN_TIME};
use crate::cancel::Hook;
use crate::context::{Context, SlotKey};
use crate::failure::{ErrorKind, Failure};
use crate::limits::Permit;
use crate::timing::Timing;

/// A runtime on a thread of its own, which ends with the last client that uses it.
pub(super) struct Driver {
    handle: Handle,
    /// Requests on their way to the thread. It is woken for the first of several, where [`Handle::spawn`] would write to
    /// its event descriptor for each.
    queue: mpsc::UnboundedSender<Sent>,
    traffic: Arc<Traffic>,
    /// How many bytes of an answer may wait.
    capacity: usize,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(PartialEq, Eq, Hash)]
struct DriverKey;

impl SlotKey for DriverKey {
    type Value = Arc<Driver>;
}

impl Driver {
    /// Returns the driver of a context, which is started if need be.
    pub(super) fn of(context: &Context) -> Result<Arc<Self>, Failure> {
        let driver = context.slot(DriverKey, |context| {
            let failed = |error: io::Error| {
                Failure::new(ErrorKind::Other, format!("cannot start the thread of the HTTP client: {error}"))
            };
            let capacity = if context.limits().has_rate() { SLOW_CAPACITY } else { CAPACITY };
            Self::start(capacity).map(Arc::new).map_err(failed)
        })?;
        Ok(Arc::clone(&driver))
    }

    fn start(capacity: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().thread_name("ganymede-dns").build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, mut queue) = mpsc::unbounded_channel::<Sent>();
        let thread = std::thread::Builder::new().name("ganymede-http".to_owned()).spawn(move || {
            let mut stopped = pin!(stopped);
            // Ends when told to, or when the other side is gone.
            let _ = runtime.block_on(poll_fn(|context| {
                while let Poll::Ready(Some(sent)) = queue.poll_recv(context) {
                    sent.pipe.carried_by(tokio::spawn(sent.task).abort_handle());
                }
                stopped.as_mut().poll(context)
            }));
            // A name resolution that is under way cannot be interrupted; its thread ends when the system answers.
            runtime.shutdown_background();
        })?;
        let traffic = Arc::new(Traffic::new(Instant::now()));
        Ok(Self { handle, queue: sender, traffic, capacity, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs something on its thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(task).abort_handle()
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.handle
    }

    /// Returns how many bytes of an answer may wait.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Counts a connection among those that share the link.
    pub(super) fn join(&self) -> Share {
        Traffic::join(&self.traffic)
    }

    /// Sends a request; the answer arrives in the exchange.
    pub(super) fn send(&self, request: Outgoing) -> Exchange {
        let pipe = Arc::new(Pipe::new(self.capacity));
        let end = Ended(Arc::clone(&pipe));
        let share = self.join();
        let connecting = Connecting::new(request.origin.as_ref());
        let task = Box::pin(connecting.clone().scope(async move {
            let result = request.carry(&end.0, &connecting, &share).await;
            end.0.finish(result);
        }));
        // Where the thread is gone, the task is dropped, which ends the answer.
        let _ = self.queue.send(Sent { pipe: Arc::clone(&pipe), task });
        Exchange { pipe, handle: self.handle.clone() }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// A request under way to the thread, and where its answer goes.
struct Sent {
    pipe: Arc<Pipe>,
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Ends the answer when its task is gone, in whatever way.
struct Ended(Arc<Pipe>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.finish(Err(ErrorKind::Incomplete.into()));
    }
}

/// A request under way, as the thread that waits for it sees it.
pub(super) struct Exchange {
    pipe: Arc<Pipe>,
    handle: Handle,
}

impl Exchange {
    /// Ends its waits when the context is cancelled.
    pub(super) fn watch(&self, context: &Context) -> Hook {
        let pipe = Arc::clone(&self.pipe);
        context.on_cancel(move || pipe.cancel())
    }

    pub(super) fn head(&self) -> Result<Answer, Failure> {
        self.pipe.head()
    }

    pub(super) fn block(&self) -> Result<Option<Bytes>, Failure> {
        self.pipe.block()
    }

    /// Waits until the connection is free, or gone: the driver reads no more than a little of what is not wanted.
    pub(super) fn drain(&self) -> Result<Option<Vec<u8>>, Failure> {
        let mut all = Vec::new();
        loop {
            match self.pipe.block() {
                Ok(Some(block)) => all.extend_from_slice(&block),
                Ok(None) => return Ok(Some(all)),
                Err(failure) if matches!(failure.kind(), ErrorKind::Cancelled) => return Err(failure),
                // Nobody has asked for the body, so its errors are nobody's either.
                Err(_) => return Ok(None),
            }
        }
    }

    /// Closes the connection in the middle of an answer, and drops its permit when that is done, so that who gets it
    /// finds the place free.
    pub(super) fn cut(&self, permit: Permit) {
        self.pipe.cancel();
        self.handle.spawn(async move {
            // The task that was cut is gone after the first turn, its connection after the second.
            for _ in 0..4 {
                yield_now().await;
            }
            drop(permit);
        });
    }
}

/// How often a request is sent again at once because its connection had been idle, and was closed.
pub(super) const STALE: usize = 3;

/// A request, ready to be sent.
pub(super) struct Outgoing {
    pub(super) client: reqwest::Client,
    /// The server, if it may speak HTTP/2.
    pub(super) origin: Option<Arc<Origin>>,
    /// How many fields a head may have.
    pub(super) fields: usize,
    pub(super) request: reqwest::Request,
    pub(super) url: Url,
    pub(super) wanted: bool,
    pub(super) read_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) deadline: Option<Instant>,
}

impl Outgoing {
    /// Sends it and hands the answer over, block by block.
    async fn carry(self, pipe: &Pipe, connecting: &Connecting, share: &Share) -> Result<(), Failure> {
        let start = Instant::now();
        let Self { url, wanted, .. } = &self;
        let first = match &self.origin {
            Some(origin) => origin.turn().await,
            None => None,
        };
        let sender =
            self.origin.as_ref().map_or_else(|| Ok(self.client.clone().into()), |own| own.client())?;
        let answered = self.answer(&sender, connecting, share).await;
        drop(first);
        let connected = connecting.timing();
        let waiting = start.elapsed().saturating_sub(connected.total());
        let timing = Timing { waiting, ..connected };
        let mut response = answered.map_err(|failure| failure.with_timing(timing))?;
        share.received(Instant::now());
        if let Some(origin) = &self.origin {
            origin.speaks(response.version());
        }
        if response.version() == Version::HTTP_2 {
            streams::check(&response, self.fields, url)?;
            share.streams(self.line());
        }
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let wanted = *wanted && has_content(status);
        pipe.put_head(Answer { status, headers, timing });
        if !wanted {
            let drained = async {
                let mut length = 0;
                loop {
                    match response.chunk().await {
                        Ok(Some(block)) if length + block.len() <= DRAIN_BYTES => {
                            length += block.len();
                            pipe.put_block(block);
                        }
                        Ok(None) => return true,
                        _ => return false,
                    }
                }
            };
            let drained = timeout(DRAIN_TIME, drained).await;
            yield_now().await;
            let whole = drained == Ok(true) && streams::is_whole(response);
            return if whole { Ok(()) } else { Err(ErrorKind::Incomplete.into()) };
        }
        loop {
            poll_fn(|context| pipe.poll_room(context)).await;
            let mut chunk = pin!(response.chunk());
            let chunk = match poll_fn(|context| Poll::Ready(chunk.as_mut().poll(context))).await {
                Poll::Ready(chunk) => chunk,
                Poll::Pending => {
                    pipe.flush();
                    self.patiently(chunk, share).await.inspect_err(|_| self.distrust(&sender))?
                }
            };
            share.received(Instant::now());
            match chunk.map_err(|error| failure_of(error, url))? {
                Some(block) => pipe.put_block(block),
                None => break,
            }
        }
        if !streams::is_whole(response) {
            return Err(streams::given_up(url));
        }
        // The connection goes back to the others a moment after the last block: what is sent next shall find it.
        yield_now().await;
        Ok(())
    }

    /// Waits for the next part of the body: as long as the time-out says, or longer if siblings keep the link busy.
    async fn patiently<T>(&self, chunk: impl Future<Output = T>, share: &Share) -> Result<T, Failure> {
        let mut chunk = pin!(chunk);
        for pauses in 1.. {
            let limit = self.limit(after(Instant::now(), self.read_timeout));
            if let Ok(chunk) = timeout_at(limit.into(), &mut chunk).await {
                return Ok(chunk);
            }
            if self.is_over() || !share.is_patient(pauses, self.read_timeout, Instant::now()) {
                return Err(self.too_late("body", pauses));
            }
        }
        Err(self.too_late("body", 1))
    }

    /// Sends it, and waits for the head.
    ///
    /// A server may close a connection at any time while it is idle. Who is told so in answer to a request, which asks
    /// for something and changes nothing, may send that again (RFC 9112 §9.3.1 and RFC 9110 §9.2.2). What is not
    /// looked at over HTTP/2 (RFC 9113 §8.7), the client sends again by itself.
    async fn answer(
        &self,
        sender: &Current,
        connecting: &Connecting,
        share: &Share,
    ) -> Result<reqwest::Response, Failure> {
        let (mut client, start) = (sender.client.clone(), Instant::now());
        let (mut again, mut required) = (0, false);
        loop {
            let request = self.request.try_clone().ok_or_else(|| Failure::from(ErrorKind::Unsupported))?;
            match self.head(client.execute(request), connecting, share, start).await {
                Err((_, Remedy::Again)) if connecting.until() == Some(None) && again < STALE => again += 1,
                Err((failure, Remedy::Http1)) if !required => {
                    let Some(origin) = &self.origin else { return Err(failure) };
                    (client, required) = (origin.require_http1()?, true);
                }
                Err((failure, remedy)) => {
                    if remedy == Remedy::Elsewhere {
                        self.distrust(sender);
                    }
                    return Err(failure);
                }
                Ok(response) => return Ok(response),
            }
        }
    }

    /// Keeps further requests from a connection on which this one has waited in vain.
    fn distrust(&self, sender: &Current) {
        if let Some(origin) = &self.origin {
            origin.distrust(sender);
        }
    }

    /// Returns what tells the connection that requests share from others.
    fn line(&self) -> usize {
        self.origin.as_ref().map_or(0, |origin| Arc::as_ptr(origin).addr())
    }

    /// Waits for the head: the time-out for reading begins when the connection is there.
    async fn head(
        &self,
        response: impl Future<Output = reqwest::Result<reqwest::Response>>,
        connecting: &Connecting,
        share: &Share,
        start: Instant,
    ) -> Result<reqwest::Response, (Failure, Remedy)> {
        let mut response = pin!(response);
        let mut response = poll_fn(|context| {
            let answered = response.as_mut().poll(context);
            // Who has found a connection there keeps nobody waiting.
            if let (Some(origin), Some(None)) = (&self.origin, connecting.until()) {
                origin.open();
            }
            answered
        });
        let mut limit = after(start, self.read_timeout);
        // Who has begun when the time-out is over for the first time, may stand before it; who begins later, behind.
        let (mut pauses, mut begun) = (1, None);
        loop {
            match timeout_at(self.limit(limit).into(), &mut response).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(unanswered(error, &self.url)),
                Err(_) if self.is_over() => return Err((self.too_late("head", pauses), Remedy::Elsewhere)),
                Err(_) => {}
            }
            let later = match connecting.until() {
                // The client ends that by itself.
                None => after(Instant::now(), self.connect_timeout),
                Some(connected) => after(connected.unwrap_or(start), self.read_timeout),
            };
            if later > limit {
                limit = later;
                continue;
            }
            let now = Instant::now();
            let begun = *begun.get_or_insert_with(|| share.begun());
            if !share.is_patient(pauses, self.read_timeout, now)
                && !share.is_behind(begun, self.line(), self.read_timeout, now)
            {
                return Err((self.too_late("head", pauses), Remedy::Elsewhere));
            }
            pauses += 1;
            limit = after(now, self.read_timeout);
        }
    }

    fn limit(&self, limit: Instant) -> Instant {
        self.deadline.map_or(limit, |deadline| deadline.min(limit))
    }

    /// Tells whether the deadline has passed.
    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn too_late(&self, part: &str, pauses: u32) -> Failure {
        if self.is_over() {
            return Failure::new(ErrorKind::Timeout, "the deadline has passed").transient(false);
        }
        no_byte(part, &self.url, self.read_timeout, pauses)
    }
}

/// Returns the moment after a time, which may be longer than any clock goes.
pub(super) fn after(start: Instant, time: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    start.checked_add(time).unwrap_or_else(|| start + LONG)
}
