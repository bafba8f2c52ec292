//! The moments of a run: their order, what a handler may change, and what its answers do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ganymede::{
    Action, Batch, BufferWriter, Context, DigestValidation, Download, ErrorKind, Event, EventHandler,
    Failure, FileWriter, HttpDownload, MirrorDelegate, RetryDelegate,
};
use ganymede_kit::{Folder, Origin, Reply, closed_port, pattern};

/// Notes every event; several blocks in a row are noted once.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl EventHandler for Notes {
    fn handle(&mut self, event: &mut Event<'_>, _: &Context) -> Action {
        let note = match event {
            Event::Error { error, .. } => format!("error {}", error.kind().name()),
            Event::Failed { error } => format!("failed {}", error.kind().name()),
            Event::Sending { attempt, .. } => format!("sending {attempt}"),
            Event::Replied { head } => format!("replied {}", head.status().as_u16()),
            other => name(other).to_owned(),
        };
        let mut notes = self.0.lock().unwrap();
        if note != "fetched" || notes.last().is_none_or(|last| last != "fetched") {
            notes.push(note);
        }
        Action::Continue
    }
}

fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::Prepared { .. } => "prepared",
        Event::Sending { .. } => "sending",
        Event::Replied { .. } => "replied",
        Event::Fetched { .. } => "fetched",
        Event::Error { .. } => "error",
        Event::Succeeded { .. } => "succeeded",
        Event::Failed { .. } => "failed",
        _ => "unknown",
    }
}

/// Answers the first event of this name with an action.
fn once(at: &'static str, action: Action) -> impl EventHandler {
    let mut left = Some(action);
    move |event: &mut Event<'_>, _: &Context| match name(event) == at {
        true => left.take().unwrap_or(Action::Continue),
        false => Action::Continue,
    }
}

fn retry_every_error(event: &mut Event<'_>, _: &Context) -> Action {
    if let Event::Error { .. } = event { Action::Retry(Duration::ZERO) } else { Action::Continue }
}

fn reason() -> Failure {
    Failure::new(ErrorKind::Unsupported, "not on a Monday")
}

#[test]
fn a_success_is_prepared_sent_replied_fetched_and_succeeded() {
    let (origin, notes, buffer) = (Origin::start(), Notes::default(), BufferWriter::new(1 << 20));
    let url = origin.on("/file", Reply::ok(pattern(500_000)));
    let blocks = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&blocks);
    let watch = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { block, received, total } = event {
            let mut blocks = seen.lock().unwrap();
            blocks.extend_from_slice(block);
            assert_eq!((blocks.len() as u64, Some(500_000)), (*received, *total));
        }
        Action::Continue
    };
    let mut download =
        HttpDownload::get(&url).unwrap().writer(buffer.clone()).handler(notes.clone()).handler(watch);
    let receipt = download.run(&Context::new()).unwrap();
    assert_eq!(notes.take(), ["prepared", "sending 1", "replied 200", "fetched", "succeeded"]);
    assert_eq!(receipt.attempts(), 1);
    assert!(*blocks.lock().unwrap() == pattern(500_000));
    assert!(buffer.take().unwrap() == pattern(500_000));
}

#[test]
fn the_file_is_there_when_succeeded_is_told_and_not_before() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", Reply::ok("hello"));
    let path = folder.file("file");
    let found = Arc::new(Mutex::new(Vec::new()));
    let (finding, looking) = (Arc::clone(&found), path.clone());
    let watch = move |event: &mut Event<'_>, _: &Context| {
        finding.lock().unwrap().push((name(event), std::fs::read(&looking).ok()));
        Action::Continue
    };
    let mut download = HttpDownload::get(&url).unwrap().writer(FileWriter::new(&path)).handler(watch);
    download.run(&Context::new()).unwrap();
    let expected = [
        ("prepared", None),
        ("sending", None),
        ("replied", None),
        ("fetched", None),
        ("succeeded", Some(b"hello".to_vec())),
    ];
    assert_eq!(*found.lock().unwrap(), expected);
}

#[test]
fn a_failed_attempt_is_an_error_and_then_failed() {
    let (origin, notes) = (Origin::start(), Notes::default());
    let cut = origin.on("/cut", Reply::ok(pattern(100_000)).cut_after(50_000));
    let run = |url: &str| {
        let mut download =
            HttpDownload::get(url).unwrap().writer(BufferWriter::new(1 << 20)).handler(notes.clone());
        download.run(&Context::new()).unwrap_err()
    };
    assert!(run(&origin.url("/missing")).is_not_found());
    assert_eq!(notes.take(), ["prepared", "sending 1", "error not-found", "failed not-found"]);
    let error = run(&cut);
    assert_eq!((error.received(), error.expected(), error.attempts()), (50_000, Some(100_000), 1));
    let expected =
        ["prepared", "sending 1", "replied 200", "fetched", "error incomplete", "failed incomplete"];
    assert_eq!(notes.take(), expected);
}

