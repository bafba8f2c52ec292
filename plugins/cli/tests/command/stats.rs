//! Where the time went: `--stats`.

use std::thread::sleep;
use std::time::Duration;

use ganymede_kit::{Authority, Folder, Gate, Origin, Reply, closed_port, pattern};
use serde_json::Value;

use crate::ganymede::{digest, finish, get, start};
use crate::interrupting::interrupted;

const PHASES: [&str; 10] =
    ["check", "commit", "connect", "queue", "receive", "resolve", "throttle", "tls", "wait", "write"];

/// The seconds of each phase, of which none may be negative.
#[track_caller]
fn seconds(numbers: &Value) -> Vec<(&str, f64)> {
    let seconds = numbers["seconds"].as_object().unwrap();
    assert_eq!(seconds.keys().collect::<Vec<_>>(), PHASES);
    let seconds = seconds.iter().map(|(phase, spent)| (phase.as_str(), spent.as_f64().unwrap()));
    let seconds: Vec<_> = seconds.collect();
    assert!(seconds.iter().all(|(_, spent)| *spent >= 0.0), "{seconds:?}");
    seconds
}

/// The files, bytes, attempts and failures.
fn counts(numbers: &Value) -> [u64; 4] {
    ["files", "bytes", "attempts", "failures"].map(|name| numbers[name].as_u64().unwrap())
}

fn host(url: &str) -> &str {
    let (scheme, rest) = url.split_once("://").unwrap();
    &url[..scheme.len() + 3 + rest.find('/').unwrap()]
}

/// The entry of a host.
#[track_caller]
fn of<'v>(stats: &'v Value, url: &str) -> &'v Value {
    let hosts = stats["hosts"].as_array().unwrap();
    hosts.iter().find(|one| one["host"] == host(url)).unwrap_or_else(|| panic!("{url} in {stats}"))
}

#[test]
fn files_bytes_attempts_and_failures_are_exact_for_each_host_and_in_all() {
    let (folder, first, second, bytes) = (Folder::new(), Origin::start(), Origin::start(), pattern(100_000));
    let whole = Reply::ok(bytes.clone()).etag("\"one\"").ranges();
    let again = first.sequence("/again", [whole.clone().cut_after(40_000), whole.clone()]);
    let gone = first.on("/gone", Reply::error(404));
    let mirror = second.on("/mirror", whole);
    let moved = second.on("/moved", Reply::redirect(302, "/mirror"));
    let md5 = digest("md5", &bytes);
    folder.write("list", format!("{again}\n{gone} mirror={mirror} md5={md5}\n{gone}?2 out=2\n{moved}\n"));
    let run = get(&folder, ["--json", "--stats", "-j", "1", "--retries", "1", "-i", "list"]).exited(1);
    assert_eq!(run.stderr, "");
    let summary = run.event("summary");
    let stats = &summary["stats"];
    // What was cut was gone on with, so no byte came twice.
    assert_eq!(counts(of(stats, &again)), [1, 100_000, 4, 3], "{stats}");
    assert_eq!(counts(of(stats, &mirror)), [2, 200_000, 2, 0], "{stats}");
    assert_eq!(counts(&stats["total"]), [3, 300_000, 6, 3]);
    assert_eq!(summary["succeeded"], 3);
    assert!(stats.get("others").is_none());
    // One at a time, they cannot have spent more than there was; while one queues, another one runs.
    let (wall, spent) = (summary["seconds"].as_f64().unwrap(), seconds(&stats["total"]));
    let busy: f64 = spent.iter().filter(|(phase, _)| *phase != "queue").map(|(_, spent)| spent).sum();
    assert!(busy <= wall + 0.001, "{spent:?} in {wall}");
    for phase in ["connect", "wait", "receive", "check", "write", "commit"] {
        let each = [of(stats, &again), of(stats, &mirror)].map(|host| host["seconds"][phase].as_f64());
        let sum: f64 = each.into_iter().flatten().sum();
        let total = stats["total"]["seconds"][phase].as_f64().unwrap();
        assert!(total > 0.0 && (sum - total).abs() < 0.000_01, "{phase}: {sum} and {total}");
    }
}

#[test]
fn the_time_is_in_the_phase_in_which_it_went() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (head, body) = (Gate::new(), Gate::new());
    let url = origin.on("/file", Reply::ok(pattern(1000)).gate(&head).gate_after(500, &body));
    let run = start(&folder, ["get", "--json", "--stats", &url]);
    head.wait_arrived(1);
    sleep(Duration::from_millis(200));
    head.open();
    body.wait_arrived(1);
    sleep(Duration::from_millis(400));
    body.open();
    let summary = finish(run).exited(0).event("summary");
    let spent = &summary["stats"]["total"]["seconds"];
    assert!(spent["wait"].as_f64().unwrap() >= 0.2, "{spent}");
    // It may have begun to receive a little later than the server has begun to wait.
    assert!(spent["receive"].as_f64().unwrap() >= 0.2, "{spent}");
}

