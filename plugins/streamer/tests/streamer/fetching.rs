//! What is asked for first, and then again.

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};

use crate::{LARGE, keeping, passing};

#[test]
fn all_sizes_come_whole_with_their_head_and_then_from_the_cache() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    for size in [0, 1, 1000, 64 << 10, 300_000, LARGE] {
        let path = format!("/files/{size}");
        let reply = Reply::ok(pattern(size))
            .etag("\"a\"")
            .header("Content-Type", "x/y")
            .header("Cache-Control", "max-age=60");
        origin.on(&path, reply);
        let miss = server.get(&path);
        miss.is_whole(&pattern(size));
        assert_eq!((miss.header("etag"), miss.header("content-type")), (Some("\"a\""), Some("x/y")));
        assert_eq!(miss.cache(), "ganymede; fwd=uri-miss; fwd-status=200; stored");
        assert_eq!(miss.header("via"), Some("1.1 ganymede"));
        let hit = server.get(&path);
        hit.is_whole(&pattern(size));
        assert!(hit.is_hit(), "{}", hit.cache());
        assert_eq!((hit.header("etag"), hit.header("content-type")), (Some("\"a\""), Some("x/y")));
        assert!(hit.header("age").is_some() && hit.header("date").is_some());
        assert_eq!(origin.requests(&path), 1);
    }
}

#[test]
fn a_length_that_is_not_known_before_is_known_to_the_cache() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok(pattern(LARGE)).chunked().header("Cache-Control", "max-age=60"));
    let miss = server.get("/file");
    assert_eq!(miss.is_whole(&pattern(LARGE)).header("content-length"), None);
    let hit = server.get("/file");
    assert_eq!(hit.is_whole(&pattern(LARGE)).header("content-length"), Some(&*LARGE.to_string()));
    assert!(hit.is_hit());
}

#[test]
fn bytes_come_before_the_source_has_sent_all() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    for server in [keeping(&origin, &folder), passing(&origin)] {
        origin.on("/file", Reply::ok(pattern(LARGE)).gate_after(1_000_000, &gate));
        let mut client = server.ask("GET", "/file", &[]);
        assert!(client.read_bytes(500_000).len() >= 500_000);
        gate.open();
        client.read().is_whole(&pattern(LARGE));
    }
}

#[test]
fn without_a_cache_the_source_is_asked_each_time() {
    let origin = Origin::start();
    let server = passing(&origin);
    origin.on("/file", Reply::ok(pattern(LARGE)).header("Cache-Control", "max-age=60"));
    for asked in 1..=2 {
        let answer = server.get("/file");
        assert_eq!(answer.is_whole(&pattern(LARGE)).cache(), "ganymede; fwd=bypass; fwd-status=200");
        assert_eq!(origin.requests("/file"), asked);
    }
}

#[test]
fn path_and_query_are_the_key_and_reach_the_source_in_one_form() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.handle("/", |received| Reply::ok(received.target.clone()).header("Cache-Control", "max-age=60"));
    server.get("/%7eamy/a%2fb").status_is(400);
    server.get("/%7eamy/a%2bb?x=%2f").is_whole(b"/~amy/a%2Bb?x=%2f");
    assert!(server.get("/~amy/a%2Bb?x=%2f").is_whole(b"/~amy/a%2Bb?x=%2f").is_hit());
    server.get("/~amy/a%2Bb?x=%2F").is_whole(b"/~amy/a%2Bb?x=%2F");
    server.get("/~amy/a%2Bb").is_whole(b"/~amy/a%2Bb");
    server.get("/").is_whole(b"/");
}

#[test]
fn a_head_is_asked_for_alone_and_comes_from_the_cache_once_that_has_it() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok(pattern(LARGE)).etag("\"a\"").header("Cache-Control", "max-age=60"));
    let head = server.head("/file");
    assert_eq!(
        (head.status, head.header("content-length"), head.header("etag")),
        (200, Some("3000000"), Some("\"a\""))
    );
    assert_eq!((origin.journal()[0].method.as_str(), origin.sent("/file")), ("HEAD", 0));
    server.get("/file").is_whole(&pattern(LARGE));
    let head = server.head("/file");
    assert_eq!(
        (head.is_hit(), head.header("content-length"), origin.requests("/file")),
        (true, Some("3000000"), 2)
    );
}

#[test]
fn what_the_source_says_of_a_path_passes_and_its_failures_are_those_of_a_gateway() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    for (theirs, ours) in [
        (404, 404),
        (410, 410),
        (403, 403),
        (451, 451),
        (500, 500),
        (503, 503),
        (429, 503),
        (401, 502),
        (407, 502),
    ] {
        let challenge = Reply::error(theirs).header("WWW-Authenticate", "Basic");
        origin.on(&format!("/{theirs}"), challenge);
        let answer = server.get(&format!("/{theirs}"));
        assert_eq!(answer.status, ours, "{theirs}");
        assert!(answer.header("www-authenticate").is_none());
    }
    drop(origin);
    assert_eq!(server.get("/gone").status, 502);
}

#[test]
fn the_access_log_tells_of_each_request_when_it_has_ended() {
    use std::sync::{Arc, Mutex};

    let (origin, folder) = (Origin::start(), Folder::new());
    origin.on("/file", Reply::ok(pattern(1000)).header("Cache-Control", "max-age=60"));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let streamer = ganymede_streamer::Streamer::new(crate::remote(&origin)).cache(crate::cache(&folder));
    let streamer = streamer.access_log(move |access| log.lock().unwrap().push(access.clone()));
    let server = crate::Running::start(streamer);
    server.get_with("/file?secret", &[("User-Agent", "a \"b\"")]).is_whole(&pattern(1000));
    server.get("/file?secret");
    server.get("/../x");
    wait_until("three lines", || lines.lock().unwrap().len() == 3);
    let lines = lines.lock().unwrap();
    let told: Vec<_> = lines.iter().map(|line| (line.status, line.cache, line.complete)).collect();
    assert_eq!(told, [(200, "miss", true), (200, "hit", true), (400, "none", true)]);
    assert_eq!((lines[0].bytes, lines[1].bytes), (1000, 1000));
    let json: serde_json::Value = serde_json::from_str(&lines[0].json()).unwrap();
    assert_eq!((json["path"].as_str(), json["agent"].as_str()), (Some("/file"), Some("a \"b\"")));
    assert!(lines[0].to_string().contains("\"GET /file\" 200 1000"), "{}", lines[0]);
}
