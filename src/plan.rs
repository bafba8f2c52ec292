//! What a batch yields.

use crate::error::DownloadError;
use crate::transfer::Receipt;

/// A download that has ended, and how.
///
/// ```
/// use ganymede::{Batch, BufferWriter, Download, FileDownload};
///
/// let download = FileDownload::get("file:///no/such/file")?.writer(BufferWriter::new(10));
/// let plan = Batch::new([download]).next().unwrap();
/// assert_eq!(plan.download().request().url().path(), "/no/such/file");
/// assert!(plan.into_result().is_err());
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug)]
pub struct Plan<D> {
    download: D,
    result: Result<Receipt, DownloadError>,
}

impl<D> Plan<D> {
    pub(crate) fn new(download: D, result: Result<Receipt, DownloadError>) -> Self {
        Self { download, result }
    }

    /// Returns how the download ended.
    ///
    /// # Errors
    /// Why there is no content.
    pub fn result(&self) -> Result<&Receipt, &DownloadError> {
        self.result.as_ref()
    }

    /// Returns the download.
    #[must_use]
    pub fn download(&self) -> &D {
        &self.download
    }

    /// Returns how the download ended, and drops it.
    ///
    /// # Errors
    /// Why there is no content.
    pub fn into_result(self) -> Result<Receipt, DownloadError> {
        self.result
    }

    /// Takes it apart: the download, and how it ended.
    pub fn into_parts(self) -> (D, Result<Receipt, DownloadError>) {
        (self.download, self.result)
    }
}