#[test]
fn at_most_so_many_at_a_time_is_what_there_was() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let urls = ["/1", "/2", "/3", "/4", "/5"].map(|path| origin.on(path, Reply::ok("x").gate(&gate)));
    let arguments = ["get", "--json", "--stats", "-j", "3"];
    let run = start(&folder, arguments.into_iter().chain(urls.iter().map(String::as_str)));
    gate.wait_arrived(3);
    gate.open();
    // While one waits for others, as for the client that they share, another one runs.
    let peak = finish(run).exited(0).event("summary")["stats"]["peak"].as_u64().unwrap();
    assert!((3..=5).contains(&peak), "{peak}");
}

#[test]
fn people_get_a_table_with_a_line_for_the_whole() {
    let (folder, origin, other) = (Folder::new(), Origin::start(), Origin::start());
    let one = origin.on("/one", Reply::ok(pattern(2048)));
    let two = other.on("/two", Reply::error(404));
    let run = get(&folder, ["--stats", &one, &two]).exited(1);
    assert_eq!(run.text(), "");
    let lines: Vec<&str> = run.stderr.lines().skip_while(|line| !line.starts_with("Time spent")).collect();
    for phase in ["connect", "wait", "receive", "check", "write", "commit"] {
        assert!(lines[0].contains(phase), "{phase} in {}", run.stderr);
    }
    assert!(!lines[0].contains("throttle"), "{}", run.stderr);
    let host_line = |url: &str, rest: &str| format!("{}: {rest}", host(url));
    assert!(lines.contains(&&*host_line(&one, "1 file, 2.00 KiB, 1 attempt")), "{}", run.stderr);
    assert!(lines.contains(&&*host_line(&two, "0 files, 0 B, 1 attempt, 1 failed")), "{}", run.stderr);
    assert!(lines.contains(&"all hosts: 1 file, 2.00 KiB, 2 attempts, 1 failed"), "{}", run.stderr);
    let last = lines.last().unwrap();
    assert!(last.starts_with("In ") && last.contains(": 2.00 KiB received, "), "{last}");
    // Asked for, it comes even if nothing else does.
    let run = get(&folder, ["-q", "--stats", &one]).exited(0);
    assert!(run.stderr.starts_with("Time spent"), "{}", run.stderr);
    assert!(
        !get(&folder, ["--json", &one]).exited(0).event("summary").as_object().unwrap().contains_key("stats")
    );
}

#[test]
fn making_a_connection_secure_has_a_time_of_its_own() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let origin = Origin::tls(&authority.server(&["127.0.0.1"]));
    let url = origin.on("/file", Reply::ok("content"));
    let ca = authority.write_to(folder.path(), "ca").display().to_string();
    let arguments = ["--stats", "--ca-certificate", &ca, &url];
    get(&folder, arguments).exited(0).says("TLS");
    let run = get(&folder, ["--json"].into_iter().chain(arguments)).exited(0).event("summary");
    for phase in ["connect", "tls"] {
        assert!(run["stats"]["total"]["seconds"][phase].as_f64().unwrap() > 0.0, "{phase}: {run}");
    }
}

#[test]
fn there_are_stats_of_nothing_too() {
    let folder = Folder::new();
    folder.write("list", "# nothing\n");
    let url = format!("http://127.0.0.1:{}/file", closed_port());
    for arguments in [&["-i", "list"][..], &["--dry-run", &url]] {
        let options = ["--json", "--stats"];
        let run = get(&folder, options.iter().chain(arguments)).exited(0).event("summary");
        let stats = &run["stats"];
        assert_eq!((counts(&stats["total"]), &stats["hosts"]), ([0; 4], &serde_json::json!([])));
        assert_eq!((&stats["rate"], &stats["peak"]), (&0.into(), &0.into()));
        assert!(seconds(&stats["total"]).iter().all(|(_, spent)| *spent == 0.0));
        get(&folder, ["--stats"].iter().chain(arguments)).exited(0).says("0 B received");
    }
    let refused = get(&folder, ["--json", "--stats", "--retries", "2", &url]).exited(1).event("summary");
    assert_eq!(counts(&refused["stats"]["total"]), [0, 0, 3, 3]);
}

#[test]
fn what_is_kept_is_no_file_and_what_goes_to_standard_output_is_one() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    folder.write("file", "old");
    let run = get(&folder, ["--json", "--stats", "--existing", "skip", &url]).exited(0).event("summary");
    assert_eq!(counts(&run["stats"]["total"]), [0, 0, 1, 0]);
    let run = get(&folder, ["--stats", "-o", "-", &url]).exited(0).says("1 file, 7 B, 1 attempt\n");
    assert_eq!(run.stdout, b"content");
}

#[test]
fn an_interrupted_run_has_stats_of_what_there_was() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok(pattern(1000)).stall_after(500));
    let run = start(&folder, ["get", "--json", "--stats", &url]);
    origin.wait_sent("/file", 500);
    let summary = interrupted(run).event("summary");
    let [files, bytes, attempts, failures] = counts(&summary["stats"]["total"]);
    assert_eq!((files, attempts, failures), (0, 1, 1));
    assert!(bytes <= 500, "{bytes}");
}
