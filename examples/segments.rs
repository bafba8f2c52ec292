//! Downloads one large file over several connections, and from all of its mirrors at once.
//!
//! `cargo run --example segments -- FILE DIGEST CONNECTIONS URL [MIRROR..]`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;

use ganymede::{
    Context, DigestValidation, Download, FileWriter, HttpDownload, MirrorDelegate, Segmented, Url,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, digest, connections, url, mirrors @ ..] = arguments.as_slice() else {
        return Err("usage: segments FILE DIGEST CONNECTIONS URL [MIRROR..]".into());
    };

    let connections = connections.parse()?;
    let mirrors: Vec<Url> = mirrors.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
    let receipt = HttpDownload::get(url)?
        .writer(FileWriter::new(file))
        .validation(DigestValidation::new(digest.parse()?))
        .handler(MirrorDelegate::new(mirrors))
        .map(|http| Segmented::new(http).segments(connections))
        .run(&Context::new())?;
    println!("{} bytes", receipt.facts().size());
    Ok(())
}
