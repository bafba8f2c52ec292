//! The same content elsewhere: by the delegate, by a custom protocol, by a handler, and from a list.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

#[path = "support/mirroring.rs"]
mod mirroring;

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ganymede::{
    Action, Attached, Batch, BufferWriter, Context, DigestValidation, Download, DownloadError, ErrorKind,
    Event, Facts, Failure, FileWriter, Http, HttpDownload, Importer, MirrorDelegate, Protocol, Reply,
    Request, Transfer, Url,
};
use ganymede_kit::{Folder, Origin, Reply as Scripted, pattern};

use mirroring::{Content, Run, SIZE, SOURCES, digest, mirrors, paths, sources, url};

fn fetch<P: Protocol>(download: Transfer<P>, context: &Context) -> Result<Vec<u8>, DownloadError> {
    let buffer = BufferWriter::new(1 << 20);
    download.writer(buffer.clone()).run(context).map(|_| buffer.take().unwrap())
}

fn lost(origin: &Origin) -> HttpDownload {
    HttpDownload::get(&origin.url("/lost")).unwrap()
}

/// The downloads of an importer, each on a thread of its own, and in a batch.
const RUNS: [Run; 2] = [alone, batched];

fn alone(importer: &Arc<dyn Importer>, context: &Context, paths: &[&str]) -> Vec<Content> {
    thread::scope(|scope| {
        let run = |path: &str| {
            let (mut download, folder) = prepared(importer, path);
            content(download.run(context).is_ok(), &folder)
        };
        let running: Vec<_> = paths.iter().map(|path| scope.spawn(move || run(path))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn batched(importer: &Arc<dyn Importer>, context: &Context, paths: &[&str]) -> Vec<Content> {
    let downloads = paths.iter().map(|path| {
        let (download, folder) = prepared(importer, path);
        Attached::new(download, (path.to_string(), folder))
    });
    let mut contents = HashMap::new();
    for plan in Batch::new(downloads).concurrency(paths.len()).context(context) {
        let (path, folder) = plan.attachment();
        contents.insert(path.clone(), content(plan.result().is_ok(), folder));
    }
    paths.iter().map(|path| contents.remove(*path).unwrap()).collect()
}

fn prepared(importer: &Arc<dyn Importer>, path: &str) -> (Box<dyn Download>, Folder) {
    let (mut download, folder) = (importer.download(path).unwrap(), Folder::new());
    download.set_writer(Arc::new(FileWriter::new(folder.file("file"))));
    (download, folder)
}

fn content(succeeded: bool, folder: &Folder) -> Content {
    if succeeded {
        return Ok(folder.read("file"));
    }
    Err(folder.entries().iter().flat_map(|name| folder.read(name)).collect())
}

#[test]
fn the_delegate_tries_each_source_once_in_order_until_one_is_good() {
    RUNS.into_iter().for_each(mirroring::each_source_is_tried_once_in_order_until_one_is_good);
}

#[test]
fn a_custom_protocol_does_the_same() {
    /// Answers with the first content that is whole and right.
    struct Mirrored<P>(P, Vec<Url>, DigestValidation);

    impl<P: Protocol> Protocol for Mirrored<P> {
        fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
            let mut failure = Failure::from(ErrorKind::NotFound);
            for url in [request.url()].into_iter().chain(&self.1) {
                let mut request = request.clone();
                request.set_url(url.clone());
                match self.0.send(&request, context).and_then(|reply| self.checked(reply)) {
                    Ok(reply) => return Ok(reply),
                    Err(why) => failure = why,
                }
            }
            Err(failure)
        }
    }

    impl<P> Mirrored<P> {
        fn checked(&self, reply: Reply) -> Result<Reply, Failure> {
            use ganymede::Validation;
            let (head, body) = reply.into_parts();
            let mut content = Vec::new();
            body.into_iter().try_for_each(|mut body| body.read_to_end(&mut content).map(drop))?;
            self.2.begin().finish(&Facts::of(&content[..], self.2.needs())?)?;
            Ok(Reply::new(head, Cursor::new(content)))
        }
    }

    let origin = sources();
    let wrap = |http: Http| Mirrored(http, mirrors(&origin).to_vec(), digest(&pattern(SIZE)));
    assert!(fetch(lost(&origin).map(wrap), &Context::new()).unwrap() == pattern(SIZE));
    assert_eq!(paths(&origin), SOURCES);
}

#[test]
fn a_handler_does_the_same() {
    let origin = sources();
    let elsewhere = mirrors(&origin);
    let next = move |event: &mut Event<'_>, _: &Context| {
        let Event::Error { request, error } = event else { return Action::Continue };
        let Some(mirror) = elsewhere.get(error.history().len() - 1) else { return Action::Continue };
        request.set_url(mirror.clone());
        Action::Retry(Duration::ZERO)
    };
    let download = lost(&origin).validation(digest(&pattern(SIZE))).handler(next);
    assert!(fetch(download, &Context::new()).unwrap() == pattern(SIZE));
    assert_eq!(paths(&origin), SOURCES);
}

#[test]
fn a_list_does_the_same() {
    let origin = sources();
    let list = origin.on("/list", Scripted::ok("cut\nbad\ngood\n"));
    let download = lost(&origin).validation(digest(&pattern(SIZE))).handler(MirrorDelegate::list(url(&list)));
    assert!(fetch(download, &Context::new()).unwrap() == pattern(SIZE));
    assert_eq!(paths(&origin), ["/lost", "/list", "/cut", "/bad", "/good"]);
}

#[test]
fn a_list_is_fetched_once_in_a_context_however_many_ask() {
    RUNS.into_iter().for_each(mirroring::a_list_is_fetched_once_in_a_context_however_many_ask);
}

#[test]
fn two_lists_in_one_context_are_kept_apart() {
    let (origin, context) = (Origin::start(), Context::new());
    for name in ["a", "b"] {
        origin.on(&format!("/{name}/lost"), Scripted::ok(name));
        origin.on(&format!("/list-{name}"), Scripted::ok(format!("/{name}/\n")));
    }
    for name in ["a", "b", "a"] {
        let delegate = MirrorDelegate::list(url(&origin.url(&format!("/list-{name}"))));
        assert_eq!(fetch(lost(&origin).handler(delegate), &context).unwrap(), name.as_bytes());
    }
    assert_eq!((origin.requests("/list-a"), origin.requests("/list-b")), (1, 1));
}

#[test]
fn a_list_that_cannot_be_had_is_an_error_and_its_text_never_the_content() {
    RUNS.into_iter()
        .for_each(mirroring::a_list_that_cannot_be_had_is_an_error_and_its_text_never_the_content);
}

#[test]
fn a_list_may_have_comments_blank_lines_any_line_ends_and_relative_urls() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let text = format!(
        "\u{feff}# mirrors of the file\r\n\r\n  one/file \r\n/two/file\r\n\n   # more\n{}\nbase/\n{}",
        elsewhere.url("/three"),
        elsewhere.url("/four/"),
    );
    let list = origin.on("/lists/today", Scripted::ok(text));
    let download = HttpDownload::get(&origin.url("/own/a%20file?sign=a%2Fb"))
        .unwrap()
        .handler(MirrorDelegate::list(url(&list)));
    let error = fetch(download, &Context::new()).unwrap_err();
    assert_eq!(paths(&origin)[2..], ["/lists/one/file", "/two/file", "/lists/base/a%20file"]);
    assert_eq!(paths(&elsewhere), ["/three", "/four/a%20file"]);
    assert_eq!(error.attempts(), 6);
}

#[test]
fn a_relative_url_of_a_list_is_relative_to_where_redirects_led() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let moved = elsewhere.on("/lists/today", Scripted::ok("file\n"));
    elsewhere.on("/lists/file", Scripted::ok("hello"));
    let list = origin.on("/list", Scripted::redirect(302, moved));
    let download = lost(&origin).handler(MirrorDelegate::list(url(&list)));
    assert_eq!(fetch(download, &Context::new()).unwrap(), b"hello");
}

