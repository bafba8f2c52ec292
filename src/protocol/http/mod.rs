//! HTTP and HTTPS, through an asynchronous client on a thread of our own.

pub(crate) mod answer;
mod client;
mod connecting;
mod direct;
mod driver;
mod exchange;
mod failure;
mod origins;
mod pipe;
mod resolver;
mod sessions;
mod streams;
mod traffic;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE,
};
use url::Url;

pub(crate) use answer::{has_content, interpret, is_conditional};
use client::{Client, ClientKey};
use exchange::Exchange;
pub(crate) use failure::failure_of;

use crate::cancel::Hook;
use crate::context::Context;
use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};
use crate::limits::Permit;
use crate::protocol::Protocol;
use crate::record::public;
use crate::reply::{Head, Reply, Validator};
use crate::request::{Credentials, Method, Request, header};
use crate::settings::HttpSettings;
use crate::timing::Timing;
use crate::transfer::Transfer;

/// A download over HTTP or HTTPS.
///
/// ```no_run
/// use std::time::Duration;
/// use ganymede::{Context, Download, FileWriter, HttpDownload};
///
/// HttpDownload::get("https://example.com/image.iso")?
///     .read_timeout(Duration::from_secs(10))
///     .user("amy", "secret")
///     .writer(FileWriter::new("image.iso"))
///     .run(&Context::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type HttpDownload = Transfer<Http>;

/// The protocol of `http:` and `https:` URLs (RFC 9110, RFC 9112, RFC 9113).
///
/// Clients, and with them connections, are kept in the context, one for each set of settings that must not be shared.
/// Over https, HTTP/2 is spoken with who offers it: there one connection carries all requests to a host at once, as
/// many as the server takes, and others wait for their turn. What ends one of them leaves the others alone.
///
/// Content codings are never asked for: the bytes are the origin's. Redirects are followed to http and https only,
/// from https to http not at all unless [allowed](Self::allow_downgrade), and on another origin the caller's headers
/// and credentials stay behind.
///
/// A URL is sent as the `url` crate writes it, which leaves everything that is valid in a URL as it is but a `'` in
/// a query, which becomes `%27`, and segments that are `.` or `..`, which are resolved.
///
/// ```
/// use ganymede::{Factory, Http};
///
/// let http = Http::new().header("accept", "text/plain").max_redirects(3);
/// let factory = Factory::new().http(http);
/// # let _ = factory;
/// ```
#[derive(Clone, Default)]
pub struct Http {
    pub(crate) settings: Arc<HttpSettings>,
}

impl Http {
    /// Makes the protocol with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a client of the library with these settings, for a plugin whose protocol goes over HTTP in its own way.
    ///
    /// It has their certificates, proxy, guard, resolver and time-out for connecting, and those of a hook. It follows no
    /// redirect, sends no headers or credentials of theirs, and knows of no time-out for reading, of no
    /// [limits](crate::Limits) and of no cancelling: that is the plugin's. So is asking whether a URL [may be
    /// asked](Self::admits), and keeping the client, with its connections, in a context's [slot](Context::slot). What
    /// its errors mean, [`Failure::from_reqwest`] tells.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ganymede::{Guard, Http};
    ///
    /// let http = Http::new().connect_timeout(Duration::from_secs(3)).guard(Guard::public_only());
    /// let url = "http://127.0.0.1/".parse()?;
    /// assert!(http.admits(&url).is_err());
    /// let client: ganymede::reqwest::Client = http.library()?;
    /// # let _ = client;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the settings make none: a certificate that cannot be read, say.
    pub fn library(&self) -> Result<reqwest::Client, Failure> {
        client::library(&self.settings.client, true).map(|(library, _)| library)
    }

    /// Fails if the [guard](Self::guard) of these settings keeps away from a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`].
    pub fn admits(&self, url: &Url) -> Result<(), Failure> {
        self.settings.client.guard.as_ref().map_or(Ok(()), |guard| guard.check(url))
    }

