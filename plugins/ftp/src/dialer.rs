//! Finding a server, and connecting to it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ganymede::{Context, ErrorKind, Failure, Timing};
use url::Host;

use crate::settings::Settings;
use crate::wire::{Role, Wire};

/// Connects to one server, as the settings say.
pub(crate) struct Dialer {
    pub(crate) settings: Arc<Settings>,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) wire: Arc<Wire>,
}

impl Dialer {
    /// Makes the connection for commands.
    pub(crate) fn control(&self, context: &Context, timing: &mut Timing) -> Result<TcpStream, Failure> {
        let start = Instant::now();
        let found = self.addresses(context);
        timing.resolving += start.elapsed();
        let mut addresses = found?;
        if let Some(guard) = &self.settings.guard {
            addresses = guard.admit(&self.host.to_string(), addresses)?;
        }
        let start = Instant::now();
        let connected = self.try_all(&addresses);
        timing.connecting += start.elapsed();
        connected
    }

    /// Makes a connection for data, to an address that the server has named.
    pub(crate) fn data(&self, address: SocketAddr) -> io::Result<TcpStream> {
        if let Some(guard) = &self.settings.guard {
            guard.admit(&self.host.to_string(), [address])?;
        }
        let (within, patience) = (self.settings.connect_timeout, self.settings.read_timeout);
        let dialled = self.wire.dial(address, Role::Data, within, patience);
        dialled.map_err(|error| unconnected("the port for data at", address, error).into())
    }

    /// Returns how its host is named to people.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn addresses(&self, context: &Context) -> Result<Vec<SocketAddr>, Failure> {
        let of = |address: IpAddr| Ok(vec![SocketAddr::new(address, self.port)]);
        match &self.host {
            Host::Ipv4(address) => of((*address).into()),
            Host::Ipv6(address) => of((*address).into()),
            Host::Domain(name) => self.resolve(name, context),
        }
    }

    /// Resolves a name on a thread of its own, since the system cannot be told to stop.
    fn resolve(&self, name: &str, context: &Context) -> Result<Vec<SocketAddr>, Failure> {
        let (sender, receiver) = channel();
        let (cancelling, asked, port) = (sender.clone(), name.to_owned(), self.port);
        let _hook = context.on_cancel(move || drop(cancelling.send(Err(Failure::cancelled().into()))));
        let resolving = move || {
            let found = (asked.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            // Whoever asked may not wait any more.
            drop(sender.send(found));
        };
        let failed = |error: io::Error| match Failure::from(error) {
            failure if matches!(failure.kind(), ErrorKind::Cancelled) => failure,
            failure => {
                Failure::new(ErrorKind::Connect, format!("the name {name} cannot be resolved: {failure}"))
            }
        };
        thread::Builder::new().name("ftp-resolver".to_owned()).spawn(resolving).map_err(failed)?;
        match receiver.recv_timeout(self.settings.connect_timeout) {
            Ok(found) => found.map_err(failed),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(Failure::new(ErrorKind::Timeout, format!("the name {name} is not resolved in time")))
            }
        }
    }

    /// Connects to the first of some addresses that can be reached.
    fn try_all(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
        let end = Instant::now() + self.settings.connect_timeout;
        let mut last = Failure::new(ErrorKind::Connect, format!("{} has no address", self.host));
        for (at, address) in addresses.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            // One that is out of reach must not take the time of those after it.
            let within = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            match self.wire.dial(*address, Role::Control, within, self.settings.read_timeout) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = unconnected("", *address, error),
            }
            if matches!(last.kind(), ErrorKind::Cancelled) {
                break;
            }
        }
        Err(last)
    }

    /// Returns how long the connection may still take that was begun then.
    pub(crate) fn left(&self, begun: Instant) -> Duration {
        // A time-out of nothing would be none.
        self.settings.connect_timeout.saturating_sub(begun.elapsed()).max(Duration::from_millis(1))
    }
}

/// Says why a connection could not be made.
fn unconnected(what: &str, address: SocketAddr, error: io::Error) -> Failure {
    let space = if what.is_empty() { "" } else { " " };
    let kind = match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ErrorKind::Timeout,
        _ => ErrorKind::Connect,
    };
    let failure = Failure::from(error);
    match failure.kind() {
        ErrorKind::Cancelled | ErrorKind::Forbidden => failure,
        _ => Failure::new(kind, format!("cannot connect to {what}{space}{address}: {failure}")),
    }
}
