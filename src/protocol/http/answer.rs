//! What a status and headers mean for a download.

use std::time::{Duration, SystemTime};

use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, IF_MODIFIED_SINCE, IF_NONE_MATCH, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, StatusCode};

use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::request::{Method, Request};

/// Returns the head of a usable answer, and whether a body follows it.
///
/// That nothing has changed is of use only to who has asked for that.
pub(crate) fn interpret(
    status: StatusCode,
    headers: HeaderMap,
    request: &Request,
    conditional: bool,
) -> Result<(Head, bool), Failure> {
    let head = Head::new(request.url());
    match status {
        StatusCode::NOT_MODIFIED if conditional => {
            Ok((head.with_status(status).with_headers(headers), false))
        }
        // 203 is a 200 that a proxy on the way has a word about (RFC 9110 §15.3.4).
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
            let head = head.with_length(length(&headers)).with_status(status).with_headers(headers);
            Ok((head, request.method() == Method::Get))
        }
        StatusCode::PARTIAL_CONTENT if request.range().is_some() => {
            let range = headers.get(CONTENT_RANGE).and_then(|value| content_range(value.to_str().ok()?));
            let Some((first, last, total)) = range else {
                let message = "the server sent a part without saying which (Content-Range)";
                return Err(Failure::new(ErrorKind::Unsupported, message));
            };
            let head = head.with_part(first, Some(last - first + 1), total).with_headers(headers);
            Ok((head, request.method() == Method::Get))
        }
        StatusCode::PARTIAL_CONTENT => {
            let message = "the server sent a part although everything was asked for";
            Err(Failure::new(ErrorKind::Unsupported, message))
        }
        status if status.is_success() => {
            let message = format!("the server answered {status}, which has no content to download");
            Err(Failure::from_status(status).message(message))
        }
        status => Err(Failure::from_status(status).retry_after(retry_after(&headers))),
    }
}

/// Tells whether a request asks for the content only if it has changed (RFC 9110 §13.1).
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MODIFIED_SINCE)
}

/// Returns the length of the body, where it is announced (RFC 9112 §6.3).
fn length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Parses `bytes FIRST-LAST/TOTAL`, where the total may be `*` (RFC 9110 §14.4).
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (unit, rest) = text.trim().split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse::<u64>().ok()?),
    };
    // A length that no number can hold must not overflow either.
    let sound = first <= last && last < u64::MAX && total.is_none_or(|total| last < total);
    (unit.eq_ignore_ascii_case("bytes") && sound).then_some((first, last, total))
}

/// Returns how long the server wants to be left alone: seconds, or until a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_parsed_or_refused() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, Some(100))));
        assert_eq!(content_range("Bytes 5-9/*"), Some((5, 9, None)));
        let bad =
            ["bytes */100", "bytes 9-5/100", "bytes 0-9", "items 0-9/100", "bytes 0-100/100", "", "bytes -"];
        assert!(bad.iter().all(|text| content_range(text).is_none()));
        assert_eq!(content_range(&format!("bytes 0-{}/*", u64::MAX)), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let of = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
        let later = SystemTime::now() + Duration::from_secs(100);
        let wait = of(&httpdate::fmt_http_date(later)).unwrap();
        assert!((90..=100).contains(&wait.as_secs()));
    }
}
