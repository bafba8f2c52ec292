//! Cancelling: a tree of tokens, and the hooks that run when one is cancelled.

use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::failure::Failure;

/// A flag that is raised once, seen by its children, and wakes who sleeps on it.
#[derive(Clone)]
pub(crate) struct CancelToken(Arc<Node>);

struct Node {
    cancelled: AtomicBool,
    hooks: Mutex<Hooks>,
    wake: Condvar,
    /// Keeps the way up to the root alive: what is cancelled above reaches this node through its parent's hooks.
    parent: Option<(CancelToken, u64)>,
}

type Callback = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Hooks {
    next: u64,
    waiting: Vec<(u64, Callback)>,
}

/// Keeps a callback registered with [`Context::on_cancel`](crate::Context::on_cancel); dropping it removes the callback.
///
/// ```
/// use std::net::{Shutdown, TcpListener, TcpStream};
/// use ganymede::Context;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let socket = TcpStream::connect(listener.local_addr()?)?;
/// let (context, other) = (Context::new(), socket.try_clone()?);
/// let _hook = context.on_cancel(move || drop(other.shutdown(Shutdown::Both)));
/// context.cancel();
/// assert_eq!(std::io::Read::read(&mut &socket, &mut [0])?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping the hook removes the callback"]
pub struct Hook(Option<(CancelToken, u64)>);

impl CancelToken {
    pub(crate) fn new() -> Self {
        Self::with_parent(None)
    }

    fn with_parent(parent: Option<(Self, u64)>) -> Self {
        let (cancelled, hooks, wake) = (AtomicBool::new(false), Mutex::default(), Condvar::new());
        Self(Arc::new(Node { cancelled, hooks, wake, parent }))
    }

    /// Makes a token that is cancelled with this one, or alone.
    pub(crate) fn child(&self) -> Self {
        let node = Arc::new_cyclic(|weak: &std::sync::Weak<Node>| {
            let weak = weak.clone();
            let id = self.register(Box::new(move || {
                if let Some(node) = weak.upgrade() {
                    Self(node).cancel();
                }
            }));
            Node {
                cancelled: AtomicBool::new(id.is_none()),
                hooks: Mutex::default(),
                wake: Condvar::new(),
                parent: id.map(|id| (self.clone(), id)),
            }
        });
        let child = Self(node);
        // The parent may have been cancelled while the child could not be reached through its weak pointer yet.
        if self.is_cancelled() {
            child.cancel();
        }
        child
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Raises the flag, wakes the sleepers and runs the hooks, on this thread and without any lock held.
    pub(crate) fn cancel(&self) {
        let hooks = {
            let mut hooks = self.0.hooks.lock();
            self.0.cancelled.store(true, Ordering::Release);
            std::mem::take(&mut hooks.waiting)
        };
        self.0.wake.notify_all();
        for (_, callback) in hooks {
            callback();
        }
    }

    /// Registers a callback, or returns `None` after running it at once because the flag is raised already.
    fn register(&self, callback: Callback) -> Option<u64> {
        let mut hooks = self.0.hooks.lock();
        if self.is_cancelled() {
            drop(hooks);
            callback();
            return None;
        }
        let id = hooks.next;
        hooks.next += 1;
        hooks.waiting.push((id, callback));
        Some(id)
    }

    fn remove(&self, id: u64) {
        let mut hooks = self.0.hooks.lock();
        let at = hooks.waiting.iter().position(|(other, _)| *other == id);
        let removed = at.map(|at| hooks.waiting.swap_remove(at));
        // What the callback holds may itself own a hook: it is dropped without the lock.
        drop(hooks);
        drop(removed);
    }

    pub(crate) fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) -> Hook {
        Hook(self.register(Box::new(callback)).map(|id| (self.clone(), id)))
    }

    /// Sleeps until `duration` has passed, or fails as soon as the flag is raised.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<(), Failure> {
        let end = Instant::now().checked_add(duration);
        let mut hooks = self.0.hooks.lock();
        loop {
            if self.is_cancelled() {
                return Err(Failure::cancelled());
            }
            match end {
                Some(end) if Instant::now() >= end => return Ok(()),
                Some(end) => drop(self.0.wake.wait_until(&mut hooks, end)),
                None => self.0.wake.wait(&mut hooks),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((parent, id)) = self.parent.take() {
            parent.remove(id);
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some((token, id)) = self.0.take() {
            token.remove(id);
        }
    }
}

/// Ends all waiting for a socket, and has it reset when it is closed.
///
/// A farewell alone (FIN) may not reach a server that waits for room to send: there would be none, and no answer to its
/// asking for that (RFC 9293 §3.8.6.1), until the system forgets the socket.
pub(crate) fn cut(socket: &TcpStream) {
    #[cfg(unix)]
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    // One that is closed already has nobody who waits.
    let _ = socket.shutdown(Shutdown::Both);
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("armed", &self.0.is_some()).finish()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_child_is_cancelled_with_its_ancestors_and_not_the_other_way_round() {
        let root = CancelToken::new();
        let child = root.child();
        let grandchild = { child.child().child() };
        child.cancel();
        assert!(grandchild.is_cancelled() && child.is_cancelled() && !root.is_cancelled());
        assert!(child.child().is_cancelled());
    }

    #[test]
    fn a_hook_runs_once_and_a_dropped_one_never() {
        let token = CancelToken::new();
        let (sender, receiver) = mpsc::channel();
        let (one, two, three) = (sender.clone(), sender.clone(), sender.clone());
        let _kept = token.on_cancel(move || one.send(1).unwrap());
        drop(token.on_cancel(move || two.send(2).unwrap()));
        token.cancel();
        token.cancel();
        let _late = token.on_cancel(move || three.send(3).unwrap());
        drop(sender);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_dropped_child_leaves_nothing_with_its_parent() {
        let root = CancelToken::new();
        for _ in 0..100 {
            drop(root.child());
        }
        assert!(root.0.hooks.lock().waiting.is_empty());
    }

    #[test]
    fn sleeping_ends_when_an_ancestor_is_cancelled() {
        let root = CancelToken::new();
        let child = root.child();
        let sleeper = std::thread::spawn(move || child.sleep(Duration::from_secs(600)));
        root.cancel();
        assert!(sleeper.join().unwrap().is_err());
    }
}
