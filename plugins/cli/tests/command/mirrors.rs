//! Mirrors, given and listed.

use ganymede_kit::{Folder, Origin, Reply, closed_port, pattern};

use crate::ganymede::{digest, get};

#[test]
fn mirrors_are_tried_in_order_until_one_serves_good_bytes() {
    let (folder, origin, bytes) = (Folder::new(), Origin::start(), pattern(50_000));
    let absent = origin.on("/absent/file", Reply::error(404));
    let cut = origin.on("/cut/file", Reply::ok(bytes.clone()).cut_after(20_000));
    let bad = origin.on("/bad/file", Reply::ok(vec![7; 50_000]));
    let good = origin.on("/good/file", Reply::ok(bytes.clone()));
    let expected = format!("sha256={}", digest("sha256", &bytes));
    let run = get(
        &folder,
        ["--json", "--retries", "0", "--digest", &expected, &absent, "--mirror", &cut, "--mirror", &bad]
            .into_iter()
            .chain(["--mirror", &good]),
    )
    .exited(0);
    let event = run.event("succeeded");
    assert_eq!((&event["source"], &event["attempts"]), (&good.as_str().into(), &4.into()));
    assert_eq!(event["url"], absent.as_str());
    assert_eq!(folder.read("file"), bytes);
    for path in ["/absent/file", "/cut/file", "/bad/file", "/good/file"] {
        assert_eq!(origin.requests(path), 1, "{path}");
    }
}

#[test]
fn when_all_fail_each_source_is_named_once_with_its_reason() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let (first, second) = (origin.url("/1"), format!("http://127.0.0.1:{}/2", closed_port()));
    let arguments = ["--retries", "1", &first, "--mirror", &second];
    let run = get(&folder, ["--json"].into_iter().chain(arguments)).exited(1);
    let event = run.event("failed");
    assert_eq!((&event["error"]["kind"], &event["attempts"]), (&"connect".into(), &3.into()));
    let sources = event["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2);
    assert_eq!((&sources[0]["url"], &sources[1]["url"]), (&first.as_str().into(), &second.as_str().into()));
    assert!(sources[0]["error"].as_str().unwrap().contains("404"));
    get(&folder, arguments).exited(1).says(&format!("{first}: the server answered 404")).says(&second);
}

#[test]
fn a_mirror_list_joins_the_name_to_its_folders_and_is_used_when_the_url_fails() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/m/f%20ile", Reply::ok("from a mirror"));
    let list = origin.on("/list", Reply::ok("# mirrors\r\n\r\nnone/\r\nm/\r\n"));
    let url = origin.url("/f%20ile");
    let run = get(&folder, ["--json", "--mirror-list", &list, &url]).exited(0);
    assert_eq!(run.event("succeeded")["source"], origin.url("/m/f%20ile"));
    assert_eq!(folder.read("f ile"), b"from a mirror");
    assert_eq!(origin.requests("/none/f%20ile"), 1);
}

#[test]
fn a_mirror_list_alone_says_where_the_file_is() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/m/image.iso", Reply::ok("content"));
    let list = origin.on("/list", Reply::ok("none/\nm/\n"));
    let arguments = ["--mirror-list", &list, "-o", "d/image.iso", "--size", "7"];
    get(&folder, arguments).exited(0);
    assert_eq!(
        (folder.entries(), folder.read("d/image.iso")),
        (vec!["d/".into(), "d/image.iso".into()], b"content".to_vec())
    );
    assert_eq!(origin.requests("/list"), 1);
}

#[test]
fn a_mirror_list_that_cannot_be_had_is_the_failure_and_never_the_content() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let list = origin.on("/list", Reply::error(403));
    let run = get(&folder, ["--json", "--mirror-list", &list, "-o", "file"]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "mirror-list");
    let page = origin.on("/page", Reply::ok("<html>all is well</html>"));
    let run = get(&folder, ["--json", "--mirror-list", &page, "-o", "file"]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "mirror-list");
    get(&folder, ["--mirror-list", &list, "-o", "file"]).exited(1).says("check the URL of --mirror-list");
    assert!(folder.entries().is_empty());
}

#[test]
fn a_mirror_list_is_fetched_once_for_a_whole_run_and_with_the_settings_of_the_run() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.handle("/m/", |received| Reply::ok(received.target.clone()));
    let list = origin.on("/list", Reply::ok("m/").require_basic("amy", "secret"));
    let urls = ["/1", "/2", "/3"].map(|path| origin.url(path));
    get(
        &folder,
        ["--user", "amy:secret", "--mirror-list", &list].into_iter().chain(urls.iter().map(|u| &**u)),
    )
    .exited(0);
    assert_eq!(folder.read("2"), b"/m/2");
    assert_eq!(origin.requests("/list"), 1);
}

#[test]
fn a_listed_mirror_of_a_single_file_is_never_taken_for_one_of_several() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let other = origin.on("/other", Reply::ok("another content"));
    origin.on("/m/2", Reply::ok("the content"));
    let list = origin.on("/list", Reply::ok(format!("{other}\nm/\n")));
    let urls = [origin.url("/1"), origin.url("/2")];
    let run = get(&folder, ["--json", "--mirror-list", &list, &urls[0], &urls[1]]).exited(1);
    assert_eq!(run.event("failed")["error"]["kind"], "not-found");
    assert_eq!((folder.entries(), folder.read("2")), (vec!["2".to_owned()], b"the content".to_vec()));
    assert_eq!(origin.requests("/other"), 0);
}
