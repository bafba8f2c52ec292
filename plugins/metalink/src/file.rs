//! What a Metalink says of a file.

use std::sync::Arc;

use ganymede::{
    Digest, DigestValidation, ErrorKind, Failure, MirrorDelegate, Protocol, Request, RetryDelegate,
    SizeValidation, Transfer, Url,
};

use crate::digests::PieceDigests;
use crate::path::FilePath;
use crate::pieces::Pieces;
use crate::preference::Preference;

/// A file of a Metalink: its name, what it must be, and where it is.
///
/// ```
/// use ganymede_metalink::Metalink;
///
/// let text = br#"<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a.iso">
///     <size>5</size>
///     <hash type="sha-256">2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824</hash>
///     <url location="de" priority="1">https://example.com/a.iso</url>
/// </file></metalink>"#;
/// let metalink = Metalink::parse(text)?;
/// let file = &metalink.files()[0];
/// assert_eq!((file.name().as_str(), file.size()), ("a.iso", Some(5)));
/// assert_eq!(file.sources()[0].url().as_str(), "https://example.com/a.iso");
/// # Ok::<(), ganymede_metalink::ParseMetalinkError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub(crate) name: FilePath,
    pub(crate) size: Option<u64>,
    pub(crate) digests: Vec<Digest>,
    pub(crate) unknown: Vec<String>,
    pub(crate) pieces: Vec<PieceDigests>,
    pub(crate) sources: Vec<Source>,
    pub(crate) descriptions: Vec<Description>,
    pub(crate) origin: Option<Arc<Url>>,
}

impl File {
    /// Returns its name, or its path with folders.
    #[must_use]
    pub fn name(&self) -> &FilePath {
        &self.name
    }

    /// Returns its size, in bytes.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns its digests, the weakest algorithm first.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Returns the digest of the strongest algorithm.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digests.last().copied()
    }

    /// Returns the algorithms of its digests that are not known, as they are written.
    #[must_use]
    pub fn unknown_digests(&self) -> &[String] {
        &self.unknown
    }

    /// Returns the digests of its pieces: those of the strongest algorithm, and of these the shortest pieces.
    #[must_use]
    pub fn pieces(&self) -> Option<&PieceDigests> {
        self.pieces.iter().max_by_key(|pieces| (pieces.algorithm(), u64::MAX - pieces.length()))
    }

    /// Returns where it is, by priority.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Returns what else describes it, by priority: a torrent, say, which is not fetched.
    #[must_use]
    pub fn descriptions(&self) -> &[Description] {
        &self.descriptions
    }

    /// Returns where the Metalink was found, if [that was said](crate::Metalink::found_at).
    #[must_use]
    pub fn origin(&self) -> Option<&Url> {
        self.origin.as_deref()
    }

    /// Fails if nothing of what is said about its content can be checked, although something is said.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: all its digests are of unknown algorithms.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.digests.is_empty() || self.unknown.is_empty() {
            return Ok(());
        }
        let (name, unknown) = (&self.name, self.unknown.join(", "));
        let message = format!(
            "{name}: its digests are of {unknown} only, which are not known, so it could not be checked: \
             download it by its URL if you trust that"
        );
        Err(Failure::new(ErrorKind::Unsupported, message))
    }

    /// Returns the request to each of the sources that are of use, in the order in which they are asked.
    ///
    /// Credentials and headers that are set on one go to its origin alone; if it is known where the Metalink was
    /// [found](crate::Metalink::found_at), to that origin alone. One that leads from the network to a local file is left
    /// out, and what is there twice counts once.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if none is of use.
    pub fn requests(&self, preference: &Preference) -> Result<Vec<Request>, Failure> {
        let mut requests: Vec<Request> = Vec::new();
        for source in preference.sources(self) {
            let request = match &self.origin {
                None => Request::new(source.url.clone()),
                Some(origin) => {
                    let mut request = Request::new((**origin).clone());
                    if request.follow(&source.url).is_err() {
                        continue;
                    }
                    request
                }
            };
            if requests.iter().all(|known| known.url() != request.url()) {
                requests.push(request);
            }
        }
        if !requests.is_empty() {
            return Ok(requests);
        }
        let (name, count) = (&self.name, self.sources.len());
        let message = match count {
            0 => format!("{name}: the Metalink gives no URL of it"),
            _ => {
                format!("{name}: none of its {count} URLs can be fetched: no scheme of theirs is known here")
            }
        };
        Err(Failure::new(ErrorKind::Unsupported, message))
    }

    /// Makes the download of it over a protocol, without a writer.
    ///
    /// Its size and its strongest digest are enforced, and so are those of its [pieces](Pieces). Each source is asked
    /// again after a passing failure, and then the next one.
    ///
    /// ```
    /// use ganymede::{Context, Download, Factory, FileWriter};
    /// use ganymede_metalink::{Metalink, Preference};
    ///
    /// # fn example(metalink: &Metalink) -> Result<(), Box<dyn std::error::Error>> {
    /// let factory = Factory::new();
    /// let preference = Preference::of(&factory).locations(["de", "at"]);
    /// for file in metalink.files() {
    ///     let writer = FileWriter::new(file.name().as_str());
    ///     file.download(factory.clone(), &preference)?.writer(writer).run(&Context::new())?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if none of its sources is of use, or it could [not be checked](Self::check).
    pub fn download<P: Protocol + 'static>(
        &self,
        protocol: P,
        preference: &Preference,
    ) -> Result<Transfer<Pieces<P>>, Failure> {
        self.check()?;
        let mut requests = self.requests(preference)?.into_iter();
        let first = requests.next().ok_or(ErrorKind::Unsupported)?;
        let mirrors: Vec<Url> = requests.map(|request| request.url().clone()).collect();
        let protocol = Pieces::new(protocol, self.pieces().cloned());
        let mut transfer = Transfer::new(first, protocol).handler(RetryDelegate::default());
        if !mirrors.is_empty() {
            transfer = transfer.handler(MirrorDelegate::named(mirrors));
        }
        if let Some(size) = self.size {
            transfer = transfer.validation(SizeValidation::new(size));
        }
        match self.digest() {
            Some(digest) => Ok(transfer.validation(DigestValidation::new(digest))),
            None => Ok(transfer),
        }
    }
}

