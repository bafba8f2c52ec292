//! Runs that go on where an earlier one was interrupted.

use std::process::Child;

use ganymede_kit::{Folder, Origin, Received, Reply, pattern};

use crate::ganymede::{digest, get, start};
use crate::interrupting::{interrupted, kill};

const PART: &str = ".file.ganymede-part";
const NOTE: &str = ".file.ganymede-state";

/// A content of this length whose first reply stalls after so many bytes.
fn stalling(length: usize, after: u64) -> (Vec<u8>, [Reply; 2]) {
    let bytes = pattern(length);
    let whole = Reply::ok(bytes.clone()).etag("\"one\"").ranges();
    (bytes, [whole.clone().stall_after(after), whole])
}

/// Waits until so many bytes are in the partial file.
fn wait_stored(folder: &Folder, bytes: u64) {
    let stored = || folder.file(PART).metadata().is_ok_and(|there| there.len() >= bytes);
    ganymede_kit::wait_until("the bytes in the partial file", stored);
}

fn running(folder: &Folder, arguments: &[&str]) -> Child {
    start(folder, ["get"].iter().chain(arguments))
}

fn range(received: &Received) -> (Option<&str>, Option<&str>) {
    (received.header("range"), received.header("if-range"))
}

#[test]
fn an_interrupted_run_is_gone_on_with_by_the_same_command() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (bytes, replies) = stalling(1_000_000, 400_000);
    let url = origin.sequence("/file", replies);
    let child = running(&folder, &["--json", &url]);
    wait_stored(&folder, 400_000);
    let run = interrupted(child);
    let failed = run.event("failed");
    assert_eq!((&failed["error"]["kind"], &failed["partial"]), (&"cancelled".into(), &400_000.into()));
    assert_eq!(folder.entries(), [PART, NOTE]);
    let run = get(&folder, ["--json", &url]).exited(0);
    let event = run.event("succeeded");
    assert_eq!((&event["size"], &event["resumed"]), (&1_000_000.into(), &400_000.into()));
    assert_eq!(event["digests"]["sha256"], digest("sha256", &bytes));
    assert_eq!((folder.entries(), folder.read("file")), (vec!["file".to_owned()], bytes));
    let journal = origin.journal();
    assert_eq!(range(&journal[0]), (None, None));
    assert_eq!(range(&journal[1]), (Some("bytes=400000-"), Some("\"one\"")));
    assert_eq!(journal[1].sent, 600_000);
}

#[test]
fn people_are_told_that_they_can_go_on_and_how_much_of_it_was_there() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (bytes, replies) = stalling(1_000_000, 400_000);
    let url = origin.sequence("/file", replies);
    let other = origin.on("/other", Reply::ok(pattern(1000)).stall_after(500));
    let child = running(&folder, &[&url, &other]);
    wait_stored(&folder, 400_000);
    origin.wait_sent("/other", 500);
    let run = interrupted(child).says("; 2 given up");
    assert!(
        run.stderr.ends_with(
            ". What was received of 1 file (390.62 KiB) is kept: the same command goes on with it\n"
        ),
        "{}",
        run.stderr
    );
    // Nothing proves what the rest of the other one is, so nothing of it is kept.
    assert_eq!(folder.entries(), [PART, NOTE]);
    get(&folder, [&url]).exited(0).says("Stored file: 976.56 KiB in ").says(", 390.62 KiB of it earlier");
    assert_eq!(folder.read("file"), bytes);
}

#[test]
fn what_broke_off_for_good_can_be_gone_on_with_too() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let bytes = pattern(1_000_000);
    let whole = Reply::ok(bytes.clone()).etag("\"one\"").ranges();
    let url = origin.sequence("/file", [whole.clone().cut_after(300_000), whole]);
    get(&folder, ["--retries", "0", &url]).exited(1).says(
        "; 1 failed. What was received of 1 file (292.97 KiB) is kept: the same command goes on with it",
    );
    get(&folder, ["--retries", "0", &url]).exited(0);
    assert_eq!((origin.journal()[1].sent, folder.read("file")), (700_000, bytes));
}

#[test]
fn what_has_changed_meanwhile_is_downloaded_from_its_start() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (_, [stalls, _]) = stalling(1_000_000, 400_000);
    let url = origin.on("/file", stalls);
    let child = running(&folder, &[&url]);
    wait_stored(&folder, 400_000);
    interrupted(child);
    origin.on("/file", Reply::ok("something else").etag("\"two\"").ranges());
    let run = get(&folder, ["--json", &url]).exited(0);
    assert_eq!(run.event("succeeded")["resumed"], 0);
    assert_eq!(origin.journal()[1].header("if-range"), Some("\"one\""));
    assert_eq!(
        (folder.entries(), folder.read("file")),
        (vec!["file".to_owned()], b"something else".to_vec())
    );
}

