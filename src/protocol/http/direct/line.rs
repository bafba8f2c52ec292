//! One connection, which whoever has it drives and waits for on its own thread.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use parking_lot::Mutex;
use reqwest::Body;
use url::Url;

use super::super::driver::after;
use super::super::failure::{broken, no_byte};
use super::super::traffic::Share;
use super::wire::{Inbox, Socket, Wire};
use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};

/// A connection of the HTTP library, which has no thread and no runtime of its own.
///
/// The library is asked first; when it can do nothing, more is received, and that is the only wait. So what a small
/// file takes is a system call to send and one or two to receive, and no switch to another thread.
pub(super) struct Line {
    sender: SendRequest<Body>,
    connection: Connection<Wire, Body>,
    socket: Arc<Socket>,
    inbox: Arc<Mutex<Inbox>>,
    share: Share,
    /// Whether the library has ended the connection.
    ended: bool,
    /// Whether anything came in answer to the last request.
    heard: bool,
    /// What the socket waits at most.
    timeout: Option<Duration>,
}

/// How long is waited, and for what.
pub(super) struct Patience<'a> {
    pub(super) part: &'static str,
    pub(super) url: &'a Url,
    pub(super) read_timeout: Duration,
    /// When all of it must be there, if not only the next byte.
    pub(super) limit: Option<Instant>,
    /// Whether it may be longer while siblings keep the link busy.
    pub(super) siblings: bool,
}

/// How often in a row the library may do something without needing more bytes and without an end of it.
const MOST_TURNS: u32 = 64;

impl Line {
    pub(super) fn new(stream: TcpStream, builder: &Builder, share: Share) -> Result<Box<Self>, Failure> {
        let socket = Arc::new(Socket::new(stream));
        let inbox = Arc::new(Mutex::new(Inbox::new()));
        let wire = Wire { socket: Arc::clone(&socket), inbox: Arc::clone(&inbox) };
        let mut handshake = Box::pin(builder.handshake(wire));
        // It only puts things together.
        let made = match handshake.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(made)) => Some(made),
            _ => None,
        };
        let (sender, connection) = made.ok_or_else(|| Failure::from(ErrorKind::Other))?;
        let line =
            Self { sender, connection, socket, inbox, share, ended: false, heard: false, timeout: None };
        // It is handed on a lot, and large.
        Ok(Box::new(line))
    }

    /// Returns what cuts it from another thread.
    pub(super) fn socket(&self) -> Arc<Socket> {
        Arc::clone(&self.socket)
    }

    /// Tells whether anything came in answer to the last request.
    pub(super) fn has_heard(&self) -> bool {
        self.heard
    }

    /// Gets ready to wait for the next request, unless the connection has ended.
    pub(super) fn rest(mut self: Box<Self>) -> Option<Box<Self>> {
        self.turn(&mut Context::from_waker(Waker::noop()));
        self.share.rest();
        let usable = !self.ended && self.sender.is_ready() && self.inbox.lock().length() == 0;
        (usable && !self.socket.is_cut()).then_some(self)
    }

    /// Tells whether the server has let it rest, too.
    pub(super) fn is_quiet(&self) -> bool {
        self.socket.is_quiet()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) fn send(
        &mut self,
        request: Request<Body>,
        mut patience: Patience<'_>,
    ) -> Result<Response<Incoming>, Failure> {
        self.heard = false;
        let mut answer = Box::pin(self.sender.send_request(request));
        let sent = self.drive(&mut patience, |context| answer.as_mut().poll(context), || {})?;
        sent.map_err(|error| self.failed(&error, patience.url))
    }

    /// Waits for the next block of a body; `None` is the end of a complete one.
    ///
    /// `idle` is called before each wait.
    pub(super) fn block(
        &mut self,
        body: &mut Incoming,
        mut patience: Patience<'_>,
        idle: impl FnMut(),
    ) -> Result<Option<Bytes>, Failure> {
        let next = |context: &mut Context<'_>| loop {
            // Trailers say nothing that matters here.
            match ready!(Pin::new(&mut *body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(block) if !block.is_empty() => return Poll::Ready(Ok(Some(block))),
                    _ => {}
                },
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(None)),
            }
        };
        let block = self.drive(&mut patience, next, idle)?;
        block.map_err(|error| self.failed(&error, patience.url))
    }

    fn failed(&self, error: &hyper::Error, url: &Url) -> Failure {
        if self.socket.is_cut() { Failure::cancelled() } else { broken(error, url) }
    }

    /// Lets the library do what it can until `poll` has what it waits for, and receives when it can do nothing.
    fn drive<T>(
        &mut self,
        patience: &mut Patience<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
        mut idle: impl FnMut(),
    ) -> Result<T, Failure> {
        let mut context = Context::from_waker(Waker::noop());
        let (mut pauses, mut turns) = (1, 0);
        loop {
            if let Poll::Ready(result) = poll(&mut context) {
                return Ok(result);
            }
            self.turn(&mut context);
            if let Poll::Ready(result) = poll(&mut context) {
                return Ok(result);
            }
            // It yields now and then, also with something to do.
            turns += 1;
            if self.ended || turns > MOST_TURNS {
                let host = redacted(patience.url);
                let message = format!("{} broke off without an answer", host.authority());
                return Err(Failure::new(ErrorKind::Incomplete, message));
            }
            if self.inbox.lock().length() == 0 {
                idle();
                self.receive(patience, &mut pauses)?;
                turns = 0;
            }
        }
    }

    /// Lets the library read what is there, and write what it has.
    fn turn(&mut self, context: &mut Context<'_>) {
        // What went wrong is told to who waits for an answer or a body.
        self.ended = self.ended || Pin::new(&mut self.connection).poll(context).is_ready();
    }

    /// Waits for the next bytes.
    fn receive(&mut self, patience: &mut Patience<'_>, pauses: &mut u32) -> Result<(), Failure> {
        loop {
            let wait = match patience.limit {
                Some(limit) if self.heard || *pauses > 1 => limit.saturating_duration_since(Instant::now()),
                _ => patience.read_timeout,
            };
            self.wait_at_most(wait).map_err(|error| broken(&error, patience.url))?;
            let received = self.inbox.lock().receive(&self.socket, !self.heard);
            if self.socket.is_cut() {
                return Err(Failure::cancelled());
            }
            match received {
                Ok(()) => {
                    self.heard |= self.inbox.lock().length() > 0;
                    self.share.received(Instant::now());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    let now = Instant::now();
                    let patient = self.share.is_patient(*pauses, patience.read_timeout, now);
                    if !patience.siblings || !patient {
                        return Err(no_byte(patience.part, patience.url, patience.read_timeout, *pauses));
                    }
                    *pauses += 1;
                    patience.limit = patience.limit.map(|_| after(now, patience.read_timeout));
                }
                Err(error) => return Err(broken(&error, patience.url)),
            }
        }
    }

    fn wait_at_most(&mut self, time: Duration) -> io::Result<()> {
        // None at all would be for ever.
        let time = time.max(Duration::from_millis(1));
        if self.timeout != Some(time) {
            self.socket.stream.set_read_timeout(Some(time))?;
            self.timeout = Some(time);
        }
        Ok(())
    }
}
