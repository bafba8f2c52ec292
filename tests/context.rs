//! What downloads share: slots that are made once, and a tree of tokens that cancel.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use ganymede::{
    Action, Batch, BufferWriter, Context, Credentials, Download, ErrorKind, Event, Failure, HttpDownload,
    MirrorDelegate, SlotKey,
};
use ganymede_kit::{Gate, Origin, PATIENCE, Reply};

#[derive(PartialEq, Eq, Hash)]
struct Name(&'static str);

impl SlotKey for Name {
    type Value = String;
}

#[derive(PartialEq, Eq, Hash)]
struct Number(&'static str);

impl SlotKey for Number {
    type Value = u32;
}

fn broken() -> Failure {
    Failure::new(ErrorKind::Status, "out of order")
}

/// Lets all threads of a test but the initialiser get to their waiting, which nothing outside can see.
fn let_them_wait() {
    thread::sleep(Duration::from_millis(50));
}

#[test]
fn a_slot_is_made_once_however_many_ask() {
    let (context, made, start) = (Context::new(), AtomicUsize::new(0), Barrier::new(16));
    let values: Vec<_> = thread::scope(|scope| {
        let ask = || {
            start.wait();
            let make = |_: &Context| {
                made.fetch_add(1, Ordering::SeqCst);
                let_them_wait();
                Ok("value".to_owned())
            };
            context.child().slot(Name("a"), make).unwrap()
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
    assert!(values.iter().all(|value| Arc::ptr_eq(value, &values[0])));
}

#[test]
fn a_token_is_fetched_once_from_sixteen_threads() {
    #[derive(PartialEq, Eq, Hash)]
    struct Token(String);
    impl SlotKey for Token {
        type Value = String;
    }
    let (origin, gate, context) = (Origin::start(), Gate::new(), Context::new());
    let login = origin.on("/login", Reply::ok("s3cret").gate(&gate));
    origin.handle("/files/", |received| Reply::ok(received.path().to_owned()).require_bearer("s3cret"));
    let authorize = move |event: &mut Event<'_>, context: &Context| {
        let Event::Prepared { request } = event else { return Action::Continue };
        let token = context.slot(Token(login.clone()), |context| {
            let buffer = BufferWriter::new(100);
            let mut download = HttpDownload::get(&login)?.writer(buffer.clone());
            download.run(context).map_err(|error| error.failure().clone())?;
            Ok(String::from_utf8(buffer.take().unwrap()).unwrap())
        });
        match token {
            Ok(token) => {
                request.set_credentials(Some(Credentials::bearer(token.as_str())));
                Action::Continue
            }
            Err(failure) => Action::Fail(failure),
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let download = HttpDownload::get(&origin.url(&format!("/files/{n}"))).unwrap();
                let (buffer, context) = (BufferWriter::new(100), context.child());
                let mut download = download.writer(buffer.clone()).handler(authorize.clone());
                scope.spawn(move || download.run(&context).map(|_| buffer.take().unwrap()).unwrap())
            })
            .collect();
        gate.wait_arrived(1);
        let_them_wait();
        gate.open();
        for (n, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), format!("/files/{n}").into_bytes());
        }
    });
    assert_eq!(origin.requests("/login"), 1);
}

#[test]
fn those_who_wait_share_a_failure_and_only_later_callers_try_again() {
    let (context, made) = (Context::new(), AtomicUsize::new(0));
    let (begun, has_begun) = channel();
    thread::scope(|scope| {
        let (context, made) = (&context, &made);
        let maker = scope.spawn(move || {
            let make = |_: &Context| {
                made.fetch_add(1, Ordering::SeqCst);
                begun.send(()).unwrap();
                let_them_wait();
                let_them_wait();
                Err(broken())
            };
            context.slot(Name("a"), make).unwrap_err()
        });
        has_begun.recv().unwrap();
        let waiters: Vec<_> = (0..15)
            .map(|_| {
                scope.spawn(|| context.slot(Name("a"), |_| unreachable!("it is being made")).unwrap_err())
            })
            .collect();
        for thread in waiters.into_iter().chain([maker]) {
            assert_eq!(thread.join().unwrap().to_string(), "out of order");
        }
    });
    let again = |_: &Context| {
        made.fetch_add(1, Ordering::SeqCst);
        Ok("at last".to_owned())
    };
    assert_eq!(*context.slot(Name("a"), again).unwrap(), "at last");
    assert_eq!(made.load(Ordering::SeqCst), 2);
    assert_eq!(*context.slot(Name("a"), |_| Err(broken())).unwrap(), "at last");
}

