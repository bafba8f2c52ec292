//! What a run prints.

use ganymede_kit::{Authority, Folder, Origin, Reply, closed_port, pattern};
use serde_json::Value;

use crate::ganymede::{digest, get};

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_success_is_an_event_with_all_that_is_known() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(5_000));
    let url = origin.on("/file", Reply::ok(bytes.clone()));
    let md5 = digest("md5", &bytes);
    let run = get(&folder, ["--json", "-o", "d/f", "--digest", &format!("md5={md5}"), &url]).exited(0);
    assert_eq!(run.stderr, "");
    let event = run.event("succeeded");
    assert_eq!(
        keys(&event),
        ["attempts", "digests", "event", "path", "resumed", "seconds", "size", "source", "url"]
    );
    assert_eq!((&event["url"], &event["source"]), (&url.as_str().into(), &url.as_str().into()));
    assert_eq!(
        (&event["path"], &event["size"], &event["attempts"]),
        (&"d/f".into(), &5_000.into(), &1.into())
    );
    assert_eq!(event["digests"], serde_json::json!({"md5": md5, "sha256": digest("sha256", &bytes)}));
    assert!(event["seconds"].is_f64());
    let summary = run.events().pop().unwrap();
    assert_eq!(keys(&summary), ["bytes", "event", "failed", "kept", "seconds", "succeeded"]);
    assert_eq!((&summary["event"], &summary["bytes"]), (&"summary".into(), &5_000.into()));
}

#[test]
fn a_failure_is_an_event_with_its_reason_and_its_sources() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::error(418));
    let run = get(&folder, ["--json", &url]).exited(1);
    let event = run.event("failed");
    assert_eq!(keys(&event), ["attempts", "error", "event", "partial", "path", "seconds", "sources", "url"]);
    assert_eq!((&event["path"], &event["attempts"]), (&"file".into(), &1.into()));
    assert_eq!(keys(&event["error"]), ["kind", "message", "status"]);
    assert_eq!((&event["error"]["kind"], &event["error"]["status"]), (&"status".into(), &418.into()));
    let message = event["error"]["message"].clone();
    assert_eq!(event["sources"], serde_json::json!([{"url": url, "error": message}]));
    let run =
        get(&folder, ["--json", "--retries", "0", &format!("http://127.0.0.1:{}/", closed_port())]).exited(1);
    assert_eq!(keys(&run.event("failed")["error"]), ["kind", "message"]);
}

#[test]
fn every_kind_of_failure_has_its_name() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let tls = Origin::tls(&Authority::new("unknown").server(&["127.0.0.1"]));
    folder.write("folder/x", "");
    let kind = |arguments: &[&str]| {
        let run =
            get(&folder, ["--json", "--retries", "0", "--read-timeout", "500ms"].iter().chain(arguments));
        run.exited(1).event("failed")["error"]["kind"].as_str().unwrap().to_owned()
    };
    for (path, reply, expected) in [
        ("/404", Reply::error(404), "not-found"),
        ("/410", Reply::error(410), "not-found"),
        ("/401", Reply::error(401), "unauthorized"),
        ("/403", Reply::error(403), "unauthorized"),
        ("/407", Reply::error(407), "unauthorized"),
        ("/500", Reply::error(500), "status"),
        ("/cut", Reply::ok("content").cut_after(3), "incomplete"),
        ("/stall", Reply::ok("content").stall_header(), "timeout"),
        ("/loop", Reply::redirect(302, "/loop"), "redirect"),
        ("/noise", Reply::raw("this is not HTTP\r\n\r\n"), "other"),
    ] {
        assert_eq!(kind(&[&origin.on(path, reply)]), expected, "{path}");
    }
    let good = origin.on("/good", Reply::ok("content"));
    let md5 = format!("md5={}", digest("md5", b"other"));
    assert_eq!(kind(&["--digest", &md5, &good]), "digest-mismatch");
    assert_eq!(kind(&["--size", "1", &good]), "size-mismatch");
    assert_eq!(kind(&["--size", "10", &good]), "size-mismatch");
    assert_eq!(kind(&["-o", "folder", &good]), "write");
    assert_eq!(kind(&[&format!("http://127.0.0.1:{}/", closed_port())]), "connect");
    assert_eq!(kind(&[&tls.url("/file")]), "tls");
    assert_eq!(kind(&["file:///no/such/file"]), "not-found");
    assert_eq!(kind(&["-o", "x", "--mirror-list", &origin.url("/404")]), "mirror-list");
    assert_eq!(kind(&["-o", "x", "file:///"]), "unsupported");
}

#[test]
fn people_are_told_of_failures_and_a_summary_and_of_more_when_they_ask() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (good, bad) = (origin.on("/good", Reply::ok("content")), origin.url("/bad"));
    let run = get(&folder, [&good, &bad]).exited(1);
    assert_eq!(run.text(), "");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        format!(
            "failed: {bad}: the server answered 404 Not Found (check the URL, or name the file elsewhere with --mirror)"
        )
    );
    assert!(
        lines[1].starts_with("Downloaded 1 file, 7 B in ") && lines[1].ends_with("; 1 failed"),
        "{}",
        lines[1]
    );
    let run = get(&folder, ["-q", &good, &bad]).exited(1);
    assert_eq!(run.stderr.lines().count(), 1);
    assert_eq!(get(&folder, ["-q", &good]).exited(0).stderr, "");
    let sha = digest("sha256", b"content");
    get(&folder, ["-v", &good]).exited(0).says(&format!("stored good: 7 bytes from {good}, sha256:{sha}"));
    let run = get(&folder, ["-vv", &bad]).exited(1);
    assert!(run.stderr.contains("DEBUG") && run.stderr.contains("attempt failed"), "{}", run.stderr);
}

#[test]
fn progress_bars_are_drawn_on_standard_error_alone_and_only_when_wanted() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let slow = Reply::generated(30).drip(1, std::time::Duration::from_millis(30));
    let url = origin.on("/slow-file", slow);
    let run = get(&folder, ["--json", "--progress", "always", &url]).exited(0);
    assert_eq!(run.events().len(), 2);
    assert!(run.stderr.contains("slow-file") && run.stderr.contains("of 30 B"), "{:?}", run.stderr);
    assert!(run.stderr.contains("0 of 1 files, "), "{:?}", run.stderr);
    let run = get(&folder, ["--progress", "auto", &url]).exited(0);
    assert_eq!(run.stderr.lines().count(), 1, "{:?}", run.stderr);
    let run = get(&folder, ["--progress", "always", "-o", "-", &url]).exited(0);
    assert_eq!(run.stdout, pattern(30));
}

#[test]
fn who_stops_reading_the_events_ends_the_run_quietly() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.handle("/", |_| Reply::ok("x"));
    let mut child = crate::ganymede::command(&folder);
    let urls = (0..2000).map(|n| origin.url(&format!("/{n}")));
    let mut child = child.args(["get", "--json"]).args(urls).spawn().unwrap();
    drop(child.stdout.take());
    let run = crate::ganymede::finish(child).exited(1);
    assert_eq!(run.stderr, "");
    assert!(folder.entries().len() < 2000);
    assert!(folder.entries().iter().all(|name| !name.starts_with('.')));
}
