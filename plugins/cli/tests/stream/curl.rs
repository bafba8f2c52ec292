//! What curl is answered: conditions, parts, and over HTTP/2.

use ganymede_kit::{Folder, Origin, Reply, pattern};

use crate::clients::{Asker, curl};
use crate::serving::Serving;
use crate::{LARGE, expecting, wrong};

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A server that has `/file`, and whose origin has nothing any more.
fn warm() -> (Serving, Origin, Folder) {
    let (origin, folder) = (Origin::start(), Folder::new());
    let reply = Reply::ok(pattern(LARGE)).etag("\"one\"").modified(MODIFIED).ranges();
    origin.on("/file", reply.header("Cache-Control", "max-age=600").header("Content-Type", "text/x-pattern"));
    let server = Serving::keeping(&origin.url("/"), &folder, [""; 0]);
    server.get("/file").is_whole(&pattern(LARGE));
    origin.on("/file", Reply::error(500));
    (server, origin, folder)
}

const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

#[test]
fn conditions_are_answered_from_what_is_kept() {
    let (server, origin, _folder) = warm();
    for (version, told) in VERSIONS {
        for (header, status) in [
            ("If-None-Match: \"one\"", 304),
            ("If-None-Match: \"two\", W/\"one\"", 304),
            ("If-None-Match: *", 304),
            ("If-None-Match: \"two\"", 200),
            ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
            ("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ] {
            let curled = curl(&server, "/file", &[version, "--header", header]);
            assert_eq!((curled.exit, curled.status, &*curled.version), (Some(0), status, told), "{header}");
            assert!(curled.body == if status == 200 { pattern(LARGE) } else { Vec::new() }, "{header}");
        }
        let head = curl(&server, "/file", &[version, "--head"]);
        let text = String::from_utf8(head.body).unwrap().to_ascii_lowercase();
        assert_eq!((head.exit, head.status), (Some(0), 200));
        for line in ["content-length: 3000000", "etag: \"one\"", "content-type: text/x-pattern"] {
            assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
        }
    }
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn parts_are_answered_from_what_is_kept_when_they_are_of_the_same_content() {
    let (server, origin, _folder) = warm();
    let content = pattern(LARGE);
    for (version, _) in VERSIONS {
        for (range, guard, status, part) in [
            ("0-0", "", 206, 0..1),
            ("1000000-1999999", "", 206, 1_000_000..2_000_000),
            ("-5", "", 206, LARGE - 5..LARGE),
            ("2999999-9999999", "", 206, LARGE - 1..LARGE),
            ("3000000-", "", 416, 0..0),
            ("10-19", "If-Range: \"one\"", 206, 10..20),
            ("10-19", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT", 206, 10..20),
            ("10-19", "If-Range: \"two\"", 200, 0..LARGE),
            ("10-19", "If-Range: W/\"one\"", 200, 0..LARGE),
        ] {
            let guard = if guard.is_empty() { "X-None: 1" } else { guard };
            let curled = curl(&server, "/file", &[version, "--range", range, "--header", guard]);
            assert_eq!((curled.exit, curled.status), (Some(0), status), "{range} {guard}");
            assert!(curled.body == content[part], "{range} {guard}: {} bytes", curled.body.len());
        }
    }
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn several_parts_are_one_answer_of_several_kinds() {
    let (server, origin, _folder) = warm();
    let content = pattern(LARGE);
    for (version, _) in VERSIONS {
        let curled = curl(&server, "/file", &[version, "--range", "0-9,2000000-2000099,-7"]);
        assert_eq!((curled.exit, curled.status), (Some(0), 206));
        let mut rest = &curled.body[..];
        for (start, end) in [(0, 10), (2_000_000, 2_000_100), (LARGE - 7, LARGE)] {
            let at = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
            let head = String::from_utf8(rest[..at].to_vec()).unwrap();
            assert!(head.starts_with("\r\n--"), "{head:?}");
            assert!(head.contains("\r\nContent-Type: text/x-pattern\r\n"), "{head:?}");
            let range = format!("\r\nContent-Range: bytes {start}-{}/{LARGE}", end - 1);
            assert!(head.ends_with(&range), "{head:?}");
            rest = &rest[at + 4..];
            assert!(rest.starts_with(&content[start..end]));
            rest = &rest[end - start..];
        }
        assert!(rest.starts_with(b"\r\n--") && rest.ends_with(b"--\r\n"), "{rest:?}");
    }
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn a_wrong_body_is_a_reset_of_the_connection_or_of_the_stream() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let [option, list] = expecting(&folder, "file", LARGE);
    origin.on("/file", Reply::ok(wrong(LARGE)));
    let remote = origin.url("/");
    let passing = Serving::start(["--remote", &remote, &option, &list]);
    let keeping = Serving::keeping(&remote, &folder, [&option, &list]);
    for server in [passing, keeping] {
        for arguments in [&["--http1.1"][..], &["--http1.1", "--range", "0-2999999"], &["--http1.0"]] {
            let curled = curl(&server, "/file", arguments);
            // A reset may overtake all that was sent before.
            assert!(matches!(curled.exit, Some(18 | 52 | 56)), "{arguments:?}: {:?}", curled.exit);
            assert!(curled.body.len() < LARGE && pattern(LARGE).starts_with(&curled.body));
        }
        let curled = curl(&server, "/file", &["--http2-prior-knowledge"]);
        assert_eq!((curled.exit, curled.status, &*curled.version), (Some(92), 200, "2"));
        assert!(curled.body.len() < LARGE && pattern(LARGE).starts_with(&curled.body));
        // The right one comes when it is there, and not before.
        origin.on("/file", Reply::ok(pattern(LARGE)));
        for asker in Asker::ALL {
            assert!(asker.get(&server, "/file").is_content(&pattern(LARGE)), "{asker:?}");
        }
        origin.on("/file", Reply::ok(wrong(LARGE)));
    }
}
