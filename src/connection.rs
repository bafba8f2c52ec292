//! Connections for protocols with sockets of their own.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread::Builder;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::Host;

use crate::cancel::{Hook, cut};
use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::guard::Guard;
use crate::limits::Permit;
use crate::request::Request;

/// Makes [`Connection`]s: what every protocol over TCP has to do before its first byte.
///
/// It waits for the [permit](Context::permit) of the host, resolves its name, asks the [guard](Guard), and tries all
/// addresses; and it stops with the context, at once.
///
/// ```
/// use std::time::Duration;
/// use ganymede::{Connector, Guard};
///
/// let connector = Connector::new().read_timeout(Duration::from_secs(5)).guard(Guard::public_only());
/// # let _ = connector;
/// ```
#[derive(Debug, Clone)]
pub struct Connector {
    connect_timeout: Duration,
    read_timeout: Duration,
    guard: Option<Guard>,
}

impl Connector {
    /// Makes a connector with the time-outs that HTTP has, and no guard.
    #[must_use]
    pub fn new() -> Self {
        let (connect_timeout, read_timeout) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { connect_timeout, read_timeout, guard: None }
    }

    /// Sets how long name resolution and connection may take together; 10 seconds unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a single read or write may take; 30 seconds unless set.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Connects only to where a guard lets it.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Connects to the host of a request, at this port unless its URL names another.
    ///
    /// # Errors
    /// Those of [`Context::permit`]; [`ErrorKind::Connect`] and [`ErrorKind::Timeout`] if nobody is there;
    /// [`ErrorKind::Forbidden`] if the guard refuses; [`ErrorKind::Unsupported`] if the URL names no host.
    pub fn connect(&self, request: &Request, port: u16, context: &Context) -> Result<Connection, Failure> {
        context.check()?;
        request.check_deadline()?;
        let mut permit = context.permit(request)?;
        let url = request.display_url();
        let host = url.authority().to_owned();
        let socket = self.reach(request, port, context).map_err(|failure| match failure.kind() {
            ErrorKind::Cancelled => failure,
            _ => permit.failed(failure),
        })?;
        let socket = Arc::new(socket);
        let other = Arc::clone(&socket);
        let hook = context.on_cancel(move || cut(&other));
        let within = self.read_timeout;
        let socket = Socket { socket, permit, host, within, context: context.clone(), _hook: hook };
        Ok(Connection(BufReader::with_capacity(64 << 10, socket)))
    }

