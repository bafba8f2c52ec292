//! Digests: their algorithms, their text forms, and computing them.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use digest::DynDigest;
use rayon::prelude::*;

/// A digest algorithm.
///
/// ```
/// use ganymede::Algorithm;
///
/// assert_eq!("SHA-256".parse(), Ok(Algorithm::Sha256));
/// assert_eq!(Algorithm::Sha256.to_string(), "sha256");
/// assert_eq!(Algorithm::Sha256.length(), 32);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// MD5 (RFC 1321): finds damage, proves nothing against an attacker.
    Md5,
    /// SHA-1 (FIPS 180-4): finds damage, proves little against an attacker.
    Sha1,
    /// SHA-224 (FIPS 180-4).
    Sha224,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384 (FIPS 180-4).
    Sha384,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl Algorithm {
    /// All algorithms, the weakest first.
    pub const ALL: [Self; 6] =
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Returns the name: `md5`, `sha1`, `sha224`, `sha256`, `sha384` or `sha512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the length of a digest, in bytes.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn hasher(self) -> Box<dyn DynDigest + Send> {
        match self {
            Self::Md5 => Box::<md5::Md5>::default(),
            Self::Sha1 => Box::<sha1::Sha1>::default(),
            Self::Sha224 => Box::<sha2::Sha224>::default(),
            Self::Sha256 => Box::<sha2::Sha256>::default(),
            Self::Sha384 => Box::<sha2::Sha384>::default(),
            Self::Sha512 => Box::<sha2::Sha512>::default(),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = ParseDigestError;

    /// Parses a name in either case, with or without a hyphen: `sha256`, `SHA-256`.
    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let name: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or_else(|| ParseDigestError::Algorithm(text.to_owned()))
    }
}

/// Why a text is no digest.
///
/// ```
/// use ganymede::{Digest, ParseDigestError};
///
/// let error = "crc32:00000000".parse::<Digest>().unwrap_err();
/// assert!(matches!(error, ParseDigestError::Algorithm(_)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// The algorithm is none of [`Algorithm::ALL`].
    #[error("unknown digest algorithm {0:?}: use md5, sha1, sha224, sha256, sha384 or sha512")]
    Algorithm(String),
    /// There is no algorithm in front.
    #[error("digest {0:?} names no algorithm: write it like sha256:HEX, sha256=HEX or sha256-BASE64")]
    Form(String),
    /// The value is neither hexadecimal nor, in the SRI form, base64.
    #[error("digest value {0:?} is not {1}")]
    Encoding(String, &'static str),
    /// The value has the wrong length for its algorithm.
    #[error("a {algorithm} digest has {} hexadecimal digits, not {}: {text:?}", algorithm.length() * 2, actual * 2)]
    Length {
        /// The algorithm it was said to be of.
        algorithm: Algorithm,
        /// How many bytes the value has.
        actual: usize,
        /// The value.
        text: String,
    },
}

/// A digest: an algorithm and a value of just its length.
///
/// Three text forms are parsed: `sha256:HEX` and `sha256=HEX` with hexadecimal digits in either case, and that of
/// Subresource Integrity (W3C SRI §3.1), `sha256-BASE64`. It is shown as `sha256:hex`.
///
/// ```
/// use ganymede::Digest;
///
/// let hex: Digest = "md5:D41D8CD98F00B204E9800998ECF8427E".parse()?;
/// let sri: Digest = "md5-1B2M2Y8AsgTpgAmY7PhCfg==".parse()?;
/// assert_eq!(hex, sri);
/// assert_eq!(hex.to_string(), "md5:d41d8cd98f00b204e9800998ecf8427e");
/// assert!("md5:d41d".parse::<Digest>().is_err());
/// # Ok::<(), ganymede::ParseDigestError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    value: [u8; 64],
}

impl Digest {
    /// Makes a digest of its value.
    ///
    /// # Errors
    /// The value has not the algorithm's [`length`](Algorithm::length).
    pub fn new(algorithm: Algorithm, value: &[u8]) -> Result<Self, ParseDigestError> {
        let mut padded = [0; 64];
        match padded.get_mut(..value.len()) {
            Some(start) if value.len() == algorithm.length() => start.copy_from_slice(value),
            _ => {
                let text = HEXLOWER.encode(value);
                return Err(ParseDigestError::Length { algorithm, actual: value.len(), text });
            }
        }
        Ok(Self { algorithm, value: padded })
    }