/// Where a file is.
///
/// ```
/// use ganymede_metalink::Source;
///
/// let source = Source::new("https://example.com/a.iso".parse()?).with_priority(1).with_location("de");
/// assert_eq!((source.priority(), source.location()), (1, Some("de")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub(crate) url: Url,
    pub(crate) priority: u32,
    pub(crate) location: Option<String>,
}

impl Source {
    /// The priority of what has none (RFC 5854 §4.1.2.5).
    pub(crate) const LAST: u32 = 999_999;

    /// Makes a source of the last priority.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { url, priority: Self::LAST, location: None }
    }

    /// Sets the priority: from 1, which is the first, to 999,999.
    #[must_use]
    pub fn with_priority(mut self, priority: u32) -> Self {
        self.priority = priority.clamp(1, Self::LAST);
        self
    }

    /// Sets the country, by its two letters (ISO 3166-1); what is none is passed over.
    #[must_use]
    pub fn with_location(mut self, country: &str) -> Self {
        self.location = country_code(country);
        self
    }

    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the priority: from 1, which is the first, to 999,999.
    #[must_use]
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// Returns the country, in two small letters.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }
}

/// Returns a country in two small letters.
pub(crate) fn country_code(text: &str) -> Option<String> {
    let text = text.trim();
    let sound = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    sound.then(|| text.to_ascii_lowercase())
}

/// What else describes a file (RFC 5854 §4.1.2.6): a torrent, say.
///
/// It is kept for who knows what to do with it; nothing here fetches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub(crate) url: Url,
    pub(crate) media_type: String,
    pub(crate) priority: u32,
    pub(crate) name: Option<String>,
}

impl Description {
    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the media type, or `torrent`.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Returns the priority: from 1, which is the first, to 999,999.
    #[must_use]
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// Returns the name that the file has in what it describes, if that is another one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
