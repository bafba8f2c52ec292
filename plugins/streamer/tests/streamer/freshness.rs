//! How long what is stored is used, and what is asked when it is stale.

use std::time::{Duration, SystemTime};

use ganymede_kit::{Folder, Gate, Origin, Reply, Response, pattern, wait_until};
use ganymede_streamer::{Rules, Streamer};

use crate::{Running, cache, keeping, remote};

/// A reply that was made, as it says, so many seconds ago.
fn aged(reply: Reply, seconds: u64) -> Reply {
    reply.header("Age", seconds.to_string())
}

fn conditions(origin: &Origin) -> Vec<Option<String>> {
    origin.journal().iter().map(|received| received.header("if-none-match").map(str::to_owned)).collect()
}

#[test]
fn a_stale_one_is_asked_for_by_its_tag_and_used_again_when_it_holds() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    let reply = Reply::ok(pattern(100_000)).etag("\"a\"");
    origin.sequence(
        "/file",
        [
            aged(reply.clone(), 100).header("Cache-Control", "max-age=50").header("X-Version", "1"),
            reply.header("Cache-Control", "max-age=60").header("X-Version", "2"),
        ],
    );
    server.get("/file").is_whole(&pattern(100_000));
    let renewed = server.get("/file");
    renewed.is_whole(&pattern(100_000));
    assert_eq!(renewed.cache(), "ganymede; fwd=stale; fwd-status=304; ttl=60");
    assert_eq!(renewed.header("x-version"), Some("2"));
    assert_eq!(conditions(&origin), [None, Some("\"a\"".to_owned())]);
    // It is fresh again, and the 304 had no body.
    let hit = server.get("/file");
    assert!(hit.is_whole(&pattern(100_000)).is_hit());
    assert_eq!(
        (hit.header("x-version"), origin.sent_in_all("/file"), origin.requests("/file")),
        (Some("2"), 100_000, 2)
    );
}

#[test]
fn a_stale_one_that_has_changed_is_replaced() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok("old").etag("\"a\"").header("Cache-Control", "no-cache"));
    server.get("/file").is_whole(b"old");
    origin.on("/file", Reply::ok("new").etag("\"b\"").header("Cache-Control", "max-age=60"));
    server.get("/file").is_whole(b"new");
    assert!(server.get("/file").is_whole(b"new").is_hit());
    wait_until("the old one to be gone", || crate::files(&folder, "objects").len() == 1);
}

#[test]
fn without_anything_to_tell_it_by_a_stale_one_is_fetched_again() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok("x"));
    server.get("/file").is_whole(b"x");
    server.get("/file").is_whole(b"x");
    assert_eq!(conditions(&origin), [None, None]);
}

#[test]
fn a_modification_long_ago_makes_fresh_for_a_tenth_of_that() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/old", Reply::ok("x").modified("Sun, 06 Nov 1994 08:49:37 GMT"));
    server.get("/old");
    assert!(server.get("/old").is_whole(b"x").is_hit());
    let now = httpdate::fmt_http_date(SystemTime::now());
    origin.on("/new", Reply::ok("x").modified(now.clone()));
    server.get("/new");
    server.get("/new").is_whole(b"x");
    assert_eq!(origin.journal().last().unwrap().header("if-modified-since"), Some(&*now));
}

#[test]
fn a_200_that_somebody_has_changed_on_the_way_is_kept_as_such() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.on("/file", Reply::ok(pattern(1000)).status(203).header("Cache-Control", "max-age=60"));
    for hit in [false, true, true] {
        // It is so after a restart, too.
        let server = keeping(&origin, &folder);
        let answer = server.get("/file");
        assert_eq!((answer.status, answer.is_hit(), answer.body == pattern(1000)), (203, hit, true));
        let part = server.get_with("/file", &[("Range", "bytes=1-3")]);
        assert_eq!((part.status, part.body == pattern(1000)[1..4]), (206, true));
    }
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn what_is_said_to_caches_of_this_kind_counts_alone() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let rules = Rules::new().targets(["Surrogate-Control", "CDN-Cache-Control"]).unwrap();
    let own = Streamer::new(remote(&origin)).cache(cache(&folder)).rules(rules);
    let says = |name: &str| Reply::ok("x").header("Cache-Control", "no-store").header(name, "max-age=60");
    origin.on("/surrogate", says("Surrogate-Control"));
    origin.on("/network", says("CDN-Cache-Control"));
    {
        let server = Running::start(own);
        for path in ["/surrogate", "/network"] {
            server.get(path).is_whole(b"x");
            assert!(server.get(path).is_whole(b"x").is_hit(), "{path}");
        }
    }
    let other = Folder::new();
    let server = keeping(&origin, &other);
    for (path, hit) in [("/surrogate", false), ("/network", true)] {
        server.get(path).is_whole(b"x");
        assert_eq!(server.get(path).is_whole(b"x").is_hit(), hit, "{path}");
    }
}

