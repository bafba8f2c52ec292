//! HTTP/2 (RFC 9113): requests that share a connection, each answered on a stream of its own.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use rustls::ServerConfig;
use rustls::server::{Accepted, Acceptor};
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use crate::answer::Answer;
use crate::delivery::BLOCK;
use crate::frames::Frames;
use crate::gate::Gate;
use crate::ledger::{Ledger, Visit};
use crate::origin::Routes;
use crate::received::Received;
use crate::reply::{Ending, Framing, Reply};

/// What ALPN calls it (RFC 9113 section 3.2).
pub(crate) const H2: &[u8] = b"h2";

/// Reads the beginning of a handshake; `None` when the client leaves before its end.
pub(crate) fn accept(visit: &Visit) -> io::Result<Option<Accepted>> {
    let socket = visit.socket();
    let mut acceptor = Acceptor::default();
    loop {
        if acceptor.read_tls(&mut socket.as_ref())? == 0 {
            return Ok(None);
        }
        if let Some(accepted) = acceptor.accept().map_err(|(error, _)| io::Error::other(error))? {
            return Ok(Some(accepted));
        }
    }
}

/// Tells whether the client would speak HTTP/2.
pub(crate) fn offers(accepted: &Accepted) -> bool {
    accepted.client_hello().alpn().is_some_and(|mut names| names.any(|name| name == H2))
}

/// Serves a connection until either end closes it, at most so many requests at once.
pub(crate) fn serve(
    visit: &Visit,
    accepted: Accepted,
    config: Arc<ServerConfig>,
    routes: &Arc<Routes>,
    at_once: u32,
) -> io::Result<()> {
    let socket = visit.socket().try_clone()?;
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpStream::from_std(socket)?;
        let tls = StartHandshake::from_parts(accepted, socket).into_stream(config).await?;
        let client_certificate = tls.get_ref().1.peer_certificates().is_some();
        let frames = Frames::new(tls);
        let mut builder = Builder::new();
        builder.max_concurrent_streams(at_once);
        let handshake = builder.handshake::<_, Bytes>(frames.clone());
        let mut connection = handshake.await.map_err(io::Error::other)?;
        while let Some(accepted) = poll_fn(|context| connection.poll_accept(context)).await {
            let (request, responding) = accepted.map_err(io::Error::other)?;
            let received = Received { client_certificate, ..received(&request, visit.number) };
            let place = visit.ledger.record(received.clone());
            let exchange = Exchange {
                routes: Arc::clone(routes),
                ledger: Arc::clone(&visit.ledger),
                frames: frames.clone(),
                socket: visit.socket(),
                received,
                place,
                responding,
                sending: None,
            };
            // How a stream ended is the client's to judge.
            tokio::spawn(async move { drop(exchange.carry().await) });
        }
        Ok(())
    })
}

fn received(request: &Request<h2::RecvStream>, connection: u64) -> Received {
    let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Received {
        method: request.method().to_string(),
        target,
        version: "HTTP/2".to_owned(),
        headers: request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: Vec::new(),
        connection,
        client_certificate: false,
        sent: 0,
    }
}

/// A request while it is answered.
struct Exchange {
    routes: Arc<Routes>,
    ledger: Arc<Ledger>,
    frames: Frames<TlsStream<TcpStream>>,
    socket: Arc<std::net::TcpStream>,
    received: Received,
    place: usize,
    responding: SendResponse<Bytes>,
    sending: Option<SendStream<Bytes>>,
}

impl Exchange {
    async fn carry(mut self) -> io::Result<()> {
        let ledger = Arc::clone(&self.ledger);
        let mut answering = Some(ledger.answering());
        let reply = self.routes.reply(&self.received);
        let answer = Answer::new(&reply, &self.received);
        self.while_wanted(tokio::time::sleep(reply.pace.delay)).await?;
        for (_, gate) in reply.pace.gates.iter().filter(|(position, _)| position.is_none()) {
            self.pass(gate).await?;
        }
        match reply.ending {
            Ending::Mute => return self.while_wanted(std::future::pending()).await,
            Ending::Abort(None, code) => {
                self.responding.send_reset(Reason::from(code));
                return Ok(());
            }
            Ending::GoAway(None, farewell) => self.go_away(farewell).await?,
            _ => {}
        }
        let ended = !answer.has_body;
        if ended {
            answering = None;
        }
        let head = response(&answer)?;
        self.sending = Some(self.responding.send_response(head, ended).map_err(io::Error::other)?);
        if !ended {
            let length = answer.span.end - answer.span.start;
            let end = reply.ending.limit().min(length);
            self.body(&reply, answer.span.start, 0..end).await?;
            match reply.ending {
                Ending::Cut(_) | Ending::Reset(_) => {
                    self.frames.wait_sent(self.id(), end).await?;
                    return self.socket.shutdown(Shutdown::Both);
                }
                Ending::Stall(_) => return self.while_wanted(std::future::pending()).await,
                Ending::Abort(Some(_), code) => {
                    self.frames.wait_sent(self.id(), end).await?;
                    self.stream()?.send_reset(Reason::from(code));
                    return Ok(());
                }
                Ending::GoAway(Some(_), farewell) => {
                    self.frames.wait_sent(self.id(), end).await?;
                    self.go_away(farewell).await?;
                    self.body(&reply, answer.span.start, end..length).await?;
                }
                _ => {}
            }
            drop(answering);
            self.finish(&reply)?;
        }
        if reply.close && matches!(reply.framing, Framing::Length | Framing::Chunked) {
            self.frames.go_away(self.id(), 0).await?;
        }
        Ok(())
    }

