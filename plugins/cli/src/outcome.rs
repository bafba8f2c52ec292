//! How downloads and runs end, in the words of a report.

use std::error::Error;
use std::io;

use ganymede::{DownloadError, Existing, Failure};
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
    /// What the system said, when something could not be written.
    system: Option<io::ErrorKind>,
}

/// Why a file was kept, and nothing downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Exists,
    NotModified,
    Verified,
}

impl Why {
    pub(crate) fn of(existing: Existing) -> Self {
        match existing {
            Existing::Skip => Self::Exists,
            Existing::Verify => Self::Verified,
            // Who sends a condition as a header is answered like that, too.
            _ => Self::NotModified,
        }
    }

    /// Returns its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::NotModified => "not-modified",
            Self::Verified => "verified",
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Exists => "it is there already",
            Self::NotModified => "its server has nothing newer",
            Self::Verified => "it is what is expected",
        }
    }
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
            system: failure.system(),
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
            ("unauthorized", _) if self.message.contains("s3://") => {
                "check the access key in the environment (AWS_ACCESS_KEY_ID and its like) or in ~/.aws"
            }
            ("unauthorized", None) => "check who may read the file",
            ("unauthorized", _) => "give other credentials with --user, --netrc or --bearer-file",
            ("status", _) if self.message.contains("left alone") => {
                "try again after that time, allow more with --max-retry-after, or name a --mirror"
            }
            ("status", Some(408 | 425 | 429 | 500..)) => {
                "try again later, or name the file elsewhere with --mirror"
            }
            ("status", _) => "check the URL and the options",
            ("connect", _) => "check the name of the host and your network; --proxy goes through a proxy",
            ("tls", _) => {
                "if you know the authority of the server, name its certificate with --ca-certificate"
            }
            ("timeout", _) if self.message.contains("deadline") => "allow more time with --deadline",
            ("timeout", _) if self.message.contains("bytes a second") => {
                "allow less with --min-speed, or name the file elsewhere with --mirror"
            }
            ("timeout", _) => "allow more time with --connect-timeout and --read-timeout, or name a --mirror",
            ("incomplete", _) => "try again, allow more --retries, or name the file elsewhere with --mirror",
            ("digest-mismatch" | "size-mismatch", _) => {
                "nothing was stored: check what you expect of it, or name the file elsewhere with --mirror"
            }
            ("redirect", _) => {
                "download what it leads to, if you trust that, or allow more with --max-redirects"
            }
            ("too-large", _) => "nothing was stored: allow more with --max-size, if you trust the source",
            ("forbidden", _) => "leave --public-only out, if you trust where the URL comes from",
            ("write", _) => return self.write_hint(),
            ("mirror-list", _) => "check the URL of --mirror-list",
            ("unsupported", _) => "check the URL and the options",
            _ => return None,
        })
    }

    fn write_hint(&self) -> Option<&'static str> {
        Some(match self.system? {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make space and try again; with --wait-for-space, downloads wait for it and go on"
            }
            io::ErrorKind::PermissionDenied => {
                "check who may write to the folder, or choose another with --dir"
            }
            io::ErrorKind::ReadOnlyFilesystem => "choose another folder with --dir",
            io::ErrorKind::InvalidFilename => "choose a shorter name with --output, or out= in a list",
            io::ErrorKind::IsADirectory => "choose another name with --output, or out= in a list",
            io::ErrorKind::ResourceBusy => "wait until the other download has ended",
            _ => "check the folder, its permissions and the space that is left",
        })
    }
}
