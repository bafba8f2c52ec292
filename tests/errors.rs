//! What servers do wrong: each fault is a clear error of the right kind, and leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::error::Error;
use std::time::Duration;

use ganymede::{
    BufferWriter, Context, Download, DownloadError, ErrorKind, FileWriter, HttpDownload, Method,
    RetryDelegate,
};
use ganymede_kit::{Authority, Folder, Origin, Reply, closed_port, pattern};

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

/// Asserts that a download fails like this, tells where, and changes nothing in its folder.
#[track_caller]
fn fails(url: &str, kind: &str, transient: bool) -> DownloadError {
    let folder = Folder::new();
    folder.write("target", "what was there");
    let mut download = get(url).writer(FileWriter::new(folder.file("target")));
    let error = download.run(&Context::new()).unwrap_err();
    assert_eq!((error.kind().name(), error.is_transient()), (kind, transient), "{url}: {error:?}");
    assert_eq!(folder.entries(), ["target"], "{url}: {error}");
    assert_eq!(folder.read("target"), b"what was there");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{url}: ")), "{text}");
    let source = error.source().map(ToString::to_string);
    assert!(source.is_none_or(|source| !text.contains(&source)), "{text}");
    // The same without a file that was there before.
    let fresh = Folder::new();
    get(url).writer(FileWriter::new(fresh.file("target"))).run(&Context::new()).unwrap_err();
    assert!(fresh.entries().is_empty(), "{url}: {:?}", fresh.entries());
    error
}

/// A response whose head is these lines.
fn raw(lines: &str, body: &str) -> Reply {
    Reply::raw(format!("{}\r\n\r\n{body}", lines.replace('\n', "\r\n")))
}

#[test]
fn every_status_that_is_no_success_is_an_error_of_its_kind() {
    let origin = Origin::start();
    let kinds = [
        ("not-found", false, &[404, 410][..]),
        ("unauthorized", false, &[401, 403, 407]),
        ("status", true, &[408, 425, 429, 500, 502, 503, 504]),
        ("status", false, &[400, 402, 405, 406, 409, 412, 416, 418, 421, 451, 501, 505, 507, 511, 599, 999]),
    ];
    for (kind, transient, statuses) in kinds {
        for status in statuses {
            let path = format!("/{status}");
            let error = fails(&origin.on(&path, Reply::error(*status)), kind, transient);
            assert_eq!(error.status().map(|status| status.as_u16()), Some(*status));
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
    }
    assert!(fails(&origin.url("/nowhere"), "not-found", false).is_not_found());
}

#[test]
fn a_success_without_a_content_is_no_success() {
    let origin = Origin::start();
    for status in [201, 202, 204, 205, 207, 226] {
        let error = fails(&origin.on("/file", Reply::ok("text").status(status)), "status", false);
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        assert!(error.to_string().contains("no content to download"), "{error}");
    }
}

#[test]
fn what_a_source_says_instead_of_the_content_is_kept_where_that_is_to_be_explained() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let trusted = authority.write_to(folder.path(), "ca");
    for origin in [Origin::start(), Origin::tls(&authority.server(&["127.0.0.1"]))] {
        let answer = |reply: Reply, set: fn(&mut ganymede::Request)| {
            let mut download = get(&origin.on("/file", reply)).ca_certificate(&trusted);
            set(download.request_mut());
            let error = download.writer(BufferWriter::new(10)).run(&Context::new()).unwrap_err();
            let head = error.failure().head().map(|head| {
                let says = head.header("cache-control").map(str::to_owned);
                (head.status().as_u16(), says)
            });
            (head, error.failure().explanation().map(<[u8]>::to_vec))
        };
        let says = |status| Reply::ok(pattern(1000)).status(status).header("Cache-Control", "max-age=7");
        let head = |status| Some((status, Some("max-age=7".to_owned())));
        for status in [201, 301, 404, 500] {
            let kept = answer(says(status), |request| request.set_explained(true));
            assert_eq!(kept, (head(status), Some(pattern(1000))), "{status}");
            assert_eq!(answer(says(status), |_| {}), (None, None));
        }
        let kept = answer(says(404), |request| {
            request.set_explained(true);
            request.set_method(Method::Head);
        });
        assert_eq!(kept, (head(404), None));
        // Nobody waits for what is long, slow or broken.
        let bodies = [
            says(404).chunked().cut_after(500),
            says(404).stall_after(500),
            Reply::ok(pattern(70_000)).status(404).header("Cache-Control", "max-age=7"),
        ];
        for body in bodies {
            assert_eq!(answer(body, |request| request.set_explained(true)), (head(404), None));
        }
        // What is to be followed is no answer.
        let away = Reply::redirect(302, "ftp://127.0.0.1/");
        assert_eq!(answer(away, |request| request.set_explained(true)), (None, None));
    }
}

