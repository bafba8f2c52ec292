//! The frames of a connection of HTTP/2 on their way out, and others between them.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// A connection whose writer is a library that sends no frame but the right ones; clones are the same connection.
#[derive(Debug)]
pub(crate) struct Frames<S> {
    state: Arc<Mutex<State<S>>>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State<S> {
    stream: S,
    /// What was written of the head of the frame that is being written.
    head: Vec<u8>,
    /// How many bytes of its payload are still to come.
    left: usize,
    /// What is written before the next frame.
    between: Vec<u8>,
    /// How many bytes of DATA each stream was sent.
    sent: HashMap<u32, u64>,
}

/// The length of the head of a frame (RFC 9113 section 4.1).
const HEAD: usize = 9;

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(crate) fn new(stream: S) -> Self {
        let (head, between, sent) = (Vec::with_capacity(HEAD), Vec::new(), HashMap::new());
        let state = State { stream, head, left: 0, between, sent };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// Sends GOAWAY (RFC 9113 section 6.8), which names the last stream that is, or may be, answered.
    pub(crate) async fn go_away(&self, last: u32, code: u32) -> io::Result<()> {
        let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
        frame.extend(last.to_be_bytes());
        frame.extend(code.to_be_bytes());
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.is_between() && state.between.is_empty() {
                    state.between = frame;
                    break;
                }
            }
            changed.await;
        }
        self.flush().await
    }

    /// Waits until so many bytes of DATA were sent to a stream.
    pub(crate) async fn wait_sent(&self, stream: u32, bytes: u64) -> io::Result<()> {
        loop {
            let changed = self.changed.notified();
            if self.state().sent.get(&stream).copied().unwrap_or(0) >= bytes {
                return self.flush().await;
            }
            changed.await;
        }
    }

    async fn flush(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.state().poll_flush(context)).await
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Frames<S> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), changed: Arc::clone(&self.changed) }
    }
}

impl<S> State<S> {
    fn is_between(&self) -> bool {
        self.head.is_empty() && self.left == 0
    }

    /// Follows what was written from frame to frame.
    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let length = self.left.min(bytes.len());
                self.left -= length;
                bytes = &bytes[length..];
            } else {
                let length = (HEAD - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..length]);
                bytes = &bytes[length..];
                if self.head.len() < HEAD {
                    return;
                }
                let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
                self.left = number(&self.head[..3]) as usize;
                if self.head[3] == 0 {
                    *self.sent.entry(number(&self.head[5..])).or_default() += self.left as u64;
                }
            }
            if self.left == 0 {
                self.head.clear();
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> State<S> {
    fn poll_between(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_between() && !self.between.is_empty() {
            let length = ready!(Pin::new(&mut self.stream).poll_write(context, &self.between))?;
            self.between.drain(..length);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_between(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut state.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        ready!(state.poll_between(context))?;
        let length = ready!(Pin::new(&mut state.stream).poll_write(context, bytes))?;
        state.follow(&bytes[..length]);
        drop(state);
        self.changed.notify_waiters();
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().stream).poll_shutdown(context)
    }
}
