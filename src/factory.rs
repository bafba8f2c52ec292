//! Protocols by the schemes of URLs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::protocol::Protocol;
use crate::protocol::file::FileProtocol;
use crate::protocol::http::Http;
use crate::reply::Reply;
use crate::request::Request;
use crate::transfer::Transfer;

/// Protocols, found by the scheme of the URL: itself a protocol, so that a mirror may speak another one.
///
/// ```
/// use ganymede::{Context, Download, Factory, Failure, Head, Protocol, Reply, Request, BufferWriter};
///
/// struct Empty;
/// impl Protocol for Empty {
///     fn send(&self, request: &Request, _: &Context) -> Result<Reply, Failure> {
///         Ok(Reply::new(Head::new(request.url()), std::io::empty()))
///     }
/// }
///
/// let factory = Factory::new().register("empty", Empty);
/// let mut download = factory.download("empty:anything")?.writer(BufferWriter::new(0));
/// download.run(&Context::new())?;
/// assert!(factory.download("gopher://example.com/").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Factory {
    protocols: Arc<HashMap<String, Arc<dyn Protocol>>>,
}

impl Factory {
    /// Knows `http`, `https` and `file`, with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self { protocols: Arc::default() }.http(Http::new()).register("file", FileProtocol::new())
    }

    /// Uses these settings for `http` and `https`.
    #[must_use]
    pub fn http(self, http: Http) -> Self {
        let shared: Arc<dyn Protocol> = Arc::new(http);
        self.register("http", Arc::clone(&shared)).register("https", shared)
    }

    /// Registers a protocol for a scheme, in place of any before.
    #[must_use]
    pub fn register(mut self, scheme: &str, protocol: impl Protocol + 'static) -> Self {
        Arc::make_mut(&mut self.protocols).insert(scheme.to_ascii_lowercase(), Arc::new(protocol));
        self
    }

    /// Returns the schemes that are known, sorted.
    #[must_use]
    pub fn schemes(&self) -> Vec<&str> {
        let mut schemes: Vec<&str> = self.protocols.keys().map(String::as_str).collect();
        schemes.sort_unstable();
        schemes
    }

    /// Makes a download of a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the text is no URL, or its scheme is not known.
    pub fn download(&self, url: &str) -> Result<Transfer<Self>, Failure> {
        let request = Request::get(url)?;
        self.protocol(&request)?;
        Ok(Transfer::new(request, self.clone()))
    }

    fn protocol(&self, request: &Request) -> Result<&Arc<dyn Protocol>, Failure> {
        let scheme = request.url().scheme();
        self.protocols.get(scheme).ok_or_else(|| {
            let known = self.schemes().join(", ");
            // `user:password@host` reads as if the scheme were called user: no secret is shown.
            let shown = match request.url().cannot_be_a_base() {
                true => String::new(),
                false => format!(": in {}", request.display_url()),
            };
            let message = format!("no protocol for {scheme}{shown} (known: {known})");
            Failure::new(ErrorKind::Unsupported, message)
        })
    }
}

impl Default for Factory {
    fn default() -> Self {
        Self::new()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Protocol for Factory {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        self.protocol(request)?.send(request, context)
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factory").field("schemes", &self.schemes()).finish()
    }
}
