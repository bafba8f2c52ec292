//! One reply, fetched as ranges over several connections and from several sources.

mod adaptive;
mod board;
mod body;
mod content;
mod fetcher;
mod piece;
mod source;
mod state;

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};

use adaptive::Watched;
use board::{Board, is_exact};
use body::Body;
use content::Content;
use fetcher::Open;
use source::Sources;
use state::SMALLEST;

use crate::begun::first;
use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::protocol::Protocol;
use crate::reply::{Head, Reply};
use crate::request::{ByteRange, Method, Request};

/// The most that is asked for before anything is known of a content, in bytes: who answers with all of it is heard
/// to the end.
const FIRST: usize = 1 << 20;

/// How many connections one reply gets at most, where that is left to what they bring.
const MOST: usize = 8;

/// A protocol that fetches one reply as ranges (RFC 9110 §14), over several connections and from several sources, and
/// gives it as one body in order.
///
/// Digests, resuming, streaming and every writer work as over the protocol alone, which is asked for each range and
/// treats hosts as the context's [`Limits`](crate::Limits) say: each connection takes a place of its own, and gives it
/// back after each range.
///
/// The sources are that of the request and its [alternates](Request::alternates), such as the mirrors that a
/// [`MirrorDelegate`](crate::MirrorDelegate) was given. Those that bring most get most. A range that fails or stalls
/// goes on at another source, with what has been received kept; a source that fails again and again is not asked any
/// more, and when none is left, the body fails as that of the request's own source has. Ranges are put together only
/// if they have the same total length, and the same strong entity tag (RFC 9110 §8.8.3) or, of one source alone, the
/// same time of modification; an expected digest proves more than that, so with one, the tags of different sources
/// may differ, and all are asked one by one if it is not met in the end.
///
/// What cannot be fetched in ranges is passed on as it comes: a reply to HEAD or to a conditional request, one
/// without a length or a validator, or of a server that sends everything or refuses to send a part. Files are never
/// divided.
///
/// How many connections a reply gets is decided while it is received, unless it is [set](Self::segments): one at
/// first, and where much is left, it brings less than is taken, and the source sends parts, their number is doubled as
/// long as that brings noticeably more, up to 8 for all replies of a context; where there are other sources, one is
/// opened to each of them first. So a small file, a link that is full, and a batch with many files at once are left with
/// one connection each.
///
/// ```
/// use ganymede::{FileWriter, HttpDownload, MirrorDelegate, Segmented};
///
/// let download = HttpDownload::get("https://example.com/image.iso")?
///     .writer(FileWriter::new("image.iso"))
///     .handler(MirrorDelegate::new(["https://example.org/image.iso".parse()?]))
///     .map(|http| Segmented::new(http).segments(4));
/// # let _ = download;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Segmented<P> {
    protocol: Arc<P>,
    segments: Option<usize>,
    window: usize,
    least: u64,
}

