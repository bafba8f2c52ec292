//! An index of Python packages behind the command, and pip before it.

use std::fs;
use std::path::Path;

use ganymede::Algorithm;
use ganymede_kit::{Folder, Origin, Reply};

use crate::serving::Serving;
use crate::web::{Web, age, program};

const WHEEL: &str = "greeting-1.0-py3-none-any.whl";

/// Writes a wheel whose module prints this text, and its page in the index (PEP 503), below a folder.
fn publish(content: &Path, text: &str) -> Vec<u8> {
    let (files, page) = (content.join("files"), content.join("simple/greeting"));
    fs::create_dir_all(&files).unwrap();
    fs::create_dir_all(&page).unwrap();
    let wheel = files.join(WHEEL);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stream/wheel.py");
    program("python3", content, &[], [script, wheel.to_str().unwrap(), "greeting", "1.0", text]);
    let bytes = fs::read(wheel).unwrap();
    let digest = crate::digest(Algorithm::Sha256, &bytes);
    let link = format!("<a href=\"../../files/{WHEEL}#sha256={digest}\">{WHEEL}</a>");
    fs::write(page.join("index.html"), format!("<!DOCTYPE html><html><body>{link}</body></html>\n")).unwrap();
    age(content, 30);
    bytes
}

/// Installs the package into a folder of its own, and returns what its module prints.
#[track_caller]
fn installed(server: &Serving) -> String {
    let folder = Folder::new();
    let index = server.url("/simple/");
    let settings =
        ["--isolated", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--retries", "0"];
    let source = ["--trusted-host", "127.0.0.1", "--index-url", &index];
    let target = ["--root-user-action", "ignore", "--target", "site", "greeting"];
    let arguments = ["-m", "pip", "install"].into_iter().chain(settings).chain(source).chain(target);
    program("python3", folder.path(), &[], arguments);
    let site = folder.file("site");
    let printed = program("python3", folder.path(), &[("PYTHONPATH", &site)], ["-c", "import greeting"]);
    String::from_utf8(printed).unwrap()
}

#[test]
#[ignore = "needs nginx and pip, which tests/run installs"]
fn pip_installs_a_package_and_later_ones_find_it_here() {
    let (web, folder) = (Web::start(""), Folder::new());
    publish(&web.content(), "hello from a wheel");
    let server = Serving::keeping(&web.url("/"), &folder, [""; 0]);
    assert_eq!(installed(&server), "hello from a wheel\n");
    let wheel = format!("/files/{WHEEL}");
    assert_eq!(web.asked(&server), [("/simple/greeting/".to_owned(), 200), (wheel.clone(), 200)]);

    // pip asks whether the page still holds. The wheel has not changed for long, so nobody is asked for it.
    assert_eq!(installed(&server), "hello from a wheel\n");
    assert_eq!(web.asked(&server), [("/simple/greeting/".to_owned(), 304)]);
    assert!(server.get(&wheel).is_hit());
}

#[test]
#[ignore = "needs nginx and pip, which tests/run installs"]
fn pip_is_never_sent_a_wheel_that_is_not_what_it_must_be() {
    let (web, folder, bad) = (Web::start(""), Folder::new(), Origin::start());
    let right = publish(&web.content(), "hello from a mirror");
    let (path, page) = (format!("files/{WHEEL}"), "simple/greeting/index.html");
    let page = fs::read(web.content().join(page)).unwrap();
    bad.on("/simple/greeting/", Reply::ok(page).header("Content-Type", "text/html"));
    let mut wrong = right.clone();
    wrong[right.len() / 2] ^= 1;
    bad.on(&format!("/{path}"), Reply::ok(wrong));
    let list = folder.write("SHA256SUMS", crate::list(&right, [&path]));
    let more = ["--remote", &web.url("/"), "--digests", list.to_str().unwrap()];
    let server = Serving::keeping(&bad.url("/"), &folder, more);
    assert_eq!(installed(&server), "hello from a mirror\n");
    assert_eq!(bad.requests(&format!("/{path}")), 1);
}
