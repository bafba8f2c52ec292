//! Which sources are asked, and in which order.

use ganymede::Factory;

use crate::file::{File, Source, country_code};

/// Which sources of a file are asked, and in which order: by priority, those of preferred countries first.
///
/// ```
/// use ganymede_metalink::{Metalink, Preference};
///
/// let metalink = Metalink::parse(
///     br#"<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a">
///         <url priority="1" location="us">https://example.com/a</url>
///         <url priority="2" location="de">https://example.org/a</url>
///         <url priority="1">rsync://example.net/a</url>
///     </file></metalink>"#,
/// )?;
/// let preference = Preference::new().locations(["de"]);
/// let sources = preference.sources(&metalink.files()[0]);
/// assert_eq!(sources.len(), 2);
/// assert_eq!(sources[0].location(), Some("de"));
/// # Ok::<(), ganymede_metalink::ParseMetalinkError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    schemes: Vec<String>,
    locations: Vec<String>,
}

impl Preference {
    /// Takes what is reached by http and https, by priority alone.
    #[must_use]
    pub fn new() -> Self {
        Self { schemes: vec!["http".to_owned(), "https".to_owned()], locations: Vec::new() }
    }

    /// Takes what a factory knows a protocol for.
    #[must_use]
    pub fn of(factory: &Factory) -> Self {
        Self::new().schemes(factory.schemes())
    }

    /// Sets the schemes of the URLs that are of use.
    #[must_use]
    pub fn schemes<S: AsRef<str>>(mut self, schemes: impl IntoIterator<Item = S>) -> Self {
        self.schemes = schemes.into_iter().map(|scheme| scheme.as_ref().to_ascii_lowercase()).collect();
        self
    }

    /// Sets the countries whose sources are asked before all others, in this order, by their two letters (ISO 3166-1);
    /// what is none is passed over.
    #[must_use]
    pub fn locations<S: AsRef<str>>(mut self, countries: impl IntoIterator<Item = S>) -> Self {
        self.locations = countries.into_iter().filter_map(|country| country_code(country.as_ref())).collect();
        self
    }

    /// Returns the sources of a file that are of use, in the order in which they are asked.
    #[must_use]
    pub fn sources<'f>(&self, file: &'f File) -> Vec<&'f Source> {
        self.ranked(&file.sources)
    }

    pub(crate) fn ranked<'s>(&self, sources: impl IntoIterator<Item = &'s Source>) -> Vec<&'s Source> {
        let usable = |source: &&Source| self.schemes.iter().any(|scheme| scheme == source.url.scheme());
        let mut sources: Vec<&Source> = sources.into_iter().filter(usable).collect();
        sources.sort_by_key(|source| (self.rank(source), source.priority));
        sources
    }

    fn rank(&self, source: &Source) -> usize {
        let at = |country: &String| self.locations.iter().position(|known| known == country);
        source.location.as_ref().and_then(at).unwrap_or(self.locations.len())
    }
}

impl Default for Preference {
    fn default() -> Self {
        Self::new()
    }
}