#[test]
fn a_304_changes_what_is_said_of_the_content_and_not_what_is_said_of_its_bytes() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    let with = |reply: Reply, value: &str| {
        let names = ["Content-Type", "Content-MD5", "Content-Encoding", "X-Other", "Content-Range"];
        names.into_iter().fold(reply, |reply, name| reply.header(name, value))
    };
    let control = ("Cache-Control", "max-age=10");
    let old = with(aged(Reply::ok("x"), 100), "old").header(control.0, control.1).header("ETag", "\"a\"");
    let new = with(Reply::ok("").status(304), "new").header(control.0, control.1).header("ETag", "\"b\"");
    origin.sequence("/file", [old, new]);
    server.get("/file").is_whole(b"x");
    for hit in [false, true] {
        let answer = server.get("/file");
        let said = |name| answer.header(name).unwrap_or_default();
        assert_eq!(answer.is_whole(b"x").is_hit(), hit);
        assert_eq!([said("content-type"), said("x-other")], ["new", "new"]);
        assert_eq!([said("content-md5"), said("content-encoding"), said("content-range")], ["old"; 3]);
        // By this tag it was told that it still holds.
        assert_eq!(said("etag"), "\"a\"");
    }
    assert_eq!(conditions(&origin), [None, Some("\"a\"".to_owned())]);
}

#[test]
fn what_must_not_be_kept_is_not() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    for (number, control) in ["no-store", "private", "no-store, max-age=60"].into_iter().enumerate() {
        let path = format!("/{number}");
        origin.on(&path, Reply::ok("x").header("Cache-Control", control));
        server.get(&path).is_whole(b"x");
        let again = server.get(&path);
        assert_eq!(again.is_whole(b"x").cache(), "ganymede; fwd=uri-miss; fwd-status=200", "{control}");
        assert_eq!(origin.requests(&path), 2);
    }
    origin.on("/any", Reply::ok("x").header("Vary", "*").header("Cache-Control", "max-age=60"));
    server.get("/any");
    server.get("/any");
    assert_eq!(origin.requests("/any"), 2);
    assert_eq!(crate::files(&folder, "objects"), [""; 0]);
}

#[test]
fn a_client_may_want_it_fresher_or_only_from_the_cache() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    let with = |control: &str| server.get_with("/file", &[("Cache-Control", control)]);
    origin.on("/file", aged(Reply::ok("x"), 30).etag("\"a\"").header("Cache-Control", "max-age=60"));
    assert_eq!(with("only-if-cached").status, 504);
    assert_eq!(origin.requests("/file"), 0);
    with("max-age=0").is_whole(b"x");
    assert!(with("only-if-cached").is_whole(b"x").is_hit());
    assert!(with("max-age=60").is_whole(b"x").is_hit());
    let asked =
        |answer: Response| assert!(answer.is_whole(b"x").cache().contains("fwd=request; fwd-status=304"));
    asked(with("no-cache"));
    asked(with("max-age=10"));
    asked(with("min-fresh=40"));
    asked(server.get_with("/file", &[("Pragma", "no-cache")]));
    assert_eq!(origin.requests("/file"), 5);
}

#[test]
fn what_a_client_wants_nobody_to_keep_is_not_kept() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok("x").header("Cache-Control", "max-age=60"));
    server.get_with("/file", &[("Cache-Control", "no-store")]).is_whole(b"x");
    assert!(!server.get("/file").is_whole(b"x").is_hit());
    assert_eq!(origin.requests("/file"), 2);
}

#[test]
fn a_stale_one_is_used_while_it_is_asked_for_if_its_source_allows_that() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let server = keeping(&origin, &folder);
    let control = ("Cache-Control", "max-age=10, stale-while-revalidate=1000");
    let old = aged(Reply::ok("old"), 100).etag("\"a\"").header(control.0, control.1);
    let new = Reply::ok("new").etag("\"b\"").header(control.0, control.1);
    origin.sequence("/file", [old, new.gate(&gate)]);
    server.get("/file").is_whole(b"old");
    for _ in 0..3 {
        let stale = server.get("/file");
        assert!(stale.is_whole(b"old").cache().starts_with("ganymede; hit; ttl=-9"), "{}", stale.cache());
    }
    gate.wait_arrived(1);
    gate.open();
    wait_until("the new one", || server.get("/file").body == b"new");
    assert_eq!(origin.requests("/file"), 2);
}

