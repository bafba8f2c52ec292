//! Digests and sizes.

use ganymede_kit::{Folder, Origin, Reply, pattern};

use crate::ganymede::{digest, get};

#[test]
fn every_algorithm_is_checked_and_reported() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(300_000));
    let url = origin.on("/file", Reply::ok(bytes.clone()));
    for name in ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] {
        let good = digest(name, &bytes);
        let run = get(&folder, ["--json", "--digest", &format!("{name}={good}"), &url]).exited(0);
        assert_eq!(run.event("succeeded")["digests"][name], good);
        assert_eq!(run.event("succeeded")["digests"]["sha256"], digest("sha256", &bytes));
        std::fs::remove_file(folder.file("file")).unwrap();
        let bad = format!("{name}={}", digest(name, b"other"));
        let run = get(&folder, ["--json", "--digest", &bad, &url]).exited(1);
        let error = &run.event("failed")["error"];
        assert_eq!(error["kind"], "digest-mismatch");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&good) && message.contains(&digest(name, b"other")), "{message}");
        assert!(folder.entries().is_empty());
    }
}

#[test]
fn a_wrong_size_fails_and_an_excess_is_not_received_to_its_end() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("seven b"));
    get(&folder, ["--size", "7", &url]).exited(0);
    std::fs::remove_file(folder.file("file")).unwrap();
    get(&folder, ["--size", "8", &url])
        .exited(1)
        .says("the size is 7 bytes, expected 8")
        .says("nothing was stored");
    let endless = origin.on("/endless", Reply::generated(1 << 40).chunked());
    let run = get(&folder, ["--json", "--size", "1M", &endless]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "size-mismatch");
    assert!(folder.entries().is_empty());
}

#[test]
fn a_mismatch_on_the_terminal_names_both_digests_and_what_to_do() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    let expected = digest("md5", b"other");
    get(&folder, ["--digest", &format!("md5:{expected}"), &url])
        .exited(1)
        .says(&format!("failed: {url}: the digest is md5:{}", digest("md5", b"content")))
        .says(&format!("expected md5:{expected}"))
        .says("nothing was stored");
}
