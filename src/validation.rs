//! Checks that a content must pass before it becomes real.

use std::sync::Arc;

use crate::digest::{Algorithm, Digest};
use crate::facts::Facts;

/// Why a content is not the expected one.
///
/// ```
/// use ganymede::{DownloadError, ErrorKind, ValidationError};
///
/// fn is_damaged(error: &DownloadError) -> bool {
///     matches!(error.kind(), ErrorKind::Validation(ValidationError::Digest { .. }))
/// }
/// # let _ = is_damaged;
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// The digest is another one.
    #[error("the digest is {actual}, expected {expected}")]
    Digest {
        /// What it should be.
        expected: Box<Digest>,
        /// What the bytes have.
        actual: Box<Digest>,
    },
    /// The size, in bytes, is another one.
    #[error("the size is {actual} bytes, expected {expected}")]
    Size {
        /// What it should be.
        expected: u64,
        /// How many bytes there are.
        actual: u64,
    },
    /// There are more bytes than expected; receiving was stopped when that was clear.
    #[error("the size is more than the expected {expected} bytes: {received} were received")]
    Excess {
        /// How many bytes there should be.
        expected: u64,
        /// How many were received until then.
        received: u64,
    },
    /// Something else, said by a validation of the caller's own.
    #[error("{0}")]
    Custom(String),
}

impl ValidationError {
    /// Makes an error of a validation of one's own.
    #[must_use]
    pub fn custom(message: impl Into<String>) -> Self {
        Self::Custom(message.into())
    }
}

/// What a content must be like: a specification, shared by all attempts.
///
/// For each copy of the bytes a fresh [`Check`] is begun from it.
///
/// ```
/// use ganymede::{Check, Facts, Validation, ValidationError};
///
/// /// The first bytes must be those of a gzip file (RFC 1952 §2.3.1).
/// struct Gzip;
/// struct GzipCheck(Vec<u8>);
///
/// impl Validation for Gzip {
///     fn begin(&self) -> Box<dyn Check> { Box::new(GzipCheck(Vec::new())) }
/// }
/// impl Check for GzipCheck {
///     fn update(&mut self, block: &[u8]) -> Result<(), ValidationError> {
///         self.0.extend(block.iter().take(2 - self.0.len()));
///         Ok(())
///     }
///     fn finish(self: Box<Self>, _: &Facts) -> Result<(), ValidationError> {
///         if self.0 == [0x1f, 0x8b] { Ok(()) } else { Err(ValidationError::custom("not a gzip file")) }
///     }
/// }
/// # let _ = Gzip;
/// ```
pub trait Validation: Send + Sync {
    /// Names the digests that [`Check::finish`] wants to see in the facts: each is computed once, whoever asks.
    fn needs(&self) -> Vec<Algorithm> {
        Vec::new()
    }

    /// Tells whether passing proves that two sources hold the same content.
    fn identifies(&self) -> bool {
        false
    }

    /// Returns the digest that the content must have, if it is that what is checked.
    ///
    /// What an interrupted run has kept is gone on with only if it was fetched for the same digest.
    fn expected(&self) -> Option<Digest> {
        None
    }

    /// Tells whether failing fails the download; otherwise it becomes a warning in the receipt.
    fn enforced(&self) -> bool {
        true
    }

    /// Begins the check of one copy.
    fn begin(&self) -> Box<dyn Check>;
}

/// The check of one copy of the bytes.
pub trait Check: Send {
    /// Learns how many bytes are announced, before the first of them; an error ends the copy at once.
    ///
    /// # Errors
    /// It cannot be the expected content.
    fn announced(&mut self, size: u64) -> Result<(), ValidationError> {
        let _ = size;
        Ok(())
    }

    /// Looks at the next block, in order, before it is written; an error ends the copy at once.
    ///
    /// # Errors
    /// What is wrong with the content.
    fn update(&mut self, block: &[u8]) -> Result<(), ValidationError> {
        let _ = block;
        Ok(())
    }

    /// Decides, when all bytes are there and none is committed.
    ///
    /// # Errors
    /// What is wrong with the content.
    fn finish(self: Box<Self>, facts: &Facts) -> Result<(), ValidationError>;
}