#[test]
fn a_failed_validation_is_an_error_and_then_failed_and_never_succeeded() {
    let (origin, notes, folder) = (Origin::start(), Notes::default(), Folder::new());
    let url = origin.on("/file", Reply::ok("hello"));
    let other = "md5:d41d8cd98f00b204e9800998ecf8427e".parse().unwrap();
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(FileWriter::new(folder.file("file")))
        .validation(DigestValidation::new(other))
        .handler(notes.clone());
    download.run(&Context::new()).unwrap_err();
    let expected = [
        "prepared",
        "sending 1",
        "replied 200",
        "fetched",
        "error digest-mismatch",
        "failed digest-mismatch",
    ];
    assert_eq!(notes.take(), expected);
    assert!(folder.entries().is_empty());
}

#[test]
fn a_repaired_attempt_is_an_error_and_another_sending() {
    let (origin, notes, buffer) = (Origin::start(), Notes::default(), BufferWriter::new(1 << 20));
    let whole = Reply::ok(pattern(100_000));
    let url = origin.sequence("/file", [whole.clone().cut_after(50_000), whole]);
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(buffer.clone())
        .handler(notes.clone())
        .handler(retry_every_error);
    let receipt = download.run(&Context::new()).unwrap();
    let expected = [
        "prepared",
        "sending 1",
        "replied 200",
        "fetched",
        "error incomplete",
        "sending 2",
        "replied 200",
        "fetched",
        "succeeded",
    ];
    assert_eq!(notes.take(), expected);
    assert_eq!(receipt.attempts(), 2);
    assert!(buffer.take().unwrap() == pattern(100_000));
}

#[test]
fn failing_or_retrying_when_prepared_is_final_and_nothing_is_sent() {
    for action in [Action::Fail(reason()), Action::Retry(Duration::ZERO)] {
        let (origin, notes, folder) = (Origin::start(), Notes::default(), Folder::new());
        let url = origin.on("/file", Reply::ok("hello"));
        let message = match &action {
            Action::Fail(_) => "not on a Monday",
            _ => "a handler asked for another attempt before the first",
        };
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .writer(FileWriter::new(folder.file("file")))
            .handler(notes.clone())
            .handler(once("prepared", action))
            .handler(retry_every_error);
        let error = download.run(&Context::new()).unwrap_err();
        assert_eq!(error.failure().to_string(), message);
        assert_eq!(error.attempts(), 0);
        let notes = notes.take();
        assert!(notes.len() == 2 && notes[0] == "prepared" && notes[1].starts_with("failed"), "{notes:?}");
        assert_eq!((origin.connections(), folder.entries().len()), (0, 0));
    }
}

#[test]
fn a_retry_asked_for_elsewhere_than_at_an_error_fails_the_attempt_and_passes_through_error() {
    for at in ["sending", "replied", "fetched"] {
        let (origin, notes, buffer) = (Origin::start(), Notes::default(), BufferWriter::new(1 << 20));
        let url = origin.on("/file", Reply::ok(pattern(200_000)).etag("\"1\"").ranges());
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .writer(buffer.clone())
            .handler(notes.clone())
            .handler(once(at, Action::Retry(Duration::ZERO)));
        assert_eq!(download.run(&Context::new()).unwrap().attempts(), 2);
        let first: &[&str] = match at {
            "sending" => &[],
            "replied" => &["replied 200"],
            _ => &["replied 200", "fetched"],
        };
        // What was fetched before is kept: the second attempt goes on behind it.
        let again = if at == "fetched" { "replied 206" } else { "replied 200" };
        let rest = ["error other", "sending 2", again, "fetched", "succeeded"];
        assert_eq!(notes.take(), [&["prepared", "sending 1"], first, &rest].concat(), "at {at}");
        assert!(buffer.take().unwrap() == pattern(200_000));
    }
}

