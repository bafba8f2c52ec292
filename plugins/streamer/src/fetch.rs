//! Asking the source on behalf of clients, once for all who ask at the same time.

use std::sync::Arc;
use std::time::SystemTime;

use axum::response::Response;
use ganymede::{Download, DownloadError, ErrorKind, Head, Method};
use http::header::{AUTHORIZATION, CONTENT_RANGE, COOKIE, RETRY_AFTER};
use http::{StatusCode, Version};
use tokio::task::spawn_blocking;

use crate::account::Account;
use crate::cache::Entry;
use crate::cache_status::CacheStatus;
use crate::exchange::{Answer, Course, Exchange, Found};
use crate::fill::{Fill, Job, Opening, Reader, Start, run};
use crate::flights::Entrance;
use crate::headers::kept;
use crate::playback::Source;
use crate::range::unsatisfied;
use crate::refusal::Refusal;
use crate::respond::Representation;
use crate::upstream::{ask_for_news, pass_wishes};

impl Exchange {
    /// Asks the source, or takes part in what another request has asked it for.
    pub(crate) async fn fetch(
        &self,
        mut download: Box<dyn Download>,
        found: &Found,
        course: &mut Course,
        account: Account,
    ) -> Answer {
        let (verified, key) = (download.identifies() || !download.digests().is_empty(), self.key());
        let make = || {
            let context = self.shared.context.child();
            Fill::new(self.sent.clone(), verified, context, self.shared.finish, self.shared.buffer)
        };
        let passes = self.shared.keeping().is_none() && !verified && course.passes;
        let passed = match passes.then(|| pass_wishes(download.request_mut(), &self.headers)) {
            Some(Err(failure)) => return Answer::Is(Box::new(self.no_download(&failure, account))),
            Some(Ok(passed)) => passed,
            None => false,
        };
        let (reader, collapsed) = if course.alone || passed {
            let (fill, reader) = make();
            self.start(fill, download, None);
            (reader, false)
        } else {
            match self.shared.flights.enter(key, &self.sent, &self.wants, make) {
                Entrance::Joined(reader) => (reader, true),
                Entrance::UntilBegun(fill) => {
                    fill.started().await;
                    return Answer::Again(account);
                }
                Entrance::UntilEnded(fill) => {
                    let _ = fill.ended().await;
                    return Answer::Again(account);
                }
                Entrance::Leads(reader) => {
                    if self.is_outdated(found) {
                        self.shared.flights.leave(key, &reader.fill);
                        reader.fill.dismiss();
                        return Answer::Again(account);
                    }
                    if self.shared.flights.len() > self.shared.most / 2
                        && let Some(ending) = self.shared.flights.any_ending()
                    {
                        // No faster than what has come can be stored.
                        let _ = ending.ended().await;
                    }
                    if self.shared.flights.len() > self.shared.most {
                        // Those that nobody waits for are brought to their end first.
                        self.shared.flights.leave(key, &reader.fill);
                        reader.fill.dismiss();
                        self.shared.metrics.refused.inc();
                        let reason = "too much is being fetched";
                        let status = StatusCode::SERVICE_UNAVAILABLE;
                        return Answer::Is(Box::new(self.refuse(status, reason, None, account)));
                    }
                    self.start(Arc::clone(&reader.fill), download, found.entry.clone());
                    (reader, false)
                }
            }
        };
        let cache = CacheStatus { forwarded: Some(found.why), collapsed, ..CacheStatus::default() };
        let start = reader.fill.started().await;
        if matches!(start, Start::Content(_) | Start::Unchanged(_) | Start::Holds(_)) {
            // Whoever learns of it here is not to be told of another time again.
            self.shared.negative.remove(key);
        }
        match start {
            Start::Dismissed => Answer::Again(account),
            Start::Content(opening) if collapsed && !opening.shareable => {
                course.alone = true;
                Answer::Again(account)
            }
            Start::Content(opening) => {
                let cache =
                    CacheStatus { status: Some(opening.status.as_u16()), stored: opening.stored, ..cache };
                Answer::Is(Box::new(self.stream(reader, &opening, cache, account).await))
            }
            Start::Unchanged(opening) => {
                let status = Some(opening.status.as_u16());
                let content = Representation {
                    status: opening.status,
                    headers: opening.headers.clone(),
                    length: None,
                    range: None,
                    source: None,
                    unproven: false,
                    seekable: false,
                    age: None,
                    cache: CacheStatus { status, ..cache },
                };
                Answer::Is(Box::new(self.respond(content, account)))
            }
            Start::Holds(entry) => {
                let left = Some(entry.freshness.left(SystemTime::now()));
                self.hit(&entry, CacheStatus { status: Some(304), left, ..cache }, account)
            }
            Start::Failed(error) if passed && matches!(error.kind(), ErrorKind::Unsupported) => {
                // It has no parts: what is wanted is taken from the whole.
                course.passes = false;
                Answer::Again(account)
            }
            Start::Failed(error) => self.failed(&error, reader.fill.begun, found, cache, account),
        }
    }

