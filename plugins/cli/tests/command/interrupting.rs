//! Ctrl-C, and being asked to end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ganymede_kit::{Backlog, Folder, Gate, Origin, Reply, Silent, pattern};

use crate::ganymede::{Finished, command, finish, start};

/// Sends a signal to a run.
fn signal(child: &Child, name: &str) {
    send(child.id(), name);
}

/// Interrupts a process.
pub fn interrupt(process: u32) {
    send(process, "INT");
}

fn send(process: u32, signal: &str) {
    let status = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Interrupts a run and waits until it ends, which must not take long.
#[track_caller]
pub fn interrupted(child: Child) -> Finished {
    signal(&child, "INT");
    finished_soon(child)
}

/// Waits until an interrupted run ends, and kills it if that takes far too long.
#[track_caller]
fn finished_soon(child: Child) -> Finished {
    let process = child.id().to_string();
    let (ended, end) = channel::<()>();
    let watching = thread::spawn(move || {
        if end.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &process]).status();
        }
    });
    let run = finish(child);
    drop(ended);
    watching.join().unwrap();
    run.exited(130)
}

/// Ends a run without any warning.
#[track_caller]
pub fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_ends_whatever_its_servers_do_and_says_what_was_finished() {
    let (folder, origin, silent, backlog) =
        (Folder::new(), Origin::start(), Silent::start(), Backlog::start());
    let done = origin.on("/done", Reply::ok("content"));
    let stalled = origin.on("/stalled", Reply::ok(pattern(1000)).stall_after(500));
    let waiting = origin.on("/waiting", Reply::ok("x").stall_header());
    let handshake = silent.url("https", "/handshake");
    let connecting = backlog.url("http", "/connecting");
    let retried = origin.on("/retried", Reply::error(503).header("Retry-After", "100"));
    let urls = [&*done, &*stalled, &*waiting, &*handshake, &*connecting, &*retried];
    let child = start(&folder, ["get", "--json", "--connect-timeout", "1m"].iter().chain(&urls));
    origin.wait_requests(4);
    origin.wait_sent("/stalled", 500);
    silent.wait_open(1);
    ganymede_kit::wait_until("the first file", || folder.file("done").exists());
    let run = interrupted(child);
    assert_eq!(folder.entries(), ["done"]);
    let cancelled: Vec<_> = run.events().into_iter().filter(|one| one["event"] == "failed").collect();
    assert_eq!(cancelled.len(), 5);
    assert!(cancelled.iter().all(|event| event["error"]["kind"] == "cancelled"), "{}", run.text());
    assert_eq!(run.event("succeeded")["url"], done.as_str());
    let summary = run.events().pop().unwrap();
    assert_eq!((&summary["succeeded"], &summary["failed"]), (&1.into(), &5.into()));
}

#[test]
fn people_are_told_in_one_line_and_sigterm_does_the_same() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls = ["/1", "/2"].map(|path| origin.on(path, Reply::ok(pattern(100)).stall_after(50)));
    let child = start(&folder, ["get", &urls[0], &urls[1]]);
    origin.wait_sent("/1", 50);
    origin.wait_sent("/2", 50);
    signal(&child, "TERM");
    let run = finished_soon(child);
    assert!(run.stderr.starts_with("Interrupted: Downloaded 0 files"), "{}", run.stderr);
    assert!(run.stderr.ends_with("; 2 given up, of which nothing was stored\n"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
    assert!(folder.entries().is_empty());
}

#[test]
fn a_long_list_is_not_read_on() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    origin.handle("/", move |_| Reply::ok("x").gate(&gate));
    let list: String = (0..1000).map(|n| format!("{}\n", origin.url(&format!("/{n}")))).collect();
    folder.write("list", list);
    let child = start(&folder, ["get", "--json", "-i", "list", "-d", "d"]);
    origin.wait_requests(8);
    let run = interrupted(child);
    assert!(run.events().len() <= 65, "{}", run.events().len());
    assert_eq!(folder.entries(), ["list"]);
}

#[test]
fn a_run_that_waits_for_its_input_ends_too_and_reports_what_it_has() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    let mut run = command(&folder);
    let mut child = run.args(["get", "--json", "-i", "-", &url]).stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    ganymede_kit::wait_until("the file", || folder.file("file").exists());
    let run = interrupted(child);
    drop(input);
    assert_eq!(run.event("succeeded")["url"], url.as_str());
    assert_eq!(run.event("summary")["succeeded"], 1);
}

#[test]
fn a_run_whose_output_nobody_reads_ends_too() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::generated(1 << 30));
    let mut run = command(&folder);
    let mut child = run.args(["get", "-o", "-", &url]).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut start = [0; 10];
    output.read_exact(&mut start).unwrap();
    let run = interrupted(child);
    assert!(run.stderr.contains("Interrupted"), "{}", run.stderr);
    drop(output);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::generated(1 << 30));
    let mut run = command(&folder);
    let mut child = run.args(["get", "-o", "-", &url]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.fill_buf().unwrap();
    signal(&child, "INT");
    signal(&child, "INT");
    finished_soon(child);
}
