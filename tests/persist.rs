//! What a run that was interrupted keeps beside the target, and what later runs make of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::fs;
use std::thread;
use std::time::Duration;

use ganymede::{
    Action, Algorithm, Context, DigestValidation, Download, DownloadError, DownloadMonitor, ErrorKind, Event,
    Facts, FileName, FileWriter, Head, HttpDownload, MirrorDelegate, Receipt, RetryDelegate,
};
use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};

const SIZE: usize = 600_000;
const CUT: u64 = 400_000;
const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const PART: &str = ".file.ganymede-part";
const NOTE: &str = ".file.ganymede-state";

fn whole() -> Reply {
    Reply::ok(pattern(SIZE)).ranges()
}

fn tagged() -> Reply {
    whole().etag("\"one\"").modified(OLD)
}

/// Bytes of the same length that differ everywhere.
fn other_content() -> Vec<u8> {
    pattern(SIZE).into_iter().map(|byte| !byte).collect()
}

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

fn to_file(folder: &Folder) -> FileWriter {
    FileWriter::new(folder.file("file"))
}

/// Runs a download as a process of its own would: nothing but the folder is shared with other runs.
fn run(url: &str, folder: &Folder) -> Result<Receipt, DownloadError> {
    HttpDownload::get(url).unwrap().writer(to_file(folder)).run(&Context::new())
}

/// Interrupts a download of `/file` after [`CUT`] bytes, and returns its URL.
fn interrupted(origin: &Origin, folder: &Folder, whole: &Reply) -> String {
    let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole.clone()]);
    let error = run(&url, folder).unwrap_err();
    assert_eq!((error.kind().name(), error.received()), ("incomplete", CUT));
    url
}

fn sent(origin: &Origin, name: &str) -> Vec<String> {
    let value = |value: Option<&str>| value.unwrap_or("-").to_owned();
    origin.journal().iter().map(|received| value(received.header(name))).collect()
}

#[test]
fn a_later_run_goes_on_where_one_broke_off() {
    for (whole, guard) in
        [(tagged(), "\"one\""), (whole().modified(OLD), OLD), (whole().etag("\"a b\""), "\"a b\"")]
    {
        let (origin, folder) = (Origin::start(), Folder::new());
        let url = interrupted(&origin, &folder, &whole);
        assert_eq!(folder.entries(), [PART, NOTE]);
        assert!(folder.read(PART) == pattern(SIZE)[..400_000]);
        let monitor = DownloadMonitor::new([Algorithm::Sha256, Algorithm::Md5]);
        let download = HttpDownload::get(&url).unwrap().writer(to_file(&folder)).monitor(&monitor);
        let receipt = { download }.run(&Context::new()).unwrap();
        assert_eq!(receipt.attempts(), 1);
        assert_eq!(monitor.facts(), Facts::of(&pattern(SIZE)[..], [Algorithm::Sha256, Algorithm::Md5]).ok());
        assert_eq!(folder.entries(), ["file"]);
        assert!(folder.read("file") == pattern(SIZE));
        assert_eq!(sent(&origin, "range"), ["-", "bytes=400000-"]);
        assert_eq!(sent(&origin, "if-range"), ["-", guard]);
    }
}

#[test]
fn the_time_of_the_file_is_that_of_the_content_also_when_a_part_does_not_tell_it() {
    let (origin, folder) = (Origin::start(), Folder::new());
    interrupted(&origin, &folder, &tagged());
    let url = origin.on("/file", whole().etag("\"one\""));
    run(&url, &folder).unwrap();
    let modified = fs::metadata(folder.file("file")).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap(), Duration::from_secs(784_111_777));
    assert_eq!(sent(&origin, "range"), ["-", "bytes=400000-"]);
}

