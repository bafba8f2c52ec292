//! What happens to a download, and what a handler says to it.

use std::time::Duration;

use crate::context::Context;
use crate::error::DownloadError;
use crate::failure::Failure;
use crate::reply::Head;
use crate::request::Request;
use crate::transfer::Receipt;

/// A moment in a download's run, in this order.
///
/// `Prepared` once; then for each attempt `Sending`, `Replied`, `Fetched` for each block, and `Error` if it failed;
/// last, exactly one of `Succeeded` and `Failed`.
///
/// ```
/// use ganymede::Event;
///
/// fn told(event: &Event<'_>) -> Option<String> {
///     match event {
///         Event::Sending { request, attempt } => Some(format!("attempt {attempt}: {}", request.display_url())),
///         Event::Error { error, .. } | Event::Failed { error } => Some(error.to_string()),
///         _ => None,
///     }
/// }
/// # let _ = told;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run begins. The request may be changed, for this run; failing here is final.
    Prepared {
        /// What will be asked for.
        request: &'a mut Request,
    },
    /// An attempt begins. The request may be changed, for this attempt and those after it.
    Sending {
        /// What will be asked for.
        request: &'a mut Request,
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// The head has arrived, and no byte was written.
    Replied {
        /// What is known of the content.
        head: &'a Head,
    },
    /// A block was received, checked and written.
    Fetched {
        /// Its bytes.
        block: &'a [u8],
        /// How many bytes of the content are there now.
        received: u64,
        /// How many it was announced to have.
        total: Option<u64>,
    },
    /// An attempt failed, validation included. The request may be changed, and [`Action::Retry`] makes another one.
    Error {
        /// What the next attempt would ask for.
        request: &'a mut Request,
        /// What happened, with the history of all attempts.
        error: &'a DownloadError,
    },
    /// The content is committed.
    Succeeded {
        /// What it is and where it came from.
        receipt: &'a Receipt,
    },
    /// The download has failed for good.
    Failed {
        /// Why.
        error: &'a DownloadError,
    },
}

/// What a handler wants to happen.
///
/// ```
/// use std::time::Duration;
/// use ganymede::{Action, Context, Event};
///
/// /// Tries again after a second, twice.
/// fn stubborn(event: &mut Event<'_>, _: &Context) -> Action {
///     match event {
///         Event::Error { error, .. } if error.attempts() < 3 => Action::Retry(Duration::from_secs(1)),
///         _ => Action::Continue,
///     }
/// }
/// # let _ = stubborn;
/// ```
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub enum Action {
    /// Nothing: the next handler is asked.
    Continue,
    /// Another attempt after this time. In answer to anything but `Error`, it fails the attempt first.
    Retry(Duration),
    /// The attempt, or in answer to `Prepared` and `Error` the whole download, fails for this reason.
    Fail(Failure),
}

/// Something that takes part in a download: it watches, changes the request, repairs.
///
/// Handlers are asked in the order in which they were added, until one acts. What was tried before is in the error's
/// history, so a handler needs no state for that and may serve any number of downloads. A closure is one, too. On
/// `Succeeded` and `Failed` there is nothing left to decide, and the answer has no effect.
///
/// ```
/// use ganymede::{Action, Context, Event, HttpDownload};
///
/// let download = HttpDownload::get("https://example.com/")?.handler(|event: &mut Event<'_>, _: &Context| {
///     if let Event::Replied { head } = event {
///         println!("{}", head.status());
///     }
///     Action::Continue
/// });
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
pub trait EventHandler: Send {
    /// Says what is to happen.
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action;
}

#[deny(clippy::missing_trait_methods)]
impl EventHandler for Box<dyn EventHandler> {
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        (**self).handle(event, context)
    }
}

impl<F> EventHandler for F
where
    F: FnMut(&mut Event<'_>, &Context) -> Action + Send,
{
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        self(event, context)
    }
}
