//! Where files go, and what they are called.

use std::io::Read;
use std::process::Stdio;

use ganymede_kit::{Folder, Origin, Reply, pattern};

use crate::ganymede::{command, finish, get};

#[test]
fn a_file_is_stored_byte_for_byte_under_the_name_in_its_url() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(3_000_000));
    let url = origin.on("/a/b%20c.iso", Reply::ok(bytes.clone()).modified("Sun, 06 Nov 1994 08:49:37 GMT"));
    get(&folder, [format!("{url}?x=1/2")]).exited(0).says("Stored b c.iso: 2.86 MiB");
    assert_eq!(folder.entries(), ["b c.iso"]);
    assert_eq!(folder.read("b c.iso"), bytes);
    let modified = folder.file("b c.iso").metadata().unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 784_111_777);
    assert_eq!(origin.journal()[0].target, "/a/b%20c.iso?x=1/2");
}

#[test]
fn a_url_without_a_name_becomes_index_html() {
    let (folder, origin) = (Folder::new(), Origin::start());
    get(&folder, [origin.on("/", Reply::ok("home"))]).exited(0);
    assert_eq!(folder.entries(), ["index.html"]);
    assert_eq!(folder.read("index.html"), b"home");
}

#[test]
fn a_name_in_a_url_leads_to_no_other_folder_and_hides_nothing() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls = ["/..%2F..%2Fescaped", "/.hidden", "/a%1B%5Bb"].map(|path| origin.on(path, Reply::ok("x")));
    let inner = folder.file("inner");
    std::fs::create_dir(&inner).unwrap();
    let mut run = command(&folder);
    finish(run.current_dir(&inner).arg("get").args(urls).spawn().unwrap()).exited(0);
    assert_eq!(folder.entries(), ["inner/", "inner/_._.._escaped", "inner/_hidden", "inner/a_[b"]);
}

#[test]
fn output_names_the_file_and_dir_the_folder_both_made_on_the_way() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (a, b) = (origin.on("/a", Reply::ok("one")), origin.on("/b", Reply::ok("two")));
    get(&folder, ["-o", "x/y/z", &a]).exited(0).says("Stored x/y/z");
    get(&folder, ["-d", "d/e", &a, &b]).exited(0).says("Downloaded 2 files, 6 B");
    assert_eq!(folder.entries(), ["d/", "d/e/", "d/e/a", "d/e/b", "x/", "x/y/", "x/y/z"]);
    assert_eq!((folder.read("x/y/z"), folder.read("d/e/b")), (b"one".to_vec(), b"two".to_vec()));
}

#[test]
fn standard_output_gets_the_bytes_and_nothing_else() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(1_000_000));
    let url = origin.on("/file", Reply::ok(bytes.clone()));
    let run = get(&folder, ["-o", "-", "-v", &url]).exited(0).says("stored standard output: 1000000 bytes");
    assert_eq!(run.stdout, bytes);
    let run = get(&folder, ["-o", "-", "--json", &url]).exited(0);
    assert_eq!(run.stdout, bytes);
    let first: serde_json::Value = serde_json::from_str(run.stderr.lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["path"]), (&"succeeded".into(), &serde_json::Value::Null));
    assert_eq!(run.stderr.lines().count(), 2);
    assert!(folder.entries().is_empty());
}

#[test]
fn what_fails_on_the_way_to_standard_output_is_a_failure() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("wrong"));
    let run = get(&folder, ["-o", "-", "--size", "7", &url]).exited(1).says("expected 7");
    assert!(run.stdout.is_empty());
    let run = get(&folder, ["-o", "-", &origin.url("/absent")]).exited(1).says("404");
    assert!(run.stdout.is_empty());
}

#[test]
fn who_reads_only_the_beginning_of_standard_output_ends_it_quietly() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::generated(1 << 30));
    let mut run = command(&folder);
    let mut child = run.args(["get", "-o", "-", &url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 1000];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert_eq!(start, *pattern(1000));
    let run = finish(child).exited(1);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_file_of_this_machine_is_downloaded_too() {
    let folder = Folder::new();
    let path = folder.write("from", "here");
    get(&folder, ["-o", "to", &format!("file://{}", path.display())]).exited(0);
    assert_eq!(folder.read("to"), b"here");
    get(&folder, ["-o", "to2", &format!("file://{}-not", path.display())]).exited(1).says("No such file");
}

#[test]
fn an_older_file_stays_until_the_new_one_is_complete() {
    let (folder, origin) = (Folder::new(), Origin::start());
    folder.write("file", "old");
    let url = origin.on("/file", Reply::ok("new content").cut_after(5));
    get(&folder, ["--retries", "0", &url]).exited(1);
    assert_eq!((folder.entries(), folder.read("file")), (vec!["file".to_owned()], b"old".to_vec()));
    origin.on("/file", Reply::ok("new content"));
    get(&folder, [url]).exited(0);
    assert_eq!(folder.read("file"), b"new content");
}

#[test]
fn what_cannot_be_written_is_told_and_does_not_stop_the_rest() {
    let (folder, origin) = (Folder::new(), Origin::start());
    folder.write("d/a/in-the-way", "");
    let urls = ["/a", "/b"].map(|path| origin.on(path, Reply::ok("x")));
    let run = get(&folder, ["--json", "-d", "d", &urls[0], &urls[1]]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "write");
    assert_eq!(folder.read("d/b"), b"x");
}
