//! A bad source among good ones, and what may be told to whom.

use std::time::Duration;

use ganymede::{Context, Download, MirrorDelegate, RetryDelegate, Url};
use ganymede_kit::{Origin, Reply, pattern};

use super::{PIECE, digest, download, fetch, tagged};

const SIZE: usize = 16 * PIECE;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn slow(reply: Reply) -> Reply {
    reply.ranges().drip(64 << 10, Duration::from_millis(2))
}

fn good() -> Reply {
    slow(Reply::ok(pattern(SIZE)).etag("\"good\""))
}

fn bad() -> Reply {
    slow(Reply::ok(vec![7; SIZE]).etag("\"bad\""))
}

#[test]
fn a_bad_mirror_among_good_ones_cannot_fail_the_download() {
    for order in [["/bad", "/good"], ["/good", "/bad"]] {
        let origin = Origin::start();
        let own = origin.on("/own", good());
        origin.on("/good", good());
        origin.on("/bad", bad());
        let delegate = MirrorDelegate::new(order.map(|path| url(&origin.url(path))));
        let transfer = download(&own, 4).validation(digest(&pattern(SIZE))).handler(delegate);
        let (receipt, content) = fetch(transfer).unwrap();
        assert!(content == pattern(SIZE));
        assert!(origin.requests("/bad") > 0, "it was taken for one of them");
        // The named source is not blamed: it was asked alone, and has it.
        assert_eq!((receipt.attempts(), receipt.source().path()), (1, "/own"));
    }
}

#[test]
fn a_bad_source_is_replaced_by_its_mirrors_which_are_then_asked_one_by_one() {
    let origin = Origin::start();
    let own = origin.on("/own", bad());
    origin.on("/worse", slow(Reply::ok(vec![9; SIZE]).etag("\"worse\"")));
    origin.on("/good", good());
    let delegate = MirrorDelegate::new(["/worse", "/good"].map(|path| url(&origin.url(path))));
    let transfer = download(&own, 4)
        .validation(digest(&pattern(SIZE)))
        .handler(RetryDelegate::new(2).base(Duration::ZERO))
        .handler(delegate);
    let (receipt, content) = fetch(transfer).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!((receipt.attempts(), receipt.source().path()), (3, "/good"));
    // One after the other: nothing of /good was asked for while /worse was proved to be bad.
    let journal = origin.journal();
    let last_worse = journal.iter().rposition(|one| one.target == "/worse").unwrap();
    let first_alone = journal.iter().rposition(|one| one.target == "/own").unwrap();
    assert!(journal[first_alone..last_worse].iter().all(|one| one.target != "/good"));
}

#[test]
fn when_all_are_bad_the_error_names_each_and_why() {
    let origin = Origin::start();
    let own = origin.on("/own", bad());
    origin.on("/worse", slow(Reply::ok(vec![9; SIZE]).etag("\"worse\"")));
    let delegate = MirrorDelegate::new([url(&origin.url("/worse"))]);
    let transfer = download(&own, 4).validation(digest(&pattern(SIZE))).handler(delegate);
    let error = fetch(transfer).unwrap_err();
    let history: Vec<_> = error.history().iter().map(|attempt| attempt.source().path()).collect();
    assert_eq!(history, ["/own", "/worse"]);
    for attempt in error.history() {
        assert_eq!(attempt.failure().kind().name(), "digest-mismatch");
        assert!(!attempt.continued(), "it was asked alone");
    }
}

#[test]
fn a_mixture_that_only_a_caller_named_is_proved_without_a_delegate() {
    let origin = Origin::start();
    let own = origin.on("/own", good());
    let mut transfer = download(&own, 4).validation(digest(&pattern(SIZE)));
    transfer.request_mut().add_alternate(url(&origin.on("/bad", bad())));
    let (_, content) = fetch(transfer).unwrap();
    assert!(content == pattern(SIZE));
    assert!(origin.requests("/bad") > 0);
}

#[test]
fn two_runs_of_one_download_each_ask_all_sources() {
    let origin = Origin::start();
    let own = origin.on("/own", good());
    origin.on("/bad", bad());
    let delegate = MirrorDelegate::new([url(&origin.url("/bad"))]);
    let buffer = ganymede::BufferWriter::new(SIZE);
    let mut transfer =
        download(&own, 4).validation(digest(&pattern(SIZE))).handler(delegate).writer(buffer.clone());
    for _ in 0..2 {
        let before = origin.requests("/bad");
        transfer.run(&Context::new()).unwrap();
        assert!(buffer.take().unwrap() == pattern(SIZE));
        assert!(origin.requests("/bad") > before);
    }
}

#[test]
fn a_list_is_fetched_when_it_is_needed_and_its_mirrors_are_asked_together_from_then_on() {
    let (origin, one, two) = (Origin::start(), Origin::start(), Origin::start());
    let own = origin.on("/file", tagged(SIZE));
    let first = one.on("/file", slow(tagged(SIZE)));
    let second = two.on("/file", slow(tagged(SIZE)));
    let list = origin.on("/list", Reply::ok(format!("{first}\n{second}\n")));
    fetch(download(&own, 4).handler(MirrorDelegate::list(url(&list)))).unwrap();
    assert_eq!(origin.requests("/list"), 0);
    origin.on("/file", Reply::error(404));
    let mut transfer = download(&own, 4).handler(MirrorDelegate::list(url(&list)));
    transfer.request_mut().set_header("x-account", "7").unwrap();
    let (receipt, content) = fetch(transfer).unwrap();
    assert!(content == pattern(SIZE));
    assert_eq!((receipt.attempts(), receipt.source().as_str()), (2, first.as_str()));
    let requests = [one.journal(), two.journal()].concat();
    assert!(two.journal().len() > 1);
    assert!(requests.iter().all(|received| received.header("x-account").is_none()));
}

#[test]
fn headers_go_to_mirrors_that_the_caller_gave() {
    let (one, two) = (Origin::start(), Origin::start());
    let own = one.on("/file", slow(tagged(SIZE)));
    let mirror = two.on("/file", slow(tagged(SIZE)).require_basic("amy", "secret"));
    let mut transfer = download(&own, 4).handler(MirrorDelegate::new([url(&mirror)]));
    transfer.request_mut().set_header("x-account", "7").unwrap();
    transfer.request_mut().set_credentials(Some(ganymede::Credentials::password("amy", "secret")));
    fetch(transfer).unwrap();
    assert!(two.journal().len() > 1);
    for received in two.journal() {
        assert_eq!(received.header("x-account"), Some("7"));
    }
}
