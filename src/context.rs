//! The room that downloads share, and the token that stops them.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use url::Url;

use crate::cancel::{CancelToken, Hook};
use crate::failure::{ErrorKind, Failure};
use crate::limits::{Limits, Meter, Permit, Places};
use crate::pace::MinSpeed;
use crate::parking::{Parking, making};
use crate::request::Request;
use crate::watchdog::{Watch, Watchdog};

/// What downloads share: clients, sessions, tokens, mirror lists, limits; and a token that cancels them.
///
/// A clone is the same context. A [`child`](Self::child) is the same room with a token of its own: a batch, a stream
/// and each request of a server has one. When the last context of a room is dropped, so is all that it holds.
///
/// Things are kept in slots under a key whose *type* belongs to the crate that defines it, so that no two plugins
/// clash:
///
/// ```
/// use ganymede::{Context, Failure, SlotKey};
///
/// #[derive(PartialEq, Eq, Hash)]
/// struct Token { account: String }
/// impl SlotKey for Token { type Value = String; }
///
/// let context = Context::new();
/// let key = || Token { account: "amy".into() };
/// let log_in = |_: &Context| Ok("secret".to_owned());
/// let token = context.slot(key(), log_in)?;                                     // logs in
/// let again = context.child().slot(key(), |_| unreachable!("it is there"))?;    // finds it
/// assert!(std::sync::Arc::ptr_eq(&token, &again));
/// # Ok::<(), Failure>(())
/// ```
#[derive(Clone)]
pub struct Context {
    room: Arc<Room>,
    token: CancelToken,
}

struct Room {
    shelves: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    places: Arc<Places>,
    watchdog: Watchdog,
}

/// A key of a context's slot, and the type of what is kept there.
pub trait SlotKey: Eq + Hash + Send + Sync + 'static {
    /// What is kept under keys of this type.
    type Value: Send + Sync + 'static;
}

type Shelf<K> = Mutex<HashMap<K, Arc<Slot<<K as SlotKey>::Value>>>>;

enum State<T> {
    Empty,
    Busy(Arc<Flight<T>>),
    Ready(Arc<T>),
}

struct Slot<T>(Mutex<State<T>>);

/// One making of a slot's value, and those who wait for it.
struct Flight<T> {
    landed: Mutex<Option<Result<Arc<T>, Failure>>>,
    changed: Condvar,
}

