//! The header `Link` (RFC 8288), as far as Metalink/HTTP uses it (RFC 6249 §2 to §4).

use ganymede::{Head, Url};

use crate::file::Source;
use crate::metalink::Metalink;

/// What links say of a content.
#[derive(Default)]
pub(super) struct Links {
    /// Where else it is.
    pub(super) duplicates: Vec<Source>,
    /// The first Metalink that describes it.
    pub(super) description: Option<Url>,
}

/// Returns what the links of a head say; what is malformed is passed over.
pub(super) fn of(head: &Head) -> Links {
    let mut links = Links::default();
    let values = head.headers().get_all("link").iter();
    for link in values.filter_map(|value| value.to_str().ok()).flat_map(|value| List { rest: value }) {
        let Ok(url) = head.url().join(link.target) else { continue };
        let relation = link.parameter("rel").unwrap_or_default();
        let is = |name: &str| relation.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(name));
        // Of another content than that of the head (RFC 8288 §3.2).
        if link.parameter("anchor").is_some() {
            continue;
        }
        if is("duplicate") && links.duplicates.len() < Metalink::MOST_SOURCES {
            let mut source = Source::new(url);
            if let Some(priority) = link.parameter("pri").and_then(|text| text.parse().ok()) {
                source = source.with_priority(priority);
            }
            if let Some(country) = link.parameter("geo") {
                source = source.with_location(country);
            }
            links.duplicates.push(source);
        } else if is("describedby")
            && link.parameter("type").is_some_and(is_metalink)
            && links.description.is_none()
        {
            links.description = Some(url);
        }
    }
    links
}

/// Tells whether a media type is that of a Metalink, of version 4 or 3.
fn is_metalink(media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    ["application/metalink4+xml", "application/metalink+xml"]
        .iter()
        .any(|known| media_type.eq_ignore_ascii_case(known))
}

/// A link: its target, and its parameters in their order.
struct Link<'t> {
    target: &'t str,
    parameters: Vec<(&'t str, String)>,
}

impl Link<'_> {
    /// Returns the value of a parameter: the first one of that name counts (RFC 8288 §3).
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The links of a value.
struct List<'t> {
    rest: &'t str,
}

impl<'t> Iterator for List<'t> {
    type Item = Link<'t>;

    fn next(&mut self) -> Option<Link<'t>> {
        loop {
            let (_, rest) = self.rest.split_once('<')?;
            let (target, rest) = rest.split_once('>')?;
            self.rest = rest;
            let mut link = Link { target: target.trim(), parameters: Vec::new() };
            while let Some(rest) = self.rest.trim_start().strip_prefix(';') {
                self.rest = rest.trim_start();
                link.parameters.extend(self.parameter());
            }
            // What stands where a comma should, belongs to no link.
            let end = self.rest.find([',', '<']).unwrap_or(self.rest.len());
            self.rest = self.rest[end..].trim_start_matches(',');
            if !link.target.is_empty() {
                return Some(link);
            }
        }
    }
}

impl<'t> List<'t> {
    /// Reads a parameter, whose semicolon was read.
    fn parameter(&mut self) -> Option<(&'t str, String)> {
        let end = self.rest.find(['=', ';', ',']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        let value = match self.rest.strip_prefix('=').map(str::trim_start) {
            None => String::new(),
            Some(rest) => match rest.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted),
                None => {
                    let end = rest.find([';', ',']).unwrap_or(rest.len());
                    let (value, rest) = rest.split_at(end);
                    self.rest = rest;
                    value.trim().to_owned()
                }
            },
        };
        let name = name.trim();
        (!name.is_empty()).then_some((name, value))
    }

    /// Reads a quoted string, whose first quote was read.
    fn quoted(&mut self, quoted: &'t str) -> String {
        let (mut value, mut characters) = (String::new(), quoted.chars());
        loop {
            match characters.next() {
                Some('\\') => value.extend(characters.next()),
                Some('"') | None => break,
                Some(character) => value.push(character),
            }
        }
        self.rest = characters.as_str();
        value
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn links(values: &str) -> Links {
        of(&Head::new(&"https://example.com/folder/file".parse().unwrap()).with_header("link", values))
    }

    #[test]
    fn duplicates_and_the_description_are_found_among_others() {
        let found = links(
            "<http://example.org/a,b>; rel=duplicate; pri=2; geo=GB; pref, </copy>;rel=\"nofollow duplicate\" ;pri=1,\
             <a.torrent>; rel=describedby; type=\"application/x-bittorrent\", <a.meta4>; rel=describedby; \
             type=\"application/metalink4+xml\", <b.meta4>; rel=describedby; type=\"application/metalink4+xml\"",
        );
        let sources: Vec<_> = found
            .duplicates
            .iter()
            .map(|source| (source.url().as_str(), source.priority(), source.location()))
            .collect();
        assert_eq!(
            sources,
            [("http://example.org/a,b", 2, Some("gb")), ("https://example.com/copy", 1, None)]
        );
        assert_eq!(found.description.unwrap().as_str(), "https://example.com/folder/a.meta4");
    }

    #[test]
    fn quotes_hold_what_would_end_a_link_otherwise() {
        let found = links("<x>; title=\"a, <y>; rel=duplicate \\\" ;\"; rel=duplicate, <z>; rel=duplicate");
        let urls: Vec<_> = found.duplicates.iter().map(|source| source.url().path()).collect();
        assert_eq!(urls, ["/folder/x", "/folder/z"]);
    }

    #[test]
    fn what_is_malformed_or_of_another_content_is_passed_over() {
        for text in [
            "",
            "<",
            "<a",
            "<>; rel=duplicate",
            "a; rel=duplicate",
            "<a>; rel",
            "<a>; rel=\"",
            "<a>; rel=\"duplicate\"; anchor=\"#other\"",
            "<http://>; rel=duplicate",
            "<a.meta4>; rel=describedby",
            ";;;,,,<<>>",
        ] {
            let found = links(text);
            assert!(found.duplicates.is_empty() && found.description.is_none(), "{text}");
        }
        assert_eq!(links("<a>; rel=duplicate; pri=first; geo=everywhere").duplicates[0].priority(), 999_999);
    }
}
