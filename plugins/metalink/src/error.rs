//! Why a text is no Metalink.

use ganymede::ParseDigestError;

/// Why a text is no Metalink, and where in it.
///
/// ```
/// use ganymede_metalink::{Metalink, Problem};
///
/// let error = Metalink::parse(b"<html></html>").unwrap_err();
/// assert!(matches!(error.problem(), Problem::Root(_)));
/// assert!(error.to_string().starts_with("line 1, byte 0: "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, byte {byte}: {problem}")]
pub struct ParseMetalinkError {
    problem: Problem,
    line: u64,
    byte: u64,
}

impl ParseMetalinkError {
    pub(crate) fn new(problem: Problem, line: u64, byte: u64) -> Self {
        Self { problem, line, byte }
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Returns the line, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns how many bytes are before the place.
    #[must_use]
    pub fn byte(&self) -> u64 {
        self.byte
    }
}

/// What is wrong with a text that is no Metalink.
///
/// What it quotes of the text is cut to a length that fits a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It has more bytes than are read.
    #[error("it has more than the {0} bytes that a Metalink may have")]
    TooLarge(usize),
    /// It is not text.
    #[error("it is not UTF-8 text: save it as UTF-8")]
    NotText,
    /// It says that it is in another encoding.
    #[error("its encoding is {0:?}: save it as UTF-8")]
    Encoding(String),
    /// It is not well-formed XML.
    #[error("it is not well-formed XML: {0}")]
    Xml(String),
    /// It declares entities, or anything else.
    #[error("it has a DOCTYPE with declarations, which a Metalink needs none of: remove it")]
    Doctype,
    /// It refers to an entity that XML does not define.
    #[error("the entity &{0}; is not known: write what it stands for")]
    Entity(String),
    /// It is another document.
    #[error("it is no Metalink, which begins with <metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">: {0}")]
    Root(String),
    /// It is of another version.
    #[error("the version {0:?} of Metalink is not known: it is 3.0, or 4 by its namespace alone")]
    Version(String),
    /// It ends too early, or goes on after its end.
    #[error("{0}")]
    End(&'static str),
    /// It names no file.
    #[error("it names no file: it needs at least one <file name=\"..\">")]
    Empty,
    /// An element lacks an attribute.
    #[error("<{element}> has no attribute {attribute}")]
    Missing {
        /// The name of the element.
        element: &'static str,
        /// The name of the attribute.
        attribute: &'static str,
    },
    /// A value is not of its kind.
    #[error("the {what} {text:?} is not {expected}")]
    Value {
        /// What it is for.
        what: &'static str,
        /// The value.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// What may be there once is there twice, and differs.
    #[error("the file has two different {0}")]
    Contradiction(&'static str),
    /// A name would lead out of the folder, or is none.
    #[error("the name {text:?} {reason}: a name is the relative path of a file, like folder/file")]
    Name {
        /// The name.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two files have the same name, or one has that of the folder of another.
    #[error("two files have the name {0:?}: give each another one")]
    Duplicate(String),
    /// A digest is malformed.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// There are not as many digests of pieces as the size makes pieces.
    #[error("{size} bytes in pieces of {length} are {expected} pieces, and digests are given of {actual}")]
    Pieces {
        /// The size of the file.
        size: u64,
        /// The length of a piece.
        length: u64,
        /// How many pieces there are.
        expected: u64,
        /// How many digests there are.
        actual: u64,
    },
    /// There is more of something than is read.
    #[error("it has more than {most} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
}

/// Returns the beginning of a text, so long that it fits a message.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}
