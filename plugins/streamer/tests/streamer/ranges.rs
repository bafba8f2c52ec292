//! Parts of what is stored, and conditions on it.

use ganymede_kit::{End, Folder, Origin, Reply, Response, pattern};

use crate::{LARGE, Running, keeping};

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn stored(origin: &Origin, folder: &Folder) -> Running {
    let server = keeping(origin, folder);
    let reply = Reply::ok(pattern(LARGE)).etag("\"a\"").modified(OLD).header("Content-Type", "x/y");
    origin.on("/file", reply.header("Cache-Control", "max-age=60"));
    server.get("/file").is_whole(&pattern(LARGE));
    server
}

fn is_part(answer: &Response, part: std::ops::Range<usize>) {
    assert_eq!((answer.status, answer.end), (206, End::Whole));
    assert!(answer.body == pattern(LARGE)[part.clone()]);
    let range = format!("bytes {}-{}/{LARGE}", part.start, part.end - 1);
    assert_eq!(answer.header("content-range"), Some(&*range));
}

#[test]
fn a_part_is_served_from_any_position() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = stored(&origin, &folder);
    let get = |range: &str| server.get_with("/file", &[("Range", range)]);
    is_part(&get("bytes=0-0"), 0..1);
    is_part(&get("bytes=65535-65537"), 65535..65538);
    is_part(&get("bytes=1000-"), 1000..LARGE);
    is_part(&get("bytes=-10"), LARGE - 10..LARGE);
    is_part(&get("bytes=2999990-9999999"), LARGE - 10..LARGE);
    let beyond = get("bytes=3000000-");
    assert_eq!(
        (beyond.status, beyond.header("content-range"), beyond.body.len()),
        (416, Some("bytes */3000000"), 0)
    );
    get("bytes=9-1").is_whole(&pattern(LARGE));
    get("lines=0-1").is_whole(&pattern(LARGE));
    assert_eq!(get("bytes=0-0").header("accept-ranges"), Some("bytes"));
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn several_parts_come_in_one_body() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = stored(&origin, &folder);
    let answer = server.get_with("/file", &[("Range", "bytes=100000-200000, -5, 0-9")]);
    assert_eq!((answer.status, answer.end), (206, End::Whole));
    let kind = answer.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for part in [100_000..200_001, LARGE - 5..LARGE, 0..10] {
        let range = format!("bytes {}-{}/{LARGE}", part.start, part.end - 1);
        let head = format!("\r\n--{boundary}\r\nContent-Type: x/y\r\nContent-Range: {range}\r\n\r\n");
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&pattern(LARGE)[part]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(answer.body == expected);
    assert!(answer.header("content-range").is_none());
}

#[test]
fn a_part_is_served_only_of_the_content_that_is_meant() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = stored(&origin, &folder);
    let get = |guard: &str| server.get_with("/file", &[("Range", "bytes=5-9"), ("If-Range", guard)]);
    is_part(&get("\"a\""), 5..10);
    is_part(&get(OLD), 5..10);
    get("\"b\"").is_whole(&pattern(LARGE));
    get("Sun, 06 Nov 1994 08:49:38 GMT").is_whole(&pattern(LARGE));
}

#[test]
fn who_goes_on_with_another_content_is_sent_nothing_of_this_one() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for server in [stored(&origin, &folder), crate::passing(&origin)] {
        for path in ["/file", "/other"] {
            origin.on("/other", Reply::ok(pattern(LARGE)).etag("\"a\"").modified(OLD).ranges());
            let get =
                |name: &str, value: &str| server.get_with(path, &[("Range", "bytes=5-9"), (name, value)]);
            for other in [("If-Match", "\"c\""), ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")] {
                let answer = get(other.0, other.1);
                assert_eq!((answer.status, answer.end, answer.body.len()), (412, End::Whole, 0), "{other:?}");
            }
            is_part(&get("If-Match", "\"x\", \"a\""), 5..10);
            is_part(&get("If-Unmodified-Since", OLD), 5..10);
        }
    }
}

#[test]
fn who_has_it_already_is_told_so() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = stored(&origin, &folder);
    let get = |name: &str, value: &str| server.get_with("/file", &[(name, value)]);
    for (name, value) in
        [("If-None-Match", "\"x\", W/\"a\""), ("If-None-Match", "*"), ("If-Modified-Since", OLD)]
    {
        let answer = get(name, value);
        assert_eq!((answer.status, answer.end, answer.header("etag")), (304, End::Whole, Some("\"a\"")));
        assert!(answer.header("content-length").is_none() && answer.header("date").is_some());
    }
    get("If-None-Match", "\"b\"").is_whole(&pattern(LARGE));
    get("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT").is_whole(&pattern(LARGE));
    let both = [("If-None-Match", "\"a\""), ("Range", "bytes=0-1")];
    assert_eq!(server.get_with("/file", &both).status, 304);
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn a_head_has_no_parts() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = stored(&origin, &folder);
    let head = server.ask("HEAD", "/file", &[("Range", "bytes=0-1")]).read();
    assert_eq!((head.status, head.header("content-length"), head.end), (200, Some("3000000"), End::Whole));
}

#[test]
fn conditions_are_heeded_on_what_is_under_way_too() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok(pattern(LARGE)).etag("\"a\"").header("Cache-Control", "max-age=60"));
    let answer = server.get_with("/file", &[("If-None-Match", "\"a\"")]);
    assert_eq!((answer.status, answer.end), (304, End::Whole));
    // The source was asked for the content, since the cache is to have it.
    assert_eq!(origin.journal()[0].header("if-none-match"), None);
    let part = server.get_with("/file", &[("Range", "bytes=2000000-2000009")]);
    is_part(&part, 2_000_000..2_000_010);
}
