//! Asking another source for the same content.

use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use crate::context::{Context, SlotKey};
use crate::delegate::RetryDelegate;
use crate::download::Download;
use crate::error::{Attempt, redacted};
use crate::event::{Action, Event, EventHandler};
use crate::factory::Factory;
use crate::failure::{ErrorKind, Failure};
use crate::protocol::Protocol;
use crate::request::Request;
use crate::transfer::Transfer;
use crate::writer::BufferWriter;

/// The longest mirror list that is read, in bytes.
const LONGEST_LIST: usize = 4 << 20;

/// Fails over to mirrors: each is tried once, in order, after the download's own URL.
///
/// The mirrors are given, or are fetched from a list when the first failure makes them necessary, once in a context
/// for each list, however many downloads ask. The lines of a list are URLs, absolute or relative to it, of the
/// content or, ending in `/`, of a folder that has it under its name; blank lines and `#` comments are passed over.
/// A list that cannot be had fails the download with [`ErrorKind::MirrorList`]; its text is never taken for the
/// content.
///
/// A protocol that asks several sources at once, like [`Segmented`](crate::Segmented), is told of the mirrors that are
/// given from the beginning, and of those of a list once it was fetched.
///
/// Any failure of a source moves on to the next, a validation that failed too; one of this side, like a full disk,
/// does not. Headers and credentials of the caller go to mirrors that the caller gave, and stay behind from those
/// that a server or a list [named](Self::named) on other origins.
///
/// ```
/// use ganymede::{HttpDownload, MirrorDelegate, RetryDelegate};
///
/// let download = HttpDownload::get("https://example.com/a.iso")?
///     .handler(RetryDelegate::new(2))
///     .handler(MirrorDelegate::new(["https://mirror.example.org/a.iso".parse()?]));
/// # let _ = download;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MirrorDelegate {
    mirrors: Mirrors,
    protocol: Arc<dyn Protocol>,
    name: Option<String>,
    folders: bool,
    replaces: bool,
}

#[derive(Clone)]
enum Mirrors {
    Given(Vec<Url>),
    Named(Vec<Url>),
    List(Url),
}

#[derive(PartialEq, Eq, Hash)]
struct ListKey(Url);

impl SlotKey for ListKey {
    type Value = Vec<Url>;
}

impl MirrorDelegate {
    /// Fails over to these URLs of the content.
    #[must_use]
    pub fn new(mirrors: impl IntoIterator<Item = Url>) -> Self {
        Self::of(Mirrors::Given(mirrors.into_iter().collect()))
    }

    /// Fails over to these URLs of the content, which a server has named: headers and credentials of the caller stay
    /// behind from those on other origins.
    #[must_use]
    pub fn named(mirrors: impl IntoIterator<Item = Url>) -> Self {
        Self::of(Mirrors::Named(mirrors.into_iter().collect()))
    }

    /// Fails over to what the list at this URL names.
    #[must_use]
    pub fn list(url: Url) -> Self {
        Self::of(Mirrors::List(url))
    }

    fn of(mirrors: Mirrors) -> Self {
        Self { mirrors, protocol: Arc::new(Factory::new()), name: None, folders: false, replaces: false }
    }

    /// Sets the protocol that fetches the list; a [`Factory`] with default settings unless set.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Protocol + 'static) -> Self {
        self.protocol = Arc::new(protocol);
        self
    }

    /// Sets the name that the content has in a folder that the list names; the last segment of the download's URL
    /// unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Takes from a list only folders: for several contents that share it, each under its own name.
    ///
    /// A line that names a single file would be taken for every one of them.
    #[must_use]
    pub fn folders(mut self) -> Self {
        self.folders = true;
        self
    }

    /// Never asks the download's own URL: it only stands for a content that the mirrors have.
    #[must_use]
    pub fn replaces(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Returns the sources in the order in which they are tried.
    fn sources(
        &self,
        segment: &str,
        deadline: Option<Instant>,
        context: &Context,
    ) -> Result<Vec<Url>, Failure> {
        let list = match &self.mirrors {
            Mirrors::Given(mirrors) | Mirrors::Named(mirrors) => return Ok(mirrors.clone()),
            Mirrors::List(list) => list,
        };
        // Another download may be fetching it, which has a deadline of its own.
        let mirrors = context.until(deadline, |context| {
            context.slot(ListKey(list.clone()), |context| self.fetch(list, deadline, context))
        });
        let mirrors = mirrors.map_err(|failure| match failure.kind() {
            ErrorKind::Timeout => useless(list, &format!("could not be fetched: {failure}")),
            _ => failure,
        })?;
        let full = |mirror: &Url| match &self.name {
            _ if !mirror.path().ends_with('/') => Ok(mirror.clone()),
            Some(name) => {
                let mut full = mirror.clone();
                if let Ok(mut segments) = full.path_segments_mut() {
                    segments.pop_if_empty().push(name);
                }
                Ok(full)
            }
            // As it stands in the URL, so that what is encoded there stays so.
            None => mirror.join(&format!("./{segment}")),
        };
        // In a folder, what has no name cannot be looked for: its index is another content.
        let named = self.name.is_some() || !segment.is_empty();
        let usable = |mirror: &&Url| if mirror.path().ends_with('/') { named } else { !self.folders };
        let usable = mirrors.iter().filter(usable);
        let joined: Result<_, url::ParseError> = usable.map(full).collect();
        joined.map_err(|error| {
            Failure::new(ErrorKind::MirrorList, format!("{segment:?} is no name of a file")).caused_by(error)
        })
    }

    fn fetch(&self, list: &Url, deadline: Option<Instant>, context: &Context) -> Result<Vec<Url>, Failure> {
        let failed = |why: String| useless(list, &why);
        let buffer = BufferWriter::new(LONGEST_LIST);
        let mut download = Transfer::new(Request::new(list.clone()), Arc::clone(&self.protocol))
            .writer(buffer.clone())
            .handler(RetryDelegate::default());
        if let Some(deadline) = deadline {
            download = download.deadline(deadline.saturating_duration_since(Instant::now()));
        }
        let receipt = download.run(context).map_err(|error| match error.kind() {
            ErrorKind::Cancelled => Failure::cancelled(),
            _ => failed(format!("could not be fetched: {}", error.failure())),
        })?;
        let text = String::from_utf8(buffer.take().unwrap_or_default())
            .map_err(|error| failed("is not text".to_owned()).caused_by(error.utf8_error()))?;
        let mirrors = parse(&text, receipt.head().url()).map_err(failed)?;
        if mirrors.is_empty() { Err(failed("names no mirror".to_owned())) } else { Ok(mirrors) }
    }

    /// Names the sources to a protocol that asks several at once.
    fn offer(&self, request: &mut Request, sources: &[Url]) {
        for source in sources {
            match self.mirrors {
                Mirrors::Given(_) => request.add_alternate(source.clone()),
                Mirrors::Named(_) | Mirrors::List(_) => request.add_listed_alternate(source.clone()),
            }
        }
    }

    fn go_to(&self, request: &mut Request, mirror: &Url) -> Result<(), Failure> {
        match self.mirrors {
            Mirrors::Given(_) => {
                request.set_url(mirror.clone());
                Ok(())
            }
            Mirrors::Named(_) | Mirrors::List(_) => request.follow(mirror),
        }
    }
}

