//! Plain HTTP without another thread: who wants an answer reads it from the socket.
//!
//! The bytes on the wire are the HTTP library's all the same. What needs a runtime goes through its client: TLS and with
//! it HTTP/2, proxies, and what a hook may have set there.

mod connect;
mod exchange;
mod idle;
mod line;
mod pump;
mod wire;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, Entry, HOST, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Request, Uri, Version};
use hyper::client::conn::http1::Builder;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::Resolve;
use url::{Position, Url};

use super::driver::Driver;
use super::resolver::Timed;
use crate::settings::{ClientSettings, Proxy};
use connect::Connector;
pub(super) use exchange::Exchange;
use idle::Idle;

/// What the connections of a client are made and kept with.
pub(super) struct Direct {
    connector: Connector,
    builder: Builder,
    /// The proxies that the environment names.
    proxies: Option<Matcher>,
    idle: Arc<Idle>,
    driver: Arc<Driver>,
    agent: HeaderValue,
}

impl Direct {
    /// Makes it, if the settings leave anything to it.
    pub(super) fn new(
        settings: &ClientSettings,
        resolver: Arc<dyn Resolve>,
        agent: &'static str,
        driver: &Arc<Driver>,
    ) -> Option<Self> {
        let proxies = match &settings.proxy {
            Proxy::Url(_) => return None,
            Proxy::Environment if settings.guard.is_none() => Some(Matcher::from_system()),
            Proxy::Environment | Proxy::None => None,
        };
        if settings.hook.is_some() {
            return None;
        }
        let mut builder = Builder::new();
        if let Some(most) = settings.max_headers {
            builder.max_headers(most);
        }
        Some(Self {
            connector: Connector::new(Arc::new(Timed::new(resolver)), settings.connect_timeout),
            builder,
            proxies,
            idle: Arc::default(),
            driver: Arc::clone(driver),
            agent: HeaderValue::from_static(agent),
        })
    }

    /// Takes the request as it is written to a connection, if it is one that needs nothing else of the client.
    pub(super) fn admit(&self, request: &mut reqwest::Request) -> Option<Request<Bytes>> {
        let url = request.url();
        let plain =
            url.scheme() == "http" && request.timeout().is_none() && request.version() == Version::HTTP_11;
        let body = match request.body() {
            None => Bytes::new(),
            Some(body) => Bytes::copy_from_slice(body.as_bytes()?),
        };
        let proxied = || {
            let proxies = self.proxies.as_ref()?;
            let whole = Uri::from_str(url.as_str()).ok()?;
            proxies.intercept(&whole)
        };
        if !plain || proxied().is_some() {
            return None;
        }
        let path = PathAndQuery::from_str(&url[Position::BeforePath..Position::AfterQuery]).ok()?;
        let host = HeaderValue::from_str(place(url)).ok()?;
        let mut plain = Request::new(body);
        *plain.method_mut() = request.method().clone();
        *plain.uri_mut() = Uri::from(path);
        *plain.headers_mut() = std::mem::take(request.headers_mut());
        let defaults =
            [(ACCEPT, HeaderValue::from_static("*/*")), (USER_AGENT, self.agent.clone()), (HOST, host)];
        for (name, value) in defaults {
            if let Entry::Vacant(vacant) = plain.headers_mut().entry(name) {
                vacant.insert(value);
            }
        }
        Some(plain)
    }

    /// Returns how many bytes may wait where one thread receives for another.
    fn capacity(&self) -> usize {
        self.driver.capacity()
    }
}

/// Returns the host of a URL, and the port unless it is that of the scheme.
fn place(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// How long a connection is kept that nobody uses: as long as the client library does.
const IDLE: Duration = Duration::from_secs(90);
