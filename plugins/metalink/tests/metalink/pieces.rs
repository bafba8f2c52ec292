//! Pieces without trouble, and contents that cannot have them.

use std::io::Read;

use ganymede::{
    Algorithm, ByteRange, Context, DigestValidation, Download, ErrorKind, Http, Protocol, Request,
    ValidationError,
};
use ganymede_kit::{Origin, Reply, pattern};
use ganymede_metalink::{PieceDigests, Pieces};

use crate::support::{PIECE, damaged, pieces, ranges, sha256, verified};

#[test]
fn a_request_that_begins_or_ends_in_a_piece_is_asked_for_whole_pieces() {
    let (content, origin) = (pattern(5 * PIECE + 7), Origin::start());
    let reply = Reply::ok(content.clone()).ranges().header("Content-Digest", "sha-256=:AAAA:");
    let url = origin.on("/file", reply);
    let end = content.len();
    for (first, last, asked) in [
        (PIECE + 5, None, format!("bytes={PIECE}-")),
        (PIECE + 5, Some(PIECE + 9), format!("bytes={PIECE}-{}", 2 * PIECE - 1)),
        (PIECE, Some(3 * PIECE), format!("bytes={PIECE}-{}", 4 * PIECE - 1)),
        (0, Some(0), format!("bytes=0-{}", PIECE - 1)),
        (end - 1, None, format!("bytes={}-", 5 * PIECE)),
        (end - 9, Some(end + 500), format!("bytes={}-{}", 4 * PIECE, 6 * PIECE - 1)),
    ] {
        let mut request = Request::get(&url).unwrap();
        request.set_range(ByteRange::new(first as u64, last.map(|last| last as u64)));
        let protocol = Pieces::new(Http::new(), pieces(&content));
        let (head, body) = protocol.send(&request, &Context::new()).unwrap().into_parts();
        let mut bytes = Vec::new();
        body.unwrap().read_to_end(&mut bytes).unwrap();
        let expected = &content[first..last.map_or(end, |last| end.min(last + 1))];
        assert!(bytes == expected, "{first}-{last:?}");
        assert_eq!((head.offset(), head.length()), (first as u64, Some(expected.len() as u64)));
        assert_eq!((head.total(), head.status().as_u16()), (Some(end as u64), 206));
        assert_eq!(head.header("content-digest"), None);
        assert_eq!(ranges(&origin, "/file").pop(), Some(asked));
    }
}

#[test]
fn nothing_of_a_piece_is_passed_on_before_it_is_verified() {
    let (content, origin) = (pattern(3 * PIECE), Origin::start());
    let url = origin.on("/file", Reply::ok(damaged(&content, [2])));
    let protocol = Pieces::new(Http::new(), pieces(&content));
    let (_, body) = protocol.send(&Request::get(&url).unwrap(), &Context::new()).unwrap().into_parts();
    let mut bytes = Vec::new();
    let error = body.unwrap().read_to_end(&mut bytes).unwrap_err();
    assert!(bytes == content[..2 * PIECE]);
    assert!(error.to_string().contains("piece 3 of 3"), "{error}");
}

#[test]
fn a_content_of_another_size_is_refused_before_it_is_received() {
    let (content, origin) = (pattern(3 * PIECE), Origin::start());
    let url = origin.on("/file", Reply::ok(pattern(3 * PIECE + 1)));
    let (mut download, buffer) = verified(&url, pieces(&content));
    let error = download.run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(_)), "{error}");
    assert!(error.to_string().contains("3 pieces of 65536 bytes"), "{error}");
    assert!(buffer.take().is_none());
}

#[test]
fn a_content_that_goes_on_after_its_last_piece_or_ends_before_it_is_refused() {
    let (content, origin) = (pattern(3 * PIECE), Origin::start());
    let longer = origin.on("/longer", Reply::ok(pattern(3 * PIECE + 1)).chunked());
    let (mut download, buffer) = verified(&longer, pieces(&content));
    let error = download.run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(ValidationError::Excess { .. })), "{error}");
    let shorter = origin.on("/shorter", Reply::ok(pattern(2 * PIECE)).chunked());
    let (mut download, other) = verified(&shorter, pieces(&content));
    let error = download.run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Incomplete), "{error}");
    assert!(buffer.take().is_none() && other.take().is_none());
}

#[test]
fn pieces_that_are_too_large_are_left_to_the_digest_of_the_whole() {
    let (content, origin) = (pattern(3 * PIECE), Origin::start());
    let run = |served: Vec<u8>| {
        let url = origin.on("/file", Reply::ok(served));
        let (download, buffer) = verified(&url, pieces(&content));
        let download = download.validation(DigestValidation::new(sha256(&content)));
        let end = download.map(|pieces| pieces.largest(PIECE as u64 - 1)).run(&Context::new());
        (end, buffer.take())
    };
    let (end, stored) = run(content.clone());
    assert!(end.is_ok() && stored.unwrap() == content);
    let (end, stored) = run(damaged(&content, [1]));
    let error = end.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(ValidationError::Digest { .. })), "{error}");
    assert!(error.received() == content.len() as u64 && stored.is_none());
}

#[test]
fn digests_of_pieces_are_those_of_the_bytes_between() {
    let content = pattern(25);
    let digests = PieceDigests::of(&content[..], 10, Algorithm::Sha256).unwrap();
    assert_eq!((digests.count(), digests.length(), digests.algorithm()), (3, 10, Algorithm::Sha256));
    assert_eq!(digests.digest(2), Some(sha256(&content[20..])));
    assert!(digests.covers(25) && digests.covers(30) && !digests.covers(31) && !digests.covers(20));
    let again = PieceDigests::new(Algorithm::Sha256, 10, (0..3).filter_map(|n| digests.digest(n)));
    assert_eq!(again, Some(digests));
    assert_eq!(PieceDigests::of(&[][..], 10, Algorithm::Md5).unwrap().count(), 0);
    assert_eq!(PieceDigests::of(&pattern(20)[..], 10, Algorithm::Md5).unwrap().count(), 2);
    assert_eq!(PieceDigests::new(Algorithm::Md5, 10, [sha256(&content)]), None);
    assert_eq!(PieceDigests::new(Algorithm::Md5, 0, []), None);
}
