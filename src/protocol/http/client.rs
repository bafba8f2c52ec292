//! Making the library's client from settings.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::Resolve;
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::ClientConfig;
use rustls::client::Resumption;

use super::connecting::Watch;
use super::direct::{self, Direct};
use super::driver::{Driver, Outgoing};
use super::exchange::Exchange;
use super::failure_of;
use super::origins::Origins;
use super::resolver::{Guarded, Timed, resolver};
use super::sessions::Sessions;
use super::streams;
use crate::context::{Context, SlotKey};
use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};
use crate::request::{Method, Request};
use crate::settings::{ClientSettings, Proxy};
use crate::trust::Trust;

/// Everything that two downloads must agree on to share a client.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) settings: ClientSettings,
    /// Whether it makes secure connections: only they need the system's certificates, which take a while to load.
    pub(super) secure: bool,
}

impl SlotKey for ClientKey {
    type Value = Client;
}

/// A client of the library, and the thread it runs on.
pub(super) struct Client {
    pub(super) library: reqwest::Client,
    connect_timeout: Duration,
    driver: Arc<Driver>,
    /// Where its settings leave plain HTTP to it.
    direct: Option<Arc<Direct>>,
    /// Who may speak HTTP/2.
    origins: Option<Arc<Origins>>,
    /// How many fields a head may have.
    fields: usize,
}

const AGENT: &str = concat!("ganymede/", env!("CARGO_PKG_VERSION"));

impl Client {
    pub(super) fn new(settings: &ClientSettings, secure: bool, context: &Context) -> Result<Self, Failure> {
        let (library, resolver) = library(settings, secure)?;
        let driver = Driver::of(context)?;
        let direct = Direct::new(settings, resolver, AGENT, &driver).map(Arc::new);
        // Over plain connections, HTTP/2 is a hook's affair.
        let secure = secure && !settings.http1_only;
        let origins = secure.then(|| Origins::new(settings, library.clone()));
        let fields = settings.max_headers.unwrap_or(streams::FIELDS);
        Ok(Self { library, connect_timeout: settings.connect_timeout, driver, direct, origins, fields })
    }

    /// Takes from a request what is written to a connection, if that needs nothing else of the client.
    pub(super) fn plain(&self, built: &mut reqwest::Request) -> Option<http::Request<Bytes>> {
        self.direct.as_ref()?.admit(built)
    }

    /// Prepares a request for being sent: on the thread that asks for its head, or at once on the client's.
    pub(super) fn send(
        &self,
        mut built: reqwest::Request,
        read_timeout: Duration,
        request: &Request,
        context: &Context,
    ) -> Exchange {
        if let (Some(plain), Some(direct)) = (self.plain(&mut built), &self.direct) {
            let url = redacted(request.url());
            // What is to be slowed is not received ahead.
            let pumped = !context.limits().has_rate();
            return Exchange::Direct(direct::Exchange::new(direct, plain, url, read_timeout, pumped));
        }
        let origins = self.origins.as_ref().filter(|_| request.url().scheme() == "https");
        Exchange::Driven(self.driver.send(Outgoing {
            client: self.library.clone(),
            origin: origins.map(|origins| origins.of(request.url())),
            fields: self.fields,
            request: built,
            url: redacted(request.url()),
            wanted: request.method() == Method::Get,
            read_timeout,
            connect_timeout: self.connect_timeout,
            deadline: request.deadline(),
        }))
    }
}

