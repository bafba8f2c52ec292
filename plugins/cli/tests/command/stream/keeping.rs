//! What is kept, and what is left of it after each kind of end.

use std::collections::HashMap;

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};

use super::{LARGE, Serving, listed};

fn fresh(content: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(content).header("Cache-Control", "max-age=1000")
}

#[test]
fn what_was_asked_for_once_is_there_for_all_and_after_a_restart() {
    let (folder, origin, content) = (Folder::new(), Origin::start(), pattern(LARGE));
    origin.on("/a%20b", fresh(content.clone()).etag("\"one\""));
    let serving = Serving::keeping(&folder, &origin, &["--cache-size", "100M"]);
    let miss = serving.get("/a%20b");
    assert!(!miss.is_whole(&content).is_hit(), "{}", miss.cache());
    wait_until("it to be kept", || serving.has("/a%20b"));
    let hit = serving.get("/a b".replace(' ', "%20").as_str());
    assert!(hit.is_whole(&content).is_hit() && hit.header("etag") == Some("\"one\""));
    serving.end();
    let serving = Serving::keeping(&folder, &origin, &[]);
    assert!(serving.get("/a%20b").is_whole(&content).is_hit());
    assert_eq!(origin.requests("/a%20b"), 1);
    assert_eq!(entries(&serving), 1);
    assert_eq!(serving.get("/-/health").body, b"ok\n");
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let (folder, origin, content) = (Folder::new(), Origin::start(), pattern(LARGE));
    let url = origin.on("/file", fresh(content.clone()));
    for arguments in [&["--remote"][..], &["--policy", "streamed", "--remote"]] {
        let serving = Serving::start(&folder, arguments.iter().chain(&[origin.url("/").as_str()]));
        let asked = origin.requests("/file");
        serving.get("/file").is_whole(&content);
        serving.get("/file").is_whole(&content);
        assert_eq!(origin.requests("/file"), asked + 2, "{url}");
        serving.end();
    }
    assert!(folder.entries().is_empty(), "{:?}", folder.entries());
}

#[test]
fn a_cache_stays_within_its_size() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let serving = Serving::keeping(&folder, &origin, &["--cache-size", "250K"]);
    for name in ["/1", "/2", "/3"] {
        origin.on(name, fresh(pattern(100_000)));
        serving.get(name).is_whole(&pattern(100_000));
        wait_until("it to be kept", || serving.has(name));
    }
    assert_eq!(["/1", "/2", "/3"].map(|name| serving.has(name)), [false, true, true]);
}

#[test]
fn what_is_begun_is_finished_where_that_is_asked_for() {
    for arguments in [&["--finish"][..], &["--policy", "immediate", "--prefetch", "nothing"]] {
        let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
        origin.on("/file", fresh(pattern(LARGE)).gate_after(1_000_000, &gate));
        folder.write("nothing", "");
        let serving = Serving::keeping(&folder, &origin, arguments);
        let mut client = serving.ask("GET", "/file", &[]);
        client.read_bytes(500_000);
        client.leave();
        gate.open();
        wait_until("it to be kept", || serving.has("/file"));
        assert_eq!(origin.requests("/file"), 1);
    }
}

#[test]
fn a_stale_file_is_used_as_long_as_that_is_allowed() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let stale = Reply::ok("old").header("Cache-Control", "max-age=0").etag("\"old\"");
    origin.sequence("/file", [stale, Reply::error(404)]);
    origin.sequence("/broken", [Reply::ok("old").header("Cache-Control", "max-age=0"), Reply::error(500)]);
    let arguments = ["--stale-while-revalidate", "1h", "--stale-if-error", "1h", "--retries", "0"];
    let serving = Serving::keeping(&folder, &origin, &arguments);
    serving.get("/file").is_whole(b"old");
    wait_until("it to be kept", || entries(&serving) == 1);
    assert!(serving.get("/file").is_whole(b"old").is_hit());
    wait_until("it to be asked for anew", || origin.requests("/file") == 2);
    wait_until("what has come of that", || serving.get("/file").status == 404);
    serving.end();

    let folder = Folder::new();
    let serving = Serving::keeping(&folder, &origin, &["--stale-if-error", "1h", "--retries", "0"]);
    serving.get("/broken").is_whole(b"old");
    wait_until("it to be kept", || entries(&serving) == 1);
    wait_until("the failure", || {
        let asked = origin.requests("/broken");
        serving.get("/broken").is_whole(b"old");
        asked > 2
    });
}

