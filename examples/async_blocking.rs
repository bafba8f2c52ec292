//! Downloads from inside an asynchronous program, on a thread that may block.
//!
//! `cargo run --example async_blocking -- URL FILE`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;

use ganymede::{Context, Download, DownloadError, FileWriter, HttpDownload, Receipt};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

async fn fetch(download: HttpDownload, context: Context) -> Result<Receipt, Box<dyn Error>> {
    let mut download = download;
    let run = move || -> Result<Receipt, DownloadError> { download.run(&context) };
    Ok(spawn_blocking(run).await??)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file] = arguments.as_slice() else {
        return Err("usage: async_blocking URL FILE".into());
    };

    let download = HttpDownload::get(url)?.writer(FileWriter::new(file));
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let receipt = runtime.block_on(fetch(download, Context::new()))?;
    println!("{} bytes from {}", receipt.facts().size(), receipt.source());
    Ok(())
}
