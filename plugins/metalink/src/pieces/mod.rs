//! A protocol that verifies what it passes on, piece by piece.

mod body;
mod repair;

use std::fmt;
use std::sync::Arc;

use ganymede::{
    ByteRange, Context, Failure, Head, HeaderName, Method, Protocol, Reply, Request, StatusCode,
    ValidationError,
};

use crate::digests::PieceDigests;

use body::{Body, Span};
use repair::Repair;

/// A protocol that verifies each piece of a content before it passes it on, and asks for a bad one again, alone, from
/// another source.
///
/// The other sources are the request's [alternates](Request::alternates), in their order, such as the mirrors that a
/// [`MirrorDelegate`](ganymede::MirrorDelegate) was given; the last to be asked is the same source once more. What is
/// received of the content otherwise goes on meanwhile, and whoever has sent two bad pieces one after the other is left
/// for the source that had them right. Only when nobody has a good piece does the body fail, as a validation that is
/// transient: all before it is good, so the next attempt goes on there.
///
/// One piece at a time is in memory, if it is not [larger](Self::largest) than 32 MiB. Larger ones are not verified: the
/// content is passed on as it comes, which is told as a warning, and a digest of the whole decides. A request that
/// begins in the middle of a piece, as one that resumes may, is asked from the beginning of that piece on.
///
/// It may be around a [`Segmented`](ganymede::Segmented), whose pieces are another matter: these ranges are as long as
/// the connections make it best.
///
/// ```
/// use ganymede::{Algorithm, FileWriter, HttpDownload, MirrorDelegate, Segmented};
/// use ganymede_metalink::{PieceDigests, Pieces};
///
/// # fn example(digests: PieceDigests) -> Result<(), Box<dyn std::error::Error>> {
/// let download = HttpDownload::get("https://example.com/image.iso")?
///     .writer(FileWriter::new("image.iso"))
///     .handler(MirrorDelegate::new(["https://example.org/image.iso".parse()?]))
///     .map(|http| Pieces::new(Segmented::new(http), digests));
/// # let _ = download;
/// # Ok(())
/// # }
/// ```
pub struct Pieces<P> {
    protocol: Arc<P>,
    digests: Option<PieceDigests>,
    largest: u64,
}

impl<P: Protocol + 'static> Pieces<P> {
    /// Verifies what `protocol` sends; without digests, it is passed on as it comes.
    #[must_use]
    pub fn new(protocol: P, digests: impl Into<Option<PieceDigests>>) -> Self {
        Self::sharing(Arc::new(protocol), digests.into())
    }

    pub(crate) fn sharing(protocol: Arc<P>, digests: Option<PieceDigests>) -> Self {
        Self { protocol, digests, largest: 32 << 20 }
    }

    /// Sets how many bytes a piece may have to be held in memory and verified; 32 MiB unless set.
    #[must_use]
    pub fn largest(mut self, bytes: u64) -> Self {
        self.largest = bytes;
        self
    }

    /// Returns the digests that can be used.
    fn usable(&self, request: &Request) -> Option<&PieceDigests> {
        let digests = self.digests.as_ref().filter(|_| request.method() == Method::Get)?;
        if digests.length() > self.largest {
            let (length, largest) = (digests.length(), self.largest);
            let source = request.display_url();
            tracing::warn!(%source, length, largest, "the pieces are too large to be verified one by one");
            return None;
        }
        Some(digests)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Protocol + 'static> Protocol for Pieces<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let Some(digests) = self.usable(request) else { return self.protocol.send(request, context) };
        let asked = request.range();
        let (first, last) = (asked.map_or(0, |range| range.first()), asked.and_then(|range| range.last()));
        let start = first - first % digests.length();
        let mut aligned = request.clone();
        // Each piece is proved to be of the content, whoever sends it.
        aligned.set_identified(true);
        if asked.is_some() {
            let end = last.map(|last| (last / digests.length() + 1).saturating_mul(digests.length()) - 1);
            aligned.set_range(ByteRange::new(start, end));
        }
        let reply = self.protocol.send(&aligned, context)?;
        let head = reply.head();
        if !reply.has_body() {
            return Ok(reply);
        }
        check_total(digests, head)?;
        let is_part = asked.is_some() && head.status() == StatusCode::PARTIAL_CONTENT;
        let span = match head.offset() {
            0 if !is_part => Span { start: 0, first: 0, last: None },
            offset if is_part && offset == start => Span { start, first, last },
            // It is not what was asked for, which is for the engine to say.
            _ => return Ok(reply),
        };
        let timing = reply.timing();
        let (head, body) = reply.into_parts();
        let total = head.total();
        let head = verified(head, &span);
        let Some(body) = body else { return Ok(Reply::bodiless(head).with_timing(timing)) };
        let repair = Repair::new(Arc::clone(&self.protocol), request.clone(), context.clone(), total);
        Ok(Reply::new(head, Body::new(body, digests.clone(), span, repair)).with_timing(timing))
    }
}

/// Fails if a content of the size that its source says cannot have these pieces.
fn check_total(digests: &PieceDigests, head: &Head) -> Result<(), Failure> {
    match head.total() {
        Some(total) if !digests.covers(total) => {
            let (count, length) = (digests.count(), digests.length());
            let message =
                format!("the {total} bytes of the source are not the {count} pieces of {length} bytes");
            Err(ValidationError::custom(message).into())
        }
        _ => Ok(()),
    }
}

/// Returns the head of what is passed on, made of that of what was asked for.
fn verified(head: Head, span: &Span) -> Head {
    // What the source says of the bytes that it sends now is not true any more of those that are passed on.
    const OF_BODY: [HeaderName; 2] =
        [HeaderName::from_static("content-digest"), HeaderName::from_static("content-md5")];
    let mut headers = head.headers().clone();
    for name in OF_BODY {
        headers.remove(name);
    }
    let head = head.with_headers(headers);
    let (offset, length, total) = (head.offset(), head.length(), head.total());
    if offset == span.first && span.last.is_none() {
        return head;
    }
    let end = length.map(|length| offset.saturating_add(length));
    let end = match (end, span.last) {
        (Some(end), Some(last)) => Some(end.min(last.saturating_add(1))),
        (end, _) => end,
    };
    head.with_part(span.first, end.map(|end| end.saturating_sub(span.first)), total)
}

impl<P: fmt::Debug> fmt::Debug for Pieces<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("protocol", &self.protocol)
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}
