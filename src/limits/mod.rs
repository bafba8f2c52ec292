//! How hosts are treated: how many connections, how many bytes a second, and when they are left alone.

mod hold;
mod places;
mod rate;

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::failure::Failure;

use hold::Pass;
pub(crate) use hold::spoken;
pub(crate) use places::Places;
pub(crate) use rate::Meter;

/// How a context treats hosts: the most connections and bytes a second, unlimited unless said otherwise, and how long
/// a host is left alone that asks for it or fails.
///
/// Every request counts, those to redirect targets and for mirror lists too, from when it is sent until its body has
/// ended. A connection is used again by the next request to its host with the same settings; while it is idle it is
/// not counted, so a total over many hosts, or over one with many settings, limits those that are in use. Over HTTP/2
/// all requests to a host share one connection, and what is said of connections counts for requests.
///
/// A host that says with `Retry-After` when it wants to be asked again is left alone by *every* download of the
/// context until then. One that cannot be reached, breaks off or answers 429, 502, 503 or 504 is left alone for a
/// moment, at most a second, and then asked by one download at a time until it answers. Other hosts are not affected.
///
/// ```
/// use std::time::Duration;
/// use ganymede::{Context, Limits};
///
/// let limits = Limits::new().per_host(4).total(16).rate(10 << 20).max_retry_after(Duration::from_secs(60));
/// let context = Context::with_limits(limits);
/// # let _ = context;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    per_host: Option<NonZeroUsize>,
    total: Option<NonZeroUsize>,
    rate: Option<NonZeroU64>,
    rate_per_host: Option<NonZeroU64>,
    max_retry_after: Duration,
    backoff: Duration,
}

impl Limits {
    /// Makes limits with their defaults: any number of connections and bytes, and hosts that ask for it or fail are left
    /// alone.
    #[must_use]
    pub fn new() -> Self {
        Self {
            per_host: None,
            total: None,
            rate: None,
            rate_per_host: None,
            max_retry_after: Duration::from_secs(300),
            backoff: Duration::from_secs(1),
        }
    }

    /// Sets the most connections to one host (scheme, name and port), or requests at once on one that they share
    /// (HTTP/2); 0 is no limit.
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

    /// Sets the most bytes that all downloads receive in a second, on average; 0 is no limit.
    #[must_use]
    pub fn rate(mut self, bytes_per_second: u64) -> Self {
        self.rate = NonZeroU64::new(bytes_per_second);
        self
    }

    /// Sets the most bytes that all downloads receive from one host in a second, on average; 0 is no limit.
    #[must_use]
    pub fn rate_per_host(mut self, bytes_per_second: u64) -> Self {
        self.rate_per_host = NonZeroU64::new(bytes_per_second);
        self
    }

    /// Sets the longest `Retry-After` that is waited for; 5 minutes unless set.
    ///
    /// A download whose host asks for more fails, and so do all others from that host until the time has come,
    /// without being sent.
    #[must_use]
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// Sets the longest that a host is left alone for failing, before one download asks it again; 1 second unless
    /// set, and zero leaves no host alone that does not ask for it.
    #[must_use]
    pub fn backoff(mut self, longest: Duration) -> Self {
        self.backoff = longest;
        self
    }

    /// Tells whether there is a limit on the bytes of a second.
    pub(crate) fn has_rate(&self) -> bool {
        self.rate.is_some() || self.rate_per_host.is_some()
    }

    /// Returns the longest `Retry-After` that is waited for.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.max_retry_after
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// The right to keep one connection to a host busy; dropping it lets the next one in.
///
/// A protocol tells it how the host answered, so that all downloads treat the host accordingly. One that tells of
/// failures must tell of answers too, or else its hosts are taken to fail for a while:
///
/// ```
/// use ganymede::{Context, Failure, Limits, Request};
///
/// fn ask(request: &Request) -> Result<(), Failure> { Ok(()) }
///
/// let context = Context::with_limits(Limits::new().per_host(1));
/// let request = Request::get("ftp://example.com/file")?;
/// let mut permit = context.permit(&request)?;
/// match ask(&request) {
///     Ok(()) => permit.served(),
///     Err(failure) => return Err(permit.failed(failure)),
/// }
/// drop(permit); // at the end of the body
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[must_use = "dropping the permit gives the place back"]
pub struct Permit {
    places: Arc<Places>,
    host: Arc<str>,
    pass: Pass,
    answered: bool,
    failed: bool,
}

impl Permit {
    /// Notes that the host has answered well: those who waited for that may go.
    pub fn served(&mut self) {
        if !self.answered {
            self.answered = true;
            self.places.answered(&self.host);
        }
    }

    /// Notes that the host has failed, before its answer or in the middle of it, and returns the failure to return.
    ///
    /// What the failure says about the host counts for all downloads: see [`Limits`]. If the host asks to be left
    /// alone for longer than is [waited for](Limits::max_retry_after), the failure says so and is no longer
    /// [transient](Failure::is_transient).
    #[must_use = "the failure may have become another one"]
    pub fn failed(&mut self, failure: Failure) -> Failure {
        Arc::clone(&self.places).failed(self, failure)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.places.release(&self.host, self.pass, self.answered && !self.failed);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Returns what tells one host from another: scheme, name and port.
pub(crate) fn host(url: &Url) -> String {
    let (name, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    format!("{}://{name}:{port}", url.scheme())
}

/// Returns how a host is named to people.
fn shown(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}
