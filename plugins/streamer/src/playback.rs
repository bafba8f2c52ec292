//! The bytes of a response, while they are sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures::stream::unfold;
use http_body::{Frame, SizeHint};

use crate::account::Account;
use crate::cache::Stored;
use crate::fill::{BLOCK, ReadError, Reader};
use crate::positioned;

/// The bytes of a response, while they are sent: parts of a content, and what stands between them.
pub(crate) struct Playback {
    pub(crate) source: Source,
    pub(crate) parts: VecDeque<Part>,
    /// The last bytes are sent only when it is known that all of the content is right.
    pub(crate) hold: bool,
    pub(crate) account: Account,
}

/// Where the bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    Stored(Stored),
    Fill(Reader),
}

/// A part of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Bytes),
    Span(Range<u64>),
    /// All to the end, wherever that is.
    Rest(u64),
}

/// Why a response cannot be completed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PlaybackError {
    #[error(transparent)]
    Fill(#[from] ReadError),
    #[error("cannot read a stored content: {0}")]
    Object(Arc<io::Error>),
    #[error("the content ended before its announced end")]
    Short,
}

impl Playback {
    /// Makes the body of it. When it fails, the client is to see that it is not complete.
    pub(crate) fn into_body(mut self) -> Body {
        if let Some(content) = self.in_one_go() {
            self.account.sent(content.len());
            self.account.completed();
            return Body::new(InOneGo { content: Some(content), _account: self.account });
        }
        Body::from_stream(unfold(Some(self), |playback| async move {
            let mut playback = playback?;
            match playback.next().await {
                Ok(Some(block)) => {
                    playback.account.sent(block.len());
                    Some((Ok(block), Some(playback)))
                }
                Ok(None) => {
                    playback.account.completed();
                    None
                }
                Err(error) => {
                    tracing::debug!(%error, "a body is cut");
                    playback.account.cut();
                    Some((Err(error), None))
                }
            }
        }))
    }

    /// Returns all of it, if that is in memory.
    fn in_one_go(&self) -> Option<Bytes> {
        let (Some(Part::Span(span)), 1) = (self.parts.front(), self.parts.len()) else { return None };
        match &self.source {
            Source::Stored(Stored::Memory(content)) => part(content, span),
            Source::Fill(reader) if !self.hold && span.start == 0 => reader.fill.in_one_block(span.end),
            _ => None,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, PlaybackError> {
        let block = match self.parts.pop_front() {
            None => return Ok(None),
            Some(Part::Text(text)) => text,
            Some(Part::Span(span)) => {
                let block = self.read(span.start, span.end).await?.ok_or(PlaybackError::Short)?;
                let next = span.start + block.len() as u64;
                if next < span.end {
                    self.parts.push_front(Part::Span(next..span.end));
                }
                block
            }
            Some(Part::Rest(start)) => match self.read(start, u64::MAX).await? {
                Some(block) => {
                    self.parts.push_front(Part::Rest(start + block.len() as u64));
                    block
                }
                None => return Ok(None),
            },
        };
        if self.hold
            && self.parts.is_empty()
            && let Source::Fill(reader) = &mut self.source
        {
            // Nobody is to wait for it any more.
            reader.skip_to(u64::MAX);
            reader.fill.ended().await.map_err(ReadError::Failed)?;
        }
        if self.parts.is_empty() {
            self.account.completed();
        }
        Ok(Some(block))
    }

    async fn read(&mut self, position: u64, end: u64) -> Result<Option<Bytes>, PlaybackError> {
        match &mut self.source {
            Source::Stored(Stored::Memory(content)) => {
                let end = end.min(content.len() as u64);
                Ok(part(content, &(position..end)).filter(|part| !part.is_empty()))
            }
            Source::Stored(Stored::Object(object)) => {
                let length = end.min(object.size).saturating_sub(position).min(BLOCK);
                if length == 0 {
                    return Ok(None);
                }
                let read = positioned::read(&object.file, position, length).await;
                read.map(Some).map_err(|error| PlaybackError::Object(Arc::new(error)))
            }
            Source::Fill(reader) => {
                reader.skip_to(position);
                Ok(reader.next(end).await?)
            }
        }
    }
}

/// Returns a part of what is in memory.
fn part(content: &Bytes, span: &Range<u64>) -> Option<Bytes> {
    let (start, end) = (usize::try_from(span.start).ok()?, usize::try_from(span.end).ok()?);
    (start <= end && end <= content.len()).then(|| content.slice(start..end))
}

/// A body that is there.
struct InOneGo {
    content: Option<Bytes>,
    /// Until it is over.
    _account: Account,
}

impl http_body::Body for InOneGo {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.content.take().map(|content| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| content.len() as u64))
    }
}
