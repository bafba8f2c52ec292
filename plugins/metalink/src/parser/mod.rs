//! From XML to a Metalink.

mod file;
mod xml;

use std::collections::HashSet;

use crate::error::{ParseMetalinkError, Problem, shown};
use crate::metalink::Metalink;
use crate::path::FilePath;

use xml::{Element, Result, Token, Xml};

/// The namespace of version 4 (RFC 5854 §3).
pub(crate) const METALINK_4: &str = "urn:ietf:params:xml:ns:metalink";

/// The namespace of version 3.0.
const METALINK_3: &str = "http://www.metalinker.org/";

/// The versions of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Three,
    Four,
}

impl Version {
    /// Tells whether an element is one of this version, of that name.
    fn is(self, element: &Element<'_>, name: &str) -> bool {
        let namespace = match self {
            Self::Three => METALINK_3,
            Self::Four => METALINK_4,
        };
        element.namespace.as_deref() == Some(namespace) && element.name == name
    }
}

pub(crate) fn parse(text: &[u8]) -> std::result::Result<Metalink, ParseMetalinkError> {
    let mut xml = Xml::new(text)?;
    let version = root(&mut xml)?;
    let mut files = Files::default();
    while let Some(element) = xml.child()? {
        match version {
            Version::Four if version.is(&element, "file") => files.add(&mut xml, &element, version)?,
            Version::Three if version.is(&element, "files") => {
                while let Some(element) = xml.child()? {
                    match version.is(&element, "file") {
                        true => files.add(&mut xml, &element, version)?,
                        false => xml.skip()?,
                    }
                }
            }
            _ => xml.skip()?,
        }
    }
    if files.found.is_empty() {
        return Err(xml.wrong(Problem::Empty));
    }
    loop {
        match xml.token()? {
            Token::End => return Ok(Metalink { files: files.found }),
            Token::Text(text) if text.trim().is_empty() => {}
            _ => return Err(xml.wrong(Problem::End("it goes on after its end"))),
        }
    }
}

/// Reads the start of the outermost element.
fn root(xml: &mut Xml<'_>) -> Result<Version> {
    let element = loop {
        match xml.token()? {
            Token::Open(element) => break element,
            Token::Text(text) if text.trim().is_empty() => {}
            Token::Text(text) => return Err(xml.wrong(Problem::Root(shown(&format!("{:?}", text.trim()))))),
            Token::Close | Token::End => return Err(xml.wrong(Problem::Root("there is nothing".to_owned()))),
        }
    };
    if Version::Four.is(&element, "metalink") {
        return Ok(Version::Four);
    }
    let version = xml.attribute(&element, "version")?;
    if !Version::Three.is(&element, "metalink") {
        let namespace = element.namespace.as_deref().unwrap_or_default();
        return Err(match version.filter(|_| element.name == "metalink") {
            Some(version) => xml.wrong(Problem::Version(shown(&version))),
            None => xml.wrong(Problem::Root(shown(&format!("<{} xmlns={namespace:?}>", element.name)))),
        });
    }
    match version.as_deref() {
        Some("3.0" | "3") => Ok(Version::Three),
        Some(other) => Err(xml.wrong(Problem::Version(shown(other)))),
        None => Err(xml.wrong(Problem::Missing { element: "metalink", attribute: "version" })),
    }
}

/// The files that were found.
#[derive(Default)]
struct Files {
    found: Vec<crate::file::File>,
    names: HashSet<FilePath>,
    folders: HashSet<String>,
}

impl Files {
    /// Reads the file whose element was opened last.
    fn add(&mut self, xml: &mut Xml<'_>, element: &Element<'_>, version: Version) -> Result<()> {
        if self.found.len() == Metalink::MOST_FILES {
            return Err(xml.wrong(Problem::TooMany { what: "files", most: Metalink::MOST_FILES }));
        }
        let name = xml.attribute(element, "name")?;
        let missing = || Problem::Missing { element: "file", attribute: "name" };
        let name: FilePath = name
            .ok_or_else(missing)
            .and_then(|name| name.parse())
            .map_err(|problem| xml.wrong_in(element, problem))?;
        self.claim(&name).map_err(|problem| xml.wrong_in(element, problem))?;
        self.found.push(file::parse(xml, element, name, version)?);
        Ok(())
    }

    /// Takes the name of a file, unless another one has it, or needs a folder of that name.
    fn claim(&mut self, name: &FilePath) -> std::result::Result<(), Problem> {
        let taken = |text: &str| Problem::Duplicate(shown(text));
        if self.folders.contains(name.as_str()) || !self.names.insert(name.clone()) {
            return Err(taken(name.as_str()));
        }
        for folder in name.folders() {
            if self.folders.contains(folder) {
                continue;
            }
            // A path is one already that was made of harmless names.
            if folder.parse().is_ok_and(|folder: FilePath| self.names.contains(&folder)) {
                return Err(taken(folder));
            }
            self.folders.insert(folder.to_owned());
        }
        Ok(())
    }
}
