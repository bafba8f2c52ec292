//! What one download of a run is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ganymede::{Digest, Failure, FileName, Request, Url};
#[cfg(feature = "metalink")]
use ganymede_metalink::PieceDigests;
use url::ParseError;

/// One thing to download: where from, where to, and what it must be.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) url: Url,
    /// The URL as it was written, without credentials: how reports name the item.
    pub(crate) label: String,
    /// Where to, if that was said; otherwise the URL has the name.
    pub(crate) out: Option<PathBuf>,
    pub(crate) size: Option<u64>,
    pub(crate) digests: Vec<Digest>,
    pub(crate) mirrors: Vec<Url>,
    /// Where its sources are named, if that was not by the user: credentials are for that origin alone.
    pub(crate) origin: Option<Arc<Url>>,
    /// Why it cannot be downloaded, if that is known already.
    pub(crate) failure: Option<Failure>,
    #[cfg(feature = "metalink")]
    pub(crate) pieces: Option<PieceDigests>,
}

impl Item {
    /// Makes the item of a URL alone.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let url = url(text)?;
        let label = match without_credentials(&url) {
            Some(redacted) => redacted.into(),
            None => text.trim().to_owned(),
        };
        Ok(Self {
            url,
            label,
            out: None,
            size: None,
            digests: Vec::new(),
            mirrors: Vec::new(),
            origin: None,
            failure: None,
            #[cfg(feature = "metalink")]
            pieces: None,
        })
    }

    /// Sets where to, which must name a file.
    pub(crate) fn set_out(&mut self, out: &str) -> Result<(), String> {
        if out.ends_with('/') || Path::new(out).file_name().is_none() || out.contains('\0') {
            return Err(format!("out={out:?} names no file"));
        }
        self.out = Some(PathBuf::from(out));
        Ok(())
    }

    /// Makes the request for it.
    pub(crate) fn request(&self) -> Request {
        if let Some(origin) = &self.origin {
            let mut request = Request::new(Url::clone(origin));
            if request.follow(&self.url).is_ok() {
                return request;
            }
        }
        Request::new(self.url.clone())
    }

    /// Returns where the file goes.
    pub(crate) fn path(&self, folder: Option<&Path>) -> PathBuf {
        let file = self.out.clone().unwrap_or_else(|| FileName::of_url(&self.url).into());
        match folder {
            Some(folder) => folder.join(file),
            None => file,
        }
    }
}

/// Parses a URL, and says in plain words why it is none.
pub(crate) fn url(text: &str) -> Result<Url, String> {
    let hint = "it needs a scheme in front, like https://";
    let reason = match Url::parse(text) {
        // `host:80/file` and `user:password@host` read as if the scheme were called host or user.
        Ok(url) if url.cannot_be_a_base() => hint.to_owned(),
        Ok(url) => return Ok(url),
        Err(ParseError::RelativeUrlWithoutBase) => hint.to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!("{:?} is not a URL: {reason}", masked(text)))
}

/// Returns the URL as text, without its credentials.
pub(crate) fn shown(url: &Url) -> String {
    without_credentials(url).map_or_else(|| url.to_string(), String::from)
}

/// Returns the URL without its credentials, if it has any.
fn without_credentials(url: &Url) -> Option<Url> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut url = url.clone();
    // Both only fail where a URL cannot have credentials in the first place.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(url)
}

/// Hides what may be credentials in a text that is no URL, or in one of a proxy.
pub(crate) fn masked(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, after)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://..@{after}"),
            None => format!("..@{after}"),
        },
        None => text.to_owned(),
    }
}
