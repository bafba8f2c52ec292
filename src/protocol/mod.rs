//! Where the bytes come from.

pub(crate) mod blocking;
pub(crate) mod conditional;
pub(crate) mod file;
pub(crate) mod http;
pub(crate) mod segmented;

use std::sync::Arc;

use crate::context::Context;
use crate::failure::Failure;
use crate::reply::Reply;
use crate::request::Request;

/// A way to ask a source: one method. A closure is one, too.
///
/// A protocol may be asked by many threads at once. What it keeps between requests (sessions, tokens) is in the
/// context's slots, not in itself. It answers
///
/// - a [`Reply`] with the head and the body of what was asked for. Where [`Request::range`] asks for a part, it may
///   send all: [`Head::offset`](crate::Head::offset) tells the engine. A protocol that never looks at the range
///   works, it just cannot resume.
/// - a [`Failure`] when there is no content, of the kind that says why.
///
/// The body ends only when the protocol knows that it is complete, and fails otherwise. Waiting must end soon after
/// the context is cancelled: see [`Context::on_cancel`].
///
/// ```
/// use ganymede::{Context, Failure, Head, Protocol, Reply, Request};
///
/// /// `data:` URLs, as far as they are plain text (RFC 2397).
/// struct Data;
///
/// impl Protocol for Data {
///     fn send(&self, request: &Request, _: &Context) -> Result<Reply, Failure> {
///         let text = request.url().path().trim_start_matches(',').to_owned().into_bytes();
///         let head = Head::new(request.url()).with_length(Some(text.len() as u64));
///         Ok(Reply::new(head, std::io::Cursor::new(text)))
///     }
/// }
///
/// # use ganymede::{BufferWriter, Download, Transfer};
/// let buffer = BufferWriter::new(100);
/// let mut download = Transfer::new(Request::get("data:,hello")?, Data).writer(buffer.clone());
/// download.run(&Context::new())?;
/// assert_eq!(buffer.take().unwrap(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Protocol: Send + Sync {
    /// Sends the request and waits for the head of the reply.
    ///
    /// # Errors
    /// Why there is no content, for this attempt.
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure>;
}

impl<F> Protocol for F
where
    F: Fn(&Request, &Context) -> Result<Reply, Failure> + Send + Sync,
{
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        self(request, context)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Protocol + ?Sized> Protocol for Arc<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        (**self).send(request, context)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Protocol for Box<dyn Protocol> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        (**self).send(request, context)
    }
}
