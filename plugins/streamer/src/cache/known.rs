//! Which keys the index may have.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

/// How many may be there for nothing before they are counted anew, beside as many as there are.
const SURPLUS: usize = 16_384;

/// The keys that the index may have: most misses need not ask it.
///
/// It has a number for each key, of which a few may be the same, and keys that are gone for a while.
#[derive(Debug, Default)]
pub(super) struct Known {
    hash: RandomState,
    numbers: Mutex<HashSet<u64>>,
}

impl Known {
    pub(super) fn may_have(&self, key: &str) -> bool {
        let number = self.hash.hash_one(key);
        self.numbers.lock().contains(&number)
    }

    /// Adds a key, before it is in the index.
    pub(super) fn add(&self, key: &str) {
        let number = self.hash.hash_one(key);
        self.numbers.lock().insert(number);
    }

    /// Tells whether there are by far more than the `count` of those that the index has.
    pub(super) fn is_outgrown(&self, count: u64) -> bool {
        self.numbers.lock().len() as u64 > 2 * count + SURPLUS as u64
    }

    /// Begins anew with the keys that there are, while none can be added.
    pub(super) fn replace(&self, keys: &mut dyn Iterator<Item = &str>) {
        let numbers = keys.map(|key| self.hash.hash_one(key)).collect();
        *self.numbers.lock() = numbers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_known_until_all_is_begun_anew_without_it() {
        let known = Known::default();
        assert!(!known.may_have("a"));
        known.add("a");
        assert!(known.may_have("a") && !known.may_have("b"));
        (0..SURPLUS - 1).for_each(|number| known.add(&number.to_string()));
        assert!(!known.is_outgrown(0));
        known.add("more");
        assert!(known.is_outgrown(0) && !known.is_outgrown(1));
        known.replace(&mut ["b"].into_iter());
        assert!(known.may_have("b") && !known.may_have("a") && !known.is_outgrown(0));
    }
}
