//! Files: those that are read by the file protocol, and those that a writer makes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use std::{env, thread};

use ganymede::{
    Action, BufferWriter, ByteRange, Context, Download, DownloadError, DownloadMonitor, ErrorKind, Event,
    Factory, Failure, FileDownload, FileWriter, Head, HttpDownload, Method, Receipt, Reply as Answer,
    Request, Url,
};
use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};

use support::fetch;

fn url_of(path: &Path) -> String {
    Url::from_file_path(path).unwrap().into()
}

fn read(url: &str) -> Result<(Vec<u8>, Receipt), DownloadError> {
    fetch(FileDownload::get(url).unwrap())
}

#[test]
fn a_local_file_arrives_byte_for_byte_with_its_length_and_time() {
    let folder = Folder::new();
    let path = folder.write("file", pattern(3_000_000));
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let copy = folder.file("copies/file");
    let mut download = FileDownload::get(&url_of(&path)).unwrap().writer(FileWriter::new(&copy));
    let receipt = download.run(&Context::new()).unwrap();
    assert!(fs::read(&copy).unwrap() == pattern(3_000_000));
    let head = receipt.head();
    assert_eq!(
        (head.status().as_u16(), head.length(), head.modified()),
        (200, Some(3_000_000), Some(modified))
    );
    assert_eq!(fs::metadata(&copy).unwrap().modified().unwrap(), modified);
    let empty = folder.write("empty", "");
    assert_eq!(read(&url_of(&empty)).unwrap().0, b"");
}

#[test]
fn names_are_decoded() {
    let folder = Folder::new();
    let base = url_of(folder.path());
    let names = [
        ("with space", "with%20space"),
        ("100%", "100%25"),
        ("h#sh?mark", "h%23sh%3Fmark"),
        ("caf\u{e9}", "caf%C3%A9"),
        ("caf\u{e9}2", "caf\u{e9}2"),
        ("plus+plus", "plus+plus"),
        ("a;b=c&d@e:f~", "a;b=c&d@e:f~"),
    ];
    for (name, encoded) in names {
        folder.write(name, name);
        let (stored, _) = read(&format!("{base}/{encoded}")).unwrap();
        assert_eq!(stored, name.as_bytes(), "{encoded}");
    }
    let unnamed = format!("{base}/caf%C3%A9").replace("file://", "file://localhost");
    assert_eq!(read(&unnamed).unwrap().0, "caf\u{e9}".as_bytes());
}

#[test]
fn a_range_of_a_file_is_the_content() {
    let folder = Folder::new();
    let url = url_of(&folder.write("file", pattern(10_000)));
    for (first, last, expected) in [
        (0, Some(0), 0..1),
        (100, Some(199), 100..200),
        (9_000, None, 9_000..10_000),
        (5, Some(1 << 40), 5..10_000),
    ] {
        let range = ByteRange::new(first, last).unwrap();
        let (stored, receipt) = fetch(FileDownload::get(&url).unwrap().range(range)).unwrap();
        assert!(stored == pattern(10_000)[expected], "{range}");
        let head = receipt.head();
        assert_eq!((head.status().as_u16(), head.offset(), head.total()), (206, first, Some(10_000)));
    }
    let beyond = FileDownload::get(&url).unwrap().range(ByteRange::from(10_000));
    let error = fetch(beyond).unwrap_err();
    assert_eq!((error.gateway_status().as_u16(), error.is_transient()), (416, false));
    assert!(error.to_string().contains("10000 bytes"), "{error}");
}

#[test]
fn the_head_of_a_file_can_be_asked_for_alone() {
    let folder = Folder::new();
    let url = url_of(&folder.write("file", pattern(10_000)));
    let receipt = FileDownload::get(&url).unwrap().method(Method::Head).run(&Context::new()).unwrap();
    assert_eq!((receipt.head().length(), receipt.facts().size()), (Some(10_000), 0));
    assert!(receipt.head().modified().is_some());
}

#[test]
fn what_is_not_there_is_not_found() {
    let folder = Folder::new();
    folder.write("file", "content");
    symlink("nowhere", folder.file("dangling")).unwrap();
    for name in ["missing", "no/such/folder/file", "dangling"] {
        let error = read(&url_of(&folder.file(name))).unwrap_err();
        assert!(error.is_not_found() && !error.is_transient(), "{error:?}");
        assert_eq!(error.gateway_status().as_u16(), 404);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_unauthorized() {
    let folder = Folder::new();
    let path = folder.write("file", "content");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The system's administrator may read anything but a few files of the kernel.
    let forbidden = if File::open(&path).is_ok() { Path::new("/proc/sys/vm/compact_memory") } else { &path };
    let error = read(&url_of(forbidden)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unauthorized) && !error.is_transient(), "{error:?}");
    assert!(error.to_string().contains(forbidden.to_str().unwrap()), "{error}");
}

#[test]
fn folders_pipes_devices_and_other_machines_are_refused_without_waiting() {
    let folder = Folder::new();
    let pipe = folder.file("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink(&pipe, folder.file("link")).unwrap();
    let urls = [
        url_of(folder.path()),
        url_of(&pipe),
        url_of(&folder.file("link")),
        "file:///dev/zero".to_owned(),
        "file://example.com/etc/hostname".to_owned(),
        "http://127.0.0.1/file".to_owned(),
    ];
    for url in urls {
        let error = read(&url).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported) && !error.is_transient(), "{url}: {error:?}");
    }
}

