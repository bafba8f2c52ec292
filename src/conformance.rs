//! The suite that every protocol and writer is run through, as a test of the crate that has it.
//!
//! Each function panics, like a test, with a text that says what is not as it must be. This crate runs it over its
//! own protocols and writers.
//!
//! ```
//! use std::io::Cursor;
//! use ganymede::conformance::{self, Source};
//! use ganymede::{Context, ErrorKind, Failure, Head, Protocol, Reply, Request};
//!
//! /// A protocol whose URLs hold a number, and whose contents are that many zeros.
//! fn zeros(request: &Request, context: &Context) -> Result<Reply, Failure> {
//!     context.check()?;
//!     let zeros = request.url().path().parse().map_err(|_| Failure::from(ErrorKind::NotFound))?;
//!     let head = Head::new(request.url()).with_length(Some(zeros));
//!     Ok(Reply::new(head, Cursor::new(vec![0; zeros as usize])))
//! }
//!
//! struct Zeros;
//! impl Source for Zeros {
//!     fn protocol(&self) -> Box<dyn Protocol> { Box::new(zeros) }
//!     fn serve(&self, content: &[u8]) -> Option<String> {
//!         content.iter().all(|byte| *byte == 0).then(|| format!("zero:{}", content.len()))
//!     }
//!     fn missing(&self) -> String { "zero:none".to_owned() }
//! }
//! conformance::protocol(&Zeros);
//! ```

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::context::Context;
use crate::digest::Algorithm;
use crate::download::Download;
use crate::event::{Action, Event};
use crate::facts::Facts;
use crate::failure::{ErrorKind, Failure};
use crate::monitor::DownloadMonitor;
use crate::protocol::Protocol;
use crate::record::Record;
use crate::reply::Head;
use crate::request::{ByteRange, Method, Request};
use crate::transfer::Transfer;
use crate::writer::{BufferWriter, Writer};

/// How long something that should happen soon may take at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// A source to run a protocol against: what its test sets up.
pub trait Source: Sync {
    /// Makes the protocol.
    fn protocol(&self) -> Box<dyn Protocol>;

    /// Makes this content available, and returns its URL; `None` if the source cannot have such a content.
    fn serve(&self, content: &[u8]) -> Option<String>;

    /// Returns the URL of something that is not there.
    fn missing(&self) -> String;

    /// Makes this content available at a source that breaks off after `sent` bytes, and returns its URL.
    ///
    /// `None`, the default, is a source that cannot do that.
    fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
        let _ = (content, sent);
        None
    }

    /// Makes a content available at a source that sends `sent` bytes and then nothing, and returns its URL.
    ///
    /// `None`, the default, is a source that cannot do that.
    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        let _ = (content, sent);
        None
    }
}

/// Runs a protocol through the suite.
///
/// # Panics
/// When the protocol does something wrong.
pub fn protocol(source: &dyn Source) {
    let protocol: Arc<dyn Protocol> = Arc::from(source.protocol());
    for size in [0, 1, 4_096, 1_000_003] {
        for content in [vec![0; size], sample(size)] {
            let Some(url) = source.serve(&content) else { continue };
            gives_the_content(&protocol, &url, &content);
            knows_the_head_alone(&protocol, &url, &content);
            gives_ranges_or_everything(&protocol, &url, &content);
            serves_many_at_once(&protocol, &url, &content);
            stops_when_cancelled_before(&protocol, &url);
        }
    }
    says_what_is_missing(&protocol, &source.missing());
    let content =
        [vec![0; 300_000], sample(300_000)].into_iter().find(|content| source.serve(content).is_some());
    let content = content.unwrap_or_else(|| panic!("the source has neither zeros nor other bytes"));
    if let Some(url) = source.broken(&content, 100_000) {
        tells_a_cut_from_an_end(&protocol, &url);
    }
    if let Some(url) = source.stalled(&content, 100_000) {
        stops_when_cancelled_in_the_middle(&protocol, &url);
    }
    failures_survive_the_body();
}