#[test]
fn the_name_that_the_server_gave_stays_that_of_the_content_when_a_part_does_not_tell_it() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let named = tagged().header("Content-Disposition", "attachment; filename=\"given\"");
    let url =
        origin.sequence("/file", [named.clone().cut_after(100_000), tagged().cut_after(100_000), tagged()]);
    let get = |retries| {
        let path = folder.path().to_owned();
        let choose = move |head: &Head| Ok(path.join(FileName::of_head(head).expect("a name").as_str()));
        let retry = RetryDelegate::new(retries).base(Duration::ZERO);
        HttpDownload::get(&url).unwrap().writer(to_file(&folder).named(choose)).handler(retry)
    };
    // Within a run, and in a later one.
    assert_eq!(get(1).run(&Context::new()).unwrap_err().received(), 200_000);
    get(0).run(&Context::new()).unwrap();
    assert_eq!(folder.entries(), ["given"]);
    assert!(folder.read("given") == pattern(SIZE));
}

#[test]
fn a_little_file_is_kept_too_once_it_is_interrupted() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let content = pattern(100_000);
    let whole = || Reply::ok(content.clone()).ranges().etag("\"one\"");
    let url = origin.sequence("/file", [whole().cut_after(60_000), whole()]);
    assert_eq!(run(&url, &folder).unwrap_err().received(), 60_000);
    assert_eq!(folder.entries(), [PART, NOTE]);
    assert!(folder.read(PART) == content[..60_000]);
    run(&url, &folder).unwrap();
    assert_eq!(folder.entries(), ["file"]);
    assert!(folder.read("file") == content);
    assert_eq!(sent(&origin, "range"), ["-", "bytes=60000-"]);
    assert_eq!(sent(&origin, "if-range"), ["-", "\"one\""]);
}

#[test]
fn run_after_run_comes_a_bit_further_and_no_byte_comes_twice() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let step = |at: u64| tagged().cut_after(at);
    let url = origin.sequence("/file", [step(1), step(99_999), step(300_000), step(199_000), tagged()]);
    for there in [1, 100_000, 400_000, 599_000] {
        assert_eq!(run(&url, &folder).unwrap_err().received(), there);
        assert!(folder.read(PART) == pattern(SIZE)[..usize::try_from(there).unwrap()]);
    }
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(folder.entries(), ["file"]);
    let ranges = ["-", "bytes=1-", "bytes=100000-", "bytes=400000-", "bytes=599000-"];
    assert_eq!(sent(&origin, "range"), ranges);
}

#[test]
fn a_content_that_was_changed_between_the_runs_comes_whole() {
    let changed = Reply::ok(other_content()).ranges();
    for changed in [changed.clone().etag("\"two\""), changed.modified("Mon, 07 Nov 1994 08:49:37 GMT")] {
        let (origin, folder) = (Origin::start(), Folder::new());
        interrupted(&origin, &folder, &tagged());
        let url = origin.on("/file", changed);
        run(&url, &folder).unwrap();
        assert!(folder.read("file") == other_content());
        assert_eq!(folder.entries(), ["file"]);
        assert_eq!(origin.requests("/file"), 2);
    }
}

#[test]
fn a_shorter_content_is_not_mixed_with_a_longer_one() {
    let (origin, folder) = (Origin::start(), Folder::new());
    interrupted(&origin, &folder, &tagged());
    // It has the tag, and another length: the server answers 416 for the range.
    let short = pattern(1000);
    let url = origin.on("/file", Reply::ok(short.clone()).ranges().etag("\"one\""));
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == short);
    assert_eq!(sent(&origin, "range"), ["-", "bytes=400000-", "-"]);
}

#[test]
fn what_nothing_could_prove_is_not_kept() {
    let weak = whole().etag("W/\"one\"");
    let whole_only = tagged().header("Accept-Ranges", "none");
    for whole in [whole(), weak, whole_only] {
        let (origin, folder) = (Origin::start(), Folder::new());
        let url = interrupted(&origin, &folder, &whole);
        assert!(folder.entries().is_empty(), "{:?}", folder.entries());
        run(&url, &folder).unwrap();
        assert_eq!(sent(&origin, "range"), ["-", "-"]);
    }
}