#[test]
fn failing_an_attempt_for_a_reason_makes_it_the_error_and_can_be_repaired() {
    for at in ["sending", "replied", "fetched"] {
        let (origin, notes, buffer) = (Origin::start(), Notes::default(), BufferWriter::new(1 << 20));
        let url = origin.on("/file", Reply::ok("hello"));
        let make = || {
            let download = HttpDownload::get(&url).unwrap().writer(buffer.clone()).handler(notes.clone());
            download.handler(once(at, Action::Fail(reason())))
        };
        let error = make().run(&Context::new()).unwrap_err();
        assert_eq!(error.failure().to_string(), "not on a Monday");
        assert_eq!(
            notes.take().iter().rev().take(2).collect::<Vec<_>>(),
            ["failed unsupported", "error unsupported"]
        );
        assert!(buffer.take().is_none());
        let receipt = make().handler(retry_every_error).run(&Context::new()).unwrap();
        assert_eq!((receipt.attempts(), buffer.take().unwrap()), (2, b"hello".to_vec()));
        let told = notes.take();
        assert!(told.contains(&"error unsupported".to_owned()) && told.last().unwrap() == "succeeded");
    }
}

#[test]
fn failing_at_an_error_gives_up_for_that_reason_and_keeps_the_history() {
    let (origin, notes) = (Origin::start(), Notes::default());
    let mut download = HttpDownload::get(&origin.url("/missing"))
        .unwrap()
        .writer(BufferWriter::new(10))
        .handler(notes.clone())
        .handler(once("error", Action::Fail(reason())))
        .handler(retry_every_error);
    let error = download.run(&Context::new()).unwrap_err();
    assert_eq!(error.failure().to_string(), "not on a Monday");
    assert_eq!(error.history()[0].failure().status().unwrap(), 404);
    assert_eq!(notes.take(), ["prepared", "sending 1", "error not-found", "failed unsupported"]);
    assert_eq!(origin.requests("/missing"), 1);
}

#[test]
fn at_the_end_all_handlers_are_told_and_their_answers_change_nothing() {
    let (origin, notes, buffer) = (Origin::start(), Notes::default(), BufferWriter::new(10));
    let url = origin.on("/file", Reply::ok("hello"));
    for (url, last) in [(url, "succeeded"), (origin.url("/missing"), "failed not-found")] {
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .writer(buffer.clone())
            .handler(once("succeeded", Action::Fail(reason())))
            .handler(once("failed", Action::Retry(Duration::ZERO)))
            .handler(notes.clone());
        let result = download.run(&Context::new());
        assert_eq!(result.is_ok(), last == "succeeded");
        assert_eq!(notes.take().last().unwrap(), last);
    }
    assert_eq!((origin.requests("/missing"), buffer.take().unwrap()), (1, b"hello".to_vec()));
}

#[test]
fn exactly_one_of_succeeded_and_failed_is_told_and_last_however_a_run_ends() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let good = origin.on("/good", Reply::ok("hello"));
    let stalled = origin.on("/stalled", Reply::ok(pattern(1_000)).stall_after(10));
    let path = folder.file("file");
    let to_file = |url: &str| HttpDownload::get(url).unwrap().writer(FileWriter::new(&path));
    let refused = format!("http://127.0.0.1:{}/", closed_port());
    let runs = [
        ("success", to_file(&good)),
        ("no connection", to_file(&refused)),
        ("a time-out", to_file(&stalled).read_timeout(Duration::from_millis(100))),
        ("the deadline", to_file(&stalled).deadline(Duration::from_millis(100))),
        ("no writer", HttpDownload::get(&good).unwrap()),
        ("no place to write", HttpDownload::get(&good).unwrap().writer(FileWriter::new(folder.path()))),
        ("too large", HttpDownload::get(&good).unwrap().writer(BufferWriter::new(4))),
        (
            "cancelled",
            to_file(&stalled).handler(|event: &mut Event<'_>, context: &Context| {
                if let Event::Fetched { .. } = event {
                    context.cancel();
                }
                Action::Continue
            }),
        ),
    ];
    for (what, download) in runs {
        let notes = Notes::default();
        let result = download.handler(notes.clone()).run(&Context::new());
        let notes = notes.take();
        let ends = notes.iter().filter(|note| *note == "succeeded" || note.starts_with("failed"));
        assert_eq!(ends.count(), 1, "{what}: {notes:?}");
        let last = notes.last().unwrap();
        match result {
            Ok(_) => assert_eq!((what, last.as_str()), ("success", "succeeded")),
            Err(error) => assert_eq!(*last, format!("failed {}", error.kind().name()), "{what}"),
        }
    }
    assert_eq!(folder.entries(), ["file"]);
}