#[test]
fn a_stale_one_is_used_when_the_source_fails_if_that_is_allowed() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let rules = Rules::new().negative(Duration::ZERO);
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).rules(rules));
    let stale = |control: &str| aged(Reply::ok("x"), 100).etag("\"a\"").header("Cache-Control", control);
    origin.sequence(
        "/yes",
        [stale("max-age=10, stale-if-error=1000"), Reply::error(500), Reply::ok("").cut_after(0).length(9)],
    );
    origin.sequence("/no", [stale("max-age=10"), Reply::error(500)]);
    origin.sequence("/must", [stale("max-age=10, stale-if-error=1000, must-revalidate"), Reply::error(500)]);
    origin
        .sequence("/gone", [stale("max-age=10, stale-if-error=1000"), Reply::error(404), Reply::error(500)]);
    for path in ["/yes", "/no", "/must", "/gone"] {
        server.get(path).is_whole(b"x");
    }
    for _ in 0..2 {
        let answer = server.get("/yes");
        assert!(
            answer.is_whole(b"x").is_hit() && answer.cache().ends_with("; detail=source-failed"),
            "{}",
            answer.cache()
        );
    }
    assert_eq!([server.get("/no").status, server.get("/must").status], [500, 500]);
    // What is not there any more is not there in need either.
    assert_eq!([server.get("/gone").status, server.get("/gone").status], [404, 500]);
}

#[test]
fn the_operator_may_allow_stale_ones_where_the_source_says_nothing() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let rules = Rules::new().stale_if_error(Duration::from_secs(1000));
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).rules(rules));
    origin.on("/file", Reply::ok("x").header("Cache-Control", "max-age=0"));
    server.get("/file").is_whole(b"x");
    drop(origin);
    assert!(server.get("/file").is_whole(b"x").is_hit());
}

#[test]
fn that_there_is_nothing_is_remembered_for_a_while_and_not_longer() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let rules = Rules::new().negative(Duration::from_millis(200));
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).rules(rules));
    assert_eq!(server.get("/file").status, 404);
    // Within the time, however slow this is, or after it.
    let before = origin.requests("/file");
    let again = server.get("/file");
    assert!(again.status == 404 && (again.is_hit() || origin.requests("/file") > before));
    origin.on("/file", Reply::ok("x").header("Cache-Control", "max-age=60"));
    wait_until("it to be asked for again", || server.get("/file").status == 200);
    server.get("/file").is_whole(b"x");
}

#[test]
fn a_client_that_asks_anew_is_told_what_the_source_says_now() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let rules = Rules::new().negative(Duration::from_secs(1000));
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).rules(rules));
    assert_eq!(server.get("/file").status, 404);
    origin.on("/file", Reply::ok("x").header("Cache-Control", "max-age=60"));
    assert!(server.get("/file").status == 404 && server.get("/file").is_hit());
    server.get_with("/file", &[("Cache-Control", "no-cache")]).is_whole(b"x");
    assert!(server.get("/file").is_whole(b"x").is_hit());
}

#[test]
fn each_selection_of_what_a_source_varies_by_is_kept_for_itself() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.handle("/", |received| {
        let language = received.header("accept-language").unwrap_or("none").to_owned();
        Reply::ok(language).header("Vary", "Accept-Language, X-Other").header("Cache-Control", "max-age=60")
    });
    let get =
        |language: &str| server.get_with("/file", &[("Accept-Language", language), ("X-Other", language)]);
    for language in ["de", "fr"] {
        assert!(!get(language).is_whole(language.as_bytes()).is_hit());
    }
    for language in ["de", "fr"] {
        assert!(get(language).is_whole(language.as_bytes()).is_hit());
    }
    assert!(server.get("/file").is_whole(b"none").cache().contains("fwd=vary-miss"));
    assert_eq!(origin.requests("/file"), 3);
    wait_until("all to be stored", || crate::files(&folder, "objects").len() == 3);
}

#[test]
fn what_has_the_expected_digest_is_right_however_old_and_what_has_another_is_not() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.on("/file", Reply::ok("old").header("Cache-Control", "no-cache"));
    {
        let remote = remote(&origin).digests(crate::digests("/file", b"old"));
        let server = Running::start(Streamer::new(remote).cache(cache(&folder)));
        server.get("/file").is_whole(b"old");
        assert!(server.get("/file").is_whole(b"old").is_hit());
        assert_eq!(origin.requests("/file"), 1);
    }
    origin.on("/file", Reply::ok("new").etag("\"a\""));
    let remote = remote(&origin).digests(crate::digests("/file", b"new"));
    let server = Running::start(Streamer::new(remote).cache(cache(&folder)));
    server.get("/file").is_whole(b"new");
    assert_eq!((conditions(&origin).last(), origin.requests("/file")), (Some(&None), 2));
}