#[test]
fn what_has_failed_for_good_is_not_kept() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", tagged());
    let get = || HttpDownload::get(&url).unwrap().writer(to_file(&folder));
    let error = get().validation(digest(b"other")).run(&Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "digest-mismatch");
    assert!(folder.entries().is_empty());
    let refused = get().handler(|event: &mut Event<'_>, _: &Context| match event {
        Event::Fetched { received: 300_000.., .. } => Action::Fail(ErrorKind::Other.into()),
        _ => Action::Continue,
    });
    { refused }.run(&Context::new()).unwrap_err();
    assert!(folder.entries().is_empty());
}

#[test]
fn a_digest_that_is_expected_proves_what_no_validator_does() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let content = pattern(SIZE);
    let url = origin.sequence("/file", [whole().cut_after(CUT), whole()]);
    let get = || HttpDownload::get(&url).unwrap().writer(to_file(&folder));
    get().validation(digest(&content)).run(&Context::new()).unwrap_err();
    assert_eq!(folder.entries(), [PART, NOTE]);
    get().validation(digest(&content)).run(&Context::new()).unwrap();
    assert!(folder.read("file") == content);
    assert_eq!(sent(&origin, "range"), ["-", "bytes=400000-"]);
    assert_eq!(sent(&origin, "if-range"), ["-", "-"]);
}

#[test]
fn what_was_fetched_for_another_digest_is_not_gone_on_with() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let changed = Reply::ok(other_content()).ranges();
    let url = origin.sequence("/file", [whole().cut_after(CUT), changed]);
    let get = || HttpDownload::get(&url).unwrap().writer(to_file(&folder));
    get().validation(digest(&pattern(SIZE))).run(&Context::new()).unwrap_err();
    get().validation(digest(&other_content())).run(&Context::new()).unwrap();
    assert!(folder.read("file") == other_content());
    assert_eq!(folder.entries(), ["file"]);
    assert_eq!(sent(&origin, "range"), ["-", "-"]);
}

#[test]
fn what_came_from_another_url_is_gone_on_with_only_for_the_same_digest() {
    let (origin, folder) = (Origin::start(), Folder::new());
    interrupted(&origin, &folder, &tagged());
    // Another file may well have the same tag.
    let other = origin.on("/other", Reply::ok(other_content()).ranges().etag("\"one\"").modified(OLD));
    run(&other, &folder).unwrap();
    assert!(folder.read("file") == other_content());
    assert_eq!(sent(&origin, "range"), ["-", "-"]);

    let folder = Folder::new();
    let url = origin.sequence("/file", [tagged().cut_after(CUT), tagged()]);
    let moved = origin.on("/moved", whole());
    let get = |url: &str| {
        HttpDownload::get(url).unwrap().writer(to_file(&folder)).validation(digest(&pattern(SIZE)))
    };
    get(&url).run(&Context::new()).unwrap_err();
    get(&moved).run(&Context::new()).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(sent(&origin, "range")[2..], ["-", "bytes=400000-"]);
}

#[test]
fn a_mirror_goes_on_in_a_later_run_where_size_and_strong_tag_agree() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder, &tagged());
    origin.on("/file", Reply::error(404));
    let (same, other) = (origin.on("/same", tagged()), origin.on("/other", whole().etag("\"two\"")));
    let mirrors = [other.parse().unwrap(), same.parse().unwrap()];
    let get = |mirrors: &[ganymede::Url]| {
        let mirrors = MirrorDelegate::new(mirrors.to_vec());
        HttpDownload::get(&url).unwrap().writer(to_file(&folder)).handler(mirrors)
    };
    // A source that has nothing loses nothing.
    assert!(get(&[]).run(&Context::new()).unwrap_err().is_not_found());
    assert_eq!(folder.entries(), [PART, NOTE]);
    get(&mirrors[1..]).run(&Context::new()).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(sent(&origin, "range"), ["-", "bytes=400000-", "bytes=400000-", "bytes=400000-"]);
}

