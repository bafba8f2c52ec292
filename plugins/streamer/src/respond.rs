//! Responses: what is there of a content, as a client has asked for it.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, AGE, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::account::Account;
use crate::cache_status::CacheStatus;
use crate::conditions::{is_continued, is_known, is_unwanted};
use crate::headers::HeaderPolicy;
use crate::playback::{Part, Playback, Source};
use crate::range::{Selection, content_range, selection, unsatisfied};
use crate::refusal::Refusal;

/// What there is of a content.
pub(crate) struct Representation {
    pub(crate) status: StatusCode,
    /// What is kept of the headers of its source.
    pub(crate) headers: HeaderMap,
    pub(crate) length: Option<u64>,
    /// The range that it is of a whole, as its source says; then it is passed on as it is.
    pub(crate) range: Option<HeaderValue>,
    pub(crate) source: Option<Source>,
    /// Whether a part of it is known to be right only when all of it is there.
    pub(crate) unproven: bool,
    /// Whether it may be read in any order.
    pub(crate) seekable: bool,
    /// How old it is, if it was not received for this request alone; else its source has said that.
    pub(crate) age: Option<Duration>,
    pub(crate) cache: CacheStatus,
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Makes the response to a request.
pub(crate) fn respond(
    method: &Method,
    request: &HeaderMap,
    policy: &HeaderPolicy,
    content: Representation,
    mut account: Account,
) -> Response {
    let mut headers = policy.downstream(&content.headers);
    if let Some(age) = content.age {
        headers.insert(AGE, age.as_secs().into());
    }
    policy.add_via(&mut headers);
    add_status(&mut headers, policy, content.cache);
    account.access.cache = content.cache.word();
    let complete = is_whole(content.status);
    if content.status != StatusCode::NOT_MODIFIED && is_unwanted(request, &content.headers) {
        headers.remove(CONTENT_TYPE);
        headers.insert(CONTENT_LENGTH, 0.into());
        return bodiless(StatusCode::PRECONDITION_FAILED, headers, account);
    }
    if complete && is_known(request, &content.headers) {
        headers.remove(CONTENT_TYPE);
        if headers.contains_key(ETAG) {
            headers.remove(LAST_MODIFIED);
        }
        return bodiless(StatusCode::NOT_MODIFIED, headers, account);
    }
    if let Some(range) = content.range {
        headers.insert(CONTENT_RANGE, range);
    }
    let Some(source) = content.source.filter(|_| *method == Method::GET) else {
        if let Some(length) = content.length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        return bodiless(content.status, headers, account);
    };
    let Some(length) = content.length else {
        let parts = VecDeque::from([Part::Rest(0)]);
        return whole(content.status, headers, Playback { source, parts, hold: false, account });
    };
    if complete {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    let wanted = match complete && is_continued(request, &content.headers) {
        true => selection(request, length),
        false => Selection::Whole,
    };
    let (status, parts, hold) = match wanted {
        Selection::Unsatisfiable => {
            headers.remove(CONTENT_TYPE);
            if let Some(value) = unsatisfied(length) {
                headers.insert(CONTENT_RANGE, value);
            }
            headers.insert(CONTENT_LENGTH, 0.into());
            return bodiless(StatusCode::RANGE_NOT_SATISFIABLE, headers, account);
        }
        Selection::Parts(ranges) if ranges.len() > 1 && !content.seekable => {
            (content.status, VecDeque::from([Part::Span(0..length)]), false)
        }
        Selection::Whole if length == 0 => (content.status, VecDeque::new(), false),
        Selection::Whole => (content.status, VecDeque::from([Part::Span(0..length)]), false),
        Selection::Parts(ranges) => {
            (StatusCode::PARTIAL_CONTENT, parts(&ranges, length, &mut headers), content.unproven)
        }
    };
    headers.insert(CONTENT_LENGTH, parts.iter().map(Part::length).sum::<u64>().into());
    whole(status, headers, Playback { source, parts, hold, account })
}

/// Returns what is sent of parts, with what is said of them in the headers (RFC 9110 §15.3.7).
fn parts(ranges: &[Range<u64>], length: u64, headers: &mut HeaderMap) -> VecDeque<Part> {
    if let [range] = ranges {
        if let Ok(value) = HeaderValue::from_str(&content_range(range, length)) {
            headers.insert(CONTENT_RANGE, value);
        }
        return VecDeque::from([Part::Span(range.clone())]);
    }
    headers.remove(CONTENT_RANGE);
    // Nobody knows it before, so that no content can be made to hold it.
    let random = || RandomState::new().build_hasher().finish();
    let boundary = format!("{:016x}{:016x}", random(), random());
    let kind = headers.remove(CONTENT_TYPE);
    let mut parts = VecDeque::new();
    for range in ranges {
        let mut text = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(kind) = &kind {
            text.extend_from_slice(b"Content-Type: ");
            text.extend_from_slice(kind.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("Content-Range: {}\r\n\r\n", content_range(range, length)).as_bytes());
        parts.push_back(Part::Text(text.into()));
        parts.push_back(Part::Span(range.clone()));
    }
    parts.push_back(Part::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    if let Ok(value) = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}")) {
        headers.insert(CONTENT_TYPE, value);
    }
    parts
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Span(span) => span.end - span.start,
            Self::Rest(_) => 0,
        }
    }
}

