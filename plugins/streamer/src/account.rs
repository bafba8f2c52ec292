//! What becomes of one request, until its last byte.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use crate::access::Access;
use crate::metrics::Metrics;

/// Who is told how requests were answered.
pub(crate) type AccessLog = Arc<dyn Fn(&Access) + Send + Sync>;

/// What becomes of one request, until its last byte: told to the log and counted when it is dropped.
pub(crate) struct Account {
    pub(crate) access: Access,
    pub(crate) started: Instant,
    pub(crate) log: Option<AccessLog>,
    pub(crate) metrics: Arc<Metrics>,
    /// Has the connection reset when it ends, where a client may else take a part for the whole.
    pub(crate) reset: Option<Arc<AtomicBool>>,
    /// Whether not all of the response has been handed over.
    pub(crate) answering: Option<Arc<AtomicBool>>,
    /// The place among those that are answered at once.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Account {
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.access.bytes += bytes as u64;
        self.metrics.sent_bytes.inc_by(bytes as u64);
    }

    /// Notes that all was sent.
    pub(crate) fn completed(&mut self) {
        self.access.complete = true;
        if let Some(answering) = &self.answering {
            answering.store(false, Ordering::Release);
        }
    }

    /// Notes that not all can be sent.
    pub(crate) fn cut(&mut self) {
        self.access.complete = false;
        self.metrics.cut.inc();
        if let Some(reset) = &self.reset {
            reset.store(true, Ordering::Release);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.access.duration = self.started.elapsed();
        self.metrics.request(self.access.cache, self.access.status);
        self.metrics.clients.dec();
        drop(self.permit.take());
        if let Some(log) = &self.log {
            log(&self.access);
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("access", &self.access).finish_non_exhaustive()
    }
}
