//! Files that their servers name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ganymede::{
    Algorithm, Context, ErrorKind, Existing, Facts, Failure, FileName, Head, Protocol, Reply, Request,
    StatusCode, Url,
};

use crate::claims::Claims;
use crate::item::shown;
use crate::watch::Watch;

/// A protocol that lets the server name the file, before the first byte of it is stored.
///
/// What is there already can only be looked at then, so of the policies for it only those are of use here that
/// depend on nothing but the name.
pub(crate) struct RemoteName<P> {
    protocol: P,
    url: Url,
    folder: PathBuf,
    existing: Existing,
    claims: Arc<Claims>,
    watch: Arc<Watch>,
}

impl<P: Protocol> RemoteName<P> {
    /// Names what `url` leads to, in a folder, and tells `watch`.
    pub(crate) fn new(protocol: P, url: &Url, folder: &Path, watch: &Arc<Watch>) -> Self {
        let (url, folder, watch) = (url.clone(), folder.to_owned(), Arc::clone(watch));
        Self { protocol, url, folder, existing: Existing::Replace, claims: Arc::default(), watch }
    }

    /// Sets what becomes of a file of that name.
    pub(crate) fn existing(self, existing: Existing) -> Self {
        Self { existing, ..self }
    }

    /// Sets the paths of the run, so that no other download gets the same one.
    pub(crate) fn claims(self, claims: &Arc<Claims>) -> Self {
        Self { claims: Arc::clone(claims), ..self }
    }

    /// Chooses the path, unless it is another download's.
    fn choose(&self, head: &Head) -> Result<PathBuf, Failure> {
        let name = FileName::of_head(head).unwrap_or_else(|| FileName::of_url(&self.url));
        let path = self.folder.join(name);
        // A download may have been given that name before, by a reply that has broken off.
        if self.watch.path().as_ref() != Some(&path) {
            self.claims.take(&path)?;
        }
        self.watch.set_path(path.clone());
        Ok(path)
    }
}

impl<P: Protocol> Protocol for RemoteName<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let reply = self.protocol.send(request, context)?;
        let head = reply.head();
        let goes_on = head.offset() > 0 && self.watch.path().is_some();
        if goes_on || !reply.has_body() {
            return Ok(reply);
        }
        let path = self.choose(head)?;
        match (self.existing, path.metadata()) {
            (Existing::Skip, Ok(there)) => {
                let head = Head::new(request.url()).with_length(Some(there.len()));
                Ok(Reply::bodiless(head.with_status(StatusCode::NOT_MODIFIED)).with_timing(reply.timing()))
            }
            (Existing::Fail, Ok(_)) => {
                Err(Failure::new(ErrorKind::Write, format!("{} is there already", path.display())))
            }
            _ => Ok(reply),
        }
    }
}

/// Returns what stands for the path until the server has named it: the same in each run, and for no other URL.
pub(crate) fn stand_in(folder: &Path, url: &Url) -> PathBuf {
    let facts = Facts::of(shown(url).as_bytes(), [Algorithm::Sha256]).ok();
    let digest = facts.and_then(|facts| facts.digest(Algorithm::Sha256));
    let hex = digest.map(|digest| digest.hex()).unwrap_or_default();
    let name = FileName::of_url(url);
    folder.join(format!("{name}-{}", hex.get(..16).unwrap_or_default()))
}
