//! The digests that contents must have, from the lists that are published beside them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use ganymede::{Algorithm, Digest, ParseDigestError};

use crate::path::ResourcePath;

/// The longest list that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// The longest line of a list, in bytes: a digest, and a path as long as any system takes.
const LONGEST_LINE: u64 = 8 << 10;

/// The digests that files must have, by their names below the remote.
///
/// They are read from lists as `sha256sum` and its kin write them: a digest in hexadecimal digits, a space, a space or
/// `*`, and a name; a line whose name has a backslash or a line break in it begins with a backslash, and has them
/// escaped. The number of digits says which algorithm it is. Blank lines and those that begin with `#` are passed over.
///
/// ```
/// use ganymede_streamer::{Digests, ResourcePath};
///
/// let list = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  ./pool/a b.deb\n";
/// let digests = Digests::parse(list.as_bytes())?;
/// let path: ResourcePath = "/pool/a%20b.deb?any".parse()?;
/// assert!(digests.of(&path).unwrap().to_string().starts_with("sha256:9f86d081"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Digests {
    by_name: HashMap<Vec<u8>, Digest>,
}

/// Why a list of digests cannot be used.
///
/// ```
/// use ganymede_streamer::{Digests, DigestsError};
///
/// let error = Digests::parse(&b"d41d  a\n"[..]).unwrap_err();
/// assert!(matches!(error, DigestsError::Line { line: 1, .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DigestsError {
    /// It cannot be read.
    #[error("cannot read the list of digests: {0}")]
    Read(#[from] io::Error),
    /// A line is none of a list of digests.
    #[error("line {line} of the list of digests: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The list is longer than any that is read.
    #[error("the list of digests has more than {LONGEST} bytes")]
    TooLong,
    /// Another list has another digest of the same algorithm for this name.
    #[error("there are two digests for {0:?}")]
    Conflict(String),
}

impl Digests {
    /// Expects nothing of any file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a list from a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no such list.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DigestsError> {
        Self::parse(BufReader::new(File::open(path)?))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// It cannot be read, or has a line that is none of such a list: a digest that is passed over by mistake would let
    /// any content through.
    pub fn parse(list: impl BufRead) -> Result<Self, DigestsError> {
        let mut list = list.take(LONGEST);
        let (mut digests, mut text, mut number) = (Self::new(), Vec::new(), 0);
        loop {
            text.clear();
            number += 1;
            if (&mut list).take(LONGEST_LINE).read_until(b'\n', &mut text)? == 0 {
                break;
            }
            let failed = |reason: String| DigestsError::Line { line: number, reason };
            if text.last() != Some(&b'\n') && text.len() as u64 == LONGEST_LINE {
                return Err(failed("it is too long".to_owned()));
            }
            let line = text.strip_suffix(b"\n").unwrap_or(&text);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (name, digest) = entry(line).map_err(failed)?;
            let old = digests.by_name.insert(name, digest);
            if old.is_some_and(|old| old != digest) {
                return Err(failed("it has another digest for a name that was there before".to_owned()));
            }
        }
        if list.limit() == 0 { Err(DigestsError::TooLong) } else { Ok(digests) }
    }

    /// Expects a digest of a file.
    #[must_use]
    pub fn with(mut self, path: &ResourcePath, digest: Digest) -> Self {
        self.by_name.insert(path.name(), digest);
        self
    }

    /// Expects what another list says, too. Of two digests of a file, the longer one counts.
    ///
    /// ```
    /// use ganymede_streamer::{Digests, ResourcePath};
    ///
    /// let short = Digests::parse(&b"d41d8cd98f00b204e9800998ecf8427e  a\n"[..])?;
    /// let long = Digests::parse(&b"da39a3ee5e6b4b0d3255bfef95601890afd80709  a\n"[..])?;
    /// let path: ResourcePath = "/a".parse()?;
    /// assert_eq!(short.merge(long.clone())?.of(&path), long.of(&path));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The two lists say different things of a file.
    pub fn merge(mut self, other: Self) -> Result<Self, DigestsError> {
        for (name, digest) in other.by_name {
            match self.by_name.entry(name) {
                Entry::Vacant(place) => drop(place.insert(digest)),
                Entry::Occupied(mut known) => {
                    let (length, before) = (digest.algorithm().length(), known.get().algorithm().length());
                    if length > before {
                        known.insert(digest);
                    } else if length == before && digest != *known.get() {
                        let name = String::from_utf8_lossy(known.key()).into_owned();
                        return Err(DigestsError::Conflict(name));
                    }
                }
            }
        }
        Ok(self)
    }

    /// Returns the paths of the files, in no order; what has a name that no path has is left out.
    pub fn paths(&self) -> impl Iterator<Item = ResourcePath> {
        self.by_name.keys().filter_map(|name| ResourcePath::of_name(name))
    }

    /// Returns the digest that the file at a path must have, however the path is spelt and whatever its query, if one is
    /// expected.
    #[must_use]
    pub fn of(&self, path: &ResourcePath) -> Option<Digest> {
        if self.by_name.is_empty() { None } else { self.by_name.get(&path.name()).copied() }
    }

    /// Returns how many files are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Tells whether nothing is expected of any file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").field("files", &self.len()).finish()
    }
}

/// Parses a line.
fn entry(line: &[u8]) -> Result<(Vec<u8>, Digest), String> {
    let (escaped, line) = line.strip_prefix(b"\\").map_or((false, line), |line| (true, line));
    let end = line.iter().position(|byte| *byte == b' ').ok_or("it has no name behind a digest")?;
    let (hex, rest) = line.split_at(end);
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"));
    let name = name.ok_or("it has no name behind a digest")?;
    let name = if escaped { unescaped(name)? } else { name.to_vec() };
    Ok((plain(&name)?, digest(hex)?))
}

/// Parses hexadecimal digits, whose number says what algorithm it is.
fn digest(hex: &[u8]) -> Result<Digest, String> {
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.length() * 2 == hex.len());
    let algorithm =
        algorithm.ok_or_else(|| format!("a digest of {} digits is of no known algorithm", hex.len()))?;
    let hex = String::from_utf8_lossy(hex);
    Digest::from_hex(algorithm, &hex).map_err(|error: ParseDigestError| error.to_string())
}

/// Takes back what `sha256sum` does to a name that would break its line.
fn unescaped(name: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'\\') => b'\\',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => return Err("its name is escaped in an unknown way".to_owned()),
            },
            byte => *byte,
        });
    }
    Ok(plain)
}

/// Returns a name as a path below the remote has it.
fn plain(name: &[u8]) -> Result<Vec<u8>, String> {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    let bad = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
    if name.split(|byte| *byte == b'/').any(bad) {
        return Err("its name is no path below the remote".to_owned());
    }
    Ok(name.to_vec())
}
