//! What a source says instead of sending a content: how it passes, and how long it is remembered.

use std::time::Duration;

use ganymede_kit::{End, Folder, Gate, Origin, Reply, pattern};
use ganymede_streamer::{HeaderPolicy, Rules, Streamer};

use crate::{Running, cache, keeping, passing, remote};

/// A server that remembers only what its sources say how long.
fn forgetful(origin: &Origin, folder: &Folder) -> Running {
    let rules = Rules::new().negative(Duration::ZERO);
    Running::start(Streamer::new(remote(origin)).cache(cache(folder)).rules(rules))
}

#[test]
fn it_passes_as_it_is() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for server in [keeping(&origin, &folder), passing(&origin)] {
        for status in [202, 226, 300, 301, 400, 404, 405, 410, 451, 500, 501, 503, 599] {
            let reply =
                Reply::error(status).header("X-Why", "a").header("Set-Cookie", "a=b").header("Age", "7");
            origin.on("/file", reply.header("Cache-Control", "no-store"));
            let answer = server.get("/file");
            assert_eq!((answer.status, answer.end), (status, End::Whole));
            assert_eq!(answer.body, format!("error {status}\n").as_bytes());
            assert_eq!((answer.header("x-why"), answer.header("set-cookie")), (Some("a"), None));
            assert_eq!(
                (answer.header("content-type"), answer.header("via")),
                (Some("text/plain"), Some("1.1 ganymede"))
            );
            assert!(answer.header("age").unwrap().parse::<u64>().unwrap() >= 7);
            assert!(answer.cache().ends_with(&format!("; fwd-status={status}")), "{}", answer.cache());
            let head = server.head("/file");
            assert_eq!((head.status, head.header("x-why"), head.end), (status, Some("a"), End::Whole));
        }
        origin.on("/file", Reply::ok("").status(204));
        let answer = server.get("/file");
        assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (204, None, 0));
    }
}

#[test]
fn what_it_says_to_this_server_does_not_pass() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    let statuses = [(401, 502), (407, 502), (408, 504), (421, 502), (206, 502), (304, 502), (429, 503)];
    for (theirs, ours) in statuses {
        let reply = Reply::error(theirs).header("WWW-Authenticate", "Basic");
        // The source is then left alone for so long.
        origin.on("/file", if theirs == 429 { reply.header("Retry-After", "77") } else { reply });
        let answer = server.get("/file");
        assert_eq!((answer.status, answer.end), (ours, End::Whole), "{theirs}");
        assert!(
            answer.header("www-authenticate").is_none() && !answer.body.starts_with(b"error"),
            "{theirs}"
        );
        assert_eq!(answer.header("retry-after"), (theirs == 429).then_some("77"));
    }
}

#[test]
fn what_is_not_known_to_its_end_is_told_in_words_of_its_own() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = forgetful(&origin, &folder);
    let long = |status| Reply::ok(pattern(100_000)).status(status);
    let cut = |status| Reply::ok(pattern(1000)).status(status).cut_after(500);
    for (reply, status) in [(long(404), 404), (cut(500), 500), (long(201), 502), (cut(202), 502)] {
        origin.on("/file", reply.header("Content-Type", "x/y"));
        let answer = server.get("/file");
        assert_eq!((answer.status, answer.end), (status, End::Whole));
        assert!(answer.body.len() < 100 && answer.header("content-type") != Some("x/y"));
    }
}

#[test]
fn it_is_remembered_for_as_long_as_its_source_says() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = forgetful(&origin, &folder);
    for status in [204, 301, 400, 404, 410, 500, 503, 599] {
        let path = format!("/{status}");
        let reply = Reply::error(status).header("X-Why", "a").header("Cache-Control", "max-age=1000");
        origin.on(&path, reply);
        let first = server.get(&path);
        let again = server.get(&path);
        assert!(!first.is_hit() && again.is_hit(), "{status}: {}", again.cache());
        assert_eq!((again.status, &again.body, again.header("x-why")), (status, &first.body, Some("a")));
        assert!(again.header("age").is_some());
        assert_eq!(origin.requests(&path), 1);
        // Who wants it anew gets it anew.
        origin.on(&path, Reply::ok("there").header("Cache-Control", "max-age=1000"));
        server.get_with(&path, &[("Cache-Control", "no-cache")]).is_whole(b"there");
        assert!(server.get(&path).is_whole(b"there").is_hit());
    }
}

