//! The timeline of a run: `--trace`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ganymede_kit::{Folder, Gate, Origin, Reply, closed_port, pattern};
use serde_json::Value;

use crate::ganymede::{digest, finish, get, start};
use crate::interrupting::interrupted;

/// A trace that was read and whose form was checked.
#[derive(Debug)]
struct Timeline {
    /// The names of the lanes, by their numbers.
    lanes: HashMap<u64, String>,
    bars: Vec<Bar>,
}

#[derive(Debug)]
struct Bar {
    kind: String,
    name: String,
    lane: u64,
    start: u64,
    end: u64,
    args: Value,
}

impl Bar {
    fn holds(&self, other: &Self) -> bool {
        self.lane == other.lane && self.start <= other.start && other.end <= self.end
    }
}

impl Timeline {
    #[track_caller]
    fn read(folder: &Folder, name: &str) -> Self {
        let text = String::from_utf8(folder.read(name)).unwrap();
        let events: Vec<Value> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let (mut lanes, mut bars) = (HashMap::new(), Vec::new());
        let pid = &events[0]["pid"];
        assert_eq!((&events[0]["name"], &events[0]["ph"]), (&"process_name".into(), &"M".into()));
        for event in &events[1..] {
            assert_eq!(&event["pid"], pid);
            let (name, lane) = (event["name"].as_str().unwrap(), event["tid"].as_u64().unwrap());
            if event["ph"] == "M" {
                assert_eq!(name, "thread_name");
                lanes.insert(lane, event["args"]["name"].as_str().unwrap().to_owned());
                continue;
            }
            assert_eq!(event["ph"], "X");
            assert!(lanes.contains_key(&lane), "a lane has its name before its first bar");
            let (start, length) = (event["ts"].as_u64().unwrap(), event["dur"].as_u64().unwrap());
            let (kind, name) = (event["cat"].as_str().unwrap().to_owned(), name.to_owned());
            bars.push(Bar { kind, name, lane, start, end: start + length, args: event["args"].clone() });
        }
        let timeline = Self { lanes, bars };
        timeline.check();
        timeline
    }

    fn of(&self, kind: &str) -> Vec<&Bar> {
        self.bars.iter().filter(|bar| bar.kind == kind).collect()
    }

    /// The bars within that of an attempt.
    fn parts(&self, attempt: &Bar) -> Vec<&str> {
        let parts = self.of("part").into_iter().filter(|part| attempt.holds(part));
        parts.map(|part| part.name.as_str()).collect()
    }

    /// Asserts that attempts and pauses of a lane come one after the other, and parts do so within an attempt.
    #[track_caller]
    fn check(&self) {
        let follow = |bars: Vec<&Bar>| {
            for (at, one) in bars.iter().enumerate() {
                let overlap =
                    |other: &&&Bar| other.lane == one.lane && other.start < one.end && one.start < other.end;
                assert!(!bars[at + 1..].iter().any(|other| overlap(&other)), "{one:?} overlaps in {self:?}");
            }
        };
        follow(self.bars.iter().filter(|bar| bar.kind != "part").collect());
        follow(self.of("part"));
        for part in self.of("part") {
            assert!(self.of("attempt").iter().any(|attempt| attempt.holds(part)), "{part:?} in {self:?}");
        }
    }
}

#[test]
fn each_attempt_is_a_bar_on_the_lane_of_its_worker() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let paths = ["/1", "/2", "/3", "/4", "/5", "/6"];
    let urls = paths.map(|path| origin.on(path, Reply::ok(pattern(50_000)).gate(&gate)));
    let options = ["get", "-j", "3", "--trace", "trace.json"];
    let run = start(&folder, options.into_iter().chain(urls.iter().map(String::as_str)));
    gate.wait_arrived(3);
    gate.open();
    finish(run).exited(0);
    let timeline = Timeline::read(&folder, "trace.json");
    let names: HashSet<&str> = timeline.lanes.values().map(String::as_str).collect();
    // At least: while one waits for others, as for the client that they share, another one runs.
    assert!(names.is_superset(&["ganymede-1", "ganymede-2", "ganymede-3"].into()), "{names:?}");
    assert_eq!(names.len(), timeline.lanes.len());
    let attempts = timeline.of("attempt");
    assert_eq!(attempts.len(), 6);
    for (path, url) in paths.iter().zip(&urls) {
        let bar = attempts.iter().find(|bar| bar.name == path[1..]).unwrap();
        let args = serde_json::json!({"url": url, "attempt": 1, "bytes": 50_000, "status": 200});
        assert_eq!(bar.args, args);
        let parts = timeline.parts(bar);
        assert!(parts.contains(&"wait") && parts.contains(&"receive, check and write"), "{parts:?}");
        assert_eq!(parts.last(), Some(&"commit"));
    }
    assert!(timeline.of("part").iter().any(|part| part.name == "connect"));
}

