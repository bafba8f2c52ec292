//! From the element of a file to what it says.

use std::str::FromStr;

use ganymede::{Algorithm, Digest, Url};

use super::Version;
use super::xml::{Element, Result, Xml};
use crate::digests::PieceDigests;
use crate::error::{Problem, shown};
use crate::file::{Description, File, Source, country_code};
use crate::metalink::Metalink;
use crate::path::FilePath;

/// How many other things than sources, pieces and files are read of each kind: digests, lists of pieces, descriptions.
const MOST_OTHERS: usize = 100;

/// Reads the file whose element was opened last.
pub(super) fn parse(
    xml: &mut Xml<'_>,
    element: &Element<'_>,
    name: FilePath,
    version: Version,
) -> Result<File> {
    let mut draft = Draft {
        version,
        file: File {
            name,
            size: None,
            digests: Vec::new(),
            unknown: Vec::new(),
            pieces: Vec::new(),
            sources: Vec::new(),
            descriptions: Vec::new(),
            origin: None,
        },
    };
    draft.read(xml)?;
    draft.finish().map_err(|problem| xml.wrong_in(element, problem))
}

struct Draft {
    version: Version,
    file: File,
}

impl Draft {
    /// Reads what is in the element of the file, or in one that version 3.0 has around some of it.
    fn read(&mut self, xml: &mut Xml<'_>) -> Result<()> {
        while let Some(element) = xml.child()? {
            let is = |name: &str| self.version.is(&element, name);
            match element.name.as_str() {
                "size" if is("size") => self.size(xml)?,
                "hash" if is("hash") => self.digest(xml, &element)?,
                "pieces" if is("pieces") => self.pieces(xml, &element)?,
                "url" if is("url") => self.source(xml, &element)?,
                "metaurl" if is("metaurl") && self.version == Version::Four => {
                    self.description(xml, &element)?;
                }
                name @ ("verification" | "resources") if is(name) && self.version == Version::Three => {
                    self.read(xml)?;
                }
                _ => xml.skip()?,
            }
        }
        Ok(())
    }

    fn size(&mut self, xml: &mut Xml<'_>) -> Result<()> {
        let text = xml.text()?;
        let size = number(&text, "size", "a number of bytes").map_err(|problem| xml.wrong(problem))?;
        match self.file.size.replace(size) {
            Some(other) if other != size => Err(xml.wrong(Problem::Contradiction("sizes"))),
            _ => Ok(()),
        }
    }

    fn digest(&mut self, xml: &mut Xml<'_>, element: &Element<'_>) -> Result<()> {
        let kind = required(xml, element, "hash", "type")?;
        let text = xml.text()?;
        let Ok(algorithm) = kind.parse::<Algorithm>() else {
            let kind = shown(&kind);
            if self.file.unknown.len() < MOST_OTHERS && !self.file.unknown.contains(&kind) {
                self.file.unknown.push(kind);
            }
            return Ok(());
        };
        let digest = Digest::from_hex(algorithm, &text);
        let digest = digest.map_err(|error| xml.wrong_in(element, shortened(error)))?;
        match self.file.digests.iter().find(|known| known.algorithm() == algorithm) {
            Some(known) if *known == digest => {}
            Some(_) => return Err(xml.wrong_in(element, Problem::Contradiction("digests of one algorithm"))),
            None => self.file.digests.push(digest),
        }
        Ok(())
    }

    fn pieces(&mut self, xml: &mut Xml<'_>, element: &Element<'_>) -> Result<()> {
        let kind = required(xml, element, "pieces", "type")?;
        let length = required(xml, element, "pieces", "length")?;
        let expected = "a number of bytes, at least 1";
        let length: u64 = number(&length, "length of pieces", expected)
            .and_then(|length| match length {
                0 => Err(Problem::Value { what: "length of pieces", text: "0".to_owned(), expected }),
                length => Ok(length),
            })
            .map_err(|problem| xml.wrong_in(element, problem))?;
        let Ok(algorithm) = kind.parse::<Algorithm>() else { return xml.skip() };
        if self.file.pieces.len() == MOST_OTHERS {
            let problem = Problem::TooMany { what: "lists of pieces of a file", most: MOST_OTHERS };
            return Err(xml.wrong_in(element, problem));
        }
        let (mut values, mut count) = (Vec::new(), 0);
        while let Some(hash) = xml.child()? {
            if !self.version.is(&hash, "hash") {
                xml.skip()?;
                continue;
            }
            if count == Metalink::MOST_PIECES {
                let problem = Problem::TooMany { what: "pieces of a file", most: Metalink::MOST_PIECES };
                return Err(xml.wrong_in(&hash, problem));
            }
            if let Some(text) = xml.attribute(&hash, "piece")?.filter(|_| self.version == Version::Three)
                && text.parse() != Ok(count)
            {
                let expected = "the next number from 0 on";
                let problem = Problem::Value { what: "number of a piece", text: shown(&text), expected };
                return Err(xml.wrong_in(&hash, problem));
            }
            let digest = Digest::from_hex(algorithm, &xml.text()?);
            let digest = digest.map_err(|error| xml.wrong_in(&hash, shortened(error)))?;
            values.extend_from_slice(digest.value());
            count += 1;
        }
        self.file.pieces.extend(PieceDigests::of_values(algorithm, length, values));
        Ok(())
    }