/// Bytes that differ from place to place, so that any that are lost, doubled or moved show.
fn sample(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

fn request(url: &str) -> Request {
    Request::get(url).unwrap_or_else(|failure| panic!("the source's URL {url:?} is none: {failure}"))
}

fn body_of(protocol: &dyn Protocol, request: &Request) -> (Head, Vec<u8>) {
    let url = request.display_url();
    let reply = protocol.send(request, &Context::new());
    let (head, body) = reply.unwrap_or_else(|failure| panic!("{url} fails: {failure}")).into_parts();
    let mut bytes = Vec::new();
    let mut body = body.unwrap_or_else(|| panic!("{url} has no body"));
    body.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("the body of {url} fails: {error}"));
    assert!(body.fill_buf().is_ok_and(<[u8]>::is_empty), "a body that has ended must stay so");
    (head, bytes)
}

fn gives_the_content(protocol: &Arc<dyn Protocol>, url: &str, content: &[u8]) {
    for _ in 0..2 {
        let (head, bytes) = body_of(protocol, &request(url));
        assert!(bytes == content, "{url} gives other bytes than it has");
        assert_eq!(head.offset(), 0, "everything begins at its first byte");
        let length = content.len() as u64;
        assert!(
            head.length().is_none_or(|told| told == length),
            "{url} tells a wrong length: {:?}",
            head.length()
        );
        assert!(
            head.total().is_none_or(|told| told == length),
            "{url} tells a wrong total: {:?}",
            head.total()
        );
    }
    let buffer = BufferWriter::new(content.len());
    let monitor = DownloadMonitor::new(Algorithm::ALL);
    let mut download =
        Transfer::new(request(url), Arc::clone(protocol)).writer(buffer.clone()).monitor(&monitor);
    let receipt = download.run(&Context::new()).unwrap_or_else(|error| panic!("a download fails: {error}"));
    assert!(buffer.take().is_some_and(|bytes| bytes == content), "a download gives other bytes");
    let facts = Facts::of(content, Algorithm::ALL).ok();
    assert_eq!(monitor.facts(), facts, "a monitor sees other facts");
    assert_eq!(Some(receipt.facts()), facts.as_ref(), "the receipt has other facts");
}

fn knows_the_head_alone(protocol: &Arc<dyn Protocol>, url: &str, content: &[u8]) {
    let mut request = request(url);
    request.set_method(Method::Head);
    let reply = protocol.send(&request, &Context::new());
    let reply = reply.unwrap_or_else(|failure| panic!("{url} fails when only the head is wanted: {failure}"));
    let length = reply.head().length();
    assert!(length.is_none_or(|told| told == content.len() as u64), "the head alone has a wrong length");
}

fn gives_ranges_or_everything(protocol: &Arc<dyn Protocol>, url: &str, content: &[u8]) {
    let size = content.len() as u64;
    let ranges =
        [(0, None), (0, Some(0)), (size / 2, None), (size / 3, Some(size / 2)), (size.max(1) - 1, None)];
    for (first, last) in ranges {
        let Some(range) = ByteRange::new(first, last).filter(|_| first < size) else { continue };
        let mut request = request(url);
        request.set_range(Some(range));
        let (head, bytes) = body_of(protocol, &request);
        let start = usize::try_from(head.offset()).unwrap_or(usize::MAX);
        assert!(start == 0 || head.offset() == first, "{range} of {url} begins at {start}");
        let there = content.get(start..start + bytes.len());
        assert!(there == Some(&bytes), "{range} of {url} gives other bytes than are there");
        let asked = last.map_or(size, |last| size.min(last + 1)) - first;
        let got = bytes.len() as u64;
        assert!(got == asked || (start == 0 && got == size), "{range} of {url} gives {got} bytes");
        assert!(head.length().is_none_or(|told| told == got), "{range} of {url} tells a wrong length");
    }
}

fn serves_many_at_once(protocol: &Arc<dyn Protocol>, url: &str, content: &[u8]) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert!(body_of(protocol, &request(url)).1 == content, "four at once get other bytes");
            });
        }
    });
}

