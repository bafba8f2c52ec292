//! Bad pieces: fetched again, alone, from elsewhere.

use std::sync::mpsc::channel;
use std::thread;

use ganymede::{
    Context, DigestValidation, Download, ErrorKind, Limits, MirrorDelegate, RetryDelegate, ValidationError,
};
use ganymede_kit::{Origin, PATIENCE, Reply, pattern};

use crate::support::{PIECE, damaged, pieces, range_of, ranges, sha256, verified};

const SIZE: usize = 10 * PIECE + 1_000;

fn whole(content: Vec<u8>) -> Reply {
    Reply::ok(content).ranges().etag("\"one\"")
}

#[test]
fn a_bad_piece_is_fetched_again_alone_from_another_mirror() {
    let (content, origin, mirror) = (pattern(SIZE), Origin::start(), Origin::start());
    let url = origin.on("/file", whole(damaged(&content, [3])));
    let other = mirror.on("/file", whole(content.clone()).etag("\"another\""));
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download.handler(MirrorDelegate::new([other.parse().unwrap()]));
    let receipt = download.run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert_eq!((receipt.attempts(), receipt.source().as_str()), (1, url.as_str()));
    assert_eq!(ranges(&origin, "/file"), [""]);
    assert_eq!(ranges(&mirror, "/file"), [range_of(3)]);
}

#[test]
fn the_last_piece_is_asked_for_as_short_as_it_is() {
    let (content, origin, mirror) = (pattern(SIZE), Origin::start(), Origin::start());
    let mut bad = content.clone();
    bad[SIZE - 1] ^= 1;
    let url = origin.on("/file", whole(bad));
    let other = mirror.on("/file", whole(content.clone()));
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download.handler(MirrorDelegate::new([other.parse().unwrap()]));
    download.run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert_eq!(ranges(&mirror, "/file"), [format!("bytes={}-{}", 10 * PIECE, SIZE - 1)]);
}

#[test]
fn the_mirrors_are_asked_in_their_order_until_one_has_a_good_piece() {
    let (content, origin) = (pattern(SIZE), Origin::start());
    let url = origin.on("/file", whole(damaged(&content, [2])));
    let mirrors: Vec<Origin> = (0..4).map(|_| Origin::start()).collect();
    let urls = [
        mirrors[0].on("/file", whole(damaged(&content, [2]))),
        mirrors[1].url("/absent"),
        mirrors[2].on("/file", whole(content.clone())),
        mirrors[3].on("/file", whole(content.clone())),
    ];
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download.handler(MirrorDelegate::new(urls.map(|url| url.parse().unwrap())));
    download.run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert_eq!(ranges(&mirrors[0], "/file"), [range_of(2)]);
    assert_eq!(ranges(&mirrors[1], "/absent"), [range_of(2)]);
    assert_eq!(ranges(&mirrors[2], "/file"), [range_of(2)]);
    assert!(mirrors[3].journal().is_empty());
    assert_eq!(ranges(&origin, "/file"), [""]);
}

#[test]
fn the_same_source_is_asked_once_more_when_there_is_no_other() {
    let (content, origin) = (pattern(SIZE), Origin::start());
    let url = origin.sequence("/file", [whole(damaged(&content, [3])), whole(content.clone())]);
    let (mut download, buffer) = verified(&url, pieces(&content));
    assert_eq!(download.run(&Context::new()).unwrap().attempts(), 1);
    assert!(buffer.take().unwrap() == content);
    assert_eq!(ranges(&origin, "/file"), ["".to_owned(), range_of(3), format!("bytes={}-", 4 * PIECE)]);
}

#[test]
fn a_piece_that_nobody_has_fails_the_body_as_a_validation_that_is_transient() {
    let (content, origin, mirror) = (pattern(SIZE), Origin::start(), Origin::start());
    let url = origin.on("/file", whole(damaged(&content, [3])));
    let other = mirror.on("/file", whole(damaged(&content, [3])));
    let (download, buffer) = verified(&url, pieces(&content));
    let mut request = download.request().clone();
    request.add_alternate(other.parse().unwrap());
    let mut download = download;
    *download.request_mut() = request;
    let error = download.run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(ValidationError::Digest { .. })));
    assert!(error.is_transient() && error.to_string().contains("piece 4 of 11"), "{error}");
    assert!(buffer.take().is_none());
    assert_eq!(ranges(&origin, "/file"), ["".to_owned(), range_of(3)]);
    assert_eq!(ranges(&mirror, "/file"), [range_of(3)]);
}

