//! Takes the first files that arrive, and leaves the rest.
//!
//! `cargo run --example break_out -- BASE FOLDER COUNT WANTED` fetches `WANTED` of `BASE/1` to `BASE/COUNT`.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::path::Path;

use ganymede::{Batch, Failure, FileWriter, HttpDownload};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, folder, count, wanted] = arguments.as_slice() else {
        return Err("usage: break_out BASE FOLDER COUNT WANTED".into());
    };
    let wanted: u64 = wanted.parse()?;

    let downloads = (1..=count.parse()?).map(|number: u64| -> Result<HttpDownload, Failure> {
        let file = Path::new(folder).join(number.to_string());
        Ok(HttpDownload::get(&format!("{base}/{number}"))?.writer(FileWriter::new(file)))
    });
    let batch = Batch::try_new(downloads).concurrency(4).backlog(8);
    let counters = batch.counters();

    let mut taken = 0;
    for plan in batch {
        if let Ok(receipt) = plan?.result() {
            println!("took {}", receipt.source());
            taken += 1;
        }
        if taken == wanted {
            // The batch goes out of scope: what runs is cancelled, and no thread or temporary file is left.
            break;
        }
    }
    println!("{} of {count} were begun", counters.pulled());
    Ok(())
}
