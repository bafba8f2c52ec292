//! Downloads a list of any length, never more than three of it in memory.
//!
//! `cargo run --example batch -- BASE FOLDER COUNT` fetches `BASE/1`, `BASE/2`, ..

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::path::Path;

use ganymede::{Batch, Failure, FileWriter, HttpDownload};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, folder, count] = arguments.as_slice() else {
        return Err("usage: batch BASE FOLDER COUNT".into());
    };

    // Nothing happens here yet: the batch asks for the next download when there is room for it.
    let downloads = (1..=count.parse()?).map(|number: u64| -> Result<HttpDownload, Failure> {
        println!("pulled {number}");
        let file = Path::new(folder).join(number.to_string());
        Ok(HttpDownload::get(&format!("{base}/{number}"))?.writer(FileWriter::new(file)))
    });

    for plan in Batch::try_new(downloads).backlog(3) {
        match plan?.result() {
            Ok(receipt) => println!("done {}: {} bytes", receipt.source(), receipt.facts().size()),
            Err(error) => println!("failed {error}"),
        }
    }
    Ok(())
}
