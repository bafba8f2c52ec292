//! Files of this machine.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use http::StatusCode;

use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::protocol::Protocol;
use crate::reply::{Head, Reply, Validator};
use crate::request::{Method, Request};
use crate::transfer::Transfer;

/// A download of a local file.
///
/// ```
/// use ganymede::{BufferWriter, FileDownload};
///
/// let download = FileDownload::get("file:///etc/hostname")?.writer(BufferWriter::new(1024));
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
pub type FileDownload = Transfer<FileProtocol>;

/// The protocol of `file:` URLs (RFC 8089): regular files of this machine, and nothing else.
///
/// ```
/// use ganymede::{FileProtocol, Request, Transfer};
///
/// let download = Transfer::new(Request::get("file:///etc/hostname")?, FileProtocol::new());
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct FileProtocol;

impl FileProtocol {
    /// Makes the protocol.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Protocol for FileProtocol {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        context.check()?;
        let unsupported =
            |what: &str| Failure::new(ErrorKind::Unsupported, format!("{} {what}", request.display_url()));
        let url = request.url();
        let path = (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten();
        let path = path.ok_or_else(|| unsupported("names no file of this machine"))?;
        let named = |error: io::Error| {
            let error = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            Failure::from(error)
        };
        // Looked at before it is opened: opening a pipe waits for who writes to it.
        if !path.metadata().map_err(named)?.is_file() {
            return Err(unsupported("is not a regular file"));
        }
        let mut file = File::open(&path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        let total = metadata.len();
        let mut head = Head::new(url).with_length(Some(total));
        if let Ok(modified) = metadata.modified() {
            head = head.with_modified(modified);
        }
        if request.if_changed().is_some_and(|known| is_unchanged(&head, known)) {
            return Ok(Reply::bodiless(head.with_status(StatusCode::NOT_MODIFIED)));
        }
        head = head.answering(request, total)?;
        let length = head.length().unwrap_or(total);
        file.seek(SeekFrom::Start(head.offset())).map_err(named)?;
        if request.method() == Method::Head {
            return Ok(Reply::bodiless(head));
        }
        // What is appended meanwhile is not of the length that was told.
        Ok(Reply::new(head, BufReader::with_capacity(128 << 10, file.take(length))))
    }
}

/// Tells whether a file is not newer than what the target has.
fn is_unchanged(head: &Head, known: &Validator) -> bool {
    let Validator::LastModified(known) = known else { return false };
    let known = httpdate::parse_http_date(known);
    known.is_ok_and(|known| head.modified().is_some_and(|modified| modified <= known))
}