#[test]
fn the_next_source_goes_on_where_nobody_had_a_good_piece() {
    let (content, origin, mirror) = (pattern(SIZE), Origin::start(), Origin::start());
    let url = origin.on("/file", whole(damaged(&content, [3])));
    let other = mirror.on("/file", whole(content.clone()));
    let list = origin.on("/list", Reply::ok(other));
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download
        .handler(MirrorDelegate::list(list.parse().unwrap()))
        .validation(DigestValidation::new(sha256(&content)));
    assert_eq!(download.run(&Context::new()).unwrap().attempts(), 2);
    assert!(buffer.take().unwrap() == content);
    assert_eq!(ranges(&mirror, "/file"), [format!("bytes={}-", 3 * PIECE)]);
}

#[test]
fn a_source_with_two_bad_pieces_in_a_row_is_left_for_the_one_that_had_them_right() {
    let (content, origin, mirror) = (pattern(SIZE), Origin::start(), Origin::start());
    let url = origin.on("/file", whole(damaged(&content, 2..10)));
    let other = mirror.on("/file", whole(content.clone()));
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download.handler(MirrorDelegate::new([other.parse().unwrap()]));
    assert_eq!(download.run(&Context::new()).unwrap().attempts(), 1);
    assert!(buffer.take().unwrap() == content);
    assert_eq!(ranges(&origin, "/file"), [""]);
    assert_eq!(ranges(&mirror, "/file"), [range_of(2), range_of(3), format!("bytes={}-", 4 * PIECE)]);
}

#[test]
fn sources_that_send_no_ranges_are_looked_through() {
    let (content, origin, mirror) = (pattern(SIZE), Origin::start(), Origin::start());
    let url = origin.on("/file", Reply::ok(damaged(&content, [1, 5])).chunked());
    let other = mirror.on("/file", Reply::ok(content.clone()).chunked());
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download.handler(MirrorDelegate::new([other.parse().unwrap()]));
    assert_eq!(download.run(&Context::new()).unwrap().attempts(), 1);
    assert!(buffer.take().unwrap() == content);
}

#[test]
fn one_connection_to_a_host_is_enough() {
    let (content, origin) = (pattern(SIZE), Origin::start());
    let url = origin.on("/file", whole(damaged(&content, [3])));
    let other = origin.on("/copy", whole(content.clone()));
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download.handler(MirrorDelegate::new([other.parse().unwrap()]));
    download.run(&Context::with_limits(Limits::new().per_host(1))).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert_eq!(ranges(&origin, "/copy"), [range_of(3)]);
}

#[test]
fn a_cut_between_two_bytes_of_a_piece_goes_on_at_its_beginning() {
    let (content, origin) = (pattern(SIZE), Origin::start());
    let cut = whole(content.clone()).cut_after(PIECE as u64 * 2 + 100);
    let url = origin.sequence("/file", [cut, whole(content.clone())]);
    let (download, buffer) = verified(&url, pieces(&content));
    let receipt = download.handler(RetryDelegate::new(1)).run(&Context::new()).unwrap();
    assert_eq!(receipt.attempts(), 2);
    assert!(buffer.take().unwrap() == content);
    assert_eq!(ranges(&origin, "/file"), ["".to_owned(), format!("bytes={}-", 2 * PIECE)]);
}

#[test]
fn waiting_for_a_piece_ends_when_it_is_cancelled() {
    let (content, origin, mirror) = (pattern(SIZE), Origin::start(), Origin::start());
    let url = origin.on("/file", whole(damaged(&content, [3])));
    let other = mirror.on("/file", Reply::ok("").stall_header());
    let (download, buffer) = verified(&url, pieces(&content));
    let mut download = download.handler(MirrorDelegate::new([other.parse().unwrap()]));
    let (context, (sender, receiver)) = (Context::new(), channel());
    let running = context.clone();
    let thread = thread::spawn(move || sender.send(download.run(&running).unwrap_err()).unwrap());
    mirror.wait_requests(1);
    context.cancel();
    let error = receiver.recv_timeout(PATIENCE).expect("it ends");
    assert!(error.is_cancelled(), "{error}");
    thread.join().unwrap();
    assert!(buffer.take().is_none());
}
