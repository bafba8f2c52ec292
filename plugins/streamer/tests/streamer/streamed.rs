//! What is passed on only.

use ganymede_kit::{End, Origin, Reply, pattern};
use ganymede_streamer::{Policy, Streamer};

use crate::{LARGE, Running, digests, passing, remote};

#[test]
fn conditions_pass_to_the_source_and_its_304_comes_back() {
    let origin = Origin::start();
    let server = passing(&origin);
    origin.on("/file", Reply::ok(pattern(LARGE)).etag("\"a\"").modified("Sun, 06 Nov 1994 08:49:37 GMT"));
    for condition in [("If-None-Match", "\"a\""), ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")] {
        let answer = server.get_with("/file", &[condition]);
        assert_eq!((answer.status, answer.header("etag"), answer.end), (304, Some("\"a\""), End::Whole));
    }
    assert_eq!(origin.sent_in_all("/file"), 0);
    server.get_with("/file", &[("If-None-Match", "\"b\"")]).is_whole(&pattern(LARGE));
}

#[test]
fn a_range_passes_to_the_source_where_nothing_is_expected() {
    let origin = Origin::start();
    let server = passing(&origin);
    origin.on("/file", Reply::ok(pattern(LARGE)).etag("\"a\"").ranges());
    let answer = server.get_with("/file", &[("Range", "bytes=1000-1999"), ("If-Range", "\"a\"")]);
    assert_eq!((answer.status, answer.end), (206, End::Whole));
    assert_eq!(answer.header("content-range"), Some("bytes 1000-1999/3000000"));
    assert!(answer.body == pattern(LARGE)[1000..2000]);
    assert_eq!(origin.sent_in_all("/file"), 1000);
    server
        .get_with("/file", &[("Range", "bytes=1000-1999"), ("If-Range", "\"b\"")])
        .is_whole(&pattern(LARGE));
    let beyond = server.get_with("/file", &[("Range", "bytes=3000000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */3000000")));
}

#[test]
fn a_range_of_what_must_have_a_digest_is_taken_from_the_whole() {
    let origin = Origin::start();
    let remote = remote(&origin).digests(digests("/file", &pattern(LARGE)));
    let server = Running::start(Streamer::new(remote));
    origin.on("/file", Reply::ok(pattern(LARGE)).etag("\"a\"").ranges());
    for (range, part) in
        [("bytes=0-0", 0..1), ("bytes=1000-2900000", 1000..2_900_001), ("bytes=-7", LARGE - 7..LARGE)]
    {
        let answer = server.get_with("/file", &[("Range", range)]);
        assert_eq!((answer.status, answer.end), (206, End::Whole), "{range}");
        assert!(answer.body == pattern(LARGE)[part], "{range}");
    }
    assert_eq!(origin.sent("/file"), LARGE as u64);
    // Nothing is kept to go back in.
    server.get_with("/file", &[("Range", "bytes=0-4,2-3")]).is_whole(&pattern(LARGE));
}

#[test]
fn the_policy_keeps_nothing_although_there_is_a_cache() {
    let (origin, folder) = (Origin::start(), ganymede_kit::Folder::new());
    let server =
        Running::start(Streamer::new(remote(&origin)).cache(crate::cache(&folder)).policy(Policy::Streamed));
    origin.on("/file", Reply::ok("x").header("Cache-Control", "max-age=60"));
    server.get("/file").is_whole(b"x");
    server.get("/file").is_whole(b"x");
    assert_eq!(origin.requests("/file"), 2);
}

#[test]
fn a_range_is_taken_from_the_whole_where_the_source_has_no_parts() {
    let origin = Origin::start();
    let server = passing(&origin);
    origin.on("/file", Reply::ok(pattern(LARGE)));
    let answer = server.get_with("/file", &[("Range", "bytes=1000000-1999999")]);
    assert_eq!((answer.status, answer.end), (206, End::Whole));
    assert!(answer.body == pattern(LARGE)[1_000_000..2_000_000]);
}