fn says_what_is_missing(protocol: &Arc<dyn Protocol>, url: &str) {
    match protocol.send(&request(url), &Context::new()) {
        Ok(_) => panic!("{url} is there, although it should be missing"),
        Err(failure) => assert!(
            matches!(failure.kind(), ErrorKind::NotFound),
            "what is missing must fail as not found: {failure:?}"
        ),
    }
}

fn stops_when_cancelled_before(protocol: &Arc<dyn Protocol>, url: &str) {
    let context = Context::new();
    context.cancel();
    match protocol.send(&request(url), &context) {
        Ok(_) => panic!("{url} is asked although the context is cancelled"),
        Err(failure) => {
            assert!(matches!(failure.kind(), ErrorKind::Cancelled), "cancelled, it fails with {failure:?}");
        }
    }
}

fn tells_a_cut_from_an_end(protocol: &Arc<dyn Protocol>, url: &str) {
    let mut download = Transfer::new(request(url), Arc::clone(protocol)).writer(BufferWriter::new(1 << 20));
    let Err(error) = download.run(&Context::new()) else {
        panic!("a body that was cut ends like a whole one")
    };
    assert!(matches!(error.kind(), ErrorKind::Incomplete), "a cut is incomplete, not {error:?}");
    assert!(error.is_transient(), "a cut is transient");
}

fn stops_when_cancelled_in_the_middle(protocol: &Arc<dyn Protocol>, url: &str) {
    let context = Context::new();
    let (sender, receiver) = channel();
    let cancelling = context.clone();
    let fetched = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { .. } = event {
            cancelling.cancel();
        }
        Action::Continue
    };
    let mut download =
        Transfer::new(request(url), Arc::clone(protocol)).writer(BufferWriter::new(1 << 20)).handler(fetched);
    let running = context.clone();
    let thread = thread::spawn(move || sender.send(download.run(&running)).is_ok());
    let ended = receiver.recv_timeout(PATIENCE);
    let result = ended.unwrap_or_else(|_| panic!("a download does not end when it is cancelled"));
    assert!(result.is_err_and(|error| error.is_cancelled()), "cancelled, it ends otherwise");
    assert!(thread.join().is_ok());
}

fn failures_survive_the_body() {
    let failure = Failure::new(ErrorKind::Incomplete, "as it was").transient(false);
    let back = Failure::from(io::Error::from(failure));
    assert!(matches!(back.kind(), ErrorKind::Incomplete) && !back.is_transient());
    assert_eq!(back.to_string(), "as it was");
}

/// Runs a writer through the suite.
///
/// `target` returns what is at the writer's target: the bytes that were committed last, or `None`.
///
/// # Panics
/// When the writer does something wrong.
pub fn writer(writer: &dyn Writer, target: &dyn Fn() -> Option<Vec<u8>>) {
    let url = request("test:writer").url().clone();
    let head = |content: &[u8]| Head::new(&url).with_length(Some(content.len() as u64));
    let open = || writer.open().unwrap_or_else(|error| panic!("it cannot be opened: {error}"));
    let before = target();

    drop(open());
    assert!(target() == before, "an output that was only opened changed the target");

    let content = sample(200_000);
    let mut output = open();
    output.begin(&head(&content), 0).unwrap_or_else(|error| panic!("it cannot begin: {error}"));
    output.write_all(&content).unwrap_or_else(|error| panic!("it cannot be written to: {error}"));
    assert!(target() == before, "an output that is not committed changed the target");
    drop(output);
    assert!(target() == before, "an output that was dropped changed the target");

    for content in [content, Vec::new(), sample(1)] {
        let mut output = open();
        output.begin(&head(&content), 0).unwrap_or_else(|error| panic!("it cannot begin: {error}"));
        for block in content.chunks(7_001) {
            output.write_all(block).unwrap_or_else(|error| panic!("it cannot be written to: {error}"));
        }
        let at = output.offset();
        assert!(at == 0 || at == content.len() as u64, "it would go on at {at}");
        output.commit().unwrap_or_else(|error| panic!("it cannot be committed: {error}"));
        assert!(target() == Some(content), "other bytes are at the target than were written");
    }

    // A copy that starts again discards what was kept; one that goes on keeps it.
    let (wrong, right) = (sample(5_000), sample(9_000));
    let mut output = open();
    output.begin(&head(&wrong), 0).unwrap_or_else(|error| panic!("it cannot begin: {error}"));
    output.write_all(&wrong).unwrap_or_else(|error| panic!("it cannot be written to: {error}"));
    output.begin(&head(&right), 0).unwrap_or_else(|error| panic!("it cannot begin again: {error}"));
    output.write_all(&right[..4_000]).unwrap_or_else(|error| panic!("it cannot be written to: {error}"));
    let at = output.offset();
    if at > 0 {
        assert_eq!(at, 4_000, "it would go on at another place than it is at");
        output.begin(&head(&right), at).unwrap_or_else(|error| panic!("it cannot go on: {error}"));
    }
    output.write_all(&right[4_000..]).unwrap_or_else(|error| panic!("it cannot be written to: {error}"));
    output.commit().unwrap_or_else(|error| panic!("it cannot be committed: {error}"));
    assert!(target() == Some(right), "what was kept and discarded got mixed");

    keeps_for_a_later_run_what_it_is_told_to(writer, target);
}