/// Parses the lines of a list, whose relative URLs are relative to `base`.
pub(crate) fn parse(text: &str, base: &Url) -> Result<Vec<Url>, String> {
    let mut mirrors = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // An error page that came as a success is no list of oddly named files.
        let odd = line.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"{}".contains(c));
        match base.join(line) {
            Ok(url) if !odd => mirrors.push(url),
            _ => return Err(format!("is not one: line {} is {:?}", index + 1, shortened(line))),
        }
    }
    Ok(mirrors)
}

fn useless(list: &Url, why: &str) -> Failure {
    Failure::new(ErrorKind::MirrorList, format!("the mirror list {} {why}", redacted(list)))
}

fn shortened(line: &str) -> String {
    line.chars().take(80).collect()
}

impl EventHandler for MirrorDelegate {
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        let (request, history, own) = match event {
            Event::Prepared { request } if self.replaces => {
                let own = request.url().clone();
                (request, &[][..], own)
            }
            Event::Prepared { request } => {
                // A list is fetched when it is needed.
                if let Mirrors::Given(mirrors) | Mirrors::Named(mirrors) = &self.mirrors {
                    self.offer(request, mirrors);
                }
                return Action::Continue;
            }
            Event::Error { request, error } => {
                let this_side = matches!(
                    error.kind(),
                    ErrorKind::Write | ErrorKind::TooLarge | ErrorKind::Cancelled | ErrorKind::MirrorList
                );
                if this_side || request.check_deadline().is_err() {
                    return Action::Continue;
                }
                (request, error.history(), error.url().clone())
            }
            _ => return Action::Continue,
        };
        let segment = own.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        let sources = match self.sources(segment, request.deadline(), context) {
            Ok(sources) => sources,
            Err(failure) => return Action::Fail(failure),
        };
        self.offer(request, &sources);
        match next(&sources, history) {
            Some(source) => match self.go_to(request, source) {
                Ok(()) if history.is_empty() => Action::Continue,
                Ok(()) => Action::Retry(Duration::ZERO),
                Err(failure) => Action::Fail(failure),
            },
            None if history.is_empty() => {
                Action::Fail(Failure::new(ErrorKind::MirrorList, "no mirror is given to ask instead"))
            }
            None => Action::Continue,
        }
    }
}

/// Returns the first source that was not tried; if all were, one that failed only for what others had begun.
fn next<'s>(sources: &'s [Url], history: &[Attempt]) -> Option<&'s Url> {
    let spoilt = |attempt: &Attempt| {
        attempt.continued() && matches!(attempt.failure().kind(), ErrorKind::Validation(_))
    };
    let tried = |source: &Url, spoilt: &dyn Fn(&Attempt) -> bool| {
        let source = redacted(source);
        history.iter().any(|attempt| *attempt.source() == source && !spoilt(attempt))
    };
    let untried = sources.iter().find(|source| !tried(source, &|_| false));
    untried.or_else(|| sources.iter().find(|source| !tried(source, &spoilt)))
}

impl std::fmt::Debug for MirrorDelegate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("MirrorDelegate");
        match &self.mirrors {
            Mirrors::Given(mirrors) | Mirrors::Named(mirrors) => {
                let mirrors: Vec<String> = mirrors.iter().map(|url| redacted(url).to_string()).collect();
                shown.field("mirrors", &mirrors)
            }
            Mirrors::List(list) => shown.field("list", &redacted(list).as_str()),
        };
        shown.finish_non_exhaustive()
    }
}
