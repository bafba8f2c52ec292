//! A request under way, on whichever way.

use bytes::Bytes;
use http::Request;

use super::pipe::Answer;
use super::{direct, driver};
use crate::cancel::Hook;
use crate::context::Context;
use crate::failure::Failure;
use crate::limits::Permit;

/// A request under way, as the thread that waits for it sees it.
#[allow(clippy::large_enum_variant, reason = "each is as good as the other")]
pub(super) enum Exchange {
    /// On the thread of the client library.
    Driven(driver::Exchange),
    /// On the thread that waits.
    Direct(direct::Exchange),
}

impl Exchange {
    /// Ends its waits when the context is cancelled.
    pub(super) fn watch(&self, context: &Context) -> Hook {
        match self {
            Self::Driven(exchange) => exchange.watch(context),
            Self::Direct(exchange) => exchange.watch(context),
        }
    }

    /// Waits for the head of the answer; `again` makes the request once more.
    pub(super) fn head(&mut self, again: impl Fn() -> Option<Request<Bytes>>) -> Result<Answer, Failure> {
        match self {
            Self::Driven(exchange) => exchange.head(),
            Self::Direct(exchange) => exchange.head(again),
        }
    }

    pub(super) fn block(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Driven(exchange) => exchange.block(),
            Self::Direct(exchange) => exchange.block(),
        }
    }

    /// Waits until the connection is free, or gone: at most [`DRAIN_TIME`](super::DRAIN_TIME). Returns the body, if it was
    /// short enough to come whole.
    pub(super) fn drain(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Driven(exchange) => exchange.drain(),
            Self::Direct(exchange) => exchange.drain(),
        }
    }

    /// Closes the connection in the middle of an answer, and then gives its permit back.
    pub(super) fn cut(&mut self, permit: Permit) {
        match self {
            Self::Driven(exchange) => exchange.cut(permit),
            Self::Direct(exchange) => {
                exchange.cut();
                drop(permit);
            }
        }
    }
}