/// Tells whether a status is that of a whole content: 203 is a 200 that a proxy has a word about (RFC 9110 §15.3.4).
pub(crate) fn is_whole(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION)
}

/// Makes the response that says what the source has said instead of sending a content.
pub(crate) fn explain(
    method: &Method,
    refusal: &Refusal,
    policy: &HeaderPolicy,
    cache: CacheStatus,
    mut account: Account,
) -> Response {
    let Some(text) = refusal.text.clone().or_else(|| (*method == Method::HEAD).then(Bytes::new)) else {
        // A text of this server's own is not what any other status promises.
        let error = refusal.status.is_client_error() || refusal.status.is_server_error();
        let status = if error { refusal.status } else { StatusCode::BAD_GATEWAY };
        return refuse(status, "the source has no content for this path", policy, Some(cache), account);
    };
    let mut headers = policy.downstream(&refusal.headers);
    if cache.forwarded.is_none() {
        headers.insert(AGE, refusal.freshness.age(SystemTime::now()).as_secs().into());
    }
    policy.add_via(&mut headers);
    add_status(&mut headers, policy, cache);
    account.access.cache = if cache.forwarded.is_some() { "error" } else { cache.word() };
    account.access.status = refusal.status.as_u16();
    account.sent(text.len());
    account.completed();
    made(refusal.status, headers, Body::from(text))
}

/// Makes the response that says why there is no content.
pub(crate) fn refuse(
    status: StatusCode,
    reason: &str,
    policy: &HeaderPolicy,
    cache: Option<CacheStatus>,
    mut account: Account,
) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            drop(headers.insert(RETRY_AFTER, crate::streamer::Shared::AWAY.as_secs().into()));
        }
        StatusCode::METHOD_NOT_ALLOWED => drop(headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"))),
        _ => {}
    }
    if let Some(cache) = cache {
        policy.add_via(&mut headers);
        add_status(&mut headers, policy, cache);
        account.access.cache = if cache.forwarded.is_some() { "error" } else { cache.word() };
    }
    let text = format!("{reason}\n");
    account.access.status = status.as_u16();
    account.sent(text.len());
    account.completed();
    made(status, headers, Body::from(text))
}

fn add_status(headers: &mut HeaderMap, policy: &HeaderPolicy, cache: CacheStatus) {
    if let Ok(value) = HeaderValue::from_str(&cache.of(policy.server_name())) {
        headers.append(CACHE_STATUS, value);
    }
}

fn bodiless(status: StatusCode, headers: HeaderMap, mut account: Account) -> Response {
    account.access.status = status.as_u16();
    account.completed();
    made(status, headers, Body::empty())
}

fn whole(status: StatusCode, headers: HeaderMap, mut playback: Playback) -> Response {
    playback.account.access.status = status.as_u16();
    made(status, headers, playback.into_body())
}

pub(crate) fn made(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
