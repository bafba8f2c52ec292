//! A download that is pushed: what its sink is called with, in which order, and how it ends.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, ThreadId};
use std::time::Duration;

use ganymede::{
    Algorithm, Context, DigestValidation, Download, DownloadError, ErrorKind, Facts, Failure, Head,
    HttpDownload, Method, Receipt, Sink, forward,
};
use ganymede_kit::{Origin, Reply as Scripted, pattern, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);
const SIZE: usize = 300_000;

/// What a sink is called with.
#[derive(Debug)]
enum Call {
    Head(Option<u64>),
    Block(Vec<u8>),
    Last(Vec<u8>),
    End(Result<u64, DownloadError>),
    Dropped,
}

/// Writes down what it is called with, and by which thread; `obey` says what comes of a call.
struct Scribe<F> {
    calls: Sender<(ThreadId, Call)>,
    obey: F,
}

impl<F: FnMut(&Call) -> io::Result<()>> Scribe<F> {
    fn note(&mut self, call: Call) -> io::Result<()> {
        let outcome = (self.obey)(&call);
        self.calls.send((thread::current().id(), call)).unwrap();
        outcome
    }
}

impl<F: FnMut(&Call) -> io::Result<()> + Send> Sink for Scribe<F> {
    fn head(&mut self, head: &Head) -> io::Result<()> {
        self.note(Call::Head(head.length()))
    }

    fn block(&mut self, block: Vec<u8>) -> io::Result<()> {
        self.note(Call::Block(block))
    }

    fn last(&mut self, block: Vec<u8>) -> io::Result<()> {
        self.note(Call::Last(block))
    }

    fn end(mut self: Box<Self>, result: Result<Receipt, DownloadError>) {
        self.note(Call::End(result.map(|receipt| receipt.facts().size()))).unwrap();
    }
}

impl<F> Drop for Scribe<F> {
    fn drop(&mut self) {
        let _ = self.calls.send((thread::current().id(), Call::Dropped));
    }
}

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

fn begin<D: Download + 'static>(
    download: D,
    context: &Context,
    obey: impl FnMut(&Call) -> io::Result<()> + Send + 'static,
) -> Receiver<(ThreadId, Call)> {
    let (calls, called) = channel();
    forward(download, context, Scribe { calls, obey }).unwrap();
    called
}

/// Returns all calls, which one other thread makes; the last two are the end, and that it is dropped.
fn all(called: &Receiver<(ThreadId, Call)>) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut thread = None;
    while !matches!(calls.last(), Some(Call::Dropped)) {
        let (caller, call) = called.recv_timeout(PATIENCE).unwrap();
        assert_eq!(*thread.get_or_insert(caller), caller);
        assert_ne!(caller, thread::current().id());
        calls.push(call);
    }
    assert!(matches!(calls.pop(), Some(Call::Dropped)));
    called.recv_timeout(PATIENCE).unwrap_err();
    calls
}

fn forwarded<D: Download + 'static>(download: D) -> Vec<Call> {
    all(&begin(download, &Context::new(), |_| Ok(())))
}

/// Returns how the calls end.
fn end_of(calls: &[Call]) -> &Result<u64, DownloadError> {
    let Some(Call::End(result)) = calls.last() else { panic!("no end: {calls:?}") };
    result
}

/// Returns all bytes.
fn content(calls: &[Call]) -> Vec<u8> {
    let blocks = calls.iter().filter_map(|call| match call {
        Call::Block(block) | Call::Last(block) => Some(block.as_slice()),
        _ => None,
    });
    blocks.collect::<Vec<_>>().concat()
}

#[test]
fn a_sink_is_called_with_the_head_all_blocks_the_last_one_and_the_end() {
    let origin = Origin::start();
    let url = origin.on("/file", Scripted::ok(pattern(SIZE)));
    let calls = forwarded(get(&url));
    assert!(matches!(calls[0], Call::Head(Some(length)) if length == SIZE as u64));
    let [first, .., last] = &calls[1..calls.len() - 1] else { panic!("one block: {}", calls.len()) };
    assert!(matches!((first, last), (Call::Block(_), Call::Last(_))));
    assert_eq!(calls.iter().filter(|call| matches!(call, Call::Last(_))).count(), 1);
    assert!(content(&calls) == pattern(SIZE));
    assert_eq!(*end_of(&calls).as_ref().unwrap(), SIZE as u64);
}

