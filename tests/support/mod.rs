//! What several test files need.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use ganymede::{BufferWriter, Context, Download, DownloadError, Protocol, Receipt, Transfer};

/// Runs a download into memory, in a context of its own.
pub(crate) fn fetch<P: Protocol>(download: Transfer<P>) -> Result<(Vec<u8>, Receipt), DownloadError> {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(&Context::new())?;
    Ok((buffer.take().unwrap(), receipt))
}
