//! Metalinks: files of them, and what servers say in headers.

use std::path::Path;

use ganymede::Algorithm;
use ganymede_kit::{Folder, Origin, Reply, pattern};
use ganymede_metalink::PieceDigests;

use crate::ganymede::{digest, get};

const PIECE: usize = 64 << 10;

fn metalink(files: &str) -> String {
    format!("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">{files}</metalink>")
}

/// The elements that say what a content is.
fn described(content: &[u8]) -> String {
    let digests = PieceDigests::of(content, PIECE as u64, Algorithm::Sha256).unwrap();
    let hashes: String = (0..digests.count())
        .map(|piece| format!("<hash>{}</hash>", digests.digest(piece).unwrap().hex()))
        .collect();
    format!(
        "<size>{}</size><hash type=\"sha-256\">{}</hash>\
         <pieces length=\"{PIECE}\" type=\"sha-256\">{hashes}</pieces>",
        content.len(),
        digest("sha256", content)
    )
}

fn damaged(content: &[u8], piece: usize) -> Vec<u8> {
    let mut content = content.to_vec();
    content[piece * PIECE] ^= 1;
    content
}

fn ranges(origin: &Origin, path: &str) -> Vec<String> {
    let journal = origin.journal();
    let asked = journal.iter().filter(|received| received.method == "GET" && received.path() == path);
    asked.map(|received| received.header("range").unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_files_of_metalinks_are_downloaded_like_those_of_a_list() {
    let (folder, origin, mirror) = (Folder::new(), Origin::start(), Origin::start());
    let content = pattern(5 * PIECE + 9);
    let first = origin.on("/one", Reply::ok(damaged(&content, 2)).ranges());
    let second = mirror.on("/one", Reply::ok(content.clone()).ranges());
    let two = origin.on("/two", Reply::ok("two"));
    let three = origin.on("/three", Reply::ok("three"));
    let one = format!("<url priority=\"1\">{first}</url><url priority=\"2\">{second}</url>");
    folder.write(
        "here.meta4",
        metalink(&format!(
            "<file name=\"images/one\">{}{one}</file><file name=\"two\"><url>{two}</url></file>",
            described(&content)
        )),
    );
    let there = origin.on(
        "/there.metalink",
        Reply::ok(format!(
            "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"><files><file name=\"deep/er/three\">\
             <resources><url type=\"http\">{three}</url></resources></file></files></metalink>"
        )),
    );
    let run = get(
        &folder,
        ["--json", "--stats", "-d", "out", "-j", "2", "--metalink", "here.meta4", "--metalink", &there],
    )
    .exited(0);
    assert!(folder.read("out/images/one") == content);
    assert_eq!(
        (folder.read("out/two"), folder.read("out/deep/er/three")),
        (b"two".to_vec(), b"three".to_vec())
    );
    let summary = run.event("summary");
    assert_eq!((&summary["succeeded"], &summary["failed"]), (&3.into(), &0.into()));
    let range = format!("bytes={}-{}", 2 * PIECE, 3 * PIECE - 1);
    assert_eq!((ranges(&origin, "/one"), ranges(&mirror, "/one")), (vec![String::new()], vec![range]));
    assert!(folder.entries().iter().all(|name| !name.contains(".ganymede")));
}

#[test]
fn a_dry_run_tells_what_a_metalink_leads_to() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let urls = ["http://h/a", "http://h/b"];
    let files: String = ["a", "x/b"]
        .iter()
        .zip(urls)
        .map(|(name, url)| format!("<file name=\"{name}\"><url>{url}</url></file>"))
        .collect();
    folder.write("here.meta4", metalink(&files));
    let run = get(&folder, ["--dry-run", "-d", "out", "--metalink", "here.meta4"]).exited(0);
    assert_eq!(run.text(), "http://h/a -> out/a\nhttp://h/b -> out/x/b\n");
    let there = origin.on("/there.meta4", Reply::ok(metalink(&files)));
    let run = get(&folder, ["--dry-run", "--metalink", &there]).exited(0);
    assert_eq!(run.text(), "http://h/a -> a\nhttp://h/b -> x/b\n");
    assert_eq!(folder.entries(), ["here.meta4"]);
}

#[test]
fn what_a_metalink_expects_is_enforced() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    for (expected, kind) in [
        ("<size>8</size>".to_owned(), "size-mismatch"),
        (format!("<hash type=\"sha-256\">{}</hash>", digest("sha256", b"other")), "digest-mismatch"),
        (described(b"contest"), "digest-mismatch"),
    ] {
        folder.write("a.meta4", metalink(&format!("<file name=\"a\">{expected}<url>{url}</url></file>")));
        let run = get(&folder, ["--json", "--retries", "0", "--metalink", "a.meta4"]).exited(1);
        assert_eq!(run.event("failed")["error"]["kind"], kind, "{expected}");
    }
    assert_eq!(folder.entries(), ["a.meta4"]);
}

#[test]
fn a_file_that_is_there_already_and_right_is_kept() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    let files = format!("<file name=\"d/a\">{}<url>{url}</url></file>", described(b"content"));
    folder.write("a.meta4", metalink(&files));
    folder.write("d/a", "content");
    get(&folder, ["--existing", "verify", "--metalink", "a.meta4"]).exited(0);
    assert!(origin.journal().is_empty());
    folder.write("d/a", "contest");
    get(&folder, ["--existing", "verify", "--metalink", "a.meta4"]).exited(0);
    assert_eq!(folder.read("d/a"), b"content");
}

