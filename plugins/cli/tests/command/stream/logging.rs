//! The access log.

use std::fs;
use std::io::{Read, Write};

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};
use serde_json::Value;

use super::serving::unread;
use super::{LARGE, Serving};

#[test]
fn each_request_has_a_line_of_text() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok("content").header("Cache-Control", "max-age=1000"));
    let serving = Serving::keeping(&folder, &origin, &[]);
    serving.ask("GET", "/file?token=secret", &[("User-Agent", "a \"b\"")]).read().is_whole(b"content");
    wait_until("it to be kept", || serving.has("/file?token=secret"));
    serving.get("/%2e%2e/x");
    serving.wait_printed("\"GET /%2e%2e/x\" 400 ");
    let printed = serving.printed();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("127.0.0.1 [") && lines[0].ends_with(" miss \"a \\\"b\\\"\""), "{printed}");
    assert!(lines[0].contains("] \"GET /file\" 200 7 0."), "{printed}");
    let hits = lines.iter().filter(|line| line.contains(" 200 7 ") && line.ends_with(" hit \"-\""));
    assert!(hits.count() == 1 && !printed.contains("secret"), "{printed}");
    serving.end();
}

#[test]
fn a_json_line_tells_what_was_cut() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok(pattern(LARGE)).cut_after(1_000_000));
    let serving = Serving::keeping(&folder, &origin, &["--log-format", "json", "--retries", "0"]);
    serving.get("/file").is_cut();
    serving.wait_printed("\n");
    let line: Value = serde_json::from_str(&serving.printed()).unwrap();
    assert_eq!(
        [&line["method"], &line["path"], &line["status"], &line["complete"], &line["cache"]],
        [&Value::from("GET"), &"/file".into(), &200.into(), &false.into(), &"miss".into()],
        "{line}"
    );
    assert!(line["bytes"].as_u64().unwrap() < LARGE as u64 && line["seconds"].as_f64().is_some());
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn a_file_is_gone_on_with_and_begun_anew_after_it_was_renamed() {
    let (folder, origin) = (Folder::new(), Origin::start());
    folder.write("log", "before\n");
    let arguments = ["--remote", &origin.url("/"), "--access-log", "log"];
    let serving = Serving::start(&folder, arguments);
    let text = |name: &str| String::from_utf8(folder.read(name)).unwrap();
    serving.get("/one");
    wait_until("the line", || text("log").contains("\"GET /one\" 404"));
    assert!(text("log").starts_with("before\n"));
    fs::rename(folder.file("log"), folder.file("log.1")).unwrap();
    serving.signal("HUP");
    wait_until("another file", || folder.file("log").exists());
    serving.get("/two");
    wait_until("the line", || text("log").contains("\"GET /two\" 404"));
    assert!(!text("log").contains("/one") && !text("log.1").contains("/two"));
    assert_eq!(serving.printed(), "");
    serving.end();
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok("x"));
    let serving = Serving::start(&folder, ["--remote", &origin.url("/"), "--access-log", "/dev/full"]);
    for _ in 0..3 {
        serving.get("/file").is_whole(b"x");
    }
    serving.wait_said("the access log, /dev/full: lines are left out: they cannot be written: ");
    serving.get("/file").is_whole(b"x");
    assert_eq!(serving.said().matches("/dev/full").count(), 1);
    serving.end();
}

#[test]
fn who_does_not_read_the_log_holds_nobody_up_not_even_its_end() {
    const REQUESTS: usize = 12_000;
    let (folder, origin) = (Folder::new(), Origin::start());
    let (serving, mut output) = unread(&folder, &["--remote", &origin.url("/")]);
    let mut socket = serving.connect();
    let mut sending = socket.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for _ in 0..REQUESTS {
            sending.write_all(b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
    });
    let (mut answered, mut buffer, mut rest) = (0, [0; 16 << 10], Vec::new());
    while answered < REQUESTS {
        let length = socket.read(&mut buffer).unwrap();
        assert!(length > 0, "after {answered}");
        rest.extend_from_slice(&buffer[..length]);
        answered += rest.windows(7).filter(|window| window == b"\r\n\r\nok\n").count();
        rest.drain(..rest.len().saturating_sub(6));
    }
    writing.join().unwrap();
    serving.wait_said("the access log, standard output: lines are left out: it takes them too slowly\n");
    serving.signal("TERM");
    let (status, said) = serving.ended();
    assert_eq!(status, Some(0), "{said}");
    let mut read = String::new();
    output.read_to_string(&mut read).unwrap();
    assert!(read.lines().count() < REQUESTS && read.contains("\"GET /-/health\" 200 3 "));
}

#[test]
fn nothing_is_logged_where_nothing_is_to_be() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    origin.on("/file", Reply::ok("x").gate(&gate));
    gate.open();
    let serving = Serving::start(&folder, ["--remote", &origin.url("/"), "--access-log", "none"]);
    serving.get("/file").is_whole(b"x");
    serving.signal("TERM");
    wait_until("its end", || std::net::TcpStream::connect(serving.addresses()[0]).is_err());
    assert_eq!(serving.printed(), "");
    assert!(!folder.file("none").exists());
}
