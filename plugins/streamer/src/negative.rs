//! What sources have said instead of sending a content, for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

use crate::directives::RequestDirectives;
use crate::refusal::Refusal;
use crate::vary::selection;

/// How many are remembered at most, and how many bytes they take, about: when there are more, all are forgotten, which
/// costs no more than asking again.
const MOST: usize = 65_536;
const MOST_BYTES: usize = 32 << 20;

/// What sources have said instead of sending a content, for a while.
#[derive(Debug, Default)]
pub(crate) struct Negative(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_key: HashMap<String, Told>,
    bytes: usize,
}

#[derive(Debug)]
struct Told {
    refusal: Arc<Refusal>,
    /// What its request had of the headers that it varies by.
    selection: String,
    until: Instant,
    bytes: usize,
}

impl Negative {
    /// Returns what the source has said lately to a request like this one.
    pub(crate) fn find(
        &self,
        key: &str,
        sent: &HeaderMap,
        wants: &RequestDirectives,
    ) -> Option<Arc<Refusal>> {
        let mut all = self.0.lock();
        let told = all.by_key.get(key)?;
        let left = told.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            all.forget(key);
            return None;
        }
        let age = told.refusal.freshness.age(SystemTime::now());
        let fresh = !wants.no_cache && wants.max_age.is_none_or(|longest| age <= longest);
        let suits =
            fresh && left >= wants.min_fresh && told.selection == selection(&told.refusal.headers, sent);
        suits.then(|| Arc::clone(&told.refusal))
    }

    /// Remembers for some time what the source has said.
    pub(crate) fn insert(&self, key: &str, sent: &HeaderMap, refusal: Refusal, time: Duration) {
        let now = Instant::now();
        let Some(until) = now.checked_add(time).filter(|until| *until > now) else { return self.remove(key) };
        let headers: usize =
            refusal.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let bytes = key.len() + headers + refusal.text.as_ref().map_or(0, Bytes::len);
        let selection = selection(&refusal.headers, sent);
        let mut all = self.0.lock();
        all.forget(key);
        if all.by_key.len() >= MOST || all.bytes + bytes > MOST_BYTES {
            *all = Remembered::default();
        }
        all.bytes += bytes;
        let told = Told { refusal: Arc::new(refusal), selection, until, bytes };
        all.by_key.insert(key.to_owned(), told);
    }

    pub(crate) fn remove(&self, key: &str) {
        self.0.lock().forget(key);
    }
}

impl Remembered {
    fn forget(&mut self, key: &str) {
        if let Some(told) = self.by_key.remove(key) {
            self.bytes -= told.bytes;
        }
    }
}
