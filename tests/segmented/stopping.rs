//! Places, threads and connections: taken one by one, and all given back.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ganymede::{
    Batch, BufferWriter, Context, Download, Failure, Http, Limits, MirrorDelegate, Protocol, Reply, Request,
    Segmented, Transfer,
};
use ganymede_kit::{Gate, Origin, pattern, threads_named, wait_until};

use super::{PIECE, assert_once, download, fetch, small, tagged};

const SIZE: usize = 12 * PIECE;

#[test]
fn over_one_place_two_downloads_go_on_side_by_side() {
    let (origin, context) = (Origin::start(), Context::with_limits(Limits::new().per_host(1)));
    let urls = ["/one", "/two"].map(|path| origin.on(path, tagged(SIZE)));
    thread::scope(|scope| {
        for url in &urls {
            let context = context.child();
            scope.spawn(move || {
                let buffer = BufferWriter::new(SIZE);
                download(url, 4).writer(buffer.clone()).run(&context).unwrap();
                assert!(buffer.take().unwrap() == pattern(SIZE));
            });
        }
    });
    assert_eq!((origin.in_flight_peak(), origin.peak()), (1, 1));
}

#[test]
fn a_batch_whose_places_and_connections_are_few_comes_to_its_end() {
    let size = 5 * PIECE;
    for concurrency in 1..=3 {
        let (origin, limits) = (Origin::start(), Limits::new().per_host(1));
        // So slow that who waits for the place lets another download run, which then wants it, too.
        let url = origin.on("/file", tagged(size).drip(64 << 10, Duration::from_millis(15)));
        let downloads = (0..6).map(|_| {
            let buffer = BufferWriter::new(size);
            download(&url, 4).writer(buffer.clone()).attach(buffer)
        });
        let context = Context::with_limits(limits);
        let mut count = 0;
        for plan in Batch::new(downloads).context(&context).concurrency(concurrency).backlog(6) {
            plan.result().unwrap();
            assert!(plan.attachment().take().unwrap() == pattern(size));
            count += 1;
        }
        assert_eq!((count, origin.in_flight_peak()), (6, 1), "{concurrency} at a time");
    }
}

#[test]
fn a_reader_that_does_not_read_keeps_no_place() {
    let (origin, context) = (Origin::start(), Context::with_limits(Limits::new().per_host(1)));
    let url = origin.on("/file", tagged(SIZE));
    let other = origin.on("/other", tagged(10));
    let protocol = Segmented::new(Http::new().no_proxy()).segments(2).window(2 * PIECE);
    let reply = protocol.send(&Request::get(&url).unwrap(), &context).unwrap();
    origin.wait_requests(2);
    let reply_of_other = Http::new().no_proxy().send(&Request::get(&other).unwrap(), &context).unwrap();
    let mut content = Vec::new();
    reply_of_other.into_parts().1.unwrap().read_to_end(&mut content).unwrap();
    assert_eq!(content, pattern(10));
    content.clear();
    reply.into_parts().1.unwrap().read_to_end(&mut content).unwrap();
    assert!(content == pattern(SIZE));
}

#[test]
fn no_host_gets_more_connections_than_it_may() {
    let (origin, context) = (Origin::start(), Context::with_limits(Limits::new().per_host(3)));
    let url = origin.on("/file", tagged(SIZE).drip(16 << 10, Duration::from_millis(1)));
    let buffer = BufferWriter::new(SIZE);
    download(&url, 8).writer(buffer.clone()).run(&context).unwrap();
    assert!(buffer.take().unwrap() == pattern(SIZE));
    assert_eq!(origin.in_flight_peak(), 3);
    assert_once(&origin, 0, SIZE);
}

#[test]
fn cancelling_ends_all_waiting_at_once() {
    let (origin, context, gate) = (Origin::start(), Context::new(), Gate::new());
    let url = origin.on("/file", tagged(SIZE).gate_after(1000, &gate));
    let running = context.child();
    let transfer = download(&url, 4).writer(BufferWriter::new(SIZE));
    let thread = thread::spawn(move || {
        let mut transfer = transfer;
        transfer.run(&running).unwrap_err()
    });
    gate.wait_arrived(4);
    context.cancel();
    assert!(thread.join().unwrap().is_cancelled());
    origin.wait_open(0);
    wait_until("the threads to be gone", || threads_named("ganymede-segment") == 0);
}

