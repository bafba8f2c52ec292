//! The settings of HTTP, as builder methods of the protocol and of a download over it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::take;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::guard::Guard;
use crate::protocol::http::{Http, HttpDownload};
use crate::request::Credentials;
use crate::trust::Trust;

/// What an [`Http`] was told.
#[derive(Debug, Clone)]
pub(crate) struct HttpSettings {
    pub(crate) client: ClientSettings,
    pub(crate) read_timeout: Duration,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) max_redirects: u32,
    pub(crate) downgrade: bool,
    pub(crate) request_hook: Option<Hooked<reqwest::RequestBuilder>>,
}

/// The part of the settings that makes a client: all that two downloads must agree on to share connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientSettings {
    pub(crate) connect_timeout: Duration,
    /// No part of the client, but connections that were used with other credentials are not shared either.
    pub(crate) credentials: Option<Credentials>,
    pub(crate) trust: Trust,
    pub(crate) proxy: Proxy,
    pub(crate) guard: Option<Guard>,
    pub(crate) resolver: Option<Resolver>,
    pub(crate) max_headers: Option<usize>,
    pub(crate) http1_only: bool,
    pub(crate) hook: Option<Hooked<reqwest::ClientBuilder>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Proxy {
    /// What the environment names.
    Environment,
    None,
    /// This URL, which may hold credentials.
    Url(String),
}

/// Asked for each request, so looked up once.
static ENVIRONMENT_IS_SECURE: LazyLock<bool> = LazyLock::new(|| {
    let secure = |name| std::env::var(name).is_ok_and(|proxy| proxy.starts_with("https:"));
    ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().any(secure)
});

impl Proxy {
    /// Tells whether the way to the proxy may need certificates.
    pub(crate) fn is_secure(&self) -> bool {
        match self {
            Self::None => false,
            Self::Url(url) => url.starts_with("https:"),
            Self::Environment => *ENVIRONMENT_IS_SECURE,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::None => "None",
            Self::Url(_) => "Url(..)",
        })
    }
}

/// Something of the caller's, such as a function, that cannot be compared by what it does.
///
/// Two are equal when they are the same one; a key that holds it keeps its address from being used again.
pub(crate) struct Same<T: ?Sized>(Arc<T>);

/// A function that changes a builder of the client library.
pub(crate) type Hooked<B> = Same<dyn Fn(B) -> B + Send + Sync>;

/// What resolves names for the client library.
pub(crate) type Resolver = Same<dyn reqwest::dns::Resolve>;

impl<B> Hooked<B> {
    pub(crate) fn apply(&self, builder: B) -> B {
        (self.0)(builder)
    }
}

impl<T: ?Sized> Same<T> {
    pub(crate) fn shared(&self) -> Arc<T> {
        Arc::clone(&self.0)
    }

    fn address(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }
}

impl<T: ?Sized> Clone for Same<T> {
    fn clone(&self) -> Self {
        Self(self.shared())
    }
}

impl<T: ?Sized> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl<T: ?Sized> Eq for Same<T> {}

impl<T: ?Sized> Hash for Same<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl<T: ?Sized> fmt::Debug for Same<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            client: ClientSettings {
                connect_timeout: Duration::from_secs(10),
                credentials: None,
                trust: Trust::new(),
                proxy: Proxy::Environment,
                guard: None,
                resolver: None,
                max_headers: None,
                http1_only: false,
                hook: None,
            },
            read_timeout: Duration::from_secs(30),
            headers: Vec::new(),
            max_redirects: 10,
            downgrade: false,
            request_hook: None,
        }
    }
}

