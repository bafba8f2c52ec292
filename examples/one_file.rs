//! Downloads one file, with every setting there is.
//!
//! `cargo run --example one_file -- URL FILE PROXY CA CERTIFICATE KEY`, the last three being PEM files.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::time::Duration;

use ganymede::reqwest::Version;
use ganymede::{Context, Download, FileWriter, HttpDownload, Limits, RetryDelegate};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file, proxy, ca, certificate, key] = arguments.as_slice() else {
        return Err("usage: one_file URL FILE PROXY CA CERTIFICATE KEY".into());
    };

    let mut download = HttpDownload::get(url)?
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(30))
        .user("amy", "secret")
        .header("accept", "application/octet-stream")
        .ca_certificate(ca)
        .client_certificate(certificate, key)
        .verify(true)
        .proxy(proxy)
        .max_redirects(3)
        // Whatever else the client library can do.
        .client_hook(|builder| builder.user_agent("one_file/1.0"))
        .request_hook(|request| request.version(Version::HTTP_11))
        .deadline(Duration::from_secs(3600))
        .attempts(10)
        .handler(RetryDelegate::new(3).base(Duration::from_millis(100)).cap(Duration::from_secs(10)))
        .writer(FileWriter::new(file));

    let context = Context::with_limits(Limits::new().per_host(4).total(16));
    let receipt = download.run(&context)?;

    println!("{} bytes from {}", receipt.facts().size(), receipt.source());
    println!("attempts: {}", receipt.attempts());
    println!("type: {}", receipt.head().header("content-type").unwrap_or("unknown"));
    println!("waited {:?} for the first byte", receipt.timing().waiting);
    Ok(())
}
