//! Limits: on what others are asked for, and on what is taken from them.

use std::time::{Duration, Instant};

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern};

use crate::ganymede::{Finished, finish, get, start};

/// The failure of the only download of a run, of which the message has this in it.
#[track_caller]
fn failure(run: &Finished, kind: &str, text: &str) {
    let error = &run.event("failed")["error"];
    assert_eq!(error["kind"], kind, "{error}");
    assert!(error["message"].as_str().unwrap().contains(text), "{error}");
}

#[test]
fn a_host_gets_as_many_downloads_at_a_time_as_was_said() {
    let (folder, gate) = (Folder::new(), Gate::new());
    let (one, two) = (Origin::start(), Origin::start());
    let urls: Vec<String> = (0..6)
        .flat_map(|n| [&one, &two].map(|origin| origin.on(&format!("/{n}"), Reply::ok("x").gate(&gate))))
        .collect();
    let names = (0..12).map(|n| format!("{} out={n}\n", urls[n]));
    folder.write("list", names.collect::<String>());
    let child = start(&folder, ["get", "-j", "12", "--per-host", "2", "-i", "list"]);
    gate.wait_arrived(4);
    gate.open();
    finish(child).exited(0).says("Downloaded 12 files");
    assert_eq!((one.in_flight_peak(), two.in_flight_peak()), (2, 2));
}

#[test]
fn as_many_run_as_are_worth_it_when_nobody_says_how_many() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let urls: Vec<String> =
        (0..40).map(|n| origin.on(&format!("/{n}"), Reply::ok(pattern(n + 1)).gate(&gate))).collect();
    folder.write("list", urls.join("\n"));
    let child = start(&folder, ["get", "-j", "auto", "-i", "list"]);
    gate.wait_arrived(4);
    gate.open();
    finish(child).exited(0).says("Downloaded 40 files");
    assert!((4..=32).contains(&origin.in_flight_peak()), "{}", origin.in_flight_peak());
    assert!((0..40).all(|n| folder.read(n.to_string()) == pattern(n + 1)));
}

#[test]
fn one_after_the_other_when_its_host_allows_no_more_however_many_are_worth_it() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls: Vec<String> = (0..20).map(|n| origin.on(&format!("/{n}"), Reply::ok(pattern(100)))).collect();
    folder.write("list", urls.join("\n"));
    get(&folder, ["-j", "auto", "--per-host", "1", "-i", "list"]).exited(0).says("Downloaded 20 files");
    assert_eq!(origin.in_flight_peak(), 1);
}

#[test]
fn all_downloads_together_take_no_more_than_the_rate() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls = ["/1", "/2", "/3"].map(|path| origin.on(path, Reply::ok(pattern(200_000))));
    let begun = Instant::now();
    get(&folder, ["--limit-rate", "200k"].into_iter().chain(urls.iter().map(String::as_str))).exited(0);
    // 600,000 bytes at 204,800 a second take nearly 3 s; a second's worth may come at once.
    assert!(begun.elapsed() > Duration::from_millis(1_500), "{:?}", begun.elapsed());
    assert!(["1", "2", "3"].iter().all(|name| folder.read(name) == pattern(200_000)));
}

#[test]
fn each_host_has_a_rate_of_its_own() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls = ["/1", "/2"].map(|path| origin.on(path, Reply::ok(pattern(300_000))));
    let begun = Instant::now();
    get(&folder, ["--limit-rate-per-host", "200K", &urls[0], &urls[1]]).exited(0);
    assert!(begun.elapsed() > Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

#[test]
fn a_limited_rate_is_not_what_a_minimum_speed_is_about() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok(pattern(150_000)));
    let arguments =
        ["--limit-rate", "50K", "--min-speed", "1M", "--min-speed-time", "500ms", "--retries", "0"];
    get(&folder, arguments.into_iter().chain([&*url])).exited(0);
    assert_eq!(folder.read("file"), pattern(150_000));
}

#[test]
fn a_server_that_asks_for_too_long_a_pause_is_a_failure_that_says_so() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::error(503).header("Retry-After", "3600"));
    let run = get(&folder, ["--json", "--max-retry-after", "10s", &url]).exited(1);
    failure(&run, "status", "asks to be left alone for 1h, longer than the 10s allowed");
    assert_eq!(run.event("failed")["attempts"], 1);
    get(&folder, [&url]).exited(1).says("longer than the 5m allowed").says("--max-retry-after");
}

#[test]
fn a_pause_that_is_short_enough_is_kept_and_then_it_goes_on() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.sequence("/file", [Reply::error(429).header("Retry-After", "1"), Reply::ok("content")]);
    let run = get(&folder, ["--json", &url]).exited(0);
    assert!(run.event("succeeded")["seconds"].as_f64().unwrap() > 0.9);
}

#[test]
fn what_is_larger_than_allowed_is_not_received_or_not_to_its_end() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let announced = origin.on("/announced", Reply::generated(1 << 40));
    let run = get(&folder, ["--json", "--max-size", "1m", &announced]).exited(1);
    failure(&run, "too-large", "more than the 1048576 bytes that are allowed");
    let endless = origin.on("/endless", Reply::generated(1 << 40).chunked());
    let run = get(&folder, ["--json", "--max-size", "1M", &endless]).exited(1);
    failure(&run, "too-large", "1048576");
    assert_eq!(run.event("failed")["attempts"], 1);
    get(&folder, ["--max-size", "1M", &endless]).exited(1).says("--max-size");
    assert!(folder.entries().is_empty());
    let fits = origin.on("/fits", Reply::generated(1 << 20));
    get(&folder, ["--max-size", "1M", &fits]).exited(0);
    let run = get(&folder, ["--max-size", "1M", "-o", "-", &announced]).exited(1);
    assert!(run.stdout.is_empty());
}

#[test]
fn what_is_slower_than_wanted_is_given_up_and_tried_elsewhere() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let slow = Reply::generated(1 << 20).drip(10, Duration::from_millis(20));
    let url = origin.on("/file", slow);
    let speed = ["--min-speed", "10k", "--min-speed-time", "500ms", "--retries", "0"];
    let run = get(&folder, ["--json"].iter().chain(&speed).chain(&[&*url])).exited(1);
    failure(&run, "timeout", "slower than 10240 bytes a second");
    get(&folder, speed.iter().chain(&[&*url])).exited(1).says("--min-speed");
    let mirror = origin.on("/mirror", Reply::generated(1 << 20));
    get(&folder, speed.iter().chain(&["--mirror", &*mirror, &*url])).exited(0);
    assert_eq!(folder.read("file"), pattern(1 << 20));
}
