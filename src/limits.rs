//! How many connections may be busy at once, for each host and in all.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use url::Url;

use crate::context::Context;
use crate::failure::Failure;
use crate::request::Request;

/// The most connections a context keeps busy at once: unlimited, unless said otherwise.
///
/// Every request counts, those to redirect targets and for mirror lists too, from when it is sent until its body has
/// ended. A connection is used again by the next request to its host with the same settings; while it is idle it is
/// not counted, so a total over many hosts, or over one with many settings, limits those that are in use.
///
/// ```
/// use ganymede::{Context, Limits};
///
/// let context = Context::with_limits(Limits::new().per_host(4).total(16));
/// # let _ = context;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    per_host: Option<NonZeroUsize>,
    total: Option<NonZeroUsize>,
}

impl Limits {
    /// Makes limits that limit nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most connections to one host (scheme, name and port); 0 is no limit.
    #[must_use]
    pub fn per_host(mut self, connections: usize) -> Self {
        self.per_host = NonZeroUsize::new(connections);
        self
    }

    /// Sets the most connections in all; 0 is no limit.
    #[must_use]
    pub fn total(mut self, connections: usize) -> Self {
        self.total = NonZeroUsize::new(connections);
        self
    }
}

/// The places that a context's limits leave, shared by all its children.
pub(crate) struct Places {
    limits: Limits,
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Default)]
struct Taken {
    total: usize,
    hosts: HashMap<String, usize>,
}

/// The right to keep one connection busy; dropping it lets the next one in.
///
/// ```
/// use ganymede::{Context, Limits, Request};
///
/// let context = Context::with_limits(Limits::new().per_host(1));
/// let permit = context.permit(&Request::get("ftp://example.com/file")?)?;
/// // .. use a connection; meanwhile others wait for theirs ..
/// drop(permit);
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[must_use = "dropping the permit gives the place back"]
pub struct Permit(Option<(Arc<Places>, String)>);

impl Places {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, taken: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits for a place for a connection to the host of a request.
    pub(crate) fn take(self: &Arc<Self>, request: &Request, context: &Context) -> Result<Permit, Failure> {
        if self.limits == Limits::default() {
            return Ok(Permit(None));
        }
        let host = host(request.url());
        let waker = Arc::downgrade(self);
        let _hook = context.on_cancel(move || {
            if let Some(places) = waker.upgrade() {
                // Taken, so that a waiter between its look at the flag and its wait cannot miss this.
                drop(places.taken.lock());
                places.freed.notify_all();
            }
        });
        let mut taken = self.taken.lock();
        loop {
            if context.is_cancelled() {
                return Err(Failure::cancelled());
            }
            let here = taken.hosts.get(&host).copied().unwrap_or_default();
            let free =
                |limit: Option<NonZeroUsize>, taken: usize| limit.is_none_or(|limit| taken < limit.get());
            if free(self.limits.total, taken.total) && free(self.limits.per_host, here) {
                taken.total += 1;
                *taken.hosts.entry(host.clone()).or_default() += 1;
                return Ok(Permit(Some((Arc::clone(self), host))));
            }
            request.check_deadline()?;
            match request.deadline() {
                Some(deadline) => drop(self.freed.wait_until(&mut taken, deadline)),
                None => self.freed.wait(&mut taken),
            }
        }
    }
}

/// Returns what tells one host from another: scheme, name and port.
pub(crate) fn host(url: &Url) -> String {
    let (name, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    format!("{}://{name}:{port}", url.scheme())
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((places, host)) = self.0.take() {
            let mut taken = places.taken.lock();
            taken.total -= 1;
            if let Some(here) = taken.hosts.get_mut(&host) {
                *here -= 1;
                if *here == 0 {
                    taken.hosts.remove(&host);
                }
            }
            drop(taken);
            // All of them: the one that is woken may wait for another host than the one that has room now.
            places.freed.notify_all();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("host", &self.0.as_ref().map(|(_, host)| host)).finish()
    }
}
