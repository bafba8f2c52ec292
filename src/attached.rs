//! Tying a value of the caller's to a download.

use std::sync::Arc;

use crate::context::Context;
use crate::digest::Digest;
use crate::download::Download;
use crate::error::DownloadError;
use crate::plan::Plan;
use crate::request::Request;
use crate::transfer::Receipt;
use crate::writer::Writer;

/// A download with a value of the caller's tied to it, which comes back, typed, in its [`Plan`].
///
/// ```
/// use ganymede::{Attached, Batch, BufferWriter, FileDownload};
///
/// let downloads = ["one", "two"].map(|name| {
///     let url = format!("file:///no/such/folder/{name}");
///     Attached::new(FileDownload::get(&url).unwrap().writer(BufferWriter::new(10)), name)
/// });
/// for plan in Batch::new(downloads) {
///     let name: &str = plan.attachment();
///     assert!(plan.result().unwrap_err().url().path().ends_with(name));
/// }
/// ```
#[derive(Debug)]
pub struct Attached<D, A> {
    download: D,
    attachment: A,
}

impl<D: Download, A: Send> Attached<D, A> {
    /// Ties a value to a download.
    #[must_use]
    pub fn new(download: D, attachment: A) -> Self {
        Self { download, attachment }
    }

    /// Returns the value.
    #[must_use]
    pub fn attachment(&self) -> &A {
        &self.attachment
    }

    /// Takes it apart: the download, and the value.
    #[must_use]
    pub fn into_parts(self) -> (D, A) {
        (self.download, self.attachment)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<D: Download, A: Send> Download for Attached<D, A> {
    fn request(&self) -> &Request {
        self.download.request()
    }

    fn request_mut(&mut self) -> &mut Request {
        self.download.request_mut()
    }

    fn set_writer(&mut self, writer: Arc<dyn Writer>) {
        self.download.set_writer(writer);
    }

    fn identifies(&self) -> bool {
        self.download.identifies()
    }

    fn digests(&self) -> Vec<Digest> {
        self.download.digests()
    }

    fn run(&mut self, context: &Context) -> Result<Receipt, DownloadError> {
        self.download.run(context)
    }
}

impl<D: Download, A: Send> Plan<Attached<D, A>> {
    /// Returns the value that was tied to the download.
    #[must_use]
    pub fn attachment(&self) -> &A {
        self.download().attachment()
    }

    /// Takes the value out.
    #[must_use]
    pub fn into_attachment(self) -> A {
        self.into_parts().0.into_parts().1
    }
}
