//! The socket of a connection, as the HTTP library sees it, and as who waits for it does.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;

/// How many bytes are received at a time, at most.
const ROOM: usize = 64 << 10;

/// How often others may run before who waits for an answer goes to sleep.
#[cfg(unix)]
const GLANCES: usize = 4;

/// A socket that any thread can cut while another one waits for it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    cut: AtomicBool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, cut: AtomicBool::new(false) }
    }

    /// Ends all waiting for it, for good.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        crate::cancel::cut(&self.stream);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Looks for bytes while others run, a few times.
    #[cfg(unix)]
    fn glance(&self, room: &mut [u8]) -> Option<usize> {
        use rustix::net::{RecvFlags, recv};
        (0..GLANCES).find_map(|_| {
            std::thread::yield_now();
            // What is wrong is found again by who waits.
            recv(&self.stream, &mut *room, RecvFlags::DONTWAIT).map(|(length, _)| length).ok()
        })
    }

    /// Leaves it to who waits.
    #[cfg(not(unix))]
    fn glance(&self, _: &mut [u8]) -> Option<usize> {
        None
    }

    /// Tells whether nothing has come that nobody has asked for, not even the end.
    #[cfg(unix)]
    pub(super) fn is_quiet(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let mut byte = [0];
        let come = recv(&self.stream, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        !self.is_cut() && come.is_err_and(|error| error == rustix::io::Errno::AGAIN)
    }

    /// Tells whether nothing has come that nobody has asked for, not even the end.
    #[cfg(not(unix))]
    pub(super) fn is_quiet(&self) -> bool {
        let come = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut [0]));
        let blocks = self.stream.set_nonblocking(false).is_ok();
        !self.is_cut() && blocks && come.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// What was received and is not yet read by the library.
#[derive(Debug)]
pub(super) struct Inbox {
    room: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { room: vec![0; ROOM].into_boxed_slice(), start: 0, end: 0, ended: false }
    }

    /// Returns how many bytes there are.
    pub(super) fn length(&self) -> usize {
        self.end - self.start
    }

    /// Waits for more, when all was read; nothing more is the end.
    ///
    /// What is there `soon` is waited for without going to sleep, which costs more than to let others run for once.
    pub(super) fn receive(&mut self, socket: &Socket, soon: bool) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        self.end = match soon.then(|| socket.glance(&mut self.room)).flatten() {
            Some(length) => length,
            None => (&socket.stream).read(&mut self.room)?,
        };
        self.ended = self.end == 0;
        Ok(())
    }
}

/// The library's end: it reads what is there already, and writes at once.
pub(super) struct Wire {
    pub(super) socket: Arc<Socket>,
    pub(super) inbox: Arc<Mutex<Inbox>>,
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inbox = self.inbox.lock();
        let length = inbox.length().min(buffer.remaining());
        if length == 0 && !inbox.ended {
            return Poll::Pending;
        }
        let start = inbox.start;
        buffer.put_slice(inbox.room.get(start..start + length).unwrap_or_default());
        inbox.start += length;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready((&self.socket.stream).write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A server that has closed its side already is no error.
        let _ = self.socket.stream.shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
