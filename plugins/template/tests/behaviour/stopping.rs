//! That it stops when it is told to, or when nothing comes.

use std::thread;
use std::time::Duration;

use ganymede::{Connector, Context, Download, DownloadError, ErrorKind, Request, Transfer};
use ganymede_kit::{Backlog, Silent, wait_until};
use ganymede_template::Redis;

use super::get;

/// Runs a download, cancels it when it is under way, and returns how it ended.
fn cancelled(url: &str, under_way: impl FnOnce()) -> DownloadError {
    let context = Context::new();
    let mut download = get(url).writer(ganymede::BufferWriter::new(1 << 20));
    let running = context.clone();
    let thread = thread::spawn(move || download.run(&running));
    under_way();
    context.cancel();
    wait_until("the download to end", || thread.is_finished());
    thread.join().unwrap().unwrap_err()
}

#[test]
fn cancelling_ends_a_wait_for_an_answer() {
    let silent = Silent::start();
    assert!(cancelled(&silent.url("redis", "/key"), || silent.wait_open(1)).is_cancelled());
    silent.wait_open(0);
}

#[test]
fn cancelling_ends_a_wait_for_a_connection() {
    let backlog = Backlog::start();
    let waits = || wait_until("it to connect", || ganymede_kit::threads_named("ganymede-connect") > 0);
    assert!(cancelled(&backlog.url("redis", "/key"), waits).is_cancelled());
}

#[test]
fn silence_is_a_time_out() {
    let silent = Silent::start();
    let redis = Redis::new().connector(Connector::new().read_timeout(Duration::from_millis(50)));
    let mut download = Transfer::new(Request::get(&silent.url("redis", "/key")).unwrap(), redis)
        .writer(ganymede::BufferWriter::new(10));
    let error = download.run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout) && error.is_transient(), "{error:?}");
}
