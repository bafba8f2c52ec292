//! The same content elsewhere, whoever runs the downloads: alone, in a batch, or through a server that passes them on.
//!
//! Each test of this file is handed what runs the downloads of an importer. The importer and its delegates are the same.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::{Arc, Mutex};
use std::thread;

use ganymede::{
    Action, Algorithm, Context, DigestValidation, Download, DownloadError, Event, Facts, Failure,
    HttpDownload, Importer, MirrorDelegate, Receipt, RetryDelegate, Url,
};
use ganymede_kit::{Gate, Origin, Reply, pattern};

pub(crate) const SIZE: usize = 200_000;
pub(crate) const SOURCES: [&str; 4] = ["/lost", "/cut", "/bad", "/good"];

/// What came of a download: its content, or what is to be found in its place.
pub(crate) type Content = Result<Vec<u8>, Vec<u8>>;

/// Runs the downloads of an importer for these paths in a context, all at once.
pub(crate) type Run = fn(&Arc<dyn Importer>, &Context, &[&str]) -> Vec<Content>;

pub(crate) fn url(text: &str) -> Url {
    text.parse().unwrap()
}

/// An origin with a source that has lost the content, one that breaks off, one with wrong bytes, and a good one.
pub(crate) fn sources() -> Origin {
    let origin = Origin::start();
    origin.on("/cut", Reply::ok(pattern(SIZE)).cut_after(90_000));
    origin.on("/bad", Reply::ok(vec![7; SIZE]));
    origin.on("/good", Reply::ok(pattern(SIZE)));
    origin
}

pub(crate) fn mirrors(origin: &Origin) -> [Url; 3] {
    ["/cut", "/bad", "/good"].map(|path| url(&origin.url(path)))
}

pub(crate) fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

pub(crate) fn paths(origin: &Origin) -> Vec<String> {
    origin.journal().into_iter().map(|received| received.target).collect()
}

/// How the downloads of an importer have ended, as their handlers were told.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<Result<Receipt, DownloadError>>>>);

impl Ends {
    fn note(&self, event: &Event<'_>) {
        let end = match event {
            Event::Succeeded { receipt } => Ok((*receipt).clone()),
            Event::Failed { error } => Err((*error).clone()),
            _ => return,
        };
        self.0.lock().unwrap().push(end);
    }

    fn take(&self) -> Vec<Result<Receipt, DownloadError>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// An importer of what an origin has, or one of its mirrors.
fn importer(
    origin: &Origin,
    expected: Option<DigestValidation>,
    mirrors: MirrorDelegate,
) -> (Arc<dyn Importer>, Ends) {
    let (base, ends) = (origin.url("/"), Ends::default());
    let (retry, told) = (RetryDelegate::new(0), ends.clone());
    let import = move |path: &str| -> Result<Box<dyn Download>, Failure> {
        let told = told.clone();
        let mut download = HttpDownload::get(&format!("{base}{path}"))?.no_proxy();
        if let Some(expected) = &expected {
            download = download.validation(expected.clone());
        }
        let download = download.handler(retry.clone()).handler(mirrors.clone());
        Ok(Box::new(download.handler(move |event: &mut Event<'_>, _: &Context| {
            told.note(event);
            Action::Continue
        })))
    };
    (Arc::new(import), ends)
}

/// 404, cut, another digest, good: the good bytes, and each source is asked once and in order.
pub(crate) fn each_source_is_tried_once_in_order_until_one_is_good(run: Run) {
    let (origin, context) = (sources(), Context::new());
    let delegate = MirrorDelegate::new(mirrors(&origin));
    let (importer, ends) = importer(&origin, Some(digest(&pattern(SIZE))), delegate);
    // What was tried is in the error's history and not in the delegate: a second run is like the first.
    for turn in 0..2 {
        let contents = run(&importer, &context, &["lost"]);
        assert!(contents == [Ok(pattern(SIZE))], "another content");
        assert_eq!(paths(&origin)[4 * turn..], SOURCES);
        let [Ok(receipt)] = &ends.take()[..] else { panic!("one success") };
        assert_eq!((receipt.attempts(), receipt.source().path()), (4, "/good"));
    }
}

