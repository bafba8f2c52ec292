//! Gopher (RFC 1436) for Ganymede downloads.

use std::io::{BufRead, Write};

use ganymede::{Connector, Context, ErrorKind, Failure, Head, Method, Protocol, Reply, Request};
use percent_encoding::percent_decode_str;

/// The protocol of `gopher://HOST/9/SELECTOR`: a line is sent, and what comes until the connection is closed is the content.
#[derive(Debug, Clone, Default)]
pub struct Gopher {
    connector: Connector,
}

impl Protocol for Gopher {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        // The path is `/`, a character for the type, and the selector.
        let path = request.url().path().get(2..).unwrap_or_default();
        let selector: Vec<u8> = percent_decode_str(path).collect();
        if selector.iter().any(|byte| b"\t\r\n\0".contains(byte)) {
            return Err(Failure::new(ErrorKind::Unsupported, "no selector may have a line's end or a tab"));
        }
        let mut connection = self.connector.connect(request, 70, context)?;
        connection.write_all(&[&selector, &b"\r\n"[..]].concat())?;
        if is_error(connection.fill_buf()?) {
            let message = format!("{} is not there", request.display_url());
            return Err(connection.failed(Failure::new(ErrorKind::NotFound, message)));
        }
        connection.served();
        let head = Head::new(request.url());
        match request.method() {
            Method::Head => Ok(Reply::bodiless(head)),
            _ => Ok(Reply::new(head, connection)),
        }
    }
}

/// Tells whether an answer is an item of the type for errors, which is at a host that is none.
fn is_error(answer: &[u8]) -> bool {
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.starts_with(b"3") && String::from_utf8_lossy(line).contains("\terror.host\t")
}
