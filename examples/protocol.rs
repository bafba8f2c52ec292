//! Adds a protocol of one's own, and downloads over it like over any other.
//!
//! `cargo run --example protocol -- FOLDER URL..`, with `gopher:` URLs among the others.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;

use ganymede::{
    Batch, Connector, Context, ErrorKind, Factory, Failure, FileWriter, Head, Protocol, Reply, Request,
    Transfer,
};

/// Gopher (RFC 1436): one line is sent, and what comes back until the end of the connection is the content.
struct Gopher(Connector);

impl Protocol for Gopher {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        // The path is `/`, one character for the type, and the selector.
        let selector = request.url().path().get(2..).unwrap_or_default();
        let mut connection = self.0.connect(request, 70, context)?;
        connection.write_all(format!("{selector}\r\n").as_bytes())?;
        // An error is a line of type 3, for a host that is none.
        let answer = String::from_utf8_lossy(connection.fill_buf()?);
        if answer.starts_with('3') && answer.contains("\terror.host\t") {
            return Err(connection.failed(ErrorKind::NotFound.into()));
        }
        connection.served();
        Ok(Reply::new(Head::new(request.url()), connection))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, urls @ ..] = arguments.as_slice() else {
        return Err("usage: protocol FOLDER URL..".into());
    };

    let factory = Factory::new().register("gopher", Gopher(Connector::new()));
    let downloads = urls.iter().enumerate().map(|(number, url)| -> Result<Transfer<Factory>, Failure> {
        Ok(factory.download(url)?.writer(FileWriter::new(Path::new(folder).join(number.to_string()))))
    });
    for plan in Batch::try_new(downloads) {
        let (_, result) = plan?.into_parts();
        let receipt = result?;
        println!("{} bytes over {}", receipt.facts().size(), receipt.source().scheme());
    }
    Ok(())
}
