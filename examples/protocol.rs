//! Adds a protocol of one's own, and downloads over it like over any other.
//!
//! `cargo run --example protocol -- FOLDER URL..`, with `gopher:` URLs among the others.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::io::{BufReader, Read, Result as IoResult, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use ganymede::{
    Batch, Context, ErrorKind, Factory, Failure, FileWriter, Head, Hook, Protocol, Reply, Request, Transfer,
};

/// Gopher (RFC 1436): one line is sent, and what comes back until the end of the connection is the content.
struct Gopher;

impl Protocol for Gopher {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let url = request.url();
        let host = (url.host_str().unwrap_or_default(), url.port().unwrap_or(70));
        let address = host.to_socket_addrs()?.next().ok_or(ErrorKind::Connect)?;
        let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let cancelled = socket.try_clone()?;
        let hook = context.on_cancel(move || drop(cancelled.shutdown(Shutdown::Both)));
        // The path is `/`, one character for the type, and the selector.
        write!(socket, "{}\r\n", url.path().get(2..).unwrap_or_default())?;
        Ok(Reply::new(Head::new(url), BufReader::new(Body { socket, _hook: hook })))
    }
}

/// Reads the socket, and keeps it tied to the cancelling while it does.
struct Body {
    socket: TcpStream,
    _hook: Hook,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        self.socket.read(buffer)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, urls @ ..] = arguments.as_slice() else {
        return Err("usage: protocol FOLDER URL..".into());
    };

    let factory = Factory::new().register("gopher", Gopher);
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
