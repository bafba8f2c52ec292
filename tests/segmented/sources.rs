//! Several sources of one content.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{Download, MirrorDelegate, Url};
use ganymede_kit::{Origin, Reply, pattern};

use super::{PIECE, digest, download, fetch, ranges, tagged};

const SIZE: usize = 24 * PIECE;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn mirrors<'a>(urls: impl IntoIterator<Item = &'a String>) -> MirrorDelegate {
    MirrorDelegate::new(urls.into_iter().map(|text| url(text)))
}

/// How many bytes two origins were asked for, in all.
fn asked(origins: &[&Origin]) -> usize {
    origins.iter().flat_map(|origin| ranges(origin)).map(|(first, last)| last + 1 - first).sum()
}

/// Slows a source down, so that others have their share.
fn slow(reply: Reply) -> Reply {
    reply.drip(64 << 10, Duration::from_millis(2))
}

#[test]
fn mirrors_with_the_same_tag_share_the_work() {
    let (one, two, three) = (Origin::start(), Origin::start(), Origin::start());
    let own = one.on("/file", slow(tagged(SIZE)));
    let others = [two.on("/file", slow(tagged(SIZE))), three.on("/file", slow(tagged(SIZE)))];
    let (receipt, content) = fetch(download(&own, 4).handler(mirrors(&others))).unwrap();
    assert!(content == pattern(SIZE));
    assert!(two.journal().len() > 1 && three.journal().len() > 1);
    assert_eq!((receipt.source().as_str(), receipt.attempts()), (own.as_str(), 1));
}

#[test]
fn the_alternates_of_a_request_are_asked_without_a_delegate() {
    let (one, two) = (Origin::start(), Origin::start());
    let own = one.on("/file", slow(tagged(SIZE)));
    let mut transfer = download(&own, 4);
    transfer.request_mut().add_alternate(url(&two.on("/file", slow(tagged(SIZE)))));
    assert!(fetch(transfer).unwrap().1 == pattern(SIZE));
    assert!(two.journal().len() > 1);
}

#[test]
fn a_mirror_with_another_tag_is_used_only_if_a_digest_is_expected() {
    let other = || slow(Reply::ok(pattern(SIZE)).etag("\"two\"").ranges());
    let (one, two) = (Origin::start(), Origin::start());
    let own = one.on("/file", slow(tagged(SIZE)));
    let mirror = [two.on("/file", other())];
    assert!(fetch(download(&own, 4).handler(mirrors(&mirror))).unwrap().1 == pattern(SIZE));
    // It was asked, and then no more; each request was for at most a piece.
    assert!(two.journal().len() <= 4);
    assert!(asked(&[&one]) >= SIZE);
    let (one, two) = (Origin::start(), Origin::start());
    let own = one.on("/file", slow(tagged(SIZE)));
    let mirror = [two.on("/file", other())];
    let transfer = download(&own, 4).handler(mirrors(&mirror)).validation(digest(&pattern(SIZE)));
    assert!(fetch(transfer).unwrap().1 == pattern(SIZE));
    assert!(asked(&[&one]) < SIZE && asked(&[&one, &two]) == SIZE);
}

#[test]
fn a_mirror_without_validators_of_another_length_or_without_parts_changes_nothing() {
    let wrong = vec![7; SIZE + 1];
    let odd = [
        Reply::ok(wrong.clone()).etag("\"one\"").ranges(),
        Reply::ok(wrong[1..].to_vec()).ranges(),
        Reply::ok(wrong[1..].to_vec()).etag("\"one\""),
        Reply::ok(wrong[1..100].to_vec()).etag("\"one\"").ranges(),
        Reply::error(404),
        Reply::error(500),
        tagged(SIZE).range_shift(-5),
    ];
    for (number, odd) in odd.into_iter().enumerate() {
        for expected in [false, true] {
            let (one, two) = (Origin::start(), Origin::start());
            let own = one.on("/file", slow(tagged(SIZE)));
            let mut transfer = download(&own, 3).handler(mirrors(&[two.on("/file", odd.clone())]));
            if expected {
                transfer = transfer.validation(digest(&pattern(SIZE)));
            }
            let (receipt, content) = fetch(transfer).unwrap();
            assert!(content == pattern(SIZE), "{number}");
            assert_eq!(receipt.attempts(), 1);
            assert!(!two.journal().is_empty());
        }
    }
}