#[test]
fn a_page_or_an_empty_text_is_no_list() {
    let origin = Origin::start();
    let texts = [
        "<!DOCTYPE html>\n<html><body>Please log in</body></html>\n",
        "<html>\n",
        "Service unavailable, try again\n",
        "http://[broken\n",
        "",
        "# nothing\n\n",
    ];
    for text in texts {
        let list = url(&origin.on("/list", Scripted::ok(text)));
        let download = lost(&origin).handler(MirrorDelegate::list(list));
        let error = fetch(download, &Context::new()).unwrap_err();
        assert_eq!((error.kind().name(), error.attempts()), ("mirror-list", 1), "{text:?}");
    }
    let list = url(&origin.on("/list", Scripted::ok([b'/', 0xff, b'\n'])));
    let error = fetch(lost(&origin).handler(MirrorDelegate::list(list)), &Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "mirror-list");
}

#[test]
fn when_all_are_bad_the_error_names_every_mirror_and_why() {
    RUNS.into_iter().for_each(mirroring::when_all_are_bad_the_error_names_every_mirror_and_why);
}

#[test]
fn secrets_go_to_given_mirrors_and_stay_behind_from_those_that_a_list_names_elsewhere() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let there = elsewhere.on("/copy", Scripted::ok("hello"));
    let download = || {
        let mut download = lost(&origin).user("amy", "secret").header("X-Account", "7");
        download.request_mut().set_header("X-Own", "8").unwrap();
        download
    };
    fetch(download().handler(MirrorDelegate::new([url(&there)])), &Context::new()).unwrap();
    let list = origin.on("/list", Scripted::ok(format!("/near\n{there}\n")));
    fetch(download().handler(MirrorDelegate::list(url(&list))), &Context::new()).unwrap();
    let secrets = ["authorization", "x-account", "x-own"];
    let told = |origin: &Origin, path: &str, number: usize| {
        let requests = origin.journal().into_iter().filter(|received| received.target == path);
        let request = requests.into_iter().nth(number).unwrap();
        secrets.map(|name| request.header(name).is_some())
    };
    assert_eq!(told(&elsewhere, "/copy", 0), [true; 3]);
    assert_eq!(told(&elsewhere, "/copy", 1), [false; 3]);
    assert_eq!((told(&origin, "/near", 0), told(&origin, "/list", 0)), ([true; 3], [false; 3]));
}

