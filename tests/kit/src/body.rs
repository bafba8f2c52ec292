//! Bodies: bytes in memory, or a pattern of any length that is never held.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// The first `length` bytes of the pattern that [`Reply::generated`](crate::Reply::generated) sends.
///
/// It is pseudo-random, the same in every run, and repeats after 1,048,573 bytes: a prime, so that no block size
/// divides it and a block stored twice or at the wrong place shows.
///
/// ```
/// let long = ganymede_kit::pattern(5_000);
/// assert!(long.starts_with(&ganymede_kit::pattern(1_000)));
/// ```
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        bytes.extend_from_slice(&period()[..PERIOD.min(length - bytes.len())]);
    }
    bytes
}

/// What a reply carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Bytes(Arc<Vec<u8>>),
    Generated(u64),
}

impl Body {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Generated(length) => *length,
        }
    }

    /// Writes the bytes of `span`, which lies within the body.
    pub(crate) fn write(&self, span: Range<u64>, wire: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => wire.write_all(&bytes[index(span.start)..index(span.end)])?,
            Self::Generated(_) => {
                let mut position = span.start;
                while position < span.end {
                    let start = index(position % PERIOD as u64);
                    let length = (PERIOD - start).min(index(span.end - position));
                    wire.write_all(&period()[start..start + length])?;
                    position += length as u64;
                }
            }
        }
        wire.flush()
    }
}

const PERIOD: usize = 1_048_573;

fn index(position: u64) -> usize {
    usize::try_from(position).expect("a position in memory")
}

fn period() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        // SplitMix64: short, and its output has no structure a compressor or a test could stumble over.
        let mut state = 0x6761_6E79_6D65_6465_u64;
        let mut bytes = Vec::with_capacity(PERIOD + 8);
        while bytes.len() < PERIOD {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        bytes.truncate(PERIOD);
        bytes
    })
}
