//! Small contents that were read lately.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

/// How large a content may be, in bytes.
pub(super) const SMALL: u64 = 64 << 10;

/// How many bytes there may be in all.
const ALL: usize = 32 << 20;

/// Small contents that were read lately, by number: for them, opening a file would be most of the work.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    by_id: HashMap<i64, Bytes>,
    bytes: usize,
}

impl Memory {
    pub(super) fn find(&self, id: i64) -> Option<Bytes> {
        self.0.lock().by_id.get(&id).cloned()
    }

    pub(super) fn remember(&self, id: i64, content: Bytes) {
        let mut contents = self.0.lock();
        if contents.bytes + content.len() > ALL {
            *contents = Contents::default();
        }
        contents.bytes += content.len();
        if let Some(old) = contents.by_id.insert(id, content) {
            contents.bytes -= old.len();
        }
    }

    pub(super) fn forget(&self, id: i64) {
        let mut contents = self.0.lock();
        if let Some(content) = contents.by_id.remove(&id) {
            contents.bytes -= content.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_stays_within_its_bounds() {
        let memory = Memory::default();
        for id in 0..2000 {
            memory.remember(id, Bytes::from(vec![1; 64 << 10]));
            assert!(memory.0.lock().bytes <= ALL);
        }
        assert_eq!(memory.find(0), None);
        assert_eq!(memory.find(1999).map(|content| content.len()), Some(64 << 10));
        (0..2000).for_each(|id| memory.forget(id));
        assert_eq!((memory.find(1999), memory.0.lock().bytes), (None, 0));
        memory.remember(1, Bytes::from_static(b"12"));
        memory.remember(1, Bytes::from_static(b"345"));
        assert_eq!((memory.find(1), memory.0.lock().bytes), (Some(Bytes::from_static(b"345")), 3));
    }
}
