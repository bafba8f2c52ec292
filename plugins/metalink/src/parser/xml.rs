//! XML as far as a Metalink needs it: elements and text, with bounds, and with the place of each error.

use std::borrow::Cow;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

use crate::error::{ParseMetalinkError, Problem, shown};
use crate::metalink::Metalink;

/// The most attributes that an element may have.
const MOST_ATTRIBUTES: usize = 64;

/// A text that is being read.
pub(super) struct Xml<'t> {
    reader: NsReader<&'t [u8]>,
    text: &'t str,
    depth: usize,
    /// Where the newest token begins.
    place: u64,
}

/// What a text is made of.
pub(super) enum Token<'t> {
    Open(Element<'t>),
    Close,
    Text(Cow<'t, str>),
    End,
}

/// The start of an element.
pub(super) struct Element<'t> {
    /// Its namespace, if it has one.
    pub(super) namespace: Option<String>,
    /// Its name without a prefix.
    pub(super) name: String,
    start: BytesStart<'t>,
    /// Where it begins.
    place: u64,
}

pub(super) type Result<T> = std::result::Result<T, ParseMetalinkError>;

impl<'t> Xml<'t> {
    pub(super) fn new(text: &'t [u8]) -> Result<Self> {
        let whole = ParseMetalinkError::new;
        if text.len() > Metalink::LARGEST {
            return Err(whole(Problem::TooLarge(Metalink::LARGEST), 1, 0));
        }
        let text = std::str::from_utf8(text).map_err(|error| {
            let sound = &text[..error.valid_up_to()];
            whole(Problem::NotText, lines(sound) + 1, error.valid_up_to() as u64)
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader, text, depth: 0, place: 0 })
    }

    /// Says what is wrong where the newest token begins.
    pub(super) fn wrong(&self, problem: Problem) -> ParseMetalinkError {
        self.wrong_at(problem, self.place)
    }

    /// Says what is wrong with an element.
    pub(super) fn wrong_in(&self, element: &Element<'_>, problem: Problem) -> ParseMetalinkError {
        self.wrong_at(problem, element.place)
    }

    fn wrong_at(&self, problem: Problem, place: u64) -> ParseMetalinkError {
        let end = usize::try_from(place).unwrap_or(usize::MAX).min(self.text.len());
        let before = &self.text.as_bytes()[..end];
        ParseMetalinkError::new(problem, lines(before) + 1, place)
    }

    /// Returns the next element inside the current one, or `None` at its end; text between them is passed over.
    pub(super) fn child(&mut self) -> Result<Option<Element<'t>>> {
        loop {
            match self.token()? {
                Token::Open(element) => return Ok(Some(element)),
                Token::Close => return Ok(None),
                Token::Text(_) => {}
                Token::End => return Err(self.wrong(Problem::End("it ends in the middle of an element"))),
            }
        }
    }

    /// Passes over the rest of the element that was opened last, and all that is in it.
    pub(super) fn skip(&mut self) -> Result<()> {
        let outer = self.depth.saturating_sub(1);
        while self.depth > outer {
            if matches!(self.token()?, Token::End) {
                return Err(self.wrong(Problem::End("it ends in the middle of an element")));
            }
        }
        Ok(())
    }

    /// Returns the text of the element that was opened last, without the spaces around it; elements in it are passed
    /// over.
    pub(super) fn text(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.token()? {
                Token::Text(more) => text.push_str(&more),
                Token::Open(_) => self.skip()?,
                Token::Close => break,
                Token::End => return Err(self.wrong(Problem::End("it ends in the middle of an element"))),
            }
        }
        let trimmed = text.trim();
        Ok(if trimmed.len() == text.len() { text } else { trimmed.to_owned() })
    }

    /// Returns what comes next.
    pub(super) fn token(&mut self) -> Result<Token<'t>> {
        loop {
            self.place = self.reader.buffer_position();
            let read = self.reader.read_resolved_event();
            let (namespace, event) = match read {
                Ok((namespace, event)) => (bound(&namespace), event),
                Err(error) => {
                    let place = self.reader.error_position();
                    return Err(self.wrong_at(Problem::Xml(shown(&error.to_string())), place));
                }
            };
            match event {
                Event::Start(start) => return self.open(namespace, start).map(Token::Open),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Token::Close);
                }
                Event::Text(text) => return Ok(Token::Text(text.into_inner())),
                Event::CData(text) => return Ok(Token::Text(text.into_inner())),
                Event::GeneralRef(reference) => return self.resolve(&reference).map(Token::Text),
                Event::DocType(doctype) if doctype.contains('[') => return Err(self.wrong(Problem::Doctype)),
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding();
                    let encoding = encoding.and_then(std::result::Result::ok).unwrap_or("utf-8".into());
                    if !matches!(encoding.to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii") {
                        return Err(self.wrong(Problem::Encoding(shown(&encoding))));
                    }
                }
                Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
                Event::Eof => return Ok(Token::End),
            }
        }
    }

    fn open(&mut self, namespace: Option<String>, start: BytesStart<'t>) -> Result<Element<'t>> {
        self.depth += 1;
        if self.depth > Metalink::DEEPEST {
            let problem = Problem::TooMany { what: "elements inside one another", most: Metalink::DEEPEST };
            return Err(self.wrong(problem));
        }
        if start.attributes().with_checks(false).take(MOST_ATTRIBUTES + 1).count() > MOST_ATTRIBUTES {
            let problem = Problem::TooMany { what: "attributes of an element", most: MOST_ATTRIBUTES };
            return Err(self.wrong(problem));
        }
        let name = start.local_name().as_ref().to_owned();
        Ok(Element { namespace, name, start, place: self.place })
    }

    fn resolve(&self, reference: &quick_xml::events::BytesRef<'t>) -> Result<Cow<'t, str>> {
        match reference.resolve_char_ref() {
            Ok(Some(character)) => Ok(character.to_string().into()),
            Ok(None) => match resolve_predefined_entity(reference) {
                Some(text) => Ok(text.into()),
                None => Err(self.wrong(Problem::Entity(shown(reference)))),
            },
            Err(error) => Err(self.wrong(Problem::Xml(shown(&error.to_string())))),
        }
    }

    /// Returns the value of an attribute that is in no namespace, without the spaces around it.
    pub(super) fn attribute(&self, element: &Element<'_>, name: &str) -> Result<Option<String>> {
        let mut found = None;
        for attribute in element.start.attributes().with_checks(false) {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => {
                    return Err(self.wrong_in(element, Problem::Xml(shown(&error.to_string()))));
                }
            };
            if attribute.key.as_ref() != name {
                continue;
            }
            if found.is_some() {
                let text = format!("the attribute {name} is there twice");
                return Err(self.wrong_in(element, Problem::Xml(text)));
            }
            match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => found = Some(value.trim().to_owned()),
                Err(error) => {
                    return Err(self.wrong_in(element, Problem::Xml(shown(&error.to_string()))));
                }
            }
        }
        Ok(found)
    }
}

fn lines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn bound(namespace: &ResolveResult<'_>) -> Option<String> {
    match namespace {
        ResolveResult::Bound(Namespace(name)) => Some((*name).to_owned()),
        _ => None,
    }
}
