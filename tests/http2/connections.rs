//! When a connection ends, or should have.

use std::time::Duration;

use ganymede::{Context, ErrorKind};
use ganymede_kit::{Break, Passage, Relay, Reply, pattern};

use crate::{Site, fail, fetch, retry};

const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 0xb;
const HTTP_1_1_REQUIRED: u32 = 0xd;

#[test]
fn a_connection_that_says_farewell_ends_what_it_began_and_the_next_request_goes_elsewhere() {
    let site = Site::new();
    site.origin.on("/last", Reply::ok(pattern(300_000)).go_away(Some(100_000), true, NO_ERROR));
    site.origin.on("/next", Reply::ok("next"));
    let context = Context::new();
    let (bytes, receipt) = fetch(site.get("/last"), &context).unwrap();
    assert!(bytes == pattern(300_000) && receipt.attempts() == 1);
    assert_eq!(fetch(site.get("/next"), &context).unwrap().0, b"next");
    let http2 = || "HTTP/2".to_owned();
    assert_eq!(site.versions(), [(1, http2()), (2, http2())]);
    site.origin.wait_open(1);
}

#[test]
fn a_request_that_a_farewell_says_was_not_looked_at_is_sent_again() {
    let site = Site::new();
    let whole = Reply::ok(pattern(300_000));
    site.origin.sequence("/file", [whole.clone().go_away(None, false, NO_ERROR), whole]);
    let (bytes, receipt) = fetch(site.get("/file"), &Context::new()).unwrap();
    assert!(bytes == pattern(300_000));
    // Nothing has failed: it had never begun.
    assert_eq!((receipt.attempts(), site.origin.requests("/file"), site.origin.connections()), (1, 2, 2));
}

#[test]
fn a_farewell_in_the_middle_of_a_body_that_it_disowns_is_no_end_of_that() {
    let site = Site::new();
    // The length is known only when it ends.
    let reply = Reply::ok(pattern(300_000)).chunked().go_away(Some(100_000), false, NO_ERROR);
    site.origin.on("/file", reply);
    let error = fail(site.get("/file"), &Context::new());
    assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
}

#[test]
fn a_connection_that_ends_with_an_error_is_gone_on_with_on_another() {
    let site = Site::new();
    let whole = Reply::ok(pattern(900_000)).etag("\"one\"").ranges();
    site.origin.sequence("/file", [whole.clone().go_away(Some(400_000), true, ENHANCE_YOUR_CALM), whole]);
    let (bytes, receipt) = fetch(site.get("/file").handler(retry(1)), &Context::new()).unwrap();
    assert!(bytes == pattern(900_000));
    assert_eq!((receipt.attempts(), receipt.head().offset()), (2, 400_000));
    let second = &site.origin.journal()[1];
    assert_eq!(second.header("range"), Some("bytes=400000-"));
    assert_eq!(second.header("if-range"), Some("\"one\""));
    assert_eq!(site.origin.connections(), 2);
}

#[test]
fn a_server_that_wants_calm_is_asked_again_later() {
    let site = Site::new();
    site.origin.on("/file", Reply::ok("x").go_away(None, true, ENHANCE_YOUR_CALM));
    let error = fail(site.get("/file"), &Context::new());
    assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
}

#[test]
fn a_server_that_requires_http_1_1_gets_it() {
    let site = Site::new();
    site.origin.handle("/", |received| {
        let reply = Reply::ok(pattern(300_000));
        if received.version == "HTTP/2" { reply.abort(None, HTTP_1_1_REQUIRED) } else { reply }
    });
    let context = Context::new();
    for _ in 0..2 {
        let (bytes, receipt) = fetch(site.get("/file"), &context).unwrap();
        assert!(bytes == pattern(300_000) && receipt.attempts() == 1);
    }
    assert!(site.versions().iter().any(|(_, version)| version == "HTTP/1.1"));
}

#[test]
fn a_connection_that_was_cut_is_an_incomplete_body() {
    let site = Site::new();
    for reply in [Reply::ok(pattern(300_000)), Reply::ok(pattern(300_000)).chunked()] {
        site.origin.on("/file", reply.cut_after(100_000));
        let error = fail(site.get("/file"), &Context::new());
        assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
        assert_eq!(error.received(), 100_000);
    }
}

#[test]
fn an_idle_connection_that_was_closed_fails_nobody() {
    let site = Site::new();
    site.origin.on("/file", Reply::ok("whole"));
    // Enough for one request and its answer, and not for two.
    let relay = Relay::start(site.origin.address(), [Passage::After(2_000, Break::Close), Passage::Pass]);
    let context = Context::new();
    for _ in 0..20 {
        let (bytes, receipt) = fetch(site.fetching(&relay.url("https", "/file")), &context).unwrap();
        assert!(bytes == b"whole" && receipt.attempts() == 1);
    }
    assert_eq!(relay.connections(), 2);
}

#[test]
fn a_connection_that_has_died_in_silence_is_given_up() {
    let site = Site::new();
    site.origin.on("/first", Reply::ok("first"));
    site.origin.on("/file", Reply::ok(pattern(300_000)));
    let stall = Passage::After(100_000, Break::Stall);
    let relay = Relay::start(site.origin.address(), [stall, Passage::Pass]);
    let context = Context::new();
    let get = |path: &str| {
        site.fetching(&relay.url("https", path)).read_timeout(Duration::from_secs(1)).handler(retry(1))
    };
    assert_eq!(fetch(get("/first"), &context).unwrap().0, b"first");
    let (bytes, receipt) = fetch(get("/file"), &context).unwrap();
    assert!(bytes == pattern(300_000) && receipt.attempts() == 2);
    assert_eq!(relay.connections(), 2);
}
