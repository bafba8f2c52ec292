//! What is known of a content of which some bytes are there, and who may go on with it.

use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, LAST_MODIFIED};
use url::Url;

use crate::digest::Digest;
use crate::integrity;
use crate::limits::host;
use crate::record::{Record, identity, public};
use crate::reply::{Head, Validator};
use crate::request::{ByteRange, Request};

/// What was known of the content when its first byte came, in this run or an earlier one.
pub(crate) struct Begun {
    source: Source,
    /// Where the source's redirects led, if any.
    found: String,
    validator: Option<Validator>,
    modified: Option<String>,
    disposition: Option<String>,
    total: Option<u64>,
    /// How many bytes there will be of what is asked for.
    pub(crate) expected: Option<u64>,
    /// What was asked for: a handler may ask for something else next time.
    range: Option<ByteRange>,
    /// What the source says of the whole content.
    pub(crate) stated: Vec<Digest>,
    /// Whether another source went on with what this one began.
    pub(crate) mixed: bool,
    /// Whether the first bytes are from an earlier run.
    pub(crate) restored: bool,
    /// Whether it was gone on with although no source has said that it is the same content.
    pub(crate) unguarded: bool,
    /// Whether the source has said that it sends no parts.
    whole_only: bool,
}

/// Who sent the first bytes.
enum Source {
    Url(Url),
    /// It was noted in an earlier run, not to be read.
    Noted(Digest),
}

impl Source {
    fn is(&self, url: &Url) -> bool {
        match self {
            Self::Url(source) => source == url,
            Self::Noted(source) => *source == identity(url),
        }
    }
}

/// How sure a reply must be that it is of the content that was begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The source was asked whether it is.
    Asked,
    /// It was not, so the reply must say it by itself.
    Stated,
}

impl Begun {
    /// Takes from the first reply what there is to know.
    pub(crate) fn with(head: &Head, request: &Request, expected: Option<u64>) -> Self {
        // Of a part, the digest of the whole says nothing that could be checked.
        let stated = if request.range().is_none() { integrity::of_content(head) } else { Vec::new() };
        Self {
            source: Source::Url(request.url().clone()),
            found: host(head.url()),
            validator: head.validator(),
            modified: head.modified().and_then(|_| head.header(LAST_MODIFIED).map(str::to_owned)),
            disposition: head.header(CONTENT_DISPOSITION).map(str::to_owned),
            total: head.total(),
            expected,
            range: request.range(),
            stated,
            mixed: false,
            restored: false,
            unguarded: false,
            whole_only: is_whole_only(head),
        }
    }

    /// Restores what an earlier run has noted.
    pub(crate) fn restore(record: Record) -> Self {
        Self {
            source: Source::Noted(record.source),
            expected: record.length(),
            found: record.host,
            validator: record.validator,
            modified: record.modified,
            disposition: record.disposition,
            total: record.total,
            range: record.range,
            stated: record.stated,
            mixed: false,
            restored: true,
            unguarded: false,
            whole_only: false,
        }
    }

    /// Takes from a reply that goes on what the first one did not tell.
    pub(crate) fn go_on(&mut self, head: &Head, request: &Request, expected: Option<u64>) {
        self.total = self.total.or(head.total());
        self.expected = self.expected.or(expected);
        self.mixed |= !self.source.is(request.url());
        self.unguarded |= self.validator.is_none() || host(head.url()) != self.found;
    }

    /// Returns the head of a reply that goes on with what the first one told of the content: a part need not repeat it
    /// (RFC 9110 §15.3.7).
    pub(crate) fn completed(&self, head: &Head) -> Head {
        let mut completed = head.clone();
        for (name, first) in [(LAST_MODIFIED, &self.modified), (CONTENT_DISPOSITION, &self.disposition)] {
            if let Some(first) = first.as_ref().filter(|_| !head.headers().contains_key(&name)) {
                completed = completed.with_header(name.as_str(), first);
            }
        }
        completed
    }

    /// Makes the note with which a later run goes on, if one may.
    pub(crate) fn record(&self, own: &Url, expected: &[Digest]) -> Option<Record> {
        let proved = self.validator.is_some() || !expected.is_empty() || !self.stated.is_empty();
        if !proved || self.whole_only {
            return None;
        }
        let (url, source) = match &self.source {
            Source::Url(url) => (public(url), identity(url)),
            Source::Noted(source) => (public(own), *source),
        };
        Some(Record {
            url,
            download: identity(own),
            source,
            host: self.found.clone(),
            validator: self.validator.clone(),
            modified: self.modified.clone(),
            disposition: self.disposition.clone(),
            total: self.total,
            range: self.range,
            expected: expected.to_vec(),
            stated: self.stated.clone(),
        })
    }