/// A writer need not keep anything, but what it keeps is just what it was given.
fn keeps_for_a_later_run_what_it_is_told_to(writer: &dyn Writer, target: &dyn Fn() -> Option<Vec<u8>>) {
    let content = sample(9_000);
    let url = request("test:writer").url().clone();
    let head = Head::new(&url).with_length(Some(9_000)).with_header("etag", "\"one\"");
    let identity = crate::record::identity(&url);
    let record =
        format!("url {url}\ndownload {identity}\nsource {identity}\nhost test\netag \"one\"\ntotal 9000\n");
    let record: Record = record.parse().unwrap_or_else(|error| panic!("no record: {error}"));
    let open = || writer.open().unwrap_or_else(|error| panic!("it cannot be opened: {error}"));
    let interrupt = |last: Option<&Record>| {
        let before = target();
        let mut output = open();
        output.begin(&head, 0).unwrap_or_else(|error| panic!("it cannot begin: {error}"));
        output
            .write_all(&content[..4_000])
            .unwrap_or_else(|error| panic!("it cannot be written to: {error}"));
        output.keep(Some(&record)).unwrap_or_else(|error| panic!("it cannot keep anything: {error}"));
        if last.is_none() {
            output.keep(None).unwrap_or_else(|error| panic!("it cannot keep nothing: {error}"));
        }
        drop(output);
        assert!(target() == before, "an output that was interrupted changed the target");
    };

    interrupt(None);
    let output = open();
    assert!(output.offset() == 0 && output.kept().is_none(), "it has kept what was to be forgotten");
    drop(output);

    interrupt(Some(&record));
    let mut output = open();
    let at = output.offset();
    let there = usize::try_from(at).ok().and_then(|at| content[..4_000].get(..at));
    let there = there.unwrap_or_else(|| panic!("it would go on at {at}, where it never was"));
    assert!((at == 0) == output.kept().is_none(), "bytes and what is noted of them go together");
    if at > 0 {
        assert!(
            output.kept().as_ref() == Some(&record),
            "it has kept another record than the one it was given"
        );
        let mut again = Vec::new();
        let mut replay =
            output.replay().unwrap_or_else(|error| panic!("it cannot read what it kept: {error}"));
        replay.read_to_end(&mut again).unwrap_or_else(|error| panic!("it cannot read what it kept: {error}"));
        drop(replay);
        assert!(again == there, "it has kept other bytes than were written");
    }
    output.begin(&head, at).unwrap_or_else(|error| panic!("it cannot go on: {error}"));
    output
        .write_all(&content[there.len()..])
        .unwrap_or_else(|error| panic!("it cannot be written to: {error}"));
    output.commit().unwrap_or_else(|error| panic!("it cannot be committed: {error}"));
    assert!(target() == Some(content), "what was kept and what came later are not the content");
    let output = open();
    assert!(output.offset() == 0 && output.kept().is_none(), "it has kept something of what was committed");
}
