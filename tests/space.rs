//! Disks that are full, slow to forgive, or not to be written to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use ganymede::{
    BufferWriter, ByteRange, Context, Download, ErrorKind, FileWriter, Head, HttpDownload, Output, Record,
    RetryDelegate, SpaceDelegate, Writer,
};
use ganymede_kit::{Folder, Origin, Reply, pattern, with_disk};

const SIZE: usize = 3 << 20;

fn tagged() -> Reply {
    Reply::ok(pattern(SIZE)).ranges().etag("\"one\"")
}

fn ranges(origin: &Origin) -> Vec<String> {
    let range = |value: Option<&str>| value.unwrap_or("-").to_owned();
    origin.journal().iter().map(|received| range(received.header("range"))).collect()
}

#[test]
#[ignore = "mounts a file system: that takes root, or namespaces for users"]
fn a_full_disk_is_told_in_plain_words_and_what_fits_is_kept() {
    with_disk("a_full_disk_is_told_in_plain_words_and_what_fits_is_kept", 2, |disk| {
        let origin = Origin::start();
        let url = origin.on("/file", tagged());
        let get = || HttpDownload::get(&url).unwrap().writer(FileWriter::new(disk.file("file")));
        let error = get().handler(RetryDelegate::new(3)).run(&Context::new()).unwrap_err();
        assert_eq!((error.kind().name(), error.is_transient()), ("write", false));
        assert_eq!(error.failure().system(), Some(io::ErrorKind::StorageFull));
        let path = disk.file("file").display().to_string();
        assert_eq!(error.failure().to_string(), format!("cannot write {path}: the disk is full"));
        assert_eq!(disk.entries(), [".file.ganymede-part", ".file.ganymede-state"]);
        let kept = disk.read(".file.ganymede-part").len();
        assert!(kept > 1 << 20 && disk.read(".file.ganymede-part") == pattern(SIZE)[..kept]);
        disk.remount("size=8m");
        get().run(&Context::new()).unwrap();
        assert!(disk.read("file") == pattern(SIZE));
        assert_eq!(ranges(&origin), ["-".to_owned(), format!("bytes={kept}-")]);
    });
}

#[test]
#[ignore = "mounts a file system: that takes root, or namespaces for users"]
fn who_waits_for_space_says_so_and_goes_on_when_there_is_some() {
    with_disk("who_waits_for_space_says_so_and_goes_on_when_there_is_some", 2, |disk| {
        let origin = Origin::start();
        let url = origin.on("/file", tagged());
        let (sender, told) = mpsc::channel();
        let space =
            SpaceDelegate::new(disk.path()).on_wait(move |text| sender.send(text.to_owned()).unwrap());
        let mut download =
            HttpDownload::get(&url).unwrap().writer(FileWriter::new(disk.file("file"))).handler(space);
        let running = thread::spawn(move || download.run(&Context::new()));
        assert!(told.recv().unwrap().starts_with("no space is left in "));
        assert!(!running.is_finished());
        disk.remount("size=8m");
        assert!(told.recv().unwrap().starts_with("there is space in "));
        let receipt = running.join().unwrap().unwrap();
        assert_eq!((receipt.attempts(), receipt.facts().size()), (2, SIZE as u64));
        assert!(disk.read("file") == pattern(SIZE));
        let ranges = ranges(&origin);
        assert!(ranges.len() == 2 && ranges[1].starts_with("bytes="), "{ranges:?}");
    });
}