    fn client(&self, request: &Request, context: &Context) -> Result<Arc<Client>, Failure> {
        let mut settings = self.settings.client.clone();
        settings.credentials = self.credentials(request);
        // A certificate is a credential, too, and stays behind with the others.
        if !request.is_trusted() {
            settings.trust = settings.trust.anonymous();
        }
        // A hook may have set a proxy that is reached securely.
        let secure =
            request.url().scheme() == "https" || settings.proxy.is_secure() || settings.hook.is_some();
        let key = ClientKey { settings: settings.clone(), secure };
        context.slot(key, |context| Client::new(&settings, secure, context))
    }

    fn credentials(&self, request: &Request) -> Option<Credentials> {
        let own = || self.settings.client.credentials.clone().filter(|_| request.is_trusted());
        request.credentials().or_else(own)
    }

    fn build(&self, client: &Client, request: &Request) -> Result<reqwest::Request, Failure> {
        let settings = &self.settings;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if request.is_trusted() {
            for (name, value) in &settings.headers {
                let (name, value) = header(name, value)?;
                headers.insert(name, value);
            }
        }
        describe(request, &mut headers);
        let own = (!request.is_trusted()).then(|| headers.clone());
        let url = redacted(request.url());
        let mut builder = match request.method() {
            Method::Get => client.library.get(url),
            Method::Head => client.library.head(url),
        };
        // Before the headers, so that one that the caller made wins.
        builder = match self.credentials(request) {
            Some(Credentials::Password { user, password }) => builder.basic_auth(user, Some(password)),
            Some(Credentials::Bearer(token)) => builder.bearer_auth(token),
            None => builder,
        };
        builder = builder.headers(headers);
        if let Some(hook) = &settings.request_hook {
            builder = hook.apply(builder);
        }
        let mut built = builder.build().map_err(|error| failure_of(error, request.url()))?;
        if let Some(own) = own {
            // What a hook set is the caller's, too.
            *built.headers_mut() = own;
        }
        Ok(built)
    }

    /// Returns where a redirect leads.
    ///
    /// What is told of that has no query: a server may have put a signature there.
    fn redirect(&self, request: &Request, headers: &HeaderMap) -> Result<Url, Failure> {
        let here = public(request.url());
        let bad = |why: String| Failure::new(ErrorKind::Redirect, format!("{here} {why}"));
        let location = headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let location = location.ok_or_else(|| bad("redirects without saying where to".to_owned()))?;
        let target = request
            .url()
            .join(&location)
            .map_err(|error| bad("redirects to what is not a URL".to_owned()).caused_by(error))?;
        match (request.url().scheme(), target.scheme()) {
            ("https", "http") if !self.settings.downgrade => {
                Err(bad(format!("redirects from https to http, {}, which is not allowed", public(&target))))
            }
            (_, "http" | "https") => Ok(target),
            (_, scheme) => Err(bad(format!("redirects to the scheme {scheme}, which is not followed"))),
        }
    }
}

/// Writes what the request says into headers.
pub(crate) fn describe(request: &Request, headers: &mut HeaderMap) {
    if let Some(own) = request.headers() {
        for (name, value) in own {
            headers.insert(name, value.clone());
        }
    }
    if let Some(range) = request.range() {
        // What is asked for is never text that no header may hold.
        if let Ok(value) = HeaderValue::from_str(&range.to_string()) {
            headers.insert(RANGE, value);
        }
        if let Some(Ok(value)) = request.if_range().map(|validator| HeaderValue::from_str(validator.text())) {
            headers.insert(IF_RANGE, value);
        }
    }
    if let Some(known) = request.if_changed()
        && let Ok(value) = HeaderValue::from_str(known.text())
    {
        let name = match known {
            Validator::ETag(_) => IF_NONE_MATCH,
            Validator::LastModified(_) => IF_MODIFIED_SINCE,
        };
        headers.insert(name, value);
    }
}