#[test]
fn a_retry_is_a_bar_behind_a_pause_and_so_is_a_mirror() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(10_000));
    let cut = origin.on("/cut", Reply::ok(bytes.clone()).cut_after(4_000));
    let mirror = origin.on("/mirror", Reply::ok(bytes.clone()));
    let md5 = format!("md5={}", digest("md5", &bytes));
    let options = ["--no-resume", "--retries", "1", "--digest", &md5, "--trace", "t"];
    get(&folder, options.into_iter().chain(["--mirror", &mirror, &cut])).exited(0);
    let timeline = Timeline::read(&folder, "t");
    let attempts = timeline.of("attempt");
    let told: Vec<_> =
        attempts.iter().map(|bar| (bar.name.as_str(), bar.args["url"].as_str().unwrap())).collect();
    assert_eq!(told, [("cut", &*cut), ("cut (attempt 2)", &cut), ("mirror (attempt 3)", &mirror)]);
    for failed in &attempts[..2] {
        assert_eq!((&failed.args["kind"], &failed.args["bytes"]), (&"incomplete".into(), &4_000.into()));
        assert!(!failed.args["error"].as_str().unwrap().is_empty());
        assert!(!timeline.parts(failed).contains(&"commit"));
    }
    assert!(attempts[2].args.get("error").is_none());
    assert_eq!(timeline.of("pause").len(), 2);
    let pause = timeline.of("pause")[0];
    assert!(attempts[0].end <= pause.start && pause.end <= attempts[1].start);
}

#[test]
fn failures_tell_their_status_or_none() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let gone = origin.on("/gone", Reply::error(404));
    let refused = format!("http://127.0.0.1:{}/refused", closed_port());
    get(&folder, ["--retries", "0", "--trace", "t", &gone, &refused]).exited(1);
    let timeline = Timeline::read(&folder, "t");
    let of =
        |name: &str| timeline.of("attempt").into_iter().find(|bar| bar.name == name).unwrap().args.clone();
    assert_eq!((&of("gone")["status"], &of("gone")["kind"]), (&404.into(), &"not-found".into()));
    assert_eq!((of("refused").get("status"), &of("refused")["kind"]), (None, &"connect".into()));
}

#[test]
fn no_secret_is_in_it_and_names_cannot_break_it() {
    let (folder, origin, store) = (Folder::new(), Origin::start(), Origin::start());
    let target = format!("{}?Signature=s3cr3t", store.on("/stored", Reply::ok("content")));
    let name = "/a%22b%5C%0A%3C%C3%A4";
    let url = origin.on(name, Reply::redirect(302, target)).replace("http://", "http://amy:s3cr3t@");
    let other = origin.on("/loop", Reply::redirect(302, "/loop?Signature=s3cr3t"));
    let (url, other) = (format!("{url}?Token=s3cr3t"), format!("{other}?Token=s3cr3t"));
    get(&folder, ["--retries", "0", "--trace", "t", "-H", "X-Token: s3cr3t", &url, &other]).exited(1);
    let text = String::from_utf8(folder.read("t")).unwrap();
    assert!(!text.contains("s3cr3t") && !text.contains("amy"), "{text}");
    let timeline = Timeline::read(&folder, "t");
    let found = timeline.of("attempt").iter().filter(|bar| bar.args["found"] == store.url("/stored")).count();
    assert_eq!(found, 1, "{text}");
}

#[test]
fn it_is_whole_when_nothing_was_downloaded_and_when_the_content_goes_to_standard_output() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    folder.write("list", "");
    get(&folder, ["--trace", "none", "-i", "list"]).exited(0);
    get(&folder, ["--trace", "planned", "--dry-run", &url]).exited(0);
    for name in ["none", "planned"] {
        let timeline = Timeline::read(&folder, name);
        assert!(timeline.bars.is_empty() && timeline.lanes.is_empty(), "{timeline:?}");
    }
    let run = get(&folder, ["--trace", "poured", "--stats", "--json", "-o", "-", &url]).exited(0);
    assert_eq!(run.stdout, b"content");
    let timeline = Timeline::read(&folder, "poured");
    assert_eq!((timeline.of("attempt").len(), timeline.lanes[&1].as_str()), (1, "ganymede-stream"));
}

#[test]
fn an_interrupted_run_has_a_whole_one_with_what_was_cut() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let done = origin.on("/done", Reply::ok("content"));
    let stalled = origin.on("/stalled", Reply::ok(pattern(1000)).stall_after(500));
    let run = start(&folder, ["get", "--trace", "t", &done, &stalled]);
    origin.wait_sent("/stalled", 500);
    ganymede_kit::wait_until("the first file", || folder.file("done").exists());
    interrupted(run);
    let timeline = Timeline::read(&folder, "t");
    let cut = timeline.of("attempt").into_iter().find(|bar| bar.name == "stalled").unwrap();
    assert_eq!(cut.args["kind"], "cancelled");
    assert_eq!(timeline.of("attempt").len(), 2);
}

#[test]
fn a_file_that_cannot_be_written_ends_nothing_but_the_trace_and_that_is_said_once() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls: Vec<String> =
        (0..200).map(|number| origin.on(&format!("/{number}"), Reply::ok("content"))).collect();
    let options = ["--trace", "/dev/full"];
    let run = get(&folder, options.into_iter().chain(urls.iter().map(String::as_str))).exited(0);
    assert_eq!(run.stderr.matches("the trace /dev/full is not complete").count(), 1, "{}", run.stderr);
    assert_eq!(folder.entries().len(), 200);
}