    fn source(&mut self, xml: &mut Xml<'_>, element: &Element<'_>) -> Result<()> {
        let place = if self.version == Version::Three { "preference" } else { "priority" };
        let priority = self.priority(xml, element, place)?;
        let location = xml.attribute(element, "location")?.as_deref().and_then(country_code);
        let kind = xml.attribute(element, "type")?.filter(|_| self.version == Version::Three);
        let url = url(&xml.text()?).map_err(|problem| xml.wrong_in(element, problem))?;
        let kind = kind.map(|kind| kind.to_ascii_lowercase());
        if matches!(kind.as_deref(), Some("bittorrent" | "magnet" | "ed2k")) {
            let description = Description { url, media_type: "torrent".to_owned(), priority, name: None };
            return self.describe(xml, element, description);
        }
        if self.file.sources.len() == Metalink::MOST_SOURCES {
            let problem = Problem::TooMany { what: "URLs of a file", most: Metalink::MOST_SOURCES };
            return Err(xml.wrong_in(element, problem));
        }
        self.file.sources.push(Source { url, priority, location });
        Ok(())
    }

    fn description(&mut self, xml: &mut Xml<'_>, element: &Element<'_>) -> Result<()> {
        let priority = self.priority(xml, element, "priority")?;
        let media_type = required(xml, element, "metaurl", "mediatype")?;
        let name = xml.attribute(element, "name")?;
        let url = url(&xml.text()?).map_err(|problem| xml.wrong_in(element, problem))?;
        self.describe(xml, element, Description { url, media_type, priority, name })
    }

    fn describe(&mut self, xml: &Xml<'_>, element: &Element<'_>, description: Description) -> Result<()> {
        if self.file.descriptions.len() == MOST_OTHERS {
            let problem = Problem::TooMany { what: "descriptions of a file", most: MOST_OTHERS };
            return Err(xml.wrong_in(element, problem));
        }
        self.file.descriptions.push(description);
        Ok(())
    }

    /// Returns the priority that an element has; that of version 3.0 is a preference, of which the highest is first.
    fn priority(&self, xml: &Xml<'_>, element: &Element<'_>, name: &str) -> Result<u32> {
        let Some(text) = xml.attribute(element, name)? else { return Ok(Source::LAST) };
        let priority = match self.version {
            Version::Four => number(&text, "priority", "a number from 1 to 999999"),
            Version::Three => number(&text, "preference", "a number from 0 to 100")
                .map(|preference: u32| 101 - preference.min(100)),
        };
        priority
            .and_then(|priority| match priority {
                1..=Source::LAST => Ok(priority),
                _ => {
                    let expected = "a number from 1 to 999999";
                    Err(Problem::Value { what: "priority", text: shown(&text), expected })
                }
            })
            .map_err(|problem| xml.wrong_in(element, problem))
    }

    /// Puts it into order, and checks whether all of it fits together.
    fn finish(mut self) -> std::result::Result<File, Problem> {
        let file = &mut self.file;
        file.digests.sort_by_key(Digest::algorithm);
        file.sources.sort_by_key(|source| source.priority);
        file.descriptions.sort_by_key(|description| description.priority);
        if file.size == Some(0) {
            // Some write the digest of nothing as that of a piece.
            file.pieces.clear();
        }
        if let Some(size) = file.size
            && let Some(pieces) = file.pieces.iter().find(|pieces| !pieces.covers(size))
        {
            let (length, actual) = (pieces.length(), pieces.count());
            return Err(Problem::Pieces { size, length, expected: size.div_ceil(length), actual });
        }
        Ok(self.file)
    }
}

fn required(
    xml: &Xml<'_>,
    element: &Element<'_>,
    name: &'static str,
    attribute: &'static str,
) -> Result<String> {
    let missing = || xml.wrong_in(element, Problem::Missing { element: name, attribute });
    xml.attribute(element, attribute)?.ok_or_else(missing)
}

fn number<N: FromStr>(
    text: &str,
    what: &'static str,
    expected: &'static str,
) -> std::result::Result<N, Problem> {
    // Parsing alone takes a sign, too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|_| digits);
    parsed.ok_or_else(|| Problem::Value { what, text: shown(text), expected })
}

fn url(text: &str) -> std::result::Result<Url, Problem> {
    Url::parse(text).map_err(|_| {
        // What may be a password is not shown.
        let text = shown(text.rsplit('@').next().unwrap_or_default());
        Problem::Value { what: "URL", text, expected: "an absolute URL, like https://example.com/file" }
    })
}

/// Cuts what an error quotes to a length that fits a message.
fn shortened(error: ganymede::ParseDigestError) -> Problem {
    use ganymede::ParseDigestError::{Encoding, Length};
    Problem::Digest(match error {
        Encoding(text, expected) => Encoding(shown(&text), expected),
        Length { algorithm, actual, text } => Length { algorithm, actual, text: shown(&text) },
        other => other,
    })
}