#[test]
fn what_is_small_is_the_last_block_and_what_is_empty_has_none() {
    let origin = Origin::start();
    let small = forwarded(get(&origin.on("/small", Scripted::ok("hello"))));
    assert!(
        matches!(&small[..], [Call::Head(Some(5)), Call::Last(last), Call::End(Ok(5))] if last == b"hello")
    );
    let empty = forwarded(get(&origin.on("/empty", Scripted::ok(""))));
    assert!(matches!(&empty[..], [Call::Head(Some(0)), Call::End(Ok(0))]), "{empty:?}");
    let mut head = get(&origin.on("/head", Scripted::ok("hello")));
    head.request_mut().set_method(Method::Head);
    let head = forwarded(head);
    assert!(matches!(&head[..], [Call::Head(Some(5)), Call::End(Ok(0))]), "{head:?}");
}

#[test]
fn a_sink_that_makes_no_difference_is_called_with_the_last_block_as_with_any() {
    struct Plain(Sender<Vec<u8>>);
    impl Sink for Plain {
        fn head(&mut self, _: &Head) -> io::Result<()> {
            Ok(())
        }
        fn block(&mut self, block: Vec<u8>) -> io::Result<()> {
            self.0.send(block).map_err(io::Error::other)
        }
        fn end(self: Box<Self>, _: Result<Receipt, DownloadError>) {}
    }
    let origin = Origin::start();
    let (sender, receiver) = channel();
    let url = origin.on("/file", Scripted::ok(pattern(SIZE)));
    forward(get(&url), &Context::new(), Plain(sender)).unwrap();
    assert!(receiver.into_iter().collect::<Vec<_>>().concat() == pattern(SIZE));
}

#[test]
fn without_a_content_there_is_only_the_end() {
    let calls = forwarded(get(&Origin::start().url("/missing")));
    assert!(matches!(&calls[..], [Call::End(Err(error))] if error.is_not_found()), "{calls:?}");
}

#[test]
fn what_is_wrong_has_no_last_block_and_if_it_is_small_none_at_all() {
    let origin = Origin::start();
    let other = Facts::of(&b"other"[..], [Algorithm::Sha256]).unwrap().digest(Algorithm::Sha256).unwrap();
    for (size, path) in [(10, "/small"), (SIZE, "/large")] {
        let url = origin.on(path, Scripted::ok(pattern(size)));
        let calls = forwarded(get(&url).validation(DigestValidation::new(other)));
        let error = end_of(&calls).as_ref().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Validation(_)), "{error:?}");
        assert!(!calls.iter().any(|call| matches!(call, Call::Last(_))));
        assert!(content(&calls).len() < size);
        assert_eq!(calls.len() == 1, size == 10);
    }
}

#[test]
fn a_sink_that_fails_ends_the_download_and_leaves_the_source() {
    let origin = Origin::start();
    let url = origin.on("/endless", Scripted::generated(1 << 40));
    for fails in [|call: &Call| matches!(call, Call::Head(_)), |call: &Call| matches!(call, Call::Block(_))] {
        let called = begin(get(&url), &Context::new(), move |call| match fails(call) {
            true => Err(Failure::new(ErrorKind::Other, "no more").transient(false).into()),
            false => Ok(()),
        });
        let calls = all(&called);
        let error = end_of(&calls).as_ref().unwrap_err();
        assert!(error.to_string().contains("no more"), "{error}");
        origin.wait_open(0);
    }
}

#[test]
fn a_sink_that_panics_is_told_that_as_its_end() {
    let origin = Origin::start();
    let url = origin.on("/file", Scripted::ok(pattern(SIZE)));
    let called = begin(get(&url), &Context::new(), |call| match call {
        Call::Block(_) => panic!("on purpose"),
        _ => Ok(()),
    });
    let calls = all(&called);
    let error = end_of(&calls).as_ref().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Panicked), "{error:?}");
    // Another one is none the worse for it.
    assert!(content(&forwarded(get(&url))) == pattern(SIZE));
}

#[test]
fn while_a_sink_waits_the_source_is_not_read_and_cancelling_ends_it() {
    let (origin, context) = (Origin::start(), Context::new());
    let url = origin.on("/file", Scripted::generated(1 << 30));
    let (hold, held) = channel::<()>();
    let called = begin(get(&url), &context, move |call| {
        if matches!(call, Call::Block(_)) {
            held.recv().unwrap_err();
        }
        Ok(())
    });
    let mut sent = 0;
    wait_until("the source to stand still", || {
        thread::sleep(Duration::from_millis(200));
        let before = std::mem::replace(&mut sent, origin.sent("/file"));
        sent > 0 && before == sent
    });
    assert!(sent < 64 << 20, "{sent} bytes");
    context.cancel();
    drop(hold);
    let calls = all(&called);
    assert!(end_of(&calls).as_ref().unwrap_err().is_cancelled());
    origin.wait_open(0);
}