#[test]
fn a_body_that_is_dropped_leaves_no_thread_connection_or_place() {
    let context = Context::with_limits(Limits::new().per_host(5));
    for stalls in [false, true] {
        let origin = Origin::start();
        let whole = tagged(SIZE);
        let url = origin.on("/file", if stalls { whole.stall_after(1000) } else { whole });
        for read in [0, 10, 1000] {
            let reply = small(4).send(&Request::get(&url).unwrap(), &context).unwrap();
            let mut body = reply.into_parts().1.unwrap();
            body.read_exact(&mut vec![0; read]).unwrap();
            if stalls {
                wait_until("all to be at it", || threads_named("ganymede-segment") == 4);
            }
            drop(body);
            assert_eq!(threads_named("ganymede-segment"), 0, "it waits for them");
        }
        drop(origin);
    }
    let origin = Origin::start();
    let url = origin.on("/file", tagged(SIZE));
    let permits: Vec<_> = (0..5).map(|_| context.permit(&Request::get(&url).unwrap()).unwrap()).collect();
    drop(permits);
    drop(context);
    wait_until("all threads to be gone", || threads_named("ganymede") == 0);
}

#[test]
fn what_ends_well_has_no_threads_left_and_its_connections_are_used_again() {
    let (origin, context) = (Origin::start(), Context::new());
    let url = origin.on("/file", tagged(SIZE));
    for _ in 0..3 {
        let buffer = BufferWriter::new(SIZE);
        download(&url, 3).writer(buffer.clone()).run(&context).unwrap();
        assert!(buffer.take().unwrap() == pattern(SIZE));
        assert_eq!(threads_named("ganymede-segment"), 0);
    }
    // One or two may be made while another is about to become free.
    assert!(origin.connections() <= 6, "{}", origin.connections());
}

#[test]
fn a_deadline_and_a_least_speed_end_it_like_one_stream() {
    let origin = Origin::start();
    let url = origin.on("/file", tagged(SIZE).stall_after(1000));
    let error = fetch(download(&url, 3).deadline(Duration::from_millis(500))).unwrap_err();
    assert_eq!(error.kind().name(), "timeout");
    let crawling = tagged(SIZE).drip(100, Duration::from_millis(50));
    let url = origin.on("/file", crawling);
    let slow = download(&url, 3).min_speed(1 << 20, Duration::from_millis(500));
    let error = fetch(slow).unwrap_err();
    assert_eq!(error.kind().name(), "timeout");
    assert!(error.to_string().contains("MiB") || error.to_string().contains("slow"), "{error}");
    assert_eq!(threads_named("ganymede-segment"), 0);
}

#[test]
fn a_panic_of_the_protocol_is_passed_on_to_who_reads() {
    let origin = Origin::start();
    let url = origin.on("/file", tagged(SIZE));
    let count = Arc::new(AtomicUsize::new(0));
    let panicking = move |request: &Request, context: &Context| -> Result<Reply, Failure> {
        if count.fetch_add(1, Ordering::SeqCst) == 3 {
            std::panic::resume_unwind(Box::new("a plugin's own"));
        }
        Http::new().no_proxy().send(request, context)
    };
    let protocol = Segmented::new(panicking).segments(3).window(6 * PIECE);
    let transfer = Transfer::new(Request::get(&url).unwrap(), protocol).writer(BufferWriter::new(SIZE));
    let results: Vec<_> =
        Batch::new([transfer]).map(|plan| plan.result().as_ref().unwrap_err().to_string()).collect();
    assert!(results[0].contains("a plugin's own"), "{results:?}");
    wait_until("the threads to be gone", || threads_named("ganymede-segment") == 0);
}

#[test]
fn under_a_limit_on_the_rate_little_is_fetched_ahead() {
    let origin = Origin::start();
    let url = origin.on("/file", tagged(SIZE));
    let context = Context::with_limits(Limits::new().rate(1 << 30));
    let reply = small(3).send(&Request::get(&url).unwrap(), &context).unwrap();
    origin.wait_requests(3);
    let asked = super::ranges(&origin).last().unwrap().1 + 1;
    assert!(asked <= 3 * PIECE, "{asked}");
    let mut content = Vec::new();
    reply.into_parts().1.unwrap().read_to_end(&mut content).unwrap();
    assert!(content == pattern(SIZE));
}

#[test]
fn who_was_not_asked_for_is_never_connected_to() {
    let (one, two) = (Origin::start(), Origin::start());
    let url = one.on("/small", tagged(PIECE / 2));
    let mirror = two.on("/small", tagged(PIECE / 2));
    let delegate = MirrorDelegate::new([mirror.parse().unwrap()]);
    assert!(fetch(download(&url, 4).handler(delegate)).unwrap().1 == pattern(PIECE / 2));
    assert_eq!((one.journal().len(), two.connections()), (1, 0));
    assert_eq!(threads_named("ganymede-segment"), 0);
}
