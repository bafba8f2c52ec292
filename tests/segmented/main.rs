//! One reply as ranges, over several connections and from several sources.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

mod adaptive;
mod change;
mod sources;
mod stopping;
mod trust;
mod whole;

use ganymede::{
    Algorithm, BufferWriter, Context, DigestValidation, Download, DownloadError, Facts, Http, HttpDownload,
    Protocol, Receipt, Request, Segmented, Transfer,
};
use ganymede_kit::{Origin, Reply, pattern};

/// The smallest piece there is, in bytes.
const PIECE: usize = 256 << 10;

/// A protocol whose pieces are as small as they may be.
fn small(segments: usize) -> Segmented<Http> {
    Segmented::new(Http::new().no_proxy()).segments(segments).window((segments + 2) * PIECE)
}

fn download(url: &str, segments: usize) -> Transfer<Segmented<Http>> {
    Transfer::new(Request::get(url).unwrap(), small(segments))
}

/// Runs a download, and returns what it stored.
fn fetch<P: Protocol>(download: Transfer<P>) -> Result<(Receipt, Vec<u8>), DownloadError> {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(&Context::new())?;
    Ok((receipt, buffer.take().unwrap()))
}

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

/// A content of so many bytes, with ranges and a tag.
fn tagged(size: usize) -> Reply {
    Reply::ok(pattern(size)).etag("\"one\"").ranges()
}

/// The ranges that an origin was asked for, the first and the last byte of each, sorted.
fn ranges(origin: &Origin) -> Vec<(usize, usize)> {
    let mut ranges: Vec<_> =
        origin.journal().iter().filter_map(|one| one.header("range").map(range)).collect();
    ranges.sort_unstable();
    ranges
}

fn range(value: &str) -> (usize, usize) {
    let (first, last) = value.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap_or(usize::MAX))
}

/// Asserts that an origin was asked for each byte from `from` to before `to` once.
#[track_caller]
fn assert_once(origin: &Origin, from: usize, to: usize) {
    let ranges = ranges(origin);
    let mut next = from;
    for (first, last) in &ranges {
        assert_eq!(*first, next, "{ranges:?}");
        next = last + 1;
    }
    assert!(next >= to, "{ranges:?}");
}

/// A download over plain HTTP, for what only needs to be prepared there.
fn plain(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().no_proxy()
}
