//! Ties a value of one's own to each download, and has it back, typed, when the download is done.
//!
//! `cargo run --example attachment -- BASE FOLDER NAME..`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::path::Path;

use ganymede::{Attached, Batch, Failure, FileWriter, HttpDownload};

/// A row of the importer's own data.
struct Artifact {
    id: usize,
    name: String,
    size: Option<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, folder, names @ ..] = arguments.as_slice() else {
        return Err("usage: attachment BASE FOLDER NAME..".into());
    };

    let rows = names.iter().enumerate();
    let downloads = rows.map(|(id, name)| -> Result<Attached<HttpDownload, Artifact>, Failure> {
        let artifact = Artifact { id, name: name.clone(), size: None };
        let writer = FileWriter::new(Path::new(folder).join(name));
        Ok(HttpDownload::get(&format!("{base}/{name}"))?.writer(writer).attach(artifact))
    });

    for plan in Batch::try_new(downloads) {
        let plan = plan?;
        let size = plan.result().ok().map(|receipt| receipt.facts().size());
        let artifact = Artifact { size, ..plan.into_attachment() };
        match artifact.size {
            Some(size) => println!("{} {}: {size} bytes", artifact.id, artifact.name),
            None => println!("{} {}: not there", artifact.id, artifact.name),
        }
    }
    Ok(())
}
