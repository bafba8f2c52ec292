//! Downloads one file from inside an asynchronous program, which goes on meanwhile.
//!
//! `cargo run -p ganymede-async --example async_file -- URL FILE`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::time::Duration;

use ganymede::{Context, DownloadMonitor, FileWriter, HttpDownload, RetryDelegate};
use ganymede_async::run;
use tokio::runtime::Builder;
use tokio::time::interval;

async fn fetch(url: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let monitor = DownloadMonitor::new([]);
    let download = HttpDownload::get(url)?
        .writer(FileWriter::new(file))
        .handler(RetryDelegate::new(3))
        .monitor(&monitor)
        .attach(file.to_owned());

    let context = Context::new();
    let mut running = std::pin::pin!(run(download, &context));
    let mut tick = interval(Duration::from_millis(50));
    let plan = loop {
        tokio::select! {
            plan = &mut running => break plan,
            // The event loop is free for anything else; were this to return, the download would be cancelled.
            _ = tick.tick() => println!("{} bytes so far", monitor.progress().received),
        }
    };
    let (download, result) = plan.into_parts();
    println!("{}: {} bytes", download.attachment(), result?.facts().size());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file] = arguments.as_slice() else {
        return Err("usage: async_file URL FILE".into());
    };
    Builder::new_current_thread().enable_all().build()?.block_on(fetch(url, file))
}
