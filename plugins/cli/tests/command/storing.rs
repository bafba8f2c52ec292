//! Disks: full ones, and the power that fails.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use ganymede_kit::{Folder, Origin, Reply, pattern};

use crate::ganymede::{command, get};
use crate::interrupting::interrupt;

/// A run of the command whose folder `d` is a disk of its own, which vanishes with it.
struct SmallDisk {
    folder: Folder,
    run: Child,
}

impl SmallDisk {
    /// Starts the command on a disk of 4 MiB of which 3 MiB are taken; in the end, the file `d/1` is copied to `1`.
    fn start(arguments: &[&str]) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.file("d")).unwrap();
        let script = "mount -t tmpfs -o size=4m none d && head -c 3145728 /dev/zero >d/taken || exit 9\n\
            \"$0\" \"$@\"; status=$?; ls -A d >entries; cp d/1 1 2>/dev/null; exit $status";
        let ganymede = command(&folder).get_program().to_owned();
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let namespaces: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
        let mut shell = Command::new("unshare");
        shell
            .args(namespaces)
            .args(["sh", "-c", script])
            .arg(ganymede)
            .args(["get", "-d", "d"])
            .args(arguments);
        shell.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = shell.spawn().unwrap();
        Self { folder, run }
    }

    /// Makes room on it.
    fn make_room(&self) {
        // The disk is there for the processes of the run only.
        let root = format!("/proc/{}/root", self.run.id());
        fs::remove_file(format!("{root}{}/d/taken", self.folder.path().display())).unwrap();
    }

    /// What is on it in the end.
    fn entries(&self) -> Vec<String> {
        let entries = String::from_utf8(self.folder.read("entries")).unwrap();
        entries.lines().map(str::to_owned).collect()
    }
}

fn tagged(bytes: &[u8]) -> Reply {
    Reply::ok(bytes).etag("\"one\"").ranges()
}

#[test]
fn a_full_disk_is_a_failure_in_plain_words_and_what_was_received_is_kept() {
    let (origin, bytes) = (Origin::start(), pattern(2 << 20));
    let url = origin.on("/1", tagged(&bytes));
    let mut disk = SmallDisk::start(&[&url]);
    let mut text = String::new();
    disk.run.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(disk.run.wait().unwrap().code(), Some(1), "{text}");
    assert!(text.contains("cannot write d/1: the disk is full"), "{text}");
    assert!(text.contains("with --wait-for-space"), "{text}");
    assert!(text.contains("the same command goes on with it"), "{text}");
    assert!(disk.entries().contains(&".1.ganymede-part".to_owned()), "{:?}", disk.entries());
}

#[test]
fn downloads_wait_for_space_when_they_are_told_to_and_say_so_once() {
    let (origin, bytes) = (Origin::start(), pattern(1_500_000));
    let urls = ["/1", "/2"].map(|path| origin.on(path, tagged(&bytes)));
    let mut disk = SmallDisk::start(&["--json", "--wait-for-space", &urls[0], &urls[1]]);
    let mut stderr = BufReader::new(disk.run.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "no space is left in d: waiting for some\n");
    disk.make_room();
    let (mut rest, mut events) = (String::new(), String::new());
    stderr.read_to_string(&mut rest).unwrap();
    disk.run.stdout.take().unwrap().read_to_string(&mut events).unwrap();
    assert_eq!(disk.run.wait().unwrap().code(), Some(0), "{rest}{events}");
    assert_eq!(rest, "there is space in d again: going on\n");
    assert_eq!(events.matches("\"event\":\"succeeded\"").count(), 2, "{events}");
    assert_eq!((disk.entries(), disk.folder.read("1")), (vec!["1".to_owned(), "2".to_owned()], bytes));
    // What was written before the disk was full was not fetched again.
    let fetched: u64 = ["/1", "/2"].iter().map(|path| origin.sent_in_all(path)).sum();
    assert!(fetched < 2 * 1_500_000 + 2_000_000, "{fetched}");
}

#[test]
fn waiting_for_space_can_be_interrupted() {
    let (origin, bytes) = (Origin::start(), pattern(2 << 20));
    let url = origin.on("/1", tagged(&bytes));
    let mut disk = SmallDisk::start(&["--wait-for-space", &url]);
    let mut stderr = BufReader::new(disk.run.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "no space is left in d: waiting for some\n");
    // The shell's only child.
    let shell = disk.run.id();
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    interrupt(children.trim().parse().unwrap());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(disk.run.wait().unwrap().code(), Some(130));
    assert!(rest.starts_with("Interrupted: ") && rest.contains("What was received of 1 file ("), "{rest}");
}

#[test]
fn what_is_to_survive_a_power_cut_is_stored_like_everything_else() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls: Vec<String> = (0..30).map(|n| origin.on(&format!("/{n}"), Reply::ok(format!("{n}")))).collect();
    let options = ["--durable", "-d", "new/folder"].into_iter();
    get(&folder, options.chain(urls.iter().map(String::as_str))).exited(0).says("Downloaded 30 files");
    assert!((0..30).all(|n| folder.read(format!("new/folder/{n}")) == n.to_string().as_bytes()));
    assert_eq!(folder.entries().len(), 32);
}

#[test]
fn a_name_that_is_too_long_is_told_with_what_to_do() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    let name = "x".repeat(300);
    let run = get(&folder, ["-o", &name, &url]).exited(1);
    assert!(
        run.stderr.contains("the name is too long") && run.stderr.contains("choose a shorter name"),
        "{}",
        run.stderr
    );
    assert!(folder.entries().is_empty());
}