    /// Sends a part of the body, which begins at that position of the whole.
    async fn body(&mut self, reply: &Reply, start: u64, part: Range<u64>) -> io::Result<()> {
        let block = reply.pace.drip.map_or(BLOCK, |(block, _)| block);
        let mut position = part.start;
        while position < part.end {
            self.gates(reply, position).await?;
            let gates = reply.pace.gates.iter().filter_map(|(at, _)| *at).filter(|at| *at > position);
            let next = [(position / block + 1) * block, position + BLOCK, part.end];
            let next = next.into_iter().chain(gates).min().unwrap_or(part.end);
            let mut bytes = Vec::new();
            reply.body.write(start + position..start + next, &mut bytes)?;
            self.write(bytes.into(), position).await?;
            position = next;
            if let Some((_, interval)) = reply.pace.drip
                && position.is_multiple_of(block)
                && position < part.end
            {
                self.while_wanted(tokio::time::sleep(interval)).await?;
            }
        }
        self.gates(reply, part.end).await
    }

    /// Sends a block as the client makes room for it.
    async fn write(&mut self, mut bytes: Bytes, before: u64) -> io::Result<()> {
        let mut sent = before;
        while !bytes.is_empty() {
            let stream = self.stream()?;
            stream.reserve_capacity(bytes.len());
            let room = poll_fn(|context| match stream.poll_reset(context) {
                Poll::Ready(reset) => Poll::Ready(Err(reset)),
                Poll::Pending => stream.poll_capacity(context).map(Ok),
            });
            let room = match room.await {
                Ok(Some(Ok(room))) => room.min(bytes.len()),
                Ok(_) => return Err(gone()),
                Err(reset) => return Err(self.left(reset.is_ok())),
            };
            stream.send_data(bytes.split_to(room), false).map_err(io::Error::other)?;
            sent += room as u64;
            self.ledger.record_sent(self.place, self.received.path(), sent);
        }
        Ok(())
    }

    fn finish(&mut self, reply: &Reply) -> io::Result<()> {
        let stream = self.stream()?;
        let ended = if reply.trailers.is_empty() {
            stream.send_data(Bytes::new(), true)
        } else {
            stream.send_trailers(fields(&reply.trailers)?)
        };
        ended.map_err(io::Error::other)
    }

    /// Says that the connection ends, and ends it if that is why.
    async fn go_away(&mut self, farewell: Farewell) -> io::Result<()> {
        let id = self.id();
        let last = if farewell.processed { id } else { id.saturating_sub(2) };
        self.frames.go_away(last, farewell.code).await?;
        if farewell.code != 0 {
            self.socket.shutdown(Shutdown::Write)?;
        }
        if farewell.code != 0 || !farewell.processed {
            return self.while_wanted(std::future::pending()).await;
        }
        Ok(())
    }

    async fn gates(&mut self, reply: &Reply, position: u64) -> io::Result<()> {
        for (_, gate) in reply.pace.gates.iter().filter(|(at, _)| *at == Some(position)) {
            self.pass(gate).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, gate: &Gate) -> io::Result<()> {
        let (gate, ledger) = (gate.clone(), Arc::clone(&self.ledger));
        let abandoned = Abandoned::default();
        let seen = Arc::clone(&abandoned.0);
        let passing = tokio::task::spawn_blocking(move || {
            gate.pass(|| ledger.stopped() || seen.load(Ordering::SeqCst))
        });
        match self.while_wanted(passing).await? {
            Ok(true) => Ok(()),
            _ => Err(gone()),
        }
    }

    /// Does something for as long as the client wants the answer.
    async fn while_wanted<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        let mut work = pin!(work);
        let done = poll_fn(|context| match self.poll_left(context) {
            Poll::Ready(reset) => Poll::Ready(Err(reset)),
            Poll::Pending => work.as_mut().poll(context).map(Ok),
        });
        let done = done.await;
        done.map_err(|reset| self.left(reset))
    }

    /// Is ready when the client wants no more: whether it said so.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let reset = match &mut self.sending {
            Some(stream) => stream.poll_reset(context),
            None => self.responding.poll_reset(context),
        };
        reset.map(|reset| reset.is_ok())
    }

    fn left(&self, reset: bool) -> io::Error {
        if reset {
            self.ledger.record_reset();
        }
        gone()
    }

    fn stream(&mut self) -> io::Result<&mut SendStream<Bytes>> {
        self.sending.as_mut().ok_or_else(gone)
    }

    fn id(&self) -> u32 {
        self.responding.stream_id().as_u32()
    }
}

/// How a connection of HTTP/2 is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Farewell {
    /// Whether the request is said to have been looked at.
    pub(crate) processed: bool,
    pub(crate) code: u32,
}

/// Tells a thread that waits for this that it waits in vain.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn gone() -> io::Error {
    ErrorKind::ConnectionAborted.into()
}

/// Translates a head of HTTP/1.1, of which the fields about the connection have no place here (RFC 9113 section 8.2.2).
fn response(answer: &Answer) -> io::Result<Response<()>> {
    let head = String::from_utf8_lossy(&answer.head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse::<u16>().ok());
    let fields_of = lines.filter_map(|line| line.split_once(": "));
    let kept = fields_of.filter(|(name, _)| {
        !["connection", "transfer-encoding"].iter().any(|other| name.eq_ignore_ascii_case(other))
    });
    let kept: Vec<_> = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut response =
        Response::builder().status(status.unwrap_or(500)).body(()).map_err(io::Error::other)?;
    *response.headers_mut() = fields(&kept)?;
    Ok(response)
}

fn fields(fields: &[(String, String)]) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.to_ascii_lowercase().parse().map_err(io::Error::other)?;
        map.append(name, value.parse().map_err(io::Error::other)?);
    }
    Ok(map)
}
