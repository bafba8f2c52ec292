//! What a protocol is asked for.

mod alternates;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use alternates::Alternates;

use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};
use crate::limits::host;
use crate::record::public;
use crate::reply::Validator;

/// What is to be done: fetch the content, or ask about it only.
///
/// ```
/// use ganymede::{HttpDownload, Method};
///
/// let download = HttpDownload::get("https://example.com/image.iso")?.method(Method::Head);
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Head and body (RFC 9110 §9.3.1).
    #[default]
    Get,
    /// The head alone (RFC 9110 §9.3.2).
    Head,
}

/// A range of bytes, which is never empty.
///
/// ```
/// use ganymede::ByteRange;
///
/// assert_eq!(ByteRange::new(500, Some(999)).unwrap().to_string(), "bytes=500-999");
/// assert_eq!(ByteRange::from(500).to_string(), "bytes=500-");
/// assert!(ByteRange::new(1, Some(0)).is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    first: u64,
    last: Option<u64>,
}

impl ByteRange {
    /// Makes the range from byte `first` to byte `last`, both included, or to the end; `None` if it were empty.
    #[must_use]
    pub fn new(first: u64, last: Option<u64>) -> Option<Self> {
        last.is_none_or(|last| first <= last).then_some(Self { first, last })
    }

    /// Returns the position of the first byte.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the position of the last byte; `None` is the end.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Returns what is left of the range after its first `offset` bytes, if anything is.
    #[must_use]
    pub fn after(&self, offset: u64) -> Option<Self> {
        Self::new(self.first.checked_add(offset)?, self.last)
    }
}

impl From<u64> for ByteRange {
    /// Makes the range from this byte to the end.
    fn from(first: u64) -> Self {
        Self { first, last: None }
    }
}

impl fmt::Display for ByteRange {
    /// Writes the range as the value of a `Range` header (RFC 9110 §14.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) => write!(f, "bytes={}-{last}", self.first),
            None => write!(f, "bytes={}-", self.first),
        }
    }
}

/// What proves to a source who asks.
///
/// Neither `Debug` nor `Display` shows a secret.
///
/// ```
/// use ganymede::Credentials;
///
/// let credentials = Credentials::password("amy", "secret");
/// assert_eq!(format!("{credentials:?}"), "Password { user: \"amy\", .. }");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credentials {
    /// A name and a password (RFC 7617 for HTTP).
    Password {
        /// The name of the user.
        user: String,
        /// The password.
        password: String,
    },
    /// A bearer token (RFC 6750).
    Bearer(String),
}

impl Credentials {
    /// Makes credentials of a name and a password.
    #[must_use]
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password { user: user.into(), password: password.into() }
    }

    /// Makes credentials of a bearer token.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(token.into())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}

/// What a protocol is asked for: a URL, and how.
///
/// Handlers change it on `Prepared`, `Sending` and `Error`. A header is metadata: protocols without headers pass it
/// over.
///
/// ```
/// use ganymede::Request;
///
/// let mut request = Request::get("https://amy:secret@example.com/file?sign=a%2Fb")?;
/// request.set_header("x-account", "7")?;
/// assert!(!format!("{request:?}").contains("secret"));
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    range: Option<ByteRange>,
    if_range: Option<Validator>,
    if_changed: Option<Validator>,
    credentials: Option<Credentials>,
    /// The origin that headers and credentials are for, once a server has named another URL.
    home: Option<String>,
    /// The credentials in the URL that the caller named, once a server has named another.
    home_credentials: Option<Credentials>,
    deadline: Option<Instant>,
    identified: bool,
    explained: bool,
    alternates: Option<Arc<Alternates>>,
}