#[test]
fn a_part_that_was_not_asked_for_is_not_the_content() {
    let origin = Origin::start();
    let part = Reply::ok("text").status(206);
    for reply in [part.clone(), part.header("Content-Range", "bytes 0-3/4")] {
        let error = fails(&origin.on("/file", reply), "unsupported", false);
        assert!(error.to_string().contains("a part although everything was asked for"), "{error}");
    }
}

#[test]
fn a_body_that_ends_too_early_is_incomplete() {
    let origin = Origin::start();
    let content = pattern(100_000);
    let whole = Reply::ok(content.clone());
    let known = [
        ("/cut", whole.clone().cut_after(60_000), 60_000),
        ("/cut-at-once", whole.clone().cut_after(0), 0),
        ("/cut-before-the-end", whole.clone().cut_after(99_999), 99_999),
        ("/fewer", whole.clone().length(100_001), 100_000),
    ];
    for (path, reply, received) in known {
        let announced = if path == "/fewer" { 100_001 } else { 100_000 };
        let error = fails(&origin.on(path, reply), "incomplete", true);
        assert_eq!((error.received(), error.expected()), (received, Some(announced)), "{path}");
        assert_eq!(error.gateway_status().as_u16(), 502);
    }
    // A reset may overtake the bytes that went before it.
    let error = fails(&origin.on("/reset", whole.clone().reset_after(60_000)), "incomplete", true);
    assert!(error.received() <= 60_000 && error.expected() == Some(100_000), "{error:?}");
    for sent in [0, 60_000, 65_536, 100_000] {
        let error =
            fails(&origin.on("/chunked", whole.clone().chunked().cut_after(sent)), "incomplete", true);
        assert_eq!((error.received(), error.expected()), (sent, None));
    }
}

#[test]
fn a_connection_that_ends_before_the_head_is_incomplete() {
    let origin = Origin::start();
    origin.on("/nothing", Reply::raw(""));
    origin.on("/half", Reply::raw("HTTP/1.1 200 OK\r\nContent-Le"));
    origin.on("/reset", Reply::raw("").reset_after(0));
    for path in ["/nothing", "/half", "/reset"] {
        let error = fails(&origin.url(path), "incomplete", true);
        assert_eq!((error.received(), error.expected()), (0, None));
    }
    origin.cut_handshakes(2);
    fails(&origin.on("/file", Reply::ok("content")), "incomplete", true);
}

#[test]
fn what_is_not_http_is_an_error_that_says_so() {
    let origin = Origin::start();
    let replies = [
        ("/garbage", Reply::raw("garbage\r\n\r\nmore of it\r\n\r\n")),
        ("/other-protocol", Reply::raw("SSH-2.0-example\r\n")),
        ("/binary", Reply::raw(pattern(5_000))),
        ("/version", raw("HTTP/7.3 200 OK\nContent-Length: 5", "hello")),
        ("/bad-status", raw("HTTP/1.1 2x0 OK\nContent-Length: 5", "hello")),
        ("/bad-header", raw("HTTP/1.1 200 OK\nno colon here\nContent-Length: 5", "hello")),
        ("/conflict", raw("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6", "hello")),
        ("/conflict-in-one", raw("HTTP/1.1 200 OK\nContent-Length: 5, 6", "hello")),
        ("/no-number", raw("HTTP/1.1 200 OK\nContent-Length: five", "hello")),
        ("/negative", raw("HTTP/1.1 200 OK\nContent-Length: -5", "hello")),
    ];
    for (path, reply) in replies {
        let error = fails(&origin.on(path, reply), "other", false);
        assert!(error.to_string().contains("not valid HTTP"), "{error}");
    }
}

