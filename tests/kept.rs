//! What is kept of an interrupted download, when others have a hand in it, the power goes, or something else is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ganymede::{Action, Context, Download, DownloadError, Event, FileWriter, HttpDownload, Method, Receipt};
use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};

const SIZE: usize = 600_000;
const CUT: u64 = 400_000;
const PART: &str = ".file.ganymede-part";
const NOTE: &str = ".file.ganymede-state";

fn tagged() -> Reply {
    Reply::ok(pattern(SIZE)).ranges().etag("\"one\"")
}

fn get(url: &str, folder: &Folder) -> HttpDownload {
    HttpDownload::get(url).unwrap().writer(FileWriter::new(folder.file("file")))
}

fn run(url: &str, folder: &Folder) -> Result<Receipt, DownloadError> {
    get(url, folder).run(&Context::new())
}

/// Interrupts a download of `/file` after [`CUT`] bytes, and returns its URL.
fn interrupted(origin: &Origin, folder: &Folder) -> String {
    let url = origin.sequence("/file", [tagged().cut_after(CUT), tagged()]);
    run(&url, folder).unwrap_err();
    assert_eq!(folder.entries(), [PART, NOTE]);
    url
}

fn ranges(origin: &Origin) -> Vec<String> {
    origin.journal().iter().map(|received| received.header("range").unwrap_or("-").to_owned()).collect()
}

#[test]
fn a_note_that_was_left_alone_never_vouches_for_other_bytes() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder);
    fs::remove_file(folder.file(PART)).unwrap();
    // Another content comes meanwhile, without resuming, and its process is killed.
    let (gate, killed) = (Gate::new(), Folder::new());
    let other: Vec<u8> = pattern(SIZE).iter().map(|byte| !byte).collect();
    origin.on("/file", Reply::ok(other).ranges().etag("\"two\"").gate_after(CUT, &gate));
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            HttpDownload::get(&url)
                .unwrap()
                .writer(FileWriter::new(folder.file("file")).resume(false))
                .resume(false)
                .run(&Context::new())
        });
        wait_until("the bytes before the gate", || {
            fs::metadata(folder.file(PART)).is_ok_and(|part| part.len() == CUT)
        });
        for name in folder.entries() {
            killed.write(&name, folder.read(&name));
        }
        gate.open();
        running.join().unwrap().unwrap();
    });
    let left = folder.entries();
    let url = origin.on("/file", tagged());
    run(&url, &killed).unwrap();
    assert!(killed.read("file") == pattern(SIZE));
    assert_eq!(left, ["file"]);
}

#[test]
fn a_file_that_somebody_else_put_in_the_place_of_the_partial_one_never_becomes_the_target() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", tagged());
    let part = folder.file(PART);
    let mut done = false;
    let replace = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { received: 300_000.., .. } = event
            && !std::mem::replace(&mut done, true)
        {
            fs::remove_file(&part).unwrap();
            fs::write(&part, "half of another download").unwrap();
        }
        Action::Continue
    };
    let result = get(&url, &folder).handler(replace).run(&Context::new());
    assert!(!folder.entries().contains(&"file".to_owned()) || folder.read("file") == pattern(SIZE));
    assert_eq!(folder.read(PART), b"half of another download");
    assert_eq!(result.unwrap_err().kind().name(), "write");
}

#[test]
fn bytes_whose_partial_file_is_removed_under_way_leave_no_note() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", tagged());
    let part = folder.file(PART);
    let remove = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { received: 500_000.., .. } = event {
            let _ = fs::remove_file(&part);
        }
        Action::Continue
    };
    let result = get(&url, &folder).handler(remove).run(&Context::new());
    assert_eq!(result.unwrap_err().kind().name(), "write");
    assert!(folder.entries().is_empty(), "{:?}", folder.entries());
}

#[test]
fn a_note_that_somebody_else_has_a_hand_in_is_not_believed() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder);
    fs::hard_link(folder.file(NOTE), folder.file("hand")).unwrap();
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "-"]);
    assert_eq!(folder.entries(), ["file", "hand"]);
}

#[test]
fn a_note_that_cannot_be_made_leaves_nothing() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", tagged());
    let note = folder.file(NOTE);
    let occupy = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { received: ..200_000, .. } = event {
            let _ = fs::create_dir(&note);
        }
        Action::Continue
    };
    get(&url, &folder).handler(occupy).run(&Context::new()).unwrap();
    assert_eq!(folder.entries(), [&format!("{NOTE}/"), "file"]);
}

#[test]
fn what_comes_after_a_power_cut_is_kept_like_everything_else() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder);
    let note = String::from_utf8(folder.read(NOTE)).unwrap();
    let boot = note.lines().find(|line| line.starts_with("boot ")).unwrap();
    folder.write(NOTE, note.replace(boot, "boot another").replace("flushed 0\n", "flushed 250000\n"));
    origin.sequence("/file", [tagged().cut_after(300_000), tagged()]);
    assert_eq!(run(&url, &folder).unwrap_err().received(), 550_000);
    run(&url, &folder).unwrap();
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "bytes=250000-", "bytes=550000-"]);
}

#[test]
fn who_asks_for_the_head_alone_loses_nothing_that_is_kept() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = interrupted(&origin, &folder);
    let mut head = get(&url, &folder).method(Method::Head);
    head.run(&Context::new()).unwrap();
    assert_eq!(folder.entries(), [PART, NOTE]);
    assert_eq!(ranges(&origin), ["-", "-"]);
}

#[test]
fn a_request_for_another_url_that_fails_loses_nothing() {
    let (origin, folder) = (Origin::start(), Folder::new());
    interrupted(&origin, &folder);
    let missing = origin.on("/missing", Reply::error(404));
    run(&missing, &folder).unwrap_err();
    assert_eq!(folder.entries(), [PART, NOTE]);
}

#[test]
fn a_source_that_refuses_every_range_is_asked_for_everything() {
    for status in [400, 405, 412, 501] {
        let (origin, folder, first) = (Origin::start(), Folder::new(), AtomicBool::new(true));
        let url = origin.handle("/file", move |received| match received.header("range") {
            Some(_) => Reply::error(status),
            None if first.swap(false, Ordering::SeqCst) => tagged().cut_after(CUT),
            None => tagged(),
        });
        run(&url, &folder).unwrap_err();
        run(&url, &folder).unwrap();
        assert!(folder.read("file") == pattern(SIZE));
        assert_eq!(ranges(&origin), ["-", "bytes=400000-", "-"]);
    }
}

#[test]
fn a_name_in_a_folder_that_is_missing_makes_the_folder() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", tagged());
    let target = folder.file("new/name");
    let writer = FileWriter::new(folder.file("file")).named(move |_| Ok(target.clone()));
    HttpDownload::get(&url).unwrap().writer(writer).run(&Context::new()).unwrap();
    assert!(folder.read("new/name") == pattern(SIZE));
}
