//! The server's settings, and what its requests share.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use ganymede::{Context, Importer};
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::account::AccessLog;
use crate::answer;
use crate::cache::Cache;
use crate::flights::Flights;
use crate::headers::HeaderPolicy;
use crate::metrics::Metrics;
use crate::negative::Negative;
use crate::policy::Policy;
use crate::prefetch::{Prefetched, prefetch};
use crate::rules::Rules;

/// A server that stands in front of an importer: it passes contents on while they arrive, and keeps them.
///
/// It knows nothing of what is downloaded but how to ask for it. Whatever happens at the source, no client is sent a
/// complete wrong content: what turns out to be wrong, or cannot be completed, is cut.
///
/// ```
/// use ganymede_streamer::{Cache, Remote, Streamer};
/// # let folder = ganymede_kit::Folder::new();
/// # let folder = folder.path();
///
/// let remote = Remote::new("https://example.com/debian/")?.mirror("https://mirror.example.org/debian/")?;
/// let streamer = Streamer::new(remote).cache(Cache::open(folder, 10 << 30)?);
/// let router: axum::Router = streamer.router();
/// # let _ = router;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Streamer {
    shared: Shared,
    clients: usize,
}

/// What the requests share.
pub(crate) struct Shared {
    pub(crate) importer: Arc<dyn Importer>,
    pub(crate) context: Context,
    pub(crate) cache: Option<Cache>,
    pub(crate) policy: Policy,
    pub(crate) finish: bool,
    pub(crate) buffer: usize,
    pub(crate) rules: Arc<Rules>,
    pub(crate) headers: HeaderPolicy,
    pub(crate) longest_target: usize,
    pub(crate) log: Option<AccessLog>,
    pub(crate) clients: Arc<Semaphore>,
    /// How much is fetched at once.
    pub(crate) most: usize,
    pub(crate) flights: Flights,
    pub(crate) negative: Negative,
    pub(crate) metrics: Arc<Metrics>,
}

impl Streamer {
    /// Serves what an importer imports, and keeps nothing unless a cache is set.
    ///
    /// The importer is asked for the path of each request, relative and [in one form](crate::ResourcePath), with the
    /// query behind it if there is one. It is asked on a thread that must not block.
    #[must_use]
    pub fn new(importer: impl Importer + 'static) -> Self {
        let shared = Shared {
            importer: Arc::new(importer),
            context: Context::new(),
            cache: None,
            policy: Policy::default(),
            finish: false,
            buffer: 256 << 10,
            rules: Arc::new(Rules::new()),
            headers: HeaderPolicy::new(),
            longest_target: 8 << 10,
            log: None,
            clients: Arc::new(Semaphore::new(0)),
            most: 0,
            flights: Flights::default(),
            negative: Negative::default(),
            metrics: Arc::new(Metrics::new()),
        };
        Self { shared, clients: 1024 }
    }

    /// Sets where contents are kept.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.shared.cache = Some(cache);
        self
    }

    /// Sets what is kept, and when.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.shared.policy = policy;
        self
    }

    /// Sets whether what is to be kept is fetched to its end, also when nobody waits for it any more; otherwise, and
    /// unless set, the source is left then.
    #[must_use]
    pub fn finish(mut self, finish: bool) -> Self {
        self.shared.finish = finish;
        self
    }

    /// Sets how much of a content on its way is kept in memory, in bytes, about; 256 KiB unless set.
    ///
    /// Where nothing is kept, a client that is behind another by more than that is cut.
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.shared.buffer = bytes;
        self
    }

    /// Sets the rules of freshness.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.shared.rules = Arc::new(rules);
        self
    }

    /// Sets which headers pass.
    #[must_use]
    pub fn headers(mut self, headers: HeaderPolicy) -> Self {
        self.shared.headers = headers;
        self
    }

    /// Sets the context of the downloads, with the limits by which sources are treated.
    #[must_use]
    pub fn context(mut self, context: &Context) -> Self {
        self.shared.context = context.child();
        self
    }

    /// Sets how many requests are answered at once, and how many contents are fetched at once, also those that nobody
    /// waits for any more; others are answered by 503. 1024 unless set.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = clients.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets how long the target of a request may be, in bytes; a longer one is answered by 414. 8 KiB unless set.
    #[must_use]
    pub fn longest_target(mut self, bytes: usize) -> Self {
        self.shared.longest_target = bytes;
        self
    }

    /// Sets who is told how each request was answered. It must not block.
    #[must_use]
    pub fn access_log(mut self, log: impl Fn(&Access) + Send + Sync + 'static) -> Self {
        self.shared.log = Some(Arc::new(log));
        self
    }

    /// Makes the router that answers all requests, to be served by a [`Server`](crate::Server) or as a part of another.
    ///
    /// `/-/health` and `/-/metrics` are its own.
    pub fn router(self) -> Router {
        router(self.shared())
    }

    /// Makes the router, and the future that fetches what is at some paths into the cache, so many at once, unless it is
    /// there and fresh. It is for [`Policy::Immediate`], and ends with how many are there then, and how many are not.
    ///
    /// ```
    /// use ganymede_streamer::{Policy, Remote, Streamer};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let streamer = Streamer::new(Remote::new("https://example.com/debian/")?).policy(Policy::Immediate);
    /// let (router, fetching) = streamer.prefetch(["dists/stable/InRelease".to_owned()], 4);
    /// tokio::spawn(fetching);
    /// # let _ = router;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prefetch<I>(
        self,
        paths: I,
        at_once: usize,
    ) -> (Router, impl Future<Output = Prefetched> + Send + use<I>)
    where
        I: IntoIterator<Item = String>,
        I::IntoIter: Send,
    {
        let shared = self.shared();
        let fetching = prefetch(Arc::clone(&shared), paths.into_iter(), at_once.max(1));
        (router(shared), fetching)
    }

    fn shared(self) -> Arc<Shared> {
        let mut shared = self.shared;
        shared.clients = Arc::new(Semaphore::new(self.clients));
        shared.most = self.clients;
        shared.finish |= shared.policy == Policy::Immediate;
        Arc::new(shared)
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let answer = |State(shared): State<Arc<Shared>>, request: Request| answer::answer(shared, request);
    Router::new().fallback(answer).with_state(shared)
}

impl Shared {
    /// Returns the cache, if anything is kept.
    pub(crate) fn keeping(&self) -> Option<&Cache> {
        self.cache.as_ref().filter(|_| self.policy != Policy::Streamed)
    }

    /// How long clients that find no place are asked to stay away.
    pub(crate) const AWAY: Duration = Duration::from_secs(1);
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.context.cancel();
    }
}

impl fmt::Debug for Streamer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamer")
            .field("policy", &self.shared.policy)
            .field("cache", &self.shared.cache)
            .finish_non_exhaustive()
    }
}
