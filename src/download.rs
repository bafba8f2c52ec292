//! The black box that everything else runs.

use std::sync::Arc;

use crate::context::Context;
use crate::digest::Digest;
use crate::error::DownloadError;
use crate::request::Request;
use crate::transfer::Receipt;
use crate::writer::Writer;

/// A download as a black box: what a [`Batch`](crate::Batch) runs and a streamer is handed.
///
/// [`Transfer`](crate::Transfer) is the one implementation that talks to sources; others wrap one and tie something
/// to it, as [`Attached`](crate::Attached) does.
pub trait Download: Send {
    /// Returns the request as the caller made it. Asking for it never fails, nor panics.
    fn request(&self) -> &Request;

    /// Returns the request, to be changed before it is run: the method, a range, conditions.
    fn request_mut(&mut self) -> &mut Request;

    /// Exchanges the writer.
    fn set_writer(&mut self, writer: Arc<dyn Writer>);

    /// Tells whether success proves what the content is, wherever it came from: a digest is expected of it.
    fn identifies(&self) -> bool;

    /// Returns the digests that its content must have to succeed; none are known unless said.
    ///
    /// Who keeps contents can tell by them, without asking a source, whether what is there is what is wanted.
    ///
    /// ```
    /// use ganymede::{Digest, DigestValidation, Download, HttpDownload, WarnOnly};
    ///
    /// let expected: Digest = "md5:d41d8cd98f00b204e9800998ecf8427e".parse()?;
    /// let validation = DigestValidation::new(expected);
    /// let download = HttpDownload::get("https://example.com/empty")?;
    /// assert_eq!(download.digests(), []);
    /// let download = download.validation(WarnOnly::new(validation.clone())).validation(validation);
    /// assert_eq!(download.attach("a value").digests(), [expected]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn digests(&self) -> Vec<Digest> {
        Vec::new()
    }

    /// Runs it from start to end, on this thread. It may be run again.
    ///
    /// # Errors
    /// Why there is no content at the target.
    fn run(&mut self, context: &Context) -> Result<Receipt, DownloadError>;
}

#[deny(clippy::missing_trait_methods)]
impl<D: Download + ?Sized> Download for Box<D> {
    fn request(&self) -> &Request {
        (**self).request()
    }

    fn request_mut(&mut self) -> &mut Request {
        (**self).request_mut()
    }

    fn set_writer(&mut self, writer: Arc<dyn Writer>) {
        (**self).set_writer(writer);
    }

    fn identifies(&self) -> bool {
        (**self).identifies()
    }

    fn digests(&self) -> Vec<Digest> {
        (**self).digests()
    }

    fn run(&mut self, context: &Context) -> Result<Receipt, DownloadError> {
        (**self).run(context)
    }
}

/// Makes downloads of paths: the logic that an importer and a streamer share.
///
/// It knows where things are, how they are verified and where else they may be had; it does not know what becomes of
/// the bytes. A closure is one, too.
///
/// ```
/// use ganymede::{Download, Failure, HttpDownload, Importer};
///
/// let importer = |path: &str| -> Result<Box<dyn Download>, Failure> {
///     Ok(Box::new(HttpDownload::get(&format!("https://example.com/{path}"))?))
/// };
/// assert_eq!(importer.download("a/b")?.request().url().path(), "/a/b");
/// # Ok::<(), Failure>(())
/// ```
pub trait Importer: Send + Sync {
    /// Makes the download of what is at `path`, without a writer.
    ///
    /// # Errors
    /// There can be nothing at that path.
    fn download(&self, path: &str) -> Result<Box<dyn Download>, crate::Failure>;
}

#[deny(clippy::missing_trait_methods)]
impl<I: Importer + ?Sized> Importer for Arc<I> {
    fn download(&self, path: &str) -> Result<Box<dyn Download>, crate::Failure> {
        (**self).download(path)
    }
}

impl<F> Importer for F
where
    F: Fn(&str) -> Result<Box<dyn Download>, crate::Failure> + Send + Sync,
{
    fn download(&self, path: &str) -> Result<Box<dyn Download>, crate::Failure> {
        self(path)
    }
}