    /// Tells whether something was stored since it was looked for.
    fn is_outdated(&self, found: &Found) -> bool {
        let now = self.shared.keeping().and_then(|cache| cache.peek(self.key()));
        now.zip(found.all.as_ref()).is_some_and(|(now, then)| !Arc::ptr_eq(&now, then))
    }

    /// Runs a fill, on a thread of its own.
    fn start(&self, fill: Arc<Fill>, mut download: Box<dyn Download>, entry: Option<Arc<Entry>>) {
        let entry = entry.filter(|entry| ask_for_news(download.request_mut(), entry).unwrap_or(false));
        let storage = self.shared.keeping().filter(|_| !self.wants.no_store).cloned();
        let key = self.key().to_owned();
        let job = Job {
            download,
            storage: storage.map(|cache| (cache, key.clone())),
            entry,
            rules: Arc::clone(&self.shared.rules),
            metrics: Arc::clone(&self.shared.metrics),
        };
        let exchange = self.clone();
        let left = Arc::clone(&fill);
        run(fill, job, move |outcome| {
            exchange.learn(outcome.err(), left.begun);
            exchange.shared.flights.leave(&key, &left);
        });
    }

    /// Learns from how the source was asked what is at the path. It may block.
    fn learn(&self, error: Option<Arc<DownloadError>>, asked: SystemTime) {
        let (key, rules) = (self.key(), &self.shared.rules);
        let Some(error) = error else { return self.shared.negative.remove(key) };
        let Some(refusal) = Refusal::of(&error, asked, rules) else { return };
        let (nothing, time) = (refusal.is_nothing(), refusal.lifetime(&self.sent, rules));
        self.shared.negative.insert(key, &self.sent, refusal, time);
        // What was said to one who has shown who they are is for them.
        let told_to_all = ![AUTHORIZATION, COOKIE].iter().any(|name| self.sent.contains_key(name));
        if let Some(cache) = self.shared.keeping().filter(|_| nothing && told_to_all) {
            let gone = cache.find(key, rules);
            gone.iter().filter(|entry| entry.suits(&self.sent)).for_each(|entry| cache.remove(entry));
        }
    }

    /// Asks for what is stored anew, while that is used.
    pub(crate) fn renew(&self, entry: &Arc<Entry>, download: Box<dyn Download>) {
        if self.shared.flights.len() >= self.shared.most {
            return;
        }
        let verified = download.identifies();
        let make = || {
            let context = self.shared.context.child();
            Fill::new(self.sent.clone(), verified, context, self.shared.finish, self.shared.buffer)
        };
        let Entrance::Leads(reader) = self.shared.flights.enter(self.key(), &self.sent, &self.wants, make)
        else {
            return;
        };
        self.start(Arc::clone(&reader.fill), download, Some(Arc::clone(entry)));
        tokio::spawn(async move {
            // What is not kept is of no use to anybody.
            if let Start::Content(opening) = reader.fill.started().await
                && opening.stored
            {
                let _ = reader.fill.ended().await;
            }
            drop(reader);
        });
    }

