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
    if let Some(coding) = transfer_coding(&headers) {
        let message = format!("the server sent the transfer coding {coding:?}, which was not asked for");
        return Err(Failure::new(ErrorKind::Unsupported, message));
    }
    let head = Head::new(request.url());
    match status {
        StatusCode::NOT_MODIFIED if conditional => {
            Ok((head.with_status(status).with_headers(headers), false))
        }
        // 203 is a 200 that a proxy on the way has a word about (RFC 9110 §15.3.4).
        StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
            let length = length(&headers);
            // The length last: who forwards it is to say it once.
            let head = head.with_status(status).with_headers(headers).with_length(length);
            Ok((head, request.method() == Method::Get))
        }
        StatusCode::PARTIAL_CONTENT if request.range().is_some() => {
            let range = headers.get(CONTENT_RANGE).and_then(|value| content_range(value.to_str().ok()?));
            let Some((first, last, total)) = range else {
                let message = "the server sent a part without saying which (Content-Range)";
                return Err(Failure::new(ErrorKind::Unsupported, message));
            };
            let head = head.with_headers(headers).with_part(first, Some(last - first + 1), total);
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
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let total = headers.get(CONTENT_RANGE).and_then(|value| unsatisfied_range(value.to_str().ok()?));
            Err(Failure::from_status(status).with_total(total))
        }
        status => Err(Failure::from_status(status).retry_after(retry_after(&headers))),
    }
}

/// Tells whether a status says that the content follows.
pub(crate) fn has_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION | StatusCode::PARTIAL_CONTENT)
}

/// Returns a coding that the client leaves in the body, where it would be taken for the content (RFC 9112 §7).
fn transfer_coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings.map(|coding| String::from_utf8_lossy(coding).trim().to_ascii_lowercase());
    codings.find(|coding| !matches!(coding.as_str(), "" | "chunked" | "identity"))
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
    // Said several times it counts once, and the client has refused those that differ (RFC 9110 §8.6).
    let first = headers.get(CONTENT_LENGTH)?.to_str().ok()?.split(',').next()?;
    number(first.trim())
}

/// Parses `bytes FIRST-LAST/TOTAL`, where the total may be `*` (RFC 9110 §14.4).
pub(crate) fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = in_bytes(text)?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    let total = match total {
        "*" => None,
        total => Some(number(total)?),
    };
    // A length that no number can hold must not overflow either.
    let sound = first <= last && last < u64::MAX && total.is_none_or(|total| last < total);
    sound.then_some((first, last, total))
}

/// Parses `bytes */TOTAL`, which says why there is no such range (RFC 9110 §14.4).
pub(crate) fn unsatisfied_range(text: &str) -> Option<u64> {
    let (range, total) = in_bytes(text)?;
    if range == "*" { number(total) } else { None }
}

/// Returns what stands before and after the slash of a range in bytes.
fn in_bytes(text: &str) -> Option<(&str, &str)> {
    let (unit, rest) = text.trim().split_once(' ')?;
    let (range, total) = rest.split_once('/')?;
    unit.eq_ignore_ascii_case("bytes").then(|| (range.trim(), total.trim()))
}

/// Parses a number that has digits only: the standard library takes a sign, too.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Returns how long the server wants to be left alone: seconds, or until a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    wait(headers.get(RETRY_AFTER)?.to_str().ok()?.trim())
}

pub(crate) fn wait(text: &str) -> Option<Duration> {
    if let Some(seconds) = number(text) {
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
        let bad = [
            "bytes */100",
            "bytes 9-5/100",
            "bytes 0-9",
            "items 0-9/100",
            "bytes 0-100/100",
            "",
            "bytes -",
            "bytes +0-9/100",
            "bytes 0-9/+100",
            "bytes 0--9/100",
        ];
        assert!(bad.iter().all(|text| content_range(text).is_none()));
        assert_eq!(content_range(&format!("bytes 0-{}/*", u64::MAX)), None);
    }

    #[test]
    fn the_total_of_a_range_that_cannot_be_satisfied_is_parsed_or_refused() {
        assert_eq!(unsatisfied_range("bytes */100"), Some(100));
        assert_eq!(unsatisfied_range("Bytes  * / 0 "), Some(0));
        let bad = ["bytes */*", "bytes */", "bytes */-1", "items */1", "bytes 0-9/100", "*/100", ""];
        assert!(bad.iter().all(|text| unsatisfied_range(text).is_none()));
    }

    #[test]
    fn a_length_is_the_one_that_is_announced_once_or_often() {
        let of = |values: &[&'static str]| {
            let header = |text: &&'static str| (CONTENT_LENGTH, http::HeaderValue::from_static(text));
            length(&HeaderMap::from_iter(values.iter().map(header)))
        };
        assert_eq!(of(&["12"]), Some(12));
        assert_eq!(of(&["12, 12"]), Some(12));
        assert_eq!(of(&["12", "12"]), Some(12));
        assert_eq!(of(&["+12"]), None);
        assert_eq!(of(&["-1"]), None);
        assert_eq!(of(&[]), None);
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
