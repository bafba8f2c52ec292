//! What is fetched before anybody asks for it.

use std::io::Write;
use std::process::Stdio;

use ganymede_kit::{Folder, Origin, Reply, pattern};

use super::{Serving, listed};
use crate::ganymede::command;

fn origin() -> Origin {
    let origin = Origin::start();
    for name in ["/1", "/2", "/a/3%20+"] {
        origin.on(name, Reply::ok(pattern(100_000)).header("Cache-Control", "max-age=1000"));
    }
    origin
}

#[test]
fn immediately_is_before_anybody_asks() {
    let (folder, origin) = (Folder::new(), origin());
    let list: String = ["1", "2", "a/3 +"].map(|name| listed(name, &pattern(100_000))).concat();
    folder.write("SUMS", list);
    let arguments = ["--digests", "SUMS", "--policy", "immediate"];
    let serving = Serving::keeping(&folder, &origin, &arguments);
    serving.wait_said("Prefetched: all 3 files are there\n");
    assert_eq!(origin.journal().len(), 3);
    for name in ["/1", "/2", "/a/3%20+"] {
        assert!(serving.get(name).is_whole(&pattern(100_000)).is_hit(), "{name}");
    }
    serving.end();
    let serving = Serving::keeping(&folder, &origin, &arguments);
    serving.wait_said("Prefetched: all 3 files are there\n");
    assert_eq!(origin.journal().len(), 3);
}

#[test]
fn a_list_says_what_is_fetched_and_the_log_what_failed() {
    let (folder, origin) = (Folder::new(), origin());
    folder.write("list", "# a comment\n\n1\n/2\r\na/3 +\nnone\n");
    let serving = Serving::keeping(&folder, &origin, &["--prefetch", "list", "--prefetch-at-once", "1"]);
    serving.wait_said("Prefetched: 3 files are there, 1 are not: see the access log for why\n");
    serving.wait_printed("\"GET /none\" 404 ");
    assert!(serving.get("/a/3%20+").is_whole(&pattern(100_000)).is_hit());
    assert_eq!((origin.journal().len(), origin.peak()), (4, 1));
}

#[test]
fn a_list_may_come_from_another_program() {
    let (folder, origin) = (Folder::new(), origin());
    let mut command = command(&folder);
    command.args(["stream", "--listen", "127.0.0.1:0", "--remote", &origin.url("/"), "--cache", "cache"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.args(["--prefetch", "-"]).stdin(Stdio::from(reader));
    writer.write_all(b"1\n2\n").unwrap();
    drop(writer);
    let serving = Serving::run(command, 1);
    serving.wait_said("Prefetched: all 2 files are there\n");
    assert_eq!((origin.requests("/1"), origin.requests("/2")), (1, 1));
}
