//! All bytes, once, in order, under the head that one reply would have.

use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ganymede::conformance::{self, Source};
use ganymede::{
    ByteRange, Context, Download, FileProtocol, FileWriter, Http, Method, Protocol, Request, Segmented,
    Transfer, Url, Validator, stream,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};

use super::{PIECE, assert_once, download, fetch, plain, ranges, small, tagged};

#[test]
fn every_size_is_whole_over_any_number_of_segments_and_no_byte_is_asked_for_twice() {
    for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 13 * PIECE + 1] {
        for segments in 1..=8 {
            let origin = Origin::start();
            let url = origin.on("/file", tagged(size));
            let (receipt, content) = fetch(download(&url, segments)).unwrap();
            assert!(content == pattern(size), "{size} over {segments}");
            assert_eq!((receipt.attempts(), receipt.head().status().as_u16()), (1, 200));
            match size {
                // There is no range of nothing: it is asked for plainly then.
                0 => assert!(origin.journal().len() <= 2),
                _ if segments == 1 => assert!(ranges(&origin).is_empty() && origin.journal().len() == 1),
                _ => assert_once(&origin, 0, size),
            }
            assert!(origin.peak() <= segments, "{} for {segments}", origin.peak());
        }
    }
}

#[test]
fn the_head_is_that_of_the_whole() {
    let origin = Origin::start();
    let part_digest = "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:";
    for size in [PIECE / 2, 5 * PIECE] {
        let scripted = tagged(size)
            .modified("Mon, 05 May 2025 10:00:00 GMT")
            .header("Content-Type", "text/plain")
            .header("Content-Digest", part_digest);
        let url = origin.on("/file", scripted);
        let reply = small(3).send(&Request::get(&url).unwrap(), &Context::new()).unwrap();
        let head = reply.head();
        assert_eq!((head.status().as_u16(), head.offset()), (200, 0));
        assert_eq!((head.length(), head.total()), (Some(size as u64), Some(size as u64)));
        assert_eq!(head.header("content-length"), Some(size.to_string().as_str()));
        assert_eq!((head.etag(), head.header("content-type")), (Some("\"one\""), Some("text/plain")));
        assert!(head.modified().is_some());
        assert_eq!((head.header("content-range"), head.header("content-digest")), (None, None));
        let mut content = Vec::new();
        reply.into_parts().1.unwrap().read_to_end(&mut content).unwrap();
        assert!(content == pattern(size));
    }
}

#[test]
fn a_range_of_the_callers_is_that_range() {
    let size = 9 * PIECE;
    for (first, last) in
        [(5, None), (PIECE + 7, Some(6 * PIECE)), (3, Some(9)), (size - 1, None), (7, Some(size * 2))]
    {
        let origin = Origin::start();
        let url = origin.on("/file", tagged(size));
        let range = ByteRange::new(first as u64, last.map(|last| last as u64)).unwrap();
        let mut request = Request::get(&url).unwrap();
        request.set_range(Some(range));
        let reply = small(4).send(&request, &Context::new()).unwrap();
        let (head, body) = reply.into_parts();
        let end = last.map_or(size, |last| size.min(last + 1));
        assert_eq!((head.status().as_u16(), head.offset()), (206, first as u64));
        assert_eq!((head.length(), head.total()), (Some((end - first) as u64), Some(size as u64)));
        let told = format!("bytes {first}-{}/{size}", end - 1);
        assert_eq!(head.header("content-range"), Some(told.as_str()));
        let mut content = Vec::new();
        body.unwrap().read_to_end(&mut content).unwrap();
        assert!(content == pattern(size)[first..end], "{range}");
        if end - first > PIECE {
            assert_once(&origin, first, end);
            assert!(ranges(&origin).len() > 1);
        }
        let (_, content) = fetch(download(&url, 4).range(range)).unwrap();
        assert!(content == pattern(size)[first..end]);
    }
}

#[test]
fn a_source_that_sends_everything_or_no_parts_is_heard_as_without_segments() {
    let content = pattern(6 * PIECE);
    let whole = || Reply::ok(pattern(6 * PIECE)).etag("\"one\"");
    for everything in [whole(), whole().chunked(), whole().no_length()] {
        let origin = Origin::start();
        let url = origin.on("/file", everything);
        assert!(fetch(download(&url, 4)).unwrap().1 == content);
        assert_eq!(origin.journal().len(), 1);
    }
    let untagged = Reply::ok(content.clone()).ranges();
    let weak = tagged(content.len()).etag("W/\"one\"");
    let elsewhere = tagged(content.len()).range_shift(10);
    for source in [untagged, weak, elsewhere] {
        let origin = Origin::start();
        let url = origin.on("/file", source);
        assert!(fetch(download(&url, 4)).unwrap().1 == content);
        assert_eq!((origin.journal().len(), ranges(&origin).len()), (2, 1));
    }
    for status in [400, 405, 416, 501] {
        let origin = Origin::start();
        let whole = whole();
        let url = origin.handle("/", move |received| match received.header("range") {
            Some(_) => Reply::error(status),
            None => whole.clone(),
        });
        assert!(fetch(download(&url, 4)).unwrap().1 == content, "{status}");
        assert_eq!((origin.journal().len(), ranges(&origin).len()), (2, 1));
    }
}

