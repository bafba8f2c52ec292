//! Tries one mirror after the other until one has the right bytes.
//!
//! `cargo run --example mirrors -- FILE DIGEST URL MIRROR..`, or one `@LIST` in place of the mirrors: the URL of a
//! text with their URLs.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;

use ganymede::{Context, DigestValidation, Download, FileWriter, HttpDownload, MirrorDelegate, Url};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, digest, url, mirrors @ ..] = arguments.as_slice() else {
        return Err("usage: mirrors FILE DIGEST URL MIRROR..".into());
    };

    let mirrors = match mirrors {
        [one] if one.starts_with('@') => MirrorDelegate::list(one[1..].parse()?),
        several => {
            let urls: Vec<Url> = several.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
            MirrorDelegate::new(urls)
        }
    };
    let result = HttpDownload::get(url)?
        .writer(FileWriter::new(file))
        .validation(DigestValidation::new(digest.parse()?))
        .handler(mirrors)
        .run(&Context::new());

    let receipt = result.inspect_err(|error| {
        for attempt in error.history() {
            println!("{}: {}", attempt.source(), attempt.failure());
        }
    })?;
    println!("{} bytes from {}", receipt.facts().size(), receipt.source());
    println!("attempts: {}", receipt.attempts());
    Ok(())
}
