//! Servers that mean harm: whatever they send ends in the right bytes or in a clear error, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ganymede::{
    BufferWriter, ByteRange, Context, DigestValidation, Download, DownloadError, FileWriter, HttpDownload,
    RetryDelegate, SizeValidation, StatusCode,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};

use support::fetch;

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

/// Asserts that a download fails in this way and leaves its folder as it was.
#[track_caller]
fn fails(download: HttpDownload, kind: &str, message: &str) -> DownloadError {
    let folder = Folder::new();
    folder.write("target", "what was there");
    let result = download.writer(FileWriter::new(folder.file("target"))).run(&Context::new());
    let error = result.map(|_| ()).unwrap_err();
    assert!(
        error.kind().name() == kind && error.to_string().contains(message),
        "{kind}, {message}: {error:?}"
    );
    assert_eq!(
        (folder.entries(), folder.read("target")),
        (vec!["target".to_owned()], b"what was there".to_vec())
    );
    error
}

/// A server that writes what a script says, byte for byte, and leaves the connection open.
struct Raw {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Raw {
    /// Calls `answer` with the path of each request.
    fn start(answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, stopped) = (Arc::new(answer), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&stopped);
        let listening = thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let answer = Arc::clone(&answer);
                // It ends when the client leaves.
                thread::spawn(move || drop(serve(connection, &*answer)));
            }
        });
        Self { address, stopped, listening: Some(listening) }
    }

    /// Answers every request with the same bytes.
    fn always(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, connection| connection.write_all(&bytes))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // It waits for a connection: here is one.
        let _ = TcpStream::connect(self.address);
        let _ = self.listening.take().map(JoinHandle::join);
    }
}

fn serve(
    mut connection: TcpStream,
    answer: &dyn Fn(&str, &mut TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        answer(first.split(' ').nth(1).unwrap_or_default(), &mut connection)?;
    }
}

/// A reply with these header lines.
fn reply(lines: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n{body}", lines.replace('\n', "\r\n"))
}

fn with_fields(count: usize) -> String {
    let more: String = (1..count).map(|number| format!("\nX-{number}: y")).collect();
    reply(&format!("Content-Length: 5{more}"), "hello")
}

#[test]
fn a_head_of_too_many_fields_is_refused_and_how_many_can_be_set() {
    let origin = Origin::start();
    let at = |count: usize| origin.on(&format!("/{count}"), Reply::raw(with_fields(count)));
    assert_eq!(fetch(get(&at(100))).unwrap().0, b"hello");
    let error = fails(get(&at(101)), "other", "sent is too large: too many header fields");
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(fetch(get(&at(1000)).max_headers(1000)).unwrap().0, b"hello");
    fails(get(&at(1001)).max_headers(1000), "other", "sent is too large");
    fails(get(&at(11)).max_headers(10), "other", "sent is too large");
}

#[test]
fn a_head_that_has_no_end_is_refused() {
    let endless = |line: &'static [u8]| {
        Raw::start(move |_, connection| {
            connection.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
            loop {
                connection.write_all(line)?;
            }
        })
    };
    for line in [&b"y"[..], b"y\r\nX: y"] {
        fails(get(&endless(line).url("/")), "other", "sent is too large");
    }
    let long = |length: usize| {
        let lines = format!("Content-Length: 5\nX: {}", "y".repeat(length));
        Raw::always(reply(&lines, "hello"))
    };
    assert_eq!(fetch(get(&long(300_000).url("/"))).unwrap().0, b"hello");
    fails(get(&long(2_000_000).url("/")), "other", "sent is too large");
}

#[test]
fn a_head_that_is_not_http_is_refused() {
    for lines in [
        "Content-Length: 5\nX: a\0b",
        "Content-Length: 5\nX\0: a",
        "Content-Length: 5\nX: a\n folded",
        "X: a\n Content-Length: 5",
        "Content-Length : 5",
        "Content-Length: 5\nX Y: a",
        "Content-Length: 5\n: a",
        "Content-Length: 5\nX: a\rb",
    ] {
        fails(get(&Raw::always(reply(lines, "hello")).url("/")), "other", "is not valid HTTP");
    }
    for text in ["hello", "HTTP/0.9 200 OK\r\n\r\nhello", "HTTP/1.1 20 OK\r\n\r\nhello", "\0\0\0\0\0\0\0\0"] {
        let error = fails(get(&Origin::start().on("/", Reply::raw(text))), "other", "is not valid HTTP");
        assert!(!error.is_transient(), "{error:?}");
    }
}

#[test]
fn a_length_that_is_said_twice_counts_once_and_two_lengths_are_an_error() {
    for lines in ["Content-Length: 5\nContent-Length: 5", "Content-Length: 5, 5", "Content-Length: 005"] {
        let (stored, receipt) = fetch(get(&Raw::always(reply(lines, "hello")).url("/"))).unwrap();
        assert_eq!((stored.as_slice(), receipt.head().length()), (&b"hello"[..], Some(5)), "{lines}");
        assert_eq!(receipt.head().headers().get_all("content-length").iter().count(), 1, "{lines}");
    }
    for lines in [
        "Content-Length: 5\nContent-Length: 6",
        "Content-Length: 6\nX: y\nContent-Length: 5",
        "Content-Length: 5, 6",
        "Content-Length: 5\nContent-Length: -5",
    ] {
        fails(get(&Raw::always(reply(lines, "hello")).url("/")), "other", "is not valid HTTP");
    }
}

