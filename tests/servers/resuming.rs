//! Going on with a body that broke off, at each of the real servers, and starting again where that is refused.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use ganymede::{Action, Context, Download, Event, FileWriter, Receipt, RetryDelegate};
use ganymede_kit::{Break, Daemon, Passage, Relay, pattern, wait_until};

use crate::get;

const SIZE: usize = 5_000_000;

/// After how many bytes, those of the head included, the first connection breaks.
const CUT: u64 = 2_000_000;

/// Downloads `file` through a relay that breaks the first connection; `meanwhile` happens before the second.
///
/// Returns the receipt, what was stored, and the lines of the server's log.
fn broken(
    server: &Daemon,
    breaking: Break,
    mut meanwhile: impl FnMut() + Send + 'static,
) -> (Receipt, Vec<u8>, Vec<String>) {
    let address = ([127, 0, 0, 1], server.port).into();
    let relay = Relay::start(address, [Passage::After(CUT, breaking), Passage::Pass]);
    let target = server.folder.file("target");
    let mut download = get(&relay.url("http", "/file"))
        .no_proxy()
        .writer(FileWriter::new(&target))
        .handler(move |event: &mut Event<'_>, _: &Context| {
            if let Event::Error { .. } = event {
                meanwhile();
            }
            Action::Continue
        })
        .handler(RetryDelegate::new(1).base(Duration::ZERO));
    let receipt = download.run(&Context::new()).unwrap();
    assert_eq!(receipt.attempts(), 2);
    // A line may be written when the connection is closed.
    let lines = || server.log("guards.log").lines().map(str::to_owned).collect::<Vec<_>>();
    wait_until("all requests to be logged", || lines().len() as u64 == relay.connections());
    (receipt, fs::read(target).unwrap(), lines())
}

/// Puts a file there in one step, as old as that: a tag may be made of whole seconds, and is weak when it is too young.
fn put(content: &Path, bytes: &[u8], age: Duration) {
    let new = content.join("new");
    fs::write(&new, bytes).unwrap();
    File::options().write(true).open(&new).unwrap().set_modified(SystemTime::now() - age).unwrap();
    fs::rename(&new, content.join("file")).unwrap();
}

const DAY: Duration = Duration::from_secs(86_400);

fn other_content() -> Vec<u8> {
    pattern(SIZE).into_iter().map(|byte| !byte).collect()
}

/// What was cut is gone on with, guarded by the tag of the first reply.
fn resumes(server: &Daemon) {
    for breaking in [Break::Close, Break::Reset] {
        put(&server.folder.file("content"), &pattern(SIZE), DAY);
        let (receipt, stored, lines) = broken(server, breaking, || {});
        assert!(stored == pattern(SIZE));
        let (head, offset) = (receipt.head(), receipt.head().offset());
        assert_eq!((head.status().as_u16(), lines.len()), (206, 2));
        assert!((1..CUT).contains(&offset), "{offset}");
        let tag = head.strong_etag().unwrap();
        assert!(lines.contains(&format!("206 bytes={offset}- {}", logged(tag, &lines))), "{lines:?}");
        // The next turn counts its own lines.
        File::options().write(true).truncate(true).open(server.folder.file("guards.log")).unwrap();
    }
}

/// A tag as this server writes it into its log: some put a backslash before a quote.
fn logged(tag: &str, lines: &[String]) -> String {
    let escaped = |by: &str| tag.replace('"', by);
    let forms = [tag.to_owned(), escaped("\\\""), escaped("\\x22")];
    let found = forms.iter().find(|form| lines.iter().any(|line| line.ends_with(form.as_str())));
    found.cloned().unwrap_or_else(|| panic!("{tag} guards nothing: {lines:?}"))
}

/// A file that was exchanged meanwhile comes whole.
fn refuses_what_has_changed(server: &Daemon) {
    put(&server.folder.file("content"), &pattern(SIZE), DAY);
    let content = server.folder.file("content");
    let (_, stored, lines) = broken(server, Break::Close, move || {
        put(&content, &other_content(), 2 * DAY);
    });
    assert!(stored == other_content());
    assert!(lines.len() == 2 && lines.iter().any(|line| line.starts_with("200 bytes=")), "{lines:?}");
}

/// A server that has no ranges is asked for everything.
fn starts_again(server: &Daemon) {
    put(&server.folder.file("content"), &pattern(SIZE), DAY);
    let (receipt, stored, lines) = broken(server, Break::Close, || {});
    assert!(stored == pattern(SIZE));
    assert_eq!((receipt.head().status().as_u16(), receipt.head().offset()), (200, 0));
    // It may have been the guard that it did not like, so it was asked without one, too.
    assert!(lines.len() <= 3 && lines.iter().all(|line| line.starts_with("200 ")), "{lines:?}");
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_continues_what_was_cut_on_the_way_and_not_what_has_changed() {
    let nginx = || Daemon::nginx("", |_| String::new());
    resumes(&nginx());
    refuses_what_has_changed(&nginx());
}

#[test]
#[ignore = "needs apache2, which tests/run installs"]
fn apache_continues_what_was_cut_on_the_way_and_not_what_has_changed() {
    resumes(&Daemon::apache(""));
    refuses_what_has_changed(&Daemon::apache(""));
}

#[test]
#[ignore = "needs lighttpd, which tests/run installs"]
fn lighttpd_continues_what_was_cut_on_the_way_and_not_what_has_changed() {
    resumes(&Daemon::lighttpd(""));
    refuses_what_has_changed(&Daemon::lighttpd(""));
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_without_ranges_is_asked_for_everything_again() {
    starts_again(&Daemon::nginx("", |_| "max_ranges 0;".to_owned()));
}

#[test]
#[ignore = "needs apache2, which tests/run installs"]
fn apache_without_ranges_is_asked_for_everything_again() {
    starts_again(&Daemon::apache("MaxRanges none"));
    starts_again(&Daemon::apache("Header unset Accept-Ranges\nRequestHeader unset Range"));
}

#[test]
#[ignore = "needs lighttpd, which tests/run installs"]
fn lighttpd_without_ranges_is_asked_for_everything_again() {
    starts_again(&Daemon::lighttpd("server.range-requests = \"disable\""));
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_says_when_it_wants_to_be_asked_again_and_is_obeyed() {
    let nginx = Daemon::nginx("", |folder| {
        let path = folder.path().display();
        format!("location / {{ add_header Retry-After 1 always; if (-f {path}/busy) {{ return 503; }} }}")
    });
    nginx.folder.write("content/file", "content");
    let (busy, target) = (nginx.folder.write("busy", ""), nginx.folder.file("target"));
    let handler = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Error { error, .. } = event {
            let asked = error.failure().wait();
            assert_eq!((error.status().unwrap().as_u16(), asked), (503, Some(Duration::from_secs(1))));
            fs::remove_file(&busy).unwrap();
        }
        Action::Continue
    };
    let retry = RetryDelegate::new(1).base(Duration::ZERO);
    let mut download = get(&nginx.url("http", "/file")).handler(handler).handler(retry);
    download = download.writer(FileWriter::new(&target));
    let start = Instant::now();
    assert_eq!(download.run(&Context::new()).unwrap().attempts(), 2);
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(fs::read(target).unwrap(), b"content");
}