#[test]
fn when_a_source_dies_its_ranges_go_on_at_another_in_the_same_attempt() {
    let (one, two) = (Origin::start(), Origin::start());
    let whole = tagged(SIZE);
    let own = one.handle("/", move |received| match super::range(received.header("range").unwrap()).0 {
        first if first < SIZE / 3 => slow(whole.clone()),
        _ => whole.clone().reset_after(100),
    });
    let mirror = [two.on("/file", slow(tagged(SIZE)))];
    let (receipt, content) = fetch(download(&own, 4).handler(mirrors(&mirror))).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!((receipt.attempts(), receipt.source().as_str()), (1, own.as_str()));
    assert!(one.journal().len() < 30, "a source that fails is not asked for ever");
}

#[test]
fn when_a_mirror_dies_the_others_go_on() {
    let (one, two) = (Origin::start(), Origin::start());
    let own = one.on("/file", slow(tagged(SIZE)));
    let mirror = [two.on("/file", tagged(SIZE).cut_after(1000))];
    let (receipt, content) = fetch(download(&own, 4).handler(mirrors(&mirror))).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!(receipt.attempts(), 1);
}

#[test]
fn what_stalls_is_fetched_from_another_source() {
    let (one, two) = (Origin::start(), Origin::start());
    let own = one.on("/file", slow(tagged(SIZE)));
    let mirror = [two.on("/file", tagged(SIZE).stall_after(1000))];
    let (receipt, content) = fetch(download(&own, 3).handler(mirrors(&mirror))).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!(receipt.attempts(), 1);
    // Who was left behind is not waited for.
    two.wait_open(0);
}

#[test]
fn what_stalls_at_the_only_source_is_asked_for_again() {
    let origin = Origin::start();
    let (whole, stalled) = (tagged(SIZE), AtomicBool::new(false));
    let own = origin.handle("/", move |received| {
        let first = super::range(received.header("range").unwrap()).0;
        let once = first > SIZE / 2 && !stalled.swap(true, Ordering::SeqCst);
        if once { whole.clone().stall_after(1000) } else { whole.clone() }
    });
    let (receipt, content) = fetch(download(&own, 3)).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!(receipt.attempts(), 1);
}

#[test]
fn a_slow_source_gets_little_of_the_work() {
    let (fast, slow) = (Origin::start(), Origin::start());
    let fast_reply = tagged(SIZE).drip(64 << 10, Duration::from_millis(10));
    let slow_reply = tagged(SIZE).drip(8 << 10, Duration::from_millis(20));
    let own = slow.on("/file", slow_reply);
    let mirror = [fast.on("/file", fast_reply)];
    assert!(fetch(download(&own, 3).handler(mirrors(&mirror))).unwrap().1 == pattern(SIZE));
    let (by_slow, by_fast) = (slow.sent_in_all("/file"), fast.sent_in_all("/file"));
    assert!(by_slow * 3 < by_fast, "{by_slow} and {by_fast}");
}

#[test]
fn a_source_that_serves_few_connections_at_once_is_asked_by_few() {
    let origin = Origin::start();
    let (whole, count) = (slow(tagged(SIZE)), AtomicUsize::new(0));
    let own = origin.handle("/", move |_| match count.fetch_add(1, Ordering::SeqCst) {
        2 | 3 | 5 => Reply::error(403),
        _ => whole.clone(),
    });
    assert!(fetch(download(&own, 4)).unwrap().1 == pattern(SIZE));
}