#[test]
fn what_was_interrupted_goes_on_and_mirrors_of_the_preferred_country_come_first() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let content = pattern(4 * PIECE);
    let far = origin.on("/far", Reply::ok("wrong"));
    let cut = Reply::ok(content.clone()).ranges().cut_after(2 * PIECE as u64 + 1);
    let near = origin.sequence("/near", [cut, Reply::error(404)]);
    let urls = format!(
        "<url priority=\"1\" location=\"us\">{far}</url><url priority=\"2\" location=\"de\">{near}</url>"
    );
    folder.write("a.meta4", metalink(&format!("<file name=\"a\">{}{urls}</file>", described(&content))));
    let arguments = ["--location", "DE", "--retries", "0", "--metalink", "a.meta4"];
    get(&folder, arguments).exited(1);
    origin.on("/near", Reply::ok(content.clone()).ranges());
    get(&folder, arguments).exited(0);
    assert!(folder.read("a") == content);
    assert_eq!(ranges(&origin, "/near"), ["".to_owned(), format!("bytes={}-", 2 * PIECE)]);
}

#[test]
fn bad_metalinks_are_found_before_anything_is_sent() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    let file = |inside: &str| metalink(&format!("<file name=\"a\">{inside}</file>"));
    for (name, text, said) in [
        ("text", "no XML at all".to_owned(), "text: line 1, byte 0: it is no Metalink"),
        ("empty", String::new(), "empty: line 1, byte 0: it is no Metalink"),
        ("page", "<html></html>".to_owned(), "page: line 1, byte 0: it is no Metalink"),
        (
            "old",
            "<metalink version=\"2.0\"></metalink>".to_owned(),
            "the version \"2.0\" of Metalink is not known",
        ),
        ("out", metalink("<file name=\"../a\"/>"), "leads to another folder"),
        ("root", metalink("<file name=\"/etc/passwd\"/>"), "begins with /"),
        ("twice", metalink("<file name=\"a\"/><file name=\"a\"/>"), "two files have the name"),
        ("none", file(""), "none: a: the Metalink gives no URL of it"),
        ("odd", file("<url>gopher://h/a</url>"), "none of its 1 URLs can be fetched"),
        ("digest", file(&format!("<hash type=\"tiger\">00</hash><url>{url}</url>")), "tiger"),
    ] {
        folder.write(name, text);
        let run = get(&folder, ["--metalink", name, &url]).exited(2).says(said).says("--metalink ");
        assert!(run.stderr.starts_with("error: ") && run.text().is_empty(), "{}", run.stderr);
        std::fs::remove_file(folder.file(name)).unwrap();
    }
    folder.write("a.meta4", file(&format!("<url>{url}</url>")));
    for (arguments, said) in [
        (&["--metalink", "absent"][..], "cannot read absent"),
        (&["--metalink", "."], "directory"),
        (&["--metalink", "gopher://h/a"], "no protocol for gopher"),
        (&["--metalink", "http://"], "--metalink \"http://\" is not a URL"),
        (&["--metalink", "a.meta4", "-o", "b"], "--output b"),
        (&["--metalink", "a.meta4", "--size", "7"], "--size 7"),
        (&["--metalink", "a.meta4", "--mirror", &url], "--mirror"),
        (&["--location", "Germany"], "two letters"),
    ] {
        get(&folder, arguments.iter().copied()).exited(2).says(said);
    }
    assert!(origin.journal().is_empty());
    assert_eq!(folder.entries(), ["a.meta4"]);
}

