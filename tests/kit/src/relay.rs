//! A server between a client and another, which breaks connections at any byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::ledger::Visit;
use crate::server::{Server, face, loopback};

/// What a [`Relay`] does to a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Passage {
    /// Passes everything on, both ways, until either end closes.
    Pass,
    /// Breaks it as soon as it is accepted, before anything is read.
    Refuse(Break),
    /// Passes everything on, until so many bytes of the other server's answers have passed.
    After(u64, Break),
}

/// How a [`Relay`] breaks a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Break {
    /// Closes it in good order.
    Close,
    /// Resets it (RST).
    Reset,
    /// Lets nothing more pass, until the client leaves or the relay is dropped.
    Stall,
    /// Goes on with one byte at a time, and this long between two.
    Drip(Duration),
    /// Sends these bytes, and closes it.
    Say(Vec<u8>),
}

/// A server that passes connections on to another one, and breaks them by its script.
///
/// It knows nothing of what passes: HTTP, a TLS handshake, anything. Its [`Ledger`](crate::Ledger) counts connections.
///
/// ```
/// use ganymede_kit::{Break, Origin, Passage, Relay, Reply};
///
/// let origin = Origin::start();
/// origin.on("/file", Reply::ok("hello"));
/// // The first connection is cut within the head of the reply; all others pass.
/// let relay = Relay::start(origin.address(), [Passage::After(10, Break::Close), Passage::Pass]);
/// let url = relay.url("http", "/file");
/// ```
#[derive(Debug)]
pub struct Relay {
    server: Server,
    mended: Arc<AtomicBool>,
}

impl Relay {
    /// Starts a relay to the server at `to`: the first connection goes by the first passage, and so on; those after
    /// the last go by it as well.
    ///
    /// # Panics
    /// When there is no passage at all.
    #[must_use]
    pub fn start(to: SocketAddr, passages: impl IntoIterator<Item = Passage>) -> Self {
        Self::listen(loopback(), to, passages)
    }

    pub(crate) fn listen(
        listener: TcpListener,
        to: SocketAddr,
        passages: impl IntoIterator<Item = Passage>,
    ) -> Self {
        let passages: Vec<Passage> = passages.into_iter().collect();
        assert!(!passages.is_empty(), "no passage");
        let mended = Arc::new(AtomicBool::new(false));
        let passes = Arc::clone(&mended);
        let serve = move |visit: &Visit| {
            let turn = usize::try_from(visit.number).map_or(0, |number| number - 1);
            let passage = &passages[turn.min(passages.len() - 1)];
            serve(visit, to, if passes.load(Ordering::SeqCst) { &Passage::Pass } else { passage })
        };
        Self { server: Server::listen("kit-relay", listener, serve), mended }
    }

    /// Lets all connections pass that come from now on, whatever its script says.
    pub fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    /// A URL with this scheme and path that leads through it.
    #[must_use]
    pub fn url(&self, scheme: &str, path: &str) -> String {
        self.server.url(scheme, path)
    }
}

face!(Relay);

fn serve(visit: &Visit, to: SocketAddr, passage: &Passage) -> io::Result<()> {
    let client = visit.socket();
    let (after, breaking) = match passage {
        Passage::Pass => (u64::MAX, &Break::Close),
        Passage::Refuse(breaking) => return end(visit, &client, breaking),
        Passage::After(bytes, breaking) => (*bytes, breaking),
    };
    let upstream = Arc::new(TcpStream::connect(to)?);
    upstream.set_nodelay(true)?;
    visit.ledger.track(&upstream);
    thread::scope(|scope| {
        let up = || pass(&client, &upstream, u64::MAX).and_then(|_| upstream.shutdown(Shutdown::Write));
        thread::Builder::new().name("kit-relay".to_owned()).spawn_scoped(scope, up)?;
        let passed = pass(&upstream, &client, after);
        let ended = match (passed, breaking) {
            (Ok(true), Break::Drip(interval)) => drip(visit, &upstream, &client, *interval),
            (Ok(true), breaking) => end(visit, &client, breaking),
            // Either end is gone.
            (passed, _) => passed.and_then(|_| client.shutdown(Shutdown::Write)),
        };
        // Whoever still waits for a byte waits in vain: without a FIN, lest it comes before an RST.
        let _ = client.shutdown(Shutdown::Read);
        let _ = upstream.shutdown(Shutdown::Both);
        ended
    })
}

/// Passes bytes on until either end is closed, or so many have passed and another is there: true then.
fn pass(mut from: &TcpStream, mut to: &TcpStream, mut left: u64) -> io::Result<bool> {
    let mut block = [0; 16 * 1024];
    while left > 0 {
        let most = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        let length = from.read(&mut block[..most])?;
        if length == 0 {
            return Ok(false);
        }
        to.write_all(&block[..length])?;
        left -= length as u64;
    }
    from.peek(&mut [0]).map(|length| length > 0)
}

fn drip(visit: &Visit, mut from: &TcpStream, mut to: &TcpStream, interval: Duration) -> io::Result<()> {
    let mut byte = [0];
    while from.read(&mut byte)? > 0 {
        to.write_all(&byte)?;
        if !visit.ledger.pause(interval, || false) {
            break;
        }
    }
    Ok(())
}

fn end(visit: &Visit, client: &TcpStream, breaking: &Break) -> io::Result<()> {
    let (mut stream, mut block) = (client, [0; 4096]);
    match breaking {
        // The last descriptor is closed when the visit ends: at once, and with unsent bytes dropped, that is an RST.
        Break::Reset => SockRef::from(client).set_linger(Some(Duration::ZERO)),
        Break::Stall => {
            while !visit.ledger.stopped() && stream.read(&mut block)? > 0 {}
            Ok(())
        }
        Break::Say(bytes) => {
            stream.write_all(bytes)?;
            stream.shutdown(Shutdown::Write)?;
            // What the client says meanwhile is read: closing over unread bytes would be an RST.
            while stream.read(&mut block)? > 0 {}
            Ok(())
        }
        Break::Close | Break::Drip(_) => stream.shutdown(Shutdown::Write),
    }
}