impl Context {
    /// Makes an empty context with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::new())
    }

    /// Makes an empty context that treats hosts as these limits say.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        let room = Room {
            shelves: Mutex::default(),
            places: Arc::new(Places::new(limits)),
            watchdog: Watchdog::default(),
        };
        Self { room: Arc::new(room), token: CancelToken::new() }
    }

    /// Makes a context of the same room that is cancelled with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { room: Arc::clone(&self.room), token: self.token.child() }
    }

    /// Cancels everything that runs in this context and its children, for good.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Returns the token alone, for who must not keep the room alive.
    pub(crate) fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Tells whether this context, or one it is a child of, was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Fails if this context is cancelled.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_cancelled() { Err(Failure::cancelled()) } else { Ok(()) }
    }

    /// Sleeps, unless it is cancelled before or meanwhile.
    ///
    /// In a batch, another download runs instead. So a plugin must hold no lock of its own over it: it goes on when
    /// one of those others makes place, which they may not if they wait for that lock.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`], at once when it happens.
    pub fn sleep(&self, duration: Duration) -> Result<(), Failure> {
        let parking = Parking::lasting(&self.token, duration);
        self.token.sleep(duration)?;
        drop(parking);
        self.check()
    }

    /// Sleeps like [`sleep`](Self::sleep), and keeps the place in a batch.
    pub(crate) fn stay(&self, duration: Duration) -> Result<(), Failure> {
        self.token.sleep(duration)
    }

    /// Registers what is to be done on cancelling, for who owns a socket or another thing that blocks.
    ///
    /// It runs on the thread that cancels, at once if that has happened already, and must not block. The callback is
    /// removed when the hook is dropped.
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) -> Hook {
        self.token.on_cancel(callback)
    }

    /// Waits for the right to keep a connection to the host of a request busy, as the context's [`Limits`] say, and
    /// until the host may be asked, if it wants to be left alone.
    ///
    /// A protocol takes one for each connection it uses, keeps it with the body of its reply, and tells it how the
    /// host answered. In a batch, another download runs while this one waits: a plugin must hold no lock of its own
    /// over it, as over [`sleep`](Self::sleep).
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::Timeout`] when the request's deadline passes, and at once when it comes
    /// before the host may be asked; what the host answered, if it wants to be left alone for longer than is waited
    /// for; [`ErrorKind::Connect`], if the one who was let through to ask found no host.
    pub fn permit(&self, request: &Request) -> Result<Permit, Failure> {
        self.room.places.take(request, self)
    }

    /// Returns how often a host has shown that it is asked for too much at once.
    pub(crate) fn congestions(&self) -> u64 {
        self.room.places.congestions()
    }

    /// Returns what a body from this URL spends from, if there is a limit on the bytes of a second.
    pub(crate) fn meter(&self, url: &Url) -> Option<Meter> {
        self.room.places.meter(url)
    }

    /// Watches an attempt, if there is anything to watch for.
    pub(crate) fn watch(
        &self,
        deadline: Option<Instant>,
        speed: Option<MinSpeed>,
    ) -> Result<Option<Watch>, Failure> {
        self.room.watchdog.watch(self, deadline, speed)
    }

    /// Returns how hosts are treated.
    pub(crate) fn limits(&self) -> &Limits {
        self.room.places.limits()
    }

    /// Returns what is kept under `key`; if nothing is, makes it.
    ///
    /// However many threads ask at once, one of them runs `make`, with only this slot held; the others wait for it
    /// and share its failure. Only later callers try again. A slot whose maker was cancelled alone is made by another
    /// one of those who wait. `make` must not ask for the slot it makes, and what it returns must not hold a context
    /// of this room.
    ///
    /// # Errors
    /// What `make` returned, or [`ErrorKind::Cancelled`] when this context is cancelled while waiting.
    pub fn slot<K: SlotKey>(
        &self,
        key: K,
        make: impl FnOnce(&Self) -> Result<K::Value, Failure>,
    ) -> Result<Arc<K::Value>, Failure> {
        let slot = Arc::clone(self.shelf::<K>().lock().entry(key).or_default());
        slot.obtain(self, make)
    }

    /// Forgets what is kept under `key`, so that the next who asks makes it anew: a token has expired, say.
    ///
    /// Those who have it keep it.
    pub fn forget<K: SlotKey>(&self, key: &K) {
        let slot = self.shelf::<K>().lock().remove(key);
        // What it holds may use the context when it is dropped: not under the lock.
        drop(slot);
    }

    fn shelf<K: SlotKey>(&self) -> Arc<Shelf<K>> {
        let mut shelves = self.room.shelves.lock();
        let new = || -> Arc<dyn Any + Send + Sync> { Arc::new(Shelf::<K>::default()) };
        let shelf = Arc::clone(shelves.entry(TypeId::of::<K>()).or_insert_with(new));
        // It was put there under the type's own identity, so the other arm is never taken.
        shelf.downcast().unwrap_or_default()
    }
}

impl<T: Send + Sync + 'static> Slot<T> {
    fn obtain(
        &self,
        context: &Context,
        make: impl FnOnce(&Context) -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        loop {
            context.check()?;
            let flight = {
                let mut state = self.0.lock();
                match &*state {
                    State::Ready(value) => return Ok(Arc::clone(value)),
                    State::Busy(flight) => Arc::clone(flight),
                    State::Empty => {
                        let flight = Arc::new(Flight { landed: Mutex::default(), changed: Condvar::new() });
                        *state = State::Busy(Arc::clone(&flight));
                        drop(state);
                        return self.fly(&flight, context, make);
                    }
                }
            };
            match Flight::wait(&flight, context)? {
                Err(failure) if matches!(failure.kind(), ErrorKind::Cancelled) => {}
                landed => return landed,
            }
        }
    }

    /// Makes the value, and tells those who wait how that went, also when it panics.
    fn fly(
        &self,
        flight: &Flight<T>,
        context: &Context,
        make: impl FnOnce(&Context) -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        let made = catch_unwind(AssertUnwindSafe(|| making(|| make(context))));
        let (landed, panic) = match made {
            // A socket that was cut by the cancelling of this context alone is no failure of those who wait.
            Ok(Err(_)) if context.is_cancelled() => (Err(Failure::cancelled()), None),
            Ok(made) => (made.map(Arc::new), None),
            Err(panic) => (Err(ErrorKind::Panicked.into()), Some(panic)),
        };
        *self.0.lock() = match &landed {
            Ok(value) => State::Ready(Arc::clone(value)),
            Err(_) => State::Empty,
        };
        *flight.landed.lock() = Some(landed.clone());
        flight.changed.notify_all();
        match panic {
            Some(panic) => resume_unwind(panic),
            None => landed,
        }
    }
}

impl<T: Send + Sync + 'static> Flight<T> {
    fn wait(flight: &Arc<Self>, context: &Context) -> Result<Result<Arc<T>, Failure>, Failure> {
        let waker = Arc::downgrade(flight);
        let _hook = context.on_cancel(move || {
            if let Some(flight) = waker.upgrade() {
                // Taken, so that a waiter between its look at the flag and its wait cannot miss this.
                drop(flight.landed.lock());
                flight.changed.notify_all();
            }
        });
        let mut parking = Parking::made(&context.token);
        loop {
            let look = parking.look(false, Instant::now());
            {
                let mut landed = flight.landed.lock();
                if let Some(landed) = &*landed {
                    return Ok(landed.clone());
                }
                context.check()?;
                match look {
                    Some(due) => drop(flight.changed.wait_until(&mut landed, due)),
                    None => flight.changed.wait(&mut landed),
                }
            }
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(State::Empty))
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
