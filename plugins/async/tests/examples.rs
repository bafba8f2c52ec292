//! Every example, run as its reader would run it, against servers of this machine.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use ganymede::{Algorithm, Facts};
use ganymede_kit::{Folder, Gate, Origin, PATIENCE, Reply, pattern, wait_until};

/// An example that runs; it is ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts an example, which cargo builds together with the tests.
fn start(example: &str, arguments: &[&dyn AsRef<OsStr>]) -> Running {
    let test = std::env::current_exe().unwrap();
    let mut command = Command::new(test.ancestors().nth(2).unwrap().join("examples").join(example));
    for scheme in ["http", "https", "all"] {
        let name = format!("{scheme}_proxy");
        command.env_remove(name.to_uppercase()).env_remove(name);
    }
    command.args(arguments.iter().map(AsRef::as_ref)).stdin(Stdio::null());
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Running(spawned.unwrap_or_else(|error| panic!("{example}: {error}; `cargo build --examples` makes it")))
}

/// Waits for the end of an example, and returns whether it succeeded, and what it has printed.
fn finish(mut running: Running) -> (bool, String) {
    wait_until("the example to end", || running.0.try_wait().unwrap().is_some());
    let mut text = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    running.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (running.0.wait().unwrap().success(), text)
}

fn sha256(bytes: &[u8]) -> String {
    Facts::of(bytes, [Algorithm::Sha256]).unwrap().digest(Algorithm::Sha256).unwrap().to_string()
}

/// Asks a server for a path, and reads all it answers: the head, and what there is of a body.
fn ask(address: &str, path: &str) -> (String, Vec<u8>) {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let (mut reader, mut head, mut body) = (BufReader::new(client), String::new(), Vec::new());
    while reader.read_line(&mut head).unwrap() > 2 {}
    // One that is broken off may be reset.
    let _ = reader.read_to_end(&mut body);
    (head.to_lowercase(), body)
}

#[test]
fn every_example_says_what_it_must_be_told() {
    for name in ["async_axum", "async_batch", "async_file"] {
        let (succeeded, text) = finish(start(name, &[]));
        assert!(!succeeded && text.contains(&format!("usage: {name} ")), "{text}");
    }
}

#[test]
fn one_file_comes_while_the_program_goes_on() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let file = folder.file("file");
    let url = origin.on("/file", Reply::ok(pattern(70_000)).gate_after(50_000, &gate));
    let mut running = start("async_file", &[&url, &file]);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "50000 bytes so far"));
    gate.open();
    let last = lines.last();
    assert_eq!(last, Some(format!("{}: 70000 bytes", file.display())));
    assert!(folder.read("file") == pattern(70_000));
}

#[test]
fn a_group_comes_so_many_at_a_time() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.handle("/files/", |received| Reply::ok(received.target.clone()));
    origin.on("/files/5", Reply::error(404));
    let running = start("async_batch", &[&origin.url("/files"), &folder.path(), &"40", &"3"]);
    let (succeeded, text) = finish(running);
    assert!(succeeded, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("done ")).count(), 39);
    assert_eq!((folder.entries().len(), folder.read("40")), (39, b"/files/40".to_vec()));
    assert!(origin.in_flight_peak() <= 3, "{}", origin.in_flight_peak());
}

#[test]
fn a_response_has_the_head_and_a_bad_body_never_ends_cleanly() {
    let (origin, bytes) = (Origin::start(), pattern(300_000));
    let good = Reply::ok(bytes.clone()).etag("\"1\"").header("Set-Cookie", "a=b");
    origin.on("/whole", good.clone());
    origin.on("/chunked", good.clone().chunked());
    origin.on("/bad", Reply::ok(pattern(300_001)));
    origin.on("/bad-chunked", Reply::ok(pattern(300_001)).chunked());
    origin.on("/short", Reply::ok("not it"));
    let stalled = good.stall_after(200_000);
    origin.on("/stalled", stalled);

    let mut running = start("async_axum", &[&origin.url(""), &sha256(&bytes)]);
    let mut output = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = output.next().unwrap();
    let address = first.strip_prefix("listening on http://").unwrap();

    let (head, body) = ask(address, "/whole");
    assert!(head.starts_with("http/1.1 200 ok\r\n") && head.contains("etag: \"1\"\r\n"), "{head}");
    assert!(head.contains("content-length: 300000\r\n") && !head.contains("set-cookie"), "{head}");
    assert!(body == bytes);
    let (head, body) = ask(address, "/chunked");
    assert!(head.contains("transfer-encoding: chunked") && body.ends_with(b"\r\n0\r\n\r\n"), "{head}");
    let (head, body) = ask(address, "/bad");
    // The end of the connection may overtake what was sent before it.
    assert!(head.is_empty() || head.contains("content-length: 300001\r\n"), "{head}");
    assert!(body.len() < 300_001);
    assert!(!ask(address, "/bad-chunked").1.ends_with(b"\r\n0\r\n\r\n"));
    assert!(ask(address, "/short").0.starts_with("http/1.1 502 "));
    assert!(output.next().unwrap().contains("the digest is"));
    assert!(ask(address, "/missing").0.starts_with("http/1.1 404 "));

    // A client that leaves takes the connection to the origin along.
    let mut client = TcpStream::connect(address).unwrap();
    write!(client, "GET /stalled HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    origin.wait_sent("/stalled", 200_000);
    let open = origin.open();
    drop(client);
    wait_until("the connection to be closed", || origin.open() < open);
}
