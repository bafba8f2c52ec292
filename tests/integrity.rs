//! Digests that a source sends along (RFC 9530): what does not have them is never stored.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

mod support;

use std::time::Duration;

use ganymede::{
    Algorithm, ByteRange, Context, DownloadMonitor, ErrorKind, Facts, Http, HttpDownload, MirrorDelegate,
    Protocol, Reply as Answer, Request, RetryDelegate, Segmented,
};
use ganymede_kit::{Origin, Reply, pattern};
use support::fetch;

const SIZE: usize = 300_000;

/// Returns the value of a field with a digest of `content`.
fn field(algorithm: Algorithm, content: &[u8]) -> String {
    let facts = Facts::of(content, [algorithm]).unwrap();
    let value = facts.digest(algorithm).unwrap().value().to_vec();
    let name = if algorithm == Algorithm::Sha256 { "sha-256" } else { "sha-512" };
    format!("{name}=:{}:", data_encoding::BASE64.encode(&value))
}

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

#[test]
fn what_agrees_is_stored_and_adds_nothing_to_the_facts() {
    let origin = Origin::start();
    let content = pattern(SIZE);
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        for name in ["Repr-Digest", "Content-Digest"] {
            let url = origin.on("/file", Reply::ok(content.clone()).header(name, field(algorithm, &content)));
            let monitor = DownloadMonitor::new([Algorithm::Md5]);
            let (bytes, receipt) = fetch(get(&url).monitor(&monitor)).unwrap();
            assert!(bytes == content);
            assert_eq!(*receipt.facts(), Facts::of(&content[..], [Algorithm::Md5]).unwrap());
        }
    }
}

#[test]
fn a_digest_that_a_protocol_states_is_enforced_whatever_its_algorithm() {
    let origin = Origin::start();
    let content = pattern(3 << 20);
    let url = origin.on("/file", Reply::ok(content.clone()).ranges().etag("\"one\""));
    let field = field(Algorithm::Sha256, &content);
    let both = origin.on("/both", Reply::ok(content.clone()).header("Repr-Digest", field));
    for algorithm in Algorithm::ALL {
        for (stated, agrees) in [(&content[..], true), (b"another content", false)] {
            let digest = Facts::of(stated, [algorithm]).unwrap().digest(algorithm).unwrap();
            let stating = move |http: Http| {
                move |request: &Request, context: &Context| {
                    let reply = http.send(request, context)?;
                    let (head, body) = reply.into_parts();
                    Ok(Answer::new(head.with_digest(digest), body.ok_or(ErrorKind::Incomplete)?))
                }
            };
            let error = match fetch(get(&url).map(stating)) {
                Ok((bytes, _)) => {
                    assert!(agrees && bytes == content, "{algorithm}");
                    continue;
                }
                Err(error) => error,
            };
            assert!(!agrees && error.kind().name() == "digest-mismatch", "{algorithm}: {error}");
            // The head that ranges are put together under has it, too.
            let ranges = |http| Segmented::new(stating(http)).segments(3);
            assert_eq!(fetch(get(&url).map(ranges)).unwrap_err().kind().name(), "digest-mismatch");
        }
    }
    let head = Http::new().send(&Request::get(&both).unwrap(), &Context::new()).unwrap().into_parts().0;
    assert_eq!(head.digests(), Facts::of(&content[..], [Algorithm::Sha256]).unwrap().digests());
}

#[test]
fn what_differs_is_a_digest_mismatch_and_a_mirror_repairs_it() {
    let origin = Origin::start();
    let content = pattern(SIZE);
    let good = origin.on("/good", Reply::ok(content.clone()));
    for name in ["Repr-Digest", "Content-Digest"] {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let stated = format!("md5=:AAAA:, {}", field(algorithm, b"another content"));
            for reply in [Reply::ok(content.clone()), Reply::ok(content.clone()).chunked()] {
                let url = origin.on("/file", reply.header(name, stated.clone()));
                let error = fetch(get(&url)).unwrap_err();
                assert_eq!(error.kind().name(), "digest-mismatch", "{name}");
                let mirror = MirrorDelegate::new([good.parse().unwrap()]);
                assert!(fetch(get(&url).handler(mirror)).unwrap().0 == content);
            }
        }
    }
}

#[test]
fn of_a_range_the_digest_of_the_body_counts_and_that_of_the_whole_does_not() {
    let origin = Origin::start();
    let content = pattern(SIZE);
    let part = &content[1000..2000];
    let range = || get(&origin.url("/file")).range(ByteRange::new(1000, Some(1999)).unwrap());
    let whole =
        || Reply::ok(content.clone()).ranges().header("Repr-Digest", field(Algorithm::Sha256, &content));
    origin.on("/file", whole().header("Content-Digest", field(Algorithm::Sha256, part)));
    assert!(fetch(range()).unwrap().0 == part);
    origin.on("/file", whole().header("Content-Digest", field(Algorithm::Sha256, b"other")));
    assert_eq!(fetch(range()).unwrap_err().kind().name(), "digest-mismatch");
}

#[test]
fn a_stated_digest_proves_what_another_source_goes_on_with() {
    let origin = Origin::start();
    let content = pattern(SIZE);
    let stated = field(Algorithm::Sha256, &content);
    let first =
        || Reply::ok(content.clone()).ranges().header("Repr-Digest", stated.clone()).cut_after(100_000);
    let url = origin.on("/file", first());
    let mirror = |reply: Reply| MirrorDelegate::new([origin.on("/mirror", reply).parse().unwrap()]);
    let (bytes, _) = fetch(get(&url).handler(mirror(Reply::ok(content.clone()).ranges()))).unwrap();
    assert!(bytes == content);
    let ranges: Vec<_> = origin.journal().iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_owned())]);
    // The mirror has other bytes: mixed with the first ones, they are found out, and it is asked for everything.
    let other: Vec<u8> = content.iter().map(|byte| !byte).collect();
    let (bytes, _) = fetch(get(&url).handler(mirror(Reply::ok(other.clone()).ranges()))).unwrap();
    assert!(bytes == other);
}

#[test]
fn a_part_whose_source_states_another_digest_does_not_continue() {
    let origin = Origin::start();
    let content = pattern(SIZE);
    let other: Vec<u8> = content.iter().map(|byte| !byte).collect();
    let reply = |content: &[u8]| {
        let stated = field(Algorithm::Sha256, content);
        Reply::ok(content.to_vec()).ranges().etag("\"careless\"").header("Repr-Digest", stated)
    };
    let url = origin.sequence("/file", [reply(&content).cut_after(100_000), reply(&other)]);
    let (bytes, receipt) = fetch(get(&url).handler(RetryDelegate::new(1).base(Duration::ZERO))).unwrap();
    assert!(bytes == other);
    assert_eq!((receipt.attempts(), origin.requests("/file")), (2, 3));
}

#[test]
fn the_digest_of_a_rest_is_that_of_the_bytes_that_are_sent() {
    let origin = Origin::start();
    let content = pattern(SIZE);
    for (stated, good) in [(&content[100_000..], true), (&content[..], false)] {
        let whole = Reply::ok(content.clone()).ranges().etag("\"one\"");
        let rest = whole.clone().header("Content-Digest", field(Algorithm::Sha512, stated));
        let url = origin.sequence("/file", [whole.cut_after(100_000), rest]);
        let result = fetch(get(&url).handler(RetryDelegate::new(1).base(Duration::ZERO)));
        assert_eq!(result.as_ref().is_ok_and(|(bytes, _)| *bytes == content), good);
        assert!(good || result.unwrap_err().kind().name() == "digest-mismatch");
    }
}
