//! A Metalink: the files that it describes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ganymede::{
    BufferWriter, Context, Download, ErrorKind, Failure, Protocol, Request, RetryDelegate, Transfer, Url,
};

use crate::error::ParseMetalinkError;
use crate::file::File;
use crate::parser;
use crate::path::FilePath;
use crate::writing;

/// What a Metalink says: the files that there are, what they must be, and where they are.
///
/// Both forms are read: version 4 (RFC 5854) and version 3.0 (of metalinker.org). Elements and attributes that are not
/// known are passed over, as the standard says; what is known must be sound. Entities are never expanded but the five
/// that XML defines, and a document type that declares anything is refused.
///
/// It is written again, as version 4, by [`Display`](fmt::Display).
///
/// ```
/// use ganymede_metalink::Metalink;
///
/// let metalink: Metalink = r#"<?xml version="1.0" encoding="UTF-8"?>
///     <metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="images/a.iso">
///         <size>5</size>
///         <verification><hash type="sha1">aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d</hash></verification>
///         <resources><url type="http" preference="100">http://example.com/a.iso</url></resources>
///     </file></files></metalink>"#.parse()?;
/// let file = metalink.file("images/a.iso").unwrap();
/// assert_eq!((file.sources()[0].priority(), file.digests().len()), (1, 1));
/// assert_eq!(metalink.to_string().parse(), Ok(metalink));
/// # Ok::<(), ganymede_metalink::ParseMetalinkError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metalink {
    pub(crate) files: Vec<File>,
}

impl Metalink {
    /// The most bytes that a Metalink may have: 16 MiB, which are the digests of 75 GB in pieces of 256 KiB.
    pub const LARGEST: usize = 16 << 20;

    /// The most files that it may describe.
    pub const MOST_FILES: usize = 100_000;

    /// The most URLs that it may give of a file.
    pub const MOST_SOURCES: usize = 1_000;

    /// The most pieces that a file may be divided into.
    pub const MOST_PIECES: usize = 1 << 20;

    /// How many elements may be inside one another.
    pub const DEEPEST: usize = 32;

    /// Parses a Metalink, of version 3.0 or 4.
    ///
    /// # Errors
    /// It is none, or has more of something than the constants of this type say.
    pub fn parse(text: &[u8]) -> Result<Self, ParseMetalinkError> {
        parser::parse(text)
    }

    /// Fetches a Metalink over a protocol and parses it; where it was [found](Self::found_at) is the URL of the request.
    ///
    /// # Errors
    /// Why it could not be fetched; [`ErrorKind::TooLarge`]; [`ErrorKind::Malformed`] if it is none.
    pub fn fetch(
        request: Request,
        protocol: impl Protocol + 'static,
        context: &Context,
    ) -> Result<Self, Failure> {
        let url = request.display_url();
        let buffer = BufferWriter::new(Self::LARGEST);
        let mut download = Transfer::new(request, protocol)
            .writer(buffer.clone())
            .max_size(Self::LARGEST as u64)
            .handler(RetryDelegate::default());
        download.run(context)?;
        let text = buffer.take().unwrap_or_default();
        let parsed = Self::parse(&text).map_err(|error| {
            Failure::new(ErrorKind::Malformed, format!("{url} is no Metalink: {error}")).caused_by(error)
        })?;
        Ok(parsed.found_at(url))
    }

    /// Says where it was found, which is whom it can be trusted as much as: the caller's credentials go to that origin
    /// alone, and no local file is a source of what was found on the network.
    #[must_use]
    pub fn found_at(mut self, url: Url) -> Self {
        let url = Arc::new(url);
        for file in &mut self.files {
            file.origin = Some(Arc::clone(&url));
        }
        self
    }

    /// Returns the files, in the order in which it describes them.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Returns the file of that name or path.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&File> {
        let path: FilePath = name.parse().ok()?;
        self.files.iter().find(|file| file.name == path)
    }

    /// Returns the files.
    #[must_use]
    pub fn into_files(self) -> Vec<File> {
        self.files
    }
}

impl FromStr for Metalink {
    type Err = ParseMetalinkError;

    fn from_str(text: &str) -> Result<Self, ParseMetalinkError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Metalink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writing::write(self, f)
    }
}
