//! Where the contents are: a base, its mirrors, and the digests that are expected.

use std::fmt;
use std::time::Duration;

use ganymede::{
    DigestValidation, Download, ErrorKind, Factory, Failure, Guard, Http, Importer, MirrorDelegate, Protocol,
    Request, RetryDelegate, Transfer, Url,
};

use crate::cooling::Cooling;
use crate::digests::Digests;
use crate::path::ResourcePath;

/// An importer of what is below a URL, or below one of its mirrors.
///
/// A path is asked for below the base first, then below each mirror; transient failures are tried again before that. A
/// file whose digest is known must have it, wherever it comes from, and a source that has sent another content is asked
/// last for a while. Only the hosts that are named here may have addresses that are not public: a redirect leads to no
/// other one of the kind.
///
/// ```
/// use ganymede::Importer;
/// use ganymede_streamer::Remote;
///
/// let remote = Remote::new("https://example.com/debian/")?.mirror("https://mirror.example.org/debian/")?;
/// let download = remote.download("dists/stable/InRelease")?;
/// assert_eq!(download.request().url().as_str(), "https://example.com/debian/dists/stable/InRelease");
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    bases: Vec<Url>,
    digests: Digests,
    http: Http,
    protocols: Vec<(String, std::sync::Arc<dyn Protocol>)>,
    retry: RetryDelegate,
    rest: Duration,
    cooling: Cooling,
    factory: Factory,
}

impl Remote {
    /// Imports what is below a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if that is no URL of a folder: one with a query, say.
    pub fn new(base: &str) -> Result<Self, Failure> {
        let bases = vec![folder(base)?];
        let rest = Duration::from_secs(60);
        let remote = Self {
            cooling: Cooling::new(&bases, rest),
            bases,
            digests: Digests::new(),
            http: Http::new(),
            protocols: Vec::new(),
            retry: RetryDelegate::new(2).base(Duration::from_millis(200)).cap(Duration::from_secs(5)),
            rest,
            factory: Factory::new(),
        };
        Ok(remote.built())
    }

    /// Adds a mirror: another URL below which the same paths have the same contents.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if that is no URL of a folder.
    pub fn mirror(mut self, base: &str) -> Result<Self, Failure> {
        self.bases.push(folder(base)?);
        Ok(self.built())
    }

    /// Sets the digests that files must have.
    #[must_use]
    pub fn digests(mut self, digests: Digests) -> Self {
        self.digests = digests;
        self
    }

    /// Sets how `http` and `https` are spoken; the guard is added to it.
    #[must_use]
    pub fn http(mut self, http: Http) -> Self {
        self.http = http;
        self.built()
    }

    /// Adds a protocol for the URLs of a scheme, such as that of a plugin, which should have a guard of its own.
    #[must_use]
    pub fn protocol(mut self, scheme: &str, protocol: impl Protocol + 'static) -> Self {
        self.protocols.push((scheme.to_owned(), std::sync::Arc::new(protocol)));
        self.built()
    }

    /// Sets how each source is tried again; 2 times within a few seconds unless set.
    #[must_use]
    pub fn retry(mut self, retry: RetryDelegate) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how long a source that has sent a wrong body is asked last; a minute unless set.
    #[must_use]
    pub fn cooldown(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self.built()
    }

    /// Returns the guard that keeps downloads away from all that is not public, but for the hosts that are named here.
    #[must_use]
    pub fn guard(&self) -> Guard {
        let hosts = self.bases.iter().filter_map(Url::host_str);
        hosts.fold(Guard::public_only(), |guard, host| guard.allow(host.trim_matches(['[', ']'])))
    }

    /// Makes anew what depends on the settings.
    fn built(mut self) -> Self {
        self.cooling = Cooling::new(&self.bases, self.rest);
        let factory = Factory::new().http(self.http.clone().guard(self.guard()));
        let register = |factory: Factory, (scheme, protocol): &(String, std::sync::Arc<dyn Protocol>)| {
            factory.register(scheme, std::sync::Arc::clone(protocol))
        };
        self.factory = self.protocols.iter().fold(factory, register);
        self
    }
}

impl Importer for Remote {
    fn download(&self, path: &str) -> Result<Box<dyn Download>, Failure> {
        let wrong = |error| Failure::new(ErrorKind::Unsupported, format!("{error}")).caused_by(error);
        let path: ResourcePath = format!("/{}", path.trim_start_matches('/')).parse().map_err(wrong)?;
        let mut sources = Vec::with_capacity(self.bases.len());
        for base in self.cooling.ordered() {
            let mut url = base.clone();
            // The path is in its one form, which a URL leaves as it is.
            url.set_path(&format!("{}{}", base.path(), path.path()));
            url.set_query(path.query());
            sources.push(url);
        }
        let mirrors = sources.split_off(1.min(sources.len()));
        let Some(first) = sources.pop() else {
            return Err(Failure::new(ErrorKind::Unsupported, "the remote has no base"));
        };
        let mut download = Transfer::new(Request::new(first), self.factory.clone())
            .handler(self.cooling.clone())
            .handler(self.retry.clone());
        if !mirrors.is_empty() {
            download = download.handler(MirrorDelegate::new(mirrors));
        }
        if let Some(digest) = self.digests.of(&path) {
            download = download.validation(DigestValidation::new(digest));
        }
        Ok(Box::new(download))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bases: Vec<_> =
            self.bases.iter().map(|url| Request::new(url.clone()).display_url().to_string()).collect();
        f.debug_struct("Remote")
            .field("bases", &bases)
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}

/// Parses the URL of a folder.
fn folder(text: &str) -> Result<Url, Failure> {
    let mut url = Request::get(text)?.url().clone();
    if url.cannot_be_a_base() || url.query().is_some() || url.fragment().is_some() {
        let message = format!("{} is not the URL of a folder", Request::new(url).display_url());
        return Err(Failure::new(ErrorKind::Unsupported, message));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}