#[test]
fn a_handler_that_panics_fails_its_own_download_only_and_leaves_no_file() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let good = origin.on("/good", Reply::ok("hello"));
    let make = |at: &'static str| {
        let url = if at == "error" { origin.url("/missing") } else { good.clone() };
        let panicking = move |event: &mut Event<'_>, _: &Context| {
            assert!(name(event) != at, "a panic at {at}");
            Action::Continue
        };
        HttpDownload::get(&url).unwrap().writer(FileWriter::new(folder.file(at))).handler(panicking)
    };
    let moments = ["prepared", "sending", "replied", "fetched", "error"];
    let downloads = moments.into_iter().chain(["never"]).map(|at| make(at).attach(at));
    let mut seen = 0;
    for plan in Batch::new(downloads) {
        seen += 1;
        match (*plan.attachment(), plan.result()) {
            ("never", result) => drop(result.unwrap()),
            (at, result) => {
                let error = result.unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Panicked));
                assert_eq!(error.failure().to_string(), format!("the download panicked: a panic at {at}"));
            }
        }
    }
    assert_eq!((seen, folder.entries()), (6, vec!["never".to_owned()]));
    let mut alone = make("fetched");
    assert!(catch_unwind(AssertUnwindSafe(|| alone.run(&Context::new()))).is_err());
    assert_eq!(folder.entries(), ["never"]);
}

#[test]
fn a_second_run_starts_from_the_callers_request() {
    let (origin, buffer) = (Origin::start(), BufferWriter::new(100));
    origin.sequence("/a", [Reply::error(404), Reply::ok("a")]);
    let mirror = origin.on("/b", Reply::ok("b"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let change = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Prepared { request } | Event::Sending { request, .. } = event {
            let marked = request.headers().unwrap().contains_key("x-mark");
            seeing.lock().unwrap().push((request.url().path().to_owned(), marked));
            request.set_header("x-mark", "1").unwrap();
        }
        Action::Continue
    };
    let mut download = HttpDownload::get(&origin.url("/a"))
        .unwrap()
        .writer(buffer.clone())
        .handler(change)
        .handler(MirrorDelegate::new([mirror.parse().unwrap()]));
    for expected in ["b", "a"] {
        download.run(&Context::new()).unwrap();
        assert_eq!(buffer.take().unwrap(), expected.as_bytes());
        assert_eq!(download.request().url().path(), "/a");
    }
    let (a, b) = ("/a".to_owned(), "/b".to_owned());
    let expected = [(a.clone(), false), (a.clone(), true), (b, true), (a.clone(), false), (a, true)];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert!(origin.journal().iter().all(|request| request.header("x-mark") == Some("1")));
}

#[test]
fn what_a_handler_changes_when_sending_or_at_an_error_lasts_for_the_attempts_after() {
    let (origin, buffer) = (Origin::start(), BufferWriter::new(100));
    let url = origin.sequence("/file", [Reply::error(503), Reply::error(503), Reply::ok("hello")]);
    let change = |event: &mut Event<'_>, _: &Context| {
        match event {
            Event::Sending { request, attempt: 1 } => request.set_header("x-first", "1").unwrap(),
            Event::Error { request, error } if error.attempts() == 1 => {
                request.set_header("x-second", "2").unwrap();
            }
            _ => {}
        }
        Action::Continue
    };
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(buffer.clone())
        .handler(change)
        .handler(RetryDelegate::new(2).base(Duration::ZERO));
    download.run(&Context::new()).unwrap();
    let sent = |name| origin.journal().iter().map(|one| one.header(name).is_some()).collect::<Vec<_>>();
    assert_eq!(sent("x-first"), [true, true, true]);
    assert_eq!(sent("x-second"), [false, true, true]);
}

#[test]
fn handlers_are_asked_in_order_until_one_acts() {
    let (origin, notes) = (Origin::start(), Notes::default());
    let mut download = HttpDownload::get(&origin.url("/missing"))
        .unwrap()
        .writer(BufferWriter::new(10))
        .handler(once("error", Action::Retry(Duration::ZERO)))
        .handler(notes.clone())
        .handler(once("error", Action::Fail(reason())));
    let error = download.run(&Context::new()).unwrap_err();
    assert_eq!((error.attempts(), error.failure().to_string().as_str()), (2, "not on a Monday"));
    // The first error was acted on before it came here.
    assert_eq!(notes.take(), ["prepared", "sending 1", "sending 2", "error not-found", "failed unsupported"]);
}
