//! FTP against servers that are scripted, another crate's, and those of the real world.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod cancelling;
mod conforming;
mod daemons;
mod endings;
mod failures;
mod guarding;
mod libunftp;
mod mirrors;
mod resuming;
mod securing;
mod sessions;

use std::time::Duration;

use ganymede::{BufferWriter, Context, Download, DownloadError, Receipt, Request, Transfer};
use ganymede_ftp::Ftp;

/// The protocol, with time-outs that no test runs into unless it wants to.
fn ftp() -> Ftp {
    Ftp::new().connect_timeout(Duration::from_secs(20)).read_timeout(Duration::from_secs(20))
}

fn download(ftp: Ftp, url: &str) -> Transfer<Ftp> {
    Transfer::new(Request::get(url).unwrap(), ftp)
}

fn fetch(download: Transfer<Ftp>, context: &Context) -> Result<(Vec<u8>, Receipt), DownloadError> {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(context)?;
    Ok((buffer.take().unwrap(), receipt))
}

/// Fetches a URL in a context of its own.
fn get(url: &str) -> Result<(Vec<u8>, Receipt), DownloadError> {
    fetch(download(ftp(), url), &Context::new())
}
