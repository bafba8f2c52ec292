//! What is counted, in the text form of `OpenMetrics`.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::cache::Cache;

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    cache: &'static str,
    status: u16,
}

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    pub(crate) sent_bytes: Counter,
    pub(crate) cut: Counter,
    pub(crate) refused: Counter,
    pub(crate) fetches: Counter,
    pub(crate) fetched_bytes: Counter,
    pub(crate) clients: Gauge,
    connections: Gauge<u64, AtomicU64>,
    fills: Gauge<u64, AtomicU64>,
    entries: Gauge<u64, AtomicU64>,
    stored: Gauge<u64, AtomicU64>,
    limit: Gauge<u64, AtomicU64>,
    evicted: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Self {
            registry: Registry::with_prefix("ganymede"),
            requests: Family::default(),
            sent_bytes: Counter::default(),
            cut: Counter::default(),
            refused: Counter::default(),
            fetches: Counter::default(),
            fetched_bytes: Counter::default(),
            clients: Gauge::default(),
            connections: Gauge::default(),
            fills: Gauge::default(),
            entries: Gauge::default(),
            stored: Gauge::default(),
            limit: Gauge::default(),
            evicted: Gauge::default(),
        };
        let to = &mut all.registry;
        to.register("requests", "Requests, by how they were answered", all.requests.clone());
        to.register("sent_bytes", "Bytes of bodies sent to clients", all.sent_bytes.clone());
        to.register("cut", "Bodies that were cut since they could not be completed", all.cut.clone());
        to.register("refused", "Requests refused since there were too many", all.refused.clone());
        to.register("fetches", "Requests to the source", all.fetches.clone());
        to.register("fetched_bytes", "Bytes of bodies received from the source", all.fetched_bytes.clone());
        to.register("clients", "Requests being answered", all.clients.clone());
        to.register("connections", "Connections of clients", all.connections.clone());
        to.register("fills", "Fetches under way", all.fills.clone());
        to.register("cache_entries", "Contents in the cache", all.entries.clone());
        to.register("cache_bytes", "Bytes of contents in the cache", all.stored.clone());
        to.register("cache_limit_bytes", "Bytes of contents that the cache may have", all.limit.clone());
        to.register("cache_evicted", "Contents that made room for others", all.evicted.clone());
        all
    }

    /// Counts a request.
    pub(crate) fn request(&self, cache: &'static str, status: u16) {
        self.requests.get_or_create(&Labels { cache, status }).inc();
    }

    /// Writes all that is counted.
    pub(crate) fn text(&self, cache: Option<&Cache>, fills: usize, connections: u64) -> String {
        self.connections.set(connections);
        self.fills.set(fills as u64);
        if let Some(cache) = cache {
            self.entries.set(cache.count());
            self.stored.set(cache.size());
            self.limit.set(cache.limit());
            self.evicted.set(cache.evicted());
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
