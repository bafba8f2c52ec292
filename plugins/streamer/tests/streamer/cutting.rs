//! What goes wrong at the source: no client may take what it got for the content.

use ganymede_kit::{Client, End, Folder, Gate, Origin, Reply, pattern};
use ganymede_streamer::{Remote, Streamer};

use crate::{LARGE, Running, cache, digests, files, keeping, passing, remote};

/// Servers of a remote, with a cache and without.
fn both(remote: &Remote, folder: &Folder) -> [Running; 2] {
    let kept = Streamer::new(remote.clone()).cache(cache(folder));
    [Running::start(kept), Running::start(Streamer::new(remote.clone()))]
}

#[test]
fn a_wrong_body_is_an_error_before_its_first_byte_and_a_reset_after_it() {
    let origin = Origin::start();
    for (size, framing) in [(1000, "length"), (LARGE, "length"), (LARGE, "chunked"), (LARGE, "close")] {
        let right = pattern(size);
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        let reply = Reply::ok(wrong).header("Cache-Control", "max-age=60");
        let reply = match framing {
            "chunked" => reply.chunked(),
            "close" => reply.no_length(),
            _ => reply,
        };
        origin.on("/file", reply);
        let folder = Folder::new();
        for server in both(&remote(&origin).digests(digests("/file", &right)), &folder) {
            for _ in 0..2 {
                let answer = server.get("/file");
                if size == LARGE {
                    answer.is_cut();
                } else {
                    assert_eq!((answer.status, answer.end), (502, End::Whole));
                }
            }
            let old = Client::ask(server.connect(), "GET", "/file", "HTTP/1.0", &[]).read();
            // The end of such a connection is the end of its content, so it must not come in good order.
            assert!(
                old.status != 200 || old.end == End::Reset,
                "{size} {framing}: {} {:?}",
                old.status,
                old.end
            );
        }
        assert_eq!(files(&folder, "objects"), [""; 0]);
    }
}

#[test]
fn a_range_of_a_wrong_body_is_never_complete() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let right = pattern(LARGE);
    let mut wrong = right.clone();
    wrong[LARGE - 1] ^= 1;
    origin.on("/file", Reply::ok(wrong));
    for server in both(&remote(&origin).digests(digests("/file", &right)), &folder) {
        for range in ["bytes=0-9", "bytes=100000-900000", "bytes=-5", "bytes=0-4,10-14"] {
            let answer = server.get_with("/file", &[("Range", range)]);
            assert_ne!(answer.end, End::Whole, "{range}: {} {} bytes", answer.status, answer.body.len());
        }
    }
}

#[test]
fn a_range_of_a_right_body_is_complete_once_all_of_it_is_there() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let right = pattern(LARGE);
    let gate = Gate::new();
    origin.on("/file", Reply::ok(right.clone()).gate_after(2_000_000, &gate));
    let [server, _] = both(&remote(&origin).digests(digests("/file", &right)), &folder);
    let client = server.ask("GET", "/file", &[("Range", "bytes=1000-499999")]);
    gate.wait_arrived(1);
    gate.open();
    let answer = client.read();
    assert_eq!((answer.status, answer.end), (206, End::Whole));
    assert!(answer.body == right[1000..500_000]);
    assert_eq!(answer.header("content-range"), Some("bytes 1000-499999/3000000"));
}

#[test]
fn a_source_that_breaks_off_is_a_reset() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for server in [keeping(&origin, &folder), passing(&origin)] {
        let whole = Reply::ok(pattern(LARGE));
        let faults = [
            whole.clone().cut_after(1_000_000),
            whole.clone().reset_after(1_000_000),
            whole.clone().chunked().cut_after(1_000_000),
            whole.clone().chunked().cut_after(LARGE as u64),
            whole.length(LARGE as u64 + 1),
        ];
        for fault in faults {
            origin.on("/file", fault);
            server.get("/file").is_cut();
            let old = Client::ask(server.connect(), "GET", "/file", "HTTP/1.0", &[]).read();
            assert!(old.status != 200 || old.end == End::Reset, "{} {:?}", old.status, old.end);
        }
        assert_eq!(files(&folder, "objects"), [""; 0]);
    }
}

#[test]
fn what_breaks_off_goes_on_at_the_same_byte_where_it_can() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let remote = Remote::new(&origin.url("/")).unwrap();
    for server in both(&remote, &folder) {
        let whole = Reply::ok(pattern(LARGE)).etag("\"a\"").ranges();
        origin.sequence("/file", [whole.clone().cut_after(1_000_000), whole]);
        server.get("/file").is_whole(&pattern(LARGE));
    }
}

#[test]
fn a_content_that_changes_in_the_middle_is_never_mixed() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let remote = Remote::new(&origin.url("/")).unwrap();
    for server in both(&remote, &folder) {
        let old = Reply::ok(pattern(LARGE)).etag("\"a\"").ranges();
        let new = Reply::ok(vec![7; LARGE]).etag("\"b\"").ranges();
        origin.sequence("/file", [old.cut_after(1_000_000), new]);
        let answer = server.get("/file");
        answer.is_cut();
        assert!(pattern(LARGE).starts_with(&answer.body));
    }
}