#[test]
fn a_panic_while_making_reaches_its_caller_and_fails_those_who_wait() {
    let context = Context::new();
    let (begun, has_begun) = channel();
    thread::scope(|scope| {
        let context = &context;
        let maker = scope.spawn(move || {
            let make = |_: &Context| -> Result<String, Failure> {
                begun.send(()).unwrap();
                let_them_wait();
                panic!("while making")
            };
            catch_unwind(AssertUnwindSafe(|| context.slot(Name("a"), make))).unwrap_err()
        });
        has_begun.recv().unwrap();
        let waiter = scope.spawn(|| context.slot(Name("a"), |_| unreachable!("it is being made")));
        assert_eq!(*maker.join().unwrap().downcast::<&str>().unwrap(), "while making");
        assert!(matches!(waiter.join().unwrap().unwrap_err().kind(), ErrorKind::Panicked));
    });
    assert_eq!(*context.slot(Name("a"), |_| Ok("later".to_owned())).unwrap(), "later");
}

#[test]
fn who_waits_for_a_slot_can_be_cancelled() {
    let context = Context::new();
    let waiting_here = context.child();
    let (begun, has_begun) = channel();
    let (end, ended) = channel::<()>();
    thread::scope(|scope| {
        let context = &context;
        let maker = scope.spawn(move || {
            let make = |_: &Context| {
                begun.send(()).unwrap();
                ended.recv().unwrap();
                Ok("made".to_owned())
            };
            context.slot(Name("a"), make).unwrap()
        });
        has_begun.recv().unwrap();
        let cancelled = waiting_here.clone();
        let waiter = scope.spawn(move || waiting_here.slot(Name("a"), |_| unreachable!("it is being made")));
        let_them_wait();
        cancelled.cancel();
        // While the other one is still at it.
        let failure = waiter.join().unwrap().unwrap_err();
        assert!(matches!(failure.kind(), ErrorKind::Cancelled));
        end.send(()).unwrap();
        assert_eq!(*maker.join().unwrap(), "made");
    });
}