#[test]
fn the_same_length_twice_is_still_that_length() {
    let origin = Origin::start();
    let folder = Folder::new();
    let url = origin.on("/file", raw("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5", "hello"));
    get(&url).writer(FileWriter::new(folder.file("target"))).run(&Context::new()).unwrap();
    assert_eq!(folder.read("target"), b"hello");
}

#[test]
fn chunks_that_are_none_are_incomplete() {
    let origin = Origin::start();
    for body in ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n-1\r\n\r\n", "5\r\nhelloo\r\n0\r\n\r\n"] {
        let url = origin.on("/file", raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", body));
        fails(&url, "incomplete", true);
    }
}

#[test]
fn more_bytes_than_announced_are_no_part_of_this_content_or_the_next() {
    let origin = Origin::start();
    let folder = Folder::new();
    let context = Context::new();
    // What follows looks like the answer to the next request.
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let reply = Reply::ok(format!("content{more}")).length(7);
    let first = origin.on("/first", reply);
    let second = origin.on("/second", Reply::ok("second"));
    for (url, name, expected) in [(first, "first", "content"), (second, "second", "second")] {
        get(&url).writer(FileWriter::new(folder.file(name))).run(&context).unwrap();
        assert_eq!(folder.read(name), expected.as_bytes());
    }
    assert_eq!(folder.entries(), ["first", "second"]);
}

#[test]
fn a_port_where_nobody_listens_and_a_name_that_cannot_be_one_are_no_connection() {
    let error = fails(&format!("http://127.0.0.1:{}/file", closed_port()), "connect", true);
    assert_eq!(error.gateway_status().as_u16(), 502);
    assert!(error.to_string().contains("cannot connect to 127.0.0.1:"), "{error}");
    fails(&format!("https://127.0.0.1:{}/file", closed_port()), "connect", true);
    // Too long for a label, so no server of names is asked.
    fails(&format!("http://{}.example.com/file", "a".repeat(64)), "connect", true);
}

#[test]
fn transient_faults_are_repaired_by_a_retry_and_others_are_not() {
    let origin = Origin::start();
    let folder = Folder::new();
    let content = pattern(100_000);
    let whole = Reply::ok(content.clone());
    let faults = [
        whole.clone().cut_after(1_000),
        whole.clone().chunked().cut_after(50_000),
        whole.clone().reset_after(70_000),
        whole.clone().length(200_000),
        Reply::raw(""),
        Reply::error(503),
        Reply::error(429),
    ];
    let count = u32::try_from(faults.len()).unwrap();
    let url = origin.sequence("/file", faults.into_iter().chain([whole.clone()]));
    let retry = RetryDelegate::new(count).base(Duration::ZERO);
    let target = FileWriter::new(folder.file("target"));
    let receipt = get(&url).writer(target.clone()).handler(retry.clone()).run(&Context::new()).unwrap();
    assert!(folder.read("target") == content);
    assert_eq!(receipt.attempts(), count + 1);
    for lasting in
        [Reply::error(404), Reply::error(401), Reply::raw("garbage\r\n\r\n"), Reply::ok("").status(204)]
    {
        let url = origin.sequence("/lasting", [lasting, whole.clone()]);
        let error = get(&url).writer(target.clone()).handler(retry.clone()).run(&Context::new()).unwrap_err();
        assert_eq!(error.attempts(), 1, "{error}");
    }
}

#[test]
fn the_error_of_a_run_tells_every_attempt() {
    let origin = Origin::start();
    let folder = Folder::new();
    let replies = [Reply::error(503), Reply::ok(pattern(1_000)).cut_after(400), Reply::error(404)];
    let url = origin.sequence("/file", replies);
    let retry = RetryDelegate::new(5).base(Duration::ZERO);
    let mut download = get(&url).writer(FileWriter::new(folder.file("target"))).handler(retry);
    let error = download.run(&Context::new()).unwrap_err();
    assert!(error.is_not_found() && matches!(error.kind(), ErrorKind::NotFound), "{error:?}");
    let history: Vec<_> = (error.history().iter())
        .map(|attempt| (attempt.failure().kind().name(), attempt.received(), attempt.source().as_str()))
        .collect();
    let url = url.as_str();
    assert_eq!(history, [("status", 0, url), ("incomplete", 400, url), ("not-found", 400, url)]);
    assert_eq!((error.attempts(), error.url().as_str(), error.failed_source().as_str()), (3, url, url));
}