impl<P: Protocol + 'static> Segmented<P> {
    /// Divides what `protocol` sends, over as many connections as bring more.
    #[must_use]
    pub fn new(protocol: P) -> Self {
        Self { protocol: Arc::new(protocol), segments: None, window: 32 << 20, least: 16 << 20 }
    }

    /// Sets how many connections a reply gets, whatever they bring; 1 divides nothing, and 0 counts as 1.
    ///
    /// A reply with less than 256 KiB for each gets fewer.
    #[must_use]
    pub fn segments(mut self, segments: usize) -> Self {
        self.segments = Some(segments.max(1));
        self
    }

    /// Sets how many bytes of a reply may be kept in memory until those before them have come; 32 MiB unless set, and
    /// at least 256 KiB.
    ///
    /// The larger it is, the larger are the ranges that are asked for, and the longer may one be late before the
    /// others have to wait. Under a [limit](crate::Limits::rate) on the rate, it is 256 KiB for each connection.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = bytes.max(SMALLEST);
        self
    }

    /// Sets how many bytes a reply must have at least to get more than one connection, where their number is not
    /// [set](Self::segments); 16 MiB unless set.
    #[must_use]
    pub fn least(mut self, bytes: u64) -> Self {
        self.least = bytes;
        self
    }

    /// Returns how many bytes may be held, and how many a range has at most.
    ///
    /// While all are at work, and equally fast, the one that ends first is the one that is read next: for what is late
    /// for once, there is room for two more.
    fn sizes(&self, segments: usize, context: &Context) -> (usize, usize) {
        let window = match context.limits().has_rate() {
            true => self.window.min(segments.saturating_mul(SMALLEST)),
            false => self.window,
        };
        (window, (window / segments.saturating_add(2)).max(SMALLEST))
    }

    /// Asks for a piece, and for the others if there is more than that.
    fn divide(&self, request: &Request, segments: usize, context: &Context) -> Result<Reply, Failure> {
        let plainly = || self.protocol.send(request, context);
        let (start, last) = (first(request), request.range().and_then(|range| range.last()));
        let sizes = self.sizes(segments, context);
        let size = sizes.1.min(FIRST) as u64;
        let end = start.saturating_add(size - 1);
        if last.is_some_and(|last| last <= end) {
            return plainly();
        }
        let mut piece = request.clone();
        piece.set_range(ByteRange::new(start, Some(end)));
        // A piece can be given up without the others.
        let own = context.child();
        let reply = match self.protocol.send(&piece, &own) {
            Ok(reply) => reply,
            Err(failure) if request.range().is_none() && is_about_the_range(&failure) => return plainly(),
            Err(failure) => return Err(failure),
        };
        let head = reply.head();
        if !reply.has_body() || head.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(reply);
        }
        let there = head.length().filter(|there| (1..=size).contains(there));
        let content = Content::of(head, request).zip(there);
        let Some((content, there)) = content.filter(|(content, there)| content.length >= *there) else {
            drop(reply);
            return plainly();
        };
        let (timing, whole) = (reply.timing(), content.head(head));
        if content.length == there {
            let (_, body) = reply.into_parts();
            return match body {
                Some(body) => Ok(Reply::new(whole, body).with_timing(timing)),
                None => plainly(),
            };
        }
        if !content.is_divisible() {
            drop(reply);
            return plainly();
        }
        let pieces = (content.length - there).div_ceil(SMALLEST as u64);
        let fetchers = usize::try_from(pieces).map_or(segments, |pieces| segments.min(pieces + 1));
        let (head, body) = reply.into_parts();
        let Some(body) = body else { return plainly() };
        let length = usize::try_from(there).unwrap_or(usize::MAX);
        let board = self.board(content, &head, request, context, sizes);
        let exact = is_exact(&head, length);
        let open = Open { job: board.open(0, length, own), body, exact };
        let body = Body::start(Arc::new(board), context, open, fetchers)?;
        Ok(Reply::new(whole, body).with_timing(timing))
    }

    fn board(
        &self,
        content: Content,
        head: &Head,
        request: &Request,
        context: &Context,
        sizes: (usize, usize),
    ) -> Board {
        let sources = Sources::new(request, head, &content);
        let protocol: Arc<dyn Protocol> = Arc::<P>::clone(&self.protocol);
        Board::new(content, sources, protocol, context, sizes)
    }

    /// Asks for everything, and watches whether more connections would bring it sooner.
    fn watch(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let own = context.child();
        let reply = self.protocol.send(request, &own)?;
        let head = reply.head();
        let large = reply.has_body() && head.length().is_some_and(|length| length >= self.least.max(1));
        if !large || !sends_parts(head) || context.limits().has_rate() {
            return Ok(reply);
        }
        let Some(content) = Content::of(head, request).filter(Content::is_divisible) else {
            return Ok(reply);
        };
        let timing = reply.timing();
        let (head, body) = reply.into_parts();
        let Some(body) = body else { return Ok(Reply::bodiless(head).with_timing(timing)) };
        let sizes = self.sizes(MOST, context);
        let board = self.board(content, &head, request, context, sizes);
        let watched = Watched::new(board, body, own, context, sizes.1)?;
        Ok(Reply::new(head, watched).with_timing(timing))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Protocol + 'static> Protocol for Segmented<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        if self.segments == Some(1) || !may_be_divided(request) {
            return self.protocol.send(request, context);
        }
        match self.segments {
            // Whether it has changed, its source can only say of all of it.
            Some(_) if request.if_changed().is_some() => self.protocol.send(request, context),
            Some(segments) => self.divide(request, segments, context),
            None => self.watch(request, context),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Segmented<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segmented")
            .field("protocol", &self.protocol)
            .field("segments", &self.segments)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Tells whether nothing about a request stands against asking for parts instead.
fn may_be_divided(request: &Request) -> bool {
    let conditions = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    let own =
        request.headers().is_some_and(|headers| conditions.iter().any(|name| headers.contains_key(name)));
    request.method() == Method::Get && request.url().scheme() != "file" && !own
}

/// Tells whether a source may well answer once no part is asked for.
fn is_about_the_range(failure: &Failure) -> bool {
    matches!(failure.kind(), ErrorKind::Status | ErrorKind::Unsupported) && !failure.is_transient()
}

/// Tells whether a source sends parts (RFC 9110 §14.3), by what it has sent or says.
fn sends_parts(head: &Head) -> bool {
    let says = |units: &str| units.split(',').any(|unit| unit.trim().eq_ignore_ascii_case("bytes"));
    head.status() == StatusCode::PARTIAL_CONTENT || head.header("accept-ranges").is_some_and(says)
}
