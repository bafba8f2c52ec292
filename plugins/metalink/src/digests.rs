//! The digests of the pieces of a content.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use ganymede::{Algorithm, Digest, Facts};

/// The digests of the pieces of a content: all have the same length but the last, which may be shorter.
///
/// ```
/// use ganymede::Algorithm;
/// use ganymede_metalink::PieceDigests;
///
/// let pieces = PieceDigests::of(&b"hello world"[..], 5, Algorithm::Sha256)?;
/// assert_eq!((pieces.length(), pieces.count()), (5, 3));
/// assert_eq!(pieces.digest(3), None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PieceDigests {
    algorithm: Algorithm,
    length: u64,
    /// One after the other: a large content has very many of them.
    values: Arc<[u8]>,
}

impl PieceDigests {
    /// Takes the digests in the order of the pieces; `None` if one is of another algorithm, or a piece has no length.
    #[must_use]
    pub fn new(algorithm: Algorithm, length: u64, digests: impl IntoIterator<Item = Digest>) -> Option<Self> {
        let mut values = Vec::new();
        for digest in digests {
            if digest.algorithm() != algorithm {
                return None;
            }
            values.extend_from_slice(digest.value());
        }
        Self::of_values(algorithm, length, values)
    }

    pub(crate) fn of_values(algorithm: Algorithm, length: u64, values: Vec<u8>) -> Option<Self> {
        let whole = values.len().is_multiple_of(algorithm.length());
        (length > 0 && whole).then(|| Self { algorithm, length, values: values.into() })
    }

    /// Computes the digests of what `content` holds; a piece of no length counts as one of a byte.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of(mut content: impl Read, length: u64, algorithm: Algorithm) -> io::Result<Self> {
        let (length, mut values) = (length.max(1), Vec::new());
        loop {
            let facts = Facts::of(content.by_ref().take(length), [algorithm])?;
            if let Some(digest) = facts.digest(algorithm).filter(|_| facts.size() > 0) {
                values.extend_from_slice(digest.value());
            }
            if facts.size() < length {
                return Ok(Self { algorithm, length, values: values.into() });
            }
        }
    }

    /// Returns the algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns how many bytes a piece has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns how many pieces there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.values.len() / self.algorithm.length()) as u64
    }

    /// Returns the digest of a piece, the first of which is 0.
    #[must_use]
    pub fn digest(&self, piece: u64) -> Option<Digest> {
        let start = usize::try_from(piece).ok()?.checked_mul(self.algorithm.length())?;
        let value = self.values.get(start..)?.get(..self.algorithm.length())?;
        Digest::new(self.algorithm, value).ok()
    }

    /// Tells whether a content of that many bytes has so many pieces.
    #[must_use]
    pub fn covers(&self, size: u64) -> bool {
        size.div_ceil(self.length) == self.count()
    }
}

impl fmt::Debug for PieceDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algorithm, length, count) = (self.algorithm, self.length, self.count());
        f.debug_struct("PieceDigests")
            .field("algorithm", &algorithm)
            .field("length", &length)
            .field("count", &count)
            .finish_non_exhaustive()
    }
}
