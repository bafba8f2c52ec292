//! What a client asks for: a path below the remote, in one form.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{percent_decode_str, percent_encode_byte};

/// What a segment may hold as it is beside what is unreserved: the rest of `pchar` (RFC 3986 §3.3).
const RESERVED: &[u8] = b"!$&'()*+,;=:@";

/// A path and query in one form for its equivalent spellings (RFC 3986 §6.2.2), which leads nowhere but down.
///
/// Its path is relative: it begins with no slash, has no empty segment but the last, which stands for a folder, and no
/// segment that is `.` or `..` in any spelling. Unreserved characters are never encoded, what no path may hold always
/// is, and reserved ones stay as they came, since to some servers a `+` is not a `%2B`. The query stays byte for byte:
/// it may be signed.
///
/// ```
/// use ganymede_streamer::ResourcePath;
///
/// let path: ResourcePath = "/pool/%7eamy/a%2bb.deb?sign=a%2Fb".parse()?;
/// assert_eq!(path.as_str(), "pool/~amy/a%2Bb.deb?sign=a%2Fb");
/// assert_eq!((path.path(), path.query()), ("pool/~amy/a%2Bb.deb", Some("sign=a%2Fb")));
/// assert_eq!(path.name(), b"pool/~amy/a+b.deb");
/// assert!("/pool/%2e%2e/secret".parse::<ResourcePath>().is_err());
/// # Ok::<(), ganymede_streamer::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePath {
    text: String,
    /// The length of the path, before the query.
    length: usize,
}

/// Why the target of a request is no path that is asked for.
///
/// ```
/// use ganymede_streamer::{PathError, ResourcePath};
///
/// assert_eq!("/a%00".parse::<ResourcePath>(), Err(PathError::Forbidden));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    Relative,
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("the path has a percent sign without two hexadecimal digits")]
    Encoding,
    /// It has a control character, a backslash, or a slash that is encoded.
    #[error("the path has a character that no path may have")]
    Forbidden,
    /// It has a segment `.` or `..`.
    #[error("the path has a segment that leads elsewhere")]
    Dots,
    /// It has an empty segment before its end.
    #[error("the path has an empty segment")]
    Empty,
}

impl ResourcePath {
    /// Returns it as text: the path, and behind a `?` the query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[..self.length]
    }

    /// Returns the query, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.text[self.length..].strip_prefix('?')
    }

    /// Returns the path that stands for the file of a name, if one does.
    pub(crate) fn of_name(name: &[u8]) -> Option<Self> {
        let mut target = String::from("/");
        for byte in name {
            match byte {
                b'/' => target.push('/'),
                byte if is_unreserved(*byte) || RESERVED.contains(byte) => target.push(char::from(*byte)),
                byte => target.push_str(percent_encode_byte(*byte)),
            }
        }
        target.parse().ok()
    }

    /// Returns the name of the file that the path stands for: with nothing encoded, and the same for all spellings.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        percent_decode_str(self.path()).collect()
    }
}

impl FromStr for ResourcePath {
    type Err = PathError;

    /// Parses the target of a request, `/path?query`.
    fn from_str(target: &str) -> Result<Self, PathError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let path = path.strip_prefix('/').ok_or(PathError::Relative)?;
        let mut text = String::with_capacity(target.len());
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let start = text.len();
            normalise(segment, &mut text)?;
            let last = segments.peek().is_none();
            match &text[start..] {
                "." | ".." => return Err(PathError::Dots),
                "" if !last => return Err(PathError::Empty),
                _ if !last => text.push('/'),
                _ => {}
            }
        }
        let length = text.len();
        if let Some(query) = query {
            if query.bytes().any(|byte| byte.is_ascii_control() || byte == b'#') {
                return Err(PathError::Forbidden);
            }
            text.push('?');
            text.push_str(query);
        }
        Ok(Self { text, length })
    }
}

/// Writes a segment in its one form; what would mean something else once it is decoded further on is refused.
fn normalise(segment: &str, text: &mut String) -> Result<(), PathError> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let encoded = byte == b'%';
        let byte = match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(PathError::Encoding),
            },
            byte => byte,
        };
        if byte.is_ascii_control() || matches!(byte, b'/' | b'\\') {
            return Err(PathError::Forbidden);
        }
        if is_unreserved(byte) || (!encoded && RESERVED.contains(&byte)) {
            text.push(char::from(byte));
        } else {
            text.push_str(percent_encode_byte(byte));
        }
    }
    Ok(())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
