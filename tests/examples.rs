//! Every example, run as its reader would run it, against servers of this machine.

#![allow(clippy::unwrap_used, reason = "a panic is how a test tells a failure")]

#[path = "../plugins/template/tests/behaviour/server.rs"]
#[allow(dead_code, reason = "the plugin's own tests need more of it")]
mod redis;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ganymede::{Algorithm, Facts};
use ganymede_kit::{
    Authority, Break, Folder, Gate, Origin, Passage, Proxy, Relay, Reply, pattern, wait_until,
};

/// An example that runs; it is ended when dropped.
struct Running(Child);

/// What an example has left.
struct Finished {
    succeeded: bool,
    output: String,
    errors: String,
}

/// Starts an example, which cargo builds together with the tests.
fn start(example: &str, arguments: &[&dyn AsRef<OsStr>]) -> Running {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    let mut command = Command::new(folder.join(example));
    for scheme in ["http", "https", "all"] {
        let name = format!("{scheme}_proxy");
        command.env_remove(name.to_uppercase()).env_remove(name);
    }
    command.args(arguments.iter().map(AsRef::as_ref)).stdin(Stdio::null());
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Running(spawned.unwrap_or_else(|error| panic!("{example}: {error}; `cargo build --examples` makes it")))
}

fn run(example: &str, arguments: &[&dyn AsRef<OsStr>]) -> Finished {
    start(example, arguments).finish()
}

impl Running {
    fn finish(mut self) -> Finished {
        wait_until("the example to end", || self.0.try_wait().unwrap().is_some());
        let (mut output, mut errors) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        Finished { succeeded: self.0.wait().unwrap().success(), output, errors }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Finished {
    #[track_caller]
    fn succeeded(&self) -> Vec<&str> {
        assert!(self.succeeded, "{}{}", self.output, self.errors);
        self.output.lines().collect()
    }

    #[track_caller]
    fn failed(&self) -> &str {
        assert!(!self.succeeded, "{}", self.output);
        &self.output
    }
}

fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs")).map(name).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Facts::of(bytes, [Algorithm::Sha256]).unwrap().digest(Algorithm::Sha256).unwrap().to_string()
}

#[test]
fn every_example_has_a_test() {
    let tests = include_str!("examples.rs");
    let names = names();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("\"{name}\"")), "no test runs the example {name}");
    }
}

#[test]
fn every_example_says_what_it_must_be_told() {
    for name in names() {
        let finished = run(&name, &[]);
        finished.failed();
        assert!(finished.errors.contains(&format!("usage: {name} ")), "{name}: {}", finished.errors);
    }
}

#[test]
fn one_file_makes_every_setting_count() {
    let (folder, authority, clients) = (Folder::new(), Authority::new("servers"), Authority::new("clients"));
    let origin = Origin::mutual_tls(&authority.server(&["127.0.0.1"]), &clients);
    let proxy = Proxy::basic("bob", "hidden");
    let whole = Reply::ok(pattern(100_000)).etag("\"1\"").ranges().require_basic("amy", "secret");
    let url = origin.sequence("/file", [whole.clone().cut_after(30_000), whole]);
    let through = proxy.url().replace("://", "://bob:hidden@");
    let ca = authority.write_to(folder.path(), "ca");
    let (certificate, key) = clients.client("amy").write_to(folder.path(), "amy");

    let file = folder.file("file");
    let finished = run("one_file", &[&url, &file, &through, &ca, &certificate, &key]);

    let output = finished.succeeded();
    assert_eq!(output[..2], [format!("100000 bytes from {url}"), "attempts: 2".to_owned()]);
    assert!(!finished.output.contains("secret") && !finished.output.contains("hidden"), "{output:?}");
    assert_eq!(folder.read("file"), pattern(100_000));
    let journal = origin.journal();
    assert_eq!(journal.len(), 2);
    for received in &journal {
        assert!(received.client_certificate);
        assert_eq!(received.header("user-agent"), Some("one_file/1.0"));
        assert_eq!(received.header("accept"), Some("application/octet-stream"));
    }
    assert_eq!(journal[1].header("range"), Some("bytes=30000-"));
    assert!(proxy.connections() > 0);
    assert!(proxy.journal().iter().all(|received| received.header("proxy-authorization").is_some()));
}