#[test]
#[ignore = "mounts a file system: that takes root, or namespaces for users"]
fn waiting_for_space_ends_with_the_context_and_at_the_deadline() {
    with_disk("waiting_for_space_ends_with_the_context_and_at_the_deadline", 2, |disk| {
        let origin = Origin::start();
        let url = origin.on("/file", tagged());
        for cancels in [true, false] {
            let (context, sender) = (Context::new(), mpsc::channel());
            let (sender, told) = sender;
            let space =
                SpaceDelegate::new(disk.path()).on_wait(move |text| sender.send(text.to_owned()).unwrap());
            let writer = FileWriter::new(disk.file("file"));
            let mut download = HttpDownload::get(&url).unwrap().writer(writer).handler(space);
            if !cancels {
                download = download.deadline(Duration::from_secs(3));
            }
            let running = thread::spawn({
                let context = context.clone();
                move || download.run(&context)
            });
            told.recv().unwrap();
            if cancels {
                context.cancel();
            }
            let error = running.join().unwrap().unwrap_err();
            assert_eq!(error.kind().name(), if cancels { "cancelled" } else { "timeout" });
            assert_eq!(disk.entries(), [".file.ganymede-part", ".file.ganymede-state"]);
        }
    });
}

#[test]
#[ignore = "mounts a file system: that takes root, or namespaces for users"]
fn a_file_system_that_is_read_only_says_so() {
    with_disk("a_file_system_that_is_read_only_says_so", 2, |disk| {
        let origin = Origin::start();
        let url = origin.on("/file", tagged());
        fs::write(disk.file("old"), "there").unwrap();
        disk.remount("ro");
        for name in ["old", "new", "folder/new"] {
            let mut download = HttpDownload::get(&url).unwrap().writer(FileWriter::new(disk.file(name)));
            let error = download.run(&Context::new()).unwrap_err();
            assert_eq!(error.kind().name(), "write");
            assert!(error.to_string().contains("the file system is read-only"), "{error}");
        }
        assert_eq!(disk.entries(), ["old"]);
    });
}

#[test]
fn many_durable_files_are_all_there() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", tagged());
    let context = Context::new();
    thread::scope(|scope| {
        for thread in 0..8 {
            let (folder, context, url) = (&folder, &context, &url);
            scope.spawn(move || {
                for number in 0..5 {
                    let path = folder.file(format!("{thread}/{number}/file"));
                    let writer = FileWriter::new(path).durable();
                    HttpDownload::get(url).unwrap().writer(writer).run(context).unwrap();
                }
            });
        }
    });
    for thread in 0..8 {
        for number in 0..5 {
            assert!(folder.read(format!("{thread}/{number}/file")) == pattern(SIZE));
        }
    }
}

#[test]
fn a_durable_file_that_cannot_get_its_name_fails_alone() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", Reply::ok("content"));
    let target = folder.file("target");
    let occupy = target.clone();
    let mut download = HttpDownload::get(&url).unwrap().writer(FileWriter::new(&target).durable()).handler(
        move |event: &mut ganymede::Event<'_>, _: &Context| {
            if matches!(event, ganymede::Event::Fetched { .. }) {
                fs::create_dir(&occupy).unwrap();
            }
            ganymede::Action::Continue
        },
    );
    let error = download.run(&Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "write");
    assert_eq!(folder.entries(), ["target/"]);
}

/// A writer whose outputs fail in the middle, a few times, and take only a bit of a block then.
struct Moody {
    inner: BufferWriter,
    failures: Arc<AtomicUsize>,
    kept: Arc<Mutex<Vec<u64>>>,
}

struct MoodyOutput {
    inner: Box<dyn Output>,
    failures: Arc<AtomicUsize>,
    kept: Arc<Mutex<Vec<u64>>>,
    written: u64,
}

impl Writer for Moody {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        let (failures, kept) = (Arc::clone(&self.failures), Arc::clone(&self.kept));
        Ok(Box::new(MoodyOutput { inner: self.inner.open()?, failures, kept, written: 0 }))
    }
}

impl Write for MoodyOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let fails = self.written > 100_000 && self.failures.load(Ordering::SeqCst) > 0;
        if fails && self.written.is_multiple_of(2) {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            self.kept.lock().unwrap().push(self.written);
            return Err(io::ErrorKind::StorageFull.into());
        }
        // An odd number, so that the next call fails or the one after it.
        let length = self.inner.write(&block[..block.len().min(777)])?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Output for MoodyOutput {
    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    fn keep(&mut self, record: Option<&Record>) -> io::Result<()> {
        self.inner.keep(record)
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        assert!(offset == 0 || offset == self.written);
        self.inner.begin(head, offset)
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        self.inner.commit()
    }
}