#[test]
fn a_length_that_no_content_has_is_an_error() {
    for length in ["-1", "+5", "5 5", "0x5", "5;", "5.0", "1e3", "", "18446744073709551616"] {
        let server = Raw::always(reply(&format!("Content-Length: {length}"), "hello"));
        fails(get(&server.url("/")), "other", "is not valid HTTP");
    }
    let server = Raw::always(reply(&format!("Content-Length: {}", u64::MAX), "hello"));
    fails(get(&server.url("/")), "other", "a length beyond counting");
    for length in [6, 1 << 40, i64::MAX.unsigned_abs(), u64::MAX - 2] {
        let origin = Origin::start();
        let url = origin.on("/", Reply::raw(reply(&format!("Content-Length: {length}"), "hello")));
        let error = fails(get(&url), "incomplete", "");
        assert_eq!((error.received(), error.expected()), (5, Some(length)), "{error:?}");
    }
}

#[test]
fn a_length_beside_chunks_does_not_count() {
    let chunks = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    for length in ["5", "3", "1000"] {
        for lines in
            ["Content-Length: @\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\nContent-Length: @"]
        {
            let server = Raw::always(reply(&lines.replace('@', length), chunks));
            let (stored, receipt) = fetch(get(&server.url("/"))).unwrap();
            assert_eq!((stored.as_slice(), receipt.head().length()), (&b"hello world"[..], None), "{lines}");
        }
    }
}

#[test]
fn a_coding_that_was_not_asked_for_is_not_taken_for_the_content() {
    for coding in ["gzip", "gzip, chunked", "chunked, gzip", "deflate\nTransfer-Encoding: chunked", "x"] {
        let origin = Origin::start();
        let text = reply(&format!("Transfer-Encoding: {coding}"), "5\r\nhello\r\n0\r\n\r\n");
        fails(get(&origin.on("/", Reply::raw(text))), "unsupported", "which was not asked for");
    }
}

#[test]
fn bytes_behind_a_body_are_never_the_next_reply() {
    let evil = reply("Content-Length: 4", "evil");
    let heads = [
        ("/length", reply("Content-Length: 5", "hello")),
        ("/chunked", reply("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")),
        ("/empty", reply("Content-Length: 0", "")),
        ("/304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned()),
        ("/304-chunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        ("/204", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n".to_owned()),
        ("/redirect", "HTTP/1.1 302 Found\r\nLocation: /good\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()),
    ];
    let known = heads.clone();
    let server = Raw::start(move |path, connection| {
        let smuggled = known.iter().find(|(known, _)| *known == path);
        let text = match smuggled {
            Some((_, first)) => format!("{first}{evil}{evil}"),
            None => reply("Content-Length: 4", "good"),
        };
        connection.write_all(text.as_bytes())
    });
    for (path, _) in heads {
        for _ in 0..20 {
            let context = Context::new();
            let first = BufferWriter::new(100);
            let mut download = get(&server.url(path)).writer(first.clone());
            if path.starts_with("/304") {
                download = download.header("If-None-Match", "\"a\"");
            }
            let ran = download.run(&context);
            assert_eq!(ran.is_err(), ["/204", "/404"].contains(&path), "{path}: {ran:?}");
            let stored = first.take().unwrap_or_default();
            let expected = match path {
                "/length" | "/chunked" => "hello",
                "/redirect" => "good",
                _ => "",
            };
            assert_eq!(String::from_utf8_lossy(&stored), expected, "{path}");
            let second = BufferWriter::new(100);
            get(&server.url("/good")).writer(second.clone()).run(&context).unwrap();
            assert_eq!(second.take().unwrap(), b"good", "after {path}");
        }
    }
}

#[test]
fn a_chunked_body_without_an_end_is_stopped_by_the_size_that_was_expected() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::generated(1 << 50).chunked());
    let error = fails(get(&url).validation(SizeValidation::new(1_000_000)), "size-mismatch", "1000000");
    assert!(!error.is_transient(), "{error:?}");
    origin.wait_open(0);
    // What is in the buffers of the system has left the server, too.
    assert!(origin.sent("/file") < 64 << 20, "{}", origin.sent("/file"));
}

#[test]
fn a_chunked_body_without_an_end_is_stopped_by_cancelling() {
    let (origin, folder, context) = (Origin::start(), Folder::new(), Context::new());
    let url = origin.on("/file", Reply::generated(1 << 50).chunked());
    let running = {
        let (context, path) = (context.clone(), folder.file("file"));
        thread::spawn(move || get(&url).writer(FileWriter::new(path)).run(&context))
    };
    origin.wait_sent("/file", 1 << 20);
    context.cancel();
    assert!(running.join().unwrap().unwrap_err().is_cancelled());
    assert!(folder.entries().is_empty(), "{:?}", folder.entries());
    origin.wait_open(0);
}

