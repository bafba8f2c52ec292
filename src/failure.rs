//! Why one attempt failed: what plugins return.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use crate::error::DownloadError;
use crate::reply::Head;
use crate::timing::Timing;
use crate::validation::ValidationError;

/// What kind of thing went wrong.
///
/// The kinds nest, so that "is a" is a match arm: a digest mismatch is a [`ValidationError`], and that is an
/// `ErrorKind`.
///
/// ```
/// use ganymede::{ErrorKind, Failure};
///
/// let failure = Failure::new(ErrorKind::Timeout, "no byte within 30 s");
/// assert!(matches!(failure.kind(), ErrorKind::Timeout) && failure.is_transient());
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The source does not have it: 404, 410, or no such file.
    #[error("not found")]
    NotFound,
    /// The source wants other credentials: 401, 403, 407, or a file that may not be read.
    #[error("not authorized")]
    Unauthorized,
    /// The source answered with another status that is not a success.
    #[error("unexpected status")]
    Status,
    /// No connection was made: name resolution, refusal, unreachable.
    #[error("cannot connect")]
    Connect,
    /// No secure connection was made: certificates, or a handshake that failed.
    #[error("cannot make a secure connection")]
    Tls,
    /// A time-out or the deadline has passed.
    #[error("timed out")]
    Timeout,
    /// The body ended, or the connection broke, before all of it was there.
    #[error("incomplete body")]
    Incomplete,
    /// All bytes arrived, or too many, and they are not the expected ones.
    #[error(transparent)]
    Validation(ValidationError),
    /// What the source sent is not of its protocol.
    #[error("malformed reply")]
    Malformed,
    /// A limit of the receiving side on the size was exceeded.
    #[error("too large")]
    TooLarge,
    /// A redirect that may not, or can not, be followed.
    #[error("bad redirect")]
    Redirect,
    /// A host or address that the [guard](crate::Guard) keeps downloads away from.
    #[error("forbidden")]
    Forbidden,
    /// The bytes could not be stored.
    #[error("cannot write")]
    Write,
    /// The list of mirrors could not be had, so nothing is known about where the file is.
    #[error("no mirror list")]
    MirrorList,
    /// The request, URL or setting is nothing this protocol can do.
    #[error("not supported")]
    Unsupported,
    /// The context was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The code of a plugin or handler panicked.
    #[error("panicked")]
    Panicked,
    /// Anything else.
    #[error("failed")]
    Other,
}

impl ErrorKind {
    /// Returns the kind's stable name, as the command prints it: `not-found`, `digest-mismatch`, ..
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Unauthorized => "unauthorized",
            Self::Status => "status",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Incomplete => "incomplete",
            Self::Validation(ValidationError::Digest { .. }) => "digest-mismatch",
            Self::Validation(ValidationError::Size { .. } | ValidationError::Excess { .. }) => {
                "size-mismatch"
            }
            Self::TooLarge => "too-large",
            Self::Redirect => "redirect",
            Self::Forbidden => "forbidden",
            Self::Write => "write",
            Self::MirrorList => "mirror-list",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
            Self::Validation(_) | Self::Malformed | Self::Panicked | Self::Other => "other",
        }
    }
}

