//! Retries, time-outs and the pace.

use std::time::Duration;

use ganymede_kit::{Backlog, Folder, Gate, Origin, Reply, Silent, pattern};

use crate::ganymede::{finish, get, start};

#[test]
fn a_passing_failure_is_retried_and_a_lasting_one_is_not() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(100_000));
    let whole = Reply::ok(bytes.clone()).etag("\"1\"").ranges();
    let replies = [Reply::error(503), whole.clone().cut_after(40_000), whole];
    let url = origin.sequence("/file", replies);
    let run = get(&folder, ["--json", &url]).exited(0);
    assert_eq!(run.event("succeeded")["attempts"], 3);
    assert_eq!(folder.read("file"), bytes);
    let run = get(&folder, ["--json", &origin.url("/absent")]).exited(1);
    assert_eq!((&run.event("failed")["attempts"], origin.requests("/absent")), (&1.into(), 1));
}

#[test]
fn retries_are_as_many_as_was_said() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::error(500));
    get(&folder, ["--retries", "2", &url]).exited(1);
    assert_eq!(origin.requests("/file"), 3);
    get(&folder, ["--retries", "0", &url]).exited(1).says("500").says("try again later");
    assert_eq!(origin.requests("/file"), 4);
}

#[test]
fn a_server_that_falls_silent_is_left_after_the_read_timeout_and_a_slow_steady_one_is_not() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let stalled = origin.on("/stalled", Reply::ok(pattern(1000)).stall_after(500));
    let steady = origin.on("/steady", Reply::ok(pattern(40)).drip(1, Duration::from_millis(50)));
    let run =
        get(&folder, ["--json", "--retries", "0", "--read-timeout", "1s500ms", &stalled, &steady]).exited(1);
    let event = run.event("failed");
    assert_eq!((&event["url"], &event["error"]["kind"]), (&stalled.as_str().into(), &"timeout".into()));
    assert_eq!(folder.entries(), ["steady"]);
}

#[test]
fn connecting_ends_after_the_connect_timeout() {
    let (folder, backlog) = (Folder::new(), Backlog::start());
    let url = backlog.url("http", "/file");
    let run = get(&folder, ["--json", "--retries", "0", "--connect-timeout", "200ms", &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "timeout");
    let silent = Silent::start();
    let url = silent.url("https", "/file");
    get(&folder, ["--retries", "0", "--connect-timeout", "200ms", &url]).exited(1).says("--connect-timeout");
}

#[test]
fn the_deadline_ends_what_drips_for_ever() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::generated(1 << 30).drip(1, Duration::from_millis(20)));
    let run = get(&folder, ["--json", "--deadline", "700ms", &url]).exited(1);
    let event = run.event("failed");
    assert_eq!(event["error"]["kind"], "timeout");
    assert!(event["seconds"].as_f64().unwrap() >= 0.6, "{event}");
    assert!(folder.entries().is_empty());
}

#[test]
fn as_many_downloads_run_at_once_as_was_said() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let urls: Vec<String> =
        (0..10).map(|n| origin.on(&format!("/{n}"), Reply::ok("x").gate(&gate))).collect();
    let child = start(&folder, ["get", "-j", "3"].into_iter().chain(urls.iter().map(String::as_str)));
    gate.wait_arrived(3);
    gate.open();
    finish(child).exited(0);
    assert_eq!((origin.in_flight_peak(), folder.entries().len()), (3, 10));
}

#[test]
fn more_at_once_than_the_usual_backlog_are_as_many_as_was_said() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let urls: Vec<String> =
        (0..80).map(|n| origin.on(&format!("/{n}"), Reply::ok("x").gate(&gate))).collect();
    let child = start(&folder, ["get", "-j", "80"].into_iter().chain(urls.iter().map(String::as_str)));
    gate.wait_arrived(80);
    gate.open();
    finish(child).exited(0);
}
