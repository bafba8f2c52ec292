//! HTTP/2: requests that share a connection, and what may go wrong with a stream or with all of them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod conforming;
mod connections;
mod endings;
mod sharing;

use std::path::PathBuf;
use std::time::Duration;

use ganymede::{BufferWriter, Context, Download, DownloadError, HttpDownload, Receipt, RetryDelegate};
use ganymede_kit::{Authority, Folder, Origin};

/// An origin that speaks HTTP/2, and what is needed to trust it.
struct Site {
    origin: Origin,
    authority: PathBuf,
    folder: Folder,
}

impl Site {
    fn new() -> Self {
        Self::at_once(250)
    }

    fn at_once(requests: u32) -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("trusted"));
        let identity = authority.server(&["127.0.0.1", "localhost"]);
        let origin = Origin::http2_at_once(&identity, requests);
        Self { origin, authority: authority.write_to(folder.path(), "authority"), folder }
    }

    fn get(&self, path: &str) -> HttpDownload {
        self.fetching(&self.origin.url(path))
    }

    fn fetching(&self, url: &str) -> HttpDownload {
        HttpDownload::get(url).unwrap().no_proxy().ca_certificate(&self.authority)
    }

    /// The versions in which requests came, each connection's with its number.
    fn versions(&self) -> Vec<(u64, String)> {
        let mut versions: Vec<_> =
            self.origin.journal().into_iter().map(|seen| (seen.connection, seen.version)).collect();
        versions.sort();
        versions.dedup();
        versions
    }
}

fn fetch(download: HttpDownload, context: &Context) -> Result<(Vec<u8>, Receipt), DownloadError> {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(context)?;
    Ok((buffer.take().unwrap(), receipt))
}

fn fail(download: HttpDownload, context: &Context) -> DownloadError {
    match fetch(download, context) {
        Ok((bytes, _)) => panic!("{} bytes came although it should fail", bytes.len()),
        Err(error) => error,
    }
}

fn retry(times: u32) -> RetryDelegate {
    RetryDelegate::new(times).base(Duration::ZERO)
}