#[test]
fn secrets_stay_behind_from_mirrors_that_a_server_has_named_elsewhere() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let there = elsewhere.on("/copy", Scripted::ok("hello"));
    let near = origin.on("/near", Scripted::error(404));
    let mut download = lost(&origin).user("amy", "secret").header("X-Account", "7");
    download.request_mut().set_header("X-Own", "8").unwrap();
    let named = MirrorDelegate::named([url(&near), url(&there)]);
    assert_eq!(fetch(download.handler(named), &Context::new()).unwrap(), b"hello");
    let told = |origin: &Origin, path: &str| {
        let request = origin.journal().into_iter().find(|received| received.target == path).unwrap();
        ["authorization", "x-account", "x-own"].map(|name| request.header(name).is_some())
    };
    assert_eq!((told(&origin, "/near"), told(&elsewhere, "/copy")), ([true; 3], [false; 3]));
}

#[test]
fn a_list_that_leads_to_a_local_file_is_refused() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let secret = folder.write("secret", "not for the network");
    let good = origin.on("/good", Scripted::ok("hello"));
    let list = origin.on("/list", Scripted::ok(format!("file://{}\n{good}\n", secret.display())));
    let buffer = BufferWriter::new(100);
    let factory = ganymede::Factory::new();
    let mut download = factory
        .download(&origin.url("/lost"))
        .unwrap()
        .writer(buffer.clone())
        .handler(MirrorDelegate::list(url(&list)));
    let error = download.run(&Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "redirect");
    assert!(buffer.take().is_none());
}

#[test]
fn one_delegate_serves_many_downloads_at_once() {
    let (origin, elsewhere, context) = (Origin::start(), Origin::start(), Context::new());
    elsewhere.handle("/", |received| match received.path().rsplit('/').next().unwrap().parse::<u32>() {
        Ok(n) if received.path().starts_with("/half/") && n % 2 == 1 => Scripted::error(404),
        _ => Scripted::ok(received.path().to_owned()),
    });
    let text = format!("{}\n{}\n", elsewhere.url("/half/"), elsewhere.url("/all/"));
    let delegate = MirrorDelegate::list(url(&origin.on("/list", Scripted::ok(text))));
    let downloads = (0..40).map(|n| {
        let (buffer, own) = (BufferWriter::new(100), origin.url(&format!("/lost/{n}")));
        let download = HttpDownload::get(&own).unwrap().writer(buffer.clone()).handler(delegate.clone());
        download.attach((n, buffer))
    });
    let mut seen = 0;
    for plan in Batch::new(downloads).context(&context) {
        plan.result().unwrap();
        let (n, buffer) = plan.attachment();
        let folder = if n % 2 == 1 { "all" } else { "half" };
        assert_eq!(buffer.take().unwrap(), format!("/{folder}/{n}").into_bytes());
        seen += 1;
    }
    assert_eq!((seen, origin.requests("/list")), (40, 1));
}

#[test]
fn a_download_that_mirrors_replace_is_never_asked_for_itself() {
    let origin = Origin::start();
    origin.on("/a/file", Scripted::error(404));
    origin.on("/b/file", Scripted::ok("hello"));
    let list = origin.on("/list", Scripted::ok("/a/\n/b/\n"));
    let download = || HttpDownload::get(&origin.url("/own")).unwrap();
    let delegate = MirrorDelegate::list(url(&list)).name("file").replaces();
    assert_eq!(fetch(download().handler(delegate), &Context::new()).unwrap(), b"hello");
    assert_eq!(paths(&origin), ["/list", "/a/file", "/b/file"]);
    let error = fetch(download().handler(MirrorDelegate::new([]).replaces()), &Context::new()).unwrap_err();
    assert_eq!((error.kind().name(), error.attempts()), ("mirror-list", 0));
    assert_eq!(origin.requests("/own"), 0);
}

#[test]
fn a_failure_of_this_side_is_not_answered_by_another_source() {
    let (origin, folder) = (sources(), Folder::new());
    let delegate = MirrorDelegate::new(mirrors(&origin));
    let good = || HttpDownload::get(&origin.url("/good")).unwrap().handler(delegate.clone());
    let error = good().writer(FileWriter::new(folder.path())).run(&Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "write");
    let error = good().writer(BufferWriter::new(10)).run(&Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "too-large");
    assert_eq!(paths(&origin), ["/good", "/good"]);
}

#[test]
fn cancelling_while_the_list_is_fetched_is_cancelled_and_no_failure_of_the_list() {
    let (origin, context) = (Origin::start(), Context::new());
    let list = url(&origin.on("/list", Scripted::ok("").stall_header()));
    let running = context.child();
    let download = lost(&origin).handler(MirrorDelegate::list(list));
    let thread = thread::spawn(move || fetch(download, &running).unwrap_err());
    origin.wait_requests(2);
    context.cancel();
    assert!(thread.join().unwrap().is_cancelled());
}
