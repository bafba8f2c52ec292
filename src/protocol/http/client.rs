//! Making the library's client from settings.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::dns::Resolve;
use reqwest::{Certificate, Identity};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tower_layer::Layer;
use tower_service::Service;

use super::direct::{self, Direct};
use super::driver::{Driver, Outgoing};
use super::exchange::Exchange;
use super::failure_of;
use super::origins::{Origin, Origins};
use super::resolver::{Guarded, Timed, resolver};
use super::streams;
use crate::context::{Context, SlotKey};
use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};
use crate::request::{Method, Request};
use crate::settings::{ClientSettings, Proxy};
use crate::timing::Timing;

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
    let mut trusted = Vec::new();
    for file in &settings.ca_certificates {
        let pem = read(file, "CA certificate")?;
        // The library takes any bytes for a certificate, and refuses them later without naming the file.
        let sound = CertificateDer::pem_slice_iter(&pem)
            .all(|found| found.is_ok_and(|found| RootCertStore::empty().add(found).is_ok()));
        let certificates = Certificate::from_pem_bundle(&pem);
        let certificates = certificates.ok().filter(|found| sound && !found.is_empty());
        trusted.extend(certificates.ok_or_else(|| no_pem(file, "certificate"))?);
    }
    if !secure || !trusted.is_empty() {
        builder = builder.tls_certs_only(trusted);
    }
    if let Some((certificate, key)) = &settings.identity {
        let mut pem = read(certificate, "client certificate")?;
        if key != certificate {
            pem.push(b'\n');
            pem.extend(read(key, "client key")?);
        }
        // The library's error quotes nothing of the files, but they hold a key.
        builder = builder.identity(Identity::from_pem(&pem).map_err(|_| {
            let files =
                format!("certificate ({}) and private key ({})", certificate.display(), key.display());
            Failure::new(ErrorKind::Unsupported, format!("no usable client {files} in PEM form"))
        })?);
    }
    if !settings.verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
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
        let files = settings.identity.as_ref().map_or_else(String::new, |(certificate, key)| {
            format!(" with the certificate {} and the key {}", certificate.display(), key.display())
        });
        Failure::new(ErrorKind::Unsupported, format!("the settings make no HTTP client{files}: {root}"))
    })?;
    Ok((library, resolver))
}

fn read(file: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        let message = format!("cannot read the {what} {}: {error}", file.display());
        Failure::new(ErrorKind::Unsupported, message)
    })
}

fn no_pem(file: &Path, what: &str) -> Failure {
    Failure::new(ErrorKind::Unsupported, format!("{} holds no {what} in PEM form", file.display()))
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

/// How long a request's own connection took.
#[derive(Clone, Default)]
pub(super) struct Connecting {
    times: Arc<Mutex<Option<Times>>>,
    /// Whose other requests wait for the end of it.
    origin: Option<Arc<Origin>>,
}

#[derive(Clone, Copy)]
struct Times {
    start: Instant,
    end: Option<Instant>,
    /// How long its names took to be resolved.
    resolving: Duration,
}

tokio::task_local! {
    static CONNECTING: Connecting;
}

impl Connecting {
    pub(super) fn new(origin: Option<&Arc<Origin>>) -> Self {
        Self { times: Arc::default(), origin: origin.map(Arc::clone) }
    }

    /// Makes the connections that `future` makes its own.
    pub(super) async fn scope<F: Future>(self, future: F) -> F::Output {
        CONNECTING.scope(self, future).await
    }

    /// Makes one of a connection that is made from now on.
    pub(super) fn begun() -> Self {
        let times = Times { start: Instant::now(), end: None, resolving: Duration::ZERO };
        Self { times: Arc::new(Mutex::new(Some(times))), origin: None }
    }

    /// Notes that the connection is made, or given up, and returns how long it took.
    pub(super) fn ended(&self) -> Timing {
        if let Some(times) = &mut *self.times.lock() {
            times.end = Some(Instant::now());
        }
        if let Some(origin) = &self.origin {
            origin.open();
        }
        self.timing()
    }

    /// Returns the one of the request that is being carried, if there is one.
    pub(super) fn current() -> Self {
        CONNECTING.try_with(Clone::clone).unwrap_or_default()
    }

    /// Returns how long it took; nothing if a connection was there.
    pub(super) fn timing(&self) -> Timing {
        let times = *self.times.lock();
        let ended = times.and_then(|times| Some((times.end?.duration_since(times.start), times.resolving)));
        let (took, resolving) = ended.unwrap_or_default();
        Timing { resolving, connecting: took.saturating_sub(resolving), ..Timing::default() }
    }

    /// Notes how long a name took to be resolved.
    pub(super) fn resolved(&self, took: Duration) {
        if let Some(times) = &mut *self.times.lock() {
            times.resolving += took;
        }
    }

    /// Returns until when it connected, if at all; `None` while it does.
    pub(super) fn until(&self) -> Option<Option<Instant>> {
        match *self.times.lock() {
            None => Some(None),
            Some(times) => times.end.map(Some),
        }
    }
}

/// Notes the end of a connecting when it is dropped, in whatever way.
struct Ending(Connecting);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.ended();
    }
}

/// Notes when connections are begun and made, for the request that needs them.
#[derive(Clone)]
struct Watch;

#[derive(Clone)]
struct Watched<S>(S);

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(inner)
    }
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = Connecting::current();
        *connecting.times.lock() =
            Some(Times { start: Instant::now(), end: None, resolving: Duration::ZERO });
        // Also when the client goes on with it elsewhere, since another connection got free.
        let connected = connecting.clone().scope(self.0.call(request));
        // Also when it is given up: for a time-out, or because another connection got free.
        let ending = Ending(connecting);
        Box::pin(async move {
            let connection = connected.await;
            drop(ending);
            connection
        })
    }
}
