//! How streams end, rightly and wrongly.

use std::thread;
use std::time::Duration;

use ganymede::{Context, ErrorKind};
use ganymede_kit::{Gate, Reply, pattern};

use crate::{Site, fail, fetch, retry};

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

#[test]
fn a_stream_that_was_reset_in_mid_body_is_incomplete_and_gone_on_with() {
    let site = Site::new();
    let whole = Reply::ok(pattern(900_000)).etag("\"one\"").ranges();
    site.origin.on("/other", Reply::ok("other"));
    let context = Context::new();
    for code in [NO_ERROR, INTERNAL_ERROR, CANCEL, REFUSED_STREAM] {
        let path = format!("/{code}");
        site.origin.sequence(&path, [whole.clone().abort(Some(400_000), code), whole.clone()]);
        let error = fail(site.get(&path), &context);
        assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{code}: {error:?}");
        assert_eq!((error.received(), error.expected()), (400_000, Some(900_000)), "{code}");
        site.origin.sequence(&path, [whole.clone().abort(Some(400_000), code), whole.clone()]);
        let (bytes, receipt) = fetch(site.get(&path).handler(retry(1)), &context).unwrap();
        assert!(bytes == pattern(900_000), "{code}");
        assert_eq!((receipt.attempts(), receipt.head().offset()), (2, 400_000), "{code}");
        let last = site.origin.journal().pop().unwrap();
        assert_eq!(last.header("range"), Some("bytes=400000-"));
        assert_eq!(last.header("if-range"), Some("\"one\""));
    }
    assert_eq!(fetch(site.get("/other"), &context).unwrap().0, b"other");
    assert_eq!(site.origin.connections(), 1);
}

#[test]
fn a_stream_without_a_length_ends_where_it_says_so_and_nowhere_else() {
    let site = Site::new();
    let whole = Reply::ok(pattern(300_000)).chunked();
    let context = Context::new();
    site.origin.on("/whole", whole.clone());
    site.origin.on("/trailer", whole.clone().trailer("x-checksum", "none"));
    site.origin.on("/empty", Reply::ok("").chunked());
    for (path, length) in [("/whole", 300_000), ("/trailer", 300_000), ("/empty", 0)] {
        let (bytes, receipt) = fetch(site.get(path), &context).unwrap();
        assert!(bytes == pattern(length) && receipt.head().length().is_none(), "{path}");
    }
    for (code, after) in [(NO_ERROR, 100_000), (NO_ERROR, 0), (CANCEL, 100_000), (NO_ERROR, 300_000)] {
        site.origin.on("/cut", whole.clone().abort(Some(after), code));
        let error = fail(site.get("/cut"), &context);
        assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{code}: {error:?}");
    }
}

#[test]
fn a_stream_that_was_refused_is_opened_again() {
    let site = Site::new();
    let whole = Reply::ok(pattern(300_000));
    let refused = whole.clone().abort(None, REFUSED_STREAM);
    site.origin.sequence("/once", [refused.clone(), whole]);
    let context = Context::new();
    let (bytes, receipt) = fetch(site.get("/once"), &context).unwrap();
    assert!(bytes == pattern(300_000) && receipt.attempts() == 1);
    assert_eq!(site.origin.requests("/once"), 2);
    site.origin.on("/always", refused);
    let error = fail(site.get("/always"), &context);
    assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
    assert!(site.origin.requests("/always") <= 3, "{}", site.origin.requests("/always"));
}

#[test]
fn a_stream_that_was_reset_before_its_head_is_transient() {
    let site = Site::new();
    site.origin.on("/file", Reply::ok("x").abort(None, INTERNAL_ERROR));
    let error = fail(site.get("/file"), &Context::new());
    assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
}

#[test]
fn a_length_that_is_not_kept_is_malformed() {
    let site = Site::new();
    let context = Context::new();
    for length in [299_999, 300_001, 0] {
        site.origin.on("/file", Reply::ok(pattern(300_000)).length(length));
        let error = fail(site.get("/file"), &context);
        assert!(matches!(error.kind(), ErrorKind::Malformed), "{length}: {error:?}");
        assert!(error.received() <= 300_000);
    }
    site.origin.on("/other", Reply::ok("other"));
    assert_eq!(fetch(site.get("/other"), &context).unwrap().0, b"other");
    assert_eq!(site.origin.connections(), 1);
}

#[test]
fn a_stream_that_stalls_times_out_alone() {
    let (site, gate) = (Site::new(), Gate::new());
    site.origin.on("/sibling", Reply::ok(pattern(300_000)).gate_after(100_000, &gate));
    site.origin.on("/body", Reply::ok(pattern(300_000)).stall_after(100_000));
    site.origin.on("/head", Reply::ok(pattern(300_000)).stall_header());
    let context = Context::new();
    let sibling = thread::spawn({
        let (download, context) = (site.get("/sibling"), context.clone());
        move || fetch(download, &context)
    });
    gate.wait_arrived(1);
    for path in ["/body", "/head"] {
        let error = fail(site.get(path).read_timeout(Duration::from_millis(300)), &context);
        assert!(matches!(error.kind(), ErrorKind::Timeout) && error.is_transient(), "{error:?}");
    }
    site.origin.wait_resets(1);
    gate.open();
    assert!(sibling.join().unwrap().unwrap().0 == pattern(300_000));
    // Where one has waited in vain, no other is sent.
    assert_eq!(site.versions(), [(1, "HTTP/2".to_owned()), (2, "HTTP/2".to_owned())]);
}

#[test]
fn a_head_beyond_all_bounds_is_malformed() {
    let site = Site::new();
    let context = Context::new();
    let many = |count| (0..count).fold(Reply::ok("x"), |reply, at| reply.header(format!("x-{at}"), "value"));
    site.origin.on("/90", many(90));
    assert_eq!(fetch(site.get("/90"), &context).unwrap().0, b"x");
    site.origin.on("/200", many(200));
    let error = fail(site.get("/200"), &context);
    assert!(matches!(error.kind(), ErrorKind::Malformed), "{error:?}");
    assert_eq!(fetch(site.get("/200").max_headers(300), &context).unwrap().0, b"x");
    let long = |length| Reply::ok("x").header("x-long", "y".repeat(length));
    site.origin.on("/long", long(100_000));
    assert_eq!(fetch(site.get("/long"), &context).unwrap().0, b"x");
    site.origin.on("/longer", long(600_000));
    let error = fail(site.get("/longer"), &context);
    assert!(matches!(error.kind(), ErrorKind::Malformed), "{error:?}");
}