#[test]
fn extensions_and_trailers_of_chunks_are_no_content() {
    for body in [
        "5;name=value\r\nhello\r\n0;last\r\n\r\n",
        "5;a=\"b;c\"\r\nhello\r\n0\r\nX-Trailer: yes\r\nContent-Length: 3\r\n\r\n",
        "00005\r\nhello\r\n0000\r\n\r\n",
        "5  \r\nhello\r\n0\r\n\r\n",
        "1\r\nh\r\n4\r\nello\r\n0\r\nSet-Cookie: a=b\r\n\r\n",
    ] {
        let server = Raw::always(reply("Transfer-Encoding: chunked\nTrailer: X-Trailer", body));
        let (stored, receipt) = fetch(get(&server.url("/"))).unwrap();
        assert_eq!(String::from_utf8_lossy(&stored), "hello", "{body:?}");
        assert!(
            receipt.head().header("x-trailer").is_none() && receipt.head().header("set-cookie").is_none()
        );
    }
}

#[test]
fn chunks_that_are_none_are_an_error() {
    for body in [
        "g\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello world\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
        "5\r\nhello\r\n",
        "5\r\nhel",
        "ffffffffffffffff\r\nhello\r\n",
    ] {
        let origin = Origin::start();
        let url = origin.on("/", Reply::raw(reply("Transfer-Encoding: chunked", body)));
        let error = fails(get(&url), "incomplete", "broke off");
        assert!(error.is_transient() && error.received() <= 7, "{body:?}: {error:?}");
    }
}

#[test]
fn extensions_and_trailers_without_an_end_are_an_error() {
    let endless = |start: &'static str, more: &'static [u8]| {
        Raw::start(move |_, connection| {
            connection.write_all(reply("Transfer-Encoding: chunked", start).as_bytes())?;
            loop {
                connection.write_all(more)?;
            }
        })
    };
    for (start, more) in [
        ("5;", &b"extension"[..]),
        ("5\r\nhello\r\n0\r\nX: ", b"trailer"),
        ("5\r\nhello\r\n0\r\n", b"X: y\r\n"),
    ] {
        fails(get(&endless(start, more).url("/")), "incomplete", "broke off");
    }
    // Each small, all of them not.
    let server = Raw::start(|_, connection| {
        connection.write_all(reply("Transfer-Encoding: chunked", "").as_bytes())?;
        loop {
            connection.write_all(b"1;an-extension-of-every-chunk-that-is-longer-than-the-chunk\r\nx\r\n")?;
        }
    });
    fails(get(&server.url("/")), "incomplete", "broke off");
}

#[test]
fn interim_replies_are_passed_over_and_their_storm_ends_at_the_time_out() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n";
    let text = format!("{}{}", interim.repeat(1000), reply("Content-Length: 5", "hello"));
    let (stored, receipt) = fetch(get(&Raw::always(text).url("/"))).unwrap();
    assert_eq!((stored.as_slice(), receipt.head().status()), (&b"hello"[..], StatusCode::OK));
    assert!(receipt.head().header("link").is_none());
    let server = Raw::start(move |_, connection| {
        loop {
            connection.write_all(interim.as_bytes())?;
        }
    });
    let download = get(&server.url("/")).read_timeout(Duration::from_millis(300));
    fails(download, "timeout", "no byte of the head");
}

#[test]
fn another_protocol_that_nobody_asked_for_is_an_error() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nhello";
    let origin = Origin::start();
    let url = origin.on("/", Reply::raw(head));
    let error = get(&url).writer(BufferWriter::new(100)).run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind().name(), "status" | "other"), "{error:?}");
}

#[test]
fn an_error_page_that_comes_as_a_success_is_not_what_was_expected() {
    let origin = Origin::start();
    let page = Reply::ok("<html><h1>Sorry</h1></html>").header("Content-Type", "text/html");
    let url = origin.on("/file", page);
    let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let retrying = || get(&url).handler(RetryDelegate::new(3));
    fails(retrying().validation(DigestValidation::new(digest)), "digest-mismatch", "sha256");
    fails(retrying().validation(SizeValidation::new(1000)), "size-mismatch", "1000");
    fails(retrying().validation(SizeValidation::new(5)), "size-mismatch", "5");
    assert_eq!(origin.requests("/file"), 3);
}

#[test]
fn a_range_that_is_not_there_tells_how_long_the_content_is() {
    let origin = Origin::start();
    let range = ByteRange::new(2000, None).unwrap();
    let url = origin.on("/file", Reply::ok(pattern(1000)).ranges());
    let error = fails(get(&url).range(range), "status", "416");
    assert_eq!((error.failure().total(), error.gateway_status().as_u16()), (Some(1000), 416));
    for value in ["bytes */*", "bytes 0-9/1000", "bytes */-1", "items */1000", "1000"] {
        let url = origin.on("/odd", Reply::error(416).header("Content-Range", value));
        assert_eq!(fails(get(&url).range(range), "status", "416").failure().total(), None, "{value}");
    }
}
