//! What is sent over one HTTP/2 connection: a stream that nobody reads is not seen on its socket, which is read for the
//! others, and for what tells that both sides are there.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What is sent over one HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Streams {
    state: Mutex<State>,
    begun: Notify,
}

#[derive(Debug)]
struct State {
    /// Since when each body waits for its client, if it does.
    bodies: HashMap<u64, Option<Instant>>,
    next: u64,
    requests: usize,
    /// When something of a request or a response was last seen.
    active: Instant,
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Asked(Arc<Streams>);

impl Streams {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { bodies: HashMap::new(), next: 0, requests: 0, active: Instant::now() };
        Arc::new(Self { state: Mutex::new(state), begun: Notify::new() })
    }

    /// Notes that HTTP/2 is spoken.
    pub(crate) fn begin(&self) {
        self.sent();
        self.begun.notify_one();
    }

    /// Notes that a request has come, which is answered when this is dropped.
    pub(crate) fn asked(self: &Arc<Self>) -> Asked {
        let mut state = self.state.lock();
        state.requests += 1;
        state.active = Instant::now();
        Asked(Arc::clone(self))
    }

    /// Notes that something is sent.
    pub(crate) fn sent(&self) {
        self.state.lock().active = Instant::now();
    }

    /// Watches a body until it is sent.
    pub(crate) fn watch(self: &Arc<Self>, body: Body) -> Body {
        let mut state = self.state.lock();
        let id = state.next;
        state.next += 1;
        state.bodies.insert(id, None);
        Body::new(Watched { body, id, streams: Arc::clone(self) })
    }

    fn note(&self, id: u64, waits: Option<Instant>) {
        self.state.lock().bodies.insert(id, waits);
    }

    /// Waits until a body has waited for its client for as long as `stall`, or nothing was asked for and nothing sent for
    /// as long as `idle`; never where another HTTP is spoken.
    pub(crate) async fn over(&self, idle: Duration, stall: Duration) {
        self.begun.notified().await;
        loop {
            let (now, later) = (Instant::now(), |since: Instant, time| since.checked_add(time));
            let (oldest, quiet) = {
                let state = self.state.lock();
                let busy = state.requests > 0 || !state.bodies.is_empty();
                (state.bodies.values().flatten().min().copied(), if busy { now } else { state.active })
            };
            let stalled = later(oldest.unwrap_or(now), stall);
            // A time that no clock will show is never over.
            let Some(next) = stalled.into_iter().chain(later(quiet, idle)).min() else {
                return std::future::pending().await;
            };
            if next <= now {
                return;
            }
            sleep_until(next).await;
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests -= 1;
        state.active = Instant::now();
    }
}

/// A body that is being sent: it waits for its client from when a block was taken until the next is asked for.
struct Watched {
    body: Body,
    id: u64,
    streams: Arc<Streams>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        wake: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(wake);
        let taken = matches!(frame, Poll::Ready(Some(Ok(_))));
        self.streams.note(self.id, taken.then(Instant::now));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = self.streams.state.lock();
        state.bodies.remove(&self.id);
        state.active = Instant::now();
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("id", &self.id).finish_non_exhaustive()
    }
}