#[test]
fn kept_bytes_that_were_damaged_are_found_by_the_digest_and_fetched_again() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder, &tagged());
    let mut kept = folder.read(PART);
    kept[1000] ^= 1;
    folder.write(PART, &kept);
    let mut download =
        HttpDownload::get(&url).unwrap().writer(to_file(&folder)).validation(digest(&pattern(SIZE)));
    let receipt = download.run(&Context::new()).unwrap();
    assert_eq!(receipt.attempts(), 1);
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(sent(&origin, "range"), ["-", "bytes=400000-", "-"]);
}

#[test]
fn a_note_that_is_none_is_thrown_away_with_the_bytes() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder, &tagged());
    let note = String::from_utf8(folder.read(NOTE)).unwrap();
    for bad in [String::new(), note.replace("etag", "tag"), note.replacen('1', "2", 1), note + "\u{fffd}"] {
        folder.write(PART, vec![0; 400_000]);
        folder.write(NOTE, bad);
        origin.on("/file", tagged());
        run(&url, &folder).unwrap();
        assert!(folder.read("file") == pattern(SIZE));
        assert_eq!(folder.entries(), ["file"]);
    }
    assert_eq!(sent(&origin, "range"), ["-"; 5]);
}

#[test]
fn a_note_without_bytes_or_bytes_without_a_note_prove_nothing() {
    for lost in [PART, NOTE] {
        let (origin, folder) = (Origin::start(), Folder::new());
        let url = interrupted(&origin, &folder, &tagged());
        fs::remove_file(folder.file(lost)).unwrap();
        run(&url, &folder).unwrap();
        assert!(folder.read("file") == pattern(SIZE));
        assert_eq!(folder.entries(), ["file"]);
        assert_eq!(sent(&origin, "range"), ["-", "-"]);
    }
}

#[test]
fn after_a_power_cut_only_what_was_flushed_is_trusted() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder, &tagged());
    let note = String::from_utf8(folder.read(NOTE)).unwrap();
    let boot = note.lines().find(|line| line.starts_with("boot ")).expect("this system tells its runs apart");
    // Of the file only the claimed part is there for sure; what lies behind it may be anything.
    let mut kept = folder.read(PART);
    kept[250_000..].fill(0);
    folder.write(PART, kept);
    folder.write(NOTE, note.replace(boot, "boot another").replace("flushed 0\n", "flushed 250000\n"));
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(sent(&origin, "range"), ["-", "bytes=250000-"]);
}

#[test]
fn a_run_that_has_all_bytes_asks_for_the_last_one_only() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder, &tagged());
    // As a process leaves it that is killed between the last byte and the renaming.
    folder.write(PART, pattern(SIZE));
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(sent(&origin, "range"), ["-", "bytes=599999-"]);
}

#[test]
fn without_resuming_nothing_is_kept_and_nothing_used() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder, &tagged());
    let unkept = || HttpDownload::get(&url).unwrap().writer(to_file(&folder).resume(false)).resume(false);
    origin.sequence("/file", [tagged().cut_after(CUT), tagged().cut_after(CUT), tagged()]);
    unkept().run(&Context::new()).unwrap_err();
    assert!(folder.entries().is_empty(), "{:?}", folder.entries());
    let retried = unkept().handler(RetryDelegate::new(3).base(Duration::ZERO));
    { retried }.run(&Context::new()).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(sent(&origin, "range"), ["-"; 4]);
}

