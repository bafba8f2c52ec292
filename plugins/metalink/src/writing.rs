//! A Metalink as XML (RFC 5854).

use std::fmt::{Formatter, Result};

use ganymede::Algorithm;
use quick_xml::escape::escape;

use crate::file::{File, Source};
use crate::metalink::Metalink;
use crate::parser::METALINK_4;

pub(crate) fn write(metalink: &Metalink, f: &mut Formatter<'_>) -> Result {
    writeln!(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"{METALINK_4}\">")?;
    metalink.files.iter().try_for_each(|file| write_file(file, f))?;
    writeln!(f, "</metalink>")
}

fn write_file(file: &File, f: &mut Formatter<'_>) -> Result {
    writeln!(f, "  <file name=\"{}\">", attribute(file.name.as_str()))?;
    if let Some(size) = file.size {
        writeln!(f, "    <size>{size}</size>")?;
    }
    for digest in &file.digests {
        writeln!(f, "    <hash type=\"{}\">{}</hash>", type_of(digest.algorithm()), digest.hex())?;
    }
    for unknown in &file.unknown {
        writeln!(f, "    <hash type=\"{}\"/>", attribute(unknown))?;
    }
    for pieces in &file.pieces {
        let kind = type_of(pieces.algorithm());
        writeln!(f, "    <pieces length=\"{}\" type=\"{kind}\">", pieces.length())?;
        for digest in (0..pieces.count()).filter_map(|piece| pieces.digest(piece)) {
            writeln!(f, "      <hash>{}</hash>", digest.hex())?;
        }
        writeln!(f, "    </pieces>")?;
    }
    for Source { url, priority, location } in &file.sources {
        let location = location.as_ref().map(|location| format!(" location=\"{location}\""));
        let location = location.unwrap_or_default();
        writeln!(f, "    <url{location} priority=\"{priority}\">{}</url>", escape(url.as_str()))?;
    }
    for description in &file.descriptions {
        let name = description.name.as_ref().map(|name| format!(" name=\"{}\"", attribute(name)));
        let (name, kind) = (name.unwrap_or_default(), attribute(&description.media_type));
        let (priority, url) = (description.priority, escape(description.url.as_str()));
        writeln!(f, "    <metaurl mediatype=\"{kind}\" priority=\"{priority}\"{name}>{url}</metaurl>")?;
    }
    writeln!(f, "  </file>")
}

/// Escapes what goes into an attribute, where a line's end that is not written as a reference is read as a space.
fn attribute(text: &str) -> String {
    escape(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// Returns the textual name of the IANA registry for an algorithm.
fn type_of(algorithm: Algorithm) -> String {
    let name = algorithm.name();
    name.strip_prefix("sha").map_or_else(|| name.to_owned(), |number| format!("sha-{number}"))
}