impl Request {
    /// Asks for the content of a URL.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            headers: HeaderMap::new(),
            range: None,
            if_range: None,
            if_changed: None,
            credentials: None,
            home: None,
            home_credentials: None,
            deadline: None,
            identified: false,
            explained: false,
            alternates: None,
        }
    }

    /// Asks for the content of a URL in text form.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the text is no absolute URL.
    pub fn get(url: &str) -> Result<Self, Failure> {
        let parsed = Url::parse(url).map_err(|error| {
            let hint = match error {
                url::ParseError::RelativeUrlWithoutBase => ": it needs a scheme in front, like https://",
                _ => "",
            };
            let shown = without_credentials(url);
            Failure::new(ErrorKind::Unsupported, format!("{shown:?} is not a URL{hint}")).caused_by(error)
        })?;
        Ok(Self::new(parsed))
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Sets the method.
    pub fn set_method(&mut self, method: Method) {
        self.method = method;
    }

    /// Returns the URL, with the credentials that it may hold: show [`display_url`](Self::display_url) instead.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the URL without user name and password.
    #[must_use]
    pub fn display_url(&self) -> Url {
        redacted(&self.url)
    }

    /// Sets a URL that the caller named: headers and credentials go there too.
    pub fn set_url(&mut self, url: Url) {
        self.url = url;
        self.home = None;
        self.home_credentials = None;
    }

    /// Goes on at a URL that a server named, in a redirect or a mirror list.
    ///
    /// On an origin other than the caller's, headers and credentials stay behind. Those in the URL itself are
    /// removed.
    ///
    /// # Errors
    /// [`ErrorKind::Redirect`] if it leads from the network to a local file.
    pub fn follow(&mut self, url: &Url) -> Result<(), Failure> {
        if url.scheme() == "file" && self.url.scheme() != "file" {
            let (here, there) = (public(&self.url), public(url));
            let message = format!("{here} leads to the local file {there}");
            return Err(Failure::new(ErrorKind::Redirect, message));
        }
        if self.home.is_none() {
            self.home = Some(host(&self.url));
            self.home_credentials = in_url(&self.url);
        }
        self.url = redacted(url);
        Ok(())
    }

    /// Tells whether the caller's headers and credentials are meant for the URL's origin.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.home.as_ref().is_none_or(|home| self.url.has_host() && *home == host(&self.url))
    }

    /// Returns the caller's headers, as far as they are meant for the URL's origin.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.is_trusted().then_some(&self.headers)
    }

    /// Sets a header, in place of any of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if name or value holds what no header may.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let (name, value) = header(name, value)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Returns the range that is asked for; `None` is everything.
    #[must_use]
    pub fn range(&self) -> Option<ByteRange> {
        self.range
    }

    /// Asks for a range of the bytes only; the content is then that range.
    pub fn set_range(&mut self, range: Option<ByteRange>) {
        self.range = range;
    }

    /// Returns what the source must still have for the range to be of use (`If-Range`, RFC 9110 §13.1.5).
    #[must_use]
    pub fn if_range(&self) -> Option<&Validator> {
        self.if_range.as_ref()
    }

    /// Sets what the source must still have for the range to be of use; otherwise it sends everything.
    pub fn set_if_range(&mut self, validator: Option<Validator>) {
        self.if_range = validator;
    }

    /// Returns what the target has already, so that the source sends nothing if it has the same.
    #[must_use]
    pub fn if_changed(&self) -> Option<&Validator> {
        self.if_changed.as_ref()
    }

    /// Sets what the target has already; a source that has the same answers with a head of status 304 and no body
    /// (`If-None-Match` and `If-Modified-Since`, RFC 9110 §13.1.2 and §13.1.3).
    pub fn set_if_changed(&mut self, validator: Option<Validator>) {
        self.if_changed = validator;
    }

    /// Returns the credentials for the URL's origin: those that were set, else those in the URL.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        let own = self.credentials.as_ref().or(self.home_credentials.as_ref());
        own.filter(|_| self.is_trusted()).cloned().or_else(|| in_url(&self.url))
    }

    /// Sets the credentials: for the origin of the caller's URL, not for one that a server
    /// [named](Self::follow).
    pub fn set_credentials(&mut self, credentials: Option<Credentials>) {
        self.credentials = credentials;
    }

    /// Tells whether an enforced validation will prove what the content is, as that of an expected digest does: then a
    /// protocol may mix bytes of sources that cannot prove to have the same.
    #[must_use]
    pub fn is_identified(&self) -> bool {
        self.identified
    }

    /// Sets whether the content [is identified](Self::is_identified): for a protocol that proves by itself what it passes
    /// on, to the one that it asks.
    pub fn set_identified(&mut self, identified: bool) {
        self.identified = identified;
    }

    /// Tells whether failures are to be explained.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.explained
    }

    /// Sets whether failures are to be explained: then they [have](Failure::head) what the source has answered instead of
    /// the content, for who passes that on or heeds what it says.
    ///
    /// [`Http`](crate::Http) keeps the head, and the body if that is short, of 64 KiB at most, and comes at once.
    pub fn set_explained(&mut self, explained: bool) {
        self.explained = explained;
    }

    /// Returns when the whole run must be over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Fails if the deadline has passed.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`].
    pub fn check_deadline(&self) -> Result<(), Failure> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let passed = Failure::new(ErrorKind::Timeout, "the deadline has passed");
            return Err(passed.transient(false));
        }
        Ok(())
    }
}

/// Returns the credentials that a URL holds.
fn in_url(url: &Url) -> Option<Credentials> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some(Credentials::password(decoded(url.username()), decoded(url.password().unwrap_or_default())))
}

/// Returns a text that is no URL without what may be meant as user name and password.
fn without_credentials(text: &str) -> Cow<'_, str> {
    let Some(at) = text.rfind('@') else { return text.into() };
    let start = text[..at].find("//").map_or(0, |slashes| slashes + 2);
    format!("{}..{}", &text[..start], &text[at..]).into()
}

/// Makes a header of a name and a value.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let bad = |what: &str, error: Box<dyn std::error::Error + Send + Sync>| {
        // The value may be a secret, so only the name is told.
        Failure::new(
            ErrorKind::Unsupported,
            format!("the header {name:?} has a {what} that no header may have"),
        )
        .caused_by(error)
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|error| bad("name", error.into()))?;
    let mut value = HeaderValue::from_str(value).map_err(|error| bad("value", error.into()))?;
    // Nobody but the caller knows which headers are secrets.
    value.set_sensitive(true);
    Ok((parsed, value))
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.display_url().as_str())
            .field("headers", &self.headers)
            .field("range", &self.range)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