impl Protocol for Http {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let mut request = Cow::Borrowed(request);
        let mut visited = Vec::new();
        let mut timing = Timing::default();
        for _ in 0..=self.settings.max_redirects {
            if !matches!(request.url().scheme(), "http" | "https") {
                let message = format!("{} is not an http or https URL", request.display_url());
                return Err(Failure::new(ErrorKind::Unsupported, message));
            }
            if let Some(guard) = &self.settings.client.guard {
                guard.check(request.url())?;
            }
            let client = self.client(&request, context)?;
            let mut permit = context.permit(&request)?;
            let built = self.build(&client, &request)?;
            let conditional = is_conditional(built.headers());
            let mut exchange = client.send(built, self.settings.read_timeout, &request, context);
            let hook = exchange.watch(context);
            let again = || client.plain(&mut self.build(&client, &request).ok()?);
            let answer = exchange.head(again).map_err(|failure| {
                timing += failure.timing();
                permit.failed(failure).with_timing(timing)
            })?;
            timing += answer.timing;
            let status = answer.status;
            // What a head says that is none of a content.
            let told = (request.is_explained() && !has_content(status))
                .then(|| Head::new(request.url()).with_status(status).with_headers(answer.headers.clone()));
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                permit.served();
                let text = exchange.drain()?;
                let astray = told.filter(|head| !head.headers().contains_key(LOCATION));
                let target = self
                    .redirect(&request, &answer.headers)
                    .map_err(|failure| explained(failure, astray, text, &request))?;
                tracing::debug!(%status, target = public(&target), "redirected");
                let from = public(request.url());
                visited.push(place(request.url()));
                request.to_mut().follow(&target)?;
                if visited.contains(&place(request.url())) {
                    let message = format!("{from} redirects in a circle, back to {}", public(request.url()));
                    return Err(Failure::new(ErrorKind::Redirect, message));
                }
                continue;
            }
            let (head, has_body) = match interpret(status, answer.headers, &request, conditional) {
                Ok(head) => {
                    permit.served();
                    head
                }
                // The body of a content is not drained by the driver, and may have no end.
                Err(failure) if has_content(status) => {
                    exchange.cut(permit);
                    return Err(failure.with_timing(timing));
                }
                Err(failure) => {
                    let failure = permit.failed(failure);
                    let text = exchange.drain()?;
                    return Err(explained(failure, told, text, &request).with_timing(timing));
                }
            };
            if !has_body {
                exchange.drain()?;
                return Ok(Reply::bodiless(head).with_timing(timing));
            }
            let body = Body {
                exchange,
                block: Bytes::new(),
                done: false,
                _hook: hook,
                permit: Some(permit),
                _client: client,
            };
            return Ok(Reply::new(head, body).with_timing(timing));
        }
        let message = format!("more than {} redirects", self.settings.max_redirects);
        Err(Failure::new(ErrorKind::Redirect, message))
    }
}

/// Keeps with a failure what the source has answered.
fn explained(failure: Failure, told: Option<Head>, text: Option<Vec<u8>>, request: &Request) -> Failure {
    match told {
        Some(head) => failure.with_answer(head, text.filter(|_| request.method() == Method::Get)),
        None => failure,
    }
}

/// Returns what of a URL is sent: who has been there gets the same answer again.
fn place(url: &Url) -> Url {
    let mut place = url.clone();
    place.set_fragment(None);
    place
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// The body of a reply, while it arrives.
struct Body {
    exchange: Exchange,
    block: Bytes,
    done: bool,
    _hook: Hook,
    /// Given back at the end of the body, when the connection is free again.
    permit: Option<Permit>,
    /// The thread that carries it must outlast the context that it was sent in.
    _client: Arc<Client>,
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.block.is_empty() && !self.done {
            // Its memory is for what comes next.
            self.block = Bytes::new();
            let block = self.exchange.block().map_err(|failure| match &mut self.permit {
                Some(permit) => permit.failed(failure),
                None => failure,
            })?;
            match block {
                Some(block) => self.block = block,
                None => {
                    self.done = true;
                    self.permit = None;
                }
            }
        }
        Ok(&self.block)
    }

    fn consume(&mut self, length: usize) {
        self.block.advance(length.min(self.block.len()));
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.exchange.cut(permit);
        }
    }
}

/// How long and how much of a body that nobody wants is read so that its connection can be used again.
pub(crate) const DRAIN_TIME: Duration = Duration::from_millis(500);
pub(crate) const DRAIN_BYTES: usize = 64 << 10;