#[test]
fn a_file_that_shrinks_meanwhile_is_incomplete_and_one_that_grows_is_what_it_was() {
    let folder = Folder::new();
    let content = pattern(2_000_000);
    for (length, completes) in [(1_000_000, false), (3_000_000, true)] {
        let path = folder.write("file", &content);
        let resized = path.clone();
        let download =
            FileDownload::get(&url_of(&path)).unwrap().handler(move |event: &mut Event<'_>, _: &Context| {
                if let Event::Replied { .. } = event {
                    File::options().write(true).open(&resized).unwrap().set_len(length).unwrap();
                }
                Action::Continue
            });
        match fetch(download) {
            Ok((stored, _)) => assert!(completes && stored == content),
            Err(error) => {
                assert!(!completes && matches!(error.kind(), ErrorKind::Incomplete), "{error:?}");
                assert_eq!((error.received(), error.expected()), (1_000_000, Some(2_000_000)));
            }
        }
    }
}

#[test]
fn a_scheme_of_a_third_party_plugs_in() {
    let folder = Folder::new();
    let local = url_of(&folder.write("file", "from a file"));
    let shout = |request: &Request, _: &Context| -> Result<Answer, Failure> {
        let text = request.url().path().to_uppercase().into_bytes();
        let head = Head::new(request.url()).with_length(Some(text.len() as u64));
        Ok(Answer::new(head, std::io::Cursor::new(text)))
    };
    let factory = Factory::new().register("SHOUT", shout);
    assert_eq!(factory.schemes(), ["file", "http", "https", "shout"]);
    let origin = Origin::start();
    let web = origin.on("/file", Reply::ok("from the web"));
    let context = Context::new();
    for (url, expected) in
        [("shout:hello", "HELLO"), (&local, "from a file"), (&web, "from the web"), ("Shout:again", "AGAIN")]
    {
        let buffer = BufferWriter::new(100);
        factory.download(url).unwrap().writer(buffer.clone()).run(&context).unwrap();
        assert_eq!(buffer.take().unwrap(), expected.as_bytes());
    }
    let unknown = factory.download("gopher://example.com/").unwrap_err();
    assert!(matches!(unknown.kind(), ErrorKind::Unsupported), "{unknown}");
    assert!(unknown.to_string().contains("gopher") && unknown.to_string().contains("shout"), "{unknown}");
    assert!(Factory::new().download("shout:hello").is_err());
}

#[test]
fn folders_are_made_and_nothing_but_the_target_is_left() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let gate = Gate::new();
    let url = origin.on("/file", Reply::ok(pattern(600_000)).gate_after(300_000, &gate));
    let mut download = HttpDownload::get(&url).unwrap().writer(FileWriter::new(folder.file("a/b/target")));
    thread::scope(|scope| {
        let running = scope.spawn(move || download.run(&Context::new()));
        gate.wait_arrived(1);
        // Half of it is somewhere, but not under its name.
        wait_until("a temporary file", || folder.entries().len() == 3);
        let entries = folder.entries();
        assert_eq!(entries[..2], ["a/", "a/b/"]);
        assert_eq!(entries[2], "a/b/.target.ganymede-part");
        gate.open();
        running.join().unwrap().unwrap();
    });
    assert_eq!(folder.entries(), ["a/", "a/b/", "a/b/target"]);
    assert!(folder.read("a/b/target") == pattern(600_000));
}

#[test]
fn a_little_file_has_no_name_before_it_is_whole_and_replaces_what_is_there_all_the_same() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for (round, before) in [None, Some("what was there")].into_iter().enumerate() {
        if let Some(before) = before {
            folder.write("a/b/target", before);
        }
        let (gate, content) = (Gate::new(), pattern(100_000 + round));
        let url = origin.on("/file", Reply::ok(content.clone()).gate_after(50_000, &gate));
        let mut download =
            HttpDownload::get(&url).unwrap().writer(FileWriter::new(folder.file("a/b/target")));
        let received = DownloadMonitor::new([]);
        download = download.monitor(&received);
        thread::scope(|scope| {
            let running = scope.spawn(move || download.run(&Context::new()));
            wait_until("half of it", || received.progress().received == 50_000);
            let there =
                folder.entries().into_iter().filter(|entry| !entry.ends_with('/')).collect::<Vec<_>>();
            assert_eq!(there, before.map(|_| "a/b/target").into_iter().collect::<Vec<_>>());
            if let Some(before) = before {
                assert_eq!(folder.read("a/b/target"), before.as_bytes());
            }
            gate.open();
            running.join().unwrap().unwrap();
        });
        assert_eq!(folder.entries(), ["a/", "a/b/", "a/b/target"]);
        assert!(folder.read("a/b/target") == content);
    }
}

