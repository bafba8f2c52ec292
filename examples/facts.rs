//! Makes an artifact of the size and the digests that were computed while its bytes arrived.
//!
//! `cargo run --example facts -- URL FILE`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;

use ganymede::{Algorithm, Context, Download, DownloadMonitor, Facts, FileWriter, HttpDownload};

#[derive(Debug)]
struct Artifact {
    name: String,
    size: u64,
    sha256: String,
    md5: String,
}

impl Artifact {
    fn new(name: &str, facts: &Facts) -> Option<Self> {
        let hex = |algorithm| Some(facts.digest(algorithm)?.hex());
        Some(Self {
            name: name.to_owned(),
            size: facts.size(),
            sha256: hex(Algorithm::Sha256)?,
            md5: hex(Algorithm::Md5)?,
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file] = arguments.as_slice() else {
        return Err("usage: facts URL FILE".into());
    };

    let monitor = DownloadMonitor::new([Algorithm::Sha256, Algorithm::Md5]);
    HttpDownload::get(url)?.writer(FileWriter::new(file)).monitor(&monitor).run(&Context::new())?;

    let facts = monitor.facts().ok_or("a download that succeeded has facts")?;
    let artifact = Artifact::new(file, &facts).ok_or("the monitor asked for both digests")?;
    println!("{}: {} bytes, sha256 {}, md5 {}", artifact.name, artifact.size, artifact.sha256, artifact.md5);
    Ok(())
}