#[test]
fn a_slot_whose_maker_was_cancelled_alone_is_made_by_another() {
    let (context, made) = (Context::new(), AtomicUsize::new(0));
    let alone = context.child();
    let (begun, has_begun) = channel();
    thread::scope(|scope| {
        let (context, made, running) = (&context, &made, alone.clone());
        let maker = scope.spawn(move || {
            let make = |context: &Context| {
                begun.send(()).unwrap();
                context.sleep(PATIENCE).map(|()| "never".to_owned())
            };
            running.slot(Name("a"), make).unwrap_err()
        });
        has_begun.recv().unwrap();
        let ask = || {
            let make = |_: &Context| {
                made.fetch_add(1, Ordering::SeqCst);
                Ok("another".to_owned())
            };
            context.slot(Name("a"), make).unwrap()
        };
        let waiters: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let_them_wait();
        alone.cancel();
        assert!(matches!(maker.join().unwrap().kind(), ErrorKind::Cancelled));
        assert!(waiters.into_iter().all(|waiter| *waiter.join().unwrap() == "another"));
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn keys_of_different_types_never_clash() {
    let context = Context::new();
    assert_eq!(*context.slot(Name("same"), |_| Ok("text".to_owned())).unwrap(), "text");
    assert_eq!(*context.slot(Number("same"), |_| Ok(7)).unwrap(), 7);
    assert_eq!(*context.slot(Name("same"), |_| unreachable!()).unwrap(), "text");
    assert_eq!(*context.slot(Name("other"), |_| Ok("own".to_owned())).unwrap(), "own");
}

#[test]
fn children_share_the_room_and_other_contexts_do_not() {
    let context = Context::new();
    let child = context.child().child();
    assert_eq!(*child.slot(Number("a"), |_| Ok(1)).unwrap(), 1);
    assert_eq!(*context.slot(Number("a"), |_| Ok(2)).unwrap(), 1);
    assert_eq!(*context.clone().slot(Number("a"), |_| Ok(2)).unwrap(), 1);
    assert_eq!(*Context::new().slot(Number("a"), |_| Ok(2)).unwrap(), 2);
    // A child that is gone leaves what it made.
    drop(child);
    assert_eq!(*context.slot(Number("a"), |_| Ok(2)).unwrap(), 1);
}

#[test]
fn what_is_kept_goes_with_the_last_context() {
    #[derive(PartialEq, Eq, Hash)]
    struct Kept;
    impl SlotKey for Kept {
        type Value = Arc<()>;
    }
    let (context, value) = (Context::new(), Arc::new(()));
    context.slot(Kept, |_| Ok(Arc::clone(&value))).unwrap();
    let child = context.child();
    drop(context);
    assert_eq!(Arc::strong_count(&value), 2);
    drop(child);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn making_a_slot_slowly_stops_no_other() {
    let context = Context::new();
    let (begun, has_begun) = channel();
    let (end, ended) = channel::<()>();
    thread::scope(|scope| {
        let context = &context;
        scope.spawn(move || {
            let make = |context: &Context| {
                begun.send(()).unwrap();
                ended.recv().unwrap();
                // Making one slot may need another one.
                Ok(format!("slow and {}", context.slot(Name("b"), |_| unreachable!())?))
            };
            assert_eq!(*context.slot(Name("a"), make).unwrap(), "slow and quick");
        });
        has_begun.recv().unwrap();
        assert_eq!(*context.slot(Name("b"), |_| Ok("quick".to_owned())).unwrap(), "quick");
        assert_eq!(*context.slot(Number("a"), |_| Ok(1)).unwrap(), 1);
        end.send(()).unwrap();
    });
}

#[test]
fn a_slow_mirror_list_does_not_hold_up_other_downloads_of_the_context() {
    let (origin, gate, context) = (Origin::start(), Gate::new(), Context::new());
    let list = origin.on("/list", Reply::ok("/mirror\n").gate(&gate));
    let good = origin.on("/good", Reply::ok("hello"));
    origin.on("/mirror", Reply::ok("mirrored"));
    let lost = HttpDownload::get(&origin.url("/lost")).unwrap();
    let lost = lost.handler(MirrorDelegate::list(list.parse().unwrap()));
    let downloads = [lost, HttpDownload::get(&good).unwrap()];
    let downloads = downloads.map(|download| download.writer(BufferWriter::new(100)));
    let mut batch = Batch::new(downloads).context(&context);
    let first = batch.next().unwrap();
    assert_eq!(first.result().unwrap().source().path(), "/good");
    gate.wait_arrived(1);
    gate.open();
    assert_eq!(batch.next().unwrap().result().unwrap().source().path(), "/mirror");
}

#[test]
fn cancelling_reaches_all_below_and_nothing_above_or_beside() {
    let root = Context::new();
    let (one, two) = (root.child(), root.child());
    let below = one.child();
    one.cancel();
    assert!(one.is_cancelled() && below.is_cancelled() && one.clone().is_cancelled());
    assert!(!root.is_cancelled() && !two.is_cancelled());
    assert!(one.child().is_cancelled(), "what is made later, too");
    assert!(matches!(below.check().unwrap_err().kind(), ErrorKind::Cancelled));
    two.check().unwrap();
    root.cancel();
    assert!(two.is_cancelled());
    assert!(root.slot(Name("a"), |_| unreachable!("it is cancelled")).is_err());
}

#[test]
fn sleeping_takes_its_time_and_ends_at_once_when_cancelled() {
    let (root, long) = (Context::new(), Duration::MAX);
    let start = std::time::Instant::now();
    root.sleep(Duration::from_millis(30)).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(30));
    let child = root.child();
    let sleeper = thread::spawn(move || child.sleep(long));
    let_them_wait();
    root.cancel();
    assert!(matches!(sleeper.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled));
    assert!(root.sleep(Duration::ZERO).is_err());
}

#[test]
fn hooks_run_once_when_cancelled_and_not_when_dropped_before() {
    let (root, ran) = (Context::new(), Arc::new(AtomicUsize::new(0)));
    let child = root.child();
    let hook = |context: &Context, weight: usize| {
        let ran = Arc::clone(&ran);
        context.on_cancel(move || {
            ran.fetch_add(weight, Ordering::SeqCst);
        })
    };
    let _kept = (hook(&root, 1), hook(&child, 10));
    drop(hook(&child, 100));
    root.cancel();
    root.cancel();
    assert_eq!(ran.load(Ordering::SeqCst), 11);
    let _late = hook(&child, 1_000);
    assert_eq!(ran.load(Ordering::SeqCst), 1_011, "at once when it has happened already");
}

#[test]
fn a_hook_may_cancel_look_and_drop_hooks_itself() {
    let (root, other) = (Context::new(), Context::new());
    let inner = root.on_cancel(|| {});
    let (looking, cancelling) = (root.clone(), other.clone());
    let _hook = root.on_cancel(move || {
        assert!(looking.is_cancelled());
        drop(inner);
        looking.cancel();
        cancelling.cancel();
    });
    root.cancel();
    assert!(other.is_cancelled());
}