#[test]
fn a_file_has_the_mode_of_the_umask_and_the_time_of_last_modified() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let dated = Reply::ok("content").modified("Sun, 06 Nov 1994 08:49:37 GMT");
    let target = folder.file("target");
    let fetch = |reply: Reply| {
        let url = origin.on("/file", reply);
        HttpDownload::get(&url).unwrap().writer(FileWriter::new(&target)).run(&Context::new()).unwrap();
        fs::metadata(&target).unwrap()
    };
    let stored = fetch(dated);
    let ordinary = File::create(folder.file("ordinary")).unwrap().metadata().unwrap();
    assert_eq!(format!("{:o}", stored.mode()), format!("{:o}", ordinary.mode()));
    assert_eq!(stored.mtime(), 784_111_777);
    for reply in [Reply::ok("content"), Reply::ok("content").modified("yesterday")] {
        let stored = fetch(reply);
        assert!(stored.modified().unwrap() >= ordinary.modified().unwrap() - Duration::from_secs(1));
    }
    // A mode of the file that is replaced does not matter.
    fs::set_permissions(&target, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(fetch(Reply::ok("content")).mode(), ordinary.mode());
}

#[test]
fn who_reads_the_target_meanwhile_sees_the_old_or_the_new_and_never_a_mix() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (old, new) = (vec![b'o'; 300_000], vec![b'n'; 400_000]);
    let path = folder.write("target", &old);
    let urls = [origin.on("/new", Reply::ok(new.clone())), origin.on("/old", Reply::ok(old.clone()))];
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = (0, 0);
            while !ended.load(Ordering::Relaxed) {
                match fs::read(&path).unwrap() {
                    bytes if bytes == old => seen.0 += 1,
                    bytes if bytes == new => seen.1 += 1,
                    bytes => panic!("a mix of {} bytes", bytes.len()),
                }
            }
            seen
        });
        let context = Context::new();
        for url in urls.iter().cycle().take(60) {
            HttpDownload::get(url).unwrap().writer(FileWriter::new(&path)).run(&context).unwrap();
        }
        ended.store(true, Ordering::Relaxed);
        let (olds, news) = reader.join().unwrap();
        assert!(olds + news > 0);
    });
    assert_eq!(folder.entries(), ["target"]);
}

#[test]
fn a_target_that_cannot_be_written_is_an_error_that_names_it() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", Reply::ok("content"));
    fs::create_dir(folder.file("folder")).unwrap();
    folder.write("file", "what was there");
    let long = "n".repeat(300);
    for (name, reason) in
        [("folder", "a folder"), ("file/below", "irectory"), (&long, "too long"), ("..", "no file")]
    {
        let target = folder.file(name);
        let mut download = HttpDownload::get(&url).unwrap().writer(FileWriter::new(&target));
        let error = download.run(&Context::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Write) && !error.is_transient(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(target.to_str().unwrap()) && text.contains(reason), "{text}");
        assert_eq!(error.gateway_status().as_u16(), 500);
        assert_eq!(folder.entries(), ["file", "folder/"]);
    }
    assert_eq!(folder.read("file"), b"what was there");
}

const URL: &str = "GANYMEDE_TEST_URL";
const TARGET: &str = "GANYMEDE_TEST_TARGET";

#[test]
fn a_process_that_is_killed_in_mid_body_leaves_nothing_under_the_final_name() {
    if let (Ok(url), Ok(target)) = (env::var(URL), env::var(TARGET)) {
        let mut download = HttpDownload::get(&url).unwrap().writer(FileWriter::new(target));
        download.run(&Context::new()).unwrap();
        panic!("the download should not end");
    }
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", Reply::ok(pattern(500_000)).stall_after(400_000));
    folder.write("old", "what was there");
    for name in ["new", "old"] {
        let before = folder.entries();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_that_is_killed_in_mid_body_leaves_nothing_under_the_final_name"])
            .env(URL, &url)
            .env(TARGET, folder.file(name))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let part = || folder.entries().into_iter().find(|entry| !before.contains(entry));
        wait_until("most of the body in a temporary file", || {
            part().is_some_and(|part| folder.read(part).len() == 400_000)
        });
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let part = part().unwrap();
        assert_eq!(part, format!(".{name}.ganymede-part"));
        fs::remove_file(folder.file(part)).unwrap();
        assert_eq!(folder.entries(), ["old"]);
        assert_eq!(folder.read("old"), b"what was there");
    }
}
