//! What is found about a content, where else it is and what it must be.

use std::sync::Arc;

use ganymede::{
    Algorithm, Context, Digest, Failure, FileName, Head, Method, Protocol, Request, Url, ValidationError,
};

use super::{agree, digest, link};
use crate::digests::PieceDigests;
use crate::file::{File, Source};
use crate::metalink::Metalink;
use crate::preference::Preference;

/// What is found about a content.
pub(super) struct Found {
    /// Where it was asked about.
    url: Url,
    /// The strongest digest that it must have.
    pub(super) digest: Option<Digest>,
    pub(super) pieces: Option<PieceDigests>,
    size: Option<u64>,
    mirrors: Vec<Url>,
}

impl Found {
    pub(super) fn nothing(url: Url) -> Self {
        Self { url, digest: None, pieces: None, size: None, mirrors: Vec::new() }
    }

    /// Reads a head, and what it says that describes the content.
    pub(super) fn of<P: Protocol + 'static>(
        url: Url,
        head: &Head,
        request: &Request,
        preference: &Preference,
        protocol: &Arc<P>,
        context: &Context,
    ) -> Result<Self, Failure> {
        let links = link::of(head);
        let mut digests = head.digests();
        digests.extend(digest::of(head));
        let mut sources = links.duplicates;
        let mut found = Self::nothing(url);
        let described = match links.description {
            Some(at) => describe(&at, head, request, protocol, context)?,
            None => None,
        };
        if let Some(file) = described {
            check_size(file.size(), head)?;
            agree(&digests, file.digests()).map_err(|error| contradicts(&found.url, error))?;
            digests.extend(file.digests());
            found.size = file.size();
            found.pieces = file.pieces().cloned();
            sources.extend(file.sources().iter().take(Metalink::MOST_SOURCES).cloned());
        }
        found.digest = digests.into_iter().max_by_key(Digest::algorithm);
        if found.proves() || request.is_identified() {
            let from_network = |source: &&Source| source.url().scheme() != "file";
            for source in preference.ranked(sources.iter().filter(from_network)) {
                if *source.url() != found.url && !found.mirrors.contains(source.url()) {
                    found.mirrors.push(source.url().clone());
                }
            }
        }
        Ok(found)
    }

    /// Tells whether it is about the content of this URL.
    pub(super) fn is_of(&self, url: &Url) -> bool {
        self.url == *url || self.mirrors.contains(url)
    }

    /// Returns where else the content is, in the order in which that is asked.
    pub(super) fn mirrors(&self) -> impl Iterator<Item = &Url> {
        self.mirrors.iter()
    }

    /// Tells whether the digest proves what the content is, also against who would have it otherwise.
    pub(super) fn proves(&self) -> bool {
        self.digest.is_some_and(|digest| digest.algorithm() >= Algorithm::Sha224)
    }

    /// Fails if the content that comes is clearly another one.
    pub(super) fn check(&self, head: &Head) -> Result<(), Failure> {
        check_size(self.size, head)
    }
}

fn check_size(expected: Option<u64>, head: &Head) -> Result<(), Failure> {
    match expected.zip(head.total()) {
        Some((expected, actual)) if expected != actual => {
            Err(ValidationError::Size { expected, actual }.into())
        }
        _ => Ok(()),
    }
}

fn contradicts(url: &Url, error: ValidationError) -> Failure {
    let message = format!("the Metalink that describes {url} contradicts it: {error}");
    Failure::from(error).message(message)
}

/// Fetches what describes a content, and returns what it says of that.
fn describe<P: Protocol + 'static>(
    at: &Url,
    head: &Head,
    request: &Request,
    protocol: &Arc<P>,
    context: &Context,
) -> Result<Option<File>, Failure> {
    let weaker = head.url().scheme() == "https" && at.scheme() != "https";
    if weaker || !matches!(at.scheme(), "http" | "https") {
        tracing::warn!(description = %at, "what describes a content is not fetched over less than that");
        return Ok(None);
    }
    let mut ask = request.clone();
    ask.set_method(Method::Get);
    ask.set_range(None);
    ask.set_if_range(None);
    ask.set_if_changed(None);
    ask.follow(at)?;
    ask.ask_alone();
    ask.set_identified(false);
    match Metalink::fetch(ask, Arc::clone(protocol), context) {
        Ok(metalink) => Ok(choose(metalink, head.url(), request)),
        Err(_) if context.is_cancelled() => Err(Failure::cancelled()),
        Err(failure) => {
            tracing::warn!(description = %at, %failure, "what describes a content is of no use");
            Ok(None)
        }
    }
}

/// Returns the file of a Metalink that a content is: the only one, else that with its URL or its name.
fn choose(metalink: Metalink, url: &Url, request: &Request) -> Option<File> {
    let mut files = metalink.into_files();
    if files.len() > 1 {
        let own = request.display_url();
        let has =
            |file: &File| file.sources().iter().any(|source| *source.url() == *url || *source.url() == own);
        let name = FileName::of_url(&own);
        let named = |file: &File| file.name().file_name() == name.as_str();
        let at = files.iter().position(has).or_else(|| files.iter().position(named))?;
        return Some(files.swap_remove(at));
    }
    files.pop()
}
