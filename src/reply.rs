//! What a protocol answers: a head, and a body.

use std::fmt;
use std::io::BufRead;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use crate::digest::Digest;
use crate::failure::Failure;
use crate::integrity;
use crate::request::Request;
use crate::timing::Timing;

/// What a content is recognised by when it is asked for again (RFC 9110 §8.8).
///
/// ```
/// use ganymede::{Head, Validator};
///
/// let url = "https://example.com/".parse()?;
/// let strong = Head::new(&url).with_header("etag", "\"v1\"");
/// assert_eq!(strong.validator(), Some(Validator::ETag("\"v1\"".to_owned())));
/// let weak = Head::new(&url).with_header("etag", "W/\"v1\"");
/// assert_eq!(weak.validator(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Validator {
    /// A strong entity tag, with its quotes: the same tag is the same bytes.
    ETag(String),
    /// A time of modification, as an HTTP date.
    LastModified(String),
}

impl Validator {
    /// Returns the value of the header that holds it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::ETag(text) | Self::LastModified(text) => text,
        }
    }
}

/// What is known of a content before its first byte.
///
/// Every protocol speaks of it in HTTP's words, so that a streamer forwards the head of any of them.
///
/// ```
/// use ganymede::Head;
///
/// let head = Head::new(&"ftp://example.com/a".parse()?).with_length(Some(10));
/// assert_eq!((head.status().as_u16(), head.length(), head.offset()), (200, Some(10), 0));
/// assert_eq!(head.header("content-length"), Some("10"));
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Head {
    url: Url,
    status: StatusCode,
    headers: HeaderMap,
    offset: u64,
    length: Option<u64>,
    total: Option<u64>,
    alone: bool,
    stated: Vec<Digest>,
}

impl Head {
    /// Makes the head of a whole content of unknown length; `url` is where it was found in the end.
    #[must_use]
    pub fn new(url: &Url) -> Self {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Self {
            url: crate::error::redacted(url),
            status,
            headers,
            offset: 0,
            length: None,
            total: None,
            alone: false,
            stated: Vec::new(),
        }
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets all headers at once; nothing is read from them. Their values are copied: those of a library are parts of all
    /// that it has received with them, and would keep that in memory for as long as the head is kept.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        let together: Vec<u8> = self.headers.values().flat_map(HeaderValue::as_bytes).copied().collect();
        let (together, mut at) = (Bytes::from(together), 0);
        for (name, value) in &mut self.headers {
            let sensitive = value.is_sensitive() || name == SET_COOKIE;
            let end = at + value.len();
            if let Ok(copy) = HeaderValue::from_maybe_shared(together.slice(at..end)) {
                *value = copy;
            }
            value.set_sensitive(sensitive);
            at = end;
        }
        self
    }

    /// Sets the length of a whole content, in bytes, and its `Content-Length`.
    #[must_use]
    pub fn with_length(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self.total = length;
        match length {
            Some(length) => drop(self.headers.insert(CONTENT_LENGTH, length.into())),
            None => drop(self.headers.remove(CONTENT_LENGTH)),
        }
        self
    }

    /// Makes it the head of a part: `length` bytes from `offset` of a content of `total` bytes.
    #[must_use]
    pub fn with_part(mut self, offset: u64, length: Option<u64>, total: Option<u64>) -> Self {
        self = self.with_length(length).with_status(StatusCode::PARTIAL_CONTENT);
        (self.offset, self.total) = (offset, total);
        if let Some(length) = length.filter(|length| *length > 0) {
            let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
            let text = format!("bytes {offset}-{}/{total}", offset.saturating_add(length - 1));
            if let Ok(value) = HeaderValue::from_str(&text) {
                self.headers.insert(CONTENT_RANGE, value);
            }
        }
        self
    }

