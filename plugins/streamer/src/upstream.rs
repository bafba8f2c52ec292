//! What the source is asked for on behalf of a client.

use ganymede::{ByteRange, Failure, Request, Validator};
use http::header::{COOKIE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, VIA};
use http::{HeaderMap, HeaderName};

use crate::cache::Entry;

/// Adds to a request what the source is sent of a client's headers, and who passes it on.
pub(crate) fn describe(request: &mut Request, sent: &HeaderMap, server: &str) -> Result<(), Failure> {
    for name in sent.keys() {
        let values: Vec<&str> = sent.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        // Several cookies are one, too (RFC 9113 §8.2.3).
        let between = if name == COOKIE { "; " } else { ", " };
        if !values.is_empty() {
            request.set_header(name.as_str(), &values.join(between))?;
        }
    }
    request.set_header(VIA.as_str(), &format!("1.1 {server}"))
}

/// Asks whether what is stored still holds (RFC 9111 §4.3.1); false if it has nothing to tell it by.
pub(crate) fn ask_for_news(request: &mut Request, entry: &Entry) -> Result<bool, Failure> {
    let stored = |name: HeaderName| entry.record.headers.get(name).and_then(|value| value.to_str().ok());
    let modified = stored(LAST_MODIFIED);
    let tag = stored(ETAG).map(|tag| Validator::ETag(tag.to_owned()));
    if let (Some(_), Some(modified)) = (&tag, modified) {
        request.set_header(IF_MODIFIED_SINCE.as_str(), modified)?;
    }
    let validator = tag.or_else(|| modified.map(|modified| Validator::LastModified(modified.to_owned())));
    let can = validator.is_some();
    request.set_if_changed(validator);
    Ok(can)
}

/// Passes on what a client wants of a content that is not kept: whether it has changed, and a part of it. False if it
/// wants nothing of the kind.
pub(crate) fn pass_wishes(request: &mut Request, client: &HeaderMap) -> Result<bool, Failure> {
    let mut passed = false;
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
        let values: Vec<&str> =
            client.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
        if !values.is_empty() {
            request.set_header(name.as_str(), &values.join(", "))?;
            passed = true;
        }
    }
    let guard = client.get(IF_RANGE).map(|value| value.to_str().ok().and_then(guard));
    if let (Some(range), true) = (range(client), guard != Some(None)) {
        request.set_range(Some(range));
        request.set_if_range(guard.flatten());
        passed = true;
    }
    Ok(passed)
}

/// Returns a range that can be asked for in one go.
fn range(client: &HeaderMap) -> Option<ByteRange> {
    let mut values = client.get_all(RANGE).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    let (first, last) = only.to_str().ok()?.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    ByteRange::new(number(first)?, last)
}

fn guard(value: &str) -> Option<Validator> {
    let value = value.trim();
    if value.starts_with('"') {
        return Some(Validator::ETag(value.to_owned()));
    }
    httpdate::parse_http_date(value).ok().map(|_| Validator::LastModified(value.to_owned()))
}
