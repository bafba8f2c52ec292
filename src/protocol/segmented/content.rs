//! What the ranges are parts of, and whether a reply is one of them.

use http::header::{CONTENT_RANGE, HeaderName, TRANSFER_ENCODING};

use crate::begun::{Begun, Proof, first};
use crate::integrity::CONTENT_DIGEST;
use crate::reply::{Head, Validator};
use crate::request::{ByteRange, Request};

/// The content that was asked for, as the first reply has told of it. Positions in it are counted from the first byte
/// that was asked for.
pub(super) struct Content {
    begun: Begun,
    identified: bool,
    request: Request,
    /// How many bytes of it there are.
    pub(super) length: u64,
    total: u64,
}

impl Content {
    /// Reads the head of the first reply; `None` if it does not begin where it was asked to, or tells no length.
    pub(super) fn of(head: &Head, request: &Request) -> Option<Self> {
        let (start, total) = (first(request), head.total()?);
        let end = request.range().and_then(|range| range.last()).map_or(total, |last| total.min(last + 1));
        let length = end.checked_sub(start)?;
        let begins = head.offset() == start && head.length().is_some_and(|there| there <= total - start);
        begins.then(|| {
            let begun = Begun::with(head, request, Some(length));
            // What the source has said of the whole, the engine checks as well.
            let identified = request.is_identified() || !begun.stated.is_empty();
            Self { begun, identified, request: request.clone(), length, total }
        })
    }

    /// Tells whether parts of it can be told from those of another content.
    pub(super) fn is_divisible(&self) -> bool {
        self.range(&self.request, 0, 1).is_some()
    }

    /// Returns the head of all that was asked for, made of that of its first part.
    pub(super) fn head(&self, part: &Head) -> Head {
        const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
        let mut headers = part.headers().clone();
        for name in [CONTENT_RANGE, CONTENT_DIGEST, CONTENT_MD5, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let head = Head::new(part.url()).with_headers(headers);
        let head = part.stated().iter().fold(head, |head, digest| head.with_digest(*digest));
        match self.request.range() {
            None => head.with_length(Some(self.total)),
            Some(range) => head.with_part(range.first(), Some(self.length), Some(self.total)),
        }
    }

    /// Returns the request to a source for the bytes from `from` to before `to`; `None` if nothing would prove that
    /// they are of the same content.
    pub(super) fn range(&self, source: &Request, from: u64, to: u64) -> Option<Request> {
        let mut request = self.begun.rest(source, from, self.identified)?;
        let start = first(&self.request);
        request.set_range(ByteRange::new(start + from, Some(start + to - 1)));
        // Every part bears the tag, so that nothing but the part need be sent to find out.
        if matches!(request.if_range(), Some(Validator::ETag(_))) {
            request.set_if_range(None);
        }
        request.set_if_changed(None);
        Some(request)
    }

    /// Tells whether a reply of a source to the request for a [range](Self::range) from `from` on is of this content.
    pub(super) fn agrees(&self, head: &Head, source: &Request, from: u64) -> bool {
        let proof = if self.identified { Proof::Asked } else { Proof::Stated };
        self.begun.continues(head, source, from, self.identified, proof)
    }

    /// Returns what was asked for.
    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// Notes that bytes of another source than the named one are used.
    pub(super) fn mix(&self) {
        self.request.used_alternate();
    }
}
