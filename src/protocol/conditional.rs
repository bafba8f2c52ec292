//! What becomes of a file that is there already.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use parking_lot::Mutex;

use crate::context::Context;
use crate::digest::Digest;
use crate::facts::Facts;
use crate::failure::{ErrorKind, Failure};
use crate::protocol::Protocol;
use crate::reply::{Head, Reply, Validator};
use crate::request::Request;
use crate::timing::{Timing, timed};

/// What becomes of a file that is there already.
///
/// ```
/// use ganymede::{Conditional, Existing, FileWriter, HttpDownload};
///
/// let download = HttpDownload::get("https://example.com/index.db")?
///     .writer(FileWriter::new("index.db"))
///     .map(|http| Conditional::new(http, "index.db", Existing::Update));
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// It is replaced.
    #[default]
    Replace,
    /// It stays, whatever it is.
    Skip,
    /// The download fails.
    Fail,
    /// It stays if the source has nothing newer, and, where digests or a size are expected, it has them.
    Update,
    /// It stays if it has the digests and the size that are expected; with neither, it is replaced.
    Verify,
}

/// A protocol that asks for a content only if the file that is there already does not do.
///
/// Where the file stays as it is, the reply has status 304 and no body, so the run succeeds and writes nothing.
/// A file that cannot be read does not do.
///
/// ```
/// use ganymede::{Conditional, Digest, Existing, FileProtocol};
///
/// let digest: Digest = "md5:d41d8cd98f00b204e9800998ecf8427e".parse()?;
/// let protocol = Conditional::new(FileProtocol::new(), "a.iso", Existing::Verify).digests([digest]).size(0);
/// # let _ = protocol;
/// # Ok::<(), ganymede::ParseDigestError>(())
/// ```
#[derive(Debug)]
pub struct Conditional<P> {
    protocol: P,
    path: PathBuf,
    existing: Existing,
    digests: Vec<Digest>,
    size: Option<u64>,
    /// What a file was told by that has turned out to be another content, so that it is read once only.
    wrong: Mutex<Option<(u64, Option<SystemTime>)>>,
}

impl<P: Protocol> Conditional<P> {
    /// Asks `protocol` for what the file at `path` is to hold.
    #[must_use]
    pub fn new(protocol: P, path: impl Into<PathBuf>, existing: Existing) -> Self {
        let (digests, wrong) = (Vec::new(), Mutex::new(None));
        Self { protocol, path: path.into(), existing, digests, size: None, wrong }
    }

    /// Sets the digests that the content must have.
    #[must_use]
    pub fn digests(mut self, digests: impl IntoIterator<Item = Digest>) -> Self {
        self.digests.extend(digests);
        self
    }

    /// Sets the size that the content must have, in bytes.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Tells whether the file is what is expected, as far as anything is.
    fn agrees(&self, there: &Metadata) -> bool {
        if self.size.is_some_and(|size| size != there.len()) {
            return false;
        }
        let told = (there.len(), there.modified().ok());
        if self.digests.is_empty() || *self.wrong.lock() == Some(told) {
            return self.digests.is_empty();
        }
        let agrees = match self.facts() {
            Ok(facts) => self.digests.iter().all(|digest| facts.digest(digest.algorithm()) == Some(*digest)),
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "cannot be read");
                false
            }
        };
        *self.wrong.lock() = (!agrees).then_some(told);
        agrees
    }

    fn facts(&self) -> io::Result<Facts> {
        Facts::of(File::open(&self.path)?, self.digests.iter().map(Digest::algorithm))
    }

    /// Asks for the content, or not; what looking at the file's own content takes is added to `checking`.
    fn ask(&self, request: &Request, context: &Context, checking: &mut Duration) -> Result<Reply, Failure> {
        let there = match self.existing {
            Existing::Replace => None,
            _ => file(&self.path)?,
        };
        let Some(there) = there else { return self.protocol.send(request, context) };
        match self.existing {
            Existing::Skip => Ok(self.stays(request, &there)),
            Existing::Fail => {
                let message = format!("{} is there already", self.path.display());
                Err(Failure::new(ErrorKind::Write, message))
            }
            Existing::Verify if self.digests.is_empty() && self.size.is_none() => {
                self.protocol.send(request, context)
            }
            Existing::Verify if timed(checking, || self.agrees(&there)) => Ok(self.stays(request, &there)),
            // Of a part, its source is asked whether it is of the newest anyway.
            Existing::Update if request.range().is_none() && timed(checking, || self.agrees(&there)) => {
                let mut request = request.clone();
                request.set_if_changed(there.modified().ok().and_then(validator));
                self.protocol.send(&request, context)
            }
            _ => self.protocol.send(request, context),
        }
    }

    fn stays(&self, request: &Request, there: &Metadata) -> Reply {
        let mut head = Head::new(request.url()).with_length(Some(there.len()));
        if let Ok(modified) = there.modified() {
            head = head.with_modified(modified);
        }
        Reply::bodiless(head.with_status(StatusCode::NOT_MODIFIED))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<P: Protocol> Protocol for Conditional<P> {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        context.check()?;
        let mut checking = Duration::ZERO;
        let sent = self.ask(request, context, &mut checking);
        let with_checking = |mut timing: Timing| {
            timing.checking += checking;
            timing
        };
        match sent {
            Ok(reply) => {
                let timing = with_checking(reply.timing());
                Ok(reply.with_timing(timing))
            }
            Err(failure) => {
                let timing = with_checking(failure.timing());
                Err(failure.with_timing(timing))
            }
        }
    }
}

/// Returns what is known of the file at `path`, if there is one.
fn file(path: &Path) -> Result<Option<Metadata>, Failure> {
    match path.metadata() {
        Ok(there) => Ok(Some(there)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => {
            let message = format!("cannot look at {}: {error}", path.display());
            Err(Failure::new(ErrorKind::Write, message))
        }
    }
}

/// Returns the time of a file as an HTTP date, which has no fractions of seconds.
fn validator(modified: SystemTime) -> Option<Validator> {
    let age = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    // Later than any year that a date has.
    let sound = age < Duration::from_secs(253_402_300_800);
    sound.then(|| Validator::LastModified(httpdate::fmt_http_date(modified)))
}