    /// Makes it the head of what a request asks for of a content of `total` bytes: all, or the part of its range (RFC 9110
    /// §14.2), unless it is of another version than that [must be](Request::if_range). [`offset`](Self::offset) and
    /// [`length`](Self::length) then say which bytes are to be sent.
    ///
    /// The head must have its validator by then.
    ///
    /// ```
    /// use ganymede::{ByteRange, Head, Request};
    ///
    /// let mut request = Request::get("example:content")?;
    /// request.set_range(ByteRange::new(3, Some(5)));
    /// let head = Head::new(request.url()).answering(&request, 10)?;
    /// assert_eq!((head.offset(), head.length(), head.total()), (3, Some(3), Some(10)));
    /// assert!(Head::new(request.url()).answering(&request, 2).is_err());
    /// # Ok::<(), ganymede::Failure>(())
    /// ```
    ///
    /// # Errors
    /// The status 416 (Range Not Satisfiable), with the total, if the range begins behind the content.
    pub fn answering(self, request: &Request, total: u64) -> Result<Self, Failure> {
        let same = request.if_range().is_none_or(|expected| self.validator().as_ref() == Some(expected));
        let Some(range) = request.range().filter(|_| same) else { return Ok(self.with_length(Some(total))) };
        if range.first() > 0 && range.first() >= total {
            let message = format!("it has {total} bytes: there is no {range}");
            let status = Failure::from_status(StatusCode::RANGE_NOT_SATISFIABLE);
            return Err(status.message(message).with_total(Some(total)));
        }
        let end = range.last().map_or(total, |last| total.min(last.saturating_add(1)));
        Ok(self.with_part(range.first(), Some(end - range.first()), Some(total)))
    }

    /// Sets when the content was modified, and its `Last-Modified`.
    #[must_use]
    pub fn with_modified(mut self, modified: SystemTime) -> Self {
        // Times before 1970 or after 9999 have no HTTP date, and the formatter panics on them.
        let age = modified.duration_since(SystemTime::UNIX_EPOCH);
        if age.is_ok_and(|age| age.as_secs() < 253_402_300_800)
            && let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(modified))
        {
            self.headers.insert(LAST_MODIFIED, value);
        }
        self
    }

    /// States a digest that the whole content must have, as far as its source knows: it is checked like one of the
    /// header `Repr-Digest`, also when it is of an older algorithm.
    ///
    /// ```
    /// use ganymede::{Digest, Head};
    ///
    /// let digest: Digest = "md5:d41d8cd98f00b204e9800998ecf8427e".parse()?;
    /// let head = Head::new(&"ftp://example.com/empty".parse()?).with_digest(digest);
    /// assert_eq!(head.digests(), [digest]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.stated.push(digest);
        self
    }

    /// Sets a header; one that no header may be is left out.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            self.headers.insert(name, value);
        }
        self
    }

    /// Returns where the content was found, after redirects and without credentials.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the status: 200 for a whole content, 206 for a part, 304 for one that has not changed.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns all headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the value of a header, if there is one and it is text.
    #[must_use]
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Tells whether no body follows it: it answers HEAD, or says that nothing has changed.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Returns the position in the whole content of the body's first byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns how many bytes the body has.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns how many bytes the whole content has.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Returns the entity tag as it came, weak or strong.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.header(ETAG)
    }

    /// Returns the entity tag if it is strong: the same tag is the same bytes.
    #[must_use]
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag().filter(|tag| tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"'))
    }

    /// Returns when the content was modified.
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header(LAST_MODIFIED)?).ok()
    }

    /// Returns what a continuation is guarded by: a strong entity tag, else a time that is strong as well.
    ///
    /// A time is strong when it is at least a second older than the reply (RFC 9110 §8.8.2.2); a reply without a
    /// date, as that of a file, is taken to be of now.
    #[must_use]
    pub fn validator(&self) -> Option<Validator> {
        if let Some(tag) = self.strong_etag() {
            return Some(Validator::ETag(tag.to_owned()));
        }
        let modified = self.modified()?;
        let date = self.header(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        let age = date.unwrap_or_else(SystemTime::now).duration_since(modified).ok()?;
        let text = self.header(LAST_MODIFIED)?.to_owned();
        (age >= Duration::from_secs(1)).then_some(Validator::LastModified(text))
    }

    /// Returns the digests that its source states of the whole content: those of the header `Repr-Digest` (RFC 9530
    /// §3), and those that a protocol has [added](Self::with_digest).
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        integrity::of_content(self)
    }

    /// Returns the digests that a protocol has added.
    pub(crate) fn stated(&self) -> &[Digest] {
        &self.stated
    }

    /// Returns the headers that go on to a next recipient.
    ///
    /// Left out are those of this connection only (RFC 9110 §7.6.1: `Connection`, what it names, and the known ones)
    /// and cookies, which are between the origin and who asked it.
    #[must_use]
    pub fn end_to_end(&self) -> HeaderMap {
        const DROPPED: [&str; 11] = [
            "connection",
            "proxy-connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "proxy-authenticate",
            "proxy-authorization",
            "set-cookie",
            "set-cookie2",
        ];
        // Who forwards a body that came in chunks must drop a length beside them (RFC 9112 §6.3).
        let chunked = self.headers.contains_key("transfer-encoding");
        let named: Vec<String> = (self.headers.get_all("connection").iter())
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let stays_behind = |name: &HeaderName| {
            DROPPED.contains(&name.as_str())
                || (chunked && name == CONTENT_LENGTH)
                || named.iter().any(|other| other == name.as_str())
        };
        let passing = self.headers.iter().filter(|(name, _)| !stays_behind(name));
        passing.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// A protocol's answer: a head, and a body to read.
///
/// The body ends with `Ok(&[])` only when the protocol knows that it is complete; its errors are
/// [`Failure`](crate::Failure)s or those of the system, as `io::Error`.
///
/// ```
/// use ganymede::{Head, Reply};
///
/// let head = Head::new(&"memory:greeting".parse()?).with_length(Some(5));
/// let reply = Reply::new(head, std::io::Cursor::new("hello"));
/// assert!(reply.has_body());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reply {
    head: Head,
    body: Option<Box<dyn BufRead + Send>>,
    timing: Timing,
}

