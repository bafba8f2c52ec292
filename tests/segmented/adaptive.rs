//! Connections that are added while they bring something.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ganymede::{Batch, BufferWriter, Context, Http, Protocol, Request, Segmented, Transfer};
use ganymede_kit::{Origin, Reply, pattern, threads_named};

use super::{PIECE, fetch, ranges, tagged};

const MIB: usize = 1 << 20;

fn adaptive(url: &str, least: u64) -> Transfer<Segmented<Http>> {
    let protocol = Segmented::new(Http::new().no_proxy()).least(least).window(8 * MIB);
    Transfer::new(Request::get(url).unwrap(), protocol)
}

/// Gives each connection about a MiB a second.
fn slow(reply: Reply) -> Reply {
    reply.drip(32 << 10, Duration::from_millis(30))
}

#[test]
fn where_each_connection_is_slow_there_are_more_and_nothing_is_asked_for_twice() {
    let origin = Origin::start();
    let size = 12 * MIB;
    let url = origin.on("/file", slow(tagged(size)));
    let (receipt, content) = fetch(adaptive(&url, 1)).unwrap();
    assert!(content == pattern(size));
    assert_eq!((receipt.attempts(), receipt.head().status().as_u16()), (1, 200));
    assert!((3..=8).contains(&origin.peak()), "{}", origin.peak());
    // The first request was for everything, and the others are for what it was not heard for.
    let journal = origin.journal();
    assert_eq!(journal[0].header("range"), None);
    let ranges = ranges(&origin);
    assert!(ranges[0].0 >= 100_000);
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
    assert_eq!(ranges.last().unwrap().1, size - 1);
    assert_eq!(threads_named("ganymede-segment"), 0);
}

#[test]
fn what_is_small_fast_or_not_to_be_divided_is_one_request() {
    let origin = Origin::start();
    let size = 3 * MIB;
    let fast = origin.on("/fast", tagged(8 * MIB));
    let small = origin.on("/small", slow(tagged(size)));
    let without_ranges = origin.on("/without", slow(Reply::ok(pattern(size)).etag("\"one\"")));
    let without_tag = origin.on("/untagged", slow(Reply::ok(pattern(size)).ranges()));
    let without_length = origin.on("/unknown", slow(tagged(size).chunked()));
    assert!(fetch(adaptive(&fast, 1)).unwrap().1 == pattern(8 * MIB));
    assert!(fetch(adaptive(&small, 16 << 20)).unwrap().1 == pattern(size));
    for url in [without_ranges, without_tag, without_length] {
        assert!(fetch(adaptive(&url, 1)).unwrap().1 == pattern(size));
    }
    assert_eq!(origin.journal().len(), 5);
    assert!(ranges(&origin).is_empty());
}

#[test]
fn a_slow_reader_gets_no_more_connections() {
    let origin = Origin::start();
    let size = 24 * MIB;
    let url = origin.on("/file", tagged(size));
    let protocol = Segmented::new(Http::new().no_proxy()).least(1);
    let reply = protocol.send(&Request::get(&url).unwrap(), &Context::new()).unwrap();
    let mut body = reply.into_parts().1.unwrap();
    let (mut content, mut block) = (Vec::new(), vec![0; 256 << 10]);
    loop {
        let length = body.read(&mut block).unwrap();
        if length == 0 {
            break;
        }
        content.extend_from_slice(&block[..length]);
        // The pace of a reader has no event to wait for.
        if content.len() < 12 * MIB {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(content == pattern(size));
    assert_eq!(origin.journal().len(), 1);
}

#[test]
fn where_the_link_is_full_one_connection_is_enough() {
    let origin = Origin::start();
    let size = 10 * MIB;
    // All connections together get about two MiB a second.
    let link = Arc::new(Mutex::new(Instant::now()));
    let content = Arc::new(pattern(size));
    let shared = Arc::clone(&content);
    let url = origin.on("/file", tagged(size));
    let throttled = move |request: &Request, context: &Context| {
        let reply = Http::new().no_proxy().send(request, context)?;
        let (head, body) = reply.into_parts();
        let link = Arc::clone(&link);
        Ok(ganymede::Reply::new(
            head,
            std::io::BufReader::with_capacity(16 << 10, Throttled(body.unwrap(), link)),
        ))
    };
    let protocol = Segmented::new(throttled).least(1).window(8 * MIB);
    let (_, stored) = fetch(Transfer::new(Request::get(&url).unwrap(), protocol)).unwrap();
    assert!(stored == *shared);
    // A second one was tried, and a place in the link was made for it.
    assert!(origin.peak() <= 3, "{}", origin.peak());
}

/// A body that shares a link with others.
struct Throttled(Box<dyn std::io::BufRead + Send>, Arc<Mutex<Instant>>);

impl Read for Throttled {
    fn read(&mut self, block: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.read(block)?;
        let time = Duration::from_secs_f64(length as f64 / (2.0 * MIB as f64));
        let until = {
            let mut free = self.1.lock().unwrap();
            // A link goes on while a reader is late, as far as what is on its way is kept somewhere.
            *free = (*free).max(Instant::now() - Duration::from_millis(80)) + time;
            *free
        };
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(length)
    }
}

#[test]
fn all_replies_of_a_context_share_the_connections() {
    let origin = Origin::start();
    let size = 4 * MIB;
    let whole = slow(tagged(size));
    let downloads = (0..8).map(|number| {
        let url = origin.on(&format!("/{number}"), whole.clone());
        let buffer = BufferWriter::new(size);
        adaptive(&url, 1).writer(buffer.clone()).attach(buffer)
    });
    let downloads: Vec<_> = downloads.collect();
    for plan in Batch::new(downloads).concurrency(8).backlog(8) {
        plan.result().unwrap();
        assert!(plan.attachment().take().unwrap() == pattern(size));
    }
    // One may be on its way while another one is about to end.
    assert!(origin.peak() <= 10, "{}", origin.peak());
}

#[test]
fn a_body_that_is_dropped_after_it_was_divided_leaves_nothing() {
    let origin = Origin::start();
    let url = origin.on("/file", slow(tagged(24 * MIB)));
    let protocol = Segmented::new(Http::new().no_proxy()).least(1).window(8 * MIB);
    let reply = protocol.send(&Request::get(&url).unwrap(), &Context::new()).unwrap();
    let mut body = reply.into_parts().1.unwrap();
    let mut read = 0;
    while origin.journal().len() < 3 {
        let length = body.read(&mut vec![0; PIECE]).unwrap();
        assert!(length > 0);
        read += length;
    }
    assert!(read < 24 * MIB);
    drop(body);
    assert_eq!(threads_named("ganymede-segment"), 0);
    origin.wait_open(0);
}