/// Makes the library's client, and what resolves names for it.
pub(super) fn library(
    settings: &ClientSettings,
    secure: bool,
) -> Result<(reqwest::Client, Arc<dyn Resolve>), Failure> {
    let mut builder = reqwest::Client::builder()
        .user_agent(AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Another crate may have compiled them in; the bytes are to be the origin's all the same.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .connect_timeout(settings.connect_timeout)
        .connector_layer(Watch);
    builder = match &settings.hook {
        None => builder.tls_backend_preconfigured(tls(settings, secure)?),
        Some(_) => trusting(builder, &settings.trust)?,
    };
    builder = match &settings.proxy {
        // It would resolve names where no guard sees it.
        Proxy::Environment if settings.guard.is_some() => builder.no_proxy(),
        Proxy::Environment => builder,
        Proxy::None => builder.no_proxy(),
        Proxy::Url(url) => builder.no_proxy().proxy(proxy(url)?),
    };
    builder = streams::prepare(builder, settings);
    let mut resolver = resolver(settings.resolver.as_ref());
    builder = builder.dns_resolver(Timed::new(Arc::clone(&resolver)));
    if let Some(hook) = &settings.hook {
        builder = hook.apply(builder).redirect(reqwest::redirect::Policy::none());
    }
    if let Some(guard) = settings.guard.clone() {
        // With a proxy that is set, its own name is all that is resolved here.
        let guard = match &settings.proxy {
            Proxy::Url(url) => url_host(url).map_or(guard.clone(), |host| guard.allow(&host)),
            _ => guard,
        };
        resolver = Arc::new(Guarded::new(guard, resolver));
        builder = builder.dns_resolver(Timed::new(Arc::clone(&resolver)));
    }
    let library = builder.build().map_err(|error| {
        let mut root: &dyn std::error::Error = &error;
        while let Some(source) = root.source() {
            root = source;
        }
        Failure::new(ErrorKind::Unsupported, format!("the settings make no HTTP client: {root}"))
    })?;
    Ok((library, resolver))
}

/// Makes what its connections are made secure with, such that it is seen when that begins.
fn tls(settings: &ClientSettings, secure: bool) -> Result<ClientConfig, Failure> {
    // Only secure connections need the system's certificates, which take a while to load.
    let mut config = settings.trust.make(secure)?;
    config.resumption = Resumption::store(Arc::new(Sessions::new()));
    let versions: &[&[u8]] = if settings.http1_only { &[b"http/1.1"] } else { &[b"h2", b"http/1.1"] };
    config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();
    Ok(config)
}

/// Sets the same on the library's own builder, for a hook to go on with.
fn trusting(builder: ClientBuilder, trust: &Trust) -> Result<ClientBuilder, Failure> {
    let mut trusted = Vec::new();
    for authority in trust.authorities()? {
        let certificate = Certificate::from_der(&authority);
        trusted.push(certificate.map_err(|error| Failure::from(ErrorKind::Unsupported).caused_by(error))?);
    }
    let builder = match trusted.is_empty() {
        true => builder,
        false => builder.tls_certs_only(trusted),
    };
    let builder = match trust.identity()? {
        // The library's error quotes nothing of the files, but they hold a key.
        Some(pem) => builder.identity(Identity::from_pem(&pem).map_err(|_| trust.no_identity())?),
        None => builder,
    };
    Ok(builder.tls_danger_accept_invalid_certs(!trust.is_verifying()))
}

fn url_host(text: &str) -> Option<String> {
    url::Url::parse(text).ok()?.host_str().map(str::to_owned)
}

fn proxy(text: &str) -> Result<reqwest::Proxy, Failure> {
    let bad = |reason: String| {
        // It may hold a password, so it is not quoted.
        Failure::new(ErrorKind::Unsupported, format!("the proxy is not a usable URL: {reason}"))
    };
    let url = url::Url::parse(text).map_err(|error| bad(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!("the scheme {} is none of http and https", url.scheme())));
    }
    let credentials = Request::new(url.clone()).credentials();
    let proxy =
        reqwest::Proxy::all(redacted(&url)).map_err(|error| bad(failure_of(error, &url).to_string()))?;
    Ok(match credentials {
        Some(crate::request::Credentials::Password { user, password }) => proxy.basic_auth(&user, &password),
        _ => proxy,
    })
}
