//! Downloads a group of files, a few at a time, whose list comes from another task while they run.
//!
//! `cargo run -p ganymede-async --example async_batch -- BASE FOLDER COUNT LIMIT` fetches `BASE/1`, `BASE/2`, ..

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::path::PathBuf;

use futures::{StreamExt, stream};
use ganymede::{FileWriter, HttpDownload};
use ganymede_async::Batch;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

async fn fetch(base: String, folder: PathBuf, count: u64, limit: usize) -> Result<(), Box<dyn Error>> {
    // The other task waits when so many are not taken: from the files back to the list, all is bounded.
    let (sender, mut receiver) = mpsc::channel(limit);
    tokio::spawn(async move {
        for number in 1..=count {
            if sender.send(number).await.is_err() {
                break;
            }
        }
    });
    let numbers = stream::poll_fn(move |wake| receiver.poll_recv(wake));
    let downloads = numbers.map(move |number| {
        let download = HttpDownload::get(&format!("{base}/{number}"))?;
        Ok::<_, ganymede::Failure>(download.writer(FileWriter::new(folder.join(number.to_string()))))
    });

    let mut batch = Batch::try_from_stream(downloads).concurrency(limit).backlog(2 * limit);
    while let Some(plan) = batch.next().await {
        match plan?.result() {
            Ok(receipt) => println!("done {}", receipt.source()),
            Err(error) => println!("failed {error}"),
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, folder, count, limit] = arguments.as_slice() else {
        return Err("usage: async_batch BASE FOLDER COUNT LIMIT".into());
    };
    let fetching = fetch(base.clone(), folder.into(), count.parse()?, limit.parse()?);
    Builder::new_current_thread().enable_all().build()?.block_on(fetching)
}