#[test]
fn a_second_download_to_the_same_file_fails_while_one_writes() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let url = origin.on("/file", tagged().gate_after(CUT, &gate));
    let other = origin.on("/other", tagged());
    thread::scope(|scope| {
        let first = scope.spawn(|| run(&url, &folder));
        gate.wait_arrived(1);
        wait_until("a part of the body", || folder.entries().contains(&NOTE.to_owned()));
        let error = run(&other, &folder).unwrap_err();
        assert_eq!(error.kind().name(), "write");
        assert!(error.to_string().contains("another download is writing it"), "{error}");
        gate.open();
        first.join().unwrap().unwrap();
    });
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(folder.entries(), ["file"]);
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_the_partial_file_is_not_followed() {
    let (origin, folder, outside) = (Origin::start(), Folder::new(), Folder::new());
    let victim = outside.write("victim", "precious");
    std::os::unix::fs::symlink(&victim, folder.file(PART)).unwrap();
    std::os::unix::fs::symlink(&victim, folder.file(NOTE)).unwrap();
    // Nor is the target itself, if that is a link.
    std::os::unix::fs::symlink(&victim, folder.file("file")).unwrap();
    let url = origin.on("/file", tagged());
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert!(!fs::symlink_metadata(folder.file("file")).unwrap().is_symlink());
    assert_eq!(outside.read("victim"), b"precious");
    assert_eq!(outside.entries(), ["victim"]);
}

#[test]
fn a_file_that_another_name_leads_to_is_not_written_to() {
    let (origin, folder, outside) = (Origin::start(), Folder::new(), Folder::new());
    let url = interrupted(&origin, &folder, &tagged());
    fs::remove_file(folder.file(PART)).unwrap();
    let victim = outside.write("victim", vec![7; 400_000]);
    fs::hard_link(&victim, folder.file(PART)).unwrap();
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert!(outside.read("victim") == vec![7; 400_000]);
    assert_eq!(folder.entries(), ["file"]);
}

#[test]
fn cancelling_and_panicking_keep_what_was_received() {
    for panics in [false, true] {
        let (origin, folder) = (Origin::start(), Folder::new());
        let url = origin.sequence("/file", [tagged().stall_after(CUT), tagged()]);
        let context = Context::new();
        let stop = move |event: &mut Event<'_>, context: &Context| {
            if let Event::Fetched { received: 400_000.., .. } = event {
                assert!(!panics, "a handler that panics");
                context.cancel();
            }
            Action::Continue
        };
        let mut download = HttpDownload::get(&url).unwrap().writer(to_file(&folder)).handler(stop);
        let ran = thread::scope(|scope| scope.spawn(|| download.run(&context)).join());
        assert_eq!(ran.is_err(), panics);
        drop(download);
        assert_eq!(folder.entries(), [PART, NOTE]);
        run(&url, &folder).unwrap();
        assert!(folder.read("file") == pattern(SIZE));
        assert_eq!(sent(&origin, "range"), ["-", "bytes=400000-"]);
    }
}

#[test]
fn a_long_name_has_its_partial_file_too() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.sequence("/file", [tagged().cut_after(CUT), tagged()]);
    let name = "n".repeat(255);
    let get = || HttpDownload::get(&url).unwrap().writer(FileWriter::new(folder.file(&name)));
    get().run(&Context::new()).unwrap_err();
    assert_eq!(folder.entries().len(), 2);
    get().run(&Context::new()).unwrap();
    assert_eq!(folder.entries(), std::slice::from_ref(&name));
    assert!(folder.read(&name) == pattern(SIZE));
}

#[test]
fn no_secret_is_noted() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let reply = tagged().require_basic("amy", "geheim").cut_after(CUT);
    let url = origin.on("/file?sign=verborgen", reply).replace("http://", "http://amy:geheim@");
    run(&url, &folder).unwrap_err();
    let note = String::from_utf8(folder.read(NOTE)).unwrap();
    assert!(!note.contains("geheim") && !note.contains("verborgen") && note.contains("/file\n"), "{note}");
}
