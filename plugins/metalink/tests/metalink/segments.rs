//! Pieces around ranges over several connections.

use ganymede::{
    Algorithm, BufferWriter, Context, DigestValidation, Download, Http, Limits, MirrorDelegate, Request,
    Segmented, Transfer,
};
use ganymede_kit::{Origin, Reply, pattern};
use ganymede_metalink::{PieceDigests, Pieces};

use crate::support::{ranges, sha256};

const PIECE: usize = 256 << 10;

fn run(context: &Context) {
    let content = pattern(8 << 20);
    let origins: Vec<Origin> = (0..3).map(|_| Origin::start()).collect();
    let mut bad = content.clone();
    bad[PIECE + 5] ^= 1;
    let served = [bad, content.clone(), content.clone()];
    let urls: Vec<_> = origins
        .iter()
        .zip(served)
        .map(|(origin, content)| origin.on("/file", Reply::ok(content).ranges().etag("\"one\"")))
        .map(|url| url.parse::<ganymede::Url>().unwrap())
        .collect();
    let digests = PieceDigests::of(&content[..], PIECE as u64, Algorithm::Sha256).unwrap();
    let buffer = BufferWriter::new(content.len());
    let protocol = Pieces::new(Segmented::new(Http::new()).segments(3), digests);
    let mut download = Transfer::new(Request::new(urls[0].clone()), protocol)
        .writer(buffer.clone())
        .validation(DigestValidation::new(sha256(&content)))
        .handler(MirrorDelegate::new(urls[1..].iter().cloned()));
    assert_eq!(download.run(context).unwrap().attempts(), 1);
    assert!(buffer.take().unwrap() == content);
    let alone = format!("bytes={PIECE}-{}", 2 * PIECE - 1);
    let asked: Vec<usize> = origins
        .iter()
        .map(|origin| ranges(origin, "/file").iter().filter(|range| **range == alone).count())
        .collect();
    assert_eq!(asked, [0, 1, 0], "only the bad piece, and of the first mirror");
    assert!(!ranges(&origins[2], "/file").is_empty(), "all three are at work");
}

#[test]
fn one_of_three_mirrors_with_one_bad_piece_costs_that_piece_alone() {
    run(&Context::new());
}

#[test]
fn one_connection_to_each_host_is_enough() {
    run(&Context::with_limits(Limits::new().per_host(1)));
}
