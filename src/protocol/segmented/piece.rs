//! A part of the content, while it is received.

use parking_lot::Mutex;

/// A part of the content that one request asks for. Several may be at it: each adds what the others have not yet.
pub(super) struct Piece {
    /// The position of its first byte in what was asked for.
    pub(super) start: u64,
    /// How many bytes it has when it is whole.
    pub(super) length: usize,
    bytes: Mutex<Vec<u8>>,
}

impl Piece {
    /// Makes an empty piece over a buffer.
    pub(super) fn new(start: u64, length: usize, buffer: Vec<u8>) -> Self {
        Self { start, length, bytes: Mutex::new(buffer) }
    }

    /// Returns the position after its last byte.
    pub(super) fn end(&self) -> u64 {
        self.start + self.length as u64
    }

    /// Returns how many bytes are there.
    pub(super) fn received(&self) -> usize {
        self.bytes.lock().len()
    }

    /// Adds what is new of a block that belongs to position `at`, and returns how many bytes that is.
    ///
    /// Who began at what was there, and adds one block after the other, leaves no gap.
    pub(super) fn add(&self, at: usize, block: &[u8]) -> usize {
        let mut bytes = self.bytes.lock();
        let new = bytes.len().checked_sub(at).and_then(|known| block.get(known..)).unwrap_or_default();
        let new = &new[..new.len().min(self.length - bytes.len())];
        bytes.extend_from_slice(new);
        new.len()
    }

    /// Copies what is there from `from` on, as far as there is room in `target`; returns how many bytes that were.
    pub(super) fn copy(&self, from: usize, target: &mut Vec<u8>) -> usize {
        let bytes = self.bytes.lock();
        let there = bytes.get(from..).unwrap_or_default();
        let copied = &there[..there.len().min(target.capacity() - target.len())];
        target.extend_from_slice(copied);
        copied.len()
    }

    /// Takes all bytes.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_have_received_is_there_once() {
        let piece = Piece::new(100, 10, Vec::new());
        assert_eq!(piece.add(0, b"abc"), 3);
        assert_eq!((piece.add(3, b"de"), piece.add(3, b"defg"), piece.add(5, b"fg")), (2, 2, 0));
        assert_eq!(piece.add(7, b"hijklm"), 3);
        assert_eq!((piece.received(), piece.end()), (10, 110));
        let mut target = Vec::with_capacity(4);
        let room = target.capacity();
        assert_eq!(piece.copy(2, &mut target), room.min(8));
        assert!(b"cdefghij".starts_with(&target[..]));
        assert_eq!(piece.take(), b"abcdefghij");
    }
}
