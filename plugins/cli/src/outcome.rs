//! How downloads and runs end, in the words of a report.

use std::error::Error;

use ganymede::{DownloadError, Failure};
use serde::Serialize;

/// Why a download failed.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) status: Option<u16>,
    /// Each source that was tried, once, with its last failure.
    pub(crate) sources: Vec<FailedSource>,
    pub(crate) attempts: u32,
}

/// A source that did not serve it.
#[derive(Debug, Serialize)]
pub(crate) struct FailedSource {
    pub(crate) url: String,
    pub(crate) error: String,
}

impl From<&Failure> for Reason {
    fn from(failure: &Failure) -> Self {
        Self {
            kind: failure.kind().name(),
            message: message(failure),
            status: failure.status().map(|status| status.as_u16()),
            sources: Vec::new(),
            attempts: 0,
        }
    }
}

impl From<&DownloadError> for Reason {
    fn from(error: &DownloadError) -> Self {
        let mut sources: Vec<FailedSource> = Vec::new();
        for attempt in error.history() {
            let (url, error) = (attempt.source().to_string(), message(attempt.failure()));
            match sources.iter_mut().find(|source| source.url == url) {
                Some(source) => source.error = error,
                None => sources.push(FailedSource { url, error }),
            }
        }
        Self { sources, attempts: error.attempts(), ..Self::from(error.failure()) }
    }
}

/// Returns what happened, with those of its causes that say something new.
fn message(failure: &Failure) -> String {
    let mut message = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

impl Reason {
    /// Returns what the user can do about it, if anything is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match (self.kind, self.status) {
            ("not-found", _) => "check the URL, or name the file elsewhere with --mirror",
            ("unauthorized", Some(407)) => {
                "give the proxy's credentials: --proxy http://NAME:PASSWORD@HOST:PORT"
            }
            ("unauthorized", None) if self.message.contains("proxy") => {
                "give the proxy's credentials: --proxy http://NAME:PASSWORD@HOST:PORT"
            }
            ("unauthorized", None) => "check who may read the file",
            ("unauthorized", _) => "give other credentials with --user, --netrc or --bearer-file",
            ("status", Some(408 | 425 | 429 | 500..)) => {
                "try again later, or name the file elsewhere with --mirror"
            }
            ("status", _) => "check the URL and the options",
            ("connect", _) => "check the name of the host and your network; --proxy goes through a proxy",
            ("tls", _) => {
                "if you know the authority of the server, name its certificate with --ca-certificate"
            }
            ("timeout", _) if self.message.contains("deadline") => "allow more time with --deadline",
            ("timeout", _) => "allow more time with --connect-timeout and --read-timeout, or name a --mirror",
            ("incomplete", _) => "try again, allow more --retries, or name the file elsewhere with --mirror",
            ("digest-mismatch" | "size-mismatch", _) => {
                "nothing was stored: check what you expect of it, or name the file elsewhere with --mirror"
            }
            ("redirect", _) => {
                "download what it leads to, if you trust that, or allow more with --max-redirects"
            }
            ("write", _) => "check the folder, its permissions and the space that is left",
            ("mirror-list", _) => "check the URL of --mirror-list",
            ("unsupported", _) => "check the URL and the options",
            _ => return None,
        })
    }
}