    /// Answers with what is under way.
    async fn stream(
        &self,
        reader: Reader,
        opening: &Opening,
        cache: CacheStatus,
        account: Account,
    ) -> Response {
        let mut length = opening.length;
        // To who knows no chunks, the end of the connection is the end of the content, also of a broken one.
        if length.is_none() && self.version < Version::HTTP_11 {
            match reader.fill.kept().await {
                Some(Ok(())) => length = Some(reader.fill.available()),
                Some(Err(error)) => {
                    return self.refuse(error.gateway_status(), error.kind().name(), Some(cache), account);
                }
                None if account.reset.is_some() => {}
                None => {
                    let reason = "its length is not known, which needs HTTP/1.1";
                    return self.refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, reason, Some(cache), account);
                }
            }
        }
        let content = Representation {
            status: opening.status,
            headers: opening.headers.clone(),
            length,
            range: opening.range.clone(),
            unproven: reader.fill.verified,
            seekable: opening.stored,
            source: Some(Source::Fill(reader)),
            age: cache.collapsed.then(|| opening.freshness.age(SystemTime::now())),
            cache,
        };
        self.respond(content, account)
    }

    /// Answers that the source has failed, or with what is stored, if that may be used then.
    fn failed(
        &self,
        error: &DownloadError,
        asked: SystemTime,
        found: &Found,
        cache: CacheStatus,
        account: Account,
    ) -> Answer {
        let status = error.gateway_status();
        tracing::debug!(%error, "the source has failed");
        if let Some(entry) = &found.entry
            && status.is_server_error()
            && entry.freshness.serves_in_need(&self.wants, SystemTime::now())
        {
            let left = Some(entry.freshness.left(SystemTime::now()));
            let stale = CacheStatus { left, detail: Some("source-failed"), ..CacheStatus::default() };
            return self.hit(entry, stale, account);
        }
        let answered = error.failure().head().map(Head::status).or(error.status());
        let cache = CacheStatus { status: answered.map(|status| status.as_u16()), ..cache };
        if let Some(refusal) = Refusal::of(error, asked, &self.shared.rules) {
            return Answer::Is(Box::new(self.explain(&refusal, cache, account)));
        }
        let mut response = self.refuse(status, error.kind().name(), Some(cache), account);
        if status == StatusCode::RANGE_NOT_SATISFIABLE
            && let Some(value) = error.failure().total().and_then(unsatisfied)
        {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
        if let (StatusCode::SERVICE_UNAVAILABLE, Some(wait)) = (status, error.failure().wait()) {
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
        }
        Answer::Is(Box::new(response))
    }

    /// Asks the source for the head alone.
    pub(crate) async fn head(
        &self,
        mut download: Box<dyn Download>,
        found: &Found,
        account: Account,
    ) -> Response {
        download.request_mut().set_method(Method::Head);
        let requested = SystemTime::now();
        let cache = CacheStatus { forwarded: Some(found.why), ..CacheStatus::default() };
        self.shared.metrics.fetches.inc();
        match ganymede_async::stream(download, &self.shared.context).await {
            Ok((head, _)) => {
                let received = SystemTime::now();
                self.shared.negative.remove(self.key());
                let headers = kept(&head, received);
                let content = Representation {
                    status: head.status(),
                    age: None,
                    headers,
                    length: head.length(),
                    range: None,
                    source: None,
                    unproven: false,
                    seekable: false,
                    cache: CacheStatus { status: Some(head.status().as_u16()), ..cache },
                };
                self.respond(content, account)
            }
            Err(error) => {
                let error = Arc::new(error);
                let (exchange, learnt) = (self.clone(), Arc::clone(&error));
                let _ = spawn_blocking(move || exchange.learn(Some(learnt), requested)).await;
                match self.failed(&error, requested, found, cache, account) {
                    Answer::Is(response) => *response,
                    Answer::Again(account) | Answer::Unreadable(account) => {
                        self.refuse(error.gateway_status(), error.kind().name(), Some(cache), account)
                    }
                }
            }
        }
    }
}
