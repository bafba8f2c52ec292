//! What is known of bytes that went by: how many they were, and their digests.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rayon::prelude::*;

use crate::digest::{Algorithm, Digest, Hashers};

/// The size and digests of a content, of its raw bytes.
///
/// ```
/// use ganymede::{Algorithm, Facts};
///
/// let facts = Facts::of(&b"hello"[..], [Algorithm::Md5])?;
/// assert_eq!(facts.size(), 5);
/// assert_eq!(facts.digest(Algorithm::Md5).unwrap().hex(), "5d41402abc4b2a76b9719d911017c592");
/// assert!(facts.digest(Algorithm::Sha1).is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    size: u64,
    digests: Vec<Digest>,
}

impl Facts {
    /// Computes the facts of what `reader` holds, in one pass.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of(mut reader: impl Read, algorithms: impl IntoIterator<Item = Algorithm>) -> io::Result<Self> {
        let mut tally = Tally::new(algorithms.into_iter().collect());
        let mut block = vec![0; 128 << 10];
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok(tally.finish()),
                Ok(length) => tally.update(&block[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Computes the facts of existing files, several at a time, in the order of `paths`.
    ///
    /// ```
    /// use ganymede::{Algorithm, Facts};
    ///
    /// let facts = Facts::of_files(&["Cargo.toml", "no-such-file"], &[Algorithm::Sha256]);
    /// assert!(facts[0].is_ok() && facts[1].is_err());
    /// ```
    #[must_use]
    pub fn of_files<P: AsRef<Path> + Sync>(paths: &[P], algorithms: &[Algorithm]) -> Vec<io::Result<Self>> {
        let facts = |path: &P| Self::of(File::open(path)?, algorithms.iter().copied());
        paths.par_iter().map(facts).collect()
    }

    /// Returns the size, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the digest of this algorithm, if it was asked for.
    #[must_use]
    pub fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        self.digests.iter().copied().find(|digest| digest.algorithm() == algorithm)
    }

    /// Forgets the digests of all other algorithms.
    pub(crate) fn retain(&mut self, algorithms: &[Algorithm]) {
        self.digests.retain(|digest| algorithms.contains(&digest.algorithm()));
    }

    /// Returns all digests that were asked for, the weakest algorithm first.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }
}

/// Facts in the making.
#[derive(Debug)]
pub(crate) struct Tally {
    size: u64,
    hashers: Hashers,
}

impl Tally {
    pub(crate) fn new(algorithms: Vec<Algorithm>) -> Self {
        Self { size: 0, hashers: Hashers::new(algorithms) }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Computes these digests, too; before the first byte.
    pub(crate) fn add(&mut self, algorithms: impl Iterator<Item = Algorithm>) {
        self.hashers.add(algorithms);
    }

    pub(crate) fn update(&mut self, block: &[u8]) {
        self.size += block.len() as u64;
        self.hashers.update(block);
    }

    /// Ends the digests; the size stays.
    pub(crate) fn finish(&mut self) -> Facts {
        Facts { size: self.size, digests: self.hashers.finish() }
    }
}