#[test]
fn facts_become_an_artifact() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let file = folder.file("hello");
    let finished = run("facts", &[&origin.on("/hello", Reply::ok("hello")), &file]);
    let expected = format!(
        "{}: 5 bytes, sha256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824, \
         md5 5d41402abc4b2a76b9719d911017c592",
        file.display()
    );
    assert_eq!(finished.succeeded(), [expected]);
    assert_eq!(folder.read("hello"), b"hello");
}

#[test]
fn a_batch_pulls_no_further_than_its_backlog() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.handle("/files/", |received| Reply::ok(received.target.clone()));
    origin.on("/files/5", Reply::error(404));
    let finished = run("batch", &[&origin.url("/files"), &folder.path(), &"20"]);
    let (mut pulled, mut done, mut failed) = (0, 0, 0);
    for line in finished.succeeded() {
        match line.split(' ').next().unwrap() {
            "pulled" => pulled += 1,
            "done" => done += 1,
            "failed" => failed += 1,
            _ => panic!("{line}"),
        }
        assert!(pulled - done - failed <= 3, "{}", finished.output);
    }
    assert_eq!((pulled, done, failed), (20, 19, 1));
    assert_eq!(folder.entries().len(), 19);
    for number in (1..=20).filter(|number| *number != 5) {
        assert_eq!(folder.read(number.to_string()), format!("/files/{number}").into_bytes());
    }
}

#[test]
fn only_a_valid_file_is_stored() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (right, wrong) = (sha256(b"content"), sha256(b"another content"));
    let url = origin.on("/file", Reply::ok("content"));
    let page = origin.on("/page", Reply::ok("\n<html>"));
    let file = folder.file("file");

    let failing = [
        (&page, "7", &right, "it is not valid: it is a web page"),
        (&url, "6", &right, "it is not valid: the size is 7 bytes, expected 6"),
        (&url, "8", &right, "it is not valid: the size is 7 bytes, expected 8"),
        (&url, "7", &wrong, "it has sha256:"),
    ];
    for (url, size, digest, reason) in failing {
        let finished = run("validation", &[url, &file, &size, digest, &right]);
        assert!(finished.failed().starts_with(reason), "{}", finished.output);
        assert_eq!(folder.entries(), [""; 0]);
    }

    let finished = run("validation", &[&url, &file, &"7", &right, &right]);
    assert_eq!(finished.succeeded(), ["7 valid bytes"]);
    let finished = run("validation", &[&url, &file, &"7", &right, &wrong]);
    let warning = format!("warning: the digest is {right}, expected {wrong}");
    assert_eq!(finished.succeeded(), [&warning, "7 valid bytes"]);
    assert_eq!((folder.read("file"), folder.entries().len()), (b"content".to_vec(), 1));
}

#[test]
fn an_attachment_comes_back_with_its_own_download() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.on("/one", Reply::ok("1").delay(Duration::from_millis(100)));
    origin.on("/three", Reply::ok("333"));
    let finished = run("attachment", &[&origin.url(""), &folder.path(), &"one", &"two", &"three"]);
    let mut lines = finished.succeeded();
    lines.sort_unstable();
    assert_eq!(lines, ["0 one: 1 bytes", "1 two: not there", "2 three: 3 bytes"]);
    assert_eq!(folder.entries(), ["one", "three"]);
    assert_eq!((folder.read("one"), folder.read("three")), (b"1".to_vec(), b"333".to_vec()));
}

