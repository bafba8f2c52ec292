//! The command killed at random points, hundreds of times, and run again: the right bytes, and hardly any twice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ganymede_kit::{Folder, Origin, Reply, pattern};

const SIZE: usize = 16 << 20;
const FILES: u64 = 120;
const KILLS: u64 = 3;
const THREADS: u64 = 4;
const PART: &str = ".file.ganymede-part";
const NOTE: &str = ".file.ganymede-state";

/// Numbers that differ, and are the same in each run of the test.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn command(folder: &Folder, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ganymede"));
    command.args(["get", "--quiet", "-o"]).arg(folder.file("file")).arg(url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// How many bytes are kept.
fn length(folder: &Folder) -> u64 {
    fs::metadata(folder.file(PART)).map_or(0, |part| part.len())
}

/// How many bytes that were there a run has asked for again, which began when so many requests had been made.
fn fetched_again(origin: &Origin, path: &str, asked: usize, there: u64) -> u64 {
    let journal = origin.journal();
    let Some(request) = journal.iter().filter(|received| received.path() == path).nth(asked) else {
        return 0;
    };
    let start = request.header("range").map_or(0, |range| {
        range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse().unwrap()
    });
    there.checked_sub(start).expect("it goes on where bytes are")
}

#[test]
fn whenever_it_is_killed_the_next_run_ends_with_the_right_bytes() {
    let (origin, content) = (Origin::start(), pattern(SIZE));
    let (kills, most) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (origin, content, kills, most) = (&origin, &content, &kills, &most);
            scope.spawn(move || {
                let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 + thread);
                for number in 0..FILES / THREADS {
                    let path = format!("/{thread}/{number}");
                    let reply = Reply::ok(content.clone()).ranges().drip(64 << 10, Duration::from_millis(1));
                    let url = origin.on(&path, reply.etag("\"one\""));
                    let folder = Folder::new();
                    let mut twice = 0;
                    for kill in 0..KILLS {
                        if folder.file("file").exists() {
                            break;
                        }
                        let (there, asked) = (length(&folder), origin.requests(&path));
                        let mut running = command(&folder, &url).spawn().unwrap();
                        let goal = there + numbers.below(SIZE as u64 - there + 1);
                        while length(&folder) < goal && running.try_wait().unwrap().is_none() {
                            thread::sleep(Duration::from_micros(200));
                        }
                        if kill == 0 {
                            // Anywhere, be it before the first byte.
                            thread::sleep(Duration::from_micros(numbers.below(20_000)));
                        }
                        running.kill().unwrap();
                        let ended = running.wait().unwrap();
                        kills.fetch_add(u64::from(ended.code().is_none()), Ordering::Relaxed);
                        twice += fetched_again(origin, &path, asked, there);
                    }
                    // It may have been killed when all was done.
                    if !folder.file("file").exists() {
                        let (there, asked) = (length(&folder), origin.requests(&path));
                        let ended = command(&folder, &url).output().unwrap();
                        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
                        twice += fetched_again(origin, &path, asked, there);
                    }
                    assert!(folder.read("file") == *content, "{path} has other bytes");
                    // A note may be left by who was killed between the renaming and its removal; it vouches for nothing.
                    let left = folder.entries().into_iter().filter(|entry| entry != NOTE);
                    assert!(left.eq(["file"]), "{:?}", folder.entries());
                    most.fetch_max(twice, Ordering::Relaxed);
                    assert!(twice <= SIZE as u64 / 20, "{path}: {twice} bytes were fetched twice");
                }
            });
        }
    });
    let (kills, most) = (kills.into_inner(), most.into_inner());
    println!("killed {kills} times; at most {most} of {SIZE} bytes of a file were fetched twice");
    assert!(kills >= FILES * KILLS / 2, "only {kills} of the runs were killed before they ended");
}
