//! The sockets of a session, and how they are cut.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
#[cfg(unix)]
use std::time::Instant;

use ganymede::{Context, ErrorKind, Failure, Hook};
use parking_lot::Mutex;
#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(unix)]
use rustix::io::Errno;
use socket2::{Domain, Socket, TcpKeepalive, Type};

/// How often a connection that says nothing is asked whether it is still there: while a long body arrives, none of
/// the commands' has anything to say, and what is between forgets it.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The sockets of a session: those of its commands and of its data, which are cut together.
///
/// A session serves one request after the other, and a cancelled one must not cut that of another.
#[derive(Default)]
pub(crate) struct Wire(Mutex<State>);

#[derive(Default)]
struct State {
    /// Told apart are the requests that the session has served.
    turn: u64,
    cut: bool,
    cancelled: bool,
    control: Option<Socket>,
    data: Option<Socket>,
}

/// Which of its sockets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Control,
    Data,
}

impl Wire {
    /// Begins a request: the sockets are cut when its context is cancelled, until it [ends](Self::end).
    pub(crate) fn begin(self: &Arc<Self>, context: &Context) -> Hook {
        let turn = {
            let mut state = self.0.lock();
            state.turn += 1;
            state.turn
        };
        let wire = Arc::downgrade(self);
        context.on_cancel(move || {
            if let Some(wire) = wire.upgrade() {
                wire.cancel(turn);
            }
        })
    }

    /// Ends the request, and tells whether the sockets are as they should be.
    pub(crate) fn end(&self) -> bool {
        let mut state = self.0.lock();
        state.turn += 1;
        state.data = None;
        !state.cut
    }

    fn cancel(&self, turn: u64) {
        let mut state = self.0.lock();
        if state.turn == turn {
            state.cancelled = true;
            state.cut();
        }
    }

    /// Cuts everything, so that nothing waits for it any more.
    pub(crate) fn cut(&self) {
        self.0.lock().cut();
    }

    /// Tells whether it was cut by the cancelling of its request.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.lock().cancelled
    }

    /// Lets go of the data connection, which has ended.
    pub(crate) fn release(&self) {
        self.0.lock().data = None;
    }

    /// Ends the data connection, whatever is still to come there.
    pub(crate) fn hang_up(&self) {
        if let Some(data) = self.0.lock().data.take() {
            let _ = data.shutdown(Shutdown::Both);
        }
    }

    /// Sets how long each read may take.
    pub(crate) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        let state = self.0.lock();
        let mut sockets = [&state.control, &state.data].into_iter().flatten();
        sockets.try_for_each(|socket| socket.set_read_timeout(Some(patience)))
    }

    /// Connects to an address, and stops when it is cut.
    pub(crate) fn dial(
        &self,
        address: SocketAddr,
        role: Role,
        within: Duration,
        patience: Duration,
    ) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        let connected = self.connect(&socket, address, role, within);
        if self.is_cancelled() {
            return Err(Failure::cancelled().into());
        }
        connected?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Ok(socket.into())
    }

    #[cfg(unix)]
    fn connect(&self, socket: &Socket, address: SocketAddr, role: Role, within: Duration) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let begun = socket.connect(&address.into());
        // Not before that: what is not connecting yet cannot be shut down.
        self.keep(socket, role)?;
        match begun {
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
                connected(socket, within)?;
            }
            begun => begun?,
        }
        socket.set_nonblocking(false)
    }

    #[cfg(not(unix))]
    fn connect(&self, socket: &Socket, address: SocketAddr, role: Role, within: Duration) -> io::Result<()> {
        self.keep(socket, role)?;
        socket.connect_timeout(&address.into(), within)
    }

    fn keep(&self, socket: &Socket, role: Role) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.cancelled {
            return Err(Failure::cancelled().into());
        }
        if state.cut {
            return Err(Failure::from(ErrorKind::Incomplete).into());
        }
        let kept = Some(socket.try_clone()?);
        match role {
            Role::Control => state.control = kept,
            Role::Data => state.data = kept,
        }
        Ok(())
    }

    /// Tells whether nothing has come on the connection for commands, not even its end.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.0.lock();
        let Some(control) = state.control.as_ref().filter(|_| !state.cut) else { return false };
        if control.set_nonblocking(true).is_err() {
            return false;
        }
        let mut byte = [MaybeUninit::uninit()];
        let quiet = control.peek(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        quiet && control.set_nonblocking(false).is_ok()
    }
}

/// Waits until a connection is made that was begun.
#[cfg(unix)]
fn connected(socket: &Socket, within: Duration) -> io::Result<()> {
    let end = Instant::now() + within;
    let mut waiting = [PollFd::new(socket, PollFlags::OUT)];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match poll(&mut waiting, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // One that was shut down has no error, and no other end.
    socket.take_error()?.map_or_else(|| socket.peer_addr().map(drop), Err)
}

impl State {
    fn cut(&mut self) {
        self.cut = true;
        for socket in [&self.control, &self.data].into_iter().flatten() {
            // A farewell alone may not reach a server that waits for room to send.
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