#[test]
fn a_shared_context_logs_in_once() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let page = Reply::ok("token-7\n").require_basic("amy", "secret").delay(Duration::from_millis(300));
    let login = origin.on("/login", page);
    origin.handle("/files/", |received| Reply::ok(received.target.clone()).require_bearer("token-7"));
    let finished = run("shared_context", &[&login, &origin.url("/files"), &folder.path(), &"16"]);
    assert_eq!(finished.succeeded().len(), 16);
    assert_eq!((origin.requests("/login"), origin.journal().len()), (1, 17));
    for number in 1..=16 {
        assert_eq!(folder.read(number.to_string()), format!("/files/{number}").into_bytes());
    }
}

/// A file, and four sources of it: not there, cut, with other bytes, good.
fn sources(origin: &Origin) -> (Vec<u8>, [String; 4]) {
    let good = Reply::ok(pattern(50_000));
    let mut bytes = pattern(50_000);
    bytes[49_999] ^= 1;
    let urls = [
        origin.on("/lost", Reply::error(404)),
        origin.on("/cut", good.clone().cut_after(20_000)),
        origin.on("/bad", Reply::ok(bytes)),
        origin.on("/good", good),
    ];
    (pattern(50_000), urls)
}

#[test]
fn mirrors_are_tried_in_order_by_the_delegate_and_by_a_protocol() {
    for example in ["mirrors", "mirrors_protocol"] {
        let (origin, folder) = (Origin::start(), Folder::new());
        let (bytes, [lost, cut, bad, good]) = sources(&origin);
        let (file, digest) = (folder.file("file"), sha256(&bytes));
        let finished = run(example, &[&file, &digest, &lost, &cut, &bad, &good]);
        assert!(finished.succeeded().contains(&&*format!("50000 bytes from {good}")), "{}", finished.output);
        assert_eq!((folder.read("file") == bytes, folder.entries().len()), (true, 1), "{example}");
        let asked: Vec<String> = origin.journal().iter().map(|received| received.target.clone()).collect();
        assert_eq!(asked, ["/lost", "/cut", "/bad", "/good"], "{example}");
    }
}

#[test]
fn a_large_file_comes_over_several_connections_and_from_its_mirrors() {
    let (one, two, folder) = (Origin::start(), Origin::start(), Folder::new());
    let bytes = pattern(3 << 20);
    let whole = Reply::ok(bytes.clone()).etag("\"one\"").ranges().drip(64 << 10, Duration::from_millis(5));
    let (url, mirror) = (one.on("/file", whole.clone()), two.on("/file", whole));
    let finished = run("segments", &[&folder.file("file"), &sha256(&bytes), &"4", &url, &mirror]);
    assert_eq!(finished.succeeded(), ["3145728 bytes"]);
    assert!(folder.read("file") == bytes);
    assert!(one.journal().len() > 1 && two.journal().len() > 1);
}

#[test]
fn when_no_mirror_is_good_each_is_named_and_nothing_is_stored() {
    for example in ["mirrors", "mirrors_protocol"] {
        let (origin, folder) = (Origin::start(), Folder::new());
        let (bytes, [lost, cut, bad, _]) = sources(&origin);
        let (file, digest) = (folder.file("file"), sha256(&bytes));
        let finished = run(example, &[&file, &digest, &lost, &cut, &bad]);
        let output = finished.failed();
        assert!([lost, cut, bad].iter().all(|url| output.contains(url)), "{output}");
        assert_eq!((folder.entries().len(), origin.journal().len()), (0, 3), "{example}");
    }
}

#[test]
fn mirrors_come_from_a_list_when_they_are_needed() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let (bytes, [lost, cut, bad, good]) = sources(&origin);
    let list =
        origin.on("/lists/1", Reply::ok(format!("# nearest first\r\n{cut}\r\n\r\n{bad}\r\n../good\r\n")));
    let (file, digest) = (folder.file("file"), sha256(&bytes));
    let finished = run("mirrors", &[&file, &digest, &lost, &format!("@{list}")]);
    assert_eq!(finished.succeeded(), [format!("50000 bytes from {good}"), "attempts: 4".to_owned()]);
    assert_eq!((folder.read("file") == bytes, origin.requests("/lists/1")), (true, 1));
}