#[test]
fn without_resuming_nothing_is_kept_and_each_attempt_starts_again() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (bytes, replies) = stalling(1_000_000, 400_000);
    let url = origin.sequence("/file", replies);
    let child = running(&folder, &["--no-resume", &url]);
    wait_stored(&folder, 400_000);
    interrupted(child).says("; 1 given up, of which nothing was stored");
    assert!(folder.entries().is_empty(), "{:?}", folder.entries());
    let whole = Reply::ok(bytes.clone()).etag("\"one\"").ranges();
    let cut = origin.sequence("/cut", [whole.clone().cut_after(500_000), whole]);
    get(&folder, ["--no-resume", "-o", "cut", &cut]).exited(0);
    assert_eq!(folder.read("cut"), bytes);
    assert!(origin.journal().iter().all(|received| range(received) == (None, None)));
}

#[test]
fn what_was_kept_is_passed_over_and_removed_when_nothing_is_to_be_gone_on_with() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (bytes, replies) = stalling(1_000_000, 400_000);
    let url = origin.sequence("/file", replies);
    let child = running(&folder, &[&url]);
    wait_stored(&folder, 400_000);
    interrupted(child);
    get(&folder, ["--no-resume", &url]).exited(0);
    assert_eq!((folder.entries(), folder.read("file")), (vec!["file".to_owned()], bytes));
    assert_eq!(range(&origin.journal()[1]), (None, None));
}

#[test]
fn a_run_that_was_killed_is_gone_on_with_wherever_it_was() {
    for after in [0, 1, 100_000, 1_000_000, 2_999_999] {
        let (folder, origin) = (Folder::new(), Origin::start());
        let (bytes, replies) = stalling(3_000_000, after);
        let url = origin.sequence("/file", replies);
        let child = running(&folder, &[&url]);
        origin.wait_requests(1);
        wait_stored(&folder, after);
        kill(child);
        assert!(!folder.file("file").exists(), "{after}");
        let run = get(&folder, ["--json", &url]).exited(0);
        assert_eq!((folder.entries(), folder.read("file")), (vec!["file".to_owned()], bytes), "{after}");
        let event = run.event("succeeded");
        let (resumed, sent) = (event["resumed"].as_u64().unwrap(), origin.journal()[1].sent);
        assert_eq!(resumed + sent, 3_000_000, "{after}");
        // A note is first made after 256 KiB, and the last byte is always asked for.
        let least = if after >= 1_000_000 { after - 1 } else { 0 };
        assert!(resumed >= least, "{resumed} of {after}");
    }
}

#[test]
fn a_second_process_does_not_write_the_same_file() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (_, replies) = stalling(1_000_000, 400_000);
    let url = origin.sequence("/file", replies);
    let child = running(&folder, &["--json", &url]);
    wait_stored(&folder, 400_000);
    let run = get(&folder, ["--json", &url]).exited(1);
    let failed = run.event("failed");
    assert_eq!((&failed["error"]["kind"], &failed["partial"]), (&"write".into(), &0.into()));
    assert_eq!(folder.file(PART).metadata().unwrap().len(), 400_000);
    get(&folder, [&url])
        .exited(1)
        .says("another download is writing it")
        .says("wait until the other download");
    assert_eq!(interrupted(child).event("failed")["partial"], 400_000);
    get(&folder, [&url]).exited(0);
}

#[test]
fn a_kept_part_of_a_list_is_gone_on_with_beside_the_others() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (bytes, replies) = stalling(1_000_000, 400_000);
    let url = origin.sequence("/file", replies);
    let small = origin.on("/small", Reply::ok("small"));
    folder.write("list", format!("{small}\n{url}\n"));
    let child = running(&folder, &["--json", "-i", "list"]);
    wait_stored(&folder, 400_000);
    ganymede_kit::wait_until("the small file", || folder.file("small").exists());
    let summary = interrupted(child).event("summary");
    assert_eq!(
        (&summary["succeeded"], &summary["failed"], &summary["kept"]),
        (&1.into(), &1.into(), &0.into())
    );
    let run = get(&folder, ["--json", "-i", "list", "--existing", "skip"]).exited(0);
    assert_eq!(run.event("kept")["url"], small.as_str());
    assert_eq!(run.event("succeeded")["resumed"], 400_000);
    assert_eq!(
        (folder.entries(), folder.read("file")),
        (vec!["file".into(), "list".into(), "small".into()], bytes)
    );
}
