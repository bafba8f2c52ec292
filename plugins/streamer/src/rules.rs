//! What the operator decides about freshness.

use std::time::Duration;

use http::HeaderName;

/// What RFC 9111 leaves to a shared cache: how long contents are fresh of which nothing is said, and when stale ones are
/// used.
///
/// ```
/// use std::time::Duration;
/// use ganymede_streamer::Rules;
///
/// let rules = Rules::new().stale_if_error(Duration::from_secs(3600)).negative(Duration::from_secs(60));
/// # let _ = rules;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub(crate) heuristic: f64,
    pub(crate) heuristic_limit: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) negative: Duration,
    pub(crate) targets: Vec<HeaderName>,
}

impl Rules {
    /// Makes the rules with their defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            heuristic: 0.1,
            heuristic_limit: Duration::from_secs(24 * 3600),
            lifetime: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            negative: Duration::from_secs(10),
            targets: vec![HeaderName::from_static("cdn-cache-control")],
        }
    }

    /// Sets which part of the time since its last modification a content is fresh for whose source says nothing of that,
    /// and how long at most (RFC 9111 §4.2.2); a tenth, and a day, unless set.
    #[must_use]
    pub fn heuristic(mut self, part: f64, limit: Duration) -> Self {
        self.heuristic = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        self.heuristic_limit = limit;
        self
    }

    /// Sets how long a content is fresh whose source does not even say when it was last modified; not at all unless set.
    #[must_use]
    pub fn lifetime(mut self, time: Duration) -> Self {
        self.lifetime = time;
        self
    }

    /// Sets how long a stale content is served while it is asked for anew, where its source says nothing of that (RFC
    /// 5861 §3); not at all unless set.
    #[must_use]
    pub fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.stale_while_revalidate = time;
        self
    }

    /// Sets how long a stale content is served when its source fails, where that says nothing of it (RFC 5861 §4); not at
    /// all unless set.
    #[must_use]
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    /// Sets how long it is remembered that there is nothing at a path, where its source says nothing of that; 10 seconds
    /// unless set, and zero asks every time.
    #[must_use]
    pub fn negative(mut self, time: Duration) -> Self {
        self.negative = time;
        self
    }

    /// Sets by which headers sources speak to caches of this kind, the nearest first: the first of them that is there
    /// counts instead of `Cache-Control` and `Expires` (RFC 9213). It is `CDN-Cache-Control` unless set; who serves a
    /// source of their own may add `Surrogate-Control`, and who wants none gives none.
    ///
    /// ```
    /// use ganymede_streamer::Rules;
    ///
    /// let rules = Rules::new().targets(["Surrogate-Control", "CDN-Cache-Control"])?;
    /// # let _ = rules;
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// # Errors
    /// A text is no name of a header.
    pub fn targets<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, http::Error> {
        let names: Result<_, _> = names.into_iter().map(str::parse::<HeaderName>).collect();
        self.targets = names?;
        Ok(self)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}