#[test]
fn a_protocol_of_ones_own_works_beside_the_others() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gopher = format!("gopher://{}/9/deep/file", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&socket).read_line(&mut line).unwrap();
        socket.write_all(&pattern(200_000)).unwrap();
        line
    });
    let web = origin.on("/file", Reply::ok("web"));
    let finished = run("protocol", &[&folder.path(), &gopher, &web]);
    let mut lines = finished.succeeded();
    lines.sort_unstable();
    assert_eq!(lines, ["200000 bytes over gopher", "3 bytes over http"]);
    assert_eq!(server.join().unwrap(), "/deep/file\r\n");
    assert!(folder.read("0") == pattern(200_000));
    assert_eq!(folder.read("1"), b"web");
}

#[test]
fn a_protocol_of_a_plugin_is_retried_mirrored_and_verified() {
    let (server, origin, folder) = (redis::Server::start(), Origin::start(), Folder::new());
    let bytes = pattern(400_000);
    let (file, digest) = (folder.file("file"), sha256(&bytes));
    server.set("builds/file", bytes.clone());
    let passages = [Passage::After(150_000, Break::Close), Passage::Pass];
    let relay = Relay::start(server.address(), passages);
    let url = relay.url("redis", "/builds/file");
    let finished = run("plugin", &[&file, &digest, &url]);
    assert_eq!(finished.succeeded(), [format!("400000 bytes from {url}"), "attempts: 2".to_owned()]);
    assert!(folder.read("file") == bytes);
    let last = server.commands().pop().unwrap();
    assert!(last.starts_with("GETRANGE builds/file 1"), "it began again: {last}");

    // Where it breaks off each time, a mirror that speaks another protocol goes on.
    let relay = Relay::start(server.address(), [Passage::After(100_000, Break::Close)]);
    let url = relay.url("redis", "/builds/file");
    let mirror = origin.on("/file", Reply::ok(bytes.clone()).etag("\"1\"").ranges());
    let finished = run("plugin", &[&file, &digest, &url, &mirror]);
    assert!(finished.succeeded()[0] == format!("400000 bytes from {mirror}"), "{}", finished.output);
    assert!(origin.journal()[0].header("range").is_some());

    let finished = run("plugin", &[&folder.file("other"), &sha256(b"other"), &server.url("builds/file")]);
    assert!(finished.failed().contains("the digest is"), "{}", finished.output);
    let finished = run("plugin", &[&folder.file("other"), &digest, &server.url("missing"), &mirror]);
    assert_eq!(finished.succeeded()[0], format!("400000 bytes from {mirror}"));
    assert_eq!(folder.entries(), ["file", "other"]);
}

#[test]
fn breaking_out_leaves_what_is_there_and_no_more() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let gate = Gate::new();
    origin.handle("/", |received| match received.target.as_str() {
        "/1" | "/2" | "/3" => Reply::ok(pattern(10_000)).stall_after(5_000),
        _ => Reply::ok(received.target.clone()),
    });
    origin.on("/6", Reply::ok("/6").gate(&gate));
    let running = start("break_out", &[&origin.url(""), &folder.path(), &"1000", &"3"]);
    for stalled in ["/1", "/2", "/3"] {
        origin.wait_sent(stalled, 5_000);
    }
    gate.open();
    let finished = running.finish();

    let lines = finished.succeeded();
    let took = ["/4", "/5", "/6"].map(|path| format!("took {}", origin.url(path)));
    assert_eq!(lines[..3], took);
    let begun: u64 = lines[3].strip_suffix(" of 1000 were begun").unwrap().parse().unwrap();
    assert!((6..=11).contains(&begun), "{begun}");
    let entries = folder.entries();
    assert!(["4", "5", "6"].iter().all(|name| folder.read(name) == format!("/{name}").into_bytes()));
    assert!(entries.iter().all(|name| !["1", "2", "3"].contains(&&**name)), "{entries:?}");
    assert!(
        entries.iter().all(|name| name.parse::<u64>().is_ok_and(|number| number <= begun)),
        "{entries:?}"
    );
}

