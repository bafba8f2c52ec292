//! Why a download failed: the engine's account of all attempts.

use std::error::Error;
use std::fmt;
use std::io;

use http::StatusCode;
use url::Url;

use crate::failure::{ErrorKind, Failure};
use crate::timing::Timing;

/// One failed attempt in the history of a run.
///
/// ```
/// use ganymede::DownloadError;
///
/// fn tried(error: &DownloadError) -> Vec<String> {
///     let line = |attempt: &ganymede::Attempt| format!("{}: {}", attempt.source(), attempt.failure());
///     error.history().iter().map(line).collect()
/// }
/// # let _ = tried;
/// ```
#[derive(Debug, Clone)]
pub struct Attempt {
    source: Url,
    failure: Failure,
    received: u64,
    continued: bool,
    timing: Timing,
}

impl Attempt {
    pub(crate) fn new(
        source: &Url,
        failure: Failure,
        received: u64,
        continued: bool,
        timing: Timing,
    ) -> Self {
        Self { source: redacted(source), failure, received, continued, timing }
    }

    /// Returns the source that was asked, without credentials.
    #[must_use]
    pub fn source(&self) -> &Url {
        &self.source
    }

    /// Returns why it failed.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Tells whether it went on with what another source had begun, so that a failed validation may be due to that.
    #[must_use]
    pub fn continued(&self) -> bool {
        self.continued
    }

    /// Returns how many bytes of the content were there when it failed.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns where its time has gone.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }
}

/// Why a download failed: the last failure, and every attempt that led to it.
///
/// `Display` names the URL and the reason, and each other source that was tried with its own; the chain of
/// [`source`](Error::source) goes on below that and repeats nothing.
///
/// ```
/// use ganymede::{Context, Download, ErrorKind, FileDownload, BufferWriter};
///
/// let mut download = FileDownload::get("file:///no/such/file")?.writer(BufferWriter::new(1024));
/// let error = download.run(&Context::new()).unwrap_err();
/// assert!(error.is_not_found());
/// assert_eq!(error.kind().name(), "not-found");
/// assert_eq!(error.gateway_status(), 404);
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Clone)]
pub struct DownloadError(Box<Account>);

#[derive(Clone)]
struct Account {
    url: Url,
    failure: Failure,
    received: u64,
    expected: Option<u64>,
    history: Vec<Attempt>,
}

impl DownloadError {
    /// Makes the error of a download that failed before anything was sent, as one of your own may.
    #[must_use]
    pub fn new(url: &Url, failure: Failure) -> Self {
        let (url, history) = (redacted(url), Vec::new());
        Self(Box::new(Account { url, failure, received: 0, expected: None, history }))
    }

    /// Adds a failed attempt, which becomes the error's own reason.
    pub(crate) fn attempted(&mut self, attempt: Attempt, expected: Option<u64>) {
        let account = &mut *self.0;
        account.failure = attempt.failure.clone();
        account.received = attempt.received;
        account.expected = expected;
        account.history.push(attempt);
    }

    /// Replaces the reason: a handler gave up with one of its own, or the run was cancelled while it waited.
    pub(crate) fn because(mut self, failure: Failure) -> Self {
        self.0.failure = failure;
        self
    }

    /// Returns the URL that was to be downloaded, without credentials.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// Returns the source that failed last, without credentials.
    #[must_use]
    pub fn failed_source(&self) -> &Url {
        self.0.history.last().map_or(&self.0.url, Attempt::source)
    }

    /// Returns the reason.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// Returns what kind of reason it is.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        self.0.failure.kind()
    }

    /// Returns the HTTP status, if one was the reason.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.failure.status()
    }

    /// Returns how many bytes of the content the last attempt had.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.received
    }

    /// Returns how many bytes the content was announced to have.
    #[must_use]
    pub fn expected(&self) -> Option<u64> {
        self.0.expected
    }

    /// Returns how many attempts were made.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.0.history.len()).unwrap_or(u32::MAX)
    }

    /// Returns every failed attempt, the first one first.
    #[must_use]
    pub fn history(&self) -> &[Attempt] {
        &self.0.history
    }

    /// Tells whether the source does not have it.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotFound)
    }

    /// Tells whether the run was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), ErrorKind::Cancelled)
    }

    /// Tells whether the same request may well succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.failure.is_transient()
    }

    /// Returns the status with which a gateway answers its own client (RFC 9110 §15.6).
    ///
    /// What the origin says about the resource passes (403, 404, 410, 416, 451); that it is busy becomes 503, a
    /// time-out 504, what a guard refuses 403, what is wrong on this side, in writing or by a panic, 500, and all
    /// else 502.
    #[must_use]
    pub fn gateway_status(&self) -> StatusCode {
        match (self.kind(), self.status().map(|s| s.as_u16())) {
            (_, Some(403 | 404 | 410 | 416 | 451)) => self.status().unwrap_or(StatusCode::BAD_GATEWAY),
            (_, Some(429 | 503)) | (ErrorKind::Cancelled, _) => StatusCode::SERVICE_UNAVAILABLE,
            (_, Some(408 | 504)) | (ErrorKind::Timeout, _) => StatusCode::GATEWAY_TIMEOUT,
            (ErrorKind::NotFound, None) => StatusCode::NOT_FOUND,
            (ErrorKind::Forbidden, _) => StatusCode::FORBIDDEN,
            (ErrorKind::Write | ErrorKind::Panicked | ErrorKind::Other, None) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &*self.0;
        write!(f, "{}: {}", self.failed_source(), account.failure)?;
        let mut shown = vec![self.failed_source()];
        for attempt in account.history.iter().rev() {
            if !shown.contains(&&attempt.source) {
                shown.push(&attempt.source);
                write!(f, "; {}: {}", attempt.source, attempt.failure)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadError")
            .field("url", &self.0.url.as_str())
            .field("failure", &self.0.failure)
            .field("received", &self.0.received)
            .field("expected", &self.0.expected)
            .field("history", &self.0.history)
            .finish()
    }
}

impl Error for DownloadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.failure.source()
    }
}

impl From<DownloadError> for io::Error {
    fn from(error: DownloadError) -> Self {
        let kind = Self::from(error.0.failure.clone()).kind();
        Self::new(kind, error)
    }
}

impl From<DownloadError> for Failure {
    /// Makes one failure of a whole download's: for who needs another download's content to go on.
    fn from(error: DownloadError) -> Self {
        let message = error.to_string();
        error.0.failure.message(message)
    }
}

/// Returns the URL without user name and password.
pub(crate) fn redacted(url: &Url) -> Url {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Both only fail where a URL cannot have credentials in the first place.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url
}