    /// Returns the request for the bytes from `offset` on, if its source can go on there.
    ///
    /// That must be proved: by an expected digest at the end, or by the source, with a validator, that it still has
    /// the same content. Only a strong entity tag can be asked of another source than the first.
    pub(crate) fn continuation(&self, request: &Request, offset: u64, identified: bool) -> Option<Request> {
        if self.range != request.range() || offset == 0 {
            return None;
        }
        self.rest(request, offset, identified)
    }

    /// Returns the request for the bytes from `offset` on, if that can be proved: also of one who has none yet.
    pub(crate) fn rest(&self, request: &Request, offset: u64, identified: bool) -> Option<Request> {
        let same_source = self.source.is(request.url());
        let guard = match &self.validator {
            Some(Validator::LastModified(_)) if !same_source => None,
            guard => guard.clone(),
        };
        // A mirror has its own tags: an expected digest is the better proof there.
        let guard = guard.filter(|_| same_source || !identified);
        if guard.is_none() && !identified {
            return None;
        }
        let mut rest = request.clone();
        rest.set_range(Some(request.range().unwrap_or(ByteRange::from(0)).after(offset)?));
        rest.set_if_range(guard);
        Some(rest)
    }

    /// Tells whether a reply to the [`continuation`](Self::continuation) continues what is there.
    pub(crate) fn continues(
        &self,
        head: &Head,
        request: &Request,
        offset: u64,
        identified: bool,
        proof: Proof,
    ) -> bool {
        let same_place = head.offset() == first(request) + offset;
        let same_total = self.total.is_none() || head.total().is_none() || self.total == head.total();
        // Redirects that lead to another host this time are another source.
        let elsewhere = !self.source.is(request.url()) || host(head.url()) != self.found;
        let same_content = match &self.validator {
            // A source that did not confirm the tag has proved nothing about it.
            Some(Validator::ETag(tag)) if elsewhere || proof == Proof::Stated => {
                (identified && proof == Proof::Asked) || head.strong_etag() == Some(tag)
            }
            _ if elsewhere => identified,
            // Every part that was asked for under a tag bears it (RFC 9110 §15.3.7).
            Some(Validator::ETag(tag)) => head.etag().map_or(identified, |other| other == tag),
            Some(Validator::LastModified(date)) => {
                head.header(LAST_MODIFIED).is_none_or(|other| other == date)
            }
            None => identified,
        };
        let stated = integrity::of_content(head);
        let contradicted = |ours: &Digest| {
            stated.iter().any(|digest| digest.algorithm() == ours.algorithm() && digest != ours)
        };
        same_place && same_total && same_content && !self.stated.iter().any(contradicted)
    }

    /// Tells whether a source that sent everything says that it has just the content that was begun: it may have
    /// passed over the range for no better reason than the tag beside it, as some caches do.
    pub(crate) fn is_same_content(&self, head: &Head) -> bool {
        match &self.validator {
            Some(Validator::ETag(tag)) if head.status() != StatusCode::PARTIAL_CONTENT => {
                head.strong_etag() == Some(tag) && self.total == head.total() && !is_whole_only(head)
            }
            _ => false,
        }
    }

    /// Tells whether what is asked for has just this many bytes, as its source has said.
    pub(crate) fn is_whole_at(&self, size: u64, request: &Request) -> bool {
        self.range == request.range() && self.expected == Some(size)
    }

    /// Tells whether the content is known to have just this many bytes.
    pub(crate) fn may_end_at(&self, size: u64, total: Option<u64>) -> bool {
        let unknown = self.total.is_none() || self.total == total;
        unknown && self.range.is_none() && total == Some(size)
    }
}

/// Returns the position of the first byte that is asked for.
pub(crate) fn first(request: &Request) -> u64 {
    request.range().map_or(0, |range| range.first())
}

/// Tells whether a source sends no parts (RFC 9110 §14.3).
fn is_whole_only(head: &Head) -> bool {
    head.header(ACCEPT_RANGES).is_some_and(|units| units.trim().eq_ignore_ascii_case("none"))
}