#[test]
fn a_file_of_which_nothing_is_said_is_fresh_as_long_as_is_chosen() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("x").modified("Mon, 01 Jan 2024 00:00:00 GMT"));
    origin.on("/unknown", Reply::ok("x"));
    let cases: [(&str, &[&str], usize); 5] = [
        ("/file", &["--heuristic", "50", "--heuristic-limit", "1h"], 1),
        ("/file", &["--heuristic", "0", "--lifetime", "1h"], 2),
        ("/file", &["--heuristic-limit", "0s"], 2),
        ("/unknown", &[], 2),
        ("/unknown", &["--lifetime", "1h"], 1),
    ];
    for (path, arguments, requests) in cases {
        let (folder, asked) = (Folder::new(), origin.requests(path));
        let serving = Serving::keeping(&folder, &origin, arguments);
        serving.get(path).is_whole(b"x");
        wait_until("it to be kept", || entries(&serving) == 1);
        serving.get(path).is_whole(b"x");
        assert_eq!(origin.requests(path) - asked, requests, "{path} {arguments:?}");
    }
}

/// How many files are kept.
fn entries(serving: &Serving) -> u64 {
    let metrics = String::from_utf8(serving.get("/-/metrics").body).unwrap();
    let count = metrics.lines().find_map(|line| line.strip_prefix("ganymede_cache_entries "));
    count.unwrap().parse().unwrap()
}

#[test]
fn that_there_is_nothing_is_remembered_as_long_as_is_said() {
    let (folder, origin) = (Folder::new(), Origin::start());
    for (arguments, requests) in [(["--negative", "1h"], 1), (["--negative", "0s"], 2)] {
        let asked = origin.requests("/none");
        let serving = Serving::keeping(&folder, &origin, &arguments);
        assert_eq!([serving.get("/none").status, serving.get("/none").status], [404, 404]);
        assert_eq!(origin.requests("/none") - asked, requests);
        serving.end();
    }
}

#[test]
fn whenever_it_is_killed_what_was_kept_is_kept_and_what_was_not_is_fetched_anew() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    let content = |number: usize| pattern(1_000 + 40_000 * number);
    let begun = fresh(pattern(LARGE)).gate_after(1_000_000, &gate);
    origin.on("/begun", begun);
    let mut kept: HashMap<usize, usize> = HashMap::new();
    for round in 0..6 {
        let serving = Serving::keeping(&folder, &origin, &[]);
        for (number, requests) in &kept {
            let path = format!("/{number}");
            assert!(serving.get(&path).is_whole(&content(*number)).is_hit(), "round {round}: {path}");
            assert_eq!(origin.requests(&path), *requests, "round {round}: {path}");
        }
        let first = round * 8;
        for number in first..first + 8 {
            let path = format!("/{number}");
            origin.on(&path, fresh(content(number)));
            serving.get(&path).is_whole(&content(number));
            // The odd ones are killed right behind their last byte, if they are the last of their round.
            if number % 2 == 0 || number < first + round {
                wait_until("it to be kept", || serving.has(&path));
                kept.insert(number, origin.requests(&path));
            }
        }
        let mut client = serving.ask("GET", "/begun", &[]);
        client.read_bytes(900_000);
        serving.kill();
        drop(client);
    }
    gate.open();
    let serving = Serving::keeping(&folder, &origin, &[]);
    for number in 0..48 {
        let response = serving.get(&format!("/{number}"));
        response.is_whole(&content(number));
        assert!(response.is_hit() || !kept.contains_key(&number), "{number}");
    }
    assert!(!serving.get("/begun").is_whole(&pattern(LARGE)).is_hit());
    wait_until("it to be kept", || serving.has("/begun"));
    let incoming = |name: &String| name.starts_with("cache/incoming/") && name != "cache/incoming/";
    assert!(!folder.entries().iter().any(incoming), "{:?}", folder.entries());
    assert!(kept.len() > 24);
}

#[test]
fn a_file_that_is_wrong_after_a_change_of_its_list_is_not_served_from_the_cache() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.sequence("/file", [fresh("one"), fresh("two")]);
    folder.write("SUMS", listed("file", b"one"));
    let serving = Serving::keeping(&folder, &origin, &["--digests", "SUMS"]);
    serving.get("/file").is_whole(b"one");
    wait_until("it to be kept", || serving.has("/file"));
    folder.write("SUMS", listed("file", b"two") + &listed("other", b"x"));
    serving.signal("HUP");
    serving.wait_said("Reloaded: the digests of 2 files are known\n");
    serving.get("/file").is_whole(b"two");
    folder.write("SUMS", "nonsense\n");
    serving.signal("HUP");
    serving.wait_said("error: --digests: SUMS, line 1: ");
    serving.get("/file").is_whole(b"two");
    assert_eq!(origin.requests("/file"), 2);
    serving.end();
}
