//! What an origin answers.

use ganymede_kit::{Origin, Reply, pattern};

use crate::client::Client;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let origin = Origin::start();
    origin.on("/a", Reply::ok("first"));
    origin.on("/b", Reply::ok("second").header("X-Kind", "b"));
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/a", &[]).body, b"first");
    let second = client.get("/b", &[]);
    assert_eq!((second.body.as_slice(), second.header("x-kind")), (b"second".as_slice(), Some("b")));
    assert_eq!(client.get("/c", &[]).status(), 404);
    client.send("HEAD", "/a", &[]);
    let head = client.head().unwrap();
    assert_eq!((head.status(), head.header("content-length")), (200, Some("5")));
    assert_eq!(client.get("/a", &[("Connection", "close")]).header("connection"), Some("close"));
    assert!(client.rest().0.is_empty());
    assert_eq!((origin.connections(), origin.journal().len()), (1, 5));
}

#[test]
fn a_target_is_kept_byte_for_byte() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("any query"));
    origin.on("/file?exactly=%7e%2F", Reply::ok("this query"));
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/file?a=%7E&b=+%2f/../x", &[("X-Odd", "Ä")]).body, b"any query");
    assert_eq!(client.get("/file?exactly=%7e%2F", &[]).body, b"this query");
    let journal = origin.journal();
    assert_eq!(journal[0].target, "/file?a=%7E&b=+%2f/../x");
    assert_eq!(journal[0].headers, [("Host".into(), "kit".into()), ("X-Odd".into(), "Ä".into())]);
    assert_eq!((journal[0].connection, journal[0].client_certificate), (1, false));
    assert_eq!(origin.requests("/file"), 2);
    assert_eq!(origin.requests("/file?exactly=%7e%2F"), 1);
}

#[test]
fn a_request_may_have_a_body() {
    let origin = Origin::start();
    origin.on("/token", Reply::ok("t"));
    let mut client = Client::connect(origin.address());
    for body in ["a\r\n\r\nb", "", "grant"] {
        let length = body.len();
        let text = format!("POST /token HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
        let mut stream = client.into_stream();
        std::io::Write::write_all(&mut stream, text.as_bytes()).unwrap();
        client = Client::over(stream);
        assert_eq!(client.receive().body, b"t");
        assert_eq!(origin.journal().last().unwrap().body, body.as_bytes());
    }
}

#[test]
fn replies_come_in_sequence_and_the_last_repeats() {
    let origin = Origin::start();
    origin.sequence("/", [Reply::error(503), Reply::redirect(302, "/x y"), Reply::ok("good")]);
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/", &[]).status(), 503);
    assert_eq!(client.get("/", &[]).header("location"), Some("/x y"));
    assert_eq!(client.get("/", &[]).body, b"good");
    assert_eq!(client.get("/", &[]).body, b"good");
}

#[test]
fn a_handler_answers_what_has_no_reply_of_its_own() {
    let origin = Origin::start();
    origin.handle("/", |_| Reply::error(410));
    origin.handle("/file/", |request| Reply::ok(request.target.as_bytes()));
    origin.on("/file/7", Reply::ok("seven"));
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/file/6?x", &[]).body, b"/file/6?x");
    assert_eq!(client.get("/file/7", &[]).body, b"seven");
    assert_eq!(client.get("/other", &[]).status(), 410);
}

#[test]
fn a_range_is_a_part() {
    let origin = Origin::start();
    let body = pattern(1000);
    origin.on("/", Reply::ok(body.clone()).etag("\"one\"").modified(DATE).ranges());
    let mut client = Client::connect(origin.address());
    for (range, content, expected) in [
        ("bytes=0-0", "bytes 0-0/1000", 0..1),
        ("bytes=990-", "bytes 990-999/1000", 990..1000),
        ("bytes=10-5000", "bytes 10-999/1000", 10..1000),
        ("bytes=-3", "bytes 997-999/1000", 997..1000),
    ] {
        let part = client.get("/", &[("Range", range)]);
        assert_eq!((part.status(), part.header("content-range")), (206, Some(content)));
        assert_eq!(part.body, body[expected]);
    }
    let beyond = client.get("/", &[("Range", "bytes=1000-")]);
    assert_eq!((beyond.status(), beyond.header("content-range")), (416, Some("bytes */1000")));
    for ignored in ["bytes=0-1,3-4", "bytes=7-6", "lines=1-2"] {
        assert_eq!(client.get("/", &[("Range", ignored)]).status(), 200, "{ignored}");
    }
    for (validator, status) in [("\"one\"", 206), (DATE, 206), ("\"two\"", 200), ("W/\"one\"", 200)] {
        let answer = client.get("/", &[("Range", "bytes=5-"), ("If-Range", validator)]);
        assert_eq!(answer.status(), status, "{validator}");
    }
}

#[test]
fn a_part_can_be_wrong() {
    let origin = Origin::start();
    let body = pattern(100);
    let whole = Reply::ok(body.clone()).etag("\"one\"");
    origin.on("/", whole.range_shift(-2).range_total(200).range_etag("\"two\""));
    let part = Client::connect(origin.address()).get("/", &[("Range", "bytes=10-19")]);
    assert_eq!(part.header("content-range"), Some("bytes 8-19/200"));
    assert_eq!((part.header("etag"), part.body.as_slice()), (Some("\"two\""), &body[8..20]));
}

#[test]
fn what_is_known_is_not_modified() {
    let origin = Origin::start();
    origin.on("/", Reply::ok("body").etag("\"one\"").modified(DATE));
    let mut client = Client::connect(origin.address());
    for (name, value, status) in [
        ("If-None-Match", "\"zero\", W/\"one\"", 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"two\"", 200),
        ("If-Modified-Since", DATE, 304),
        ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
    ] {
        let answer = client.get("/", &[(name, value)]);
        assert_eq!((answer.status(), answer.header("etag")), (status, Some("\"one\"")), "{name}: {value}");
    }
}

#[test]
fn credentials_are_asked_for() {
    let origin = Origin::start();
    origin.on("/basic", Reply::ok("in").require_basic("user", "pass word"));
    origin.on("/bearer", Reply::ok("in").require_bearer("t0k3n"));
    let mut client = Client::connect(origin.address());
    assert!(client.get("/basic", &[]).header("www-authenticate").unwrap().starts_with("Basic"));
    assert_eq!(client.get("/basic", &[("Authorization", "Basic dXNlcjpwYXNz")]).status(), 401);
    assert_eq!(client.get("/basic", &[("Authorization", "Basic dXNlcjpwYXNzIHdvcmQ=")]).body, b"in");
    assert_eq!(client.get("/bearer", &[("Authorization", "Bearer other")]).status(), 401);
    assert_eq!(client.get("/bearer", &[("Authorization", "Bearer t0k3n")]).body, b"in");
}

#[test]
fn a_generated_body_is_the_pattern_at_any_offset() {
    let origin = Origin::start();
    origin.on("/", Reply::generated(3_000_000).ranges());
    let mut client = Client::connect(origin.address());
    let whole = pattern(3_000_000);
    assert!(client.get("/", &[]).body == whole);
    assert!(client.get("/", &[("Range", "bytes=1048570-2500000")]).body == whole[1_048_570..=2_500_000]);
    origin.on("/huge", Reply::generated(1 << 40));
    client.send("HEAD", "/huge", &[]);
    assert_eq!(client.head().unwrap().header("content-length"), Some("1099511627776"));
}
