//! Lists of what to download.

use ganymede_kit::{Folder, Origin, Reply, pattern};

use crate::ganymede::{digest, get, get_with_input};

#[test]
fn a_list_is_read_from_a_file_with_all_that_a_line_can_say() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(10_000));
    for path in ["/a", "/b", "/c", "/d"] {
        origin.on(path, Reply::ok(bytes.clone()));
    }
    let (sha, md5) = (digest("sha256", &bytes), digest("md5", &bytes).to_uppercase());
    let (base, absent) = (origin.url(""), origin.url("/absent"));
    let list = format!(
        "# a list\r\n\r\n{base}/a\r\n  {base}/b out='sub/b \"file\"' size=10000 sha256={sha} MD5={md5} # said of b\n\
         {absent} mirror={base}/absent2 mirror={base}/c out=c\n\
         {{\"url\": \"{base}/d\", \"out\": \"d.json\", \"size\": 10000, \"digests\": {{\"sha256\": \"{sha}\"}}, \
         \"mirrors\": [\"{base}/c\"]}}"
    );
    folder.write("list", list);
    get(&folder, ["-i", "list", "-d", "out"]).exited(0).says("Downloaded 4 files");
    let entries = folder.entries();
    assert_eq!(entries, ["list", "out/", "out/a", "out/c", "out/d.json", "out/sub/", "out/sub/b \"file\""]);
    for file in entries.iter().filter(|entry| entry.starts_with("out/") && !entry.ends_with('/')) {
        assert_eq!(folder.read(file), bytes, "{file}");
    }
}

#[test]
fn a_list_is_read_from_standard_input_after_the_urls_of_the_command_line() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [a, b, c] = ["/a", "/b", "/c"].map(|path| origin.on(path, Reply::ok(path)));
    get_with_input(&folder, ["-j", "1", "-i", "-", &a], format!("{b}\n{c}")).exited(0);
    assert_eq!(folder.entries(), ["a", "b", "c"]);
    assert_eq!(
        origin.journal().iter().map(|one| one.target.as_str()).collect::<Vec<_>>(),
        ["/a", "/b", "/c"]
    );
}

#[test]
fn what_a_line_expects_is_checked_for_that_line() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [a, b] = ["/a", "/b"].map(|path| origin.on(path, Reply::ok("content")));
    folder.write("list", format!("{a} md5={}\n{b} size=7\n", digest("md5", b"other")));
    let run = get(&folder, ["-i", "list", "--json"]).exited(1);
    assert_eq!(run.event("failed")["url"], a.as_str());
    assert_eq!(run.event("failed")["error"]["kind"], "digest-mismatch");
    assert_eq!(run.event("succeeded")["url"], b.as_str());
    assert_eq!(folder.entries(), ["b", "list"]);
}

#[test]
fn a_bad_line_is_named_and_what_was_started_before_it_ends() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [a, b, late] = ["/a", "/b", "/late"].map(|path| origin.on(path, Reply::ok("content")));
    folder.write("list.txt", format!("# first\n{a}\n{b}\nhttp://x y z\n{late}\n"));
    let run = get(&folder, ["-i", "list.txt", "--json"]).exited(2).says("list.txt, line 4");
    assert_eq!(folder.entries(), ["a", "b", "list.txt"]);
    assert_eq!(run.events().iter().filter(|event| event["event"] == "succeeded").count(), 2);
    assert_eq!(run.event("summary")["succeeded"], 2);
    assert_eq!(origin.requests("/late"), 0);
    let run = get_with_input(&folder, ["-i", "-"], "nonsense\n").exited(2).says("standard input, line 1");
    assert!(run.stderr.contains("\"nonsense\" is not a URL"), "{}", run.stderr);
}

#[test]
fn one_failure_stops_nothing_else() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let mut list = String::new();
    for number in 0..40 {
        let path = format!("/{number}");
        let reply = if number % 4 == 0 { Reply::error(404) } else { Reply::ok(path.clone()) };
        list.push_str(&format!("{}\n", origin.on(&path, reply)));
    }
    list.push_str("gopher://example.com/unknown-scheme\n");
    let run = get_with_input(&folder, ["-i", "-", "--json", "--backlog", "3"], list).exited(1);
    let summary = run.event("summary");
    assert_eq!((&summary["succeeded"], &summary["failed"]), (&30.into(), &11.into()));
    assert_eq!(folder.entries().len(), 30);
    let unknown =
        run.events().into_iter().find(|event| event["url"] == "gopher://example.com/unknown-scheme");
    assert_eq!(unknown.unwrap()["error"]["kind"], "unsupported");
}

#[test]
fn an_empty_list_is_no_failure() {
    let folder = Folder::new();
    get_with_input(&folder, ["-i", "-"], "# nothing\n").exited(0).says("Downloaded 0 files");
}

#[test]
fn two_downloads_to_one_path_are_one_and_a_failure_that_was_never_sent() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [one, two, three] = ["/1/same", "/2/same", "/3"].map(|path| origin.on(path, Reply::ok(path)));
    let list = format!("{one}\n{two}\n{three} out=x/.././same\n{three}\n");
    let run = get_with_input(&folder, ["-i", "-", "--json", "-d", "d"], list).exited(1);
    let failed: Vec<_> = run.events().into_iter().filter(|event| event["event"] == "failed").collect();
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|event| event["error"]["kind"] == "write" && event["attempts"] == 0));
    let message = failed[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("d/same is already the file of another download"), "{message}");
    assert_eq!((origin.requests("/2/same"), origin.requests("/3")), (0, 1));
    assert_eq!(folder.read("d/same"), b"/1/same");
    assert_eq!(folder.entries(), ["d/", "d/3", "d/same"]);
}