/// Writes each setting once, for the protocol and for a download over it.
macro_rules! settings {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),*) = |$settings:ident| $change:expr;)*) => {
        /// Settings; those that are not made keep their defaults.
        impl Http {
            $($(#[$meta])*
            #[must_use]
            pub fn $name(mut self, $($argument: $type),*) -> Self {
                let $settings = Arc::make_mut(&mut self.settings);
                $change;
                self
            })*
        }

        /// Settings of the protocol; those that are not made keep their defaults.
        impl HttpDownload {
            $($(#[$meta])*
            #[must_use]
            pub fn $name(self, $($argument: $type),*) -> Self {
                self.map(|http| http.$name($($argument),*))
            })*
        }
    };
}

settings! {
    /// Sets how long name resolution, connection and handshake may take together; 10 seconds unless set.
    fn connect_timeout(timeout: Duration) = |settings| settings.client.connect_timeout = timeout;

    /// Sets how long the head of the reply may take and, after that, how long the body may pause; 30 seconds unless
    /// set.
    ///
    /// While other downloads of the context receive something, the link is busy rather than down, and it may be as many
    /// times longer as there are such downloads, at most ten times. A body that is slow but steady never trips it; the
    /// [least speed](crate::Transfer::min_speed) and the [deadline](crate::Transfer::deadline) of a download do that.
    fn read_timeout(timeout: Duration) = |settings| settings.read_timeout = timeout;

    /// Sends a name and a password (RFC 7617), to the origin of the caller's URL only.
    fn user(user: impl Into<String>, password: impl Into<String>) = |settings| {
        settings.client.credentials = Some(Credentials::password(user, password));
    };

    /// Sends a bearer token (RFC 6750), to the origin of the caller's URL only.
    fn bearer_token(token: impl Into<String>) = |settings| {
        settings.client.credentials = Some(Credentials::bearer(token));
    };

    /// Trusts the certificates in a PEM file, and no others; several files add up.
    ///
    /// It is read before the first connection; one that cannot be read fails the download.
    fn ca_certificate(file: impl Into<PathBuf>) = |settings| {
        settings.client.trust = take(&mut settings.client.trust).ca_certificate(file);
    };

    /// Shows a certificate, with its chain, and proves it with a key, from two PEM files or twice the same.
    ///
    /// They are read before the first connection; one that cannot be read fails the download.
    fn client_certificate(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) = |settings| {
        settings.client.trust = take(&mut settings.client.trust).client_certificate(certificate, key);
    };

    /// Sets whether the server must prove who it is; without that, anyone on the way can read and change all.
    fn verify(verify: bool) = |settings| {
        settings.client.trust = take(&mut settings.client.trust).verify(verify);
    };

    /// Goes through the proxy at this URL, whose credentials may be in it.
    fn proxy(url: impl Into<String>) = |settings| settings.client.proxy = Proxy::Url(url.into());

    /// Goes through no proxy, whatever the environment names.
    fn no_proxy() = |settings| settings.client.proxy = Proxy::None;

    /// Connects only to where a guard lets it; with one, no proxy is taken from the environment.
    fn guard(guard: Guard) = |settings| settings.client.guard = Some(guard);

    /// Resolves names by this instead of by the system; a [guard](Self::guard) checks what it answers.
    ///
    /// Downloads share a client only if they were given the very same resolver, as by a clone of the protocol.
    fn resolver(resolver: impl reqwest::dns::Resolve + 'static) = |settings| {
        settings.client.resolver = Some(Same(Arc::new(resolver)));
    };

    /// Sends a header, to the origin of the caller's URL only; one of the same name replaces it.
    fn header(name: impl Into<String>, value: impl Into<String>) = |settings| {
        settings.headers.push((name.into(), value.into()));
    };

    /// Sets how many redirects are followed; 10 unless set.
    fn max_redirects(redirects: u32) = |settings| settings.max_redirects = redirects;

    /// Sets how many header fields a reply may have; 100 unless set, and about 400 KB in all, which is not to be set.
    ///
    /// A reply with more fails the download as soon as they were read.
    fn max_headers(fields: usize) = |settings| settings.client.max_headers = Some(fields);

    /// Speaks HTTP/1.1 with every server, also with one that offers HTTP/2, where many requests share a connection.
    fn http1_only() = |settings| settings.client.http1_only = true;

    /// Allows redirects from https to http.
    fn allow_downgrade() = |settings| settings.downgrade = true;

    /// Changes the client library's own builder, after all settings were made on it.
    ///
    /// Downloads share a client only if they were given the very same hook, as by a clone of the protocol. Redirects
    /// are followed by the protocol and not by the client, whatever the hook says; headers that it makes the client's
    /// default are sent to every origin. With a [guard](Self::guard), a resolver that it sets is not asked; proxies
    /// and addresses for single names that it sets are used, and are up to the caller.
    fn client_hook(hook: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static)
        = |settings| settings.client.hook = Some(Same(Arc::new(hook)));

    /// Changes the client library's own builder of each request; of the headers it sets, none goes to another origin
    /// than that of the caller's URL.
    fn request_hook(hook: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder + Send + Sync + 'static)
        = |settings| settings.request_hook = Some(Same(Arc::new(hook)));
}
