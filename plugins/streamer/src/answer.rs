//! What a request is answered, before it is about a content.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use crate::access::Access;
use crate::account::Account;
use crate::exchange::Exchange;
use crate::path::ResourcePath;
use crate::respond::{made, refuse};
use crate::socket::Client;
use crate::streamer::Shared;

/// Answers a request.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut account = open(&shared, &parts);
    let no = |status: StatusCode, reason: &str, account: Account| {
        refuse(status, reason, &shared.headers, None, account)
    };
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return no(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered", account);
    }
    match parts.uri.path() {
        "/-/health" => return own("text/plain; charset=utf-8", "ok\n".to_owned(), account),
        "/-/metrics" => {
            // Where another server listens, it has its own count.
            let connections = parts.extensions.get::<Client>().map(|client| &client.connections);
            let connections = connections.map_or(0, |count| count.load(Ordering::Relaxed));
            let text = shared.metrics.text(shared.cache.as_ref(), shared.flights.len(), connections);
            return own("application/openmetrics-text; version=1.0.0; charset=utf-8", text, account);
        }
        _ => {}
    }
    match Arc::clone(&shared.clients).try_acquire_owned() {
        Ok(permit) => account.permit = Some(permit),
        Err(_) => {
            shared.metrics.refused.inc();
            return no(StatusCode::SERVICE_UNAVAILABLE, "too many clients at once", account);
        }
    }
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > shared.longest_target {
        return no(StatusCode::URI_TOO_LONG, "the target is too long", account);
    }
    let path: ResourcePath = match target.parse() {
        Ok(path) => path,
        Err(error) => return no(StatusCode::BAD_REQUEST, &error.to_string(), account),
    };
    Exchange::new(shared, parts, path).answer(account).await
}

/// Opens the account of a request.
pub(crate) fn open(shared: &Arc<Shared>, parts: &Parts) -> Account {
    shared.metrics.clients.inc();
    let client = parts.extensions.get::<Client>();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let access = Access {
        time: SystemTime::now(),
        client: client.map(|client| client.address),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        status: 0,
        bytes: 0,
        complete: false,
        duration: Duration::ZERO,
        cache: "none",
        agent: parts.headers.get(USER_AGENT).map(text),
    };
    // With HTTP/2, a stream is reset for itself.
    let client = client.filter(|_| parts.version <= Version::HTTP_11);
    Account {
        access,
        started: Instant::now(),
        log: shared.log.clone(),
        metrics: Arc::clone(&shared.metrics),
        reset: client.map(|client| Arc::clone(&client.reset)),
        answering: client.map(|client| Arc::clone(&client.answering)),
        permit: None,
    }
}

/// Answers with a text of this server's own.
fn own(kind: &'static str, text: String, mut account: Account) -> Response {
    account.access.status = 200;
    account.sent(text.len());
    account.completed();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    made(StatusCode::OK, headers, Body::from(text))
}
