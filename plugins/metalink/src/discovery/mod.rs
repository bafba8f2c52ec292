//! Asking a server where else a content is, and what it must be (RFC 6249).

mod digest;
mod found;
mod link;

use std::fmt;
use std::sync::Arc;

use ganymede::{
    Action, Context, Digest, ErrorKind, Event, EventHandler, Failure, Method, MirrorDelegate, Protocol,
    Reply, Request, StatusCode, Url, ValidationError,
};
use parking_lot::Mutex;

use crate::pieces::Pieces;
use crate::preference::Preference;

use found::Found;

/// A protocol that asks a server, before it asks for the content, where else that is and what it must be: Metalink/HTTP
/// (RFC 6249).
///
/// It asks for the head of the content, and reads of it
///
/// - `Digest` (RFC 3230) and `Repr-Digest` (RFC 9530): the strongest digest of the content, which is enforced.
/// - `Link` with `rel=duplicate`: mirrors of the content, by `pri`, and first those of preferred countries, by `geo`.
///   They are of use only where a digest of SHA-2 is known (RFC 6249 §6), which decides that they have the same content
///   whatever their entity tags are.
/// - `Link` with `rel=describedby` and the type of a Metalink: that is fetched, its digests are enforced, too, those of
///   pieces with [`Pieces`], and its URLs are further mirrors. From https, one at http is not taken. What describes another content than
///   there is, or says something else of it than the server itself, fails the download: somebody is wrong.
///
/// The mirrors are the request's [alternates](Request::alternates) for protocols inside that ask several sources, such as
/// [`Segmented`](ganymede::Segmented), and repair bad pieces. The [`delegate`](Self::delegate) fails over to them, too.
///
/// Where the head cannot be had, or a description cannot, the content is asked for without it. What is known is
/// remembered from one attempt of a download to the next, for one download: make one for each.
///
/// ```
/// use ganymede::{FileWriter, HttpDownload, Segmented};
/// use ganymede_metalink::Discovery;
///
/// let download = HttpDownload::get("https://example.com/image.iso")?
///     .writer(FileWriter::new("image.iso"))
///     .map(|http| Discovery::new(Segmented::new(http)));
/// let delegate = download.protocol().delegate();
/// let download = download.handler(delegate);
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
pub struct Discovery<P> {
    protocol: Arc<P>,
    preference: Preference,
    found: Arc<Mutex<Option<Arc<Found>>>>,
}

impl<P: Protocol + 'static> Discovery<P> {
    /// Asks over `protocol`, for the head, a description and the content.
    #[must_use]
    pub fn new(protocol: P) -> Self {
        Self { protocol: Arc::new(protocol), preference: Preference::new(), found: Arc::default() }
    }

    /// Sets which mirrors are of use, and in which order; those of http and https by priority unless set.
    #[must_use]
    pub fn preference(mut self, preference: Preference) -> Self {
        self.preference = preference;
        self
    }

    /// Returns what fails over to the mirrors that this one finds.
    #[must_use]
    pub fn delegate(&self) -> DiscoveryDelegate {
        DiscoveryDelegate { found: Arc::clone(&self.found) }
    }

    /// Returns what is known of the content of a request; fails with the reply to it if there is nothing more to ask for.
    fn find(&self, request: &Request, context: &Context) -> Result<Arc<Found>, Early> {
        let url = request.display_url();
        if let Some(found) = self.found.lock().as_ref().filter(|found| found.is_of(&url)) {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(self.ask(request, url, context)?);
        *self.found.lock() = Some(Arc::clone(&found));
        Ok(found)
    }

    fn ask(&self, request: &Request, url: Url, context: &Context) -> Result<Found, Early> {
        let mut ask = request.clone();
        ask.set_method(Method::Head);
        ask.set_range(None);
        ask.set_if_range(None);
        ask.set_header("want-digest", "sha-512, sha-256")?;
        let head = match self.protocol.send(&ask, context) {
            Ok(reply) if reply.head().status() == StatusCode::NOT_MODIFIED => {
                return Err(Early::Same(Box::new(reply)));
            }
            Ok(reply) => reply.head().clone(),
            Err(failure) if is_about_the_head(&failure) => {
                tracing::debug!(source = %url, %failure, "nothing is discovered");
                return Ok(Found::nothing(url));
            }
            Err(failure) => return Err(failure.into()),
        };
        Ok(Found::of(url, &head, request, &self.preference, &self.protocol, context)?)
    }
}

/// Tells whether a source may well have the content although it does not tell its head alone.
fn is_about_the_head(failure: &Failure) -> bool {
    let refused = matches!(
        failure.kind(),
        ErrorKind::NotFound
            | ErrorKind::Unauthorized
            | ErrorKind::Status
            | ErrorKind::Unsupported
            | ErrorKind::Malformed
    );
    refused && !failure.is_transient()
}

/// Why nothing more is asked for.
enum Early {
    /// The target has it already.
    Same(Box<Reply>),
    Failed(Failure),
}

impl From<Failure> for Early {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Protocol + 'static> Protocol for Discovery<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let web = matches!(request.url().scheme(), "http" | "https");
        if !web || request.method() != Method::Get {
            return self.protocol.send(request, context);
        }
        let found = match self.find(request, context) {
            Ok(found) => found,
            Err(Early::Same(reply)) => return Ok(*reply),
            Err(Early::Failed(failure)) => return Err(failure),
        };
        let mut request = request.clone();
        for mirror in found.mirrors() {
            request.add_listed_alternate(mirror.clone());
        }
        if request.range().is_none() && found.proves() {
            // What is stated of the reply, the engine enforces.
            request.set_identified(true);
        }
        let protocol = Pieces::sharing(Arc::clone(&self.protocol), found.pieces.clone());
        let reply = protocol.send(&request, context)?;
        let timing = reply.timing();
        let (head, body) = reply.into_parts();
        let Some(body) = body else { return Ok(Reply::bodiless(head).with_timing(timing)) };
        found.check(&head)?;
        let head = found.digest.iter().fold(head, |head, digest| head.with_digest(*digest));
        Ok(Reply::new(head, body).with_timing(timing))
    }
}

impl<P: fmt::Debug> fmt::Debug for Discovery<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// Fails over to the mirrors that a [`Discovery`] has found: each is tried once, in their order.
///
/// Headers and credentials of the caller stay behind from those on other origins.
pub struct DiscoveryDelegate {
    found: Arc<Mutex<Option<Arc<Found>>>>,
}

impl EventHandler for DiscoveryDelegate {
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        match event {
            // Of an earlier run, or another download.
            Event::Prepared { .. } => *self.found.lock() = None,
            Event::Error { error, .. } => {
                let found = self.found.lock().clone();
                if let Some(found) = found.filter(|found| found.is_of(error.url())) {
                    return MirrorDelegate::named(found.mirrors().cloned()).handle(event, context);
                }
            }
            _ => {}
        }
        Action::Continue
    }
}

impl fmt::Debug for DiscoveryDelegate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveryDelegate").finish_non_exhaustive()
    }
}

/// Fails if two digests of one algorithm differ that were stated of one content.
fn agree(ours: &[Digest], theirs: &[Digest]) -> Result<(), ValidationError> {
    for expected in ours {
        let same = |other: &&Digest| other.algorithm() == expected.algorithm();
        if let Some(actual) = theirs.iter().find(same).filter(|actual| *actual != expected) {
            return Err(ValidationError::Digest { expected: Box::new(*expected), actual: Box::new(*actual) });
        }
    }
    Ok(())
}
