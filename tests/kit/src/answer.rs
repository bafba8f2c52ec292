//! From a reply and a request to the head and the part of the body that are sent.

use std::fmt::Display;
use std::ops::Range;

use crate::received::Received;
use crate::reply::{Framing, Guard, Ranges, Reply};

/// What is sent, before anything goes wrong with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Vec<u8>,
    pub(crate) span: Range<u64>,
    /// Whether anything follows the head, be it an empty body.
    pub(crate) has_body: bool,
    pub(crate) close: bool,
}

impl Answer {
    /// Applies conditions (RFC 9110 section 13) and a range (section 14) to a reply.
    pub(crate) fn new(reply: &Reply, received: &Received) -> Self {
        let total = reply.body.length();
        if reply.framing == Framing::Raw {
            return Self { head: Vec::new(), span: 0..total, has_body: true, close: true };
        }
        let close = reply.close || !received.keeps_alive();
        let mut head = Head::new(reply);
        let span = if reply.status == 200 && is_unmodified(reply, received) {
            head.status = 304;
            0..0
        } else {
            head.part(reply, received).unwrap_or(0..total)
        };
        let announced = !matches!(head.status, 204 | 304);
        match reply.framing {
            _ if !announced => {}
            Framing::Length => head.add("Content-Length", &(span.end - span.start)),
            Framing::WrongLength(length) => head.add("Content-Length", &length),
            Framing::Chunked => head.add("Transfer-Encoding", "chunked"),
            Framing::Close | Framing::Raw => {}
        }
        if close {
            head.add("Connection", "close");
        }
        let has_body = announced && received.method != "HEAD";
        let span = if has_body { span } else { 0..0 };
        Self { head: head.into_bytes(), span, has_body, close }
    }
}

/// What a client has to know.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    challenge: &'static str,
    expected: String,
}

impl Credentials {
    pub(crate) fn basic(user: &str, password: &str) -> Self {
        let expected = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
        Self { challenge: "Basic realm=\"kit\"", expected }
    }

    pub(crate) fn bearer(token: &str) -> Self {
        Self { challenge: "Bearer realm=\"kit\"", expected: format!("Bearer {token}") }
    }

    /// The challenge to answer with, unless the value of the header is as expected.
    pub(crate) fn challenge(&self, value: Option<&str>) -> Option<&'static str> {
        (value != Some(self.expected.as_str())).then_some(self.challenge)
    }
}

struct Head {
    status: u16,
    etag: Option<String>,
    modified: Option<String>,
    fields: Vec<(String, String)>,
}

impl Head {
    fn new(reply: &Reply) -> Self {
        let (etag, modified) = (reply.etag.clone(), reply.modified.clone());
        Self { status: reply.status, etag, modified, fields: reply.headers.clone() }
    }

    fn add<V: Display + ?Sized>(&mut self, name: &str, value: &V) {
        self.fields.push((name.to_owned(), format!("{value}")));
    }

    /// Answers a range, if there is one to answer.
    fn part(&mut self, reply: &Reply, received: &Received) -> Option<Range<u64>> {
        let ranges = reply.ranges.as_ref().filter(|_| reply.status == 200)?;
        self.add("Accept-Ranges", "bytes");
        let wanted = received.header("range").filter(|_| received.method == "GET")?;
        let passes = |validator: &str| match ranges.guard {
            Guard::Heeded => matches_exactly(reply, validator),
            Guard::Ignored => true,
            Guard::DatesOnly => !validator.ends_with('"') && matches_exactly(reply, validator),
        };
        if received.header("if-range").is_some_and(|validator| !passes(validator)) {
            return None;
        }
        let length = reply.body.length();
        let total = ranges.total.unwrap_or(length);
        let Some((start, end)) = parse(wanted, length)? else {
            self.status = 416;
            self.add("Content-Range", &format!("bytes */{total}"));
            return Some(0..0);
        };
        self.status = 206;
        let start = shifted(start, end, ranges);
        self.add("Content-Range", &format!("bytes {start}-{}/{total}", end - 1));
        if ranges.etag.is_some() {
            self.etag.clone_from(&ranges.etag);
        }
        Some(start..end)
    }

    fn into_bytes(mut self) -> Vec<u8> {
        if let Some(etag) = self.etag.take() {
            self.add("ETag", &etag);
        }
        if let Some(modified) = self.modified.take() {
            self.add("Last-Modified", &modified);
        }
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`: `None` for what is no such range and is ignored, `Some(None)` for one
/// that cannot be satisfied.
fn parse(value: &str, total: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first, last) {
        ("", suffix) => (total.saturating_sub(suffix.parse().ok()?), total),
        (first, "") => (first.parse().ok()?, total),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1)),
    };
    if start >= end && !first.is_empty() && !last.is_empty() {
        return None;
    }
    let end = end.min(total);
    Some((start < total && start < end).then_some((start, end)))
}

fn shifted(start: u64, end: u64, ranges: &Ranges) -> u64 {
    start.saturating_add_signed(ranges.shift).min(end - 1)
}

fn is_unmodified(reply: &Reply, received: &Received) -> bool {
    if let Some(known) = received.header("if-none-match") {
        let Some(etag) = &reply.etag else { return false };
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        return known.trim() == "*" || known.split(',').any(|tag| opaque(tag) == opaque(etag));
    }
    reply.modified.is_some() && received.header("if-modified-since") == reply.modified.as_deref()
}

/// Whether `If-Range` names the strong validator of the reply (RFC 9110 section 13.1.5).
fn matches_exactly(reply: &Reply, validator: &str) -> bool {
    let strong = |tag: &&str| tag.starts_with('"');
    reply.etag.as_deref().filter(strong) == Some(validator) || reply.modified.as_deref() == Some(validator)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// Base64 (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let padding = at > group.len();
            text.push(if padding { '=' } else { char::from(ALPHABET[bits >> (18 - 6 * at) & 63]) });
        }
    }
    text
}
