//! How long connections take to be made.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use super::origins::Origin;
use crate::timing::Timing;

/// How long a request's own connection took.
#[derive(Clone, Default)]
pub(super) struct Connecting {
    times: Arc<Mutex<Option<Times>>>,
    /// Whose other requests wait for the end of it.
    origin: Option<Arc<Origin>>,
}

#[derive(Clone, Copy)]
struct Times {
    start: Instant,
    /// When the connection was there, and making it secure began.
    securing: Option<Instant>,
    end: Option<Instant>,
    /// How long its names took to be resolved.
    resolving: Duration,
}

impl Times {
    fn begin() -> Self {
        Self { start: Instant::now(), securing: None, end: None, resolving: Duration::ZERO }
    }
}

tokio::task_local! {
    static CONNECTING: Connecting;
}

impl Connecting {
    pub(super) fn new(origin: Option<&Arc<Origin>>) -> Self {
        Self { times: Arc::default(), origin: origin.map(Arc::clone) }
    }

    /// Makes the connections that `future` makes its own.
    pub(super) async fn scope<F: Future>(self, future: F) -> F::Output {
        CONNECTING.scope(self, future).await
    }

    /// Makes one of a connection that is made from now on.
    pub(super) fn begun() -> Self {
        Self { times: Arc::new(Mutex::new(Some(Times::begin()))), origin: None }
    }

    /// Notes that the connection is made, or given up, and returns how long it took.
    pub(super) fn ended(&self) -> Timing {
        if let Some(times) = &mut *self.times.lock() {
            times.end = Some(Instant::now());
        }
        if let Some(origin) = &self.origin {
            origin.open();
        }
        self.timing()
    }

    /// Returns the one of the request that is being carried, if there is one.
    pub(super) fn current() -> Self {
        CONNECTING.try_with(Clone::clone).unwrap_or_default()
    }

    /// Returns how long it took; nothing if a connection was there.
    pub(super) fn timing(&self) -> Timing {
        let ended = self.times.lock().and_then(|times| Some((times, times.end?)));
        let Some((Times { start, securing, resolving, .. }, end)) = ended else { return Timing::default() };
        let connected = securing.unwrap_or(end);
        let took = connected.duration_since(start);
        Timing {
            resolving,
            connecting: took.saturating_sub(resolving),
            securing: end.duration_since(connected),
            ..Timing::default()
        }
    }

    /// Notes that the connection is there, and is made secure from now on: the last time, if the way leads through a
    /// proxy that is reached securely, too.
    pub(super) fn secures(&self) {
        if let Some(times) = &mut *self.times.lock() {
            times.securing = Some(Instant::now());
        }
    }

    /// Notes how long a name took to be resolved.
    pub(super) fn resolved(&self, took: Duration) {
        if let Some(times) = &mut *self.times.lock() {
            times.resolving += took;
        }
    }

    /// Returns until when it connected, if at all; `None` while it does.
    pub(super) fn until(&self) -> Option<Option<Instant>> {
        match *self.times.lock() {
            None => Some(None),
            Some(times) => times.end.map(Some),
        }
    }
}

/// Notes the end of a connecting when it is dropped, in whatever way.
struct Ending(Connecting);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.ended();
    }
}

/// Notes when connections are begun and made, for the request that needs them.
#[derive(Clone)]
pub(super) struct Watch;

#[derive(Clone)]
pub(super) struct Watched<S>(S);

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(inner)
    }
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = Connecting::current();
        *connecting.times.lock() = Some(Times::begin());
        // Also when the client goes on with it elsewhere, since another connection got free.
        let connected = connecting.clone().scope(self.0.call(request));
        // Also when it is given up: for a time-out, or because another connection got free.
        let ending = Ending(connecting);
        Box::pin(async move {
            let connection = connected.await;
            drop(ending);
            connection
        })
    }
}
