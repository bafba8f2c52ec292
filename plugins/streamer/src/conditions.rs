//! Whether a client needs what it asks for: the conditions that a cache heeds (RFC 9110 §13, RFC 9111 §4.3.2).

use std::time::{Duration, SystemTime};

use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Tells whether a client wants another content than this: it goes on with one that it has a part of (RFC 9110 §13.1.1 and
/// §13.1.4).
///
/// A cache need not heed that, but whoever is sent parts of two contents would take them for one.
pub(crate) fn is_unwanted(request: &HeaderMap, content: &HeaderMap) -> bool {
    if request.contains_key(IF_MATCH) {
        let own = content.get(ETAG).map(text);
        let own = own.as_deref().filter(|tag| tag.starts_with('"'));
        let is_own = |tag: &str| tag == "*" || own == Some(tag);
        return !request.get_all(IF_MATCH).iter().any(|value| tags(&text(value)).any(is_own));
    }
    match date(request, &IF_UNMODIFIED_SINCE) {
        Some(since) => date(content, &LAST_MODIFIED).is_none_or(|modified| modified > since),
        None => false,
    }
}

/// Tells whether a client has a content already, as it says by `If-None-Match` or else by `If-Modified-Since`.
pub(crate) fn is_known(request: &HeaderMap, content: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let own = content.get(ETAG).map(text);
        let own = own.as_deref().map(opaque);
        let is_own = |tag: &str| tag == "*" || own == Some(opaque(tag));
        return request.get_all(IF_NONE_MATCH).iter().any(|value| tags(&text(value)).any(is_own));
    }
    match (date(request, &IF_MODIFIED_SINCE), date(content, &LAST_MODIFIED)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Tells whether a part is of the content that a client has the rest of (RFC 9110 §13.1.5).
pub(crate) fn is_continued(request: &HeaderMap, content: &HeaderMap) -> bool {
    let Some(wanted) = request.get(IF_RANGE) else { return true };
    let Some(wanted) = wanted.to_str().ok().map(str::trim) else { return false };
    if wanted.starts_with('"') {
        return content.get(ETAG).is_some_and(|own| own.as_bytes() == wanted.as_bytes());
    }
    let Some(modified) = date(content, &LAST_MODIFIED) else { return false };
    let sent = date(content, &DATE).unwrap_or_else(SystemTime::now);
    // A time proves it only if the content cannot have changed twice in it (RFC 9110 §8.8.2.2).
    let strong = sent.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1));
    strong && httpdate::parse_http_date(wanted).is_ok_and(|wanted| wanted == modified)
}

/// Returns a value as text, in which each byte is a character: a tag may have such as are none of ASCII.
fn text(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|byte| char::from(*byte)).collect()
}

/// Returns a tag as it is compared here: weakly (RFC 9110 §8.8.3.2).
fn opaque(tag: &str) -> &str {
    tag.trim().trim_start_matches("W/")
}

/// Splits a list of tags at the commas that are in none of them.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let split = move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    list.split(split).map(str::trim).filter(|tag| !tag.is_empty())
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn a_tag_is_compared_weakly_and_goes_before_a_date() {
        let content = headers(&[("etag", "W/\"a,b\""), ("last-modified", OLD)]);
        let known = |value: &str| {
            is_known(&headers(&[("if-none-match", value), ("if-modified-since", NEW)]), &content)
        };
        assert!(known("\"x\", \"a,b\"") && known("W/\"a,b\"") && known("*"));
        assert!(!known("\"a\"") && !known("\"b\"") && !known("a,b") && !known(""));
        assert!(!is_known(&headers(&[("if-none-match", "\"a\"")]), &headers(&[])));
    }

    #[test]
    fn another_content_than_that_of_a_strong_tag_or_of_a_date_is_unwanted() {
        let content = headers(&[("etag", "\"a\""), ("last-modified", NEW)]);
        let unwanted = |name: &str, value: &str| is_unwanted(&headers(&[(name, value)]), &content);
        assert!(!unwanted("if-match", "\"x\", \"a\"") && !unwanted("if-match", "*"));
        assert!(unwanted("if-match", "\"b\"") && unwanted("if-match", "W/\"a\"") && unwanted("if-match", ""));
        assert!(unwanted("if-unmodified-since", OLD) && !unwanted("if-unmodified-since", NEW));
        assert!(!unwanted("if-unmodified-since", "x") && !is_unwanted(&headers(&[]), &content));
        let weak = headers(&[("etag", "W/\"a\"")]);
        assert!(is_unwanted(&headers(&[("if-match", "W/\"a\"")]), &weak));
        assert!(is_unwanted(&headers(&[("if-unmodified-since", NEW)]), &weak));
        // A tag goes before a date.
        assert!(!is_unwanted(&headers(&[("if-match", "\"a\""), ("if-unmodified-since", OLD)]), &content));
    }

    #[test]
    fn a_date_is_compared_with_the_last_modification() {
        let content = headers(&[("last-modified", NEW)]);
        let known = |value: &str| is_known(&headers(&[("if-modified-since", value)]), &content);
        assert!(known(NEW) && !known(OLD) && !known("yesterday"));
        assert!(!is_known(&headers(&[("if-modified-since", NEW)]), &headers(&[])));
    }

    #[test]
    fn a_part_is_of_the_same_content_only_by_a_strong_validator() {
        let content = headers(&[("etag", "\"a\""), ("last-modified", OLD), ("date", NEW)]);
        let continued = |value: &str| is_continued(&headers(&[("if-range", value)]), &content);
        assert!(continued("\"a\"") && continued(OLD) && is_continued(&headers(&[]), &content));
        assert!(!continued("\"b\"") && !continued("W/\"a\"") && !continued(NEW) && !continued("x"));
        let weak = headers(&[("etag", "W/\"a\""), ("last-modified", OLD), ("date", OLD)]);
        assert!(!is_continued(&headers(&[("if-range", "W/\"a\"")]), &weak));
        assert!(!is_continued(&headers(&[("if-range", OLD)]), &weak));
    }
}