/// Asks for a path, on a connection of its own.
fn ask(address: &str, path: &str) -> BufReader<TcpStream> {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(ganymede_kit::PATIENCE)).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    BufReader::new(client)
}

/// Reads the status line and the headers, in small letters.
fn read_head(client: &mut impl BufRead) -> Vec<String> {
    let lines = client.lines().map(|line| line.unwrap().to_lowercase());
    lines.take_while(|line| !line.is_empty()).collect()
}

/// Reads a body in chunks, up to the empty one.
fn read_chunks(client: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        client.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let start = body.len();
        body.resize(start + length, 0);
        client.read_exact(&mut body[start..]).unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
        if length == 0 {
            return body;
        }
    }
}

#[test]
fn a_streamer_forwards_heads_and_bytes_and_never_ends_a_bad_body_cleanly() {
    let origin = Origin::start();
    let gate = Gate::new();
    let (bytes, mut other) = (pattern(1_000_000), pattern(1_000_000));
    other[999_999] ^= 1;
    let good = Reply::ok(bytes.clone()).etag("\"1\"").header("Content-Type", "text/x-pattern");
    origin.on("/whole", good.clone().header("Set-Cookie", "a=b").gate_after(500_000, &gate));
    origin.on("/chunked", good.chunked());
    origin.on("/bad", Reply::ok(other));
    origin.on("/short", Reply::ok("not it"));

    let digest = sha256(&bytes);
    let mut running = start("stream", &[&origin.url(""), &digest, &"5"]);
    let mut output = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut line = || output.next().unwrap().unwrap();
    let first = line();
    let address = first.strip_prefix("listening on http://").unwrap();

    let mut client = ask(address, "/whole");
    let head = read_head(&mut client);
    assert_eq!(head[0], "http/1.1 200 ok");
    for header in ["content-length: 1000000", "etag: \"1\"", "content-type: text/x-pattern"] {
        assert!(head.iter().any(|line| line == header), "{head:?}");
    }
    assert!(!head.iter().any(|line| line.starts_with("set-cookie")), "{head:?}");
    let mut body = vec![0; 1];
    // The rest of it has not left the origin yet.
    client.read_exact(&mut body).unwrap();
    gate.open();
    client.read_to_end(&mut body).unwrap();
    assert!(body == bytes);
    assert_eq!(line(), "served");

    let mut client = ask(address, "/chunked");
    let head = read_head(&mut client);
    assert!(head.contains(&"transfer-encoding: chunked".to_owned()), "{head:?}");
    assert!(read_chunks(&mut client) == bytes);
    assert_eq!(line(), "served");

    let mut client = ask(address, "/bad");
    let head = read_head(&mut client);
    assert!(head.contains(&"content-length: 1000000".to_owned()), "{head:?}");
    let mut body = Vec::new();
    client.read_to_end(&mut body).unwrap();
    assert!(body.len() < bytes.len() && bytes.starts_with(&body), "{} bytes", body.len());
    assert!(line().contains("the digest is"));

    assert_eq!(read_head(&mut ask(address, "/short"))[0], "http/1.1 502 bad gateway");
    assert!(line().contains("the digest is"));
    assert_eq!(read_head(&mut ask(address, "/missing"))[0], "http/1.1 404 not found");
    assert!(line().starts_with("failed: "));
    assert!(output.next().is_none());
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn it_works_inside_an_asynchronous_program() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", Reply::ok(pattern(70_000)));
    let finished = run("async_blocking", &[&url, &folder.file("file")]);
    assert_eq!(finished.succeeded(), [format!("70000 bytes from {url}")]);
    assert!(folder.read("file") == pattern(70_000));
}