#[test]
fn a_metalink_that_cannot_be_fetched_fails_and_the_others_go_on() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    let good = origin.on("/good", Reply::ok(metalink(&format!("<file name=\"a\"><url>{url}</url></file>"))));
    let absent = origin.url("/absent");
    let run = get(&folder, ["--json", "--metalink", &absent, "--metalink", &good]).exited(1);
    let failed = run.event("failed");
    assert_eq!((&failed["url"], &failed["error"]["kind"]), (&absent.as_str().into(), &"not-found".into()));
    assert_eq!(folder.read("a"), b"content");
    let page = origin.on("/page", Reply::ok("<html/>"));
    let out = origin.on("/out", Reply::ok(metalink("<file name=\"../a\"/>")));
    let none = origin.on("/none", Reply::ok(metalink("<file name=\"b\"/>")));
    let urls = ["--metalink", &page, "--metalink", &out, "--metalink", &none, "--metalink", &good];
    let run = get(&folder, urls).exited(1).says("is no Metalink: line 1").says("leads to another folder");
    run.says("b: the Metalink gives no URL of it").says("1 file");
    get(&folder, urls.into_iter().chain(["--dry-run"])).exited(1).says("is no Metalink");
    assert_eq!(folder.entries(), ["a"]);
}

#[test]
fn credentials_are_not_sent_where_a_metalink_leads() {
    let (folder, home, other) = (Folder::new(), Origin::start(), Origin::start());
    let file = other.on("/file", Reply::ok("content"));
    let text = metalink(&format!("<file name=\"a\"><url>{file}</url></file>"));
    folder.write("here.meta4", &text);
    let there = home.on("/there.meta4", Reply::ok(text).require_basic("amy", "s3cr3t"));
    for name in ["here.meta4", &there] {
        get(&folder, ["--user", "amy:s3cr3t", "-H", "X-Account: 7", "--metalink", name]).exited(0);
    }
    assert_eq!(other.requests("/file"), 2);
    for received in other.journal() {
        assert!(received.header("authorization").is_none() && received.header("x-account").is_none());
    }
}

#[test]
fn servers_are_asked_for_mirrors_and_digests_when_that_is_wanted() {
    let (folder, origin, mirror) = (Folder::new(), Origin::start(), Origin::start());
    let content = pattern(3 * PIECE);
    let copy = mirror.on("/copy", Reply::ok(content.clone()).ranges());
    let describing = metalink(&format!("<file name=\"file\">{}</file>", described(&content)));
    origin.on("/file.meta4", Reply::ok(describing));
    let links = format!(
        "<{copy}>; rel=duplicate; pri=1, </file.meta4>; rel=describedby; type=\"application/metalink4+xml\""
    );
    let url = origin.on("/file", Reply::ok(damaged(&content, 1)).ranges().header("Link", links));
    get(&folder, ["-o", "plain", &url]).exited(0);
    assert!(folder.read("plain") == damaged(&content, 1), "nobody has asked");
    assert!(mirror.journal().is_empty() && origin.requests("/file.meta4") == 0);
    get(&folder, ["-o", "checked", "--discover-mirrors", &url]).exited(0);
    assert!(folder.read("checked") == content);
    assert_eq!(ranges(&mirror, "/copy"), [format!("bytes={PIECE}-{}", 2 * PIECE - 1)]);
}

#[test]
fn the_example_of_the_documentation_is_a_metalink() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../metalink/docs/example.meta4");
    let folder = Folder::new();
    let run = get(&folder, ["--dry-run", "--metalink", example.to_str().unwrap()]).exited(0);
    assert_eq!(
        run.text(),
        "https://example.com/images/hello.txt -> images/hello.txt\nhttps://example.com/images/SUMS -> images/SUMS\n"
    );
}
