//! FTP, like any other URL.

use std::process::Child;

use ganymede_kit::{Authority, Folder, FtpFile, FtpOrigin, Origin, Reply, pattern, wait_until};

use crate::ganymede::{digest, get, start};
use crate::interrupting::interrupted;

fn sha256(bytes: &[u8]) -> String {
    format!("sha256={}", digest("sha256", bytes))
}

#[test]
fn a_file_is_fetched_and_checked() {
    let (folder, origin, bytes) = (Folder::new(), FtpOrigin::start(), pattern(100_000));
    origin.on("pub/a file", FtpFile::new(&bytes));
    let url = origin.url("/pub/a%20file");
    let run = get(&folder, ["--json", "--stats", "--digest", &sha256(&bytes), &url]).exited(0);
    let event = run.event("succeeded");
    assert_eq!((&event["url"], &event["size"]), (&url.as_str().into(), &100_000.into()));
    assert_eq!(run.event("summary")["stats"]["hosts"].as_array().map(Vec::len), Some(1));
    assert_eq!(folder.read("a file"), bytes);
    get(&folder, ["-o", "other", "--digest", &sha256(b"another"), &url]).exited(1);
    assert_eq!(folder.entries(), ["a file"]);
}

#[test]
fn a_dry_run_sends_nothing() {
    let (folder, origin) = (Folder::new(), FtpOrigin::start());
    let run = get(&folder, ["--dry-run", &origin.url("/pub/file")]).exited(0);
    assert_eq!(run.text(), format!("{} -> file\n", origin.url("/pub/file")));
    assert_eq!((origin.connections(), folder.entries().len()), (0, 0));
}

#[test]
fn an_interrupted_run_is_gone_on_with_by_the_same_command() {
    let (folder, origin, bytes) = (Folder::new(), FtpOrigin::start(), pattern(1_000_000));
    let file = FtpFile::new(&bytes);
    let url = origin.sequence("file", [file.clone().stall_after(400_000), file]);
    let child: Child = start(&folder, ["get", "--json", &url]);
    let part = folder.file(".file.ganymede-part");
    wait_until("the bytes in the partial file", || part.metadata().is_ok_and(|there| there.len() >= 400_000));
    interrupted(child);
    let run = get(&folder, ["--json", &url]).exited(0);
    let event = run.event("succeeded");
    assert_eq!((&event["size"], &event["resumed"]), (&1_000_000.into(), &400_000.into()));
    assert!(folder.read("file") == bytes);
    assert!(origin.commands().contains(&"REST 400000".to_owned()));
}

#[test]
fn a_mirror_over_http_goes_on_where_ftp_stopped() {
    let (folder, ftp, http, bytes) = (Folder::new(), FtpOrigin::start(), Origin::start(), pattern(1_000_000));
    let url = ftp.on("file", FtpFile::new(&bytes).cut_after(400_000));
    let mirror = http.on("/file", Reply::ok(bytes.clone()).etag("\"one\"").ranges());
    let run = get(
        &folder,
        [
            "--json",
            "--segments",
            "1",
            "--retries",
            "0",
            "--digest",
            &sha256(&bytes),
            "--mirror",
            &mirror,
            &url,
        ],
    )
    .exited(0);
    assert_eq!(run.event("succeeded")["source"], mirror);
    assert_eq!(folder.read("file"), bytes);
    assert_eq!(http.journal()[0].header("range"), Some("bytes=400000-"));
}

#[test]
fn names_and_passwords_come_from_the_command_line_or_a_file() {
    let (folder, origin) = (Folder::new(), FtpOrigin::start());
    let url = origin.on("file", FtpFile::new("content"));
    origin.require("amy", "s3cr3t");
    folder.write("password", "s3cr3t\n");
    folder.write(".netrc", "machine 127.0.0.1 login amy password s3cr3t\n");
    get(&folder, ["-o", "1", "--user", "amy:s3cr3t", &url]).exited(0);
    get(&folder, ["-o", "2", "--user", "amy", "--password-file", "password", &url]).exited(0);
    get(&folder, ["-o", "3", "--netrc", &url]).exited(0);
    get(&folder, ["-o", "4", &url.replace("//", "//amy:s3cr3t@")]).exited(0);
    for name in ["1", "2", "3", "4"] {
        assert_eq!(folder.read(name), b"content");
    }
    let run = get(&folder, ["-vv", "--json", "-o", "5", "--user", "amy:wr0ng", &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "unauthorized");
    assert!(!run.stderr.contains("wr0ng") && !run.text().contains("wr0ng"), "{}", run.stderr);
}

#[test]
fn secure_servers_are_trusted_as_over_https() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let identity = authority.server(&["127.0.0.1"]);
    authority.write_to(folder.path(), "ca");
    for origin in [FtpOrigin::explicit(&identity), FtpOrigin::implicit(&identity)] {
        let url = origin.on("file", FtpFile::new("content"));
        get(&folder, ["--ca-certificate", "ca.pem", &url]).exited(0);
        get(&folder, ["--insecure", &url]).exited(0);
        let run = get(&folder, ["--json", &url]).exited(1);
        assert_eq!(run.event("failed")["error"]["kind"], "tls");
        assert_eq!(folder.read("file"), b"content");
    }
}

#[test]
fn what_is_not_public_and_what_would_pass_a_proxy_is_refused() {
    let (folder, origin) = (Folder::new(), FtpOrigin::start());
    let url = origin.on("file", FtpFile::new("content"));
    let run = get(&folder, ["--json", "--public-only", &url]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "forbidden");
    get(&folder, ["--proxy", "http://127.0.0.1:9/", &url]).exited(1).says("FTP goes through no proxy");
    assert_eq!(origin.connections(), 0);
    get(&folder, ["--proxy", "none", &url]).exited(0);
}

#[test]
fn a_folder_and_a_missing_file_are_told_apart() {
    let (folder, origin) = (Folder::new(), FtpOrigin::start());
    origin.folder("pub");
    get(&folder, [origin.url("/pub")]).exited(1).says("it is a folder");
    let run = get(&folder, ["--json", &origin.url("/missing")]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "not-found");
}

#[test]
fn a_list_of_many_files_takes_few_connections() {
    let (folder, origin) = (Folder::new(), FtpOrigin::start());
    let mut list = String::new();
    for number in 0..100 {
        list.push_str(&origin.on(&format!("{number}"), FtpFile::new(pattern(1_000 + number))));
        list.push('\n');
    }
    folder.write("list", list);
    get(&folder, ["-d", "d", "-i", "list", "--per-host", "2"]).exited(0);
    assert!(folder.read("d/99") == pattern(1_099));
    assert!(origin.connections() <= 2, "{} connections", origin.connections());
}