#[test]
fn a_part_without_a_total_or_without_a_length_is_not_divided() {
    let content = pattern(3 * PIECE);
    let total_unknown = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"one\"\r\nContent-Range: bytes 0-{}/*\r\n\r\n",
        PIECE - 1
    );
    let nameless = "HTTP/1.1 206 Partial Content\r\nETag: \"one\"\r\n\r\n".to_owned();
    for head in [total_unknown, nameless] {
        let origin = Origin::start();
        let url = origin.handle("/", move |received| match received.header("range") {
            Some(_) => Reply::raw([head.as_bytes(), &pattern(PIECE)].concat()),
            None => tagged(3 * PIECE),
        });
        assert!(fetch(download(&url, 3)).unwrap().1 == content);
        assert_eq!(origin.journal().len(), 2);
    }
}

#[test]
fn what_is_missing_or_forbidden_is_asked_for_once() {
    let origin = Origin::start();
    for status in [401, 403, 404, 410, 429, 503] {
        let url = origin.on(&format!("/{status}"), Reply::error(status));
        let error = fetch(download(&url, 4)).unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert_eq!(origin.requests(&format!("/{status}")), 1);
    }
}

#[test]
fn the_head_alone_and_what_may_not_have_changed_are_asked_for_as_they_are() {
    let origin = Origin::start();
    let url = origin.on("/file", tagged(5 * PIECE));
    let mut request = Request::get(&url).unwrap();
    request.set_method(Method::Head);
    assert!(!small(4).send(&request, &Context::new()).unwrap().has_body());
    let mut request = Request::get(&url).unwrap();
    request.set_if_changed(Some(Validator::ETag("\"one\"".to_owned())));
    assert_eq!(small(4).send(&request, &Context::new()).unwrap().head().status().as_u16(), 304);
    let mut request = Request::get(&url).unwrap();
    request.set_header("if-none-match", "\"one\"").unwrap();
    assert_eq!(small(4).send(&request, &Context::new()).unwrap().head().status().as_u16(), 304);
    assert_eq!((origin.journal().len(), ranges(&origin).len()), (3, 0));
}

#[test]
fn where_a_redirect_leads_is_asked_from_then_on() {
    let (front, store) = (Origin::start(), Origin::start());
    let size = 8 * PIECE;
    let there = store.on("/stored", tagged(size));
    let url = front.on("/file", Reply::redirect(302, there));
    let mut transfer = download(&url, 3);
    transfer.request_mut().set_header("x-account", "7").unwrap();
    assert!(fetch(transfer).unwrap().1 == pattern(size));
    assert_eq!(front.journal().len(), 1);
    assert_once(&store, 0, size);
    assert!(store.journal().iter().all(|received| received.header("x-account").is_none()));
}

#[test]
fn a_redirect_that_serves_once_only_is_asked_for_again() {
    let (front, store) = (Origin::start(), Origin::start());
    let size = 8 * PIECE;
    let (next, base) = (AtomicUsize::new(0), store.url("/"));
    let url = front.handle("/", move |_| {
        let number = next.fetch_add(1, Ordering::SeqCst);
        Reply::redirect(302, format!("{base}{number}"))
    });
    let (whole, used) = (tagged(size), Mutex::new(HashSet::new()));
    store.handle("/", move |received| match used.lock().unwrap().insert(received.target.clone()) {
        true => whole.clone(),
        false => Reply::error(403),
    });
    assert!(fetch(download(&url, 3)).unwrap().1 == pattern(size));
}

