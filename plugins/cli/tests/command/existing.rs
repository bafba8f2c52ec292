//! What becomes of files that are there already.

use std::fs::File;
use std::time::{Duration, SystemTime};

use ganymede_kit::{Folder, Origin, Reply};

use crate::ganymede::{digest, get};

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

fn age(folder: &Folder, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().write(true).open(folder.file(name)).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_file_is_replaced_unless_something_else_is_said() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("new"));
    for arguments in [&[][..], &["--existing", "replace"]] {
        folder.write("file", "old");
        get(&folder, arguments.iter().chain(&[&*url])).exited(0);
        assert_eq!(folder.read("file"), b"new");
    }
}

#[test]
fn skipping_keeps_what_is_there_and_asks_nobody() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [there, missing] = ["/there", "/missing"].map(|path| origin.on(path, Reply::ok("new")));
    folder.write("d/there", "old!");
    let run = get(&folder, ["--json", "--existing", "skip", "-d", "d", &there, &missing]).exited(0);
    let mut kept = run.event("kept");
    assert!(kept["seconds"].take().is_f64());
    assert_eq!(
        kept,
        serde_json::json!({"event": "kept", "url": there, "path": "d/there", "size": 4, "reason": "exists",
            "attempts": 1, "seconds": null})
    );
    let summary = run.event("summary");
    let counts = ["succeeded", "kept", "failed", "bytes"].map(|key| summary[key].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0, 3]);
    assert_eq!((origin.requests("/there"), folder.read("d/there")), (0, b"old!".to_vec()));
    assert_eq!(folder.read("d/missing"), b"new");
}

#[test]
fn people_are_told_what_was_kept_and_why() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls = ["/a", "/b", "/c"].map(|path| origin.on(path, Reply::ok("new")));
    folder.write("a", "old");
    folder.write("b", "old");
    let run = get(&folder, ["--existing=skip", "-v"].iter().copied().chain(urls.iter().map(String::as_str)));
    let run = run.exited(0).says("kept a: it is there already\n").says("kept b: it is there already\n");
    let last = run.stderr.lines().last().unwrap();
    assert!(last.starts_with("Downloaded 1 file, 3 B in ") && last.ends_with(", 2 kept"), "{last}");
    let run = get(&folder, ["--existing", "skip", &urls[0]]).exited(0);
    assert_eq!(run.stderr, "Kept a: it is there already\n");
    assert_eq!(get(&folder, ["-q", "--existing", "skip", &urls[0]]).exited(0).stderr, "");
}

#[test]
fn failing_names_the_file_and_leaves_it() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("new"));
    get(&folder, ["--existing", "fail", &url]).exited(0);
    folder.write("file", "old");
    let run =
        get(&folder, ["--json", "--existing", "fail", "--mirror", &origin.url("/file"), &url]).exited(1);
    let error = &run.event("failed")["error"];
    assert_eq!((&error["kind"], &error["message"]), (&"write".into(), &"file is there already".into()));
    get(&folder, ["--existing", "fail", &url]).exited(1).says("file is there already");
    assert_eq!((origin.requests("/file"), folder.read("file")), (1, b"old".to_vec()));
}

#[test]
fn updating_keeps_what_is_as_new_as_the_servers_and_fetches_what_is_newer() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("one").modified(OLD));
    let update = ["--json", "--existing", "update", &url];
    get(&folder, update).exited(0).event("succeeded");
    let kept = get(&folder, update).exited(0).event("kept");
    assert_eq!((&kept["reason"], &kept["size"]), (&"not-modified".into(), &3.into()));
    assert_eq!(origin.journal()[1].header("if-modified-since"), Some(OLD));
    origin.on("/file", Reply::ok("two!").modified(NEW));
    get(&folder, update).exited(0).event("succeeded");
    assert_eq!(folder.read("file"), b"two!");
    get(&folder, ["-v", "--existing", "update", &url])
        .exited(0)
        .says("kept file: its server has nothing newer");
}

#[test]
fn verifying_keeps_what_agrees_and_replaces_what_does_not() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("right"));
    let sha = format!("sha256={}", digest("sha256", b"right"));
    let verify = ["--json", "--existing", "verify", "--digest", &sha, &url];
    folder.write("file", "wrong");
    get(&folder, verify).exited(0).event("succeeded");
    assert_eq!((folder.read("file"), origin.requests("/file")), (b"right".to_vec(), 1));
    let kept = get(&folder, verify).exited(0).event("kept");
    assert_eq!((&kept["reason"], &kept["size"]), (&"verified".into(), &5.into()));
    get(&folder, ["--json", "--existing", "verify", "--size", "5", &url]).exited(0).event("kept");
    assert_eq!(origin.requests("/file"), 1);
    get(&folder, ["--json", "--existing", "verify", &url]).exited(0).event("succeeded");
    get(&folder, ["--json", "--existing", "verify", "--size", "6", &url]).exited(1).event("failed");
    assert_eq!(folder.read("file"), b"right");
}

#[test]
fn each_file_of_a_list_is_looked_at_by_itself() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let mut list = String::new();
    for number in 0..20 {
        let url = origin.on(&format!("/{number}"), Reply::ok("content"));
        let text = if number % 2 == 0 { "content" } else { "other" };
        folder.write(format!("d/{number}"), text);
        list.push_str(&format!("{url} md5={}\n", digest("md5", b"content")));
    }
    folder.write("list", list);
    let run = get(&folder, ["--json", "--existing", "verify", "-i", "list", "-d", "d"]).exited(0);
    let summary = run.event("summary");
    assert_eq!((&summary["succeeded"], &summary["kept"]), (&10.into(), &10.into()));
    assert!((0..20).all(|number| folder.read(format!("d/{number}")) == b"content"));
    age(&folder, "d/0", 0);
    get(&folder, ["--existing", "verify", "-i", "list", "-d", "d"]).exited(0).says(", 20 kept");
}
