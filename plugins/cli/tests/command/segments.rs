//! One file over several connections.

use std::time::Duration;

use ganymede_kit::{Folder, Origin, Reply, pattern};

use crate::ganymede::{digest, get};

const SIZE: usize = 5 << 20;

fn tagged() -> Reply {
    Reply::ok(pattern(SIZE)).etag("\"one\"").ranges()
}

/// The ranges that a server was asked for.
fn ranges(origin: &Origin) -> Vec<String> {
    let journal = origin.journal();
    journal.iter().filter_map(|received| received.header("range").map(str::to_owned)).collect()
}

#[test]
fn a_file_is_fetched_over_as_many_connections_as_were_said() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", tagged().drip(64 << 10, Duration::from_millis(2)));
    get(&folder, ["--segments", "4", &url]).exited(0);
    assert!(folder.read("file") == pattern(SIZE));
    assert_eq!((origin.peak(), ranges(&origin).len()), (4, origin.journal().len()));
    assert_eq!(folder.entries(), ["file"]);
}

#[test]
fn it_is_fetched_from_its_mirrors_too_whatever_else_is_asked_of_it() {
    let expected = format!("sha256={}", digest("sha256", &pattern(SIZE)));
    for options in [&["-o", "-"][..], &["--remote-name"], &["--existing", "verify"]] {
        let (folder, one, two) = (Folder::new(), Origin::start(), Origin::start());
        let slow = |reply: Reply| reply.drip(64 << 10, Duration::from_millis(2));
        let url = one.on("/file", slow(tagged()));
        // Another tag: the digest is what counts.
        let mirror = two.on("/copy", slow(tagged().etag("\"two\"")));
        let common = ["--segments", "4", "--mirror", &mirror, "--digest", &expected, &url];
        let run = get(&folder, common.iter().copied().chain(options.iter().copied())).exited(0);
        let content = if options[0] == "-o" { run.stdout } else { folder.read("file") };
        assert!(content == pattern(SIZE), "{options:?}");
        assert!(ranges(&one).len() > 1 && ranges(&two).len() > 1, "{options:?}");
    }
}

#[test]
fn with_one_segment_or_a_file_that_comes_at_once_there_is_one_request() {
    for options in [&["--segments", "1"][..], &["--segments", "auto"], &[]] {
        let (folder, origin) = (Folder::new(), Origin::start());
        let url = origin.on("/file", tagged());
        get(&folder, options.iter().copied().chain([url.as_str()])).exited(0);
        assert!(folder.read("file") == pattern(SIZE));
        assert_eq!((origin.journal().len(), ranges(&origin).len()), (1, 0), "{options:?}");
    }
}

#[test]
fn a_large_file_that_comes_slowly_gets_more_connections_by_itself() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let size = 20 << 20;
    let slow = Reply::ok(pattern(size)).etag("\"one\"").ranges().drip(64 << 10, Duration::from_millis(20));
    let url = origin.on("/file", slow);
    get(&folder, [&url]).exited(0);
    assert!(folder.read("file") == pattern(size));
    assert!((2..=8).contains(&origin.peak()), "{}", origin.peak());
}

#[test]
fn what_is_no_number_of_segments_is_refused() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", tagged());
    for value in ["0", "65", "-1", "many", "", "4.5", "AUTO"] {
        get(&folder, [&format!("--segments={value}"), &url]).exited(2).says("--segments");
    }
    assert!(origin.journal().is_empty() && folder.entries().is_empty());
}