#[test]
fn a_later_run_goes_on_with_what_was_interrupted_and_asks_only_for_the_rest() {
    let folder = Folder::new();
    let size = 12 * PIECE;
    let origin = Origin::start();
    let whole = tagged(size);
    let url = origin.handle("/", move |received| match range(received.header("range")) {
        first if first >= 6 * PIECE => Reply::error(404),
        _ => whole.clone(),
    });
    let into = || FileWriter::new(folder.file("file"));
    let error = download(&url, 3).writer(into()).run(&Context::new()).unwrap_err();
    assert!(error.is_not_found());
    let kept = usize::try_from(error.received()).unwrap();
    assert!((PIECE..=6 * PIECE).contains(&kept), "{kept}");
    // The same place, in better health.
    origin.on("/", tagged(size));
    let before = origin.journal().len();
    let receipt = download(&url, 3).writer(into()).run(&Context::new()).unwrap();
    assert!(folder.read("file") == pattern(size));
    assert_eq!(receipt.facts().size(), size as u64);
    let mut asked: Vec<usize> =
        origin.journal()[before..].iter().map(|received| range(received.header("range"))).collect();
    asked.sort_unstable();
    assert_eq!(asked[0], kept);
    assert!(asked.len() > 2);
}

/// The first byte of a range.
fn range(value: Option<&str>) -> usize {
    value.map_or(0, |value| super::range(value).0)
}

#[test]
fn a_stream_has_the_same_head_and_bytes() {
    let origin = Origin::start();
    let url = origin.on("/file", tagged(9 * PIECE));
    let (head, mut body) = stream(download(&url, 4), &Context::new()).unwrap();
    assert_eq!((head.status().as_u16(), head.length()), (200, Some(9 * PIECE as u64)));
    let mut content = Vec::new();
    body.read_to_end(&mut content).unwrap();
    assert!(content == pattern(9 * PIECE));
}

#[test]
fn no_more_is_asked_for_than_the_window_holds() {
    let origin = Origin::start();
    let size = 32 * PIECE;
    let url = origin.on("/file", tagged(size));
    let window = 4 * PIECE;
    let protocol = Segmented::new(Http::new().no_proxy()).segments(4).window(window);
    let reply = protocol.send(&Request::get(&url).unwrap(), &Context::new()).unwrap();
    let mut body = reply.into_parts().1.unwrap();
    origin.wait_requests(4);
    let mut content = Vec::new();
    while content.len() < size {
        let asked = ranges(&origin).last().unwrap().1 + 1;
        // What is read of a piece makes room when all of it is.
        assert!(asked <= content.len() + window, "{asked} with {} read", content.len());
        let mut block = vec![0; 10_000];
        let length = body.read(&mut block).unwrap();
        content.extend_from_slice(&block[..length]);
    }
    assert!(content == pattern(size));
    assert_once(&origin, 0, size);
}

struct Web(Origin, fn(Http) -> Box<dyn Protocol>);

impl Source for Web {
    fn protocol(&self) -> Box<dyn Protocol> {
        (self.1)(Http::new().no_proxy())
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        let path = format!("/{}", self.0.journal().len());
        Some(self.0.on(&path, Reply::ok(content).ranges().etag("\"1\"")))
    }

    fn missing(&self) -> String {
        self.0.url("/missing")
    }

    fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
        let whole = Reply::ok(content).ranges().etag("\"1\"");
        // What it sends once could be gone on with: it never sends more than that.
        Some(self.0.sequence("/broken", [whole.clone().cut_after(sent as u64), whole.cut_after(0)]))
    }

    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        Some(self.0.on("/stalled", Reply::ok(content).ranges().etag("\"1\"").stall_after(sent as u64)))
    }
}

#[test]
fn it_conforms() {
    conformance::protocol(&Web(Origin::start(), |http| {
        Box::new(Segmented::new(http).segments(3).window(PIECE))
    }));
    conformance::protocol(&Web(Origin::start(), |http| Box::new(Segmented::new(http).least(1))));
}

#[test]
fn a_file_is_never_divided() {
    let folder = Folder::new();
    let path = folder.write("file", pattern(5 * PIECE));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let spied = move |request: &Request, context: &Context| {
        noted.lock().unwrap().push(request.range());
        FileProtocol::new().send(request, context)
    };
    let url = Url::from_file_path(path).unwrap();
    let transfer = Transfer::new(Request::new(url), Segmented::new(spied).segments(4));
    assert!(fetch(transfer).unwrap().1 == pattern(5 * PIECE));
    assert_eq!(*seen.lock().unwrap(), [None]);
}

#[test]
fn it_is_put_around_the_protocol_after_its_settings_are_made() {
    let origin = Origin::start();
    let url = origin.on("/file", tagged(4 * PIECE).require_basic("amy", "secret"));
    let transfer = plain(&url).user("amy", "secret").map(|http| Segmented::new(http).segments(2));
    assert!(fetch(transfer).unwrap().1 == pattern(4 * PIECE));
}
