//! Serves over HTTP, while they arrive, the bytes of downloads of which it knows nothing.
//!
//! `cargo run --example stream -- ORIGIN DIGEST REQUESTS` serves so many requests, for paths on `ORIGIN` whose
//! content must have that digest.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use ganymede::{Context, DigestValidation, Download, Failure, HttpDownload, Importer, RetryDelegate, stream};

fn serve(importer: &dyn Importer, mut client: &TcpStream, context: &Context) -> Result<(), Box<dyn Error>> {
    let mut lines = BufReader::new(client).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    let path = line.split(' ').nth(1).ok_or("not an HTTP request")?;
    while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}

    let (head, mut body) = match stream(importer.download(path)?, context) {
        Ok(streamed) => streamed,
        Err(error) => {
            write!(client, "HTTP/1.1 {}\r\nContent-Length: 0\r\n\r\n", error.gateway_status())?;
            return Err(error.into());
        }
    };
    write!(client, "HTTP/1.1 {}\r\nConnection: close\r\n", head.status())?;
    for (name, value) in &head.end_to_end() {
        client.write_all(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat())?;
    }
    if head.length().is_some() {
        client.write_all(b"\r\n")?;
        io::copy(&mut body, &mut client)?;
        return Ok(());
    }
    // Without a length, the empty chunk tells the client that nothing is lacking: an error must not send it.
    client.write_all(b"Transfer-Encoding: chunked\r\n\r\n")?;
    loop {
        let block = body.fill_buf()?;
        let length = block.len();
        client.write_all(&[format!("{length:x}\r\n").as_bytes(), block, b"\r\n"].concat())?;
        if length == 0 {
            return Ok(());
        }
        body.consume(length);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [origin, digest, requests] = arguments.as_slice() else {
        return Err("usage: stream ORIGIN DIGEST REQUESTS".into());
    };

    // The one place that knows where things are and how they are verified.
    let validation = DigestValidation::new(digest.parse()?);
    let importer = |path: &str| -> Result<Box<dyn Download>, Failure> {
        let download = HttpDownload::get(&format!("{origin}{path}"))?;
        Ok(Box::new(download.validation(validation.clone()).handler(RetryDelegate::new(3))))
    };

    let (listener, context) = (TcpListener::bind("127.0.0.1:0")?, Context::new());
    println!("listening on http://{}", listener.local_addr()?);
    for client in listener.incoming().take(requests.parse()?) {
        match serve(&importer, &client?, &context) {
            Ok(()) => println!("served"),
            Err(error) => println!("failed: {error}"),
        }
    }
    Ok(())
}
