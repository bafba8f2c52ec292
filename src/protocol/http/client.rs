//! Making the library's client from settings.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::{Certificate, Identity};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tower_layer::Layer;
use tower_service::Service;

use super::driver::{Driver, Exchange, Outgoing};
use super::failure_of;
use super::resolver::Guarded;
use crate::context::{Context, SlotKey};
use crate::error::redacted;
use crate::failure::{ErrorKind, Failure};
use crate::limits::Permit;
use crate::request::{Method, Request};
use crate::settings::{ClientSettings, Proxy};

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
}

impl Client {
    pub(super) fn new(settings: &ClientSettings, secure: bool, context: &Context) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("ganymede/", env!("CARGO_PKG_VERSION")))
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
        if let Some(most) = settings.max_headers {
            builder = builder.http1_max_headers(most);
        }
        if let Some(resolver) = &settings.resolver {
            builder = builder.dns_resolver(resolver.shared());
        }
        if let Some(hook) = &settings.hook {
            builder = hook.apply(builder).redirect(reqwest::redirect::Policy::none());
        }
        if let Some(guard) = settings.guard.clone() {
            // With a proxy that is set, its own name is all that is resolved here.
            let guard = match &settings.proxy {
                Proxy::Url(url) => url_host(url).map_or(guard.clone(), |host| guard.allow(&host)),
                _ => guard,
            };
            builder = builder.dns_resolver(Guarded::new(guard, settings.resolver.as_ref()));
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
        Ok(Self { library, connect_timeout: settings.connect_timeout, driver: Driver::of(context)? })
    }

    /// Gives a permit back when the connection of an exchange that was cut is closed.
    pub(super) fn retire(&self, permit: Permit) {
        self.driver.retire(permit);
    }

    /// Sends a request on the client's thread.
    pub(super) fn send(
        &self,
        built: reqwest::Request,
        read_timeout: Duration,
        request: &Request,
    ) -> Exchange {
        self.driver.send(Outgoing {
            client: self.library.clone(),
            request: built,
            url: redacted(request.url()),
            wanted: request.method() == Method::Get,
            read_timeout,
            connect_timeout: self.connect_timeout,
            deadline: request.deadline(),
        })
    }
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
pub(super) struct Connecting(Arc<Mutex<Option<Times>>>);

#[derive(Clone, Copy)]
struct Times {
    start: Instant,
    end: Option<Instant>,
}

tokio::task_local! {
    static CONNECTING: Connecting;
}

impl Connecting {
    /// Makes the connections that `future` makes its own.
    pub(super) async fn scope<F: Future>(self, future: F) -> F::Output {
        CONNECTING.scope(self, future).await
    }

    /// Returns how long it took; zero if a connection was there.
    pub(super) fn time(&self) -> Duration {
        let times = *self.0.lock();
        times.and_then(|times| Some(times.end?.duration_since(times.start))).unwrap_or_default()
    }

    /// Returns until when it connected, if at all; `None` while it does.
    pub(super) fn until(&self) -> Option<Option<Instant>> {
        match *self.0.lock() {
            None => Some(None),
            Some(times) => times.end.map(Some),
        }
    }
}

/// Notes the end of a connecting when it is dropped, in whatever way.
struct Ending(Connecting);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(times) = &mut *self.0.0.lock() {
            times.end = Some(Instant::now());
        }
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
        let connecting = CONNECTING.try_with(Clone::clone).unwrap_or_default();
        *connecting.0.lock() = Some(Times { start: Instant::now(), end: None });
        let connected = self.0.call(request);
        // Also when it is given up: for a time-out, or because another connection got free.
        let ending = Ending(connecting);
        Box::pin(async move {
            let connection = connected.await;
            drop(ending);
            connection
        })
    }
}