impl Reply {
    /// Makes a reply with a body.
    #[must_use]
    pub fn new(head: Head, body: impl BufRead + Send + 'static) -> Self {
        Self { head, body: Some(Box::new(body)), timing: Timing::default() }
    }

    /// Makes a reply that has no body at all: to HEAD, or 304.
    #[must_use]
    pub fn bodiless(mut head: Head) -> Self {
        head.alone = true;
        Self { head, body: None, timing: Timing::default() }
    }

    /// Says where the time until the head has gone, as far as that is known.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Returns the head.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns what was said of the time until the head.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Tells whether there is a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Takes it apart: the head, and the body if there is one.
    #[must_use]
    pub fn into_parts(self) -> (Head, Option<Box<dyn BufRead + Send>>) {
        (self.head, self.body)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("head", &self.head).field("has_body", &self.body.is_some()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_nothing_of_what_its_headers_were_received_in() {
        let received = Bytes::from(b"\"v1\"a=1b=2\xe4 and a long body".to_vec());
        let value = |range| HeaderValue::from_maybe_shared(received.slice(range)).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(ETAG, value(0..4));
        headers.append(SET_COOKIE, value(4..7));
        headers.append(SET_COOKIE, value(7..10));
        headers.append("x-text", value(10..11));
        headers.append("x-empty", value(0..0));
        let expected = headers.clone();
        let head = Head::new(&"http://example.com/".parse().unwrap()).with_headers(headers);
        assert_eq!(*head.headers(), expected);
        assert!(head.headers().get_all(SET_COOKIE).iter().all(HeaderValue::is_sensitive));
        assert!(!head.headers()[ETAG].is_sensitive());
        drop(expected);
        assert!(received.is_unique());
    }
}
