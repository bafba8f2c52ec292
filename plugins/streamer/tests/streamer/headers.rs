//! Which headers pass.

use ganymede_kit::{Folder, Origin, Reply};
use ganymede_streamer::{HeaderPolicy, Streamer};

use crate::{Running, cache, keeping, passing, remote};

#[test]
fn neither_side_learns_the_credentials_of_the_other() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for server in [keeping(&origin, &folder), passing(&origin)] {
        let reply = Reply::ok("x").header("Set-Cookie", "a=b").header("Authentication-Info", "x");
        origin.on("/file", reply.header("Connection", "x-hop").header("X-Hop", "1").header("X-End", "2"));
        let secrets = [
            ("Authorization", "Bearer secret"),
            ("Cookie", "secret"),
            ("Proxy-Authorization", "Basic secret"),
        ];
        let answer = server.get_with("/file", &secrets);
        answer.is_whole(b"x");
        for name in ["set-cookie", "authentication-info", "x-hop"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("x-end"), Some("2"));
        let journal = origin.journal();
        let told = journal.last().unwrap();
        assert!(!told.headers.iter().any(|(_, value)| value.contains("secret")), "{:?}", told.headers);
    }
}

#[test]
fn the_source_is_told_what_may_matter_to_it_and_who_passes_it_on() {
    let origin = Origin::start();
    let server = passing(&origin);
    origin.on("/file", Reply::ok("x"));
    let sent = [
        ("Accept", "a/b"),
        ("Accept-Language", "de"),
        ("Accept-Encoding", "gzip"),
        ("X-Mine", "1"),
        ("Cache-Control", "max-age=3"),
    ];
    server.get_with("/file", &sent);
    let journal = origin.journal();
    let told = |name: &str| journal[0].header(name);
    assert_eq!(
        [told("accept"), told("accept-language"), told("cache-control")],
        [Some("a/b"), Some("de"), Some("max-age=3")]
    );
    assert_eq!(
        [told("x-mine"), told("accept-encoding"), told("via")],
        [None, Some("identity"), Some("1.1 ganymede")]
    );
}

#[test]
fn the_operator_decides_what_passes() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let policy =
        HeaderPolicy::new().pass_all().pass_credentials().hide("X-Hidden").unwrap().name("edge").unwrap();
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).headers(policy));
    origin.on("/file", Reply::ok("x").header("X-Hidden", "1").header("Cache-Control", "max-age=60"));
    let sent = [
        ("X-Mine", "1"),
        ("Authorization", "Bearer a"),
        ("Cookie", "b"),
        ("Connection", "x-hop"),
        ("X-Hop", "1"),
        ("TE", "trailers"),
    ];
    for asked in 1..=2 {
        let answer = server.get_with("/file", &sent);
        answer.is_whole(b"x");
        assert_eq!((answer.header("x-hidden"), answer.header("via")), (None, Some("1.1 edge")));
        // What was given to one who has shown who they are is not for others.
        assert_eq!((answer.cache(), origin.requests("/file")), ("edge; fwd=uri-miss; fwd-status=200", asked));
    }
    let journal = origin.journal();
    let told = |name: &str| journal[0].header(name);
    assert_eq!(
        [told("x-mine"), told("authorization"), told("cookie")],
        [Some("1"), Some("Bearer a"), Some("b")]
    );
    assert_eq!([told("x-hop"), told("te")], [None, None]);
    assert!(HeaderPolicy::new().name("no token").is_err() && HeaderPolicy::new().pass("a b").is_err());
}

#[test]
fn what_was_said_on_the_way_is_kept() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    let reply =
        Reply::ok("x").header("Via", "1.1 other").header("Cache-Status", "other; hit").header("Age", "7");
    origin.on("/file", reply.header("Cache-Control", "max-age=600"));
    for _ in 0..2 {
        let answer = server.get("/file");
        assert_eq!(
            (answer.header("via"), answer.header("cache-status")),
            (Some("1.1 other"), Some("other; hit"))
        );
        assert!(
            answer.cache().starts_with("ganymede; ")
                && answer.header("age").unwrap().parse::<u64>().unwrap() >= 7
        );
    }
}