/// A list is fetched once in a context, however many ask for it, and once more in another one.
pub(crate) fn a_list_is_fetched_once_in_a_context_however_many_ask(run: Run) {
    let (origin, gate, context) = (Origin::start(), Gate::new(), Context::new());
    origin.handle("/mirror/", |received| Reply::ok(received.path().to_owned()));
    let list = url(&origin.on("/list", Reply::ok("/mirror/\n").gate(&gate)));
    let (importer, _) = importer(&origin, None, MirrorDelegate::list(list));
    let lost: Vec<String> = (0..16).map(|n| format!("lost/{n}")).collect();
    let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
    let contents = thread::scope(|scope| {
        let running = scope.spawn(|| run(&importer, &context, &lost));
        gate.wait_arrived(1);
        // All have failed at their own source, and one of them fetches the list.
        origin.wait_requests(17);
        gate.open();
        running.join().unwrap()
    });
    for (n, content) in contents.into_iter().enumerate() {
        assert_eq!(content, Ok(format!("/mirror/{n}").into_bytes()));
    }
    assert_eq!(origin.requests("/list"), 1);
    for (context, fetched) in [(&context, 1), (&Context::new(), 2)] {
        assert_eq!(run(&importer, context, &["lost/7"]), [Ok(b"/mirror/7".to_vec())]);
        assert_eq!(origin.requests("/list"), fetched);
    }
}

/// A list that is answered by 500 is an error, and its text is nowhere.
pub(crate) fn a_list_that_cannot_be_had_is_an_error_and_its_text_never_the_content(run: Run) {
    let origin = Origin::start();
    let list = origin.on("/list", Reply::ok("the list is out of order").status(500));
    let (importer, ends) = importer(&origin, None, MirrorDelegate::list(url(&list)));
    let contents = run(&importer, &Context::new(), &["lost"]);
    let [Err(left)] = &contents[..] else { panic!("no content") };
    assert!(!String::from_utf8_lossy(left).contains("out of order"), "{left:?}");
    let [Err(error)] = &ends.take()[..] else { panic!("one error") };
    assert_eq!(error.kind().name(), "mirror-list");
    let text = error.to_string();
    assert!(text.contains(&list) && text.contains("500"), "{text}");
    assert!(error.history()[0].failure().status().unwrap() == 404);
    assert_eq!(origin.requests("/lost"), 1);
}

/// When all are bad, the error names every source once, in order, and why.
pub(crate) fn when_all_are_bad_the_error_names_every_mirror_and_why(run: Run) {
    let origin = sources();
    // Found out at its last byte, whatever was passed on of the one before it.
    let mut bad = pattern(SIZE);
    bad[SIZE - 1] ^= 1;
    origin.on("/bad", Reply::ok(bad));
    let more = [("/gone", 410), ("/secret", 403), ("/broken", 500)];
    let more: Vec<Url> =
        more.map(|(path, status)| url(&origin.on(path, Reply::error(status)))).into_iter().collect();
    let delegate = MirrorDelegate::new(mirrors(&origin)[..2].iter().cloned().chain(more));
    let (importer, ends) = importer(&origin, Some(digest(&pattern(SIZE))), delegate);
    assert!(run(&importer, &Context::new(), &["lost"])[0].is_err());
    let tried = ["/lost", "/cut", "/bad", "/gone", "/secret", "/broken"];
    assert_eq!(paths(&origin), tried);
    let [Err(error)] = &ends.take()[..] else { panic!("one error") };
    let history: Vec<_> = error.history().iter().map(|attempt| attempt.source().path()).collect();
    assert_eq!(history, tried);
    let kinds: Vec<_> = error.history().iter().map(|attempt| attempt.failure().kind().name()).collect();
    assert_eq!(kinds, ["not-found", "incomplete", "digest-mismatch", "not-found", "unauthorized", "status"]);
    let text = error.to_string();
    assert!(tried.iter().all(|path| text.matches(&origin.url(path)).count() == 1), "{text}");
    assert!(["404", "410", "403", "500", "digest"].iter().all(|why| text.contains(why)), "{text}");
    assert_eq!((error.url().path(), error.failed_source().path()), ("/lost", "/broken"));
}
