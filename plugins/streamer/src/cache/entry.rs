//! What is known of a stored content.

use std::time::{Duration, SystemTime};

use ganymede::Digest;
use http::header::{AGE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::freshness::Freshness;
use crate::rules::Rules;
use crate::vary::selection;

/// A stored content: what it answers, and where its bytes are.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its number, which is never used again.
    pub(crate) id: i64,
    pub(crate) key: String,
    /// What its request had of the headers that it varies by.
    pub(crate) selection: String,
    pub(crate) size: u64,
    pub(crate) record: Record,
    pub(crate) freshness: Freshness,
}

/// What was received with a content.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) requested: SystemTime,
    pub(crate) received: SystemTime,
    /// The digests that it was checked for.
    pub(crate) digests: Vec<Digest>,
}

impl Entry {
    pub(crate) fn new(
        id: i64,
        key: String,
        selection: String,
        size: u64,
        record: Record,
        rules: &Rules,
    ) -> Self {
        let freshness = Freshness::of(&record.headers, record.requested, record.received, rules);
        Self { id, key, selection, size, record, freshness }
    }

    /// Tells whether it is for a request of which the source is sent these headers.
    pub(crate) fn suits(&self, sent: &HeaderMap) -> bool {
        self.selection == selection(&self.record.headers, sent)
    }

    /// Tells whether it has all digests that are expected.
    pub(crate) fn has(&self, digests: &[Digest]) -> bool {
        digests.iter().all(|digest| self.record.digests.contains(digest))
    }

    /// Returns what is known of it once its source has said that it still holds (RFC 9111 §3.2 and §4.3.4).
    pub(crate) fn refreshed(&self, news: &HeaderMap, requested: SystemTime, received: SystemTime) -> Record {
        let mut headers = self.record.headers.clone();
        // What is told by its tag to hold goes on under that tag.
        let stays = |name: &HeaderName| name == ETAG && self.record.headers.contains_key(ETAG);
        for name in news.keys().filter(|name| !OF_THE_BYTES.contains(&name.as_str()) && !stays(name)) {
            headers.remove(name);
            for value in news.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        // An age is of the response that brought it.
        if !news.contains_key(AGE) {
            headers.remove(AGE);
        }
        Record { headers, requested, received, ..self.record.clone() }
    }
}

/// What is said of the bytes, which stay as they are.
const OF_THE_BYTES: [&str; 4] = ["content-encoding", "content-length", "content-md5", "content-range"];

/// Returns headers as lines of bytes; none of their values has a line break.
pub(super) fn lines(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.push(b':');
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// Reads the lines back; `None` if they are none.
pub(super) fn headers(lines: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some(headers)
}

/// Returns a time in milliseconds since 1970.
pub(super) fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn time(milliseconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were_with_bytes_that_are_no_text() {
        let mut all = HeaderMap::new();
        all.append("x-a", HeaderValue::from_static("1: 2"));
        all.append("x-a", HeaderValue::from_bytes(b"\xe4\t ").unwrap());
        all.append("etag", HeaderValue::from_static(""));
        assert_eq!(super::headers(&lines(&all)), Some(all));
        assert_eq!(super::headers(b"no colon\n"), None);
    }
}
