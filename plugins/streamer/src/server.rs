//! The server: it listens, bounds what clients may take, and ends in good order.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Version;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::socket::{Client, Socket};
use crate::streams::Streams;

/// What who finds no place is told.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Serves a router over HTTP/1.1 and HTTP/2, and bounds what clients may take.
///
/// Where a response cannot be completed, an HTTP/1.1 connection is reset and an HTTP/2 stream is, too, so that no client
/// takes a part for the whole: that is why a router should be served by this and not by another server. Clones, one for
/// each listener, share the places for connections.
///
/// ```no_run
/// use ganymede_streamer::{Remote, Server, Streamer};
/// use tokio::net::TcpListener;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let streamer = Streamer::new(Remote::new("https://example.com/debian/")?);
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// Server::new(streamer.router()).run(listener, std::future::pending()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    router: Router,
    places: Arc<Semaphore>,
    /// For those that find no place to be told so.
    outside: Arc<Semaphore>,
    open: Arc<AtomicU64>,
    header_bytes: usize,
    header_count: usize,
    idle: Duration,
    stall: Duration,
    drain: Duration,
}

impl Server {
    /// Serves this router.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self {
            router,
            places: Arc::new(Semaphore::new(4096)),
            outside: Arc::new(Semaphore::new(64)),
            open: Arc::default(),
            header_bytes: 32 << 10,
            header_count: 100,
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }

    /// Sets how many connections there may be at once, those of clones too; others are answered by 503. 4096 unless set.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.places = Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)));
        self
    }

    /// Sets how long the head of a request may be, in bytes, at least 8192; 32 KiB unless set.
    #[must_use]
    pub fn header_bytes(mut self, bytes: usize) -> Self {
        self.header_bytes = bytes.max(8192);
        self
    }

    /// Sets how many headers a request may have; 100 unless set.
    #[must_use]
    pub fn header_count(mut self, headers: usize) -> Self {
        self.header_count = headers;
        self
    }

    /// Sets how long a connection may wait for the whole head of a request; a minute unless set.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// Sets how long a client may read nothing of what it is sent; a minute unless set. It may be slow, though.
    #[must_use]
    pub fn stall(mut self, time: Duration) -> Self {
        self.stall = time;
        self
    }

    /// Sets how long requests that are being answered have to end once the server is told to; half a minute unless set.
    #[must_use]
    pub fn drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Serves until `stop` is ready; then what is being answered ends, and nothing else is accepted.
    ///
    /// # Errors
    /// The listener fails for good.
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
        let graceful = GracefulShutdown::new();
        let builder = self.builder();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, address)) => match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(place) => self.serve(&builder, &graceful, stream, address, place),
                    // Of those that are too many for that, too, nothing is known.
                    Err(_) => match Arc::clone(&self.outside).try_acquire_owned() {
                        Ok(told) => drop(tokio::spawn(turn_away(stream, told))),
                        Err(_) => drop(stream),
                    },
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of descriptors, say: some will be free again.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        if timeout(self.drain, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        Ok(())
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_buf_size(self.header_bytes)
            .max_headers(self.header_count)
            .half_close(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(self.header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(128)
            // What waits for a client that does not read is held once a stream.
            .max_send_buf_size(256 << 10)
            .keep_alive_interval(self.idle)
            .keep_alive_timeout(self.stall);
        builder
    }

    fn serve(
        &self,
        builder: &Builder<TokioExecutor>,
        graceful: &GracefulShutdown,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
    ) {
        // Heads and small bodies go out at once.
        let _ = stream.set_nodelay(true);
        let reset = Arc::new(AtomicBool::new(false));
        let connections = Arc::clone(&self.open);
        connections.fetch_add(1, Ordering::Relaxed);
        let answering = Arc::new(AtomicBool::new(false));
        let client = Client { address, reset, answering, connections: Arc::clone(&connections) };
        let (streams, times) = (Streams::new(), (self.idle, self.stall));
        let socket = TokioIo::new(Socket::new(stream, &client, times, Arc::clone(&streams)));
        let (router, watched) = (self.router.clone(), Arc::clone(&streams));
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            client.answering.store(true, Ordering::Release);
            request.extensions_mut().insert(client.clone());
            let mut router = router.clone();
            let streams = (request.version() == Version::HTTP_2).then(|| Arc::clone(&watched));
            async move {
                let asked = streams.as_ref().map(Streams::asked);
                let response = tower_service::Service::call(&mut router, request).await?;
                drop(asked);
                Ok::<_, Infallible>(match streams {
                    Some(streams) => response.map(|body| streams.watch(body)),
                    None => response,
                })
            }
        });
        let connection = builder.serve_connection(socket, service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection has failed");
                },
                () = streams.over(times.0, times.1) => tracing::debug!("a client has left a connection alone"),
            }
            connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
}

/// Tells a client that there is no place for it.
async fn turn_away(mut stream: TcpStream, told: OwnedSemaphorePermit) {
    let _ = timeout(Duration::from_secs(1), async {
        stream.write_all(FULL).await?;
        stream.shutdown().await?;
        // What it has sent must be read, or the system resets the connection before that is told.
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    })
    .await;
    drop(told);
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("places", &self.places.available_permits()).finish_non_exhaustive()
    }
}
