//! What a server has seen, and how to wait for it.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::gate::GLANCE;
use crate::process::{PATIENCE, established};
use crate::received::Received;

/// What a server has seen; every server of this crate dereferences to its own.
///
/// The waits return when the event has happened and panic when it has not within [`PATIENCE`].
///
/// ```
/// let origin = ganymede_kit::Origin::start();
/// let client = std::net::TcpStream::connect(origin.address()).unwrap();
/// origin.wait_open(1);
/// drop(client);
/// origin.wait_open(0);
/// assert_eq!((origin.connections(), origin.peak()), (1, 1));
/// ```
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    connections: u64,
    open: usize,
    peak: usize,
    in_flight: usize,
    in_flight_peak: usize,
    resets: usize,
    journal: Vec<Received>,
    sent: HashMap<String, u64>,
    sockets: Vec<Weak<TcpStream>>,
}

impl Ledger {
    /// All requests so far, in the order they came.
    #[must_use]
    pub fn journal(&self) -> Vec<Received> {
        self.state().journal.clone()
    }

    /// The number of requests for a path (with any query), or for exactly this target.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.state().journal.iter().filter(|received| received.is_for(path)).count()
    }

    /// The number of connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state().connections
    }

    /// The number of connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.state().open
    }

    /// The most connections that were open at once; one that the client has closed no longer counts.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.state().peak
    }

    /// The most requests that were being answered at once.
    ///
    /// A request is answered when the last block of its reply is about to be written, so that a client which sends
    /// the next one at once is not counted twice.
    #[must_use]
    pub fn in_flight_peak(&self) -> usize {
        self.state().in_flight_peak
    }

    /// The number of requests that their clients took back, on a connection that went on (HTTP/2).
    #[must_use]
    pub fn resets(&self) -> usize {
        self.state().resets
    }

    /// The most bytes of a body that one reply to this path has written so far.
    #[must_use]
    pub fn sent(&self, path: &str) -> u64 {
        self.state().sent.get(path).copied().unwrap_or(0)
    }

    /// The bytes that all replies to this path have written of their bodies so far.
    #[must_use]
    pub fn sent_in_all(&self, path: &str) -> u64 {
        self.state()
            .journal
            .iter()
            .filter(|received| received.is_for(path))
            .map(|received| received.sent)
            .sum()
    }

    /// Waits until at least `count` requests have come in all.
    #[track_caller]
    pub fn wait_requests(&self, count: usize) {
        self.wait(|state| state.journal.len() >= count, || format!("{count} requests"));
    }

    /// Waits until at least `count` connections have been accepted in all.
    #[track_caller]
    pub fn wait_connections(&self, count: u64) {
        self.wait(|state| state.connections >= count, || format!("{count} connections"));
    }

    /// Waits until exactly `count` connections are open.
    #[track_caller]
    pub fn wait_open(&self, count: usize) {
        self.wait(|state| state.open == count, || format!("{count} open connections"));
    }

    /// Waits until at least `count` requests were taken back in all.
    #[track_caller]
    pub fn wait_resets(&self, count: usize) {
        self.wait(|state| state.resets >= count, || format!("{count} requests taken back"));
    }

    /// Waits until one reply to this path has written at least `count` bytes of its body.
    #[track_caller]
    pub fn wait_sent(&self, path: &str, count: u64) {
        let sent = |state: &State| state.sent.get(path).copied().unwrap_or(0);
        self.wait(
            |state| sent(state) >= count,
            || format!("{count} bytes of {path}, {} are sent", self.sent(path)),
        );
    }

    #[track_caller]
    fn wait(&self, holds: impl Fn(&State) -> bool, what: impl Fn() -> String) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !holds(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seen: Vec<_> =
                    state.journal.iter().map(|one| format!("{} {}", one.method, one.target)).collect();
                let (connections, open) = (state.connections, state.open);
                drop(state);
                panic!(
                    "waited {PATIENCE:?} for {}; {connections} connections, {open} open, {} requests: {seen:?}",
                    what(),
                    seen.len()
                );
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Admits a connection; `None` once the server is stopped.
    pub(crate) fn admit(self: &Arc<Self>, socket: &Arc<TcpStream>) -> Option<Visit> {
        let mut state = self.state();
        if state.stopped {
            return None;
        }
        state.connections += 1;
        state.open += 1;
        if state.open > state.peak {
            // A thread may not have noticed yet that its client is gone; the kernel has.
            let port = socket.local_addr().map_or(0, |address| address.port());
            // One is one: the kernel's table is long when many tests run.
            let seen = (state.open > 1).then(|| established(port)).flatten();
            let open = seen.map_or(state.open, |seen| seen.max(1).min(state.open));
            state.peak = state.peak.max(open);
        }
        state.sockets.retain(|known| known.strong_count() > 0);
        state.sockets.push(Arc::downgrade(socket));
        self.changed.notify_all();
        Some(Visit { number: state.connections, socket: Some(Arc::clone(socket)), ledger: Arc::clone(self) })
    }

    /// Shuts a further socket down when the server stops, such as the far end of a tunnel.
    pub(crate) fn track(&self, socket: &Arc<TcpStream>) {
        let mut state = self.state();
        state.sockets.push(Arc::downgrade(socket));
        if state.stopped {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        for socket in state.sockets.drain(..).filter_map(|socket| socket.upgrade()) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    pub(crate) fn stopped(&self) -> bool {
        self.state().stopped
    }

    /// Enters a request, and returns its place in the journal.
    pub(crate) fn record(&self, received: Received) -> usize {
        let mut state = self.state();
        state.journal.push(received);
        self.changed.notify_all();
        state.journal.len() - 1
    }

    /// Enters how many bytes of its body the reply to the request at this place has written.
    pub(crate) fn record_sent(&self, place: usize, path: &str, bytes: u64) {
        let mut state = self.state();
        state.journal[place].sent = bytes;
        match state.sent.get_mut(path) {
            Some(most) => *most = bytes.max(*most),
            None => drop(state.sent.insert(path.to_owned(), bytes)),
        }
        self.changed.notify_all();
    }

    /// Enters that a client took a request back.
    pub(crate) fn record_reset(&self) {
        self.state().resets += 1;
        self.changed.notify_all();
    }

    /// Waits for `duration`, or until the server stops or `abandoned` says that waiting is of no use; false then.
    pub(crate) fn pause(&self, duration: Duration, mut abandoned: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + duration;
        let mut state = self.state();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            if state.stopped || abandoned() {
                return false;
            }
            state =
                self.changed.wait_timeout(state, left.min(GLANCE)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Counts a request as being answered until the guard is dropped.
    pub(crate) fn answering(&self) -> Answering<'_> {
        let mut state = self.state();
        state.in_flight += 1;
        state.in_flight_peak = state.in_flight_peak.max(state.in_flight);
        Answering { ledger: self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection while it is open.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) number: u64,
    pub(crate) ledger: Arc<Ledger>,
    socket: Option<Arc<TcpStream>>,
}

impl Visit {
    pub(crate) fn socket(&self) -> Arc<TcpStream> {
        Arc::clone(self.socket.as_ref().expect("a visit has its socket until it ends"))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // Closed first, counted then: whoever waits for it finds the descriptor gone.
        self.socket = None;
        self.ledger.state().open -= 1;
        self.ledger.changed.notify_all();
    }
}

/// A request while it is being answered.
#[derive(Debug)]
pub(crate) struct Answering<'a> {
    ledger: &'a Ledger,
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.ledger.state().in_flight -= 1;
    }
}
