//! Where else the content of a request is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use url::Url;

use super::Request;

/// The other sources of a content.
#[derive(Clone, Default)]
pub(super) struct Alternates {
    sources: Vec<Alternate>,
    /// Whether the content has bytes of one of them: one word for all clones of a request.
    mixed: Arc<AtomicBool>,
    /// Whether the sources are asked one by one.
    alone: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Alternate {
    /// The caller named it.
    Given(Url),
    /// A server did.
    Listed(Url),
}

/// Other sources of the same content, for protocols that ask several.
impl Request {
    /// Names another source of the same content, which the caller knows: headers and credentials are for it, too.
    ///
    /// Most protocols ask one source, which is [`url`](Self::url). One that asks several at once, like
    /// [`Segmented`](crate::Segmented), finds the others in [`alternates`](Self::alternates). Twice the same counts
    /// once, and nothing is added any more after a validation has failed on a content of several sources: from then
    /// on they are asked one by one.
    ///
    /// ```
    /// use ganymede::Request;
    ///
    /// let mut request = Request::get("https://example.com/a.iso")?;
    /// request.set_header("x-account", "7")?;
    /// request.add_alternate("https://example.org/a.iso".parse()?);
    /// request.add_listed_alternate("https://example.net/a.iso".parse()?);
    /// let alternates: Vec<Request> = request.alternates().collect();
    /// assert_eq!(alternates[0].url().host_str(), Some("example.org"));
    /// assert_eq!([alternates[0].is_trusted(), alternates[1].is_trusted()], [true, false]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_alternate(&mut self, url: Url) {
        self.add(Alternate::Given(url));
    }

    /// Names another source of the same content, which a server has named, as in a mirror list: on another origin,
    /// headers and credentials stay behind, as [`follow`](Self::follow) says.
    pub fn add_listed_alternate(&mut self, url: Url) {
        self.add(Alternate::Listed(url));
    }

    fn add(&mut self, alternate: Alternate) {
        let alternates = Arc::make_mut(self.alternates.get_or_insert_default());
        if !alternates.alone && !alternates.sources.contains(&alternate) {
            alternates.sources.push(alternate);
        }
    }

    /// Returns the same request to each other source that was named, in that order.
    ///
    /// One that is at the URL of this request is left out, as is a local file that a server named.
    pub fn alternates(&self) -> impl Iterator<Item = Self> {
        let sources = self.alternates.iter().flat_map(|alternates| &alternates.sources);
        sources.filter_map(|source| {
            let mut request = Self { alternates: None, ..self.clone() };
            match source {
                Alternate::Given(url) => request.set_url(url.clone()),
                Alternate::Listed(url) => request.follow(url).ok()?,
            }
            (request.display_url() != self.display_url()).then_some(request)
        })
    }

    /// Notes, for the engine, that bytes of an [alternate](Self::alternates) are among those of the reply: if a
    /// validation fails then, nobody can say whose they were.
    ///
    /// It counts for all clones of the request.
    pub fn used_alternate(&self) {
        if let Some(alternates) = &self.alternates {
            alternates.mixed.store(true, Ordering::Release);
        }
    }

    /// Tells whether bytes of an alternate were used since [`begin_copy`](Self::begin_copy).
    pub(crate) fn is_mixed(&self) -> bool {
        self.alternates.as_ref().is_some_and(|alternates| alternates.mixed.load(Ordering::Acquire))
    }

    /// Forgets who has sent bytes of other copies: what they note from now on is theirs.
    pub(crate) fn begin_copy(&mut self) {
        if let Some(alternates) = &mut self.alternates {
            Arc::make_mut(alternates).mixed = Arc::default();
        }
    }

    /// Asks the source alone from now on: it has no alternates, and none can be named any more.
    pub fn ask_alone(&mut self) {
        self.alternates = Some(Arc::new(Alternates { alone: true, ..Alternates::default() }));
    }
}