#[test]
fn it_is_not_remembered_where_its_source_does_not_allow_that() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let rules = Rules::new().negative(Duration::from_secs(1000));
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).rules(rules));
    let says = |status, name: &str, value: &str| Reply::error(status).header(name, value);
    let replies = [
        says(404, "Cache-Control", "no-store"),
        says(404, "Cache-Control", "private"),
        says(404, "Cache-Control", "max-age=0"),
        says(410, "Cache-Control", "no-cache, max-age=1000"),
        says(404, "Expires", "0"),
        says(404, "Vary", "*"),
        says(404, "Cache-Control", "max-age=10").header("Age", "11"),
        says(599, "Cache-Control", "max-age=1000, must-understand"),
        Reply::error(403),
        Reply::error(500),
    ];
    for (number, reply) in replies.into_iter().enumerate() {
        let path = format!("/{number}");
        origin.on(&path, reply);
        assert_eq!([server.get(&path).is_hit(), server.get(&path).is_hit()], [false, false], "{number}");
        assert_eq!(origin.requests(&path), 2, "{number}");
    }
    // Nothing is said of this one.
    server.get("/none");
    assert!(server.get("/none").is_hit());
}

#[test]
fn each_selection_of_what_it_varies_by_is_asked_for_itself() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.handle("/", |received| match received.header("accept-language") {
        Some("de") => Reply::ok("da").header("Vary", "Accept-Language").header("Cache-Control", "max-age=60"),
        _ => Reply::error(404).header("Vary", "Accept-Language").header("Cache-Control", "max-age=60"),
    });
    let get = |language: &str| server.get_with("/file", &[("Accept-Language", language)]);
    assert_eq!([get("fr").status, get("fr").status], [404, 404]);
    assert_eq!(origin.requests("/file"), 1);
    get("de").is_whole(b"da");
    assert!(get("de").is_whole(b"da").is_hit());
    assert_eq!(get("fr").status, 404);
}

#[test]
fn what_was_asked_for_by_head_is_no_text_for_who_asks_for_it() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    for status in [204, 404, 500] {
        let path = format!("/{status}");
        origin.on(&path, Reply::error(status).header("Cache-Control", "max-age=1000"));
        assert_eq!(server.head(&path).status, status);
        assert!(server.head(&path).is_hit());
        let answer = server.get(&path);
        // What promises a content may not come without.
        assert_eq!((answer.status, answer.end), (if status == 204 { 502 } else { status }, End::Whole));
        assert_eq!(origin.requests(&path), 1);
    }
}

#[test]
fn what_one_was_told_who_has_shown_who_they_are_is_told_to_no_other() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let policy = HeaderPolicy::new().pass_credentials();
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).headers(policy));
    for credentials in [("Authorization", "Bearer a"), ("Cookie", "a=b")] {
        for reply in [Reply::error(404), Reply::ok("mine").modified("Sun, 06 Nov 1994 08:49:37 GMT")] {
            let path = format!("/{}", origin.journal().len());
            origin.on(&path, reply.clone().header("Cache-Control", "max-age=1000"));
            let status = server.get_with(&path, &[credentials]).status;
            let other = server.get(&path);
            assert_eq!((other.status, other.is_hit(), origin.requests(&path)), (status, false, 2));
        }
    }
}

#[test]
fn simultaneous_requests_are_told_the_same_by_one_answer() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::error(403).header("X-Why", "a").gate(&gate));
    let clients: Vec<_> = (0..5).map(|_| server.ask("GET", "/file", &[])).collect();
    gate.wait_arrived(1);
    ganymede_kit::wait_until("all to wait", || {
        String::from_utf8_lossy(&server.get("/-/metrics").body).contains("ganymede_clients 6\n")
    });
    gate.open();
    for client in clients {
        let answer = client.read();
        assert_eq!(
            (answer.status, answer.header("x-why"), &*answer.body),
            (403, Some("a"), &b"error 403\n"[..])
        );
    }
    assert_eq!(origin.requests("/file"), 1);
}
