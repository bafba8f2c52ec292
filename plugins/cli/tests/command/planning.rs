//! Dry runs, and lists longer than memory.

use std::fmt::Write;

use ganymede_kit::{Folder, Origin, Reply};

use crate::ganymede::{command, digest, get, get_with_input};

#[test]
fn a_dry_run_lists_what_would_go_where_and_sends_nothing() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let [a, b] = ["/a", "/b%20b"].map(|path| origin.on(path, Reply::ok("content")));
    let md5 = digest("md5", b"");
    folder.write("list", format!("{b} size=7 md5={md5} mirror={a}\n{a} out=x/y\n"));
    let run = get(&folder, ["--dry-run", "-d", "d", "-i", "list", &a])
        .exited(0)
        .says("3 files would be downloaded");
    assert_eq!(run.text(), format!("{a} -> d/a\n{b} -> d/b b\n{a} -> d/x/y\n"));
    let run = get(&folder, ["--dry-run", "--json", "-i", "list"]).exited(0);
    let planned = run.events().remove(0);
    assert_eq!(
        planned,
        serde_json::json!({"event": "planned", "url": b, "path": "b b", "size": 7,
            "digests": {"md5": md5}, "mirrors": [a]})
    );
    let summary = run.event("summary");
    assert_eq!(
        (&summary["planned"], &summary["succeeded"], &summary["failed"]),
        (&2.into(), &0.into(), &0.into())
    );
    assert!(origin.journal().is_empty());
    assert_eq!(folder.entries(), ["list"]);
}

#[test]
fn a_dry_run_reads_on_after_bad_lines_and_names_them_all() {
    let folder = Folder::new();
    let list = "http://h/a\nbad one\nhttp://h/b\nhttp://h/b\ngopher://h/c\nhttp://h/d size=x\nhttp://h/e\n";
    let run = get_with_input(&folder, ["--dry-run", "-i", "-"], list)
        .exited(2)
        .says("line 2")
        .says("line 6")
        .says("b is already the file of another download")
        .says("no protocol for gopher")
        .says("3 files would be downloaded; 2 failed");
    assert_eq!(run.text(), "http://h/a -> a\nhttp://h/b -> b\nhttp://h/e -> e\n");
    get_with_input(&folder, ["--dry-run", "-i", "-"], "http://h/b\nhttp://h/b\n").exited(1);
}

#[test]
fn the_memory_of_a_run_does_not_grow_with_its_list_but_by_the_hashes_of_its_paths() {
    let folder = Folder::new();
    let mut list = String::new();
    for number in 0..200_000 {
        writeln!(list, "http://example.com/some/folder/of/the/list/file-{number}.tar.gz size={number}")
            .unwrap();
    }
    folder.write("list", list);
    let mut run = command(&folder);
    let child = run.args(["get", "--dry-run", "-i", "list", "http://example.com/first"]).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watching = std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(now) = std::fs::read_to_string(&status).ok().and_then(|text| high_water(&text)) {
            peak = now;
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        peak
    });
    let run = crate::ganymede::finish(child).exited(0).says("200001 files");
    assert_eq!(run.text().lines().count(), 200_001);
    let peak = watching.join().unwrap();
    assert!(peak > 0 && peak < 40 << 10, "{peak} KiB");
}

/// The peak of the memory of a process, in KiB, while it has not ended.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
