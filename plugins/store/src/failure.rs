//! What the library's errors mean.

use std::error::Error as _;

use ganymede::{ErrorKind, Failure, Url};
use http::StatusCode;
use opendal::{Error, ErrorKind as Kind};

use crate::transport::{Refusal, Seen, carried_by};

/// Turns an error of the library, in asking for the object of a URL, into a failure.
pub(crate) fn failure_of(error: &Error, seen: &Seen, url: &Url) -> Failure {
    if let Some(failure) = unsigned(error, url) {
        return failure;
    }
    if let Some(refusal) = seen.lock().take() {
        return refused(&refusal, error, url);
    }
    if let Some(failure) = carried_by(error) {
        return failure;
    }
    let named = |kind: ErrorKind, what: &str| Failure::new(kind, format!("{url}: {what}"));
    let reason = reason(error);
    match error.kind() {
        Kind::NotFound | Kind::NotADirectory => named(ErrorKind::NotFound, "there is no such object"),
        Kind::PermissionDenied => named(ErrorKind::Unauthorized, "the store does not allow that"),
        Kind::IsADirectory => named(ErrorKind::Unsupported, "it is a folder, not an object"),
        Kind::ConfigInvalid => {
            named(ErrorKind::Unsupported, &format!("the settings are of no use: {reason}"))
        }
        Kind::Unsupported => named(ErrorKind::Unsupported, &format!("the store cannot do that: {reason}")),
        Kind::RangeNotSatisfied => Failure::from_status(StatusCode::RANGE_NOT_SATISFIABLE),
        Kind::RateLimited => named(ErrorKind::Status, "the store asks to be left alone").transient(true),
        // What the library finds missing at the end of a body.
        Kind::Unexpected if error.is_temporary() => named(ErrorKind::Incomplete, &reason),
        _ => named(ErrorKind::Other, &reason),
    }
}

/// Turns an error in storing an object into a failure.
pub(crate) fn unwritten(error: &Error, seen: &Seen, url: &Url) -> Failure {
    if error.kind() == Kind::ConditionNotMatch {
        return exists(url);
    }
    let failure = failure_of(error, seen, url);
    let (transient, wait) = (failure.is_transient(), failure.wait());
    let text = failure.to_string();
    let shown = url.as_str();
    let message = match text.strip_prefix(shown) {
        Some(rest) => format!("cannot write {shown}{rest}"),
        None => format!("cannot write {shown}: {text}"),
    };
    // Whatever the reason is, it is none that a source has.
    Failure::new(ErrorKind::Write, message).transient(transient).retry_after(wait).caused_by(failure)
}

/// Makes the failure of one who would replace what is to stay.
pub(crate) fn exists(url: &Url) -> Failure {
    Failure::new(ErrorKind::Write, format!("{url} is there already"))
}

/// Tells whether what a request could not be signed with is all that is wrong.
fn unsigned(error: &Error, url: &Url) -> Option<Failure> {
    let unsigned =
        ["signing http request", "failed to sign"].iter().any(|text| error.message().contains(text));
    if !unsigned || carried_by(error).is_some() || !reason(error).contains("credential") {
        return None;
    }
    let how = match url.scheme() {
        "s3" => {
            ": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true if it is public"
        }
        _ => "",
    };
    Some(Failure::new(ErrorKind::Unauthorized, format!("there are no credentials for {url}{how}")))
}

/// Says what a server has answered.
fn refused(refusal: &Refusal, error: &Error, url: &Url) -> Failure {
    let said = match (&refusal.code, &refusal.message) {
        (Some(code), Some(message)) => format!(" ({code}: {message})"),
        (Some(text), None) | (None, Some(text)) => format!(" ({text})"),
        (None, None) => String::new(),
    };
    let status = refusal.status;
    let code = refusal.code.as_deref().unwrap_or_default();
    let failure = Failure::from_status(status).retry_after(refusal.retry_after);
    let named = |failure: Failure, what: &str| failure.message(format!("{url}: {what}{said}"));
    match (status.as_u16(), code) {
        (_, "NoSuchBucket" | "ContainerNotFound") => {
            named(Failure::from_status(StatusCode::NOT_FOUND), "there is no such bucket")
        }
        (404 | 410, _) => named(failure, "there is no such object"),
        (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "RequestTimeTooSkewed") => {
            named(ErrorKind::Unauthorized.into(), "the store does not accept these credentials any more")
        }
        (403, "InvalidAccessKeyId" | "SignatureDoesNotMatch") | (401, _) => {
            named(failure, "the store does not accept these credentials")
        }
        (403, _) => named(failure, "the store does not allow that with these credentials"),
        (416, _) => named(failure, "it has no such range"),
        (429 | 503, _) => named(failure.transient(true), "the store asks to be left alone"),
        (_, "RequestTimeout" | "SlowDown" | "InternalError") => {
            named(failure.transient(true), "the store cannot answer now")
        }
        (301 | 307 | 400, _) if refusal.region.is_some() => {
            let region = refusal.region.as_deref().unwrap_or_default();
            named(failure, &format!("the bucket is in another region: set AWS_REGION={region}"))
        }
        _ if error.kind() == Kind::ConditionNotMatch => named(failure, "it has changed"),
        _ => named(failure, &format!("the store answered {status}")),
    }
}

/// Returns what is at the root of an error, in its own words, without what the library knows of the request.
fn reason(error: &Error) -> String {
    let mut reason = error.message().to_owned();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !text.is_empty() {
            reason = text;
        }
        next = cause.source();
    }
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    line
}
