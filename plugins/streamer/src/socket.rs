//! A client's connection: reset rather than ended where a part would be taken for the whole, and cut when nobody reads.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::streams::Streams;

/// Who is at the other end of a connection: an extension of its requests.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) reset: Arc<AtomicBool>,
    /// Over HTTP/1.1, whether not all of a response has been handed over.
    pub(crate) answering: Arc<AtomicBool>,
    /// How many connections there are.
    pub(crate) connections: Arc<AtomicU64>,
}

/// What a connection begins with that is to be of HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2 that is larger than this is about a request (RFC 9113 §6.7).
const PING: usize = 17;

/// A client's connection.
pub(crate) struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
    answering: Arc<AtomicBool>,
    /// How long a write may make no progress.
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Until it is known which HTTP is spoken: how much of the preface has come, and how long the rest may take.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    /// What is sent over it, if HTTP/2 is spoken.
    streams: Arc<Streams>,
    http2: bool,
    /// All was sent, and the other side was told so.
    ended: bool,
    /// The system has all of the responses to what was asked for.
    settled: bool,
}

impl Socket {
    pub(crate) fn new(
        stream: TcpStream,
        client: &Client,
        (idle, patience): (Duration, Duration),
        streams: Arc<Streams>,
    ) -> Self {
        Self {
            stream,
            reset: Arc::clone(&client.reset),
            answering: Arc::clone(&client.answering),
            patience,
            stalled: None,
            greeting: Some((0, Box::pin(sleep(idle)))),
            streams,
            http2: false,
            ended: false,
            settled: false,
        }
    }

    /// Fails a read if what tells which HTTP is spoken does not come in time.
    fn greet(&mut self, wake: &mut Context<'_>, read: &Poll<io::Result<()>>, new: &[u8]) -> io::Result<()> {
        let Some((known, late)) = &mut self.greeting else { return Ok(()) };
        if read.is_pending() {
            let over = late.as_mut().poll(wake).is_ready();
            let failed = || io::Error::new(io::ErrorKind::TimedOut, "the client says nothing");
            return if over { Err(failed()) } else { Ok(()) };
        }
        *known += new.len();
        let undecided = !new.is_empty() && PREFACE.get(*known - new.len()..*known) == Some(new);
        self.http2 = undecided && *known == PREFACE.len();
        if self.http2 {
            self.streams.begin();
        }
        if !undecided || self.http2 {
            self.greeting = None;
        }
        Ok(())
    }

    fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// Fails a write that makes no progress for too long.
    fn watch(&mut self, wake: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.settled = false;
        if let Poll::Ready(result) = &written {
            if self.http2 && matches!(result, Ok(length) if *length > PING) {
                self.streams.sent();
            }
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        if stalled.as_mut().poll(wake).is_pending() {
            return Poll::Pending;
        }
        stalled.as_mut().reset(Instant::now() + patience);
        // What is left in the system's buffer is of no use to who does not read it.
        self.reset.store(true, Ordering::Release);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        wake: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(wake, buffer);
        self.greet(wake, &read, &buffer.filled()[before..])?;
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, wake: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(wake, bytes);
        self.watch(wake, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        wake: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(wake, bytes);
        self.watch(wake, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, wake: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It is flushed when nothing is left to be written.
        self.settled = !self.http2 && !self.answering.load(Ordering::Acquire);
        Pin::new(&mut self.stream).poll_flush(wake)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, wake: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_reset() {
            // A farewell would be taken for the end of the content.
            return Poll::Ready(Ok(()));
        }
        let shut = Pin::new(&mut self.stream).poll_shutdown(wake);
        self.ended |= matches!(shut, Poll::Ready(Ok(())));
        shut
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // What was given up in the middle must not look like an end; but who has not read the end of a whole yet is not
        // to lose it when no other request comes.
        if !self.ended && (!self.settled || self.is_reset()) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("stream", &self.stream).finish_non_exhaustive()
    }
}
