//! The same over HTTP/2.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use ganymede_kit::{Folder, Origin, Reply, pattern};
use ganymede_streamer::Streamer;
use h2::client::{SendRequest, handshake};
use h2::{Error, Reason};
use http::{Request, Response};

use crate::{LARGE, Running, cache, digests, keeping, remote};

/// How long a client may be idle, or read nothing, where that is tested.
const STALL: Duration = Duration::from_millis(300);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(ganymede_kit::PATIENCE, future).await.unwrap() })
}

async fn connect(server: &Running) -> SendRequest<Bytes> {
    let socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (client, connection) = handshake(socket).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Asks, and reads to the end: the head, what came of the body, and how it ended.
async fn get(client: &SendRequest<Bytes>, url: String) -> (Response<()>, Vec<u8>, Result<(), Error>) {
    let mut client = client.clone().ready().await.unwrap();
    let (response, _) = client.send_request(Request::get(url).body(()).unwrap(), true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut bytes = Vec::new();
    let end = loop {
        match body.data().await {
            Some(Ok(block)) => {
                body.flow_control().release_capacity(block.len()).unwrap();
                bytes.extend_from_slice(&block);
            }
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    (Response::from_parts(head, ()), bytes, end)
}

#[test]
fn contents_come_whole_side_by_side() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/large", Reply::ok(pattern(LARGE)).header("Cache-Control", "max-age=60"));
    origin.on("/chunked", Reply::ok(pattern(LARGE)).chunked());
    block_on(async {
        let client = connect(&server).await;
        let urls = ["/large", "/chunked", "/large"].map(|path| get(&client, server.url(path)));
        for (head, body, end) in futures::future::join_all(urls).await {
            assert!(head.status() == 200 && end.is_ok() && body == pattern(LARGE));
        }
        let (head, ..) = get(&client, server.url("/large")).await;
        assert!(head.headers()["cache-status"].to_str().unwrap().starts_with("ganymede; hit"));
        let (head, ..) = get(&client, server.url("/missing")).await;
        assert_eq!(head.status(), 404);
    });
}

#[test]
fn a_body_that_fails_resets_its_stream_and_no_other() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let mut wrong = pattern(LARGE);
    wrong[LARGE - 1] ^= 1;
    origin.on("/wrong", Reply::ok(wrong));
    origin.on("/cut", Reply::ok(pattern(LARGE)).chunked().cut_after(LARGE as u64));
    origin.on("/right", Reply::ok(pattern(LARGE)));
    let remote = remote(&origin).digests(digests("/wrong", &pattern(LARGE)));
    let server = Running::start(Streamer::new(remote).cache(cache(&folder)));
    block_on(async {
        let client = connect(&server).await;
        for path in ["/wrong", "/cut", "/wrong"] {
            let (head, body, end) = get(&client, server.url(path)).await;
            assert!(head.status() == 200 && pattern(LARGE).starts_with(&body), "{path}");
            assert_eq!(end.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR), "{path}");
            let (head, body, end) = get(&client, server.url("/right")).await;
            assert!(head.status() == 200 && end.is_ok() && body == pattern(LARGE));
        }
    });
}

#[test]
fn a_stream_that_is_taken_back_leaves_the_source() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/stalled", Reply::ok(pattern(LARGE)).stall_after(1_000_000));
    block_on(async {
        let client = connect(&server).await;
        let mut ready = client.clone().ready().await.unwrap();
        let request = Request::get(server.url("/stalled")).body(()).unwrap();
        let (response, mut stream) = ready.send_request(request, true).unwrap();
        let response = response.await.unwrap();
        stream.send_reset(Reason::CANCEL);
        drop(response);
        while origin.open() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    });
}

#[test]
fn a_stream_that_nobody_reads_is_cut_although_its_connection_is_read() {
    let origin = Origin::start();
    origin.on("/file", Reply::generated(64 << 20));
    origin.on("/small", Reply::ok("x"));
    let server = Running::with(Streamer::new(remote(&origin)), |server| server.stall(STALL));
    block_on(async {
        let client = connect(&server).await;
        let mut ready = client.clone().ready().await.unwrap();
        let request = Request::get(server.url("/file")).body(()).unwrap();
        let (response, _) = ready.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        // The first window is taken, and no other one is opened.
        while body.data().await.is_some_and(|block| block.is_ok()) {}
    });
    origin.wait_open(0);
}

#[test]
fn a_connection_on_which_nothing_is_asked_is_closed_and_one_that_waits_for_an_answer_is_not() {
    let origin = Origin::start();
    let server = Running::with(Streamer::new(remote(&origin)), |server| server.idle(STALL).stall(STALL));
    origin.on("/late", Reply::ok("x").delay(STALL * 4));
    block_on(async {
        let socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let (client, connection) = handshake(socket).await.unwrap();
        let ended = tokio::spawn(connection);
        let (head, body, end) = get(&client, server.url("/late")).await;
        assert!(head.status() == 200 && body == b"x" && end.is_ok());
        // This side answers all that it is sent, and still it ends.
        let _ = ended.await.unwrap();
        drop(client);
    });
}