    /// Computes the SHA-256 of a text.
    pub(crate) fn sha256(text: &str) -> Self {
        let mut value = [0; 64];
        value[..32].copy_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(text));
        Self { algorithm: Algorithm::Sha256, value }
    }

    /// Parses the hexadecimal digits of a value, in either case.
    ///
    /// # Errors
    /// The text is not hexadecimal, or not of the algorithm's length.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, ParseDigestError> {
        let value = HEXLOWER_PERMISSIVE
            .decode(hex.as_bytes())
            .map_err(|_| ParseDigestError::Encoding(hex.to_owned(), "hexadecimal"))?;
        Self::new(algorithm, &value)
    }

    /// Parses integrity metadata (W3C SRI §3.1): one or more digests, of which the strongest counts.
    ///
    /// Options behind a `?` and digests of unknown algorithms are passed over, as the standard says.
    ///
    /// # Errors
    /// No digest of a known algorithm is in the text, or one is malformed.
    pub fn from_sri(text: &str) -> Result<Self, ParseDigestError> {
        let mut strongest: Option<Self> = None;
        for word in text.split_ascii_whitespace() {
            let word = word.split('?').next().unwrap_or(word);
            let Some((algorithm, value)) = word.split_once('-') else { continue };
            let Ok(algorithm) = algorithm.parse::<Algorithm>() else { continue };
            let value = BASE64
                .decode(value.as_bytes())
                .map_err(|_| ParseDigestError::Encoding(value.to_owned(), "base64"))?;
            let digest = Self::new(algorithm, &value)?;
            if strongest.is_none_or(|other| other.algorithm < algorithm) {
                strongest = Some(digest);
            }
        }
        strongest.ok_or_else(|| ParseDigestError::Form(text.to_owned()))
    }

    /// Returns the algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the value, of the algorithm's length.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value[..self.algorithm.length()]
    }

    /// Returns the value in hexadecimal digits, in lower case.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(self.value())
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let text = text.trim();
        match text.split_once([':', '=']) {
            // A base64 value ends in `=`, so the algorithm decides which form it is.
            Some((algorithm, hex)) if !algorithm.contains('-') || algorithm.parse::<Algorithm>().is_ok() => {
                Self::from_hex(algorithm.parse()?, hex)
            }
            _ => Self::from_sri(text),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Several digests of one stream of bytes, computed in one pass.
pub(crate) struct Hashers(Vec<(Algorithm, Box<dyn DynDigest + Send>)>);

/// From this size on, in bytes, a block is worth handing to several threads at once.
const PARALLEL_BLOCK: usize = 32 << 10;

impl Hashers {
    pub(crate) fn new(mut algorithms: Vec<Algorithm>) -> Self {
        algorithms.sort_unstable();
        algorithms.dedup();
        Self(algorithms.into_iter().map(|algorithm| (algorithm, algorithm.hasher())).collect())
    }

    pub(crate) fn add(&mut self, algorithms: impl Iterator<Item = Algorithm>) {
        for algorithm in algorithms {
            if let Err(at) = self.0.binary_search_by_key(&algorithm, |(other, _)| *other) {
                self.0.insert(at, (algorithm, algorithm.hasher()));
            }
        }
    }

    pub(crate) fn update(&mut self, block: &[u8]) {
        if self.0.len() < 2 || block.len() < PARALLEL_BLOCK {
            return self.0.iter_mut().for_each(|(_, hasher)| hasher.update(block));
        }
        let busy = Busy::enter();
        // On a thread of rayon's own, waiting for others would take up another job meanwhile: a download, perhaps.
        if busy.others + 1 < rayon::current_num_threads() && rayon::current_thread_index().is_none() {
            self.0.par_iter_mut().for_each(|(_, hasher)| hasher.update(block));
        } else {
            self.0.iter_mut().for_each(|(_, hasher)| hasher.update(block));
        }
    }

    pub(crate) fn finish(&mut self) -> Vec<Digest> {
        let finish = |(algorithm, hasher): (Algorithm, Box<dyn DynDigest + Send>)| {
            let mut value = [0; 64];
            let computed = hasher.finalize();
            let length = computed.len().min(value.len());
            value[..length].copy_from_slice(&computed[..length]);
            Digest { algorithm, value }
        };
        self.0.drain(..).map(finish).collect()
    }
}

/// A thread that computes several digests, of as many as do so in this process: where each core has one, handing blocks
/// over only costs.
struct Busy {
    others: usize,
}

static BUSY: AtomicUsize = AtomicUsize::new(0);

impl Busy {
    fn enter() -> Self {
        Self { others: BUSY.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Hashers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(algorithm, _)| algorithm)).finish()
    }
}
