//! What was stored or found lately.

use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Entries;
use super::entry::Entry;

/// How many keys are remembered without asking the index.
const HOT: usize = 16_384;

/// A change that the index does not know yet.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// An entry is there, and was used last at this time, in milliseconds since 1970.
    Add(Arc<Entry>, i64),
    /// Something else is known of an entry.
    Refresh(Arc<Entry>),
    /// The entry of this number is gone.
    Remove(i64),
}

impl Change {
    /// Returns the key of which something is there.
    fn key(&self) -> Option<&str> {
        match self {
            Self::Add(entry, _) | Self::Refresh(entry) => Some(&entry.key),
            Self::Remove(_) => None,
        }
    }
}

/// What was stored or found lately, and what the index does not know of it yet: many contents are written to that in one
/// go, since each go costs more than what is written.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    hot: HashMap<String, Entries>,
    unwritten: Vec<Change>,
}

impl State {
    fn is_removed(&self, id: i64) -> bool {
        self.unwritten.iter().any(|change| matches!(change, Change::Remove(other) if *other == id))
    }

    fn remember(&mut self, key: &str, entries: Entries) {
        if self.hot.len() >= HOT {
            self.hot.clear();
        }
        self.hot.insert(key.to_owned(), entries);
    }
}

impl Lately {
    pub(super) fn find(&self, key: &str) -> Option<Entries> {
        self.0.lock().hot.get(key).cloned()
    }

    /// Remembers what the index has for a key, and returns it; none if more is known of it by now.
    pub(super) fn remember(&self, key: &str, mut entries: Vec<Arc<Entry>>) -> Option<Entries> {
        let mut state = self.0.lock();
        let unwritten = state.unwritten.iter().any(|change| change.key() == Some(key));
        if unwritten || state.hot.contains_key(key) {
            return None;
        }
        entries.retain(|entry| !state.is_removed(entry.id));
        let entries = Entries::from(entries);
        state.remember(key, Arc::clone(&entries));
        Some(entries)
    }

    /// Forgets what there is of a key, of which an entry is to be removed; false if somebody else has removed that. The
    /// index is held by who calls, until it is removed there.
    pub(super) fn give_up(&self, key: &str, id: i64) -> bool {
        let mut state = self.0.lock();
        let there = !state.is_removed(id);
        if there {
            state.hot.remove(key);
        }
        there
    }

    /// Changes the entries of a key, which are `nothing` unless they are remembered, and notes what the index is to be told
    /// of that. Returns what `change` does, and how many changes are to be written; none if what there is of the key must
    /// be found first.
    pub(super) fn change<T>(
        &self,
        key: &str,
        nothing: impl FnOnce() -> Option<Entries>,
        change: impl FnOnce(&mut Vec<Arc<Entry>>, &mut Vec<Change>) -> T,
    ) -> Option<(T, usize)> {
        let mut state = self.0.lock();
        let nothing = nothing();
        let mut entries = state.hot.get(key).cloned().or(nothing)?.to_vec();
        let done = change(&mut entries, &mut state.unwritten);
        state.remember(key, entries.into());
        Some((done, state.unwritten.len()))
    }

    /// Tells whether the index does not know of an entry yet.
    pub(super) fn is_unwritten(&self, id: i64) -> bool {
        let state = self.0.lock();
        state.unwritten.iter().any(|change| matches!(change, Change::Add(entry, _) if entry.id == id))
    }

    /// Takes what is to be written, in its order; the index is held by who calls.
    pub(super) fn take_unwritten(&self) -> Vec<Change> {
        take(&mut self.0.lock().unwritten)
    }

    /// Puts back what could not be written, before what came since.
    pub(super) fn put_back(&self, changes: impl Iterator<Item = Change>) {
        self.0.lock().unwritten.splice(..0, changes);
    }

    /// Calls with the keys of which something is to be written, while nothing is added.
    pub(super) fn with_unwritten_keys(&self, then: impl FnOnce(Vec<&str>)) {
        let state = self.0.lock();
        let keys = state.unwritten.iter().filter_map(Change::key);
        then(keys.collect());
    }
}