#[test]
fn a_block_that_is_written_in_part_is_completed_when_there_is_room() {
    let (origin, buffer) = (Origin::start(), BufferWriter::new(SIZE));
    let url = origin.on("/file", tagged());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let writer =
        Moody { inner: buffer.clone(), failures: Arc::new(AtomicUsize::new(5)), kept: Arc::clone(&kept) };
    let again = |event: &mut ganymede::Event<'_>, _: &Context| match event {
        ganymede::Event::Error { error, .. } if matches!(error.kind(), ErrorKind::Write) => {
            ganymede::Action::Retry(Duration::ZERO)
        }
        _ => ganymede::Action::Continue,
    };
    HttpDownload::get(&url).unwrap().writer(writer).handler(again).run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == pattern(SIZE));
    assert_eq!(kept.lock().unwrap().len(), 5);
    assert!(ranges(&origin)[1..].iter().all(|range| range.starts_with("bytes=")), "{:?}", ranges(&origin));
}

/// An output with little room, that finds more after it has failed once.
struct Tight {
    stored: Arc<Mutex<Vec<u8>>>,
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Tight {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let fits = block.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&block[..fits]);
        if fits == 0 {
            self.room = usize::MAX;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Tight {
    fn offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn begin(&mut self, _: &Head, offset: u64) -> io::Result<()> {
        assert_eq!(offset, self.offset());
        Ok(())
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        *self.stored.lock().unwrap() = self.bytes;
        Ok(())
    }
}

#[test]
fn the_last_bytes_are_written_when_there_is_room_and_asked_for_only_if_the_length_is_not_known() {
    let range = ByteRange::new(1000, Some(2_999_999));
    for (chunked, range, asked) in [
        (false, None, &["-"][..]),
        (true, None, &["-", "bytes=3145728-"]),
        (false, range, &["bytes=1000-2999999"]),
    ] {
        let (origin, stored) = (Origin::start(), Arc::new(Mutex::new(Vec::new())));
        let url = origin.on("/file", if chunked { tagged().chunked() } else { tagged() });
        let content = if range.is_some() { pattern(SIZE)[1000..3_000_000].to_vec() } else { pattern(SIZE) };
        let (target, room) = (Arc::clone(&stored), content.len() - 10);
        let writer = move || -> io::Result<Box<dyn Output>> {
            Ok(Box::new(Tight { stored: Arc::clone(&target), bytes: Vec::new(), room }))
        };
        let again = |event: &mut ganymede::Event<'_>, _: &Context| match event {
            ganymede::Event::Error { .. } => ganymede::Action::Retry(Duration::ZERO),
            _ => ganymede::Action::Continue,
        };
        let mut download = HttpDownload::get(&url).unwrap().writer(writer).handler(again);
        if let Some(range) = range {
            download = download.range(range);
        }
        let receipt = download.run(&Context::new()).unwrap();
        assert_eq!((receipt.attempts(), receipt.facts().size()), (2, content.len() as u64));
        assert!(*stored.lock().unwrap() == content);
        assert_eq!(ranges(&origin), asked);
    }
}

#[test]
fn a_folder_that_nobody_may_write_to_says_so() {
    let origin = Origin::start();
    let url = origin.on("/file", tagged());
    let mut download = HttpDownload::get(&url).unwrap().writer(FileWriter::new("/sys/file"));
    let error = download.run(&Context::new()).unwrap_err();
    let reasons = ["permission denied", "the file system is read-only"];
    assert_eq!(error.kind().name(), "write");
    assert!(reasons.iter().any(|reason| error.to_string().ends_with(reason)), "{error}");
}
