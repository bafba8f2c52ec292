//! Which headers pass: from clients to the source, and from the source to clients.

use std::time::SystemTime;

use ganymede::Head;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONNECTION,
    CONTENT_LENGTH, CONTENT_RANGE, COOKIE, DATE, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What is between a client and this server alone, or is said by this server itself.
const OWN: [HeaderName; 15] = [
    HOST,
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
    CONTENT_LENGTH,
    VIA,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

/// Of the same kind, without a constant.
const OWN_TOO: [&str; 4] = ["keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate"];

/// What shows who a client is.
const CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, COOKIE];

/// What a source says that is not for clients: who it takes them for, and where else it may be reached.
const HIDDEN: [&str; 7] = [
    "www-authenticate",
    "authentication-info",
    "proxy-authentication-info",
    "alt-svc",
    "strict-transport-security",
    "public-key-pins",
    "clear-site-data",
];

/// Which headers pass: from clients to the source, and from the source to clients.
///
/// A source is sent `Accept`, `Accept-Language` and `Cache-Control` of its clients, and what is named here. What is
/// sent is what responses can differ by (`Vary`). A client is sent all that is meant for it (RFC 9110 §7.6.1), without
/// cookies, challenges, and what the source says of its own host.
///
/// Neither side learns the credentials of the other. Passing on those of clients is a decision to make: whoever may use
/// this server then speaks to the source as who they are, and what it answers is kept only if it says that others may
/// have it.
///
/// ```
/// use ganymede_streamer::HeaderPolicy;
///
/// let policy = HeaderPolicy::new().pass("X-Account")?.hide("Server")?;
/// # let _ = policy;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HeaderPolicy {
    passed: Vec<HeaderName>,
    all: bool,
    credentials: bool,
    hidden: Vec<HeaderName>,
    name: HeaderValue,
}

impl HeaderPolicy {
    /// Makes the policy with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            passed: vec![ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL],
            all: false,
            credentials: false,
            hidden: HIDDEN.into_iter().map(HeaderName::from_static).collect(),
            name: HeaderValue::from_static("ganymede"),
        }
    }

    /// Passes a header of clients on to the source, too.
    ///
    /// # Errors
    /// The text is no name of a header.
    pub fn pass(mut self, name: &str) -> Result<Self, http::Error> {
        self.passed.push(name.parse::<HeaderName>()?);
        Ok(self)
    }

    /// Passes on all headers of clients that are meant for the source, but not their credentials, nor
    /// `Accept-Encoding`: what is compressed on the way has other digests.
    ///
    /// What a source answers to headers that it does not name in `Vary` is then given to others, too: this is for sources
    /// that name them.
    #[must_use]
    pub fn pass_all(mut self) -> Self {
        self.all = true;
        self
    }

    /// Passes on the credentials of clients: `Authorization` and `Cookie`.
    #[must_use]
    pub fn pass_credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    /// Hides a header of the source from clients.
    ///
    /// # Errors
    /// The text is no name of a header.
    pub fn hide(mut self, name: &str) -> Result<Self, http::Error> {
        self.hidden.push(name.parse::<HeaderName>()?);
        Ok(self)
    }

    /// Shows clients a header of the source that is hidden unless told: `Clear-Site-Data`, say, of a source of one's own.
    ///
    /// Cookies stay hidden, since what is kept is for all.
    ///
    /// # Errors
    /// The text is no name of a header.
    pub fn show(mut self, name: &str) -> Result<Self, http::Error> {
        let name: HeaderName = name.parse()?;
        self.hidden.retain(|hidden| *hidden != name);
        Ok(self)
    }

    /// Sets the name of this server in `Via` and `Cache-Status`; `ganymede` unless set.
    ///
    /// # Errors
    /// The text is no token (RFC 9110 §5.6.2).
    pub fn name(mut self, name: &str) -> Result<Self, http::Error> {
        // What may be the name of a header is a token, and nothing else is.
        let _: HeaderName = name.parse()?;
        self.name = HeaderValue::from_str(name)?;
        Ok(self)
    }

    pub(crate) fn server_name(&self) -> &str {
        self.name.to_str().unwrap_or("ganymede")
    }

    /// Returns what the source is sent of a client's headers.
    pub(crate) fn upstream(&self, client: &HeaderMap) -> HeaderMap {
        let named: Vec<String> = (client.get_all(CONNECTION).iter())
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let passes = |name: &HeaderName| {
            let own = OWN.contains(name) || OWN_TOO.contains(&name.as_str());
            if own || named.iter().any(|other| other == name.as_str()) {
                false
            } else if CREDENTIALS.contains(name) {
                self.credentials
            } else {
                self.passed.contains(name) || (self.all && name != ACCEPT_ENCODING)
            }
        };
        let passing = client.iter().filter(|(name, _)| passes(name));
        passing.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Returns what clients are told of what was kept of a head.
    pub(crate) fn downstream(&self, kept: &HeaderMap) -> HeaderMap {
        let mut headers = kept.clone();
        for name in &self.hidden {
            headers.remove(name);
        }
        headers
    }

    /// Adds this server to those that a message has passed (RFC 9110 §7.6.3).
    pub(crate) fn add_via(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&format!("1.1 {}", self.server_name())) {
            headers.append(VIA, value);
        }
    }
}

impl Default for HeaderPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns what is kept of a head that was received at this time: all that is meant for others, but for what is said of
/// the bytes that were sent, and with a date (RFC 9110 §6.6.1).
pub(crate) fn kept(head: &Head, received: SystemTime) -> HeaderMap {
    let mut headers = head.end_to_end();
    for name in [CONTENT_LENGTH, ACCEPT_RANGES] {
        headers.remove(name);
    }
    // Elsewhere it means nothing, and passes like all that is not known.
    if head.status() == StatusCode::PARTIAL_CONTENT {
        headers.remove(CONTENT_RANGE);
    }
    if !headers.contains_key(DATE)
        && let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(received))
    {
        headers.insert(DATE, value);
    }
    headers
}
