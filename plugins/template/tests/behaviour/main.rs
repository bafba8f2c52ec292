//! What a plugin must show: that it conforms, what it downloads, how it fails, and that it stops.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod conforming;
mod downloading;
mod failing;
mod server;
mod stopping;

use ganymede::{BufferWriter, Context, Download, DownloadError, Receipt, Request, Transfer};
use ganymede_template::Redis;

fn get(url: &str) -> Transfer<Redis> {
    Transfer::new(Request::get(url).unwrap(), Redis::new())
}

fn fetch(download: Transfer<Redis>) -> Result<(Vec<u8>, Receipt), DownloadError> {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(&Context::new())?;
    Ok((buffer.take().unwrap(), receipt))
}