/// Why one attempt failed: what plugins return.
///
/// Cheap to clone. It converts into an [`io::Error`] and back without loss, so that a body, which can only fail
/// with an `io::Error`, still says what happened.
///
/// ```
/// use ganymede::{ErrorKind, Failure};
///
/// let failure = Failure::new(ErrorKind::Incomplete, "peer hung up").transient(false);
/// let back = Failure::from(std::io::Error::from(failure));
/// assert_eq!(back.to_string(), "peer hung up");
/// assert!(!back.is_transient());
/// ```
#[derive(Clone)]
pub struct Failure(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Option<Cow<'static, str>>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    total: Option<u64>,
    system: Option<io::ErrorKind>,
    transient: Option<bool>,
    timing: Timing,
    answer: Option<Arc<Answer>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a source has answered instead of the content.
struct Answer {
    head: Head,
    explanation: Option<Vec<u8>>,
}

impl Failure {
    /// Makes a failure of `kind`; `message` says in plain words what happened.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::of(kind, Some(message.into()))
    }

    fn of(kind: ErrorKind, message: Option<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message,
            status: None,
            retry_after: None,
            total: None,
            system: None,
            transient: None,
            timing: Timing::default(),
            answer: None,
            source: None,
        }))
    }

    /// Makes the failure of a cancelled context.
    #[must_use]
    pub fn cancelled() -> Self {
        ErrorKind::Cancelled.into()
    }

    /// Makes the failure that an HTTP status stands for.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        let kind = match status.as_u16() {
            404 | 410 => ErrorKind::NotFound,
            401 | 403 | 407 => ErrorKind::Unauthorized,
            _ => ErrorKind::Status,
        };
        let mut failure = Self::new(kind, format!("the server answered {status}"));
        failure.0.status = Some(status);
        failure
    }

    /// Makes the failure that an error of the HTTP client library stands for, in asking for `url`.
    ///
    /// For plugins that use [the library's client](crate::Http::library) by themselves: a refused connection, a bad
    /// certificate, a time-out and a cut body become failures of their kinds. Neither query nor credentials of a URL
    /// are in it.
    ///
    /// ```
    /// use ganymede::{ErrorKind, Failure, reqwest};
    ///
    /// let url = "http://127.0.0.1:0/".parse()?;
    /// let error = reqwest::blocking::get("http://127.0.0.1:0/").unwrap_err();
    /// assert!(matches!(Failure::from_reqwest(error, &url).kind(), ErrorKind::Connect));
    /// # Ok::<(), url::ParseError>(())
    /// ```
    #[must_use]
    pub fn from_reqwest(error: reqwest::Error, url: &Url) -> Self {
        crate::protocol::http::failure_of(error, url)
    }

    /// Makes the failure of code that panicked with this payload.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "without a message".to_owned());
        Self::new(ErrorKind::Panicked, format!("the download panicked: {text}"))
    }

    /// Replaces the message.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    /// Names the error this one came from.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Says when the source wants to be asked again (`Retry-After`, RFC 9110 §10.2.3).
    #[must_use]
    pub fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.0.retry_after = after;
        self
    }

    /// Says how many bytes the content has of which a range was asked for that it does not have (416, RFC 9110
    /// §15.5.17).
    #[must_use]
    pub fn with_total(mut self, total: Option<u64>) -> Self {
        self.0.total = total;
        self
    }

    /// Says where the time went that it took to fail before a head was there, as far as that is known.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.0.timing = timing;
        self
    }

    /// Keeps what the source has answered instead of the content: its head, and all of the body, if that is known.
    ///
    /// A protocol does so where the request is [to be explained](crate::Request::set_explained).
    #[must_use]
    pub fn with_answer(mut self, head: Head, explanation: Option<Vec<u8>>) -> Self {
        self.0.answer = Some(Arc::new(Answer { head, explanation }));
        self
    }

    /// Overrides what the kind says about [`is_transient`](Self::is_transient).
    #[must_use]
    pub fn transient(mut self, transient: bool) -> Self {
        self.0.transient = Some(transient);
        self
    }

    /// Returns what kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the HTTP status, if one was the reason.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns how long the source asked to be left alone.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns how many bytes the content has, if that is why it does not have the range that was asked for.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.0.total
    }

    /// Returns the head of what the source has answered instead of the content, where the request was [to be
    /// explained](crate::Request::set_explained).
    ///
    /// ```
    /// use ganymede::{ErrorKind, Failure, Head};
    ///
    /// let head = Head::new(&"https://example.com/a".parse()?).with_header("cache-control", "no-store");
    /// let failure = Failure::new(ErrorKind::NotFound, "gone").with_answer(head, Some(b"gone for good".to_vec()));
    /// assert_eq!(failure.head().unwrap().header("cache-control"), Some("no-store"));
    /// assert_eq!(failure.explanation(), Some(&b"gone for good"[..]));
    /// # Ok::<(), url::ParseError>(())
    /// ```
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.0.answer.as_ref().map(|answer| &answer.head)
    }

    /// Returns the body of the same, whole (RFC 9110 §15.5); `None` if there is none, or it is not known to its end.
    #[must_use]
    pub fn explanation(&self) -> Option<&[u8]> {
        self.0.answer.as_ref()?.explanation.as_deref()
    }

    /// Returns what was said of the time that it took to fail.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.0.timing
    }

    /// Returns what kind of error the system gave as the reason, when something could not be written.
    #[must_use]
    pub fn system(&self) -> Option<io::ErrorKind> {
        self.0.system
    }

    /// Tells whether the same request may well succeed a little later.
    ///
    /// By default: no connection, a time-out, an incomplete body, and the statuses 408, 425, 429, 500, 502, 503, 504.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let by_kind = || match self.0.kind {
            ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Incomplete => true,
            ErrorKind::Status => {
                self.0.status.is_some_and(|s| matches!(s.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504))
            }
            _ => false,
        };
        self.0.transient.unwrap_or_else(by_kind)
    }

    /// Turns what a writer returned into a failure: what a plugin said stays, a system error is about writing.
    pub(crate) fn writing(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => {
                let mut failure = Self::new(ErrorKind::Write, format!("cannot write {error}"));
                failure.0.system = Some(error.kind());
                failure
            }
        }
    }
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Self::of(kind, None)
    }
}

impl From<ValidationError> for Failure {
    fn from(error: ValidationError) -> Self {
        ErrorKind::Validation(error).into()
    }
}

impl From<io::Error> for Failure {
    /// Restores a failure that travelled as an `io::Error`; others become the nearest kind.
    fn from(error: io::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        // The body of a stream fails with the account of its whole download.
        let error = match error.downcast::<DownloadError>() {
            Ok(error) => return error.into(),
            Err(error) => error,
        };
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Unauthorized,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ErrorKind::Timeout,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => ErrorKind::Incomplete,
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => ErrorKind::Connect,
            io::ErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind() {
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::Unauthorized | ErrorKind::Forbidden => io::ErrorKind::PermissionDenied,
            ErrorKind::Timeout => io::ErrorKind::TimedOut,
            ErrorKind::Incomplete => io::ErrorKind::UnexpectedEof,
            ErrorKind::Validation(_) => io::ErrorKind::InvalidData,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::TooLarge => io::ErrorKind::FileTooLarge,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, failure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.message {
            Some(message) => f.write_str(message),
            None => self.0.kind.fmt(f),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Failure");
        shown.field("kind", &self.0.kind).field("message", &self.to_string());
        if let Some(status) = self.0.status {
            shown.field("status", &status);
        }
        if let Some(source) = &self.0.source {
            shown.field("source", source);
        }
        shown.finish()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
