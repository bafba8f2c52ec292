//! One request for a content: from what is stored, from what is under way, or from the source.

use std::sync::Arc;
use std::time::SystemTime;

use axum::response::Response;
use ganymede::{Digest, Download, ErrorKind, Failure};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use tokio::task::spawn_blocking;

use crate::account::Account;
use crate::cache::{Entries, Entry};
use crate::cache_status::{CacheStatus, Forwarded};
use crate::directives::RequestDirectives;
use crate::freshness::Use;
use crate::path::ResourcePath;
use crate::playback::Source;
use crate::refusal::Refusal;
use crate::respond::{Representation, explain, refuse, respond};
use crate::streamer::Shared;
use crate::upstream::describe;

/// One request for a content.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) shared: Arc<Shared>,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) path: ResourcePath,
    /// What the source is sent of its headers.
    pub(crate) sent: HeaderMap,
    pub(crate) wants: RequestDirectives,
}

/// What is stored for a request.
pub(crate) struct Found {
    /// All that is stored for the path.
    pub(crate) all: Option<Entries>,
    /// What answers the request, or may.
    pub(crate) entry: Option<Arc<Entry>>,
    /// Why it goes to the source, if it does.
    pub(crate) why: Forwarded,
}

/// How the source is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// For this request only.
    pub(crate) alone: bool,
    /// With what it wants of a content that is not kept.
    pub(crate) passes: bool,
}

/// How a request goes on.
pub(crate) enum Answer {
    /// It is answered.
    Is(Box<Response>),
    /// It is looked at again.
    Again(Account),
    /// The same, without what is stored, which cannot be read.
    Unreadable(Account),
}

impl Exchange {
    pub(crate) fn new(shared: Arc<Shared>, parts: Parts, path: ResourcePath) -> Self {
        let sent = shared.headers.upstream(&parts.headers);
        let wants = RequestDirectives::of(&parts.headers);
        let (method, version, headers) = (parts.method, parts.version, Arc::new(parts.headers));
        Self { shared, method, version, headers, path, sent, wants }
    }

    /// Answers it.
    pub(crate) async fn answer(self, account: Account) -> Response {
        let mut account = account;
        let mut course = Course { alone: self.wants.no_store, passes: true };
        let (mut readable, mut stored) = (true, false);
        loop {
            let download = match self.download() {
                Ok(download) => download,
                Err(failure) => return self.no_download(&failure, account),
            };
            let digests = download.digests();
            let mut found = self.find(&digests).await;
            found.entry = found.entry.filter(|_| readable);
            let now = SystemTime::now();
            let proven = !digests.is_empty();
            if let Some(entry) = &found.entry {
                // What has the digests that are expected is right, however old it is.
                let verdict = if proven { Use::Fresh } else { entry.freshness.judge(&self.wants, now) };
                let left = (!proven).then(|| entry.freshness.left(now));
                let hit = CacheStatus { left, ..CacheStatus::default() };
                match verdict {
                    Use::Revalidate => {}
                    Use::Fresh | Use::Background => {
                        if verdict == Use::Background {
                            self.renew(entry, download);
                        }
                        match self.hit(entry, hit, account) {
                            Answer::Is(response) => return *response,
                            Answer::Again(again) | Answer::Unreadable(again) => {
                                (account, readable) = (again, false);
                                continue;
                            }
                        }
                    }
                }
            }
            if let Some(refusal) = self.shared.negative.find(self.key(), &self.sent, &self.wants) {
                return self.explain(&refusal, CacheStatus::default(), account);
            }
            if self.wants.only_if_cached {
                if let Some(fill) = self.shared.flights.ending(self.key()).filter(|_| !stored) {
                    stored = fill.ended().await.is_ok();
                    continue;
                }
                let reason = "it is not in the cache, and nothing else was wanted";
                return self.refuse(StatusCode::GATEWAY_TIMEOUT, reason, None, account);
            }
            let answer = match self.method {
                Method::HEAD => Answer::Is(Box::new(self.head(download, &found, account).await)),
                _ => self.fetch(download, &found, &mut course, account).await,
            };
            match answer {
                Answer::Is(response) => return *response,
                Answer::Again(again) => account = again,
                Answer::Unreadable(again) => (account, readable) = (again, false),
            }
        }
    }

    /// Makes the download of what is asked for.
    fn download(&self) -> Result<Box<dyn Download>, Failure> {
        let mut download = self.shared.importer.download(self.path.as_str())?;
        describe(download.request_mut(), &self.sent, self.shared.headers.server_name())?;
        download.request_mut().set_explained(true);
        Ok(download)
    }

    pub(crate) fn key(&self) -> &str {
        self.path.as_str()
    }

    /// Looks for what is stored.
    async fn find(&self, digests: &[Digest]) -> Found {
        let Some(cache) = self.shared.keeping() else {
            return Found { all: None, entry: None, why: Forwarded::Bypass };
        };
        let all = match cache.peek(self.key()) {
            Some(all) => all,
            None => {
                let (cache, key, rules) =
                    (cache.clone(), self.key().to_owned(), Arc::clone(&self.shared.rules));
                let found = spawn_blocking(move || cache.find(&key, &rules)).await;
                found.unwrap_or_else(|_| Arc::from([]))
            }
        };
        let entry = all.iter().find(|entry| entry.suits(&self.sent) && entry.has(digests)).cloned();
        let why = match &entry {
            Some(entry) if entry.freshness.left(SystemTime::now()) > 0 => Forwarded::Request,
            Some(_) => Forwarded::Stale,
            None if all.is_empty() => Forwarded::UriMiss,
            None => Forwarded::VaryMiss,
        };
        Found { all: Some(all), entry, why }
    }

    /// Answers with what is stored.
    pub(crate) fn hit(&self, entry: &Arc<Entry>, cache: CacheStatus, account: Account) -> Answer {
        let Some(stored) = self.shared.keeping().and_then(|stored| stored.read(entry).ok()) else {
            return Answer::Unreadable(account);
        };
        let content = Representation {
            status: entry.record.status,
            headers: entry.record.headers.clone(),
            length: Some(entry.size),
            range: None,
            source: Some(Source::Stored(stored)),
            unproven: false,
            seekable: true,
            age: Some(entry.freshness.age(SystemTime::now())),
            cache,
        };
        Answer::Is(Box::new(self.respond(content, account)))
    }

    /// Answers that there can be no download.
    pub(crate) fn no_download(&self, failure: &Failure, account: Account) -> Response {
        let status = match failure.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Unsupported => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::debug!(%failure, "there is no download");
        self.refuse(status, failure.kind().name(), None, account)
    }

    pub(crate) fn refuse(
        &self,
        status: StatusCode,
        reason: &str,
        cache: Option<CacheStatus>,
        account: Account,
    ) -> Response {
        refuse(status, reason, &self.shared.headers, cache, account)
    }

    /// Answers with what the source has said instead of sending a content.
    pub(crate) fn explain(&self, refusal: &Refusal, cache: CacheStatus, account: Account) -> Response {
        explain(&self.method, refusal, &self.shared.headers, cache, account)
    }

    pub(crate) fn respond(&self, content: Representation, account: Account) -> Response {
        respond(&self.method, &self.headers, &self.shared.headers, content, account)
    }
}