    fn reach(&self, request: &Request, port: u16, context: &Context) -> Result<TcpStream, Failure> {
        let (url, guard, within) = (request.display_url(), self.guard.clone(), self.connect_timeout);
        let name = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(Failure::new(ErrorKind::Unsupported, format!("{url} names no host"))),
        };
        if let Some(guard) = &guard {
            guard.check(&url)?;
        }
        let (host, port) = (url.authority().to_owned(), url.port().unwrap_or(port));
        let connecting = async move {
            let late = || {
                Failure::new(ErrorKind::Timeout, format!("no connection to {host} within the time allowed"))
            };
            let failed = |error: io::Error| unconnected(&host, &error);
            let connecting = async {
                let found = lookup_host((name.as_str(), port)).await.map_err(failed)?;
                let addresses = match &guard {
                    Some(guard) => guard.admit(&name, found)?,
                    None => found.collect(),
                };
                let mut last = Failure::new(ErrorKind::Connect, format!("{host} has no address"));
                // One that is out of reach must not take the time of the others.
                let each = within / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
                for address in addresses {
                    match timeout(each, tokio::net::TcpStream::connect(address)).await {
                        Ok(Ok(socket)) => return socket.into_std().map_err(failed),
                        Ok(Err(error)) => last = failed(error),
                        Err(_) => last = late(),
                    }
                }
                Err(last)
            };
            timeout(within, connecting).await.unwrap_or_else(|_| Err(late()))
        };
        let socket = interruptible(connecting, context)??;
        let ready = socket.set_nonblocking(false).and_then(|()| socket.set_nodelay(true));
        let bounded = ready.and_then(|()| {
            socket.set_read_timeout(Some(self.read_timeout))?;
            socket.set_write_timeout(Some(self.read_timeout))
        });
        bounded.map_err(|error| unconnected(url.authority(), &error))?;
        Ok(socket)
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits for a future, on a thread that may, until the context is cancelled.
fn interruptible<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
    context: &Context,
) -> Result<T, Failure> {
    let failed = |error: io::Error| {
        Failure::new(ErrorKind::Other, format!("cannot start a thread to connect: {error}"))
    };
    let (raise, mut raised) = oneshot::channel::<()>();
    let _hook = context.on_cancel(move || drop(raise));
    let runtime = runtime::Builder::new_current_thread().enable_all().thread_name("ganymede-dns").build();
    let runtime = runtime.map_err(failed)?;
    // The caller's own thread may be one on which nothing may be waited for in this way.
    let thread = Builder::new().name("ganymede-connect".to_owned()).spawn(move || {
        let ended = runtime.block_on(async {
            let mut future = pin!(future);
            poll_fn(|wake| match Pin::new(&mut raised).poll(wake) {
                Poll::Ready(_) => Poll::Ready(Err(Failure::cancelled())),
                Poll::Pending => future.as_mut().poll(wake).map(Ok),
            })
            .await
        });
        // A name resolution that is under way cannot be interrupted; its thread ends when the system answers.
        runtime.shutdown_background();
        ended
    });
    thread.map_err(failed)?.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn unconnected(host: &str, error: &io::Error) -> Failure {
    Failure::new(ErrorKind::Connect, format!("cannot connect to {host}: {error}"))
}

/// A TCP connection to the host of a request: counted among those of the host, and cut when its context is cancelled.
///
/// What goes wrong with it is a [`Failure`] inside an [`io::Error`], which `?` takes out again, and is told to the
/// [permit](Permit): so all downloads treat the host accordingly. As the body of a reply it ends where the other side
/// closes it; where the length is told, [`body`](Self::body) knows better.
///
/// ```
/// use std::io::{BufRead, Write};
/// use ganymede::{Connector, Context, ErrorKind, Failure, Head, Protocol, Reply, Request};
///
/// /// A server that is told a name in a line, and answers with a length in a line and so many bytes.
/// struct Counted(Connector);
///
/// impl Protocol for Counted {
///     fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
///         let mut connection = self.0.connect(request, 7000, context)?;
///         connection.write_all(format!("{}\n", request.url().path()).as_bytes())?;
///         let mut line = String::new();
///         connection.read_line(&mut line)?;
///         let length = line.trim_end().parse().map_err(|_| ErrorKind::Malformed)?;
///         connection.served();
///         Ok(Reply::new(Head::new(request.url()).with_length(Some(length)), connection.body(length)))
///     }
/// }
/// # use ganymede::{BufferWriter, Download, Transfer};
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("counted://{}/hello", listener.local_addr()?);
/// # let server = std::thread::spawn(move || {
/// #     let mut socket = listener.accept()?.0;
/// #     std::io::BufReader::new(&socket).read_line(&mut String::new())?;
/// #     socket.write_all(b"5\nhello")
/// # });
/// # let buffer = BufferWriter::new(10);
/// # let download = Transfer::new(Request::get(&url)?, Counted(Connector::new()));
/// # download.writer(buffer.clone()).run(&Context::new())?;
/// # assert_eq!(buffer.take().unwrap(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Connection(BufReader<Socket>);

struct Socket {
    socket: Arc<TcpStream>,
    permit: Permit,
    host: String,
    within: Duration,
    context: Context,
    _hook: Hook,
}

impl Connection {
    /// Notes that the host has answered well.
    pub fn served(&mut self) {
        self.0.get_mut().permit.served();
    }

    /// Notes what the host has answered instead of a content, and returns the failure to return.
    #[must_use = "the failure may have become another one"]
    pub fn failed(&mut self, failure: Failure) -> Failure {
        self.0.get_mut().permit.failed(failure)
    }

    /// Makes it the body of a reply: the next `length` bytes, of which no one may be lacking.
    pub fn body(self, length: u64) -> impl BufRead + Send + 'static {
        Body { connection: self, length, left: length }
    }

    /// Returns the socket, for its settings.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.0.get_ref().socket
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for Connection {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.0.consume(length);
    }
}

impl Write for Connection {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let socket = self.0.get_mut();
        let written = (&*socket.socket).write(block);
        socket.told(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (&*self.socket).read(buffer) {
            // It was cut by the cancelling.
            Ok(0) if self.context.is_cancelled() => Err(Failure::cancelled().into()),
            read => self.told(read),
        }
    }
}

impl Socket {
    /// Turns an error of the system into a failure, and tells it to the permit.
    fn told(&mut self, done: io::Result<usize>) -> io::Result<usize> {
        let error = match done {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => error,
            done => return done,
        };
        if self.context.is_cancelled() {
            return Err(Failure::cancelled().into());
        }
        let failure = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let (host, seconds) = (&self.host, self.within.as_secs_f64());
                Failure::new(ErrorKind::Timeout, format!("no byte came from {host} within {seconds} s"))
            }
            _ => Failure::new(ErrorKind::Incomplete, format!("{} broke off: {error}", self.host)),
        };
        Err(self.permit.failed(failure).into())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("host", &self.0.get_ref().host).finish_non_exhaustive()
    }
}

/// So many bytes of a connection.
struct Body {
    connection: Connection,
    length: u64,
    left: u64,
}

impl Body {
    fn available(&self, there: usize) -> usize {
        usize::try_from(self.left).map_or(there, |left| there.min(left))
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        if self.connection.fill_buf()?.is_empty() {
            let (there, length) = (self.length - self.left, self.length);
            let message = format!("the connection was closed after {there} of {length} bytes");
            return Err(self.connection.failed(Failure::new(ErrorKind::Incomplete, message)).into());
        }
        let there = self.available(self.connection.0.buffer().len());
        Ok(&self.connection.0.buffer()[..there])
    }

    fn consume(&mut self, length: usize) {
        let length = self.available(length);
        self.left -= length as u64;
        self.connection.consume(length);
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}
