//! What bytes there are.

use crate::body::pattern;

/// What bytes a source has, or what a download makes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content {
    /// What is to be downloaded; a mirror has it, too.
    Right,
    /// That, up to this byte.
    Short(usize),
    /// That, and more behind it.
    Long,
    /// An error page.
    Page,
    /// What it was exchanged for.
    Other,
    /// What it was exchanged for, longer.
    OtherLonger,
    /// A mixture: the right one up to this byte, then the other one.
    Mixed(usize),
    /// The same with the longer one.
    MixedLonger(usize),
}

impl Content {
    /// Its bytes, where the right content has this size.
    ///
    /// ```
    /// use ganymede_kit::faults::Content;
    ///
    /// let (right, mixed) = (Content::Right.bytes(100), Content::Mixed(60).bytes(100));
    /// assert!(right[..60] == mixed[..60] && right[60] != mixed[60] && mixed.len() == 100);
    /// ```
    #[must_use]
    pub fn bytes(self, size: usize) -> Vec<u8> {
        let other = |length| pattern(length).into_iter().map(|byte| !byte).collect::<Vec<u8>>();
        match self {
            Self::Right => pattern(size),
            Self::Short(length) => pattern(length),
            Self::Long => pattern(size + 1000),
            Self::Page => b"<html><h1>Sorry</h1></html>".to_vec(),
            Self::Other => other(size),
            Self::OtherLonger => other(size + 5000),
            Self::Mixed(at) => [&pattern(at)[..], &other(size)[at..]].concat(),
            Self::MixedLonger(at) => [&pattern(at)[..], &other(size + 5000)[at..]].concat(),
        }
    }
}
