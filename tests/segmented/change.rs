//! A content that changes while it is fetched is never mixed with what it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{Action, Context, Event, RetryDelegate};
use ganymede_kit::{Origin, Reply, pattern};

use super::{PIECE, digest, download, fetch, tagged};

fn negative(size: usize) -> Vec<u8> {
    pattern(size).iter().map(|byte| !byte).collect()
}

fn retry() -> RetryDelegate {
    RetryDelegate::new(2).base(Duration::ZERO)
}

const SIZE: usize = 10 * PIECE;

/// Sends one content to so many requests, and another to those that come later.
fn changing(origin: &Origin, after: usize, old: Reply, new: Reply) -> String {
    let count = AtomicUsize::new(0);
    origin.handle("/", move |_| match count.fetch_add(1, Ordering::SeqCst) < after {
        true => old.clone(),
        false => new.clone(),
    })
}

#[test]
fn another_tag_in_mid_download_fails_and_a_retry_starts_again() {
    for after in 1..=5 {
        let origin = Origin::start();
        let new = Reply::ok(negative(SIZE)).etag("\"two\"").ranges();
        let url = changing(&origin, after, tagged(SIZE), new);
        let (receipt, content) = fetch(download(&url, 3).handler(retry())).unwrap();
        assert!(content == negative(SIZE), "after {after}");
        assert_eq!((receipt.attempts(), receipt.head().etag()), (2, Some("\"two\"")));
        let origin = Origin::start();
        let new = Reply::ok(negative(SIZE)).etag("\"two\"").ranges();
        let url = changing(&origin, after, tagged(SIZE), new);
        let error = fetch(download(&url, 3)).unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().contains("another content"), "{error}");
    }
}

#[test]
fn a_tag_that_changes_is_another_content_even_if_a_digest_is_expected() {
    let origin = Origin::start();
    let new = Reply::ok(negative(SIZE)).etag("\"two\"").ranges();
    let url = changing(&origin, 2, tagged(SIZE), new);
    let error = fetch(download(&url, 3).validation(digest(&pattern(SIZE)))).unwrap_err();
    assert_eq!(error.kind().name(), "incomplete");
}

#[test]
fn another_time_of_modification_is_another_content() {
    let old = Reply::ok(pattern(SIZE)).modified("Mon, 05 May 2025 10:00:00 GMT").ranges();
    let new = Reply::ok(negative(SIZE)).modified("Tue, 06 May 2025 10:00:00 GMT").ranges();
    let origin = Origin::start();
    let url = changing(&origin, usize::MAX, old.clone(), old.clone());
    assert!(fetch(download(&url, 3)).unwrap().1 == pattern(SIZE));
    assert!(origin.journal().len() > 3, "it is divided");
    let guards =
        origin.journal()[1..].iter().filter(|received| received.header("if-range").is_some()).count();
    assert_eq!(guards, origin.journal().len() - 1);
    let origin = Origin::start();
    let url = changing(&origin, 3, old, new);
    let (_, content) = fetch(download(&url, 3).handler(retry())).unwrap();
    assert!(content == negative(SIZE));
}

#[test]
fn a_part_without_the_tag_or_of_another_total_is_of_another_content() {
    let untagged = Reply::ok(negative(SIZE)).ranges();
    let longer = Reply::ok(negative(SIZE)).etag("\"one\"").ranges().range_total(SIZE as u64 + 1);
    let elsewhere = tagged(SIZE).range_shift(1);
    for odd in [untagged, longer, elsewhere] {
        let origin = Origin::start();
        let url = changing(&origin, 3, tagged(SIZE), odd);
        let error = fetch(download(&url, 2)).unwrap_err();
        assert!(error.received() < SIZE as u64);
        assert_eq!(error.kind().name(), "incomplete");
    }
}

#[test]
fn a_cut_is_gone_on_with_where_it_was_made() {
    let origin = Origin::start();
    let half = PIECE / 2;
    // Each range breaks off once after half a piece.
    let whole = tagged(SIZE);
    let url = origin.handle("/", move |received| {
        let (first, last) = super::range(received.header("range").unwrap());
        if last - first >= half { whole.clone().cut_after(half as u64) } else { whole.clone() }
    });
    let (receipt, content) = fetch(download(&url, 3)).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!(receipt.attempts(), 1);
    // None of what had come was asked for again.
    assert_eq!(origin.sent_in_all("/"), SIZE as u64);
}

#[test]
fn a_source_that_fails_for_good_fails_the_attempt_and_a_retry_goes_on_with_what_was_delivered() {
    let origin = Origin::start();
    let broken = Arc::new(AtomicBool::new(true));
    let (whole, mended) = (tagged(SIZE), Arc::clone(&broken));
    let url = origin.handle("/", move |received| {
        let (first, _) = super::range(received.header("range").unwrap());
        if first >= 5 * PIECE && broken.load(Ordering::SeqCst) { Reply::error(500) } else { whole.clone() }
    });
    let mend = move |event: &mut Event<'_>, _: &Context| match event {
        Event::Error { error, .. } => {
            assert_eq!(error.status().unwrap().as_u16(), 500);
            assert_eq!(error.received(), 5 * PIECE as u64);
            mended.store(false, Ordering::SeqCst);
            Action::Retry(Duration::ZERO)
        }
        _ => Action::Continue,
    };
    let (receipt, content) = fetch(download(&url, 2).handler(mend)).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!(receipt.attempts(), 2);
    assert_eq!(
        origin.journal().iter().filter(|one| one.header("range") == Some("bytes=0-262143")).count(),
        1
    );
}
