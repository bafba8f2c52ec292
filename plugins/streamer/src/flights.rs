//! The fills that are under way, so that simultaneous misses of a path are one fetch.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;

use crate::directives::RequestDirectives;
use crate::fill::{Fill, Offer, Reader};

/// The fills that are under way, by key.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<String, Vec<Arc<Fill>>>>);

/// How a request takes part in what is under way.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// It reads what another one has begun.
    Joined(Reader),
    /// It has begun a fill, which is to be run, and then to be [left](Flights::leave).
    Leads(Reader),
    /// Whether it may read what another one has begun will be known when that has begun.
    UntilBegun(Arc<Fill>),
    /// The same, when that has ended.
    UntilEnded(Arc<Fill>),
}

impl Flights {
    /// Lets a request in, of which the source would be sent these headers; `make` makes a fill for it if none suits.
    pub(crate) fn enter(
        &self,
        key: &str,
        sent: &HeaderMap,
        wants: &RequestDirectives,
        make: impl FnOnce() -> (Arc<Fill>, Reader),
    ) -> Entrance {
        let mut flights = self.0.lock();
        for fill in flights.get(key).into_iter().flatten() {
            match fill.offer(sent, wants) {
                Offer::Suits(reader) => return Entrance::Joined(reader),
                Offer::LaterBegun => return Entrance::UntilBegun(Arc::clone(fill)),
                Offer::LaterEnded => return Entrance::UntilEnded(Arc::clone(fill)),
                Offer::None => {}
            }
        }
        let (fill, reader) = make();
        flights.entry(key.to_owned()).or_default().push(fill);
        Entrance::Leads(reader)
    }

    /// Lets nobody in any more.
    pub(crate) fn leave(&self, key: &str, fill: &Arc<Fill>) {
        let mut flights = self.0.lock();
        if let Some(fills) = flights.get_mut(key) {
            fills.retain(|other| !Arc::ptr_eq(other, fill));
            if fills.is_empty() {
                flights.remove(key);
            }
        }
    }

    /// Returns one of which all has come, and that is about to be stored.
    pub(crate) fn ending(&self, key: &str) -> Option<Arc<Fill>> {
        self.0.lock().get(key)?.iter().find(|fill| fill.is_ending()).cloned()
    }

    /// Returns any of which all has come, and that is about to be stored.
    pub(crate) fn any_ending(&self) -> Option<Arc<Fill>> {
        self.0.lock().values().flatten().find(|fill| fill.is_ending()).cloned()
    }

    /// Returns how many are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().values().map(Vec::len).sum()
    }
}
