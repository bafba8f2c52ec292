//! Servers of the real world: nginx, apache2 and lighttpd as origins, squid and tinyproxy as proxies.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod http2;
mod nginx;
mod proxies;
mod resuming;

use std::time::Duration;

use ganymede::{BufferWriter, Context, Download, HttpDownload, Receipt};

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().read_timeout(Duration::from_secs(60))
}

fn fetch(download: HttpDownload, context: &Context) -> (Vec<u8>, Receipt) {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(context).unwrap();
    (buffer.take().unwrap(), receipt)
}
