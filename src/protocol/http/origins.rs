//! What is known of the servers that a client's requests are under way to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use http::Version;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use url::Url;

use super::client::library;
use crate::failure::Failure;
use crate::settings::ClientSettings;

/// The servers of a client that may speak HTTP/2, each for as long as a request to it is under way.
pub(super) struct Origins {
    settings: ClientSettings,
    known: Mutex<HashMap<String, Weak<Origin>>>,
    current: Mutex<Current>,
    /// A client of the same settings that speaks HTTP/1.1 with all, made for the first that requires it.
    http1: OnceLock<Result<reqwest::Client, Failure>>,
}

/// The client that new requests are sent by, and how many there were before it.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) client: reqwest::Client,
    number: usize,
}

/// A server that may speak HTTP/2.
pub(super) struct Origin {
    authority: String,
    origins: Arc<Origins>,
    /// Closed when the first request has a connection: from then on it is known whether others need one of their own.
    first: Semaphore,
    version: OnceLock<Version>,
    requires_http1: AtomicBool,
}

impl From<reqwest::Client> for Current {
    fn from(client: reqwest::Client) -> Self {
        Self { client, number: 0 }
    }
}

impl Origins {
    pub(super) fn new(settings: &ClientSettings, client: reqwest::Client) -> Arc<Self> {
        let (current, known) = (Mutex::new(client.into()), Mutex::default());
        Arc::new(Self { settings: settings.clone(), known, current, http1: OnceLock::new() })
    }

    /// Returns the server of a URL.
    pub(super) fn of(self: &Arc<Self>, url: &Url) -> Arc<Origin> {
        let mut known = self.known.lock();
        if let Some(origin) = known.get(url.authority()).and_then(Weak::upgrade) {
            return origin;
        }
        let origin = Arc::new(Origin {
            authority: url.authority().to_owned(),
            origins: Arc::clone(self),
            first: Semaphore::new(1),
            version: OnceLock::new(),
            requires_http1: AtomicBool::new(false),
        });
        known.insert(url.authority().to_owned(), Arc::downgrade(&origin));
        origin
    }
}

impl Origin {
    /// Lets the first request go at once, and the others when it has a connection, or none: so they share that if they
    /// can, instead of making many that are closed as soon as that is known.
    pub(super) async fn turn(self: &Arc<Self>) -> Option<First> {
        let first = self.first.acquire().await.ok()?;
        first.forget();
        Some(First(Arc::clone(self)))
    }

    /// Lets all requests go.
    pub(super) fn open(&self) {
        self.first.close();
    }

    /// Returns the client to send a request by.
    pub(super) fn client(&self) -> Result<Current, Failure> {
        let current = self.origins.current.lock().clone();
        match self.requires_http1.load(Ordering::Relaxed) {
            true => Ok(Current { client: self.http1()?, ..current }),
            false => Ok(current),
        }
    }

    /// Notes that the server speaks HTTP/1.1 only, whatever it offers, and returns the client that does.
    pub(super) fn require_http1(&self) -> Result<reqwest::Client, Failure> {
        self.requires_http1.store(true, Ordering::Relaxed);
        self.http1()
    }

    fn http1(&self) -> Result<reqwest::Client, Failure> {
        let Origins { settings, http1, .. } = &*self.origins;
        let settings = || ClientSettings { http1_only: true, ..settings.clone() };
        http1.get_or_init(|| library(&settings(), true).map(|(client, _)| client)).clone()
    }

    /// Notes which version it speaks.
    pub(super) fn speaks(&self, version: Version) {
        let _ = self.version.set(version);
    }

    /// Keeps further requests from a connection on which one has waited in vain, as it may be dead.
    ///
    /// The library does not close what others may still use, and would use it again. Those others may go on.
    pub(super) fn distrust(&self, used: &Current) {
        if self.version.get().is_some_and(|version| *version != Version::HTTP_2) {
            return;
        }
        let mut current = self.origins.current.lock();
        if current.number == used.number
            && let Ok((client, _)) = library(&self.origins.settings, true)
        {
            *current = Current { client, number: used.number + 1 };
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let mut known = self.origins.known.lock();
        // Another may have taken its place.
        if known.get(&self.authority).is_some_and(|origin| origin.strong_count() == 0) {
            known.remove(&self.authority);
        }
    }
}

/// The first request to a server: lets the others go when it is dropped, in whatever way.
pub(super) struct First(Arc<Origin>);

impl Drop for First {
    fn drop(&mut self) {
        self.0.open();
    }
}