/// Checks that the content has a digest.
///
/// ```
/// use ganymede::DigestValidation;
///
/// let validation = DigestValidation::new("md5:d41d8cd98f00b204e9800998ecf8427e".parse()?);
/// # let _ = validation;
/// # Ok::<(), ganymede::ParseDigestError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DigestValidation(Digest);

impl DigestValidation {
    /// Expects this digest.
    #[must_use]
    pub fn new(expected: Digest) -> Self {
        Self(expected)
    }
}

impl Validation for DigestValidation {
    fn needs(&self) -> Vec<Algorithm> {
        vec![self.0.algorithm()]
    }

    fn identifies(&self) -> bool {
        true
    }

    fn expected(&self) -> Option<Digest> {
        Some(self.0)
    }

    fn begin(&self) -> Box<dyn Check> {
        Box::new(self.clone())
    }
}

impl Check for DigestValidation {
    fn finish(self: Box<Self>, facts: &Facts) -> Result<(), ValidationError> {
        match facts.digest(self.0.algorithm()) {
            Some(actual) if actual == self.0 => Ok(()),
            Some(actual) => {
                Err(ValidationError::Digest { expected: Box::new(self.0), actual: Box::new(actual) })
            }
            None => Err(ValidationError::custom(format!("no {} digest was computed", self.0.algorithm()))),
        }
    }
}

/// Checks that the content has a size, and ends it as soon as there is more.
///
/// ```
/// use ganymede::SizeValidation;
///
/// let validation = SizeValidation::new(1024);
/// # let _ = validation;
/// ```
#[derive(Debug, Clone)]
pub struct SizeValidation {
    expected: u64,
    received: u64,
}

impl SizeValidation {
    /// Expects this many bytes.
    #[must_use]
    pub fn new(expected: u64) -> Self {
        Self { expected, received: 0 }
    }
}

impl Validation for SizeValidation {
    fn begin(&self) -> Box<dyn Check> {
        Box::new(Self::new(self.expected))
    }
}

impl Check for SizeValidation {
    fn announced(&mut self, size: u64) -> Result<(), ValidationError> {
        if size == self.expected {
            return Ok(());
        }
        Err(ValidationError::Size { expected: self.expected, actual: size })
    }

    fn update(&mut self, block: &[u8]) -> Result<(), ValidationError> {
        self.received += block.len() as u64;
        let (expected, received) = (self.expected, self.received);
        if received > expected { Err(ValidationError::Excess { expected, received }) } else { Ok(()) }
    }

    fn finish(self: Box<Self>, facts: &Facts) -> Result<(), ValidationError> {
        let (expected, actual) = (self.expected, facts.size());
        if actual == expected { Ok(()) } else { Err(ValidationError::Size { expected, actual }) }
    }
}

/// A validation that only warns: failing it is told in the receipt and the log, and the download goes on.
///
/// ```
/// use ganymede::{SizeValidation, WarnOnly};
///
/// let validation = WarnOnly::new(SizeValidation::new(1024));
/// # let _ = validation;
/// ```
#[derive(Debug, Clone)]
pub struct WarnOnly<V>(V);

impl<V: Validation> WarnOnly<V> {
    /// Lets `validation` warn only.
    #[must_use]
    pub fn new(validation: V) -> Self {
        Self(validation)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<V: Validation> Validation for WarnOnly<V> {
    fn needs(&self) -> Vec<Algorithm> {
        self.0.needs()
    }

    fn identifies(&self) -> bool {
        false
    }

    fn expected(&self) -> Option<Digest> {
        None
    }

    fn enforced(&self) -> bool {
        false
    }

    fn begin(&self) -> Box<dyn Check> {
        self.0.begin()
    }
}

/// Forwards to what a pointer points to.
macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<V: Validation + ?Sized> Validation for $pointer<V> {
            fn needs(&self) -> Vec<Algorithm> {
                (**self).needs()
            }

            fn identifies(&self) -> bool {
                (**self).identifies()
            }

            fn expected(&self) -> Option<Digest> {
                (**self).expected()
            }

            fn enforced(&self) -> bool {
                (**self).enforced()
            }

            fn begin(&self) -> Box<dyn Check> {
                (**self).begin()
            }
        }
    )*};
}

forward!(Arc, Box);
